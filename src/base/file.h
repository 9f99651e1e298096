#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <system_error>

#include "fd.h"
#include "result.h"

// Calls on open files.
namespace weir::inline v0::detail {

struct FileTraits {
  bool readable = false;  ///< opened for reading
  bool regular = false;
  bool seekable = false;  ///< has a position
};

/// bad_file_descriptor if it is not open.
Result<FileTraits> traits_of(int file) noexcept;

/// A close-on-exec descriptor of the same open file.
Result<Fd> duplicate(int descriptor) noexcept;

/// Opens `path` for reading; close-on-exec.
Result<Fd> open_for_reading(const std::string& path) noexcept;
/// Opens `path` so that each write goes to its end; makes it, for its owner's eyes only, if it is not
/// there. Close-on-exec.
Result<Fd> open_for_appending(const std::string& path) noexcept;

/// Reads up to the size of `buffer`, at `position`, or, without one, what comes next; 0 at the end. May
/// block.
Result<std::size_t> read_file(int file, std::optional<std::uint64_t> position,
                              std::span<std::byte> buffer) noexcept;

/// Writes `data`; by one call, so that what is appended by several threads is not mixed.
std::error_code write_file(int file, std::span<const std::byte> data) noexcept;

std::error_code set_position(int file, std::uint64_t position) noexcept;

}  // namespace weir::inline v0::detail
