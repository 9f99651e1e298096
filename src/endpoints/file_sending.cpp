#include "file_sending.h"

#include <weir/error.h>

#include <algorithm>
#include <array>
#include <utility>

#include "file.h"

namespace weir::inline v0::detail {
namespace {

/// How much the system sends in one turn of the loop, at the most.
constexpr std::size_t native_block = std::size_t{1024} * 1024;

/// True for what tells of the connection; everything else is about what the system's call can do.
bool is_connection_error(std::error_code error) noexcept {
  constexpr std::array errors{std::errc::broken_pipe,        std::errc::connection_reset,
                              std::errc::connection_aborted, std::errc::not_connected,
                              std::errc::timed_out,          std::errc::host_unreachable,
                              std::errc::network_unreachable};
  return std::ranges::any_of(errors, [error](std::errc one) { return error == one; });
}

std::exception_ptr system_failure(std::error_code error) {
  return std::make_exception_ptr(std::system_error(error, "sendfile"));
}

}  // namespace

FileSending::FileSending(Loop& loop, FileSource source, const SendfileOptions& options,
                         Future<std::uint64_t> future)
    : Operation(loop),
      source_(std::move(source)),
      future_(std::move(future)),
      may_fall_back_(options.fallback) {}

FileSending::~FileSending() {
  if (reading_.valid()) reading_.cancel();
}

void FileSending::start() {
  FutureAccess::state(future_)->set_cancel_hook(
      [cancel = unless_over(*this, [](FileSending& self) { self.finish(); })]() mutable {
        cancel();
        return false;
      });
  if (!source_.regular()) return no_native("it is not a regular file");
  if (!has_system_socket()) return no_native("the connection is not a socket of the system");
  begin_native();
}

void FileSending::succeed() {
  const Future<std::uint64_t> future = future_;
  const std::uint64_t sent = source_.sent();
  finish();
  future.set_result(sent);
}

void FileSending::fail(std::exception_ptr error) {
  const Future<std::uint64_t> future = future_;
  finish();
  future.set_exception(std::move(error));
}

void FileSending::on_broken(std::error_code error) { fail(system_failure(error)); }

bool FileSending::open_socket(int socket) {
  Result<Fd> copy = duplicate(socket);
  if (!copy) {
    fail(system_failure(copy.error()));
    return false;
  }
  socket_ = std::move(copy.value());
  watch_ = loop().backend().watch(socket_.get(), *this);
  return true;
}

void FileSending::want_room(bool wanted) {
  if (std::exchange(wants_room_, wanted) == wanted) return;
  if (const std::error_code error = watch_->want(false, wanted)) fail(system_failure(error));
}

// --- Natively ---------------------------------------------------------------------------------------

void FileSending::send_natively() {
  const std::size_t size = source_.next_size(native_block);
  Result<std::size_t> count = loop().backend().user_sockets()->send_file(
      socket_.get(), source_.descriptor(), source_.position(), size);
  if (!count) {
    if (count.error() == std::errc::operation_would_block) return wait_for_room();
    if (is_connection_error(count.error())) return on_broken(count.error());
    if (source_.sent() == 0) return no_native(count.error().message());
    return fail(system_failure(count.error()));
  }
  source_.advance(count.value());
  if (count.value() == 0 || source_.next_size(native_block) == 0) return succeed();
  wait_for_room();
}

void FileSending::no_native(const std::string& why) {
  if (!may_fall_back_) {
    return fail(std::make_exception_ptr(
        SendfileNotAvailableError("the system cannot send the file by itself: " + why)));
  }
  const SlotRef alive = name();
  stop_waiting_for_room();
  if (alive.alive()) begin_fallback();
}

// --- By blocks --------------------------------------------------------------------------------------

void FileSending::read_block() {
  const std::size_t size = source_.next_size(block_size());
  if (size == 0) return succeed();
  reading_ = run_in_executor(loop().facade(), source_.reader(size));
  reading_.add_done_callback(
      unless_over(*this, [](FileSending& self, const Reading& done) { self.block_read(done); }));
}

void FileSending::block_read(const Reading& reading) {
  if (reading.cancelled()) {
    return fail(
        std::make_exception_ptr(WrongStateError("the executor dropped the work of sendfile()")));
  }
  if (std::exception_ptr error = reading.exception()) return fail(std::move(error));
  Result<FileSource::Block>& block = reading.result();
  if (!block) return fail(system_failure(block.error()));
  if (block.value().empty()) return succeed();
  send_block(std::move(block.value()));
}

void FileSending::block_sent(std::size_t size) {
  source_.advance(size);
  read_block();
}

}  // namespace weir::inline v0::detail
