#include <weir/subprocess.h>

#include <array>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backend.h"
#include "fd.h"
#include "loop.h"
#include "spawn.h"
#include "subprocess_core.h"
#include "transport_opening.h"

namespace weir::inline v0::detail {
namespace {

constexpr std::string_view shell = "/bin/sh";

[[noreturn]] void bad_process(const std::string& text) {
  throw std::invalid_argument("a subprocess " + text);
}

void require_no_nul(std::string_view text, const std::string& what) {
  if (text.find('\0') != std::string_view::npos) bad_process("takes no NUL in " + what);
}

void require_descriptor(int number, const std::string& what) {
  if (is_open(number)) return;
  bad_process("takes open descriptors; " + what + " is " + std::to_string(number) +
              ", which is not open");
}

void require_sense(const Stdio& stream, const std::string& what) {
  if (stream.kind() == Stdio::Kind::descriptor) require_descriptor(stream.number(), what);
}

void require_entry(const std::string& entry) {
  require_no_nul(entry, "options.env");
  const std::size_t equals = entry.find('=');
  if (equals == 0 || equals == std::string::npos) {
    bad_process("takes NAME=value in options.env, not \"" + entry + '"');
  }
}

/// Throws std::invalid_argument for what no process can be started with. [P2]
void require_sense(const std::vector<std::string>& arguments, const SubprocessOptions& options) {
  if (arguments.empty()) bad_process("needs at least one argument, the program");
  if (arguments.front().empty() && options.executable.empty()) {
    bad_process("needs a program, and the first argument is empty");
  }
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    require_no_nul(arguments[i], "argument " + std::to_string(i));
  }
  require_no_nul(options.executable, "options.executable");
  require_no_nul(options.cwd, "options.cwd");
  require_sense(options.input, "options.input");
  require_sense(options.output, "options.output");
  require_sense(options.error, "options.error");
  if (options.input.kind() == Stdio::Kind::merge || options.output.kind() == Stdio::Kind::merge) {
    bad_process("may merge its error into its output only: Stdio::merge() is for options.error");
  }
  if (options.env) {
    for (const std::string& entry : *options.env) require_entry(entry);
  }
  for (const int number : options.pass_fds) require_descriptor(number, "one of options.pass_fds");
  if (options.process_group.value_or(0) < 0) {
    bad_process(
        "takes the number of a process group, or 0 for a new one; options.process_group is " +
        std::to_string(*options.process_group));
  }
}

/// The standard streams of a process to be: what it gets, and our ends of its pipes.
class Streams {
 public:
  Streams(Backend& backend, const SubprocessOptions& options) : backend_(backend) {
    open(0, options.input, PipeEnd::write);
    open(1, options.output, PipeEnd::read);
    open(2, options.error, PipeEnd::read);
  }

  const std::array<int, 3>& numbers() const noexcept { return numbers_; }

  std::array<std::unique_ptr<StreamChannel>, 3> take_pipes() noexcept { return std::move(pipes_); }

 private:
  void open(std::size_t fd, const Stdio& stream, PipeEnd ours) {
    switch (stream.kind()) {
      case Stdio::Kind::inherit:
      case Stdio::Kind::merge: return;
      case Stdio::Kind::descriptor: numbers_[fd] = stream.number(); return;
      case Stdio::Kind::devnull: return give(fd, open_null_device());
      case Stdio::Kind::pipe: break;
    }
    NewPipe pipe = open_pipe();
    Fd& kept = ours == PipeEnd::read ? pipe.read_end : pipe.write_end;
    give(fd, std::move(ours == PipeEnd::read ? pipe.write_end : pipe.read_end));
    Result<std::unique_ptr<StreamChannel>> adopted = backend_.adopt_pipe(kept.get(), ours);
    if (!adopted) throw std::system_error(adopted.error(), "use a pipe");
    static_cast<void>(kept.release());  // the channel's now
    pipes_[fd] = std::move(adopted.value());
  }

