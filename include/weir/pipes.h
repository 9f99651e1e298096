#pragma once

#include <weir/connect.h>
#include <weir/event_loop.h>
#include <weir/export.h>
#include <weir/future.h>
#include <weir/protocol.h>

#include <memory>
#include <utility>

namespace weir::inline v0 {

namespace detail {

WEIR_API FutureState::CancelHook start_read_pipe(EventLoop& loop, ProtocolFactory make_protocol,
                                                 int pipe, ConnectSink sink);
WEIR_API FutureState::CancelHook start_write_pipe(EventLoop& loop, ProtocolFactory make_protocol,
                                                  int pipe, ConnectSink sink);

/// A stream that is only written to, as open_transport() opens it.
struct WriteOnlyOpening : StreamOpening {
  template <class T>
  static auto made_of(T&& made) {
    return make_write_protocol_of(std::forward<T>(made));
  }
};

}  // namespace detail

/// Reads from `pipe`: a pipe, FIFO, socket or character device; asyncio's connect_read_pipe.
///
/// The transport only reads: writing and abort() throw UnsupportedOperationError. At the end of the
/// input it is closing already when eof_received() comes, whose result is ignored. What data_received()
/// throws is reported, and the pipe stays open. [I4-I8, I13] `pipe` becomes non-blocking, for everyone
/// who has the same open file. [I2]
///
/// Errors: through the future only; std::invalid_argument for a descriptor that is closed, of another
/// kind, or not open for reading, and WrongStateError for one that a transport has already: it then
/// stays the caller's. Once taken, it is the transport's, also if the factory throws. [I1, L30, B11]
/// Threads: the loop's.
template <detail::MakesProtocol Factory>
auto connect_read_pipe(EventLoop& loop, Factory make_protocol, int pipe) {
  return detail::open_stream(
      loop, std::move(make_protocol), [&](ProtocolFactory make, detail::ConnectSink sink) {
        return detail::start_read_pipe(loop, std::move(make), pipe, std::move(sink));
      });
}

/// The same with a default-constructed P for a protocol.
template <class P>
  requires(!detail::MakesProtocol<P>)
auto connect_read_pipe(EventLoop& loop, int pipe) {
  return connect_read_pipe(
      loop, [] { return std::make_shared<P>(); }, pipe);
}

/// Writes to `pipe`: a pipe, FIFO, socket or character device; asyncio's connect_write_pipe.
///
/// The transport only writes: pause_reading() and its like throw UnsupportedOperationError. Of the
/// protocol it needs no more than the callbacks of BaseProtocol: the factory may make any object with
/// some of them, by way of a pointer or not. [I9] That the reader has gone is noticed without writing:
/// no error if everything has been sent, else a broken pipe. [I10] write_eof() is close(), after which
/// nothing more is taken. [I12] SIGPIPE is never raised.
///
/// Errors, ownership and threads: as connect_read_pipe().
template <detail::MakesProtocol Factory>
auto connect_write_pipe(EventLoop& loop, Factory make_protocol, int pipe) {
  return detail::open_transport<detail::WriteOnlyOpening>(
      loop, std::move(make_protocol), [&](ProtocolFactory make, detail::ConnectSink sink) {
        return detail::start_write_pipe(loop, std::move(make), pipe, std::move(sink));
      });
}

/// The same with a default-constructed P for a protocol.
template <class P>
  requires(!detail::MakesProtocol<P>)
auto connect_write_pipe(EventLoop& loop, int pipe) {
  return connect_write_pipe(
      loop, [] { return std::make_shared<P>(); }, pipe);
}

}  // namespace weir::inline v0
