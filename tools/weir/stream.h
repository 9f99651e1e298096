// Byte streams of every scheme, behind one kind of protocol: sockets, the standard streams, children.
#pragma once

#include <weir/weir.h>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "url.h"

namespace weir_tool {

/// What there is to know of a stream of two pipes.
struct PipePair {
  /// A command at the other end.
  std::optional<weir::SubprocessTransport> command{};
  /// No more is received: the other end has said all it had to.
  bool has_ended = false;
  /// This end was told to write no more.
  bool writing_ended = false;
  /// The command was told to end before it had, so how it ended is nobody's fault.
  bool is_cut_off = false;
};

/// Both directions of a stream: one transport of a socket, or two of pipes. A handle, free to copy.
class Stream {
 public:
  Stream() = default;
  explicit Stream(weir::Transport socket) : reader_(socket), writer_(socket) {}
  Stream(weir::Transport reader, weir::Transport writer, std::shared_ptr<PipePair> pipes)
      : reader_(reader), writer_(writer), pipes_(std::move(pipes)) {}

  /// What a reader that has gone away would not get is dropped.
  void write(std::span<const std::byte> data) const {
    if (!writer_.is_closing()) writer_.write(data);
  }
  /// Ends this direction only. TLS cannot do that: then it does nothing.
  void write_eof() const;
  bool can_write_eof() const { return pipes_ || writer_.can_write_eof(); }
  bool has_unsent() const { return writer_.get_write_buffer_size() > 0; }
  /// Whether it ended in a way that anybody can bring about who carries its bytes, so that some may be
  /// missing; of TLS, which can tell.
  bool is_cut_off() const { return reader_.get_extra_info<bool>("tls_clean_shutdown") == false; }
  void set_write_buffer_limits(weir::WriteBufferLimits limits) const {
    writer_.set_write_buffer_limits(limits);
  }
  void pause_reading() const { reader_.pause_reading(); }
  void resume_reading() const { reader_.resume_reading(); }

  /// Sends what was written, and ends both directions. A command that has more to say is terminated.
  void close() const;
  /// Ends both directions at once; a command is killed.
  void abort() const;
  /// As abort(), and the peer of a TCP socket is told that it was no regular end: ECONNRESET. Unix sockets have
  /// no such thing.
  void reset() const;

  /// Empty for anything but a socket that has one.
  std::optional<weir::Address> peer() const {
    return reader_.get_extra_info<weir::Address>("peername");
  }

 private:
  weir::Transport reader_;
  weir::Transport writer_;
  std::shared_ptr<PipePair> pipes_;
};

/// The protocol of a stream, whatever it is made of. The callbacks and their order are those of a
/// socket, but for this one.
class StreamProtocol : public weir::Protocol {
 public:
  /// In place of connection_made().
  virtual void stream_made(Stream stream) = 0;

  void connection_made(weir::Transport transport) final { stream_made(Stream(transport)); }
};

using StreamFactory = std::function<std::shared_ptr<StreamProtocol>()>;

/// Connects to `url`, starts its command, or takes the standard streams. Done after stream_made().
/// Errors, through the future: RunError in words for a person.
weir::Future<> open_stream(weir::EventLoop& loop, const Url& url,
                           std::shared_ptr<StreamProtocol> protocol);

/// Serves `url`, which is a socket's. Throws RunError.
weir::Server listen(weir::EventLoop& loop, const Url& url, StreamFactory factory);
/// The same on `socket`, at which another loop listens already and goes on to: the one that is idle accepts.
weir::Server listen_along(weir::EventLoop& loop, const Url& url, int socket, StreamFactory factory);

}  // namespace weir_tool
