#include "tls_channel.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <system_error>
#include <utility>

namespace weir::inline v0::detail {
namespace {

/// The most that a record holds.
constexpr std::size_t record_size = std::size_t{16} * 1024;

/// How much is encrypted before it is sent.
constexpr std::size_t most_at_once = std::size_t{256} * 1024;

/// [T18]
constexpr std::size_t default_high_read_mark = std::size_t{256} * 1024;

/// How much TLS itself may answer a peer that reads nothing: some two thousand updates of keys.
constexpr std::size_t most_unread_answers = std::size_t{64} * 1024;

}  // namespace

// --- The protocol of the transport below ------------------------------------------------------------

void TlsBelow::data_received(std::span<const std::byte> data) {
  if (channel_ != nullptr) channel_->received(data);
}

/// True, so that what is below stays open for our part, if it can.
bool TlsBelow::eof_received() {
  if (channel_ == nullptr) return false;
  const bool can_stay_open = channel_->below_.can_write_eof();
  channel_->below_ended();
  return can_stay_open;
}

void TlsBelow::pause_writing() {
  if (channel_ != nullptr) channel_->below_paused();
}

void TlsBelow::resume_writing() {
  if (channel_ != nullptr) channel_->below_resumed();
}

void TlsBelow::connection_lost(const CloseReason& reason) {
  if (channel_ != nullptr) channel_->below_lost(reason);
}

// --- The channel ------------------------------------------------------------------------------------

TlsChannel::TlsChannel(Loop& loop, Parts parts)
    : loop_(loop),
      engine_(std::move(parts.engine)),
      buffers_(parts.buffers),
      below_(parts.below),
      below_protocol_(std::make_shared<TlsBelow>(*this)),
      read_flow_(default_high_read_mark),
      shutdown_timeout_(parts.shutdown_timeout),
      nesting_(parts.nesting),
      below_paused_writing_(parts.below_paused_writing) {
  below_.set_protocol(below_protocol_);
  keep_rest();
}

Address TlsChannel::local_address() const {
  return below_.get_extra_info<Address>("sockname").value_or(Address());
}

ExtraInfo TlsChannel::extra_info(std::string_view name) const {
  ExtraInfo info = engine_->info(name);
  if (!std::holds_alternative<std::monostate>(info)) return info;
  return below_.get_extra_info(name);
}

/// From the loop: events never come from inside a verb, and data not before whoever waits for the
/// connection has heard of it. [S11, B8, T26]
void TlsChannel::serve_later() {
  if (state_ == State::over || std::exchange(serving_soon_, true)) return;
  loop_.schedule([this] { serve(); });
}

void TlsChannel::serve() noexcept {
  serving_soon_ = false;
  if (state_ == State::over) return;
  if (below_gone_ && state_ == State::finishing) return end({});
  receiving_ = wanted_ && !wanted_later_;
  if (std::exchange(wanted_later_, false)) serve_later();
  read();
  flush();
}

// --- Receiving --------------------------------------------------------------------------------------

void TlsChannel::start_receiving() noexcept {
  // Whoever serves it may be next in this very turn.
  wanted_later_ = serving_soon_;
  wanted_ = true;
  serve_later();
}

void TlsChannel::received(ConstBytes bytes) noexcept {
  if (state_ == State::over || eof_told_) return;
  if (kept_.empty()) {
    engine_->feed(bytes);
  } else {
    const std::size_t used = kept_.size() - engine_->rest().size();
    kept_.insert(kept_.end(), bytes.begin(), bytes.end());
    engine_->feed(ConstBytes(kept_).subspan(used));
  }
  read();
  // The engine may write again.
  if (std::exchange(waits_for_input_, false)) serve_later();
}

/// Reads what was fed as far as it is wanted, and keeps the rest.
void TlsChannel::read() noexcept {
  if (state_ == State::finishing) {
    discard();
  } else if (receiving_) {
    deliver();
  } else if (waits_for_input_) {
    static_cast<void>(has_data());
  }
  if (state_ == State::over) return;
  keep_rest();
  settle_reading();
}

bool TlsChannel::has_data() noexcept {
  const bool found = engine_->has_data();
  send_answers();
  return found && state_ != State::over;
}

/// At most a receive buffer's worth in a turn of the loop. [S3]
void TlsChannel::deliver() noexcept {
  std::size_t delivered = 0;
  while (receiving_ && state_ == State::open && engine_->has_pending()) {
    if (delivered >= receive_buffer_size || loop_.is_leaving()) return serve_later();
    // Nobody is asked for a buffer that nothing comes into. [U11] To look costs more than to read.
    if (events_->has_own_buffer() && !has_data()) break;
    const auto wanted = events_->receive_buffer();
    if (!wanted) {
      if (receiving_) serve_later();
      return;
    }
    const bool shared = wanted->empty();
    const std::span<std::byte> buffer = shared ? buffers_.plaintext() : *wanted;
    const std::size_t count = engine_->read(buffer).count;
    send_answers();
    if (count == 0 || state_ != State::open) break;
    delivered += count;
    events_->on_received(buffer.first(count));
#ifndef NDEBUG
    // As the backends do: a span kept past its callback must not look right by accident. [C5]
    if (shared) std::memset(buffer.data(), 0xDD, count);
#endif
  }
  // What the bytes end with waits until it is wanted, too. [T12, T19]
  if (receiving_ && state_ == State::open) settle_input();
}

/// Nothing but the peer's close_notify is of interest any more. [T13]
void TlsChannel::discard() noexcept {
  if (eof_told_) return;
  while (has_data()) engine_->read(buffers_.plaintext());
  if (state_ == State::finishing) settle_input();
}

/// There is no data in what was fed: either the rest of it has to wait for its turn; or the stream has ended,
/// by the peer's close_notify, without one by the end of what is below, or by a failure. [T12, T14]
void TlsChannel::settle_input() noexcept {
  if (engine_->has_pending()) return serve_later();
  if (engine_->failure() != nullptr) return end(engine_->failure());
  if (!engine_->is_peer_shut_down() && !below_ended_) return;
  eof_told_ = true;
  stop_receiving();
  events_->on_eof();
  close_below_if_done();
}

/// What is kept is not moved each time some of it was read: that would take for ever.
void TlsChannel::keep_rest() {
  const ConstBytes rest = engine_->rest();
  if (rest.empty()) {
    if (!kept_.empty()) kept_ = std::vector<std::byte>();  // `{}` would keep its memory
    return;
  }
  const std::size_t used = kept_.empty() ? 0 : kept_.size() - rest.size();
  if (!kept_.empty() && used < rest.size()) return;
  kept_ = std::vector<std::byte>(rest.begin(), rest.end());
  engine_->feed(kept_);
}

void TlsChannel::settle_reading() {
  const std::size_t kept = read_buffer_size();
  if (kept == 0 && !read_flow_.paused()) return;
  if (read_flow_.grown(kept)) below_.pause_reading();
  if (read_flow_.shrunk(kept)) below_.resume_reading();
}

void TlsChannel::set_read_buffer_limits(ReadBufferLimits limits) {
  read_flow_.set_limits(limits, default_high_read_mark);
  settle_reading();
}

// --- Sending ----------------------------------------------------------------------------------------

SendResult TlsChannel::try_send(std::span<const ConstBytes> pieces) noexcept {
  std::size_t total = 0;
  for (const ConstBytes& piece : pieces) total += piece.size();
  // Lost, as in a broken connection: its end is on the way. [S26, T22]
  if (state_ == State::over || below_.is_closing()) return {.sent = total};
  std::size_t sent = 0;
  while (sent < total && !below_paused_writing_) {
    const std::size_t taken = encrypt(pieces, sent);
    if (engine_->failure() != nullptr) return {.error = CloseReason(engine_->failure()).code()};
    if (taken == 0) break;
    sent += taken;
  }
  return {.sent = sent};
}

void TlsChannel::start_sending() noexcept {
  sending_ = true;
  if (!below_paused_writing_) serve_later();
}

void TlsChannel::below_resumed() noexcept {
  below_paused_writing_ = false;
  unread_answers_ = 0;
  flush();
}

/// One go: there may be room for another, but that is for another turn of the loop.
void TlsChannel::flush() noexcept {
  if (state_ == State::over) return;
  if (sending_ && !below_paused_writing_) {
    std::array<ConstBytes, max_send_pieces> pieces;
    const std::size_t count = events_->unsent(pieces);
    if (count > 0) {
      const std::size_t sent = encrypt(std::span(pieces).first(count), 0);
      if (engine_->failure() != nullptr) return end(engine_->failure());
      if (below_.is_closing()) return;
      waits_for_input_ = sent == 0;
      if (sent > 0) events_->on_sent(sent);
    }
    sending_ = events_->unsent(std::span(pieces).first(1)) > 0;
    if (sending_ && !below_paused_writing_ && !waits_for_input_) serve_later();
  }
  if (state_ == State::finishing && !sending_) end_sending();
}

/// Encrypts what follows on the first `skipped` bytes of `pieces`, up to a bound, and sends it. Small
/// pieces share a record. Returns how many bytes it took: none if the engine failed, or cannot write before
/// it has read more.
std::size_t TlsChannel::encrypt(std::span<const ConstBytes> pieces, std::size_t skipped) noexcept {
  std::size_t taken = 0;
  bool good = true;
  const auto write = [&](ConstBytes bytes) {
    good = engine_->write(bytes) == TlsEngine::Status::ok;
    if (good) taken += bytes.size();
  };
  if (pieces.size() == 1) {
    const ConstBytes piece = pieces.front().subspan(skipped);
    write(piece.first(std::min(piece.size(), most_at_once)));
    send();
    return taken;
  }
  std::array<std::byte, record_size> record;  // NOLINT(*-member-init): filled below
  std::size_t filled = 0;
  for (ConstBytes piece : pieces) {
    const std::size_t skip = std::min(skipped, piece.size());
    skipped -= skip;
    piece = piece.subspan(skip);
    while (good && !piece.empty() && taken < most_at_once) {
      std::size_t used = std::min(piece.size(), record_size - filled);
      if (used == record_size) {  // nothing to gather: as many whole records as there are
        used = std::min(piece.size(), most_at_once - taken) / record_size * record_size;
        write(piece.first(used));
      } else {
        std::ranges::copy(piece.first(used), record.begin() + static_cast<std::ptrdiff_t>(filled));
        filled += used;
        if (filled == record_size) write(record);
        filled %= record_size;
      }
      piece = piece.subspan(used);
    }
  }
  if (good && filled > 0) write(std::span(record).first(filled));
  send();
  return taken;
}

/// Gives what the engine made to the transport below.
void TlsChannel::send() noexcept {
  std::vector<std::byte>& output = buffers_.output;
  if (output.empty()) return;
  if (!below_.is_closing()) below_.write(output);
  output.clear();
}

/// What TLS answers by itself, to requests for new keys for one. Who asks and asks, and reads nothing, would
/// have it pile up below.
void TlsChannel::send_answers() noexcept {
  if (below_paused_writing_) unread_answers_ += buffers_.output.size();
  send();
  if (unread_answers_ <= most_unread_answers) return;
  end(std::make_exception_ptr(TlsError(std::make_error_code(std::errc::no_buffer_space),
                                       "the peer reads none of what it has TLS answer")));
}

// --- The end ----------------------------------------------------------------------------------------

void TlsChannel::finish() noexcept {
  if (loop_.is_closed()) return;  // and about to drop everything
  state_ = State::finishing;
  shutdown_timer_ = loop_.call_after(
      shutdown_timeout_, [this] { end(std::make_error_code(std::errc::timed_out)); }, {});
  if (!sending_) end_sending();
  // The peer's close_notify may have arrived, behind what was not read. [T9]
  if (!eof_told_ || below_gone_) serve_later();
}

/// Our close_notify, behind everything that was written. [T9]
void TlsChannel::end_sending() noexcept {
  if (engine_->is_shut_down()) return;
  // Who has ended may be gone: then nothing else is lost, which is no error. [T12, T14]
  lacks_only_the_end_ = eof_told_ && !below_.is_closing() && below_.get_write_buffer_size() == 0;
  engine_->shut_down();
  send();
  close_below_if_done();
}

void TlsChannel::close_below_if_done() {
  if (eof_told_ && engine_->is_shut_down()) below_.close();
}

void TlsChannel::below_ended() noexcept {
  below_ended_ = true;
  if (state_ != State::over && !eof_told_ && kept_.empty()) read();
}

void TlsChannel::below_lost(const CloseReason& reason) noexcept {
  if (state_ == State::over) return;
  // TLS below ends on its own once it has told its end, which may still wait here to be read. [T19]
  below_gone_ = !reason && below_ended_ && !eof_told_ && state_ == State::open;
  if (!below_gone_) end(lacks_only_the_end_ ? CloseReason() : reason);
}

void TlsChannel::end(const CloseReason& reason) noexcept {
  stop_receiving();
  stop_sending();
  events_->on_over(reason);
}

/// Nobody may take what was cut off for all there was. [T11]
void TlsChannel::stop_sending() noexcept {
  state_ = State::over;
  shutdown_timer_.cancel();
}

void TlsChannel::close() noexcept {
  stop_sending();
  below_protocol_->channel_ = nullptr;
  below_.abort();
  loop_.schedule([this] { events_->on_closed(); });
}

}  // namespace weir::inline v0::detail
