#include "epoll_backend.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <limits>
#include <utility>

#include "datagram_buffer.h"
#include "raw_socket.h"
#include "socket_calls.h"

namespace weir::inline v0::detail {

std::error_code Source::control(int operation, std::uint32_t events) noexcept {
  return backend_.control(operation, descriptor_, events, name());
}

std::error_code EpollBackend::control(int operation, int descriptor, std::uint32_t events,
                                      std::uint64_t name) noexcept {
  if (!is_own_process()) return std::make_error_code(std::errc::operation_not_permitted);
  epoll_event event{.events = events, .data = {.u64 = name}};
  if (::epoll_ctl(epoll_.get(), operation, descriptor, &event) == 0) return {};
  return last_system_error();
}

Source::~Source() { backend_.source_gone(*this); }

EpollBackend::EpollBackend()
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)), wake_up_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!epoll_) throw std::system_error(last_system_error(), "epoll_create1");
  if (!wake_up_) throw std::system_error(last_system_error(), "eventfd");
  if (const std::error_code error = control(EPOLL_CTL_ADD, wake_up_.get(), EPOLLIN | EPOLLET, 0)) {
    throw std::system_error(error, "epoll_ctl");
  }
}

EpollBackend::~EpollBackend() = default;

UserSockets* EpollBackend::user_sockets() noexcept { return &system_sockets(); }

AddressFamily EpollBackend::socket_family(int descriptor) const noexcept {
  return family_of(descriptor);
}

Address EpollBackend::peer_address(int descriptor) const { return peer_address_of(descriptor); }

void EpollBackend::register_source(Source& source) {
  const auto index = static_cast<std::size_t>(source.descriptor());
  if (index >= registrations_.size()) {
    registrations_.resize(std::max(index + 1, 2 * registrations_.size()));
  }
  if (Source* stale = registrations_[index]) stale->descriptor_reused();
  registrations_[index] = &source;
}

void EpollBackend::unregister_source(Source& source) noexcept {
  const auto index = static_cast<std::size_t>(source.descriptor());
  if (index < registrations_.size() && registrations_[index] == &source) {
    registrations_[index] = nullptr;
  }
}

std::uint64_t EpollBackend::make_name(Source& source) {
  last_name_ += 2;
  names_.emplace(last_name_, &source);
  return last_name_;
}

void EpollBackend::release_name(std::uint64_t name) noexcept { names_.erase(name); }

Source* EpollBackend::named_by(std::uint64_t name) const noexcept {
  if (name % 2 == 0) {
    return reinterpret_cast<Source*>(  // NOLINT(performance-no-int-to-ptr): as name() made it
        static_cast<std::uintptr_t>(name));
  }
  const auto found = names_.find(name);
  return found == names_.end() ? nullptr : found->second;
}

bool EpollBackend::owns(int descriptor) const noexcept {
  const auto index = static_cast<std::size_t>(descriptor);
  return descriptor >= 0 && index < registrations_.size() && registrations_[index] != nullptr &&
         registrations_[index]->owner() == Source::Owner::backend;
}

int EpollBackend::wait_for_events(std::optional<TimePoint> deadline) noexcept {
  using std::chrono::nanoseconds;
  auto* events = kernel_events_.data();
  const int capacity = static_cast<int>(kernel_events_.size());
  if (has_pending_events() || deadline == TimePoint::min()) {
    return ::epoll_wait(epoll_.get(), events, capacity, 0);
  }
  if (!deadline) return ::epoll_wait(epoll_.get(), events, capacity, -1);
  const nanoseconds left = time_until(*deadline);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
  const timespec timeout{.tv_sec = seconds.count(),
                         .tv_nsec = static_cast<long>((left - seconds).count())};
  const int count = ::epoll_pwait2(epoll_.get(), events, capacity, &timeout, nullptr);
  if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
  // Before Linux 5.11, or in a container that filters newer calls: whole milliseconds, rounded up so that no timer is early. [L14]
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  constexpr decltype(milliseconds) longest = std::numeric_limits<int>::max();
  return ::epoll_wait(epoll_.get(), events, capacity,
                      static_cast<int>(std::min(milliseconds, longest)));
}

void EpollBackend::wait(std::optional<TimePoint> deadline) noexcept {
  // An interrupted wait collected nothing, which is no error: the caller looks at the time itself.
  const int count = wait_for_events(deadline);
  begin_turn();
  collect(count);
}

void EpollBackend::collect_events() noexcept {
  collect(::epoll_wait(epoll_.get(), kernel_events_.data(), static_cast<int>(kernel_events_.size()),
                       0));
}

void EpollBackend::collect(int count) noexcept {
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = kernel_events_[static_cast<std::size_t>(i)];
    Source* source = named_by(event.data.u64);
    if (source == nullptr) continue;  // the wake-up: edge-triggered, so never read
    source->add_events(event.events);
    make_ready(*source);
  }
}

std::size_t EpollBackend::dispatch() noexcept {
  interrupted_ = false;
  std::size_t delivered = 0;
  while (!ready_.empty() && !interrupted_) {
    Source& source = ready_.pop_front();
    delivering_ = &source;
    delivered += source.deliver();
  }
  delivering_ = nullptr;
  return delivered;
}

void EpollBackend::wake() noexcept {
  const std::uint64_t one = 1;
  // It fails only when the counter is full, and then the loop has been woken already.
  static_cast<void>(::write(wake_up_.get(), &one, sizeof one));
}

std::unique_ptr<Backend> make_epoll_backend() { return std::make_unique<EpollBackend>(); }

}  // namespace weir::inline v0::detail
