#include "file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace weir::inline v0::detail {
namespace {

std::error_code last_error() noexcept { return {errno, std::system_category()}; }

Result<Fd> open_file(const std::string& path, int flags) noexcept {
  constexpr mode_t for_owner = 0600;
  Fd file(::open(path.c_str(), flags | O_CLOEXEC, for_owner));
  if (!file) return last_error();
  return file;
}

}  // namespace

Result<FileTraits> traits_of(int file) noexcept {
  struct stat status {};
  const int flags = ::fcntl(file, F_GETFL);
  if (flags < 0 || ::fstat(file, &status) != 0) return last_error();
  return FileTraits{.readable = (flags & O_ACCMODE) != O_WRONLY && (flags & O_PATH) == 0,
                    .regular = S_ISREG(status.st_mode),
                    .seekable = ::lseek(file, 0, SEEK_CUR) >= 0};
}

Result<Fd> duplicate(int descriptor) noexcept {
  Fd copy(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
  if (!copy) return last_error();
  return copy;
}

Result<Fd> open_for_reading(const std::string& path) noexcept { return open_file(path, O_RDONLY); }

Result<Fd> open_for_appending(const std::string& path) noexcept {
  return open_file(path, O_WRONLY | O_APPEND | O_CREAT);
}

Result<std::size_t> read_file(int file, std::optional<std::uint64_t> position,
                              std::span<std::byte> buffer) noexcept {
  ssize_t count = 0;
  do {
    count = position ? ::pread(file, buffer.data(), buffer.size(), static_cast<off_t>(*position))
                     : ::read(file, buffer.data(), buffer.size());
  } while (count < 0 && errno == EINTR);
  if (count < 0) return last_error();
  return static_cast<std::size_t>(count);
}

std::error_code write_file(int file, std::span<const std::byte> data) noexcept {
  ssize_t count = 0;
  do {
    count = ::write(file, data.data(), data.size());
  } while (count < 0 && errno == EINTR);
  if (count < 0) return last_error();
  if (static_cast<std::size_t>(count) < data.size()) {
    return std::make_error_code(std::errc::no_space_on_device);
  }
  return {};
}

std::error_code set_position(int file, std::uint64_t position) noexcept {
  if (::lseek(file, static_cast<off_t>(position), SEEK_SET) >= 0) return {};
  return last_error();
}

}  // namespace weir::inline v0::detail
