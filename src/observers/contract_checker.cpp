#include <weir/contract_checker.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <optional>
#include <utility>

namespace weir::inline v0 {
namespace {

constexpr std::size_t history_size = 24;
/// [S3]
constexpr std::size_t most_per_callback = std::size_t{256} * 1024;

/// Callbacks and calls whose number of bytes is worth telling.
bool has_size(Activity activity) {
  switch (activity) {
    case Activity::data_received:
    case Activity::buffer_updated:
    case Activity::datagram_received:
    case Activity::pipe_data_received:
    case Activity::write:
    case Activity::writelines:
    case Activity::sendto: return true;
    default: return false;
  }
}

/// Brings something from the peer, so that it must not come while reading is paused.
bool is_incoming(Activity activity) {
  switch (activity) {
    case Activity::data_received:
    case Activity::get_buffer:
    case Activity::buffer_updated:
    case Activity::eof_received:
    case Activity::datagram_received: return true;
    default: return false;
  }
}

bool is_flow(Activity activity) {
  return activity == Activity::pause_writing || activity == Activity::resume_writing;
}

/// A call that may call pause_writing() before it returns. [F8]
bool may_pause(Activity activity) {
  switch (activity) {
    case Activity::write:
    case Activity::writelines:
    case Activity::sendto:
    case Activity::set_write_buffer_limits: return true;
    default: return false;
  }
}

std::string called(Activity activity) { return std::string(to_string(activity)) + "()"; }

std::string in_bytes(std::size_t size) { return std::to_string(size) + " bytes"; }

/// The same exception, or the same error of the system.
bool same(const CloseReason& left, const CloseReason& right) {
  if (left.is_exception() || right.is_exception()) {
    return left.is_exception() && right.is_exception() && left.exception() == right.exception();
  }
  return left.code() == right.code();
}

}  // namespace

std::string to_string(const ContractViolation& violation) {
  std::string text = "contract violated [" + violation.rule + "]: " + violation.what +
                     "\n  by the " + violation.transport + "\n  what happened last:\n";
  for (const std::string& line : violation.history) text += "    " + line + '\n';
  return text;
}

/// What the transports of one checker have in common: who is told, and what goes on right now.
class ContractChecker::Shared {
 public:
  struct Frame {
    const TransportObserver* whose;
    Activity activity;
    bool after_eof;  ///< began after a write_eof()
  };

  explicit Shared(Handler handler) : handler_(std::move(handler)) {}

  void tell(const ContractViolation& violation) const {
    if (handler_) return handler_(violation);
    std::fputs(("weir: " + to_string(violation)).c_str(), stderr);
    std::abort();
  }

  std::vector<Frame> frames;  ///< callbacks and calls that have begun, each within the one before
  std::uint64_t made = 0;     ///< transports

 private:
  Handler handler_;
};

/// The state machines of the contract, for one transport.
class ContractChecker::TransportChecker final : public TransportObserver {
 public:
  TransportChecker(std::shared_ptr<Shared> shared, const ObservedTransport& transport)
      : shared_(std::move(shared)), transport_(transport), number_(++shared_->made) {}

  void begins(const Occurrence& what) noexcept override;
  void ends(const Occurrence& what) noexcept override;

 private:
  // --- Callbacks
  void callback_begins(const Occurrence& what);
  void callback_ends(const Occurrence& what);
  void check_life(const Occurrence& what);
  void check_place(const Occurrence& what);
  void check_receiver(const Occurrence& what);
  void check_incoming(const Occurrence& what);
  void check_buffers(const Occurrence& what);
  void check_flow(const Occurrence& what);
  void check_process(const Occurrence& what);
  void check_end(const Occurrence& what);

  // --- Calls
  void call_begins(const Occurrence& what);
  void call_ends(const Occurrence& what, bool after_eof);

  // --- At any time
  void check_state(const Occurrence& what);
  void check_flow_is_told(Activity activity);

  /// What is kept of an occurrence: a line is made of it only when somebody wants to read it.
  struct Remembered {
    Activity activity{};
    std::size_t size = 0;
    std::size_t depth = 0;
    int number = 0;

