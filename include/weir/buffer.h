#pragma once

#include <weir/callback.h>
#include <weir/export.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weir::inline v0 {

/// The bytes of `text`, not copied.
inline std::span<const std::byte> as_bytes(std::string_view text) noexcept {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// `bytes` as text, not copied.
inline std::string_view as_text(std::span<const std::byte> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Bytes with an owner: Transport::write(Buffer) queues them without copying. [C6]
///
/// The bytes live until `release` is called, once, when the last of them has been sent or dropped,
/// or when the Buffer is destroyed. `release` must not throw.
///
/// Threads: none of its own. A transport releases on its loop's thread, or, if the loop is destroyed
/// first, on the thread that destroys it.
class WEIR_API Buffer {
 public:
  Buffer() noexcept = default;

  /// `bytes`, which stay valid until `release` is called.
  Buffer(std::span<const std::byte> bytes, Callback release) noexcept;

  explicit Buffer(std::vector<std::byte> bytes);
  explicit Buffer(std::string text);

  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  std::span<const std::byte> bytes() const noexcept { return bytes_; }
  std::size_t size() const noexcept { return bytes_.size(); }

 private:
  void release() noexcept;

  std::span<const std::byte> bytes_;
  Callback release_;
};

}  // namespace weir::inline v0
