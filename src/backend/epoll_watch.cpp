#include <sys/epoll.h>

#include <cstdint>
#include <memory>
#include <system_error>
#include <utility>

#include "epoll_backend.h"

namespace weir::inline v0::detail {
namespace {

class EpollWatch final : public DescriptorWatch, private Source {
 public:
  EpollWatch(EpollBackend& backend, int descriptor, WatchEvents& events)
      : Source(backend, descriptor, Owner::user),
        events_up_(events),
        name_(backend.make_name(*this)) {}
  ~EpollWatch() override {
    stop();
    backend_.release_name(name_);
  }

  std::error_code want(bool readable, bool writable) noexcept override;

 private:
  std::size_t deliver() noexcept override;
  std::uint64_t name() const noexcept override { return name_; }
  void descriptor_reused() noexcept override {
    // A transport may have taken over the very socket that is watched; else there is nothing to end.
    static_cast<void>(control(EPOLL_CTL_DEL, 0));
    registered_ = false;
    unlink();
  }
  void stop() noexcept {
    unlink();
    if (!std::exchange(registered_, false)) return;
    // It fails if the user closed the descriptor first. If that left a duplicate open, the kernel goes on
    // telling of it under a name that nobody has.
    static_cast<void>(control(EPOLL_CTL_DEL, 0));
    backend_.unregister_source(*this);
  }

  WatchEvents& events_up_;
  std::uint64_t name_;
  bool registered_ = false;
  bool readable_ = false;  ///< wanted
  bool writable_ = false;  ///< wanted
};

std::error_code EpollWatch::want(bool readable, bool writable) noexcept {
  readable_ = readable;
  writable_ = writable;
  // What was collected for an earlier callback is not for a new one; the kernel tells it again. [L27]
  static_cast<void>(take_events());
  unlink();
  if (!readable && !writable) {
    stop();
    return {};
  }
  const std::uint32_t events = (readable ? EPOLLIN : 0U) | (writable ? EPOLLOUT : 0U);
  std::error_code error;
  if (registered_) error = control(EPOLL_CTL_MOD, events);
  // The user may have closed the descriptor and opened another of that number. [L31]
  if (!registered_ || error == std::errc::no_such_file_or_directory) {
    error = control(EPOLL_CTL_ADD, events);
  }
  if (error) return error;
  if (!std::exchange(registered_, true)) {
    backend_.register_source(*this);
  }
  return {};
}

std::size_t EpollWatch::deliver() noexcept {
  const std::uint32_t events = take_events();
  EpollBackend& backend = backend_;
  std::size_t delivered = 0;
  if (readable_ && (events & input_events) != 0) {
    ++delivered;
    events_up_.on_readable();
  }
  if (backend.is_delivering(*this) && writable_ && (events & output_events) != 0) {
    ++delivered;
    events_up_.on_writable();
  }
  return delivered;
}

}  // namespace

std::unique_ptr<DescriptorWatch> EpollBackend::watch(int descriptor, WatchEvents& events) {
  return std::make_unique<EpollWatch>(*this, descriptor, events);
}

}  // namespace weir::inline v0::detail
