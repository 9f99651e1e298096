// The loop of a server on Weir, over what its `--backend` says.
#pragma once

#include <weir/event_loop.h>

#include "server_options.h"

namespace bench {

inline weir::LoopOptions loop_options(const ServerOptions& options) {
  using weir::BackendKind;
  if (options.backend.empty()) return {};
  for (const auto kind : {BackendKind::epoll, BackendKind::uring}) {
    if (options.backend == to_string(kind)) return {.backend = kind};
  }
  fail("--backend", "epoll or uring");
}

}  // namespace bench
