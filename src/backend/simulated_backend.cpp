#include <weir/address.h>
#include <weir/simulation.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <queue>
#include <span>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include "backend.h"
#include "intrusive_list.h"
#include "result.h"

// A kernel and its network, in memory and in virtual time.
//
// The first half of this file is the pretended kernel. Everything that travels is a packet: a
// request to connect and its answers, data, the end of data, a reset. Network::transmit() is the
// one place where packets set out, and Socket::arrive() the one where they come in; between the two
// they are in the agenda, ordered by the virtual time of their arrival and then by a sequence
// number. A socket changes its state by itself as packets arrive and its user calls, whether it
// still has a user or not (as a kernel's does), and tells its user no more than "something
// changed".
//
// The second half is the seam. A channel that has something to tell raises a signal; wait() collects
// what was raised, moving time on and letting packets arrive until there is something; dispatch()
// delivers what was collected. So nothing a verb causes is told before another wait() [rule 1], and
// the order of events depends on the options alone: no clock, no address, no hash is looked at.
namespace weir::inline v0::detail {
namespace {

using std::chrono::nanoseconds;

/// Not zero, so that an unset time is noticed.
constexpr TimePoint start_time{std::chrono::hours(24)};

constexpr std::uint16_t first_ephemeral_port = 32768;
constexpr std::uint16_t last_ephemeral_port = 60999;

/// Errors look as if a kernel gave them.
std::error_code kernel_error(std::errc error) noexcept {
  return {static_cast<int>(error), std::system_category()};
}

// --- Addresses -----------------------------------------------------------------------------------

std::span<const std::uint8_t> host_bytes(const Address& address) noexcept {
  return std::span(address.bytes()).first(address.family() == AddressFamily::ipv4 ? 4 : 16);
}

bool is_internet(const Address& address) noexcept {
  return address.family() == AddressFamily::ipv4 || address.family() == AddressFamily::ipv6;
}

bool is_wildcard(const Address& address) noexcept {
  return std::ranges::all_of(host_bytes(address), [](std::uint8_t byte) { return byte == 0; });
}

Address loopback(AddressFamily family, std::uint16_t port) noexcept {
  if (family == AddressFamily::ipv4) return Address::ipv4({127, 0, 0, 1}, port);
  return Address::ipv6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, port);
}

bool same_host(const Address& left, const Address& right) noexcept {
  return std::ranges::equal(host_bytes(left), host_bytes(right));
}

/// True if this machine, the only one there is, has `address`: 127.0.0.0/8, ::1 and the wildcards.
bool is_local(const Address& address) noexcept {
  if (is_wildcard(address)) return true;
  if (address.family() == AddressFamily::ipv4) return address.bytes()[0] == 127;
  return same_host(address, loopback(AddressFamily::ipv6, 0));
}

/// What a wildcard means to one connection: the loopback address.
Address specific(const Address& address) {
  return is_wildcard(address) ? loopback(address.family(), address.port()) : address;
}

// --- Values --------------------------------------------------------------------------------------

/// SplitMix64: the same numbers on every machine, which the standard's distributions do not
/// promise.
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_(seed) {}

  /// A number from `low` to `high`, both included.
  std::uint64_t between(std::uint64_t low, std::uint64_t high) noexcept {
    const std::uint64_t count = high - low + 1;
    return count == 0 ? next() : low + next() % count;
  }

 private:
  std::uint64_t next() noexcept {
    std::uint64_t mixed = state_ += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mixed ^ (mixed >> 31);
  }

  std::uint64_t state_;
};

/// Bytes, first in, first out, in one block that grows.
class ByteRing {
 public:
  std::size_t size() const noexcept { return size_; }

  void push(ConstBytes bytes) {
    reserve(size_ + bytes.size());
    const std::size_t end = wrapped(head_ + size_);
    const std::size_t straight = std::min(bytes.size(), block_.size() - end);
    std::copy_n(bytes.data(), straight, block_.data() + end);
    std::copy_n(bytes.data() + straight, bytes.size() - straight, block_.data());
    size_ += bytes.size();
  }

  /// Moves the first `into.size()` bytes, which there must be.
  void pop(std::span<std::byte> into) noexcept {
    const std::size_t straight = std::min(into.size(), block_.size() - head_);
    std::copy_n(block_.data() + head_, straight, into.data());
    std::copy_n(block_.data(), into.size() - straight, into.data() + straight);
    discard(into.size());
  }

  void discard(std::size_t count) noexcept {
    assert(count <= size_);
    head_ = wrapped(head_ + count);
    size_ -= count;
  }

