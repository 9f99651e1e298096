#pragma once

#include <weir/weir.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "calls.h"

namespace weir::test {

/// Which of the two kinds of protocol a recorder is attached as.
enum class ProtocolKind : std::uint8_t { stream, buffered };

/// The diary of one end of a connection: it notes each callback in `calls`, and lets a test act
/// from inside them. Both kinds of protocol write the same diary: what buffer_updated() brings is
/// noted as "data_received" too, unless `notes_buffers` is set.
///
/// Adjacent data is merged, for chunk boundaries mean nothing [S2]; more than 64 bytes are noted by
/// their number. A reset or broken pipe is noted as "connection_lost:disconnected", any other
/// reason with its text. An illegal order of callbacks goes to `violations`, which the fixture
/// asserts to be empty at the end of each test.
///
/// It outlives its protocols: the fixture owns it, the transport owns them.
class Recorder {
 public:
  using Action = std::function<void()>;

  Recorder(EventLoop& loop, ProtocolKind kind, std::string name);
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  /// A new protocol that tells this recorder; of the kind given, or of its own.
  AnyProtocol protocol() { return protocol(kind); }
  AnyProtocol protocol(ProtocolKind as_kind);

  /// Runs `action` each time `callback` ("data_received", "get_buffer", ...) has been noted. Bytes
  /// that arrive for a buffered protocol are "data_received" here, too.
  void on(std::string_view callback, Action action);
  /// The same, the first time only.
  void once(std::string_view callback, Action action);
  /// No actions any more.
  void forget_actions() { actions_.clear(); }

  bool made() const { return made_; }
  bool lost() const { return lost_; }
  /// How often `callback` was noted, whatever came with it.
  std::size_t count(std::string_view callback) const;

  // What happened.
  Calls calls;
  std::string received;     ///< all bytes, in order
  Transport transport;      ///< what connection_made() brought
  CloseReason reason;       ///< what connection_lost() brought
  Calls violations;         ///< callbacks that came when they must not
  int protocols_alive = 0;  ///< protocols of this recorder that exist

  // How it behaves.
  const ProtocolKind kind;
  bool keep_open = false;              ///< what eof_received() returns
  std::size_t buffer_size = 16 * KiB;  ///< what get_buffer() offers
  bool notes_buffers = false;          ///< notes "get_buffer", and "buffer_updated:…" by its name
  bool adopted = false;                ///< set_protocol() brings it: no connection_made()
  bool handed_over = false;            ///< set_protocol() took it away: no connection_lost()

  // The callbacks.
  void connection_made(Transport made_transport);
  void data_received(std::span<const std::byte> data);
  std::span<std::byte> get_buffer(std::ptrdiff_t hint);
  void buffer_updated(std::size_t count);
  bool eof_received();
  void pause_writing();
  void resume_writing();
  void connection_lost(const CloseReason& why);

 private:
  struct Planned {
    std::string callback;
    std::shared_ptr<Action> action;  ///< shared: what it does may change the plan
    bool once;
  };
  class Inside;

  void note(std::string_view callback, std::string_view detail = {});
  void note_data(std::string_view callback, std::string_view bytes);
  void act(std::string_view callback);
  void check(std::string_view callback);

  const EventLoop& loop_;
  std::string name_;
  std::vector<Planned> actions_;
  std::vector<std::byte> buffer_;
  std::size_t run_of_data_ = 0;  ///< bytes in the last entry of `calls`, if that is data
  int depth_ = 0;
  bool made_ = false;
  bool lost_ = false;
  bool eof_ = false;
  bool paused_ = false;
};

/// A streaming protocol that tells a recorder.
class RecordingProtocol final : public Protocol {
 public:
  explicit RecordingProtocol(Recorder& recorder) : recorder_(recorder) { count(1); }
  RecordingProtocol(const RecordingProtocol&) = delete;
  RecordingProtocol& operator=(const RecordingProtocol&) = delete;
  ~RecordingProtocol() override { count(-1); }

  void connection_made(Transport transport) override { recorder_.connection_made(transport); }
  void data_received(std::span<const std::byte> data) override { recorder_.data_received(data); }
  bool eof_received() override { return recorder_.eof_received(); }
  void pause_writing() override { recorder_.pause_writing(); }
  void resume_writing() override { recorder_.resume_writing(); }
  void connection_lost(const CloseReason& reason) override { recorder_.connection_lost(reason); }

  static inline int alive = 0;  ///< of both kinds, in the process

 private:
  void count(int change) {
    alive += change;
    recorder_.protocols_alive += change;
  }

  Recorder& recorder_;
};

/// A buffered protocol that tells a recorder.
class RecordingBufferedProtocol final : public BufferedProtocol {
 public:
  explicit RecordingBufferedProtocol(Recorder& recorder) : recorder_(recorder) { count(1); }
  RecordingBufferedProtocol(const RecordingBufferedProtocol&) = delete;
  RecordingBufferedProtocol& operator=(const RecordingBufferedProtocol&) = delete;
  ~RecordingBufferedProtocol() override { count(-1); }

  void connection_made(Transport transport) override { recorder_.connection_made(transport); }
  std::span<std::byte> get_buffer(std::ptrdiff_t hint) override {
    return recorder_.get_buffer(hint);
  }
  void buffer_updated(std::size_t size) override { recorder_.buffer_updated(size); }
  bool eof_received() override { return recorder_.eof_received(); }
  void pause_writing() override { recorder_.pause_writing(); }
  void resume_writing() override { recorder_.resume_writing(); }
  void connection_lost(const CloseReason& reason) override { recorder_.connection_lost(reason); }

 private:
  void count(int change) {
    RecordingProtocol::alive += change;
    recorder_.protocols_alive += change;
  }

  Recorder& recorder_;
};

}  // namespace weir::test
