#include "simulated_tcp.h"

#include <algorithm>
#include <chrono>

#include "simulated_hash.h"
#include "simulated_host.h"

namespace weir::inline v0::detail::simulated {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

// Linux's, as far as users can tell.
constexpr std::size_t tcp_header_size = 40;
constexpr nanoseconds first_timeout = seconds(1);  // before a round trip was measured
constexpr nanoseconds shortest_timeout = milliseconds(200);
constexpr nanoseconds longest_timeout = seconds(120);
constexpr nanoseconds lingering_time = seconds(60);
constexpr nanoseconds challenge_interval = milliseconds(500);
constexpr nanoseconds keep_alive_idle = seconds(7200);
constexpr nanoseconds keep_alive_interval = seconds(75);
constexpr int keep_alive_tries = 9;
constexpr int connecting_tries = 6;
constexpr int answering_tries = 5;
constexpr int sending_tries = 15;
constexpr int orphan_tries = 8;

/// A segment on its way.
class TcpPacket final : public Packet {
 public:
  explicit TcpPacket(Segment segment) : segment_(std::move(segment)) {}

  std::size_t size() const noexcept override { return tcp_header_size + segment_.size(); }
  std::unique_ptr<Packet> duplicate() const override { return std::make_unique<TcpPacket>(*this); }
  std::uint64_t hash() const noexcept override;
  void arrive(Host& host) noexcept override { host.tcp().receive(segment_); }
  void lost(Host& from, Host& to) noexcept override;

 private:
  Segment segment_;
};

std::uint64_t TcpPacket::hash() const noexcept {
  Hash hash;
  const auto flag = [](bool is_set, unsigned bit) { return (is_set ? 1ULL : 0ULL) << bit; };
  hash.add(std::uint64_t{segment_.from.port()} << 16U | segment_.to.port() |
           flag(segment_.synchronize, 32) | flag(segment_.acknowledges, 33) |
           flag(segment_.finish, 34) | flag(segment_.reset, 35));
  hash.add(segment_.sequence);
  hash.add(segment_.acknowledged);
  hash.add(segment_.window);
  if (segment_.data != nullptr) hash.add(std::span<const std::byte>(*segment_.data));
  return hash.value();
}

void TcpPacket::lost(Host&, Host& to) noexcept { to.tcp().drop(segment_); }

}  // namespace

TcpName::TcpName(const Address& from, const Address& to)
    : local(from.bytes()),
      remote(to.bytes()),
      local_port(from.port()),
      remote_port(to.port()),
      family(from.family()) {}

// --- The connections of a host -------------------------------------------------------------------

std::shared_ptr<TcpSocket> TcpTable::open(const Address& local, const Address& remote) {
  forget_lingering();
  auto socket = std::make_shared<TcpSocket>(host_, local, remote);
  add(socket);
  return socket;
}

void TcpTable::add(const std::shared_ptr<TcpSocket>& socket) {
  const Address local = socket->local_address();
  sockets_.insert_or_assign(TcpName(local, socket->peer_address()), socket);
  ports_.emplace(std::pair(local.family(), local.port()), socket.get());
}

bool TcpTable::uses(const Address& local) noexcept {
  forget_lingering();
  const auto [first, last] = ports_.equal_range({local.family(), local.port()});
  return std::any_of(first, last, [&](const auto& entry) {
    return is_wildcard(local) || same_host(entry.second->local_address(), local);
  });
}

TcpSocket* TcpTable::find(const Address& local, const Address& remote) noexcept {
  const auto found = sockets_.find(TcpName(local, remote));
  return found == sockets_.end() ? nullptr : found->second.get();
}

void TcpTable::remove(const TcpSocket& socket) noexcept {
  const Address local = socket.local_address();
  auto [first, last] = ports_.equal_range({local.family(), local.port()});
  const auto entry =
      std::find_if(first, last, [&](const auto& pair) { return pair.second == &socket; });
  if (entry == last) return;
  ports_.erase(entry);
  sockets_.erase(TcpName(local, socket.peer_address()));
}