 private:
  /// The block's size is a power of two, or none.
  std::size_t wrapped(std::size_t position) const noexcept {
    return block_.empty() ? 0 : position & (block_.size() - 1);
  }

  void reserve(std::size_t wanted) {
    if (wanted <= block_.size()) return;
    std::vector<std::byte> larger(std::bit_ceil(std::max(wanted, std::size_t{1024})));
    const std::size_t kept = size_;
    pop(std::span(larger).first(kept));
    block_ = std::move(larger);
    head_ = 0;
    size_ = kept;
  }

  std::vector<std::byte> block_;
  std::size_t head_ = 0;
  std::size_t size_ = 0;
};

// --- The pretended kernel ------------------------------------------------------------------------

class AcceptQueue;
class Network;
class Socket;
struct Connection;

enum class PacketKind : std::uint8_t {
  request,  ///< to connect
  answer,   ///< yes, come
  confirm,  ///< so we are connected
  data,
  end,   ///< of data
  reset  ///< also the answer no
};

struct Packet {
  PacketKind kind;
  std::size_t size = 0;  ///< of data; its bytes are already in the ring of the socket it travels to
};

/// The user of a socket: a channel. Told while packets arrive and from inside verbs, so it must
/// only take notice.
class SocketUser {
 public:
  virtual void socket_changed() noexcept = 0;

 protected:
  ~SocketUser() = default;
};

/// Holds an address for as long as it lives.
class Binding {
 public:
  Binding(Network& network, Address address, bool reuse_port);
  Binding(const Binding&) = delete;
  Binding& operator=(const Binding&) = delete;
  ~Binding();

  const Address& address() const noexcept { return address_; }
  bool reuse_port() const noexcept { return reuse_port_; }
  /// Null while it does not listen.
  AcceptQueue* listening() const noexcept { return listening_; }
  void listen(AcceptQueue& queue) noexcept { listening_ = &queue; }

 private:
  Network& network_;
  Address address_;
  bool reuse_port_;
  AcceptQueue* listening_ = nullptr;
};

/// What lies between the sockets: time, chance, packets on their way, and who has which address.
class Network {
 public:
  explicit Network(const SimulationOptions& options) noexcept
      : random_(options.seed),
        min_delay_(std::max(options.min_delay, nanoseconds(0))),
        max_delay_(std::max(options.max_delay, min_delay_)),
        max_segment_(std::max(options.max_segment, std::size_t{1})),
        buffer_size_(std::max(options.buffer_size, std::size_t{1})) {}

  TimePoint now() const noexcept { return now_; }
  std::size_t buffer_size() const noexcept { return buffer_size_; }

  /// When the next packet arrives, if one is on its way.
  std::optional<TimePoint> next_arrival() const noexcept {
    if (agenda_.empty()) return std::nullopt;
    return agenda_.top().time;
  }

  /// Moves time on to `time`, if that is later, and lets arrive what is due by then.
  void advance_to(TimePoint time) noexcept;

  void transmit(Socket& to, Packet packet) noexcept;
  std::size_t draw_segment() noexcept { return random_.between(1, max_segment_); }

  /// Holds `address`, or a free port of its host if it has none.
  Result<std::unique_ptr<Binding>> bind(const Address& address, bool reuse_port);

  /// The queue that takes connections to `address`; null if nobody listens.
  AcceptQueue* listener_at(const Address& address) noexcept;

 private:
  friend class Binding;

  struct Arrival {
    TimePoint time;
    std::uint64_t sequence;
    std::shared_ptr<Socket> to;

    /// The agenda has the greatest on top.
    friend bool operator<(const Arrival& left, const Arrival& right) noexcept {
      return std::tie(left.time, left.sequence) > std::tie(right.time, right.sequence);
    }
  };

  using Port = std::pair<AddressFamily, std::uint16_t>;

  static Port port_of(const Address& address) { return {address.family(), address.port()}; }
  TimePoint draw_arrival() noexcept;
  bool taken(const Address& address, bool reuse_port) const;
  std::optional<Address> with_free_port(const Address& address);

  TimePoint now_ = start_time;
  Random random_;
  const nanoseconds min_delay_;
  const nanoseconds max_delay_;
  const std::size_t max_segment_;
  const std::size_t buffer_size_;
  std::uint64_t sequence_ = 0;
  std::priority_queue<Arrival> agenda_;
  std::multimap<Port, Binding*> bindings_;  ///< those of one port in the order they were made
  std::map<AddressFamily, std::uint16_t> last_free_port_;
};

