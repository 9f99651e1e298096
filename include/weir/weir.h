#pragma once

// Everything Weir has: event loop, transports, protocols, clients and servers.

#include <weir/address.h>
#include <weir/buffer.h>
#include <weir/callback.h>
#include <weir/connect.h>
#include <weir/contract_checker.h>
#include <weir/datagram.h>
#include <weir/descriptor.h>
#include <weir/error.h>
#include <weir/event_loop.h>
#include <weir/exception_context.h>
#include <weir/executor.h>
#include <weir/explore.h>
#include <weir/future.h>
#include <weir/log.h>
#include <weir/loop_threads.h>
#include <weir/observer.h>
#include <weir/pipes.h>
#include <weir/protocol.h>
#include <weir/resolve.h>
#include <weir/sendfile.h>
#include <weir/serve_on.h>
#include <weir/server.h>
#include <weir/simulation.h>
#include <weir/sock.h>
#include <weir/subprocess.h>
#include <weir/tls.h>
#include <weir/tls_context.h>
#include <weir/tls_info.h>
#include <weir/trace.h>
#include <weir/transport.h>
#include <weir/unix_socket.h>
#include <weir/version.h>
