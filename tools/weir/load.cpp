#include "load.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <exception>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "datagram_load.h"
#include "pattern.h"
#include "stream.h"
#include "terminal.h"

namespace weir_tool {
namespace {

using TimePoint = weir::EventLoop::TimePoint;
using namespace std::chrono_literals;

constexpr std::size_t longest_write = std::size_t{256} * 1024;
constexpr std::size_t connecting_at_once = 64;  // under the usual backlog of a server
constexpr auto progress_interval = 200ms;
/// How long the last messages may take to come back, and the connections to end.
constexpr auto drain_time = 5s;

/// What the connections of one load share: the clock, the counts, the first error.
class Load {
 public:
  Load(weir::EventLoop& loop, const LoadOptions& options, const LoadProgress& progress)
      : loop_(loop),
        options_(options),
        progress_(progress),
        pattern_(std::max(options.message_bytes, longest_write)),
        finished_(loop.create_future()) {}

  const LoadOptions& options() const { return options_; }
  const Pattern& pattern() const { return pattern_; }
  TimePoint now() const { return loop_.time(); }
  bool sending() const { return phase_ == Phase::measuring; }
  bool closing() const { return phase_ == Phase::closing; }

  LoadResult run();

  void message_back(TimePoint sent, TimePoint back);
  void bytes_checked(std::size_t count) { result_.bytes_checked += count; }
  /// The connection has nothing on its way any more, after the sending has stopped.
  void drained();
  void connection_began() { ++open_; }
  void connection_ended();
  /// Ends the run; only the first one counts.
  void fail(std::string error);

 private:
  /// connecting -> measuring -> draining -> closing
  enum class Phase { connecting, measuring, draining, closing };
  class Client;

  void connect_all();
  void connect(std::size_t how_many);
  void finish_if_done();
  void start();
  void tick();
  void stop_sending();
  void close_all();

  weir::EventLoop& loop_;
  const LoadOptions& options_;
  const LoadProgress& progress_;
  Pattern pattern_;
  weir::Future<> finished_;
  Phase phase_ = Phase::connecting;
  TimePoint started_;
  weir::TimerHandle tick_;
  weir::TimerHandle deadline_;
  std::vector<std::shared_ptr<Client>> clients_;
  std::size_t drained_ = 0;
  std::size_t open_ = 0;
  bool all_connected_ = false;
  LoadResult result_;
};

/// One connection: keeps `pipeline` messages on their way, and checks what comes back.
class Load::Client : public StreamProtocol {
 public:
  Client(Load& load, std::size_t number)
      : load_(load), number_(number), first_byte_(number * std::uint64_t{7919}) {}

  void start() { send_more(); }
  void stop_sending() {
    if (sent_at_.empty()) load_.drained();
  }
  void close() const { stream_.close(); }
  void abort() const { stream_.abort(); }
  std::uint64_t missing() const { return sent_ - received_; }

  void stream_made(Stream stream) override {
    stream_ = std::move(stream);
    load_.connection_began();
    if (load_.closing()) stream_.abort();
  }

  void data_received(std::span<const std::byte> data) override {
    if (load_.closing() || !check(data)) return;
    received_ += data.size();
    load_.bytes_checked(data.size());
    complete_messages();
    if (load_.sending()) {
      send_more();
    } else if (sent_at_.empty()) {
      load_.drained();
    }
  }

  void pause_writing() override { paused_ = true; }
  void resume_writing() override {
    paused_ = false;
    send_more();
  }

  void connection_lost(const weir::CloseReason& reason) override {
    if (!load_.closing()) {
      load_.fail(fmt::format("connection {} ended with {} bytes missing: {}", number_, missing(),
                             reason ? reason.message() : "closed by the server"));
    }
    load_.connection_ended();
  }

 private:
  bool check(std::span<const std::byte> data) {
    if (data.size() > missing()) {
      load_.fail(fmt::format("connection {} received {} bytes more than were sent", number_,
                             data.size() - missing()));
      return false;
    }
    const auto wrong = load_.pattern().mismatch(first_byte_ + received_, data);
    if (!wrong) return true;
    const std::uint64_t position = received_ + *wrong;
    load_.fail(
        fmt::format("connection {}, byte {}: received 0x{:02x}, sent 0x{:02x}", number_,
                    format_count(position), static_cast<unsigned>(data[*wrong]),
                    static_cast<unsigned>(load_.pattern().at(first_byte_ + position, 1).front())));
    return false;
  }

  void complete_messages() {
    const TimePoint now = load_.now();
    const std::size_t size = load_.options().message_bytes;
    for (; !sent_at_.empty() && received_ - completed_ >= size; completed_ += size) {
      load_.message_back(sent_at_.front(), now);
      sent_at_.pop_front();
    }
  }