/// One end of a connection, as the kernel sees it.
///
/// Its ring holds what the peer sent and its user has not read: first the bytes that arrived, then
/// those on their way. Together they are what flow control limits.
class Socket {
 public:
  enum class Phase : std::uint8_t {
    connecting,   ///< the client waits for the answer, the server for the confirmation
    established,  ///< each direction ends by itself
    broken,       ///< the peer's reset arrived
    closed,       ///< by its user; data that still arrives is answered with a reset
    silent        ///< closed, and the peer was told by a reset if it had to know
  };

  Socket(Network& network, Connection& connection, Address local)
      : network_(network), connection_(connection), local_(std::move(local)) {}

  Phase phase() const noexcept { return phase_; }
  const Address& local_address() const noexcept { return local_; }
  Socket& peer() const noexcept;
  std::shared_ptr<Socket> shared() noexcept;
  void set_user(SocketUser& user) noexcept { user_ = &user; }

  /// How many bytes can be read.
  std::size_t unread() const noexcept { return unread_; }
  /// True if the peer's end of data is next, once all is read.
  bool end_arrived() const noexcept { return end_arrived_; }
  /// Why the connection is broken, if it is.
  std::error_code error() const noexcept { return error_; }
  /// Why nothing can be sent, ever; no room is no reason.
  std::error_code send_error() const noexcept;
  std::size_t room() const noexcept { return network_.buffer_size() - peer().ring_.size(); }

  /// Asks for the connection.
  void connect() noexcept { network_.transmit(peer(), {PacketKind::request}); }
  /// Grants what the peer asked for; `queue` is told how that goes on.
  void answer() noexcept { network_.transmit(peer(), {PacketKind::answer}); }
  void wait_in(AcceptQueue* queue) noexcept { queue_ = queue; }

  /// Takes as much as there is room for.
  std::size_t send(std::span<const ConstBytes> pieces) noexcept;
  std::size_t read(std::span<std::byte> into) noexcept;
  void end_sending() noexcept;
  /// Its user is gone. As a kernel, tells the peer by a reset if data is lost by that.
  void close() noexcept;
  /// Its user is gone, or never was; tells the peer by a reset.
  void abort() noexcept;

  /// The first packet on its way is here.
  void arrive() noexcept;

 private:
  friend class Network;

  void arrive_at_closed(const Packet& packet) noexcept;
  void establish_client() noexcept;
  void request_arrived() noexcept;
  void reset_arrived() noexcept;
  void changed() noexcept {
    if (user_ != nullptr) user_->socket_changed();
  }

  Network& network_;
  Connection& connection_;
  Address local_;
  SocketUser* user_ = nullptr;
  AcceptQueue* queue_ = nullptr;  ///< where it waits to be accepted
  Phase phase_ = Phase::connecting;
  bool end_sent_ = false;
  bool end_arrived_ = false;
  std::error_code error_;
  std::deque<Packet> arriving_;
  TimePoint last_arrival_{};  ///< of what is on its way; the next comes no earlier
  ByteRing ring_;
  std::size_t unread_ = 0;
};

/// Both ends. Lives while a channel, a queue or a packet needs one of them.
struct Connection : std::enable_shared_from_this<Connection> {
  Connection(Network& network, const Address& from, const Address& to)
      : client(network, *this, from), server(network, *this, to) {}

  Socket client;
  Socket server;
};

/// The connections to one listening address that were not accepted yet.
class AcceptQueue {
 public:
  explicit AcceptQueue(SocketUser& user) noexcept : user_(user) {}
  AcceptQueue(const AcceptQueue&) = delete;
  AcceptQueue& operator=(const AcceptQueue&) = delete;
  ~AcceptQueue();

  /// As in Linux, a backlog of n lets n + 1 wait.
  void set_backlog(int backlog) noexcept;
  std::size_t capacity() const noexcept { return capacity_; }

  /// True if there is none to take().
  bool empty() const noexcept { return complete_.empty(); }
  std::shared_ptr<Socket> take() noexcept;

  void requested(Socket& server) noexcept;
  void confirmed(Socket& server) noexcept;
  void gone(Socket& server) noexcept;

 private:
  void answer_waiting() noexcept;
  std::shared_ptr<Socket> take_answered(Socket& server) noexcept;

  SocketUser& user_;
  std::size_t capacity_ = 0;
  std::deque<std::shared_ptr<Socket>> waiting_;    ///< for room: not answered
  std::vector<std::shared_ptr<Socket>> answered_;  ///< not confirmed
  std::deque<std::shared_ptr<Socket>> complete_;
};