void TcpTable::linger(TcpSocket& socket) {
  lingering_.push_back({host_.network().after(lingering_time), socket.weak_from_this()});
}

/// When somebody looks: so that no timer moves time on for what nobody notices.
void TcpTable::forget_lingering() noexcept {
  while (!lingering_.empty() && lingering_.front().until <= host_.network().now()) {
    if (const auto socket = lingering_.front().socket.lock()) remove(*socket);
    lingering_.pop_front();
  }
}

void TcpTable::receive(const Segment& segment) noexcept {
  forget_lingering();
  const bool request = segment.synchronize && !segment.acknowledges;
  if (TcpSocket* found = find(segment.to, segment.from)) {
    const std::shared_ptr<TcpSocket> socket = found->shared_from_this();
    if (!request || !socket->is_lingering()) return socket->receive(segment);
    remove(*socket);
  }
  if (segment.reset) return;
  request ? accept(segment) : refuse(segment);
}

void TcpTable::accept(const Segment& request) noexcept {
  Result<AcceptQueue*> queue = listener_at(host_.address_book(), request.to);
  if (!queue) return refuse(request);
  if (!queue.value()->has_room()) return drop(request);
  const auto socket = std::make_shared<TcpSocket>(host_, request.to, request.from);
  add(socket);
  socket->answer_request(request, *queue.value());
}

void TcpTable::drop(const Segment& segment) noexcept {
  Host* const from = host_.network().host_at(segment.from, host_);
  TcpSocket* const sender = from == nullptr ? nullptr : from->tcp().find(segment.from, segment.to);
  if (sender != nullptr) sender->packet_lost();
  if (TcpSocket* receiver = find(segment.to, segment.from)) receiver->packet_lost();
}

void TcpTable::refuse(const Segment& segment) noexcept {
  TimePoint any{};
  send({.from = segment.to,
        .to = segment.from,
        .sequence = segment.acknowledges ? segment.acknowledged : 0,
        .acknowledged = segment.sequence + segment.length(),
        .acknowledges = true,
        .reset = true},
       any);
}

void TcpTable::send(Segment segment, TimePoint& last_arrival) noexcept {
  Network& network = host_.network();
  Host* const to = network.host_at(segment.to, host_);
  if (to == nullptr) return;
  network.send(host_, *to, std::make_unique<TcpPacket>(std::move(segment)), last_arrival);
}

void TcpTable::trouble() noexcept {
  for (const auto& entry : sockets_) entry.second->trouble();
}

void TcpTable::vanish() noexcept {
  lingering_.clear();
  ports_.clear();
  for (const auto& entry : std::exchange(sockets_, {})) entry.second->vanish();
}

// --- One connection: for its user ----------------------------------------------------------------

TcpSocket::TcpSocket(Host& host, Address local, Address remote)
    : Socket(ConnectionKind::internet),
      host_(host),
      local_(std::move(local)),
      remote_(std::move(remote)),
      first_unacknowledged_(host.network().random().between(1, std::uint64_t{1} << 32U)),
      next_(first_unacknowledged_) {}

TcpSocket::~TcpSocket() { stop_timer(); }

/// As in Linux: the reason once, then, or if the peer was known to be gone, that nothing can be sent.
std::error_code TcpSocket::send_error() const noexcept {
  if (error_) return error_;
  return end_sent_ ? kernel_error(std::errc::broken_pipe) : std::error_code();
}

std::size_t TcpSocket::room() const noexcept {
  if (state_ != State::open || end_sent_ || limit_ <= next_) return 0;
  return static_cast<std::size_t>(limit_ - next_);
}

void TcpSocket::connect() noexcept { transmit_sequenced({.synchronize = true}); }

