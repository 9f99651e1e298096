#pragma once

#include <liburing.h>

#include <cstdint>

// What newer kernels have and the headers of liburing 2.3 do not name. Each is probed for before it is used.
namespace weir::inline v0::detail {

/// IOU_PBUF_RING_INC: a buffer is filled by several receives, one behind the other. Linux 6.12.
inline constexpr std::uint16_t buffer_ring_incremental = 2;
/// IORING_CQE_F_BUF_MORE: the kernel goes on filling that buffer.
inline constexpr std::uint32_t completion_buffer_more = 1U << 4U;

/// The one group of buffers there is.
inline constexpr std::uint16_t receive_group = 0;

/// The flags of a registration, which older headers call its padding.
template <class Registration>
void set_flags(Registration& registration, std::uint16_t flags) noexcept {
  if constexpr (requires { registration.flags; }) {
    registration.flags = flags;
  } else {
    registration.pad = flags;
  }
}

}  // namespace weir::inline v0::detail