Binding::Binding(Network& network, Address address, bool reuse_port)
    : network_(network), address_(std::move(address)), reuse_port_(reuse_port) {
  network_.bindings_.emplace(Network::port_of(address_), this);
}

Binding::~Binding() {
  auto [first, last] = network_.bindings_.equal_range(Network::port_of(address_));
  network_.bindings_.erase(
      std::find_if(first, last, [this](const auto& entry) { return entry.second == this; }));
}

void Network::advance_to(TimePoint time) noexcept {
  now_ = std::max(now_, time);
  while (!agenda_.empty() && agenda_.top().time <= now_) {
    const std::shared_ptr<Socket> to = agenda_.top().to;
    agenda_.pop();
    to->arrive();
  }
}

TimePoint Network::draw_arrival() noexcept {
  const auto delay = nanoseconds(static_cast<nanoseconds::rep>(
      random_.between(static_cast<std::uint64_t>(min_delay_.count()),
                      static_cast<std::uint64_t>(max_delay_.count()))));
  return delay > TimePoint::max() - now_ ? TimePoint::max() : now_ + delay;
}

void Network::transmit(Socket& to, Packet packet) noexcept {
  to.last_arrival_ = std::max(to.last_arrival_, draw_arrival());
  to.arriving_.push_back(packet);
  agenda_.push({to.last_arrival_, sequence_++, to.shared()});
}

bool Network::taken(const Address& address, bool reuse_port) const {
  auto [first, last] = bindings_.equal_range(port_of(address));
  return std::any_of(first, last, [&](const auto& entry) {
    const Binding& other = *entry.second;
    const bool overlap =
        is_wildcard(address) || is_wildcard(other.address()) || same_host(address, other.address());
    return overlap && !(reuse_port && other.reuse_port());
  });
}

std::optional<Address> Network::with_free_port(const Address& address) {
  std::uint16_t& last =
      last_free_port_.try_emplace(address.family(), last_ephemeral_port).first->second;
  for (int tries = 0; tries <= last_ephemeral_port - first_ephemeral_port; ++tries) {
    last =
        last == last_ephemeral_port ? first_ephemeral_port : static_cast<std::uint16_t>(last + 1);
    Address candidate = address.with_port(last);
    if (!taken(candidate, false)) return candidate;
  }
  return std::nullopt;
}

Result<std::unique_ptr<Binding>> Network::bind(const Address& address, bool reuse_port) {
  if (!is_internet(address)) return kernel_error(std::errc::address_family_not_supported);
  if (!is_local(address)) return kernel_error(std::errc::address_not_available);
  const bool any_port = address.port() == 0;
  const std::optional<Address> wanted = any_port ? with_free_port(address) : address;
  if (!wanted || (!any_port && taken(*wanted, reuse_port))) {
    return kernel_error(std::errc::address_in_use);
  }
  return std::make_unique<Binding>(*this, *wanted, reuse_port);
}

AcceptQueue* Network::listener_at(const Address& address) noexcept {
  AcceptQueue* found = nullptr;
  bool found_exact = false;
  std::uint64_t rivals = 0;  // as good as `found`, which is drawn from them: they share the port
  auto [first, last] = bindings_.equal_range(port_of(address));
  for (auto entry = first; entry != last; ++entry) {
    const Binding& binding = *entry->second;
    const bool exact = same_host(binding.address(), address);
    if (binding.listening() == nullptr || !(exact || is_wildcard(binding.address()))) continue;
    if (found_exact && !exact) continue;
    if (exact && !found_exact) rivals = 0;
    found_exact = exact;
    if (++rivals == 1 || random_.between(1, rivals) == 1) found = binding.listening();
  }
  return found;
}

Socket& Socket::peer() const noexcept {
  return this == &connection_.client ? connection_.server : connection_.client;
}

std::shared_ptr<Socket> Socket::shared() noexcept { return {connection_.shared_from_this(), this}; }

std::error_code Socket::send_error() const noexcept {
  if (phase_ == Phase::broken) return error_;
  return end_sent_ ? kernel_error(std::errc::broken_pipe) : std::error_code();
}

std::size_t Socket::send(std::span<const ConstBytes> pieces) noexcept {
  std::size_t left = room();
  std::size_t sent = 0;
  for (const ConstBytes piece : pieces) {
    const ConstBytes taken = piece.first(std::min(piece.size(), left));
    if (!taken.empty()) peer().ring_.push(taken);
    sent += taken.size();
    left -= taken.size();
  }
  for (std::size_t uncut = sent; uncut > 0;) {
    const std::size_t size = std::min(uncut, network_.draw_segment());
    network_.transmit(peer(), {PacketKind::data, size});
    uncut -= size;
  }
  return sent;
}

