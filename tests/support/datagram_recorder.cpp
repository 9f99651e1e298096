#include "datagram_recorder.h"

#include <algorithm>

namespace weir::test {
namespace {

constexpr std::size_t longest_text = 64;

/// How deep in callbacks a recorder is, whatever they throw.
class Inside {
 public:
  explicit Inside(int& depth) : depth_(depth) { ++depth_; }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  ~Inside() { --depth_; }

 private:
  int& depth_;
};

}  // namespace

std::shared_ptr<DatagramProtocol> DatagramRecorder::protocol() {
  return std::make_shared<RecordingDatagramProtocol>(*this);
}

void DatagramRecorder::on(std::string_view callback, Action action) {
  actions_.push_back({std::string(callback), std::make_shared<Action>(std::move(action))});
}

std::size_t DatagramRecorder::count(std::string_view callback) const {
  return static_cast<std::size_t>(std::ranges::count_if(calls, [&](const std::string& call) {
    return call == callback || call.starts_with(std::string(callback) + ':');
  }));
}

/// What no transport may do, in any test. [B1, B2, B16, D1, F7]
void DatagramRecorder::check(std::string_view callback) {
  const auto violated = [&](std::string_view rule) {
    violations.push_back(name_ + ": " + std::string(callback) + ' ' + std::string(rule));
  };
  if (lost_) violated("after connection_lost [B2]");
  if (callback == "connection_made") {
    if (made_ || adopted) violated("twice [B1]");
  } else if (!made_ && !adopted) {
    violated("before connection_made [B1]");
  }
  if (callback != "pause_writing" && callback != "error_received") {
    if (depth_ > 0) violated("inside another callback [B16]");
    if (!loop_.is_running()) violated("outside of the loop [B16]");
  }
  if (callback == "pause_writing" && paused_) violated("twice [F7]");
  if (callback == "resume_writing" && !paused_ && !adopted) violated("without pause_writing [F7]");
}

void DatagramRecorder::note(std::string_view callback, std::optional<std::string_view> detail) {
  check(callback);
  calls.emplace_back(callback);
  if (detail) calls.back().append(":").append(*detail);
}

void DatagramRecorder::act(std::string_view callback) {
  std::vector<std::shared_ptr<Action>> due;
  for (const Planned& planned : actions_) {
    if (planned.callback == callback) due.push_back(planned.action);
  }
  const Inside inside(depth_);
  for (const auto& action : due) (*action)();
}

void DatagramRecorder::connection_made(DatagramTransport made_transport) {
  note("connection_made");
  made_ = true;
  transport = made_transport;
  act("connection_made");
}

void DatagramRecorder::datagram_received(std::span<const std::byte> data, const Address& sender) {
  const std::string size = std::to_string(data.size()) + " bytes";
  note("datagram_received", data.size() <= longest_text ? as_text(data) : size);
  received.emplace_back(as_text(data));
  senders.push_back(sender);
  act("datagram_received");
}

void DatagramRecorder::error_received(std::error_code error) {
  note("error_received", error.message());
  errors.push_back(error);
  act("error_received");
}

void DatagramRecorder::pause_writing() {
  note("pause_writing");
  paused_ = true;
  act("pause_writing");
}

void DatagramRecorder::resume_writing() {
  note("resume_writing");
  paused_ = false;
  act("resume_writing");
}

void DatagramRecorder::connection_lost(const CloseReason& why) {
  note(why ? "connection_lost:" + why.message() : "connection_lost");
  lost_ = true;
  reason = why;
  act("connection_lost");
}

}  // namespace weir::test
