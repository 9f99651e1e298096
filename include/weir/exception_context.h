#pragma once

#include <weir/datagram.h>
#include <weir/protocol.h>
#include <weir/subprocess.h>
#include <weir/transport.h>

#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace weir::inline v0 {

/// What the loop's exception handler is told. Only `message` is always there. [L21]
struct ExceptionContext {
  std::string message;
  std::exception_ptr exception{};
  /// Of these only the one of its kind.
  std::optional<Transport> transport{};
  std::optional<DatagramTransport> datagram_transport{};
  std::optional<SubprocessTransport> subprocess_transport{};
  std::shared_ptr<AbstractProtocol> protocol{};
  /// Anything else, by name: "handle", "socket", "future".
  std::map<std::string, std::string> extra{};
};

}  // namespace weir::inline v0