  void give(std::size_t fd, Fd descriptor) noexcept {
    numbers_[fd] = descriptor.get();
    given_[fd] = std::move(descriptor);
  }

  Backend& backend_;
  std::array<int, 3> numbers_{-1, -1, -1};
  std::array<Fd, 3> given_;  ///< the process's ends, which we only hold until it has them
  std::array<std::unique_ptr<StreamChannel>, 3> pipes_;
};

/// One subprocess_exec() or subprocess_shell(): make the protocol, start the process, start the
/// transport. [P3]
class StartingSubprocess final
    : public TransportOpening<SubprocessTransport, std::shared_ptr<SubprocessProtocol>> {
 public:
  using TransportOpening::TransportOpening;

  void open(std::vector<std::string> arguments, SubprocessOptions options) {
    require_sense(arguments, options);
    if (loop().backend().user_sockets() == nullptr) {
      throw UnsupportedOperationError("subprocesses need a real backend, not a simulated one");
    }
    arguments_ = std::move(arguments);
    options_ = std::move(options);
    build_later();
  }

 private:
  SubprocessTransport start(std::shared_ptr<SubprocessProtocol> protocol, Outcome outcome) override;
  void abort(const SubprocessTransport& transport) override { transport.close(); }
  bool stop() override;
  SpawnPlan plan(const std::array<int, 3>& streams);

  std::vector<std::string> arguments_;
  SubprocessOptions options_;
  SubprocessTransport started_;
};

SpawnPlan StartingSubprocess::plan(const std::array<int, 3>& streams) {
  return {.arguments = std::move(arguments_),
          .executable = std::move(options_.executable),
          .directory = std::move(options_.cwd),
          .environment = std::move(options_.env),
          .streams = streams,
          .merge_error = options_.error.kind() == Stdio::Kind::merge,
          .pass = std::move(options_.pass_fds),
          .close_others = options_.close_fds,
          .new_session = options_.start_new_session,
          .process_group = options_.process_group,
          .restore_signals = options_.restore_signals,
          .user = options_.user,
          .group = options_.group,
          .groups = std::move(options_.extra_groups)};
}

SubprocessTransport StartingSubprocess::start(std::shared_ptr<SubprocessProtocol> protocol,
                                              Outcome outcome) {
  Streams streams(loop().backend(), options_);
  Spawned child = spawn(plan(streams.numbers()));
  started_ = SubprocessCore::start(loop(), {.child = std::move(child),
                                            .pipes = streams.take_pipes(),
                                            .protocol = std::move(protocol),
                                            .ready = outcome})
                 .handle();
  return started_;
}

/// A process that was started is waited for, and its protocol told everything. [P20]
bool StartingSubprocess::stop() {
  SubprocessCore* core = SubprocessCore::of(started_);
  if (core == nullptr) return Opening::stop();
  core->close();
  core->when_exited(std::move(sink().cancelled));
  finish();
  return true;
}

}  // namespace

FutureState::CancelHook start_subprocess(EventLoop& loop, SubprocessProtocolFactory make_protocol,
                                         std::vector<std::string> arguments,
                                         SubprocessOptions options, SubprocessSink sink) {
  return StartingSubprocess::begin<StartingSubprocess>(
      loop, std::move(make_protocol), std::move(sink), [&](StartingSubprocess& starting) {
        starting.open(std::move(arguments), std::move(options));
      });
}

FutureState::CancelHook start_shell(EventLoop& loop, SubprocessProtocolFactory make_protocol,
                                    std::string command, SubprocessOptions options,
                                    SubprocessSink sink) {
  return StartingSubprocess::begin<StartingSubprocess>(
      loop, std::move(make_protocol), std::move(sink), [&](StartingSubprocess& starting) {
        if (command.empty()) bad_process("needs a command for the shell, and it is empty");
        std::string program = options.executable.empty() ? std::string(shell) : options.executable;
        starting.open({std::move(program), "-c", std::move(command)}, std::move(options));
      });
}

}  // namespace weir::inline v0::detail
