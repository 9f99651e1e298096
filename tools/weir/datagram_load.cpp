#include "datagram_load.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "errors.h"
#include "pattern.h"
#include "terminal.h"

namespace weir_tool {
namespace {

using TimePoint = weir::EventLoop::TimePoint;
using namespace std::chrono_literals;

constexpr auto progress_interval = 200ms;
/// A datagram without an answer for this long is lost: far more than any healthy network takes.
constexpr auto loss_time = 500ms;
constexpr auto loss_check_interval = 100ms;

class DatagramLoad {
 public:
  DatagramLoad(weir::EventLoop& loop, const LoadOptions& options, const LoadProgress& progress)
      : loop_(loop),
        options_(options),
        progress_(progress),
        pattern_(options.message_bytes),
        message_(options.message_bytes),
        finished_(loop.create_future()) {
    result_.datagrams.emplace();
  }

  LoadResult run();

 private:
  class Client;
  /// measuring -> draining -> over
  enum class Phase { measuring, draining, over };

  DatagramCounts& counts() { return *result_.datagrams; }
  void open_all();
  void start();
  void tick();
  void check_losses();
  void stop_sending();
  void finish_if_drained();
  void finish();
  /// Wrong content: the first error is the result's.
  void fail(std::string error);
  /// No way to go on.
  void give_up(std::exception_ptr error);

  weir::EventLoop& loop_;
  const LoadOptions& options_;
  const LoadProgress& progress_;
  Pattern pattern_;
  std::vector<std::byte> message_;  // the one that is being sent
  weir::Future<> finished_;
  Phase phase_ = Phase::measuring;
  TimePoint started_;
  weir::TimerHandle tick_;
  weir::TimerHandle loss_check_;
  std::vector<std::shared_ptr<Client>> clients_;
  std::uint64_t unanswered_ = 0;
  LoadResult result_;
};

/// One socket and its datagrams without an answer. Datagram number n is in slot n modulo their count.
class DatagramLoad::Client : public weir::DatagramProtocol {
 public:
  Client(DatagramLoad& load, std::size_t number)
      : load_(load), number_(number), slots_(load.options_.pipeline) {
    for (std::size_t index = 0; index < slots_.size(); ++index) slots_[index].sequence = index;
  }

  void send_more() {
    for (Slot& slot : slots_) {
      if (!slot.waiting) send(slot);
    }
  }

  void check_losses(TimePoint now) {
    for (Slot& slot : slots_) {
      if (!slot.waiting || now - slot.sent_at < loss_time) continue;
      ++load_.counts().lost;
      free(slot);
    }
  }

  void abort() const { transport_.abort(); }

  void connection_made(weir::DatagramTransport transport) override { transport_ = transport; }
  void pause_writing() override { paused_ = true; }
  void resume_writing() override {
    paused_ = false;
    send_more();
  }

  void datagram_received(std::span<const std::byte> data, const weir::Address&) override {
    if (load_.phase_ == Phase::over) return;
    if (data.size() != load_.options_.message_bytes) {
      return load_.fail(fmt::format("socket {}: received a datagram of {} bytes, sent {}", number_,
                                    data.size(), load_.options_.message_bytes));
    }
    const std::uint64_t sequence = sequence_of(data);
    Slot& slot = slots_[static_cast<std::size_t>(sequence % slots_.size())];
    if (sequence > slot.sequence || (sequence == slot.sequence && slot.is_new)) {
      return load_.fail(fmt::format("socket {}: received a datagram that was never sent", number_));
    }
    if (!check(sequence, data)) return;
    load_.result_.bytes_checked += data.size();
    if (sequence == slot.sequence && slot.waiting) {
      answered(slot);
    } else {
      ++load_.counts().late;
    }
  }

  void error_received(std::error_code error) override {
    // What could not be sent is lost, and found so; a refusal will not get better.
    if (error == std::errc::no_buffer_space) return;
    load_.give_up(
        cannot_connect(load_.options_.url, std::make_exception_ptr(std::system_error(error))));
  }

 private:
  struct Slot {
    std::uint64_t sequence = 0;
    TimePoint sent_at{};
    bool waiting = false;
    bool is_new = true;
  };

  static std::uint64_t sequence_of(std::span<const std::byte> data) {
    std::uint64_t sequence = 0;
    for (std::size_t index = 0; index < least_datagram_bytes; ++index) {
      sequence = sequence << 8U | static_cast<std::uint64_t>(data[index]);
    }
    return sequence;
  }

  /// The stream of the pattern differs from socket to socket and from number to number.
  std::uint64_t offset_of(std::uint64_t sequence) const {
    return number_ * std::uint64_t{7919} + sequence * load_.options_.message_bytes;
  }

