#pragma once

#include <weir/error.h>

namespace weir::inline v0::detail {

/// `transport`, which a handle named, if any. In debug builds the caller's thread is checked. [C1]
template <class T>
T* on_its_thread(T* transport) {
#ifndef NDEBUG
  if (transport != nullptr && !transport->on_loop_thread()) {
    throw WrongStateError(
        "a transport is used on its loop's thread only; carry the handle there with "
        "call_soon_threadsafe()");
  }
#endif
  return transport;
}

}  // namespace weir::inline v0::detail
