#include <weir/address.h>
#include <weir/error.h>
#include <weir/simulation.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "backend.h"
#include "result.h"
#include "simulated_addresses.h"
#include "simulated_datagrams.h"
#include "simulated_local.h"
#include "simulated_pipes.h"
#include "simulated_signals.h"
#include "simulated_streams.h"
#include "simulated_world.h"

// One host's kernel, in memory and in virtual time. The pretended world begins at simulated_network.h; the
// channels, which make it the seam's, at simulated_signals.h; simulated_world.h moves time on and lets
// packets arrive until a channel has something to tell. This is what joins them.
namespace weir::inline v0::detail {
namespace simulated {
namespace {

/// On one host of a world that it keeps alive.
class SimulatedBackend final : public Backend {
 public:
  SimulatedBackend(std::shared_ptr<World> world, Host& host)
      : world_(std::move(world)), host_(host), member_(host) {
    world_->join(member_);
  }
  SimulatedBackend(const SimulatedBackend&) = delete;
  SimulatedBackend& operator=(const SimulatedBackend&) = delete;
  ~SimulatedBackend() override { world_->leave(member_); }

  void attach(LoopTurns& loop) noexcept override { member_.loop = &loop; }
  TimePoint now() const noexcept override { return network().now(); }
  void wait(std::optional<TimePoint> deadline) noexcept override {
    world_->wait(member_, deadline);
  }
  std::size_t dispatch() noexcept override { return member_.signals.deliver(); }
  void interrupt_dispatch() noexcept override { member_.signals.interrupt(); }
  void wake() noexcept override { world_->wake(member_); }
  int poll_descriptor() noexcept override { return -1; }
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
    return simulated::open_datagram(host_, member_.signals, plan);
  }
  Result<std::unique_ptr<DatagramChannel>> adopt_datagram(int) override {
    return kernel_error(std::errc::operation_not_supported);
  }
  Address peer_address(int) const override { return {}; }
  ConnectStart connect(const Address& remote, const Address& local, ConnectEvents& events) override;
  std::optional<KnownName> known_name(std::string_view host) const override;

 private:
  Network& network() const noexcept { return host_.network(); }
  Result<std::shared_ptr<Socket>> client_socket(const Address& remote, const Binding* binding);

  std::shared_ptr<World> world_;
  Host& host_;
  Member member_;
  Pipes pipes_{host_, member_.signals};
};

/// There are no descriptors here to watch.
class Watch final : public DescriptorWatch {
 public:
  std::error_code want(bool, bool) noexcept override {
    return kernel_error(std::errc::operation_not_supported);
  }
};

bool SimulatedBackend::has_pending_events() const noexcept {
  if (!member_.signals.empty() || member_.woken) return true;
  const std::optional<TimePoint> next = network().agenda().next();
  return next && *next <= now();
}

std::unique_ptr<DescriptorWatch> SimulatedBackend::watch(int, WatchEvents&) {
  return std::make_unique<Watch>();
}

Result<std::unique_ptr<ListenChannel>> SimulatedBackend::bind(const Address& address,
                                                              const ListenOptions& options) {
  Result<std::unique_ptr<Binding>> binding = host_.address_book().bind(
      SocketType::stream, address,
      {.reuse_port = options.reuse_port, .reuse_address = options.reuse_address});
  if (!binding) return binding.error();
  return std::unique_ptr<ListenChannel>(
      std::make_unique<Listener>(member_.signals, std::move(binding.value()), options.keep_alive));
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
  std::unique_ptr<Binding> binding;  // a Unix socket needs none
  if (is_internet(remote) || !local.empty()) {
    const std::optional<Address> own =
        local.empty() ? host_.address_towards(remote) : std::optional(local);
    if (!own || !host_.address_towards(remote)) {
      return failed(ConnectStep::connect, kernel_error(std::errc::network_unreachable));
    }
    if (is_loopback(*own) && !host_.has(remote)) {
      return failed(ConnectStep::connect, kernel_error(std::errc::invalid_argument));
    }
    Result<std::unique_ptr<Binding>> bound =
        host_.address_book().bind(SocketType::stream, *own, {});
    if (bound && own->port() == 0 && bound.value()->address() == remote) {  // not with itself
      bound = host_.address_book().bind(SocketType::stream, *own, {});
    }
    if (!bound && local.empty()) {
      return failed(ConnectStep::connect, kernel_error(std::errc::address_not_available));
    }
    if (!bound) return failed(ConnectStep::bind, bound.error());
    binding = std::move(bound.value());
  }
  Result<std::shared_ptr<Socket>> socket = client_socket(remote, binding.get());
  if (!socket) return failed(ConnectStep::connect, socket.error());
  ConnectStart start;
  start.attempt = std::make_unique<Attempt>(member_.signals, std::move(socket.value()),
                                            std::move(binding), events);
  return start;
}

/// That nobody listens is known at once within a machine only.
Result<std::shared_ptr<Socket>> SimulatedBackend::client_socket(const Address& remote,
                                                                const Binding* binding) {
  if (!is_internet(remote)) {
    if (const auto error = listener_at(host_.address_book(), remote).error()) return error;
    return std::make_shared<LocalConnection>(
               host_, ConnectionKind::local,
               binding != nullptr ? binding->address() : Address::unix_socket(""), remote)
        ->client.shared();
  }
  if (network().host_at(remote, host_) == nullptr) {
    return kernel_error(std::errc::network_unreachable);
  }
  const Address to = host_.specific(remote, remote);
  return std::shared_ptr<Socket>(host_.tcp().open(host_.specific(binding->address(), to), to));
}

std::optional<KnownName> SimulatedBackend::known_name(std::string_view host) const {
  if (host == "localhost") {
    return KnownName{{loopback(AddressFamily::ipv6, 0), loopback(AddressFamily::ipv4, 0)}};
  }
  return network().name_answer(host);
}

}  // namespace
}  // namespace simulated

std::unique_ptr<Backend> make_simulated_backend(const SimulationOptions& options,
                                                const SimulatedHost& host) {
  if (const auto& world = SimulatedHostAccess::world(host)) {
    if (!host.is_up()) throw WrongStateError("The simulated host " + host.name() + " is down");
    return std::make_unique<simulated::SimulatedBackend>(world, SimulatedHostAccess::host(host));
  }
  auto alone = std::make_shared<simulated::World>(options);
  simulated::Host& only = alone->network().add_host("localhost", {});
  return std::make_unique<simulated::SimulatedBackend>(std::move(alone), only);
}

}  // namespace weir::inline v0::detail
