#include <weir/address.h>
#include <weir/simulation.h>

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "backend.h"
#include "result.h"
#include "simulated_addresses.h"
#include "simulated_connections.h"
#include "simulated_datagrams.h"
#include "simulated_network.h"
#include "simulated_pipes.h"
#include "simulated_signals.h"
#include "simulated_streams.h"

// A kernel and its network, in memory and in virtual time. The pretended kernel begins at
// simulated_network.h; the channels, which make it the seam's, at simulated_signals.h. This is what
// joins them: wait() moves time on and lets packets arrive until a channel has something to tell.
namespace weir::inline v0::detail {
namespace simulated {
namespace {

/// Owns the network, and the events on their way up.
class SimulatedBackend final : public Backend {
 public:
  explicit SimulatedBackend(const SimulationOptions& options) : network_(options) {}

  TimePoint now() const noexcept override { return network_.now(); }
  void wait(std::optional<TimePoint> deadline) noexcept override;
  std::size_t dispatch() noexcept override { return signals_.deliver(); }
  void interrupt_dispatch() noexcept override { signals_.interrupt(); }
  void wake() noexcept override;
  int poll_descriptor() const noexcept override { return -1; }
  bool has_pending_events() const noexcept override;

  std::unique_ptr<DescriptorWatch> watch(int descriptor, WatchEvents& events) override;
  bool owns(int descriptor) const noexcept override { return pipes_.owns(descriptor); }
  Result<std::unique_ptr<ListenChannel>> bind(const Address& address,
                                              const ListenOptions& options) override;
  Result<std::unique_ptr<ListenChannel>> adopt_listener(int) override {
    return kernel_error(std::errc::operation_not_supported);
  }
  Result<std::unique_ptr<StreamChannel>> adopt_stream(int) override {
    return kernel_error(std::errc::operation_not_supported);
  }
  Result<std::unique_ptr<StreamChannel>> adopt_pipe(int descriptor, PipeEnd end) override {
    return pipes_.adopt(descriptor, end);
  }
  std::optional<SimulatedPipe> make_simulated_pipe() override { return pipes_.make(); }
  DatagramOpened open_datagram(const DatagramPlan& plan) override {
    return simulated::open_datagram(network_, signals_, plan);
  }
  Result<std::unique_ptr<DatagramChannel>> adopt_datagram(int) override {
    return kernel_error(std::errc::operation_not_supported);
  }
  Address peer_address(int) const override { return {}; }
  ConnectStart connect(const Address& remote, const Address& local, ConnectEvents& events) override;
  std::optional<std::vector<Address>> known_addresses(std::string_view host) const override;

 private:
  void advance(std::optional<TimePoint> deadline) noexcept;
  std::error_code unreachable(const Address& remote);
  bool take_wake() noexcept;
  void sleep_until_woken() noexcept;

  Network network_;
  Signals signals_;
  Pipes pipes_{network_, signals_};