std::size_t TcpSocket::send(std::span<const ConstBytes> pieces) noexcept {
  std::vector<std::byte> taken;
  const std::size_t most = room();
  for (const ConstBytes piece : pieces) {
    const ConstBytes part = piece.first(std::min(piece.size(), most - taken.size()));
    taken.insert(taken.end(), part.begin(), part.end());
  }
  for (ConstBytes rest = taken; !rest.empty();) {
    const ConstBytes part = rest.first(std::min(rest.size(), host_.network().draw_segment()));
    transmit_sequenced(
        {.data = std::make_shared<const std::vector<std::byte>>(part.begin(), part.end())});
    rest = rest.subspan(part.size());
  }
  return taken.size();
}

/// Tells of new room only once it is worth while: half of what there may be.
std::size_t TcpSocket::read(std::span<std::byte> into) noexcept {
  const std::size_t count = std::min(into.size(), received_.size());
  received_.pop(into.first(count));
  const std::uint64_t worthwhile = std::max(host_.network().buffer_size() / 2, std::size_t{1});
  const bool more = expected_ + window() >= promised_ + worthwhile;
  if (more && state_ == State::open && !end_arrived_) acknowledge();
  return count;
}

void TcpSocket::end_sending() noexcept {
  if (state_ != State::open || end_sent_) return;
  end_sent_ = true;
  ended_first_ = !end_arrived_;
  transmit_sequenced({.finish = true});
}

void TcpSocket::close() noexcept {
  user_ = nullptr;
  if (state_ != State::open) return end();
  if (received_.size() > 0) return abort();
  orphan_ = true;
  end_sending();
  finish_if_done();
}

void TcpSocket::abort() noexcept {
  user_ = nullptr;
  queue_ = nullptr;
  if (state_ == State::open || state_ == State::answered)
    transmit({.sequence = next_, .reset = true});
  end();
}

void TcpSocket::answer_request(const Segment& request, AcceptQueue& queue) {
  keep_alive_ = queue.keep_alive();
  state_ = State::answered;
  expected_ = request.sequence + 1;
  limit_ = next_ + 1 + request.window;
  queue.answered(*this);
  transmit_sequenced({.synchronize = true});
}

// --- Sending -------------------------------------------------------------------------------------

std::uint64_t TcpSocket::window() const noexcept {
  const std::size_t size = host_.network().buffer_size();
  return size - std::min(size, received_.size());
}

void TcpSocket::transmit(Segment segment) noexcept {
  segment.from = local_;
  segment.to = remote_;
  if (state_ != State::connecting) {
    promised_ = std::max(promised_, expected_ + window());
    segment.acknowledges = true;
    segment.acknowledged = expected_;
    segment.window = promised_ - expected_;
  } else {
    segment.window = window();
  }
  host_.tcp().send(std::move(segment), last_arrival_);
}

void TcpSocket::transmit_sequenced(Segment segment) noexcept {
  segment.sequence = next_;
  next_ += segment.length();
  in_flight_.push_back({.segment = segment, .time = host_.network().now()});
  transmit(std::move(segment));
}

void TcpSocket::acknowledge() noexcept { transmit({.sequence = next_}); }

/// Answers what cannot be right, so that the peer may learn where we are. Seldom, as in Linux, for the peer may
/// do the same.
void TcpSocket::challenge() noexcept {
  const TimePoint now = host_.network().now();
  if (now < last_challenge_ + challenge_interval) return;
  last_challenge_ = now;
  acknowledge();
}

/// What the peer has received already: it can but say what it expects.
void TcpSocket::probe() noexcept { transmit({.sequence = next_ - 1}); }

void TcpSocket::repeat_first() noexcept {
  in_flight_.front().repeated = true;
  in_flight_.front().time = host_.network().now();
  transmit(in_flight_.front().segment);
}

// --- Receiving -----------------------------------------------------------------------------------

void TcpSocket::receive(const Segment& segment) noexcept {
  if (state_ == State::connecting) return receive_while_connecting(segment);
  if (segment.reset) return receive_reset(segment);
  if (segment.synchronize) {  // once more: what we said to it was lost
    state_ == State::answered ? repeat_first() : challenge();
    return;
  }
  if (timer_ == Timer::keep_alive && tries_ > 0) stop_timer();  // the peer is there
  if (!take_acknowledgement(segment)) return;
  take_data(segment);
}

