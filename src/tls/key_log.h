#pragma once

#include <string>
#include <string_view>

#include "fd.h"

namespace weir::inline v0::detail {

/// A file that tells the secrets of connections, in the format of NSS that Wireshark reads. Threads: any.
class KeyLog {
 public:
  /// Appends to `path`; a new file can be read by its owner only. Throws std::system_error.
  explicit KeyLog(const std::string& path);

  /// Appends `line` and its end. What cannot be written is left out: connections do not suffer from it.
  void append(std::string_view line) const noexcept;

 private:
  Fd file_;
};

}  // namespace weir::inline v0::detail
