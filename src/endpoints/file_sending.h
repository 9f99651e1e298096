#pragma once

#include <weir/executor.h>
#include <weir/future.h>
#include <weir/sendfile.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <system_error>

#include "backend.h"
#include "fd.h"
#include "file_source.h"
#include "operation.h"

namespace weir::inline v0::detail {

/// One sendfile() on its way: by the system's own call, one a turn, and if that does not know such files
/// or sockets, by blocks that another thread reads. [K3-K5]
///
/// The system's call uses, and watches, a descriptor of its own, so that whoever else watches the socket
/// is not disturbed, and nobody's close() is in the way.
class FileSending : public Operation, private WatchEvents {
 public:
  ~FileSending() override;

  /// Once; the future may be done, and `this` gone, when it returns.
  void start();

 protected:
  FileSending(Loop& loop, FileSource source, const SendfileOptions& options,
              Future<std::uint64_t> future);

  // Each of these may be the end: `this` is gone then.

  /// True if there is a socket that the system could send a file to.
  virtual bool has_system_socket() const noexcept = 0;
  /// Calls send_natively() when everything before the file has been sent.
  virtual void begin_native() = 0;
  virtual void begin_fallback() { read_block(); }
  virtual std::size_t block_size() const noexcept = 0;
  /// Of the fallback: sends `block`, and then calls block_sent().
  virtual void send_block(FileSource::Block block) = 0;
  /// After wait_for_room(): there is some.
  virtual void on_room() { send_natively(); }
  /// The connection broke while the system sent.
  virtual void on_broken(std::error_code error);

  void send_natively();
  void read_block();
  void block_sent(std::size_t size);
  void fail(std::exception_ptr error);

  /// Makes the descriptor for sending to `socket`; false if that failed, and it was the end.
  bool open_socket(int socket);
  int socket() const noexcept { return socket_.get(); }
  void wait_for_room() { want_room(true); }
  void stop_waiting_for_room() { want_room(false); }

 private:
  using Reading = Future<Result<FileSource::Block>>;

  void on_readable() noexcept override {}
  void on_writable() noexcept override { on_room(); }

  void no_native(const std::string& why);
  void want_room(bool wanted);
  void succeed();
  void block_read(const Reading& reading);

  FileSource source_;
  Future<std::uint64_t> future_;
  Fd socket_;
  std::unique_ptr<DescriptorWatch> watch_;
  Reading reading_;
  const bool may_fall_back_;
  bool wants_room_ = false;
};

}  // namespace weir::inline v0::detail
