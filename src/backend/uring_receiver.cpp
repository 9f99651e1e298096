#include "uring_receiver.h"

#include <cerrno>
#include <cstring>
#include <utility>

namespace weir::inline v0::detail {

void UringReceiver::Request::complete(int result, std::uint32_t flags) noexcept {
  if (result > 0) {
    Arrival arrival;
    arrival.bytes =
        backend_.buffers().take(static_cast<std::size_t>(result), flags, &arrival.buffer);
    if (receiver_ != nullptr) {
      receiver_->arrived(std::move(arrival));
    } else {
      backend_.buffers().release(arrival.buffer);
    }
  }
  if ((flags & IORING_CQE_F_MORE) != 0) return;
  if (receiver_ != nullptr) receiver_->over(result > 0 ? -EAGAIN : result);
  delete this;
}

bool UringReceiver::start(int socket) {
  auto request = std::make_unique<Request>(backend_, *this);
  if (!backend_.receive(socket, *request)) return false;
  request_ = request.release();
  cancelled_ = false;
  return true;
}

void UringReceiver::cancel() noexcept {
  if (request_ != nullptr && !std::exchange(cancelled_, true)) backend_.cancel(*request_);
}

void UringReceiver::abandon() noexcept {
  if (Request* const request = std::exchange(request_, nullptr)) {
    request->forget();
    if (!cancelled_) backend_.cancel(*request);
  }
  for (Arrival& arrival : arrivals_) release(arrival);
  arrivals_.clear();
}

void UringReceiver::keep() {
  for (Arrival& arrival : arrivals_) keep(arrival);
}

void UringReceiver::keep(Arrival& arrival) {
  if (arrival.own != nullptr) return;
  auto own = std::make_unique_for_overwrite<std::byte[]>(arrival.bytes.size());
  std::memcpy(own.get(), arrival.bytes.data(), arrival.bytes.size());
  backend_.buffers().release(arrival.buffer);
  arrival.bytes = {own.get(), arrival.bytes.size()};
  arrival.own = std::move(own);
}

UringReceiver::Arrival UringReceiver::take_first() noexcept {
  Arrival first = std::move(arrivals_.front());
  arrivals_.erase(arrivals_.begin());
  return first;
}

void UringReceiver::release(Arrival& arrival) noexcept {
  if (arrival.own == nullptr) backend_.buffers().release(arrival.buffer);
}

void UringReceiver::arrived(Arrival arrival) {
  arrivals_.reserve(2);  // at once: sooner or later one lies across two buffers
  arrivals_.push_back(std::move(arrival));
  if (!wants_bytes()) keep(arrivals_.back());
  something_came();
}

void UringReceiver::over(int result) noexcept {
  request_ = nullptr;
  over_by_ = result;
  switch (result) {
    case -ECANCELED:
    case -ENOBUFS:
    case -EINVAL:
    case -EOPNOTSUPP:
    case -EINTR:
    case -EAGAIN: break;
    default: ended_ = true;
  }
  something_came();
}

}  // namespace weir::inline v0::detail
