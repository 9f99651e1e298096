#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <weir/weir.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "descriptor_support.h"

namespace weir::test {

/// Which kind of file is sent: one that the system can send by itself, or one that has to be read.
enum class FileKind : bool { sendable, unsendable };

/// An open file for sendfile(), which no directory has.
class SentFile {
 public:
  explicit SentFile(std::string content, FileKind kind = FileKind::sendable)
      : content_(std::move(content)) {
    if (kind == FileKind::unsendable) {
      // The memory of this process: regular, and read at the address of `content_`, but never sent.
      file_.reset(::open("/proc/self/mem", O_RDONLY | O_CLOEXEC));
      start_ = reinterpret_cast<std::uintptr_t>(content_.data());
    } else {
      file_.reset(::memfd_create("weir-test", MFD_CLOEXEC));
      if (::write(file_.get(), content_.data(), content_.size()) !=
          static_cast<ssize_t>(content_.size())) {
        throw std::runtime_error("a test cannot write its file");
      }
    }
    if (file_.get() < 0) throw std::runtime_error("a test cannot open its file");
  }
  SentFile(const SentFile&) = delete;
  SentFile& operator=(const SentFile&) = delete;

  int descriptor() const { return file_.get(); }
  const std::string& content() const { return content_; }
  /// What to send `count` bytes from `offset` with.
  SendfileOptions part(std::size_t offset, std::size_t count) const {
    return {.offset = start_ + offset, .count = count};
  }
  SendfileOptions whole() const { return part(0, content_.size()); }
  /// Where the file's position is in `content()`.
  std::uint64_t position() const {
    return static_cast<std::uint64_t>(::lseek(descriptor(), 0, SEEK_CUR)) - start_;
  }
  void close() { file_.reset(); }

 private:
  std::string content_;
  Descriptor file_;
  std::uint64_t start_ = 0;
};

}  // namespace weir::test
