#include "uring_buffers.h"

#include <sys/mman.h>

#include <cerrno>
#include <new>

#include "uring_names.h"

namespace weir::inline v0::detail {
namespace {

constexpr std::size_t kibibyte = 1024;

/// Pages that cost nothing before they are used.
void* map_pages(std::size_t size) {
  void* pages = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  return pages;
}

}  // namespace

UringBuffers::UringBuffers(Fill fill)
    : fill_(fill),
      size_(fill == Fill::bit_by_bit ? 512 * kibibyte : 16 * kibibyte),
      state_(fill == Fill::bit_by_bit ? 4 : 128),
      entries_(static_cast<io_uring_buf_ring*>(map_pages(state_.size() * sizeof(io_uring_buf)))) {
  try {
    memory_ = static_cast<std::byte*>(map_pages(state_.size() * size_));
  } catch (...) {
    ::munmap(entries_, state_.size() * sizeof(io_uring_buf));
    throw;
  }
}

UringBuffers::~UringBuffers() {
  ::munmap(memory_, state_.size() * size_);
  ::munmap(entries_, state_.size() * sizeof(io_uring_buf));
}

std::error_code UringBuffers::offer_to(io_uring& ring) noexcept {
  io_uring_buf_ring_init(entries_);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(entries_);
  registration.ring_entries = static_cast<std::uint32_t>(state_.size());
  registration.bgid = receive_group;
  if (fill_ == Fill::bit_by_bit) set_flags(registration, buffer_ring_incremental);
  const int result = io_uring_register_buf_ring(&ring, &registration, 0);
  if (result < 0) return {-result, std::system_category()};
  for (std::size_t id = 0; id < state_.size(); ++id) {
    state_[id].kernels = false;
    if (state_[id].taken == 0) offer(static_cast<std::uint16_t>(id));
  }
  return {};
}

void UringBuffers::offer(std::uint16_t id) noexcept {
  state_[id] = {};
  io_uring_buf_ring_add(entries_, start_of(id), static_cast<unsigned>(size_), id,
                        io_uring_buf_ring_mask(static_cast<std::uint32_t>(state_.size())), 0);
  io_uring_buf_ring_advance(entries_, 1);
}

std::span<std::byte> UringBuffers::take(std::size_t size, std::uint32_t flags,
                                        std::uint16_t* id) noexcept {
  *id = static_cast<std::uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT);
  Buffer& buffer = state_[*id];
  const std::span<std::byte> bytes(start_of(*id) + buffer.filled, size);
  buffer.filled += size;
  buffer.kernels = (flags & completion_buffer_more) != 0;
  ++buffer.taken;
  return bytes;
}

void UringBuffers::release(std::uint16_t id) noexcept {
  Buffer& buffer = state_[id];
  if (--buffer.taken == 0 && !buffer.kernels) offer(id);
}

}  // namespace weir::inline v0::detail
