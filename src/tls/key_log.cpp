#include "key_log.h"

#include <weir/buffer.h>

#include <exception>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "file.h"
#include "result.h"

namespace weir::inline v0::detail {

KeyLog::KeyLog(const std::string& path) {
  Result<Fd> file = open_for_appending(path);
  if (!file) {
    throw std::system_error(file.error(),
                            "TlsOptions::key_log_file: cannot append to \"" + path + '"');
  }
  file_ = std::move(file.value());
}

void KeyLog::append(std::string_view line) const noexcept {
  try {
    const std::string whole = std::string(line) + '\n';
    static_cast<void>(write_file(file_.get(), as_bytes(whole)));
  } catch (const std::exception&) {
    // No memory: the line is left out.
  }
}

}  // namespace weir::inline v0::detail
