#include "tls_buffers.h"

#include <deque>

#include "backend.h"

namespace weir::inline v0::detail {

TlsBuffers& TlsBuffers::of(Loop& loop, std::size_t nesting) {
  // What is in a deque stays where it is.
  using Levels = std::deque<TlsBuffers>;
  std::shared_ptr<void>& kept = loop.tls_buffers();
  if (kept == nullptr) kept = std::make_shared<Levels>();
  auto& levels = *static_cast<Levels*>(kept.get());
  while (levels.size() <= nesting) levels.emplace_back();
  return levels[nesting];
}

std::span<std::byte> TlsBuffers::plaintext() {
  if (plaintext_ == nullptr) {
    plaintext_ = std::make_unique_for_overwrite<std::byte[]>(receive_buffer_size);
  }
  return {plaintext_.get(), receive_buffer_size};
}

}  // namespace weir::inline v0::detail
