#include "simulated_sockets.h"

#include <algorithm>
#include <cassert>

namespace weir::inline v0::detail::simulated {

AcceptQueue::~AcceptQueue() {
  for (const auto& socket : waiting_) socket->abort();
  for (const auto& socket : answered_) socket->abort();
  for (const auto& socket : complete_) socket->abort();
}

void AcceptQueue::set_backlog(int backlog) noexcept {
  capacity_ = static_cast<std::size_t>(std::max(backlog, 0)) + 1;
  answer_waiting();
}

std::shared_ptr<Socket> AcceptQueue::take() noexcept {
  std::shared_ptr<Socket> socket = std::move(complete_.front());
  complete_.pop_front();
  socket->wait_in(nullptr);
  answer_waiting();
  return socket;
}

void AcceptQueue::requested(Socket& server) noexcept {
  server.wait_in(this);
  waiting_.push_back(server.shared());
  answer_waiting();
}

void AcceptQueue::answered(Socket& server) {
  server.wait_in(this);
  answered_.push_back(server.shared());
}

void AcceptQueue::confirmed(Socket& server) noexcept {
  complete_.push_back(take_answered(server));
  user_.socket_changed();
}

void AcceptQueue::gone(Socket& server) noexcept {
  server.wait_in(nullptr);
  take_answered(server);
  answer_waiting();
}

void AcceptQueue::answer_waiting() noexcept {
  while (!waiting_.empty() && answered_.size() + complete_.size() < capacity_) {
    answered_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
    answered_.back()->answer();
  }
}

std::shared_ptr<Socket> AcceptQueue::take_answered(Socket& server) noexcept {
  const auto found = std::ranges::find(answered_, &server, &std::shared_ptr<Socket>::get);
  assert(found != answered_.end());
  std::shared_ptr<Socket> socket = std::move(*found);
  answered_.erase(found);
  return socket;
}

Result<AcceptQueue*> listener_at(const AddressBook& addresses, const Address& address) {
  const auto listening = [](const Binding& binding) { return binding.reached<AcceptQueue>(); };
  const Binding* found = nullptr;
  if (is_internet(address)) {
    found = addresses.find(SocketType::stream, address,
                           [&](const Binding& binding) { return listening(binding) ? 1 : 0; });
  } else {
    Result<const Binding*> named = addresses.find_name(SocketType::stream, address);
    if (!named) return named.error();
    found = named.value();
  }
  if (found == nullptr || listening(*found) == nullptr) {
    return kernel_error(std::errc::connection_refused);
  }
  return listening(*found);
}

}  // namespace weir::inline v0::detail::simulated