std::size_t Socket::read(std::span<std::byte> into) noexcept {
  const std::size_t count = std::min(into.size(), unread_);
  ring_.pop(into.first(count));
  unread_ -= count;
  peer().changed();  // there is room
  return count;
}

void Socket::end_sending() noexcept {
  if (phase_ != Phase::established || end_sent_) return;
  end_sent_ = true;
  network_.transmit(peer(), {PacketKind::end});
}

void Socket::close() noexcept {
  user_ = nullptr;
  if (phase_ == Phase::established && ring_.size() > 0) {
    abort();
  } else if (phase_ == Phase::broken) {
    phase_ = Phase::silent;
  } else {
    end_sending();
    phase_ = Phase::closed;
  }
}

void Socket::abort() noexcept {
  user_ = nullptr;
  queue_ = nullptr;
  phase_ = Phase::silent;
  ring_.discard(std::exchange(unread_, 0));
  network_.transmit(peer(), {PacketKind::reset});
}

void Socket::arrive() noexcept {
  const Packet packet = arriving_.front();
  arriving_.pop_front();
  if (phase_ == Phase::closed || phase_ == Phase::silent) return arrive_at_closed(packet);
  switch (packet.kind) {
    case PacketKind::request: return request_arrived();
    case PacketKind::answer: return establish_client();
    case PacketKind::confirm: phase_ = Phase::established; return queue_->confirmed(*this);
    case PacketKind::data: unread_ += packet.size; return changed();
    case PacketKind::end: end_arrived_ = true; return changed();
    case PacketKind::reset: return reset_arrived();
  }
}

void Socket::arrive_at_closed(const Packet& packet) noexcept {
  ring_.discard(packet.size);
  const bool wants_reply = packet.kind == PacketKind::data || packet.kind == PacketKind::answer;
  if (packet.kind == PacketKind::reset) phase_ = Phase::silent;
  if (phase_ == Phase::closed && wants_reply) abort();
}

void Socket::request_arrived() noexcept {
  AcceptQueue* queue = network_.listener_at(local_);
  if (queue == nullptr) return abort();
  queue->requested(*this);
}

void Socket::establish_client() noexcept {
  phase_ = Phase::established;
  network_.transmit(peer(), {PacketKind::confirm});
  changed();
}

void Socket::reset_arrived() noexcept {
  if (phase_ == Phase::connecting && queue_ != nullptr) {
    phase_ = Phase::silent;
    return queue_->gone(*this);
  }
  // As Linux has it: a connection whose other end is known to be over breaks as a pipe does.
  error_ = kernel_error(phase_ == Phase::connecting ? std::errc::connection_refused
                        : end_arrived_              ? std::errc::broken_pipe
                                                    : std::errc::connection_reset);
  phase_ = Phase::broken;
  changed();
}

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

// --- The seam ------------------------------------------------------------------------------------

struct SignalTag;

/// One kind of event of one channel. It is idle, or raised, or collected by wait(): a node of the
/// list that says so. To unlink it is to take the event back; destroying it does that too.
class Signal : public ListNode<SignalTag> {
 public:
  /// Calls the channel's user; true if it did. The channel may be gone when this returns.
  virtual bool deliver() noexcept = 0;

 protected:
  ~Signal() = default;
};

/// A signal that calls a member function of its channel.
template <class Channel>
class SignalOf final : public Signal {
 public:
  using Deliver = bool (Channel::*)() noexcept;

  SignalOf(Channel& channel, Deliver function) noexcept : channel_(channel), deliver_(function) {}

  bool deliver() noexcept override { return (channel_.*deliver_)(); }

 private:
  Channel& channel_;
  Deliver deliver_;
};

/// Owns the network, and the events on their way up.
class SimulatedBackend final : public Backend {
 public:
  explicit SimulatedBackend(const SimulationOptions& options)
      : network_(options),
        scratch_(std::make_unique_for_overwrite<std::byte[]>(receive_buffer_size)) {}

  TimePoint now() const noexcept override { return network_.now(); }
  void wait(std::optional<TimePoint> deadline) noexcept override;
  std::size_t dispatch() noexcept override;
  void interrupt_dispatch() noexcept override { interrupted_ = true; }
  void wake() noexcept override;
  int poll_descriptor() const noexcept override { return -1; }
  bool has_pending_events() const noexcept override;