  void send(Slot& slot) {
    if (load_.phase_ != Phase::measuring || paused_) return;
    if (!std::exchange(slot.is_new, false)) slot.sequence += slots_.size();
    slot.waiting = true;
    slot.sent_at = load_.loop_.time();
    std::vector<std::byte>& message = load_.message_;
    const auto body = load_.pattern_.at(offset_of(slot.sequence), message.size());
    std::copy(body.begin(), body.end(), message.begin());
    for (std::size_t index = 0; index < least_datagram_bytes; ++index) {
      message[index] = static_cast<std::byte>(slot.sequence >> (56U - 8U * index));
    }
    ++load_.unanswered_;
    ++load_.counts().sent;
    transport_.sendto(message);
  }

  bool check(std::uint64_t sequence, std::span<const std::byte> data) {
    const auto body = data.subspan(least_datagram_bytes);
    const auto wrong = load_.pattern_.mismatch(offset_of(sequence) + least_datagram_bytes, body);
    if (!wrong) return true;
    load_.fail(fmt::format("socket {}, datagram {}, byte {}: received 0x{:02x}, not what was sent",
                           number_, format_count(sequence), *wrong + least_datagram_bytes,
                           static_cast<unsigned>(body[*wrong])));
    return false;
  }

  void answered(Slot& slot) {
    ++load_.counts().received;
    if (load_.phase_ == Phase::measuring) {
      ++load_.result_.requests;
      load_.result_.bytes_each_way += load_.options_.message_bytes;
      load_.result_.latencies.add(load_.loop_.time() - slot.sent_at);
    }
    free(slot);
  }

  void free(Slot& slot) {
    slot.waiting = false;
    --load_.unanswered_;
    send(slot);
    load_.finish_if_drained();
  }

  DatagramLoad& load_;
  std::size_t number_;
  std::vector<Slot> slots_;
  weir::DatagramTransport transport_;
  bool paused_ = false;
};

LoadResult DatagramLoad::run() {
  open_all();
  loop_.call_soon([this] { start(); });
  loop_.run_until_complete(finished_);
  return std::move(result_);
}

void DatagramLoad::open_all() {
  const auto& url = std::get<UdpUrl>(options_.url);
  for (std::size_t number = 0; number < options_.connections; ++number) {
    auto client = std::make_shared<Client>(*this, number);
    clients_.push_back(client);
    try {
      loop_.run_until_complete(
          weir::create_datagram_endpoint(loop_, [client] { return client; },
                                         {.remote_addr = weir::LocalAddress{url.host, url.port}}));
    } catch (...) {
      std::rethrow_exception(cannot_connect(options_.url, std::current_exception()));
    }
  }
}

void DatagramLoad::start() {
  started_ = loop_.time();
  loop_.call_later(options_.duration, [this] { stop_sending(); });
  loss_check_ = loop_.call_later(loss_check_interval, [this] { check_losses(); });
  if (progress_) tick_ = loop_.call_later(progress_interval, [this] { tick(); });
  for (const auto& client : clients_) client->send_more();
}

void DatagramLoad::tick() {
  result_.elapsed = loop_.time() - started_;
  progress_(result_);
  tick_ = loop_.call_later(progress_interval, [this] { tick(); });
}

void DatagramLoad::check_losses() {
  loss_check_ = loop_.call_later(loss_check_interval, [this] { check_losses(); });
  const TimePoint now = loop_.time();
  for (const auto& client : clients_) client->check_losses(now);
}

void DatagramLoad::stop_sending() {
  if (phase_ != Phase::measuring) return;
  phase_ = Phase::draining;
  tick_.cancel();
  result_.elapsed = loop_.time() - started_;
  finish_if_drained();
}

void DatagramLoad::finish_if_drained() {
  if (phase_ == Phase::draining && unanswered_ == 0) finish();
}

void DatagramLoad::finish() {
  if (phase_ == Phase::measuring) result_.elapsed = loop_.time() - started_;
  phase_ = Phase::over;
  tick_.cancel();
  loss_check_.cancel();
  for (const auto& client : clients_) client->abort();
  if (!finished_.done()) finished_.set_result();
}

void DatagramLoad::fail(std::string error) {
  if (phase_ == Phase::over) return;
  result_.error = std::move(error);
  finish();
}

void DatagramLoad::give_up(std::exception_ptr error) {
  if (phase_ == Phase::over) return;
  finished_.set_exception(std::move(error));
  finish();
}

}  // namespace

LoadResult run_datagram_load(weir::EventLoop& loop, const LoadOptions& options,
                             const LoadProgress& progress) {
  return DatagramLoad(loop, options, progress).run();
}

}  // namespace weir_tool
