#include <weir/pipes.h>

#include <utility>

#include "connecting.h"

namespace weir::inline v0::detail {
namespace {

FutureState::CancelHook start_pipe(EventLoop& loop, ProtocolFactory make_protocol, int pipe,
                                   PipeEnd end, ConnectSink sink) {
  return Connecting::begin<Connecting>(
      loop, std::move(make_protocol), std::move(sink),
      [&](Connecting& connecting) { connecting.adopt_pipe(pipe, end); });
}

}  // namespace

FutureState::CancelHook start_read_pipe(EventLoop& loop, ProtocolFactory make_protocol, int pipe,
                                        ConnectSink sink) {
  return start_pipe(loop, std::move(make_protocol), pipe, PipeEnd::read, std::move(sink));
}

FutureState::CancelHook start_write_pipe(EventLoop& loop, ProtocolFactory make_protocol, int pipe,
                                         ConnectSink sink) {
  return start_pipe(loop, std::move(make_protocol), pipe, PipeEnd::write, std::move(sink));
}

}  // namespace weir::inline v0::detail