  std::unique_ptr<DescriptorWatch> watch(int descriptor, WatchEvents& events) override;
  bool owns(int) const noexcept override { return false; }
  Result<std::unique_ptr<ListenChannel>> bind(const Address& address,
                                              const ListenOptions& options) override;
  Result<std::unique_ptr<ListenChannel>> adopt_listener(int) override {
    return kernel_error(std::errc::operation_not_supported);
  }
  Result<std::unique_ptr<StreamChannel>> adopt_stream(int) override {
    return kernel_error(std::errc::operation_not_supported);
  }
  Result<std::unique_ptr<StreamChannel>> adopt_pipe(int, PipeEnd) override {
    return std::make_error_code(std::errc::operation_not_supported);
  }
  DatagramOpened open_datagram(const DatagramPlan&) override {
    return {nullptr, ConnectStep::socket, std::make_error_code(std::errc::operation_not_supported)};
  }
  Result<std::unique_ptr<DatagramChannel>> adopt_datagram(int) override {
    return std::make_error_code(std::errc::operation_not_supported);
  }
  Address peer_address(int) const override { return {}; }
  ConnectStart connect(const Address& remote, const Address& local, ConnectEvents& events) override;
  std::optional<std::vector<Address>> known_addresses(std::string_view host) const override;

  /// `signal` is delivered after the next wait().
  void raise(Signal& signal) noexcept {
    if (!signal.linked()) raised_.push_back(signal);
  }
  /// `signal`, which is being delivered, is delivered once more before the next wait().
  void repeat(Signal& signal) noexcept { collected_.push_back(signal); }

  /// Where bytes are received whose user brings no buffer.
  std::span<std::byte> scratch() noexcept { return {scratch_.get(), receive_buffer_size}; }

 private:
  bool idle() const noexcept { return raised_.empty() && collected_.empty(); }
  void advance(std::optional<TimePoint> deadline) noexcept;
  bool take_wake() noexcept;
  void sleep_until_woken() noexcept;

  Network network_;
  IntrusiveList<Signal, SignalTag> raised_;
  IntrusiveList<Signal, SignalTag> collected_;
  bool interrupted_ = false;
  std::unique_ptr<std::byte[]> scratch_;

  mutable std::mutex mutex_;  ///< guards what follows
  std::condition_variable woken_changed_;
  bool woken_ = false;
};

/// A connected stream: a socket, and what its user wants to hear of it.
class Stream final : public StreamChannel, private SocketUser {
 public:
  /// `binding` holds the local port, unless that is a listener's.
  Stream(SimulatedBackend& backend, std::shared_ptr<Socket> socket,
         std::unique_ptr<Binding> binding = nullptr)
      : backend_(backend), socket_(std::move(socket)), binding_(std::move(binding)) {
    socket_->set_user(*this);
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() override {
    if (life_ != Life::closed) socket_->close();
  }

  void attach(StreamEvents& events) noexcept override { events_ = &events; }
  void start_receiving() noexcept override;
  void stop_receiving() noexcept override;
  SendResult try_send(std::span<const ConstBytes> pieces) noexcept override;
  void start_sending() noexcept override;
  void shutdown_send() noexcept override;
  void close() noexcept override;
  Address local_address() const override { return socket_->local_address(); }
  int descriptor() const noexcept override { return -1; }

 private:
  enum class Life : std::uint8_t { open, failed, closed };

  void socket_changed() noexcept override;
  void enter(Life life) noexcept;
  bool deliver_receive() noexcept;
  bool deliver_send() noexcept;
  bool deliver_closed() noexcept;
  bool receive() noexcept;
  bool broken() const noexcept { return socket_->phase() == Socket::Phase::broken; }
  bool fail() noexcept;

  SimulatedBackend& backend_;
  std::shared_ptr<Socket> socket_;
  std::unique_ptr<Binding> binding_;
  StreamEvents* events_ = nullptr;
  Life life_ = Life::open;
  bool receiving_ = false;
  bool eof_told_ = false;
  bool sending_ = false;
  SignalOf<Stream> receive_signal_{*this, &Stream::deliver_receive};
  SignalOf<Stream> send_signal_{*this, &Stream::deliver_send};
  SignalOf<Stream> closed_signal_{*this, &Stream::deliver_closed};
};

/// A held address, and the queue of those who come to it.
class Listener final : public ListenChannel, private SocketUser {
 public:
  Listener(SimulatedBackend& backend, std::unique_ptr<Binding> binding) noexcept
      : backend_(backend), binding_(std::move(binding)) {}

  std::error_code start_accepting(ListenEvents& events, int backlog) noexcept override;
  void stop_accepting() noexcept override;
  Address local_address() const override { return binding_->address(); }
  int descriptor() const noexcept override { return -1; }