  /// Messages follow each other in the pattern, so that one write takes as many as are due.
  void send_more() {
    const std::size_t size = load_.options().message_bytes;
    const std::size_t most = std::max<std::size_t>(load_.pattern().longest() / size, 1);
    while (load_.sending() && !paused_ && sent_at_.size() < load_.options().pipeline) {
      const std::size_t count = std::min(load_.options().pipeline - sent_at_.size(), most);
      sent_at_.insert(sent_at_.end(), count, load_.now());
      sent_ += count * size;
      stream_.write(load_.pattern().at(first_byte_ + sent_ - count * size, count * size));
    }
  }

  Load& load_;
  std::size_t number_;
  std::uint64_t first_byte_;  // where in the pattern this connection begins
  Stream stream_;
  std::deque<TimePoint> sent_at_;  // of the messages on their way
  std::uint64_t sent_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t completed_ = 0;  // bytes of whole messages
  bool paused_ = false;
};

LoadResult Load::run() {
  connect_all();
  all_connected_ = true;
  loop_.call_soon([this] { start(); });
  loop_.run_until_complete(finished_);
  return std::move(result_);
}

/// The first one alone: if nobody listens, that is one error and not a hundred.
void Load::connect_all() {
  connect(1);
  while (!closing() && clients_.size() < options_.connections) {
    connect(std::min(options_.connections - clients_.size(), connecting_at_once));
  }
}

void Load::connect(std::size_t how_many) {
  std::vector<weir::Future<>> attempts;
  for (std::size_t index = 0; index < how_many; ++index) {
    auto client = std::make_shared<Client>(*this, clients_.size());
    clients_.push_back(client);
    attempts.push_back(open_stream(loop_, options_.url, client));
  }
  std::exception_ptr failure;
  for (const auto& attempt : attempts) {
    try {
      loop_.run_until_complete(attempt);
    } catch (...) {
      failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

void Load::start() {
  if (closing()) return finish_if_done();  // a connection ended early
  phase_ = Phase::measuring;
  started_ = now();
  deadline_ = loop_.call_later(options_.duration, [this] { stop_sending(); });
  if (progress_) tick_ = loop_.call_later(progress_interval, [this] { tick(); });
  for (const auto& client : clients_) client->start();
}

void Load::tick() {
  result_.elapsed = now() - started_;
  progress_(result_);
  tick_ = loop_.call_later(progress_interval, [this] { tick(); });
}

void Load::message_back(TimePoint sent, TimePoint back) {
  if (!sending()) return;
  ++result_.requests;
  result_.bytes_each_way += options_.message_bytes;
  result_.latencies.add(back - sent);
}

void Load::stop_sending() {
  phase_ = Phase::draining;
  tick_.cancel();
  result_.elapsed = now() - started_;
  deadline_ = loop_.call_later(drain_time, [this] {
    std::uint64_t missing = 0;
    for (const auto& client : clients_) missing += client->missing();
    fail(fmt::format("{} bytes did not come back within {}", format_count(missing),
                     format_duration(drain_time)));
  });
  for (const auto& client : clients_) client->stop_sending();
}

void Load::drained() {
  if (phase_ == Phase::draining && ++drained_ == clients_.size()) close_all();
}

void Load::close_all() {
  phase_ = Phase::closing;
  deadline_.cancel();
  tick_.cancel();
  for (const auto& client : clients_) {
    if (result_.error.empty()) {
      client->close();
    } else {
      client->abort();
    }
  }
}

void Load::connection_ended() {
  --open_;
  finish_if_done();
}

void Load::finish_if_done() {
  if (all_connected_ && open_ == 0 && !finished_.done()) finished_.set_result();
}

void Load::fail(std::string error) {
  if (closing()) return;
  if (phase_ == Phase::measuring) result_.elapsed = now() - started_;
  result_.error = std::move(error);
  close_all();
}

}  // namespace

double LoadResult::requests_per_second() const {
  return elapsed.count() > 0 ? static_cast<double>(requests) / seconds() : 0;
}

double LoadResult::mib_per_second() const {
  return elapsed.count() > 0 ? static_cast<double>(bytes_each_way) / (1 << 20) / seconds() : 0;
}

LoadResult run_load(weir::EventLoop& loop, const LoadOptions& options,
                    const LoadProgress& progress) {
  if (is<UdpUrl>(options.url)) return run_datagram_load(loop, options, progress);
  return Load(loop, options, progress).run();
}

}  // namespace weir_tool
