#pragma once

#include <weir/address.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "backend.h"
#include "byte_ring.h"
#include "simulated_sockets.h"

// TCP: sequence numbers, acknowledgements, windows, retransmission, resets. Left out is what users cannot
// see: congestion control, options, urgent data.
//
// A timer that could only find that nothing was lost is not started: the network tells a connection when it
// loses one of its packets, and then the clock runs by which a real one would have noticed. So in a world
// without faults nothing but packets moves time.
namespace weir::inline v0::detail::simulated {

using Sequence = std::uint64_t;

/// What tells the connections of a host apart.
struct TcpName {
  TcpName(const Address& from, const Address& to);
  friend auto operator<=>(const TcpName&, const TcpName&) = default;

  Address::Bytes local{};
  Address::Bytes remote{};
  std::uint16_t local_port = 0;
  std::uint16_t remote_port = 0;
  AddressFamily family;
};

struct Segment {
  Address from{};
  Address to{};
  Sequence sequence = 0;
  Sequence acknowledged = 0;  ///< what is expected next of the peer
  std::uint64_t window = 0;   ///< how much may follow on that
  bool synchronize = false;
  bool acknowledges = false;
  bool finish = false;
  bool reset = false;
  std::shared_ptr<const std::vector<std::byte>> data{};  ///< null for none

  std::size_t size() const noexcept { return data == nullptr ? 0 : data->size(); }
  /// How many sequence numbers it takes.
  Sequence length() const noexcept { return size() + (synchronize ? 1U : 0U) + (finish ? 1U : 0U); }
};

class TcpSocket;

/// The connections of a host, and what its kernel does with segments that belong to none.
class TcpTable {
 public:
  explicit TcpTable(Host& host) noexcept : host_(host) {}

  /// A socket that is to connect.
  std::shared_ptr<TcpSocket> open(const Address& local, const Address& remote);
  /// True while a connection has the port of `local`, be it that it only lingers.
  bool uses(const Address& local) noexcept;
  void receive(const Segment& segment) noexcept;
  TcpSocket* find(const Address& local, const Address& remote) noexcept;
  /// A link or a host has failed.
  void trouble() noexcept;
  /// The host has crashed: everything ends without a word.
  void vanish() noexcept;

  // --- For sockets
  void remove(const TcpSocket& socket) noexcept;
  /// `socket` is removed once it has lingered for as long as Linux has it.
  void linger(TcpSocket& socket);
  /// `segment`, which is for here, is dropped: as if the network had lost it.
  void drop(const Segment& segment) noexcept;
  /// Sends `segment`, in order with what shares `last_arrival`.
  void send(Segment segment, TimePoint& last_arrival) noexcept;

 private:
  struct Lingering {
    TimePoint until;
    std::weak_ptr<TcpSocket> socket;
  };

  void forget_lingering() noexcept;
  void add(const std::shared_ptr<TcpSocket>& socket);
  void refuse(const Segment& segment) noexcept;
  void accept(const Segment& request) noexcept;

  Host& host_;
  std::map<TcpName, std::shared_ptr<TcpSocket>> sockets_;
  std::multimap<std::pair<AddressFamily, std::uint16_t>, TcpSocket*> ports_;
  std::deque<Lingering> lingering_;  ///< in the order of time
};

/// One end of a connection over the internet.
class TcpSocket final : public Socket, public std::enable_shared_from_this<TcpSocket> {
 public:
  TcpSocket(Host& host, Address local, Address remote);
  ~TcpSocket() override;

  std::shared_ptr<Socket> shared() noexcept override { return shared_from_this(); }
  Address local_address() const override { return local_; }
  Address peer_address() const override { return remote_; }
  std::size_t unread() const noexcept override { return received_.size(); }
  std::error_code send_error() const noexcept override;
  std::size_t room() const noexcept override;

  void connect() noexcept override;
  std::size_t send(std::span<const ConstBytes> pieces) noexcept override;
  std::size_t read(std::span<std::byte> into) noexcept override;
  void end_sending() noexcept override;
  void close() noexcept override;
  void abort() noexcept override;

  bool is_lingering() const noexcept { return lingering_; }
  /// Answers `request`; `queue` is told how that goes on.
  void answer_request(const Segment& request, AcceptQueue& queue);
  void receive(const Segment& segment) noexcept;
  /// A packet to or from it was lost.
  void packet_lost() noexcept;
  /// A link or a host has failed: the peer may be gone.
  void trouble() noexcept;
  void vanish() noexcept;

 private:
  enum class State : std::uint8_t {
    connecting,  ///< the request was sent
    answered,    ///< the request was received, the answer sent
    open,        ///< each direction ends by itself
    over
  };

  enum class Timer : std::uint8_t { none, loss, keep_alive };

  /// What was sent and not acknowledged.
  struct Sent {
    Segment segment;
    TimePoint time{};
    bool repeated = false;
  };

  void transmit(Segment segment) noexcept;
  void transmit_sequenced(Segment segment) noexcept;
  void acknowledge() noexcept;
  void challenge() noexcept;
  void probe() noexcept;
  void repeat_first() noexcept;

  void receive_while_connecting(const Segment& segment) noexcept;
  void receive_reset(const Segment& segment) noexcept;
  bool take_acknowledgement(const Segment& segment) noexcept;
  void take_data(const Segment& segment) noexcept;
  void take_in_order(const Segment& segment) noexcept;
  void finish_if_done() noexcept;

  bool is_waiting() const noexcept;
  void start_timer(Timer timer, std::chrono::nanoseconds delay) noexcept;
  void stop_timer() noexcept;
  void timer_expired() noexcept;
  int most_tries() const noexcept;
  std::chrono::nanoseconds timeout() const noexcept;
  void fail(std::error_code error) noexcept;
  void end() noexcept;
  std::uint64_t window() const noexcept;

  Host& host_;
  Address local_;
  Address remote_;
  State state_ = State::connecting;
  bool orphan_ = false;     ///< its user is gone
  bool lingering_ = false;  ///< and nothing is left to be done
  bool end_sent_ = false;
  bool ended_first_ = false;  ///< our end was sent before the peer's arrived
  bool keep_alive_ = false;

  // Sending. The peer has acknowledged what is before `first_unacknowledged_`, and lets us send up to
  // `limit_`.
  Sequence first_unacknowledged_;
  Sequence next_;
  Sequence limit_ = 0;
  Sequence recovering_until_ = 0;  ///< what was sent before a loss was noticed
  std::deque<Sent> in_flight_;
  int repeated_acknowledgements_ = 0;
  TimePoint last_arrival_{};
  TimePoint last_challenge_{};

  // Receiving. `promised_` is how far we let the peer send.
  Sequence expected_ = 0;
  Sequence promised_ = 0;
  ByteRing received_;
  std::map<Sequence, Segment> early_;  ///< out of order

  Timer timer_ = Timer::none;
  Agenda::Entry timer_entry_;
  int tries_ = 0;
  std::chrono::nanoseconds round_trip_{0};
};

}  // namespace weir::inline v0::detail::simulated
