#include "standard_streams.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "errors.h"
#include "file_pump.h"

namespace weir_tool {
namespace {

std::system_error last_error(const char* what) { return {errno, std::generic_category(), what}; }

/// Standard input or output, made fit for a pipe transport.
struct Taken {
  weir::Descriptor descriptor;
  std::unique_ptr<FilePump> pump;  // of a file
};

/// Gives open files that other programs have too their flags back when this one exits.
class FlagsOfOthers {
 public:
  void keep(weir::Descriptor file) {
    const int flags = fcntl(file.get(), F_GETFL);
    files_.emplace_back(std::move(file), flags);
  }
  ~FlagsOfOthers() {
    for (const auto& [file, flags] : files_) fcntl(file.get(), F_SETFL, flags);
  }

 private:
  std::vector<std::pair<weir::Descriptor, int>> files_;
};

weir::Descriptor duplicate(int standard) {
  weir::Descriptor copy(fcntl(standard, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (!copy) throw last_error("dup");
  return copy;
}

/// The same open file. The transport makes it non-blocking for everybody.
weir::Descriptor share(int standard) {
  static FlagsOfOthers flags;
  flags.keep(duplicate(standard));
  return duplicate(standard);
}

/// The same pipe or terminal by an open file of its own, whose flags nobody shares; none if it cannot
/// be had.
weir::Descriptor reopen(int standard, int access) {
  const std::string path = fmt::format("/proc/self/fd/{}", standard);
  return weir::Descriptor(open(path.c_str(), access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

Taken through_a_pump(int standard) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw last_error("pipe");
  weir::Descriptor reader(ends[0]);
  weir::Descriptor writer(ends[1]);
  Taken taken;
  if (standard == STDIN_FILENO) {
    taken.pump = std::make_unique<FilePump>(duplicate(standard), std::move(writer));
    taken.descriptor = std::move(reader);
  } else {
    taken.pump = std::make_unique<FilePump>(std::move(reader), duplicate(standard));
    taken.descriptor = std::move(writer);
  }
  return taken;
}

Taken take(int standard) {
  struct stat status {};
  if (fstat(standard, &status) != 0) throw last_error("fstat");
  const bool is_pipe = S_ISFIFO(status.st_mode);
  if (!is_pipe && !S_ISSOCK(status.st_mode) && !S_ISCHR(status.st_mode)) {
    return through_a_pump(standard);
  }
  Taken taken;
  if (is_pipe || isatty(standard) == 1) {
    taken.descriptor = reopen(standard, standard == STDIN_FILENO ? O_RDONLY : O_WRONLY);
  }
  if (!taken.descriptor) taken.descriptor = share(standard);
  return taken;
}

/// Whether standard input and output are one socket, as inetd gives it.
bool are_one_socket() {
  struct stat input {};
  struct stat output {};
  return fstat(STDIN_FILENO, &input) == 0 && fstat(STDOUT_FILENO, &output) == 0 &&
         S_ISSOCK(input.st_mode) && input.st_dev == output.st_dev && input.st_ino == output.st_ino;
}

/// So that whoever is at the other end sees the transport close, and no later descriptor gets that
/// number.
void put_null_device_in_their_place() {
  const weir::Descriptor nowhere(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!nowhere || dup2(nowhere.get(), STDIN_FILENO) < 0 || dup2(nowhere.get(), STDOUT_FILENO) < 0) {
    throw last_error("/dev/null");
  }
}

weir::CloseReason failure(std::string_view what, std::error_code error, std::string_view advice) {
  return std::make_exception_ptr(
      RunError(fmt::format("{}: {}; {}", what, error.message(), advice)));
}

/// What the two pipe transports share. The first error is the stream's.
class StandardStreams : public std::enable_shared_from_this<StandardStreams> {
 public:
  StandardStreams(weir::EventLoop& loop, std::shared_ptr<StreamProtocol> protocol,
                  const weir::Future<>& opened)
      : loop_(loop), protocol_(std::move(protocol)), opened_(opened) {}

  void open();

 private:
  class Reader;
  class Writer;

  template <class T>
  void report(const weir::Future<T>& end) {
    end.add_done_callback([self = shared_from_this()](const weir::Future<T>& done) {
      if (const auto error = done.exception(); error && !self->opened_.done()) {
        self->opened_.set_exception(error);
      }
    });
  }

  void end_made() {
    if (++made_ < 2) return reader_.pause_reading();
    reader_.resume_reading();
    protocol_->stream_made(Stream(reader_, writer_, pipes_));
    opened_.set_result();
  }

  void end_lost(weir::CloseReason reason) {
    if (!reason_) reason_ = std::move(reason);
    if (--made_ > 0) return;
    protocol_->connection_lost(reason_);
    protocol_.reset();
  }

  void output_closed(std::error_code error) {
    if (output_.pump) {
      if (const std::error_code of_file = output_.pump->finish()) error = of_file;
    }
    end_lost(error ? failure("cannot write to standard output", error,
                             "its reader has to read until the end")
                   : weir::CloseReason());
  }

  weir::EventLoop& loop_;
  std::shared_ptr<StreamProtocol> protocol_;
  weir::Future<> opened_;
  Taken input_;
  Taken output_;
  weir::Transport reader_;
  weir::Transport writer_;
  std::shared_ptr<PipePair> pipes_ = std::make_shared<PipePair>();
  weir::CloseReason reason_;
  int made_ = 0;
};

class StandardStreams::Reader : public weir::Protocol {
 public:
  explicit Reader(std::shared_ptr<StandardStreams> streams) : streams_(std::move(streams)) {}

  void connection_made(weir::Transport transport) override {
    streams_->reader_ = transport;
    streams_->end_made();
  }
  void data_received(std::span<const std::byte> data) override {
    streams_->protocol_->data_received(data);
  }
  bool eof_received() override {
    streams_->pipes_->has_ended = true;
    if (streams_->input_.pump) error_ = streams_->input_.pump->finish();
    if (!error_ && streams_->protocol_->eof_received()) return false;
    streams_->pipes_->writing_ended = true;
    streams_->writer_.close();
    return false;
  }
  void connection_lost(const weir::CloseReason& reason) override {
    const std::error_code error = error_ ? error_ : reason.code();
    streams_->end_lost(
        error ? failure("cannot read standard input", error, "use a file, a pipe or </dev/null")
              : weir::CloseReason());
  }

 private:
  std::shared_ptr<StandardStreams> streams_;
  std::error_code error_;  // of a file
};

class StandardStreams::Writer : public weir::BaseProtocol {
 public:
  explicit Writer(std::shared_ptr<StandardStreams> streams) : streams_(std::move(streams)) {}

  void connection_made(weir::Transport transport) override {
    streams_->writer_ = transport;
    streams_->end_made();
  }
  void pause_writing() override { streams_->protocol_->pause_writing(); }
  void resume_writing() override { streams_->protocol_->resume_writing(); }

  /// Over only once a file has everything, which is after the transport's end of its pipe is closed.
  void connection_lost(const weir::CloseReason& reason) override {
    std::error_code error = reason.code();
    if (!error && !streams_->pipes_->writing_ended) {
      error = std::make_error_code(std::errc::broken_pipe);
    }
    if (error) streams_->reader_.close();  // nobody is there to read the answers
    streams_->loop_.call_soon([streams = streams_, error] { streams->output_closed(error); });
  }

 private:
  std::shared_ptr<StandardStreams> streams_;
};

void StandardStreams::open() {
  input_ = take(STDIN_FILENO);
  output_ = take(STDOUT_FILENO);
  put_null_device_in_their_place();
  const auto self = shared_from_this();
  report(weir::connect_read_pipe(
      loop_, [self] { return std::make_shared<Reader>(self); }, input_.descriptor.release()));
  report(weir::connect_write_pipe(
      loop_, [self] { return std::make_shared<Writer>(self); }, output_.descriptor.release()));
}

}  // namespace

weir::Descriptor take_standard_socket() {
  if (!are_one_socket()) return {};
  weir::Descriptor socket = share(STDIN_FILENO);
  put_null_device_in_their_place();
  return socket;
}

weir::Future<> open_standard_streams(weir::EventLoop& loop,
                                     std::shared_ptr<StreamProtocol> protocol) {
  weir::Future<> opened = loop.create_future();
  std::make_shared<StandardStreams>(loop, std::move(protocol), opened)->open();
  return opened;
}

}  // namespace weir_tool
