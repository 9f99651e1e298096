#pragma once

#include <weir/weir.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "calls.h"
#include "recorder.h"

namespace weir::test {

/// The diary of one datagram socket: it notes each callback in `calls`, and lets a test act from inside
/// them: "connection_made", "datagram_received:hello", "error_received:Connection refused". Datagrams of
/// more than 64 bytes are noted by their number. An illegal order of callbacks goes to `violations`,
/// which the fixture asserts to be empty at the end of each test.
///
/// It outlives its protocols: the fixture owns it, the transport owns them.
class DatagramRecorder {
 public:
  using Action = std::function<void()>;

  DatagramRecorder(EventLoop& loop, std::string name) : loop_(loop), name_(std::move(name)) {}
  DatagramRecorder(const DatagramRecorder&) = delete;
  DatagramRecorder& operator=(const DatagramRecorder&) = delete;

  /// A new protocol that tells this recorder.
  std::shared_ptr<DatagramProtocol> protocol();
  auto factory() {
    return [this] { return protocol(); };
  }

  /// Runs `action` each time `callback` ("datagram_received", ...) has been noted; one for each callback.
  void on(std::string_view callback, Action action);
  void forget_actions() { actions_.clear(); }

  bool made() const { return made_; }
  bool lost() const { return lost_; }
  /// How often `callback` was noted, whatever came with it.
  std::size_t count(std::string_view callback) const;
  /// Where it is bound.
  Address address() const {
    return transport.get_extra_info<Address>("sockname").value_or(Address());
  }

  // What happened.
  Calls calls;
  std::vector<std::string> received;
  std::vector<Address> senders;  ///< of each
  std::vector<std::error_code> errors;
  DatagramTransport transport;  ///< what connection_made() brought
  CloseReason reason;           ///< what connection_lost() brought
  Calls violations;             ///< callbacks that came when they must not
  int protocols_alive = 0;      ///< protocols of this recorder that exist

  bool adopted = false;      ///< set_protocol() brings it: no connection_made()
  bool handed_over = false;  ///< set_protocol() took it away: no connection_lost()

  // The callbacks.
  void connection_made(DatagramTransport made_transport);
  void datagram_received(std::span<const std::byte> data, const Address& sender);
  void error_received(std::error_code error);
  void pause_writing();
  void resume_writing();
  void connection_lost(const CloseReason& why);

 private:
  struct Planned {
    std::string callback;
    std::shared_ptr<Action> action;  ///< shared: what it does may change the plan
  };

  void note(std::string_view callback, std::optional<std::string_view> detail = std::nullopt);
  void act(std::string_view callback);
  void check(std::string_view callback);

  const EventLoop& loop_;
  std::string name_;
  std::vector<Planned> actions_;
  int depth_ = 0;
  bool made_ = false;
  bool lost_ = false;
  bool paused_ = false;
};

/// A protocol that tells a recorder.
class RecordingDatagramProtocol final : public DatagramProtocol {
 public:
  explicit RecordingDatagramProtocol(DatagramRecorder& recorder) : recorder_(recorder) { count(1); }
  RecordingDatagramProtocol(const RecordingDatagramProtocol&) = delete;
  RecordingDatagramProtocol& operator=(const RecordingDatagramProtocol&) = delete;
  ~RecordingDatagramProtocol() override { count(-1); }

  void connection_made(DatagramTransport transport) override {
    recorder_.connection_made(transport);
  }
  void datagram_received(std::span<const std::byte> data, const Address& sender) override {
    recorder_.datagram_received(data, sender);
  }
  void error_received(std::error_code error) override { recorder_.error_received(error); }
  void pause_writing() override { recorder_.pause_writing(); }
  void resume_writing() override { recorder_.resume_writing(); }
  void connection_lost(const CloseReason& reason) override { recorder_.connection_lost(reason); }

 private:
  void count(int change) {
    RecordingProtocol::alive += change;
    recorder_.protocols_alive += change;
  }

  DatagramRecorder& recorder_;
};

}  // namespace weir::test
