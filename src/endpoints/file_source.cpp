#include "file_source.h"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "file.h"

namespace weir::inline v0::detail {
namespace {

[[noreturn]] void refuse(int file, const char* why) {
  throw std::invalid_argument("the file to send, descriptor " + std::to_string(file) + ", " + why);
}

FileTraits sendable(int file, const SendfileOptions& options) {
  Result<FileTraits> traits = traits_of(file);
  if (!traits) refuse(file, "is not open");
  if (!traits.value().readable) refuse(file, "is not open for reading");
  if (options.offset > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    refuse(file, "has no such offset: it is over the largest there is");
  }
  if (options.offset != 0 && !traits.value().seekable) {
    refuse(file, "has no offsets: it can be sent from 0 only");
  }
  if (options.count == 0U) {
    throw std::invalid_argument("the count of bytes to send must be positive, or unset for all");
  }
  return traits.value();
}

}  // namespace

FileSource::FileSource(int file, const SendfileOptions& options)
    : offset_(options.offset), count_(options.count) {
  const FileTraits traits = sendable(file, options);
  regular_ = traits.regular;
  seekable_ = traits.seekable;
  Result<Fd> copy = duplicate(file);
  if (!copy) throw std::system_error(copy.error(), "sendfile");
  file_ = std::make_shared<const Fd>(std::move(copy.value()));
}

FileSource::~FileSource() {
  // There is no one to tell of a failure, and hardly one possible: the position was valid before.
  if (file_ != nullptr && seekable_) static_cast<void>(set_position(descriptor(), position()));
}

std::size_t FileSource::next_size(std::size_t block) const noexcept {
  if (!count_) return block;
  return static_cast<std::size_t>(std::min<std::uint64_t>(block, *count_ - sent_));
}

UniqueFunction<Result<FileSource::Block>()> FileSource::reader(std::size_t size) const {
  std::optional<std::uint64_t> from;
  if (seekable_) from = position();
  return [file = file_, from, size]() -> Result<Block> {
    Block block(size);
    Result<std::size_t> count = read_file(file->get(), from, block);
    if (!count) return count.error();
    block.resize(count.value());
    return block;
  };
}

}  // namespace weir::inline v0::detail
