#pragma once

#include <weir/address.h>
#include <weir/observer.h>
#include <weir/protocol.h>
#include <weir/transport.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "backend.h"
#include "intrusive_list.h"
#include "lifecycle.h"
#include "loop.h"
#include "read_side.h"
#include "write_side.h"

namespace weir::inline v0::detail {

struct ServerTag;
class StreamTransport;

/// Told when a connection it takes part in is over. [V12]
class ConnectionObserver {
 public:
  /// connection_lost() has returned; `transport` is about to go.
  virtual void connection_gone(StreamTransport& transport) noexcept = 0;

 protected:
  ~ConnectionObserver() = default;
};

/// Told that a new transport is up, or why it is not: what connection_made() threw, where that is fatal.
/// [T29]
using TransportReady = UniqueFunction<void(Transport, const std::exception_ptr&)>;

/// A protocol that has been told of connection_made() by another transport, which it had before.
enum class TakenOver : std::uint8_t {
  no,
  yes,
  yes_paused,  ///< and was told to pause writing: it will be told to resume
};

/// What a new transport is made of.
struct StreamTransportParts {
  std::unique_ptr<StreamChannel> channel;
  AnyProtocol protocol;
  Address peer{};
  StreamRole role = StreamRole::socket;
  std::shared_ptr<ConnectionObserver> observer{};  ///< of the server that accepted it
  /// Called once, from the loop, between connection_made() and the first data. [B8]
  TransportReady ready{};
  TakenOver taken_over = TakenOver::no;
};

/// The transport of every byte stream: TCP, Unix, both pipe ends and TLS are this one class.
///
/// It only joins its parts: Lifecycle says what may still happen, ReadSide and WriteSide do one
/// direction each. The loop owns it; it goes when its channel is closed.
class StreamTransport final : public Owned,
                              public ListNode<ServerTag>,
                              public ObservedTransport,
                              private StreamEvents {
 public:
  /// Makes one, owned by `loop`. From the loop, later: connection_made(), `ready`, data. [B1, B8]
  /// Throws std::invalid_argument if the protocol does not fit the role.
  static StreamTransport& start(Loop& loop, StreamTransportParts parts);

  explicit StreamTransport(Loop& loop, StreamTransportParts parts);
  ~StreamTransport() override;

  Transport handle() const noexcept { return Transport(lifecycle_.name()); }
  /// A handle for whoever takes this over: all that were given away before name nothing from here on.
  Transport new_handle() {
    lifecycle_.rename(this);
    return handle();
  }
  bool on_loop_thread() noexcept { return lifecycle_.loop().on_loop_thread(); }
  StreamRole role() const noexcept { return read_side_.role(); }
  TransportKind kind() const noexcept override;
  bool is_pipe() const noexcept {
    return role() == StreamRole::read_pipe || role() == StreamRole::write_pipe;
  }
  /// The transport behind a handle, null if it is dead.
  static StreamTransport* of(const Transport& handle) noexcept;

  // The calls of the public handle, for a live transport.
  void write(ConstBytes data);
  void write(Buffer data);
  void writelines(std::span<const ConstBytes> lines);
  void write(ConstBytes data, std::span<const int> descriptors);
  void receive_descriptors(bool enabled);
  std::vector<Descriptor> take_descriptors();
  void write_eof();
  void close();
  void abort(const CloseReason& reason);
  bool is_closing() const noexcept override {
    return lifecycle_.closing() || (role() == StreamRole::tls && tls().is_below_closing());
  }
  void pause_reading();
  void resume_reading();
  bool is_reading() const noexcept override;
  void set_write_buffer_limits(WriteBufferLimits limits);
  EffectiveWriteBufferLimits get_write_buffer_limits() const noexcept override;
  std::size_t get_write_buffer_size() const noexcept override;
  void set_read_buffer_limits(ReadBufferLimits limits) { tls().set_read_buffer_limits(limits); }
  EffectiveReadBufferLimits read_buffer_limits() const { return tls().read_buffer_limits(); }
  std::size_t read_buffer_size() const { return tls().read_buffer_size(); }
  ExtraInfo get_extra_info(std::string_view name) const override;
  void set_protocol(const AnyProtocol& protocol);
  std::shared_ptr<BaseProtocol> protocol() const {
    return std::static_pointer_cast<BaseProtocol>(lifecycle_.protocol());
  }

  // For who has the sending half to itself: see WriteSide::lock().
  void lock_writing(WriteLock& lock) noexcept;
  void unlock_writing() noexcept;
  void require_unlocked(const char* refused) const { write_side_.require_unlocked(refused); }
  void write_locked(Buffer data) { fail(write_side_.write_locked(std::move(data))); }
  bool is_writing_paused() const noexcept { return write_side_.paused(); }
  bool has_written_eof() const noexcept { return write_side_.ended(); }
  const StreamChannel& channel() const noexcept { return *channel_; }
  /// How many TLS connections this one is made of.
  std::size_t tls_nesting() const { return role() == StreamRole::tls ? tls().nesting() + 1 : 0; }

 private:
  std::optional<std::span<std::byte>> receive_buffer() noexcept override;
  bool has_own_buffer() const noexcept override { return read_side_.has_own_buffer(); }
  void on_received(ConstBytes bytes) noexcept override;
  void on_eof() noexcept override;
  std::size_t unsent(std::span<ConstBytes> pieces) noexcept override;
  void on_sent(std::size_t count) noexcept override;
  bool awaits_sent() const noexcept override {
    return write_side_.awaits_sent() || lifecycle_.closing();
  }
  void on_failed(std::error_code error) noexcept override;
  void on_over(const CloseReason& reason) noexcept override;
  void on_closed() noexcept override;

  /// Throws std::invalid_argument if `protocol` does not fit the role.
  static void require_fit(const AnyProtocol& protocol, StreamRole role);
  Observation* observation() const noexcept { return lifecycle_.observation(); }
  LocalSocket& local_socket() const;
  TlsFacet& tls() const;
  void socket_ended() noexcept;
  void tls_ended() noexcept;
  void read_pipe_ended() noexcept;
  void reader_gone() noexcept;
  void begin(TransportReady& ready, TakenOver taken_over);
  CloseReason connection_made() noexcept;
  void settle_writing();
  /// Ends the connection, unless `reason` is empty or something else did so before.
  void fail(const CloseReason& reason) {
    if (reason) break_off(reason);
  }
  void break_off(const CloseReason& reason);
  void log_failure(const CloseReason& reason);
  /// connection_lost(reason) will come from the loop; until then nothing else does.
  void doom(const CloseReason& reason);
  /// The first half of it; false if it was doomed before.
  [[nodiscard]] bool stop(const CloseReason& reason);
  void lose() noexcept;

  std::unique_ptr<StreamChannel> channel_;
  Address peer_;
  std::shared_ptr<ConnectionObserver> observer_;
  Lifecycle lifecycle_;
  ReadSide read_side_;
  WriteSide write_side_;
};

}  // namespace weir::inline v0::detail