 private:
  void socket_changed() noexcept override;
  bool deliver() noexcept;

  SimulatedBackend& backend_;
  AcceptQueue queue_{*this};
  std::unique_ptr<Binding> binding_;
  ListenEvents* events_ = nullptr;
  bool accepting_ = false;
  std::size_t batch_left_ = 0;  ///< how many more may be accepted in this dispatch()
  SignalOf<Listener> signal_{*this, &Listener::deliver};
};

/// A socket that is connecting, until a channel takes it over.
class Attempt final : public ConnectAttempt, private SocketUser {
 public:
  Attempt(SimulatedBackend& backend, std::shared_ptr<Socket> socket,
          std::unique_ptr<Binding> binding, ConnectEvents& events) noexcept
      : backend_(backend),
        socket_(std::move(socket)),
        binding_(std::move(binding)),
        events_(events) {
    socket_->set_user(*this);
    socket_->connect();
  }
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;
  ~Attempt() override {
    if (socket_ != nullptr) socket_->close();
  }

 private:
  void socket_changed() noexcept override { backend_.raise(signal_); }
  bool deliver() noexcept;

  SimulatedBackend& backend_;
  std::shared_ptr<Socket> socket_;  ///< null once it is a channel's
  std::unique_ptr<Binding> binding_;
  ConnectEvents& events_;
  SignalOf<Attempt> signal_{*this, &Attempt::deliver};
};

/// There are no descriptors here to watch.
class Watch final : public DescriptorWatch {
 public:
  std::error_code want(bool, bool) noexcept override {
    return kernel_error(std::errc::operation_not_supported);
  }
};

void Stream::start_receiving() noexcept {
  receiving_ = true;
  socket_changed();
}

void Stream::stop_receiving() noexcept {
  receiving_ = false;
  receive_signal_.unlink();
}

SendResult Stream::try_send(std::span<const ConstBytes> pieces) noexcept {
  if (life_ != Life::open) return {0, kernel_error(std::errc::broken_pipe)};
  if (const std::error_code error = socket_->send_error()) {
    enter(Life::failed);
    return {0, error};
  }
  return {socket_->send(pieces), {}};
}

void Stream::start_sending() noexcept {
  sending_ = true;
  socket_changed();
}

void Stream::shutdown_send() noexcept {
  if (life_ != Life::open) return;
  sending_ = false;
  send_signal_.unlink();
  socket_->end_sending();
}

void Stream::close() noexcept {
  if (life_ == Life::closed) return;
  enter(Life::closed);
  socket_->close();
  binding_.reset();
  backend_.raise(closed_signal_);
}

/// Ends the events of the life before.
void Stream::enter(Life life) noexcept {
  life_ = life;
  receive_signal_.unlink();
  send_signal_.unlink();
}

/// A break is told by receiving and by sending, whichever goes on; to neither, by the next
/// try_send(). [S13]
void Stream::socket_changed() noexcept {
  if (life_ != Life::open) return;
  const bool readable = socket_->unread() > 0 || socket_->end_arrived() || broken();
  if (receiving_ && !eof_told_ && readable) backend_.raise(receive_signal_);
  if (sending_ && (socket_->room() > 0 || broken())) backend_.raise(send_signal_);
}

bool Stream::deliver_receive() noexcept {
  if (socket_->unread() > 0) return receive();
  if (socket_->end_arrived()) {
    eof_told_ = true;
    events_->on_eof();
    return true;
  }
  // Or nothing: a user who starts receiving when asked for a buffer raises the signal once too often.
  return broken() && fail();
}

bool Stream::receive() noexcept {
  const std::optional<std::span<std::byte>> offered = events_->receive_buffer();
  if (!offered || !receiving_ || life_ != Life::open) {
    if (receiving_) socket_changed();
    return false;
  }
  const bool shared = offered->empty();
  std::span<std::byte> buffer = shared ? backend_.scratch() : *offered;
  buffer = buffer.first(std::min(buffer.size(), receive_buffer_size));
  buffer = buffer.first(socket_->read(buffer));
  events_->on_received(buffer);
#ifndef NDEBUG
  // A span that was kept shows in a test. What is the user's stays as it is.
  if (shared) std::ranges::fill(buffer, std::byte{0xdd});
#endif
  socket_changed();  // there may be more
  return true;
}

bool Stream::deliver_send() noexcept {
  if (broken()) return fail();
  std::array<ConstBytes, max_send_pieces> pieces;
  const std::size_t count = events_->unsent(pieces);
  if (count == 0) sending_ = false;
  const std::size_t sent = socket_->send(std::span(pieces).first(count));
  if (sent == 0) return false;
  events_->on_sent(sent);
  if (life_ != Life::open || !sending_) return true;
  sending_ = events_->unsent(std::span(pieces).first(1)) > 0;
  socket_changed();
  return true;
}

bool Stream::fail() noexcept {
  enter(Life::failed);
  events_->on_failed(socket_->error());
  return true;
}

bool Stream::deliver_closed() noexcept {
  events_->on_closed();
  return true;
}

std::error_code Listener::start_accepting(ListenEvents& events, int backlog) noexcept {
  events_ = &events;
  accepting_ = true;
  queue_.set_backlog(backlog);
  binding_->listen(queue_);
  socket_changed();
  return {};
}

void Listener::stop_accepting() noexcept {
  accepting_ = false;
  signal_.unlink();
}

void Listener::socket_changed() noexcept {
  if (!accepting_ || queue_.empty() || signal_.linked()) return;
  batch_left_ = queue_.capacity();
  backend_.raise(signal_);
}

bool Listener::deliver() noexcept {
  std::shared_ptr<Socket> socket = queue_.take();
  const Address peer = socket->peer().local_address();
  if (--batch_left_ > 0 && !queue_.empty()) backend_.repeat(signal_);
  socket_changed();
  events_->on_accepted(std::make_unique<Stream>(backend_, std::move(socket)), peer);
  return true;
}

bool Attempt::deliver() noexcept {
  if (const std::error_code error = socket_->error()) {
    events_.on_connect_failed(error);
    return true;
  }
  auto stream = std::make_unique<Stream>(backend_, std::move(socket_), std::move(binding_));
  events_.on_connected(std::move(stream));
  return true;
}

void SimulatedBackend::wait(std::optional<TimePoint> deadline) noexcept {
  const bool woken = take_wake();
  network_.advance_to(now());  // what is due arrives without time moving on
  if (!woken) advance(deadline);
  collected_.splice_back(raised_);
}

/// Moves time on until there is something to tell, but not past `deadline`. Packets whose arrival
/// nobody hears of, since a user reads nothing now, do not end the wait.
void SimulatedBackend::advance(std::optional<TimePoint> deadline) noexcept {
  while (idle()) {
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

std::size_t SimulatedBackend::dispatch() noexcept {
  std::size_t count = 0;
  interrupted_ = false;
  while (!interrupted_ && !collected_.empty()) {
    if (collected_.pop_front().deliver()) ++count;
  }
  return count;
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
  if (!idle()) return true;
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
  Result<std::unique_ptr<Binding>> binding = network_.bind(address, options.reuse_port);
  if (!binding) return binding.error();
  return std::unique_ptr<ListenChannel>(
      std::make_unique<Listener>(*this, std::move(binding.value())));
}

ConnectStart SimulatedBackend::connect(const Address& remote, const Address& local,
                                       ConnectEvents& events) {
  const auto failed = [](ConnectStep step, std::error_code error) {
    return ConnectStart{.attempt = nullptr, .step = step, .error = error};
  };
  if (!is_internet(remote)) {
    return failed(ConnectStep::socket, kernel_error(std::errc::address_family_not_supported));
  }
  if (!local.empty() && local.family() != remote.family()) {
    return failed(ConnectStep::bind, kernel_error(std::errc::address_family_not_supported));
  }
  Result<std::unique_ptr<Binding>> binding =
      network_.bind(local.empty() ? loopback(remote.family(), 0) : local, false);
  if (!binding && local.empty()) {
    return failed(ConnectStep::connect, kernel_error(std::errc::address_not_available));
  }
  if (!binding) return failed(ConnectStep::bind, binding.error());
  if (!is_local(remote)) {
    return failed(ConnectStep::connect, kernel_error(std::errc::network_unreachable));
  }
  const auto connection = std::make_shared<Connection>(
      network_, specific(binding.value()->address()), specific(remote));
  ConnectStart start;
  start.attempt = std::make_unique<Attempt>(*this, connection->client.shared(),
                                            std::move(binding.value()), events);
  return start;
}

std::optional<std::vector<Address>> SimulatedBackend::known_addresses(std::string_view host) const {
  if (host != "localhost") return std::vector<Address>();
  return std::vector{loopback(AddressFamily::ipv6, 0), loopback(AddressFamily::ipv4, 0)};
}

}  // namespace

std::unique_ptr<Backend> make_simulated_backend(const SimulationOptions& options) {
  return std::make_unique<SimulatedBackend>(options);
}

}  // namespace weir::inline v0::detail
