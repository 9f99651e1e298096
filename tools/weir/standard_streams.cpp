// Other programs may share the descriptors of standard input and output, and O_NONBLOCK with them,
// so it is not touched. What keeps the loop from waiting is size instead: a readable descriptor
// gives what it has, and a writable pipe has room for PIPE_BUF bytes. A socket can be asked not to
// wait for one call; a file does not wait for anyone.
#include "standard_streams.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <utility>

namespace weir_tool {
namespace {

constexpr std::size_t read_size = std::size_t{64} * 1024;
constexpr std::size_t file_write_size = std::size_t{256} * 1024;

bool is_socket(int descriptor) {
  struct stat status {};
  return fstat(descriptor, &status) == 0 && S_ISSOCK(status.st_mode);
}

bool try_again_later(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

}  // namespace

StandardInput::StandardInput(weir::EventLoop& loop, Events events)
    : events_(std::move(events)),
      watch_(loop, STDIN_FILENO, DescriptorWatch::Direction::reading, [this] { read_some(); }),
      buffer_(read_size) {}

void StandardInput::start() {
  if (!ended_) watch_.start();
}

void StandardInput::read_some() {
  const ssize_t count = read(STDIN_FILENO, buffer_.data(), buffer_.size());
  if (count > 0) {
    return events_.received(std::span(buffer_).first(static_cast<std::size_t>(count)));
  }
  const int error = errno;
  if (count < 0 && try_again_later(error)) return;
  ended_ = true;
  watch_.stop();
  if (count == 0) {
    events_.ended();
  } else {
    events_.failed(std::error_code(error, std::generic_category()));
  }
}

StandardOutput::StandardOutput(weir::EventLoop& loop, Events events)
    : events_(std::move(events)),
      watch_(loop, STDOUT_FILENO, DescriptorWatch::Direction::writing, [this] { write_some(); }),
      is_socket_(is_socket(STDOUT_FILENO)) {}

void StandardOutput::write(std::span<const std::byte> data) {
  if (failed_) return;
  queue_.erase(0, std::exchange(written_, 0));
  queue_ += weir::as_text(data);
  watch_.start();
}

void StandardOutput::close() {
  if (std::exchange(closing_, true) || failed_) return;
  if (queued() == 0) close_now();
}

std::ptrdiff_t StandardOutput::write_piece(std::span<const char> piece) const {
  if (is_socket_) return send(STDOUT_FILENO, piece.data(), piece.size(), MSG_DONTWAIT);
  const std::size_t most = watch_.pollable() ? PIPE_BUF : file_write_size;
  return ::write(STDOUT_FILENO, piece.data(), std::min(piece.size(), most));
}

void StandardOutput::write_some() {
  const bool was_long = queued() > low_water;
  const std::ptrdiff_t count = write_piece(std::span<const char>(queue_).subspan(written_));
  if (count < 0) {
    const int error = errno;
    if (try_again_later(error)) return;
    failed_ = true;
    watch_.stop();
    return events_.failed(std::error_code(error, std::generic_category()));
  }
  written_ += static_cast<std::size_t>(count);
  if (queued() == 0) {
    watch_.stop();
    if (closing_) return close_now();
  }
  if (was_long && queued() <= low_water) events_.drained();
}

/// The number stays taken, so that no later descriptor becomes standard output.
void StandardOutput::close_now() const {
  const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nowhere >= 0) {
    dup2(nowhere, STDOUT_FILENO);
    ::close(nowhere);
  }
  events_.closed();
}

}  // namespace weir_tool
