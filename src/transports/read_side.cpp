#include "read_side.h"

#include <exception>

namespace weir::inline v0::detail {

void ReadSide::start() noexcept {
  started_ = true;
  if (reading()) channel_.start_receiving();
}

void ReadSide::pause() noexcept {
  if (!reading()) return;
  paused_ = true;
  channel_.stop_receiving();
}

void ReadSide::resume() noexcept {
  if (!paused_ || lifecycle_.closing()) return;
  paused_ = false;
  // After the end of the stream there is nothing to receive, and no second eof_received(). [S4]
  if (started_ && !ended_) channel_.start_receiving();
}

ReadSide::Target ReadSide::receive_buffer(Transport transport) noexcept {
  // A protocol that hands over to another from inside get_buffer() has its buffer left alone. [U10]
  while (BufferedProtocol* protocol = lifecycle_.protocol().buffered()) {
    std::span<std::byte> buffer;
    CloseReason failure = lifecycle_.guard(transport, "protocol.get_buffer()", [&] {
      buffer = protocol->get_buffer(-1);
      if (buffer.empty() && reading() && protocol == lifecycle_.protocol().buffered()) {
        throw WrongStateError("get_buffer() returned an empty buffer");
      }
    });
    if (failure || !reading()) return {std::nullopt, std::move(failure)};
    if (protocol == lifecycle_.protocol().buffered()) {
      if (buffer.empty()) return {std::nullopt};
      return {buffer};
    }
  }
  return {std::span<std::byte>()};
}

CloseReason ReadSide::received(Transport transport, ConstBytes bytes) noexcept {
  if (BufferedProtocol* buffered = lifecycle_.protocol().buffered()) {
    return lifecycle_.guard(transport, "protocol.buffer_updated()",
                            [&] { buffered->buffer_updated(bytes.size()); });
  }
  Protocol* stream = lifecycle_.protocol().stream();
  return lifecycle_.guard(transport, "protocol.data_received()",
                          [&] { stream->data_received(bytes); });
}

ReadSide::Eof ReadSide::eof(Transport transport) noexcept {
  ended_ = true;
  // What leaves the loop by an exception leaves the connection as it is. [C10]
  bool keep_open = true;
  CloseReason failure = lifecycle_.guard(transport, "protocol.eof_received()", [&] {
    const AnyProtocol& protocol = lifecycle_.protocol();
    keep_open = protocol.buffered() != nullptr ? protocol.buffered()->eof_received()
                                               : protocol.stream()->eof_received();
  });
  return {keep_open ? AfterEof::keep_open : AfterEof::close, std::move(failure)};
}

}  // namespace weir::inline v0::detail