void TcpSocket::receive_while_connecting(const Segment& segment) noexcept {
  const bool ours = segment.acknowledges && segment.acknowledged == next_;
  if (!ours) {
    if (segment.reset) return;
    // Two who ask each other at the same time: TCP would let them, here nobody listens.
    if (!segment.acknowledges) return fail(kernel_error(std::errc::connection_refused));
    // For another connection of this name, which there was before. The request will be repeated.
    transmit({.sequence = segment.acknowledged, .reset = true});
    return packet_lost();
  }
  if (segment.reset) return fail(kernel_error(std::errc::connection_refused));
  if (!segment.synchronize) return;
  state_ = State::open;
  expected_ = segment.sequence + 1;
  static_cast<void>(take_acknowledgement(segment));
  acknowledge();
  changed();
}

/// Only the very next segment is believed; whoever sent another is asked where it is.
void TcpSocket::receive_reset(const Segment& segment) noexcept {
  if (segment.sequence != expected_) {
    if (segment.sequence > expected_ && segment.sequence <= promised_) challenge();
    return;
  }
  // As Linux has it: a connection whose other end is known to be over breaks as a pipe does.
  fail(kernel_error(end_arrived_ ? std::errc::broken_pipe : std::errc::connection_reset));
}

/// False if the segment is of no use.
bool TcpSocket::take_acknowledgement(const Segment& segment) noexcept {
  if (!segment.acknowledges) return false;
  if (state_ == State::answered) {
    if (segment.acknowledged != next_) {  // for another connection of this name
      transmit({.sequence = segment.acknowledged, .reset = true});
      return false;
    }
    if (!queue_->has_room()) {
      host_.tcp().drop(segment);
      return false;
    }
    state_ = State::open;
    queue_->confirmed(*this);
    const Host* const peer = host_.network().host_at(remote_, host_);
    if (peer == nullptr || !peer->is_up()) trouble();
  }
  if (segment.acknowledged > next_) {
    challenge();
    return false;
  }
  const Network& network = host_.network();
  const std::uint64_t limit = segment.acknowledged + segment.window;
  if (segment.acknowledged > first_unacknowledged_) {
    while (!in_flight_.empty()) {
      const Sent& sent = in_flight_.front();
      if (sent.segment.sequence + sent.segment.length() > segment.acknowledged) break;
      const nanoseconds took = network.now() - sent.time;
      if (!sent.repeated) {
        round_trip_ = round_trip_ == nanoseconds(0) ? took : (round_trip_ * 7 + took) / 8;
      }
      in_flight_.pop_front();
    }
    first_unacknowledged_ = segment.acknowledged;
    repeated_acknowledgements_ = 0;
    if (!in_flight_.empty() && first_unacknowledged_ < recovering_until_) repeat_first();
    tries_ = 0;
    if (timer_ == Timer::loss) start_timer(Timer::loss, timeout());
  } else if (!in_flight_.empty() && segment.length() == 0 && limit <= limit_) {
    if (++repeated_acknowledgements_ == 3) {
      recovering_until_ = next_;
      repeat_first();
    }
  }
  if (in_flight_.empty() && timer_ == Timer::loss) stop_timer();
  const bool more_room = limit > limit_;
  limit_ = std::max(limit_, limit);
  if (more_room) changed();
  finish_if_done();
  return state_ != State::over;
}

void TcpSocket::take_data(const Segment& segment) noexcept {
  const Sequence end = segment.sequence + segment.length();
  if (segment.length() == 0) {
    if (segment.sequence < expected_) challenge();  // we are probed
    return;
  }
  if (end <= expected_ || end > promised_ + 1) return acknowledge();
  if (orphan_ && segment.size() > 0) return abort();  // nobody will ever read that
  if (segment.sequence > expected_) {
    early_.emplace(segment.sequence, segment);
    return acknowledge();
  }
  take_in_order(segment);
  while (!early_.empty() && early_.begin()->first <= expected_) {
    if (early_.begin()->first == expected_) take_in_order(early_.begin()->second);
    early_.erase(early_.begin());
  }
  acknowledge();
  changed();
  finish_if_done();
}

