#include <weir/buffer.h>

#include <memory>
#include <utility>

namespace weir::inline v0 {

Buffer::Buffer(std::span<const std::byte> bytes, Callback release) noexcept
    : bytes_(bytes), release_(std::move(release)) {}

Buffer::Buffer(std::vector<std::byte> bytes) : bytes_(bytes) {
  // Moving a vector leaves its bytes where they are.
  release_ = [owner = std::move(bytes)] {};
}

Buffer::Buffer(std::string text) {
  // A short string keeps its bytes inside itself, so it must not move again.
  auto owner = std::make_unique<std::string>(std::move(text));
  bytes_ = as_bytes(*owner);
  release_ = [owner = std::move(owner)] {};
}

Buffer::Buffer(Buffer&& other) noexcept
    : bytes_(std::exchange(other.bytes_, {})), release_(std::move(other.release_)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this != &other) {
    release();
    bytes_ = std::exchange(other.bytes_, {});
    release_ = std::move(other.release_);
  }
  return *this;
}

Buffer::~Buffer() { release(); }

void Buffer::release() noexcept {
  bytes_ = {};
  // Emptied first: the function may come back here through its transport.
  if (Callback callback = std::move(release_)) callback();
}

}  // namespace weir::inline v0
