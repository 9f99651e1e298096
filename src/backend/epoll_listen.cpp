#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "epoll_backend.h"
#include "epoll_stream.h"
#include "sockaddr.h"
#include "socket_calls.h"

namespace weir::inline v0::detail {
namespace {

class EpollListenChannel final : public ListenChannel, private Source {
 public:
  EpollListenChannel(EpollBackend& backend, Fd socket)
      : Source(backend, socket.get(), Owner::backend),
        socket_(std::move(socket)),
        family_(family_of(descriptor_)),
        path_(bound_path_of(descriptor_)) {
    // Inherited by the accepted sockets: no call for each of them. [S30]
    set_no_delay(descriptor_);
    backend_.register_source(*this);
  }
  ~EpollListenChannel() override {
    if (registered_) static_cast<void>(control(EPOLL_CTL_DEL, 0));
    backend_.unregister_source(*this);
  }

  std::error_code start_accepting(ListenEvents& events, int backlog) noexcept override {
    if (::listen(descriptor_, backlog) != 0) return last_system_error();
    events_up_ = &events;
    backlog_ = backlog;
    if (const std::error_code error =
            control(registered_ ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, EPOLLIN)) {
      return error;
    }
    registered_ = true;
    return {};
  }

  void stop_accepting() noexcept override {
    events_up_ = nullptr;
    unlink();
    if (std::exchange(registered_, false)) static_cast<void>(control(EPOLL_CTL_DEL, 0));
  }

  std::error_code remove_path() noexcept override { return remove_bound_path(path_); }
  Address local_address() const override { return local_address_of(descriptor_); }
  int descriptor() const noexcept override { return descriptor_; }

 private:
  std::size_t deliver() noexcept override;
  void descriptor_reused() noexcept override {
    static_cast<void>(socket_.release());
    descriptor_ = -1;
    registered_ = false;
    unlink();
  }

  Fd socket_;
  const AddressFamily family_;
  const BoundPath path_;
  ListenEvents* events_up_ = nullptr;
  int backlog_ = 0;
  bool registered_ = false;
};

std::size_t EpollListenChannel::deliver() noexcept {
  static_cast<void>(take_events());
  EpollBackend& backend = backend_;
  std::size_t delivered = 0;
  for (int round = 0; backend.is_delivering(*this) && events_up_ != nullptr && round <= backlog_;
       ++round) {
    sockaddr_storage storage;  // NOLINT(*-member-init): accept4 fills it
    socklen_t length = sizeof storage;
    auto* peer = reinterpret_cast<sockaddr*>(&storage);
    Fd socket(::accept4(descriptor_, peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket) {
      ++delivered;
      events_up_->on_accepted(backend_.make_stream(std::move(socket), family_),
                              address_from(*peer, length));
    } else if (errno == EAGAIN) {
      break;
    } else if (errno != ECONNABORTED && errno != EINTR) {
      ++delivered;
      events_up_->on_accept_failed(last_system_error());
      break;
    }
  }
  return delivered;
}

}  // namespace

Result<std::unique_ptr<ListenChannel>> EpollBackend::bind(const Address& address,
                                                          const ListenOptions& options) {
  Result<Fd> socket = open_bound_socket(address, options);
  if (!socket) return socket.error();
  return std::unique_ptr<ListenChannel>(
      std::make_unique<EpollListenChannel>(*this, std::move(socket.value())));
}

Result<std::unique_ptr<ListenChannel>> EpollBackend::adopt_listener(int descriptor) {
  if (owns(descriptor)) return std::make_error_code(std::errc::device_or_resource_busy);
  if (const std::error_code error = prepare_adopted_socket(descriptor, SOCK_STREAM)) return error;
  return std::unique_ptr<ListenChannel>(
      std::make_unique<EpollListenChannel>(*this, Fd(descriptor)));
}

}  // namespace weir::inline v0::detail
