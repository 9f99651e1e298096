#include "outside_program.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <system_error>
#include <utility>

namespace weir_tool {
namespace {

void check(int error, const char* what) {
  if (error != 0) throw std::system_error(error, std::generic_category(), what);
}

/// A descriptor that is closed with its owner.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { reset(); }

  int number() const { return number_; }
  void reset() {
    if (number_ >= 0) close(std::exchange(number_, -1));
  }

 private:
  int number_;
};

struct Pipe {
  Pipe() {
    int ends[2];
    check(pipe2(ends, O_CLOEXEC) == 0 ? 0 : errno, "pipe2");
    reader = Descriptor(ends[0]);
    writer = Descriptor(ends[1]);
  }
  Descriptor reader;
  Descriptor writer;
};

/// The program starts with this one's environment, default signals, and the two pipes.
pid_t spawn(std::vector<std::string> arguments, const Pipe& input, const Pipe& output) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input.reader.number(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output.writer.number(), STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);

  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t ignored_here;
  sigemptyset(&ignored_here);
  sigaddset(&ignored_here, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &ignored_here);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);

  pid_t child = -1;
  const int error = posix_spawn(&child, argv[0], &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  check(error, argv[0]);
  return child;
}

/// A child, until it has ended and its output has too.
class Program {
 public:
  Program(weir::EventLoop& loop, const std::vector<std::string>& arguments, std::string_view input)
      : loop_(loop), finished_(loop.create_future()) {
    Pipe to_child;
    Pipe from_child;
    child_ = spawn(arguments, to_child, from_child);
    output_ = std::move(from_child.reader);
    ended_ = Descriptor(static_cast<int>(syscall(SYS_pidfd_open, child_, 0)));
    // An empty pipe takes PIPE_BUF bytes at once. A child that is gone already is not our failure.
    [[maybe_unused]] const ssize_t written =
        write(to_child.writer.number(), input.data(), input.size());
  }

  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  ~Program() {
    loop_.remove_reader(output_.number());
    loop_.remove_reader(ended_.number());
    if (child_ < 0) return;
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }

  ProgramResult run(std::chrono::nanoseconds limit) {
    loop_.add_reader(output_.number(), [this] { read_output(); });
    loop_.add_reader(ended_.number(), [this] { reap(); });
    weir::TimerHandle timeout = loop_.call_later(limit, [this] { give_up(); });
    loop_.run_until_complete(finished_);
    timeout.cancel();
    return std::move(result_);
  }

 private:
  void read_output() {
    std::array<char, 4096> buffer{};
    const ssize_t count = read(output_.number(), buffer.data(), buffer.size());
    if (count > 0) {
      result_.output.append(buffer.data(), static_cast<std::size_t>(count));
      return;
    }
    end_output();
  }

  void end_output() {
    if (loop_.remove_reader(output_.number())) one_end();
  }

  /// A child of the child may hold the output open: not waited for.
  void give_up() {
    if (child_ > 0) kill(child_, SIGKILL);
    end_output();
  }

  void reap() {
    int status = 0;
    if (waitpid(child_, &status, WNOHANG) != child_) return;
    child_ = -1;
    result_.succeeded = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    loop_.remove_reader(ended_.number());
    one_end();
  }

  void one_end() {
    if (++ends_ == 2) finished_.set_result();
  }

  weir::EventLoop& loop_;
  weir::Future<> finished_;
  pid_t child_ = -1;
  Descriptor output_;
  Descriptor ended_;  // a pidfd: readable once the child has ended
  ProgramResult result_;
  int ends_ = 0;
};

}  // namespace

std::optional<std::string> find_program(std::string_view name) {
  const char* path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin";
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    const std::string candidate = std::string(rest.substr(0, end)) + "/" + std::string(name);
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return std::nullopt;
}

ProgramResult run_program(weir::EventLoop& loop, const std::vector<std::string>& arguments,
                          std::string_view input, std::chrono::nanoseconds limit) {
  return Program(loop, arguments, input).run(limit);
}

}  // namespace weir_tool
