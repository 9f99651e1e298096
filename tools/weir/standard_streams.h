// Standard input and output as one stream, whatever the shell made of them.
#pragma once

#include <weir/weir.h>
#include <memory>

#include "stream.h"

namespace weir_tool {

// /dev/null is in their place once they are taken. They become non-blocking for this program alone;
// where that cannot be (a socket), for everybody until this program exits.

/// The socket that both are, as from inetd; none if they are not one.
weir::Descriptor take_standard_socket();

/// Takes them as two: pipes, sockets, terminals and devices become pipe transports; files are copied
/// through one. The end of the input ends one direction; when nobody reads the output any more both are
/// over. Errors come as RunError in connection_lost().
weir::Future<> open_standard_streams(weir::EventLoop& loop,
                                     std::shared_ptr<StreamProtocol> protocol);

}  // namespace weir_tool
