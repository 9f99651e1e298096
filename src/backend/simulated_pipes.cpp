#include "simulated_pipes.h"

#include <utility>

#include "simulated_streams.h"

namespace weir::inline v0::detail::simulated {

SimulatedPipe Pipes::make() {
  const auto connection = std::make_shared<LocalConnection>(host_);
  const SimulatedPipe pipe{.read_end = next_number_++, .write_end = next_number_++};
  ends_.emplace(pipe.read_end, End{connection->server.shared(), PipeEnd::read});
  ends_.emplace(pipe.write_end, End{connection->client.shared(), PipeEnd::write});
  return pipe;
}

Result<std::unique_ptr<StreamChannel>> Pipes::adopt(int number, PipeEnd end) {
  const auto found = ends_.find(number);
  if (found == ends_.end()) return kernel_error(std::errc::bad_file_descriptor);
  if (found->second.end != end) return kernel_error(std::errc::operation_not_permitted);
  if (found->second.socket == nullptr) return kernel_error(std::errc::device_or_resource_busy);
  std::shared_ptr<void> held(nullptr, [this, number](void*) { ends_.erase(number); });
  return std::unique_ptr<StreamChannel>(
      std::make_unique<Stream>(signals_, std::move(found->second.socket), std::move(held)));
}

bool Pipes::owns(int number) const noexcept {
  const auto found = ends_.find(number);
  return found != ends_.end() && found->second.socket == nullptr;
}

}  // namespace weir::inline v0::detail::simulated
