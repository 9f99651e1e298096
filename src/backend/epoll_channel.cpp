#include "epoll_channel.h"

#include <sys/epoll.h>

#include <utility>

namespace weir::inline v0::detail {
EpollChannel::EpollChannel(EpollBackend& backend, Fd descriptor)
    : Source(backend, descriptor.get(), Owner::backend), owned_(std::move(descriptor)) {
  backend_.register_source(*this);
}

void EpollChannel::begin_receiving() noexcept {
  if (!std::exchange(receiving_, true)) stopped_in_ = backend_.turn();
  watch_input();
  if (readable_ || failure_ != 0) deliver_next_turn();
}

void EpollChannel::begin_sending() noexcept {
  sending_ = true;
  want_output(true);
  if (writable_ || failure_ != 0) deliver_next_turn();
}

void EpollChannel::end() noexcept {
  closed_ = true;
  release();
  deliver_next_turn();
}

void EpollChannel::watch_input() noexcept {
  const std::uint32_t wanted = input_interest();
  if ((interest_ & wanted) != wanted) want(wanted | output_interest());
}

void EpollChannel::ignore_input() noexcept {
  if ((interest_ & input_interest()) != 0) want(output_interest());
}

void EpollChannel::want_output(bool wanted) noexcept {
  if ((output_interest() != 0) == wanted) return;
  want((interest_ & input_interest()) | (wanted ? EPOLLOUT : 0U));
}

void EpollChannel::want(std::uint32_t events) noexcept {
  const int operation = interest_ == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  const std::error_code error = control(operation, events | EPOLLET);
  if (error == std::errc::operation_not_permitted) {
    // A device without poll, such as /dev/null.
    always_ready_ = readable_ = writable_ = true;
  } else if (error) {
    failure_ = error.value();
    return;
  }
  interest_ = events | EPOLLET;  // never 0 any more
}

void EpollChannel::release() noexcept {
  if (!owned_) return;
  stop();
  unlink();
  // Closing alone would leave the registration to whoever holds a duplicate of the descriptor.
  if (interest_ != 0) static_cast<void>(control(EPOLL_CTL_DEL, 0));
  backend_.unregister_source(*this);
  owned_.reset();
  descriptor_ = -1;
}

void EpollChannel::descriptor_reused() noexcept {
  static_cast<void>(owned_.release());
  descriptor_ = -1;
  interest_ = 0;
}

std::size_t EpollChannel::deliver() noexcept {
  if (closed_) {
    tell_closed();
    return 1;
  }
  const std::uint32_t events = take_events();
  if ((events & input_events) != 0) readable_ = true;
  if ((events & output_events) != 0) writable_ = true;
  if ((events & drain_events) != 0) drain_ = true;
  if (failure_ != 0 && (receiving_ || sending_)) {
    stop();
    tell_failure({failure_, std::system_category()});
    return 1;
  }
  std::size_t delivered = 0;
  if (receiving_ && readable_) {
    // What the last wait() collected is not for who began since. [S11]
    if (stopped_in_ == backend_.turn()) {
      deliver_next_turn();
    } else {
      receive();
      ++delivered;
    }
  }
  if (sending_ && writable_) {
    send_queue();
    ++delivered;
  }
  return delivered;
}

}  // namespace weir::inline v0::detail
