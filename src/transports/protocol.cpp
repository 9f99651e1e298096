#include <weir/protocol.h>

namespace weir::inline v0 {

AbstractProtocol::~AbstractProtocol() = default;
void AbstractProtocol::connection_lost(const CloseReason&) {}
void AbstractProtocol::pause_writing() {}
void AbstractProtocol::resume_writing() {}

BaseProtocol::~BaseProtocol() = default;
void BaseProtocol::connection_made(Transport) {}

Protocol::~Protocol() = default;
void Protocol::data_received(std::span<const std::byte>) {}
bool Protocol::eof_received() { return false; }

BufferedProtocol::~BufferedProtocol() = default;
bool BufferedProtocol::eof_received() { return false; }

}  // namespace weir::inline v0
