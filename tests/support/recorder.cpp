#include "recorder.h"

#include <algorithm>
#include <cstdio>

namespace weir::test {

std::string pattern(std::size_t size, unsigned seed) {
  std::string bytes(size, '\0');
  std::uint32_t state = seed * 2654435761U + 1;
  for (char& byte : bytes) {
    state = state * 1664525U + 1013904223U;
    byte = static_cast<char>(state >> 24U);
  }
  return bytes;
}

namespace {

constexpr std::size_t longest_text = 64;

bool disconnected(const std::error_code& code) {
  return code == std::errc::connection_reset || code == std::errc::broken_pipe ||
         code == std::errc::connection_aborted;
}

}  // namespace

/// Counts how deep in callbacks a recorder is, whatever they throw.
class Recorder::Inside {
 public:
  explicit Inside(Recorder& recorder) : recorder_(recorder) { ++recorder_.depth_; }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  ~Inside() { --recorder_.depth_; }

 private:
  Recorder& recorder_;
};

Recorder::Recorder(EventLoop& loop, ProtocolKind as_kind, std::string name)
    : kind(as_kind), loop_(loop), name_(std::move(name)) {}

AnyProtocol Recorder::protocol(ProtocolKind as_kind) {
  if (as_kind == ProtocolKind::stream) return std::make_shared<RecordingProtocol>(*this);
  return std::make_shared<RecordingBufferedProtocol>(*this);
}

void Recorder::on(std::string_view callback, Action action) {
  actions_.push_back({std::string(callback), std::make_shared<Action>(std::move(action)), false});
}

void Recorder::once(std::string_view callback, Action action) {
  actions_.push_back({std::string(callback), std::make_shared<Action>(std::move(action)), true});
}

std::size_t Recorder::count(std::string_view callback) const {
  return static_cast<std::size_t>(std::ranges::count_if(calls, [&](const std::string& call) {
    return call == callback || call.starts_with(std::string(callback) + ':');
  }));
}

/// What no connection may do, in any test. [B1, B2, B16, S1, S4, F7]
void Recorder::check(std::string_view callback) {
  const auto violated = [&](std::string_view rule) {
    violations.push_back(name_ + ": " + std::string(callback) + ' ' + std::string(rule));
  };
  if (lost_) violated("after connection_lost [B2]");
  if (callback == "connection_made") {
    if (made_ || adopted) violated("twice [B1]");
  } else if (!made_ && !adopted) {
    violated("before connection_made [B1]");
  }
  if (callback != "pause_writing") {
    if (depth_ > 0) violated("inside another callback [B16]");
    if (!loop_.is_running()) violated("outside of the loop [B16]");
  }
  if (callback == "data_received" && eof_) violated("after eof_received [S4]");
  if (callback == "get_buffer" && eof_) violated("after eof_received [U8]");
  if (callback == "eof_received" && eof_) violated("twice [S4]");
  if (callback == "pause_writing" && paused_) violated("twice [F7]");
  if (callback == "resume_writing" && !paused_ && !adopted) violated("without pause_writing [F7]");
}

void Recorder::note(std::string_view callback, std::string_view detail) {
  check(callback);
  run_of_data_ = 0;
  calls.emplace_back(callback);
  if (!detail.empty()) calls.back().append(":").append(detail);
}

void Recorder::note_data(std::string_view callback, std::string_view bytes) {
  check("data_received");
  if (bytes.empty()) violations.push_back(name_ + ": no bytes [S2]");
  if (run_of_data_ == 0) calls.emplace_back();
  received.append(bytes);
  run_of_data_ += bytes.size();
  calls.back() = std::string(callback) + ':';
  calls.back() += run_of_data_ <= longest_text ? received.substr(received.size() - run_of_data_)
                                               : std::to_string(run_of_data_) + " bytes";
}

void Recorder::act(std::string_view callback) {
  std::vector<std::shared_ptr<Action>> due;
  std::erase_if(actions_, [&](const Planned& planned) {
    if (planned.callback != callback) return false;
    due.push_back(planned.action);
    return planned.once;
  });
  for (const auto& action : due) (*action)();
}

void Recorder::connection_made(Transport made_transport) {
  note("connection_made");
  const Inside inside(*this);
  made_ = true;
  transport = made_transport;
  act("connection_made");
}

void Recorder::data_received(std::span<const std::byte> data) {
  note_data("data_received", as_text(data));
  const Inside inside(*this);
  act("data_received");
}

std::span<std::byte> Recorder::get_buffer(std::ptrdiff_t hint) {
  if (notes_buffers) {
    note("get_buffer", std::to_string(hint));
  } else {
    check("get_buffer");
  }
  const Inside inside(*this);
  if (buffer_.size() != buffer_size) buffer_ = std::vector<std::byte>(buffer_size);
  act("get_buffer");
  return buffer_;
}

void Recorder::buffer_updated(std::size_t count) {
  if (count > buffer_.size()) {
    violations.push_back(name_ + ": buffer_updated beyond the buffer [U5]");
    return;
  }
  note_data(notes_buffers ? "buffer_updated" : "data_received",
            as_text(std::span(buffer_).first(count)));
  const Inside inside(*this);
  act("data_received");
}

bool Recorder::eof_received() {
  note("eof_received");
  const Inside inside(*this);
  eof_ = true;
  act("eof_received");
  return keep_open;
}

void Recorder::pause_writing() {
  note("pause_writing");
  const Inside inside(*this);
  paused_ = true;
  act("pause_writing");
}

void Recorder::resume_writing() {
  note("resume_writing");
  const Inside inside(*this);
  paused_ = false;
  act("resume_writing");
}

void Recorder::connection_lost(const CloseReason& why) {
  note("connection_lost", disconnected(why.code()) ? "disconnected" : why.message());
  const Inside inside(*this);
  lost_ = true;
  reason = why;
  act("connection_lost");
}

}  // namespace weir::test
