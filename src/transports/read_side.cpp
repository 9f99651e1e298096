#include "read_side.h"

#include <exception>

namespace weir::inline v0::detail {

ReadSide::Target ReadSide::receive_buffer() noexcept {
  // A protocol that hands over to another from inside get_buffer() has its buffer left alone. [U10]
  while (BufferedProtocol* protocol = buffered_) {
    std::span<std::byte> buffer;
    Occurrence get{.activity = Activity::get_buffer, .protocol = protocol};
    CloseReason failure = switch_.lifecycle().guard(get, [&] {
      buffer = protocol->get_buffer(-1);
      get.size = buffer.size();
      if (buffer.empty() && reading() && protocol == buffered_) {
        throw WrongStateError("get_buffer() returned an empty buffer");
      }
    });
    // Nor if what happened in there is the last that this run call, or this host, hears of. [C10]
    const bool over = !reading() || switch_.lifecycle().loop().is_leaving();
    if (failure || over) return {std::nullopt, std::move(failure)};
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
  Occurrence received{
      .activity = buffered_ != nullptr ? Activity::buffer_updated : Activity::data_received,
      .protocol = protocol(),
      .data = bytes,
      .size = bytes.size()};
  if (role_ != StreamRole::read_pipe) return switch_.lifecycle().guard(received, deliver);
  switch_.lifecycle().run(received, deliver);  // [I8]
  return {};
}

const AbstractProtocol* ReadSide::protocol() const noexcept {
  if (buffered_ != nullptr) return buffered_;
  return stream_;
}

bool ReadSide::call_eof_received() {
  return buffered_ != nullptr ? buffered_->eof_received() : stream_->eof_received();
}

ReadSide::Eof ReadSide::eof() noexcept {
  switch_.end();
  // What leaves the loop by an exception leaves the connection as it is. [C10]
  bool keep_open = true;
  Occurrence eof{.activity = Activity::eof_received, .protocol = protocol()};
  CloseReason failure =
      switch_.lifecycle().guard(eof, [&] { eof.result = keep_open = call_eof_received(); });
  return {keep_open ? AfterEof::keep_open : AfterEof::close, std::move(failure)};
}

void ReadSide::pipe_eof() noexcept {
  Occurrence eof{.activity = Activity::eof_received, .protocol = protocol()};
  switch_.lifecycle().run(eof, [&] { eof.result = call_eof_received(); });
}

}  // namespace weir::inline v0::detail
