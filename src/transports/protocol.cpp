#include <weir/protocol.h>

namespace weir::inline v0 {

BaseProtocol::~BaseProtocol() = default;
void BaseProtocol::connection_made(Transport) {}
void BaseProtocol::connection_lost(const CloseReason&) {}
void BaseProtocol::pause_writing() {}
void BaseProtocol::resume_writing() {}

Protocol::~Protocol() = default;
void Protocol::data_received(std::span<const std::byte>) {}
bool Protocol::eof_received() { return false; }

BufferedProtocol::~BufferedProtocol() = default;
bool BufferedProtocol::eof_received() { return false; }

}  // namespace weir::inline v0
