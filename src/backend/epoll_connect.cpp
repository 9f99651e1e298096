#include <sys/epoll.h>
#include <sys/socket.h>

#include <memory>
#include <system_error>
#include <utility>

#include "epoll_backend.h"
#include "epoll_stream.h"
#include "socket_calls.h"

namespace weir::inline v0::detail {
namespace {

class EpollConnectAttempt final : public ConnectAttempt, private Source {
 public:
  EpollConnectAttempt(EpollBackend& backend, Fd socket, AddressFamily family, ConnectEvents& events)
      : Source(backend, socket.get(), Owner::backend),
        socket_(std::move(socket)),
        family_(family),
        events_up_(events) {
    backend_.register_source(*this);
    failure_ = control(EPOLL_CTL_ADD, EPOLLOUT);
    if (failure_) deliver_next_turn();
  }
  ~EpollConnectAttempt() override { release(); }

 private:
  std::size_t deliver() noexcept override;
  void descriptor_reused() noexcept override {
    static_cast<void>(socket_.release());
    descriptor_ = -1;
    failure_ = std::make_error_code(std::errc::bad_file_descriptor);
    deliver_next_turn();
  }
  void release() noexcept {
    if (!socket_) return;
    unlink();
    if (!failure_) static_cast<void>(control(EPOLL_CTL_DEL, 0));
    backend_.unregister_source(*this);
  }

  Fd socket_;
  const AddressFamily family_;
  ConnectEvents& events_up_;
  std::error_code failure_;
};

std::size_t EpollConnectAttempt::deliver() noexcept {
  const std::error_code error = failure_ ? failure_ : pending_socket_error(descriptor_);
  release();
  if (error) {
    socket_.reset();
    events_up_.on_connect_failed(error);
    return 1;
  }
  set_no_delay(descriptor_);
  events_up_.on_connected(backend_.make_stream(std::move(socket_), family_));
  return 1;
}

}  // namespace

ConnectStart EpollBackend::connect(const Address& remote, const Address& local,
                                   ConnectEvents& events) {
  Result<Fd> socket = open_socket(remote.family(), SOCK_STREAM);
  if (!socket) return {nullptr, ConnectStep::socket, socket.error()};
  const int number = socket.value().get();
  if (!local.empty()) {
    if (const std::error_code error = bind_socket(number, local)) {
      return {nullptr, ConnectStep::bind, error};
    }
  }
  if (const std::error_code error = connect_socket(number, remote)) {
    return {nullptr, ConnectStep::connect, error};
  }
  return {std::make_unique<EpollConnectAttempt>(*this, std::move(socket.value()), remote.family(),
                                                events)};
}

}  // namespace weir::inline v0::detail