void TcpSocket::take_in_order(const Segment& segment) noexcept {
  expected_ += segment.length();
  if (segment.data != nullptr) received_.push(*segment.data);
  if (segment.finish) end_arrived_ = true;
}

// --- Loss ----------------------------------------------------------------------------------------

bool TcpSocket::is_waiting() const noexcept {
  if (state_ == State::over) return false;
  return !in_flight_.empty() || (state_ == State::open && !end_sent_ && room() == 0);
}

void TcpSocket::packet_lost() noexcept {
  if (timer_ == Timer::loss) return;
  if (!is_waiting()) {
    if (timer_ == Timer::none) trouble();
    return;
  }
  tries_ = 0;
  // It would have run since then.
  const TimePoint now = host_.network().now();
  const nanoseconds passed = in_flight_.empty() ? nanoseconds(0) : now - in_flight_.front().time;
  start_timer(Timer::loss, timeout() - std::min(passed, timeout()));
}

void TcpSocket::trouble() noexcept {
  if (timer_ == Timer::loss) return;
  if (is_waiting()) return packet_lost();
  if (!keep_alive_ || state_ != State::open) return;
  tries_ = 0;
  start_timer(Timer::keep_alive, keep_alive_idle);
}

nanoseconds TcpSocket::timeout() const noexcept {
  if (round_trip_ == nanoseconds(0)) return first_timeout;
  return std::clamp(round_trip_ * 3, shortest_timeout, longest_timeout);
}

int TcpSocket::most_tries() const noexcept {
  if (timer_ == Timer::keep_alive) return keep_alive_tries;
  if (state_ == State::connecting) return connecting_tries;
  if (state_ == State::answered) return answering_tries;
  return orphan_ ? orphan_tries : sending_tries;
}

void TcpSocket::start_timer(Timer timer, nanoseconds delay) noexcept {
  stop_timer();
  timer_ = timer;
  Network& network = host_.network();
  timer_entry_ = network.agenda().enter(network.after(delay), [this] {
    const std::shared_ptr<TcpSocket> self = shared_from_this();
    timer_expired();
  });
}

void TcpSocket::stop_timer() noexcept {
  if (std::exchange(timer_, Timer::none) != Timer::none) {
    host_.network().agenda().cancel(timer_entry_);
  }
}

void TcpSocket::timer_expired() noexcept {
  const bool given_up = ++tries_ > most_tries();
  const Timer timer = std::exchange(timer_, Timer::none);
  if (given_up) return fail(kernel_error(std::errc::timed_out));
  if (timer == Timer::keep_alive) {
    probe();
    return start_timer(timer, keep_alive_interval);
  }
  recovering_until_ = next_;
  in_flight_.empty() ? probe() : repeat_first();
  start_timer(timer,
              std::min(timeout() * (std::int64_t{1} << std::min(tries_, 10)), longest_timeout));
}

// --- The end -------------------------------------------------------------------------------------

/// Both directions have ended, and the peer knows it; or it may still send, to nobody.
void TcpSocket::finish_if_done() noexcept {
  if (!orphan_ || !in_flight_.empty() || state_ != State::open) return;
  if (end_arrived_ && !ended_first_) return end();
  if (std::exchange(lingering_, true)) return;
  host_.tcp().linger(*this);
}

void TcpSocket::fail(std::error_code error) noexcept {
  if (state_ == State::answered && queue_ != nullptr) std::exchange(queue_, nullptr)->gone(*this);
  error_ = error;
  end();
  changed();
}

void TcpSocket::end() noexcept {
  const std::shared_ptr<TcpSocket> self = shared_from_this();
  state_ = State::over;
  stop_timer();
  in_flight_.clear();
  early_.clear();
  host_.tcp().remove(*this);
}

void TcpSocket::vanish() noexcept {
  state_ = State::over;
  stop_timer();
}

}  // namespace weir::inline v0::detail::simulated