  mutable std::mutex mutex_;  ///< guards what follows
  std::condition_variable woken_changed_;
  bool woken_ = false;
};

/// There are no descriptors here to watch.
class Watch final : public DescriptorWatch {
 public:
  std::error_code want(bool, bool) noexcept override {
    return kernel_error(std::errc::operation_not_supported);
  }
};

void SimulatedBackend::wait(std::optional<TimePoint> deadline) noexcept {
  const bool woken = take_wake();
  network_.advance_to(now());  // what is due arrives without time moving on
  if (!woken) advance(deadline);
  signals_.collect();
}

/// Moves time on until there is something to tell, but not past `deadline`. Packets whose arrival
/// nobody hears of, since a user reads nothing now, do not end the wait.
void SimulatedBackend::advance(std::optional<TimePoint> deadline) noexcept {
  while (signals_.empty()) {
    const std::optional<TimePoint> next = network_.next_arrival();
    if (next && (!deadline || *next <= *deadline)) {
      network_.advance_to(*next);
    } else if (deadline) {
      return network_.advance_to(*deadline);
    } else {
      return sleep_until_woken();
    }
  }
}

void SimulatedBackend::wake() noexcept {
  const std::lock_guard lock(mutex_);
  woken_ = true;
  woken_changed_.notify_one();
}

bool SimulatedBackend::take_wake() noexcept {
  const std::lock_guard lock(mutex_);
  return std::exchange(woken_, false);
}

void SimulatedBackend::sleep_until_woken() noexcept {
  std::unique_lock lock(mutex_);
  woken_changed_.wait(lock, [this] { return woken_; });
  woken_ = false;
}

bool SimulatedBackend::has_pending_events() const noexcept {
  if (!signals_.empty()) return true;
  const std::optional<TimePoint> next = network_.next_arrival();
  if (next && *next <= now()) return true;
  const std::lock_guard lock(mutex_);
  return woken_;
}

std::unique_ptr<DescriptorWatch> SimulatedBackend::watch(int, WatchEvents&) {
  return std::make_unique<Watch>();
}

/// Nothing lingers here after it was closed, so there is no difference that reuse_address could
/// make.
Result<std::unique_ptr<ListenChannel>> SimulatedBackend::bind(const Address& address,
                                                              const ListenOptions& options) {
  Result<std::unique_ptr<Binding>> binding =
      network_.addresses().bind(SocketType::stream, address, options.reuse_port);
  if (!binding) return binding.error();
  return std::unique_ptr<ListenChannel>(
      std::make_unique<Listener>(signals_, std::move(binding.value())));
}

ConnectStart SimulatedBackend::connect(const Address& remote, const Address& local,
                                       ConnectEvents& events) {
  const auto failed = [](ConnectStep step, std::error_code error) {
    return ConnectStart{.attempt = nullptr, .step = step, .error = error};
  };
  if (remote.empty()) {
    return failed(ConnectStep::socket, kernel_error(std::errc::address_family_not_supported));
  }
  if (!local.empty() && local.family() != remote.family()) {
    return failed(ConnectStep::bind, kernel_error(std::errc::address_family_not_supported));
  }
  const bool internet = is_internet(remote);
  std::unique_ptr<Binding> binding;  // a Unix socket needs none
  if (internet || !local.empty()) {
    Result<std::unique_ptr<Binding>> bound = network_.addresses().bind(
        SocketType::stream, local.empty() ? loopback(remote.family(), 0) : local, false);
    if (!bound && local.empty()) {
      return failed(ConnectStep::connect, kernel_error(std::errc::address_not_available));
    }
    if (!bound) return failed(ConnectStep::bind, bound.error());
    binding = std::move(bound.value());
  }
  if (const std::error_code error = unreachable(remote)) return failed(ConnectStep::connect, error);
  const auto connection = std::make_shared<Connection>(
      network_, internet ? ConnectionKind::internet : ConnectionKind::local,
      binding != nullptr ? specific(binding->address()) : Address::unix_socket(""),
      specific(remote));
  ConnectStart start;
  start.attempt =
      std::make_unique<Attempt>(signals_, connection->client.shared(), std::move(binding), events);
  return start;
}

/// Why there is no need to ask anybody. That nobody listens is known at once within a machine only.
std::error_code SimulatedBackend::unreachable(const Address& remote) {
  if (!is_internet(remote)) return listener_at(network_.addresses(), remote).error();
  return is_local(remote) ? std::error_code() : kernel_error(std::errc::network_unreachable);
}

std::optional<std::vector<Address>> SimulatedBackend::known_addresses(std::string_view host) const {
  if (host != "localhost") return std::vector<Address>();
  return std::vector{loopback(AddressFamily::ipv6, 0), loopback(AddressFamily::ipv4, 0)};
}

}  // namespace
}  // namespace simulated

std::unique_ptr<Backend> make_simulated_backend(const SimulationOptions& options) {
  return std::make_unique<simulated::SimulatedBackend>(options);
}

}  // namespace weir::inline v0::detail