    std::string to_line() const;
  };

  void remember(const Occurrence& what);
  void violated(const char* rule, std::string what);
  bool is_stream() const {
    return kind() != TransportKind::datagram && kind() != TransportKind::subprocess;
  }
  TransportKind kind() const { return transport_.kind(); }
  /// Where flow control is told at once: not behind a sendfile(), and not for the datagrams that answer a batch.
  bool tells_flow_at_once() const { return is_stream() && !had_sendfile_; }

  std::shared_ptr<Shared> shared_;
  const ObservedTransport& transport_;
  const std::uint64_t number_;

  bool made_ = false;
  bool taken_over_ = false;
  bool lost_ = false;
  bool eof_ = false;
  bool exited_ = false;
  std::array<bool, 3> pipe_lost_{};
  bool closing_seen_ = false;
  bool must_close_ = false;         ///< eof_received() returned false
  bool closed_ = false;             ///< by a close() of its user
  bool flushing_ = false;           ///< that had something to send
  bool cut_ = false;                ///< an abort(), or an exception of a callback
  std::optional<CloseReason> due_;  ///< the reason that connection_lost() must have
  bool ended_writing_ = false;
  bool reading_paused_ = false;
  bool writing_paused_ = false;
  bool marks_moved_ = false;  ///< since flow control was told last: it may be late
  bool had_sendfile_ = false;
  const AbstractProtocol* protocol_ = nullptr;
  std::optional<std::size_t> buffer_;  ///< what get_buffer() gave, not updated yet
  std::deque<Remembered> history_;
};

void ContractChecker::TransportChecker::begins(const Occurrence& what) noexcept {
  remember(what);
  check_state(what);
  is_callback(what.activity) ? callback_begins(what) : call_begins(what);
  shared_->frames.push_back({this, what.activity, ended_writing_});
}

void ContractChecker::TransportChecker::ends(const Occurrence& what) noexcept {
  const bool after_eof = shared_->frames.back().after_eof;
  shared_->frames.pop_back();
  is_callback(what.activity) ? callback_ends(what) : call_ends(what, after_eof);
}

// --- At any time ------------------------------------------------------------------------------------

void ContractChecker::TransportChecker::check_state(const Occurrence& what) {
  const bool closing = transport_.is_closing();
  if (closing_seen_ && !closing) violated("C9", "is_closing() is false again");
  closing_seen_ = closing;
  // By close(), which is next.
  if (std::exchange(must_close_, false) && !closing && what.activity != Activity::close) {
    violated("S5", "eof_received() returned false and the transport does not close");
  }
  check_flow_is_told(what.activity);
}

/// Nobody is left waiting: whoever was told to pause is told to resume once it is due, and whoever writes too
/// much is told to pause. [F5, F6]
void ContractChecker::TransportChecker::check_flow_is_told(Activity activity) {
  if (!tells_flow_at_once() || lost_ || is_flow(activity) || cut_) return;
  const std::size_t size = transport_.get_write_buffer_size();
  const auto [low, high] = transport_.get_write_buffer_limits();
  if (writing_paused_ && size <= low && !marks_moved_ && !transport_.is_closing()) {
    violated("F6", "the buffer has " + in_bytes(size) + ", not more than the low mark of " +
                       in_bytes(low) + ", and resume_writing() has not come");
  }
  if (!writing_paused_ && size > high && shared_->frames.empty()) {
    violated("F5", "the buffer has " + in_bytes(size) + ", more than the high mark of " +
                       in_bytes(high) + ", and pause_writing() has not come");
  }
}

// --- Callbacks --------------------------------------------------------------------------------------

void ContractChecker::TransportChecker::callback_begins(const Occurrence& what) {
  check_life(what);
  check_place(what);
  check_receiver(what);
  check_incoming(what);
  check_buffers(what);
  check_flow(what);
  if (kind() == TransportKind::subprocess) check_process(what);
  if (what.activity == Activity::connection_lost) check_end(what);
}

/// connection_made(), the others, connection_lost().
void ContractChecker::TransportChecker::check_life(const Occurrence& what) {
  if (lost_) return violated("B2", called(what.activity) + " after connection_lost()");
  if (what.activity == Activity::connection_made) {
    if (made_) violated("B1", "a second connection_made()");
    if (taken_over_) violated("T23", "connection_made() for a protocol that has had it");
    made_ = true;
  } else if (!made_ && !taken_over_) {
    violated("B1", called(what.activity) + " before connection_made()");
  }
}

/// From the loop, but for the two that may come from within a call.
void ContractChecker::TransportChecker::check_place(const Occurrence& what) {
  const auto* inside = shared_->frames.empty() ? nullptr : &shared_->frames.back();
  const bool in_call = inside != nullptr && !is_callback(inside->activity);
  if (what.activity == Activity::pause_writing) {
    const bool in_own = in_call && inside->whose == this && may_pause(inside->activity);
    if (!in_own && tells_flow_at_once()) {
      violated("F8", "pause_writing() comes from outside of the call that wrote too much");
    }
    return;
  }
  if (what.activity == Activity::error_received && in_call) {
    if (inside->activity != Activity::sendto &&
        inside->activity != Activity::set_write_buffer_limits) {
      violated("B16", "error_received() within " + called(inside->activity));
    }
    return;
  }
  if (in_call) {
    const char* rule = what.activity == Activity::connection_lost ? "B6"
                       : is_incoming(what.activity)               ? "S11"
                                                                  : "B16";
    violated(rule, called(what.activity) + " from within a call of " + called(inside->activity));
  } else if (inside != nullptr && inside->whose == this) {
    violated("B16", called(what.activity) + " from within " + called(inside->activity));
  }
}

void ContractChecker::TransportChecker::check_receiver(const Occurrence& what) {
  if (protocol_ == nullptr) protocol_ = what.protocol;
  if (what.protocol == nullptr || what.protocol == protocol_) return;
  violated("B12", called(what.activity) + " for another protocol than the last that was set");
}

void ContractChecker::TransportChecker::check_incoming(const Occurrence& what) {
  if (!is_incoming(what.activity)) return;
  if (what.activity == Activity::data_received && what.size == 0) {
    violated("S2", "data_received() without data");
  }
  if (what.activity == Activity::data_received && what.size > most_per_callback) {
    violated("S3", "data_received() with " + in_bytes(what.size));
  }
  const bool is_eof = what.activity == Activity::eof_received;
  if (eof_)
    violated("S4",
             is_eof ? "a second eof_received()" : called(what.activity) + " after eof_received()");
  eof_ = eof_ || is_eof;
  // What the end of a read pipe is comes when it is closing by itself. [I5]
  if (is_eof && kind() == TransportKind::read_pipe) return;
  if (reading_paused_) violated("S8", called(what.activity) + " while reading is paused");
  // TLS hears its peer's goodbye while it closes [T10]; what is below it may be closing already [T22].
  const bool closing = kind() == TransportKind::tls ? closed_ && !is_eof : transport_.is_closing();
  if (closing) violated("S14", called(what.activity) + " of a transport that is closing");
}

void ContractChecker::TransportChecker::check_buffers(const Occurrence& what) {
  if (what.activity != Activity::buffer_updated) {
    buffer_.reset();  // [U7]
    return;
  }
  if (!buffer_) {
    violated("U1", "buffer_updated() without a get_buffer() before it");
  } else if (what.size == 0 || what.size > *buffer_) {
    violated("U5", "buffer_updated(" + std::to_string(what.size) + ") of a buffer of " +
                       in_bytes(*buffer_));
  }
  buffer_.reset();
}

void ContractChecker::TransportChecker::check_flow(const Occurrence& what) {
  if (!is_flow(what.activity)) return;
  const std::size_t size = transport_.get_write_buffer_size();
  const auto [low, high] = transport_.get_write_buffer_limits();
  // A process passes on what the pipe to it says. [F20]
  const bool has_buffer = kind() != TransportKind::subprocess;
  if (cut_ && has_buffer) {
    violated("F17", called(what.activity) + " after abort() or a fatal error");
  }
  if (what.activity == Activity::pause_writing) {
    if (writing_paused_) violated("F7", "a second pause_writing()");
    if (has_buffer && size <= high && !had_sendfile_) {
      violated("F5", "pause_writing() with " + in_bytes(size) +
                         ", not more than the high mark of " + in_bytes(high));
    }
    writing_paused_ = true;
  } else {
    if (!writing_paused_) violated("F7", "resume_writing() without a pause_writing() before it");
    if (has_buffer && size > low && !had_sendfile_ && !marks_moved_) {
      violated("F6", "resume_writing() with " + in_bytes(size) + ", more than the low mark of " +
                         in_bytes(low));
    }
    writing_paused_ = false;
  }
  marks_moved_ = false;
}

void ContractChecker::TransportChecker::check_process(const Occurrence& what) {
  const bool of_pipe = what.activity == Activity::pipe_data_received ||
                       what.activity == Activity::pipe_connection_lost;
  if (of_pipe) {
    const bool is_data = what.activity == Activity::pipe_data_received;
    if (what.number < (is_data ? 1 : 0) || what.number > 2) {
      return violated(is_data ? "P5" : "P6",
                      called(what.activity) + " of stream " + std::to_string(what.number));
    }
    if (is_data && what.size == 0) violated("P5", "pipe_data_received() without data");
    bool& lost = pipe_lost_.at(static_cast<std::size_t>(what.number));
    if (lost)
      violated("P6", called(what.activity) + " after pipe_connection_lost() of stream " +
                         std::to_string(what.number));
    lost = lost || !is_data;
  }
  if (what.activity == Activity::process_exited && std::exchange(exited_, true)) {
    violated("P7", "a second process_exited()");
  }
  if (what.activity == Activity::connection_lost) {
    if (!exited_) violated("P9", "connection_lost() before process_exited()");
    if (*what.reason) violated("P9", "connection_lost() with a reason: " + what.reason->message());
  }
}

void ContractChecker::TransportChecker::check_end(const Occurrence& what) {
  lost_ = true;
  const std::size_t size = transport_.get_write_buffer_size();
  if (!transport_.is_closing())
    violated("C9", "connection_lost() of a transport that is not closing");
  if (size != 0) violated("S17", "connection_lost() with " + in_bytes(size) + " in the buffer");
  if (what.reason == nullptr) return;
  if (due_ && !same(*what.reason, *due_)) {
    violated("B5", "connection_lost(" + what.reason->message() + "), and the first cause was \"" +
                       due_->message() + "\"");
  }
  // All was sent after close(), so what was paused was resumed on the way down. TLS may be ended by its peer.
  const bool flushed = flushing_ && !cut_ && !*what.reason && kind() != TransportKind::tls;
  if (flushed && writing_paused_ && tells_flow_at_once()) {
    violated("F13", "everything was sent after close(), and resume_writing() has not come");
  }
}

void ContractChecker::TransportChecker::callback_ends(const Occurrence& what) {
  if (what.activity == Activity::get_buffer && !what.threw) buffer_ = what.size;
  if (what.activity == Activity::eof_received && !what.threw && !what.result) {
    must_close_ = is_stream();
  }
  const bool fatal =
      is_incoming(what.activity) && is_stream() && kind() != TransportKind::read_pipe;
  if (fatal && what.exception != nullptr && !transport_.is_closing()) {
    cut_ = true;
    due_ = CloseReason(what.exception);
  }
}

// --- Calls ------------------------------------------------------------------------------------------

void ContractChecker::TransportChecker::call_begins(const Occurrence& what) {
  const bool closing = transport_.is_closing();
  switch (what.activity) {
    case Activity::start_tls:
      taken_over_ = true;
      writing_paused_ = what.result;
      marks_moved_ = true;
      break;
    case Activity::sendfile: had_sendfile_ = true; break;
    case Activity::set_write_buffer_limits: marks_moved_ = true; break;
    case Activity::close:
      if (!closing) {
        closed_ = true;
        flushing_ = transport_.get_write_buffer_size() > 0;
        // TLS has a goodbye to say, and a process to wait for.
        if (!flushing_ && (kind() == TransportKind::socket || kind() == TransportKind::datagram)) {
          due_ = CloseReason();
        }
      }
      break;
    case Activity::abort:
      if (!closing) due_ = what.reason != nullptr ? *what.reason : CloseReason();
      cut_ = true;
      break;
    default: break;
  }
}

void ContractChecker::TransportChecker::call_ends(const Occurrence& what, bool after_eof) {
  const bool closing = transport_.is_closing();
  const std::size_t size = transport_.get_write_buffer_size();
  switch (what.activity) {
    case Activity::write:
    case Activity::writelines:
      if (after_eof && !what.threw) {
        violated("S25", called(what.activity) + " after write_eof() did not throw");
      }
      break;
    case Activity::write_eof: {
      const bool half = kind() == TransportKind::socket;
      ended_writing_ = ended_writing_ || (half && !closing && !what.threw);
      break;
    }
    case Activity::set_protocol:
      if (what.threw || lost_) break;
      protocol_ = what.protocol;
      buffer_.reset();  // [U10]
      break;
    case Activity::pause_reading:
      reading_paused_ = reading_paused_ || !closing;
      if (transport_.is_reading()) violated("S12", "is_reading() after pause_reading()");
      break;
    case Activity::resume_reading:
      reading_paused_ = false;
      if (!closing && !transport_.is_reading())
        violated("S12", "not is_reading() after resume_reading()");
      break;
    case Activity::close:
      if (!closing) violated("S14", "not is_closing() after close()");
      break;
    case Activity::abort:
      if (!closing) violated("S17", "not is_closing() after abort()");
      if (size != 0) violated("S17", in_bytes(size) + " in the buffer after abort()");
      break;
    default: break;
  }
  const auto [low, high] = transport_.get_write_buffer_limits();
  if (may_pause(what.activity) && tells_flow_at_once() && size > high && !writing_paused_ &&
      !what.threw) {
    violated("F5", called(what.activity) + " left " + in_bytes(size) +
                       " in the buffer, more than the high mark of " + in_bytes(high) +
                       ", and did not call pause_writing()");
  }
}

// --- What is told -----------------------------------------------------------------------------------

std::string ContractChecker::TransportChecker::Remembered::to_line() const {
  std::string line(2 * depth, ' ');
  line += to_string(activity);
  line += has_size(activity) ? '(' + std::to_string(size) + ')' : "()";
  if (number != 0) line += " #" + std::to_string(number);
  return line;
}

void ContractChecker::TransportChecker::remember(const Occurrence& what) {
  if (history_.size() == history_size) history_.pop_front();
  history_.push_back({what.activity, what.size, shared_->frames.size(), what.number});
}

void ContractChecker::TransportChecker::violated(const char* rule, std::string what) {
  ContractViolation violation{.rule = rule, .what = std::move(what)};
  violation.transport = std::string(to_string(kind())) + " transport " + std::to_string(number_);
  for (const char* end : {"sockname", "peername"}) {
    const ExtraInfo address = transport_.get_extra_info(end);
    if (const auto* known = std::get_if<Address>(&address); known != nullptr && !known->empty()) {
      violation.transport += std::string(", ") + end + ' ' + known->to_string();
    }
  }
  for (const Remembered& remembered : history_) violation.history.push_back(remembered.to_line());
  shared_->tell(violation);
}

// --- The checker ------------------------------------------------------------------------------------

ContractChecker::ContractChecker(Handler handler)
    : shared_(std::make_shared<Shared>(std::move(handler))) {}

ContractChecker::~ContractChecker() = default;

std::unique_ptr<TransportObserver> ContractChecker::observe(const EventLoop&,
                                                            const ObservedTransport& transport) {
  return observe(transport);
}

std::unique_ptr<TransportObserver> ContractChecker::observe(const ObservedTransport& transport) {
  return std::make_unique<TransportChecker>(shared_, transport);
}

}  // namespace weir::inline v0
