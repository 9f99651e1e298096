#pragma once

#include <weir/callback.h>
#include <weir/sendfile.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "fd.h"
#include "result.h"

namespace weir::inline v0::detail {

/// The file of one sendfile(), and how much of it has been sent. Holds a descriptor of its own; when it
/// goes, the file's position is behind the last byte sent. [K2]
class FileSource {
 public:
  /// Throws std::invalid_argument for what cannot be sent.
  FileSource(int file, const SendfileOptions& options);
  FileSource(FileSource&&) noexcept = default;
  FileSource& operator=(FileSource&&) = delete;
  ~FileSource();

  int descriptor() const noexcept { return file_->get(); }
  bool regular() const noexcept { return regular_; }
  std::uint64_t position() const noexcept { return offset_ + sent_; }
  std::uint64_t sent() const noexcept { return sent_; }
  /// How much to send next, at the most; 0 when everything asked for has been sent.
  std::size_t next_size(std::size_t block) const noexcept;
  void advance(std::size_t count) noexcept { sent_ += count; }

  using Block = std::vector<std::byte>;
  /// Reads the next `size` bytes, on whatever thread; fewer at the end. None: that was all.
  UniqueFunction<Result<Block>()> reader(std::size_t size) const;

 private:
  std::shared_ptr<const Fd> file_;  ///< shared with a thread that reads
  std::uint64_t offset_;
  std::optional<std::uint64_t> count_;
  std::uint64_t sent_ = 0;
  bool regular_ = false;
  bool seekable_ = false;
};

}  // namespace weir::inline v0::detail
