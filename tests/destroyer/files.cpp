#include "files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <iterator>
#include <stdexcept>

namespace weir::destroyer {

Descriptor file_of(std::span<const std::byte> bytes) {
  Descriptor file(::memfd_create("weir-destroyer", MFD_CLOEXEC));
  if (::write(file.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    throw std::runtime_error("the destroyer cannot write a file");
  }
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

std::uint64_t position_of(int file) {
  return static_cast<std::uint64_t>(::lseek(file, 0, SEEK_CUR));
}

PipeEnds new_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("the destroyer gets no pipe");
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

std::size_t open_descriptors() {
  namespace fs = std::filesystem;
  const auto count =
      std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  return static_cast<std::size_t>(count) - 1;  // but for the one that looks
}

}  // namespace weir::destroyer
