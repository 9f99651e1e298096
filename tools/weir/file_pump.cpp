#include "file_pump.h"

#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>
#include <vector>

namespace weir_tool {

/// What the thread uses, and may go on using when the pump is gone.
struct FilePump::State {
  weir::Descriptor from;
  weir::Descriptor to;
  std::error_code error;

  void run() {
    std::vector<char> buffer(std::size_t{64} * 1024);
    ssize_t count = 0;
    while ((count = read(from.get(), buffer.data(), buffer.size())) != 0) {
      if (count > 0 ? !write_all(buffer.data(), static_cast<std::size_t>(count)) : !interrupted()) {
        break;
      }
    }
    from.reset();
    to.reset();
  }

  bool write_all(const char* data, std::size_t size) {
    while (size > 0) {
      const ssize_t count = write(to.get(), data, size);
      if (count < 0 && !interrupted()) return false;
      if (count < 0) continue;
      data += count;
      size -= static_cast<std::size_t>(count);
    }
    return true;
  }

  /// Whether errno is no reason to give up; if it is one, it is kept.
  bool interrupted() {
    if (errno == EINTR) return true;
    if (errno != EPIPE) error = std::error_code(errno, std::generic_category());
    return false;
  }
};

FilePump::FilePump(weir::Descriptor from, weir::Descriptor to)
    : state_(std::make_shared<State>(State{std::move(from), std::move(to), {}})),
      thread_([state = state_] { state->run(); }) {}

FilePump::~FilePump() {
  if (thread_.joinable()) thread_.detach();
}

std::error_code FilePump::finish() {
  if (thread_.joinable()) thread_.join();
  return state_->error;
}

}  // namespace weir_tool
