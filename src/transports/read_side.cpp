#include "read_side.h"

#include <exception>

namespace weir::inline v0::detail {

ReadSide::Target ReadSide::receive_buffer() noexcept {
  // A protocol that hands over to another from inside get_buffer() has its buffer left alone. [U10]
  while (BufferedProtocol* protocol = buffered_) {
    std::span<std::byte> buffer;
    CloseReason failure = switch_.lifecycle().guard("protocol.get_buffer()", [&] {
      buffer = protocol->get_buffer(-1);
      if (buffer.empty() && reading() && protocol == buffered_) {
        throw WrongStateError("get_buffer() returned an empty buffer");
      }
    });
    if (failure || !reading()) return {std::nullopt, std::move(failure)};
    if (protocol == buffered_) {
      if (buffer.empty()) return {std::nullopt};
      return {buffer};
    }
  }
  return {std::span<std::byte>()};
}

CloseReason ReadSide::received(ConstBytes bytes) noexcept {
  const auto deliver = [&] {
    if (buffered_ != nullptr) return buffered_->buffer_updated(bytes.size());
    stream_->data_received(bytes);
  };
  const bool buffered = buffered_ != nullptr;
  if (role_ == StreamRole::read_pipe) {
    switch_.lifecycle().run(buffered ? "buffer_updated()" : "data_received()", deliver);  // [I8]
    return {};
  }
  return switch_.lifecycle().guard(
      buffered ? "protocol.buffer_updated()" : "protocol.data_received()", deliver);
}

bool ReadSide::call_eof_received() {
  return buffered_ != nullptr ? buffered_->eof_received() : stream_->eof_received();
}

ReadSide::Eof ReadSide::eof() noexcept {
  switch_.end();
  // What leaves the loop by an exception leaves the connection as it is. [C10]
  bool keep_open = true;
  CloseReason failure = switch_.lifecycle().guard(
      "protocol.eof_received()", [&] { keep_open = call_eof_received(); },
      "Error calling eof_received()");
  return {keep_open ? AfterEof::keep_open : AfterEof::close, std::move(failure)};
}

void ReadSide::pipe_eof() noexcept {
  switch_.lifecycle().run("eof_received()", [&] { static_cast<void>(call_eof_received()); });
}

}  // namespace weir::inline v0::detail
