#pragma once

#include <weir/callback.h>
#include <weir/detail/open_transport.h>
#include <weir/detail/process_status.h>
#include <weir/detail/slot.h>
#include <weir/error.h>
#include <weir/event_loop.h>
#include <weir/export.h>
#include <weir/future.h>
#include <weir/protocol.h>
#include <weir/transport.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace weir::inline v0 {

class SubprocessProtocol;

namespace detail {
class SubprocessCore;
}  // namespace detail

/// A process as the one who started it holds it: a name for a transport that the loop owns, which has a
/// pipe for each of the standard streams that was asked for. Copying it keeps nothing alive.
///
/// Once connection_lost() has returned, or the loop is gone, a copy still knows the process's number and
/// how it ended; it is closing, has no pipes, and there is nobody to signal any more. A
/// default-constructed one is of no process.
///
/// Threads: copy and destroy anywhere; call only on the loop's thread (debug builds check).
class WEIR_API SubprocessTransport {
 public:
  SubprocessTransport() noexcept = default;

  /// The number of the process, also after it ended; 0 of no process. [P11]
  int get_pid() const;

  /// Nothing while it runs; then its exit code, or minus the number of the signal that killed it, or 255
  /// if somebody else reaped it. [P11, P12]
  std::optional<int> get_returncode() const;

  /// The transport of the pipe to stdin (0, which only writes), or from stdout (1) or stderr (2), which
  /// only read; nothing if that stream is no pipe of its own. Closing that of stdin ends the input. What
  /// they receive goes to the SubprocessProtocol. [P17, P18]
  std::optional<Transport> get_pipe_transport(int fd) const;

  /// Sends a signal: nothing happens once the process has exited. After connection_lost() there is no
  /// process any more: std::system_error with no_such_process. [P14]
  /// Throws std::system_error with invalid_argument for a number that is no signal, and with
  /// operation_not_permitted if the process has become another user's.
  void send_signal(int signal) const;
  /// Asks it to end: SIGTERM. As send_signal(). [P13]
  void terminate() const;
  /// Ends it: SIGKILL. As send_signal(). [P13]
  void kill() const;

  /// Closes the pipes, and kills the process if it still runs. The protocol is told all the same:
  /// pipe_connection_lost(), process_exited(), connection_lost(). [P15]
  void close() const;
  /// True from close() on. That the process exits does not close the transport. [P16]
  bool is_closing() const;

  /// "subprocess" (SubprocessView); `fallback` for anything else, and once connection_lost() has
  /// returned. [X3]
  ExtraInfo get_extra_info(std::string_view name, ExtraInfo fallback = {}) const;

  /// The same for a known type: get_extra_info<SubprocessView>("subprocess").
  template <class T>
  std::optional<T> get_extra_info(std::string_view name) const {
    ExtraInfo info = get_extra_info(name, ExtraInfo());
    if (T* value = std::get_if<T>(&info)) return std::move(*value);
    return std::nullopt;
  }

  /// Hands the process to another protocol, at once, as Transport::set_protocol(). [B12]
  /// Throws std::invalid_argument for no protocol.
  void set_protocol(std::shared_ptr<SubprocessProtocol> protocol) const;
  /// The protocol, empty once connection_lost() has returned. [B17]
  std::shared_ptr<SubprocessProtocol> get_protocol() const;

  friend bool operator==(const SubprocessTransport&, const SubprocessTransport&) = default;

 private:
  friend class detail::SubprocessCore;
  SubprocessTransport(detail::SlotRef ref, std::shared_ptr<const detail::ProcessStatus> status)
      : ref_(ref), status_(std::move(status)) {}

  detail::SlotRef ref_;
  std::shared_ptr<const detail::ProcessStatus> status_;
};

/// A protocol of a process.
///
///     start -> connection_made
///           [-> pipe_data_received | pipe_connection_lost | process_exited]* -> connection_lost -> end
///
/// process_exited() comes once, pipe_connection_lost() once for each pipe, connection_lost() after all
/// of these. In which order the process exits and its pipes end is not said: what it wrote is received
/// in any case, and a pipe that a process of its own still holds may go on for long. [P7-P9]
///
/// pause_writing() and resume_writing() are about the pipe to stdin. What these callbacks throw is
/// reported, and everything goes on. [table 1]
class WEIR_API SubprocessProtocol : public AbstractProtocol {
 public:
  ~SubprocessProtocol() override;

  /// The process runs, and its pipes are connected. [P4]
  virtual void connection_made(SubprocessTransport transport);

  /// Some bytes came from stdout (1) or stderr (2): never none, in the order they were written. `data` is
  /// valid until this returns. [P5, C5]
  virtual void pipe_data_received(int fd, std::span<const std::byte> data);

  /// The pipe of `fd` has ended. `reason` is empty for the regular end; for stdin broken_pipe if the
  /// process went away with bytes still to be written. [P6]
  virtual void pipe_connection_lost(int fd, const CloseReason& reason);

  /// The process has exited, and get_returncode() says how. Its last words may yet come. [P7]
  virtual void process_exited();
};

namespace detail {

/// Any object: all it may have are these, by their asyncio names.
template <class T>
class AdaptedSubprocessProtocol final
    : public AdaptedCallbacks<T, SubprocessProtocol, SubprocessTransport> {
 public:
  using AdaptedCallbacks<T, SubprocessProtocol, SubprocessTransport>::AdaptedCallbacks;

  void pipe_data_received(int fd, std::span<const std::byte> data) override {
    if constexpr (requires { this->object()->pipe_data_received(fd, data); }) {
      this->object()->pipe_data_received(fd, data);
    } else {
      static_assert(
          !requires { &T::pipe_data_received; },
          "weir: pipe_data_received() must take an int and a std::span<const std::byte>");
    }
  }

  void pipe_connection_lost(int fd, const CloseReason& reason) override {
    if constexpr (requires { this->object()->pipe_connection_lost(fd, reason); }) {
      this->object()->pipe_connection_lost(fd, reason);
    } else {
      static_assert(
          !requires { &T::pipe_connection_lost; },
          "weir: pipe_connection_lost() must take an int and a const weir::CloseReason&");
    }
  }

  void process_exited() override {
    if constexpr (requires { this->object()->process_exited(); }) {
      this->object()->process_exited();
    } else {
      static_assert(
          !requires { &T::process_exited; }, "weir: process_exited() takes no argument");
    }
  }
};

/// What a factory of subprocess protocols made; see open_transport().
template <class P>
struct MadeSubprocessProtocol {
  std::shared_ptr<P> typed;
  std::shared_ptr<SubprocessProtocol> any;
};

template <class T>
auto make_subprocess_protocol_of(T&& made) {
  auto shared = share(std::forward<T>(made));
  using Object = typename decltype(shared)::element_type;
  if constexpr (std::derived_from<Object, SubprocessProtocol>) {
    return MadeSubprocessProtocol<Object>{shared, shared};
  } else {
    static_assert(!std::derived_from<Object, AbstractProtocol>,
                  "weir: the protocol of a process is a weir::SubprocessProtocol");
    auto adapted = std::make_shared<AdaptedSubprocessProtocol<Object>>(shared);
    return MadeSubprocessProtocol<Object>{std::move(shared), std::move(adapted)};
  }
}

}  // namespace detail

/// Makes the protocol of a new process; called once.
using SubprocessProtocolFactory = UniqueFunction<std::shared_ptr<SubprocessProtocol>()>;

/// What subprocess_exec() gives: the transport, and the protocol its factory made.
template <class P = SubprocessProtocol>
struct Subprocess {
  SubprocessTransport transport;
  std::shared_ptr<P> protocol;
};

/// What one of the standard streams of a new process is. [P1]
class Stdio {
 public:
  enum class Kind : std::uint8_t { pipe, devnull, inherit, descriptor, merge };

  /// A pipe to this process.
  static constexpr Stdio pipe() noexcept { return Stdio(Kind::pipe); }
  /// /dev/null.
  static constexpr Stdio devnull() noexcept { return Stdio(Kind::devnull); }
  /// The one of this process.
  static constexpr Stdio inherit() noexcept { return Stdio(Kind::inherit); }
  /// An open file of the caller's, who closes it; not before the future is done.
  static constexpr Stdio descriptor(int number) noexcept { return Stdio(Kind::descriptor, number); }
  /// Of stderr only: the same as stdout.
  static constexpr Stdio merge() noexcept { return Stdio(Kind::merge); }

  Kind kind() const noexcept { return kind_; }
  /// Of a descriptor; else -1.
  int number() const noexcept { return number_; }

 private:
  constexpr explicit Stdio(Kind kind, int number = -1) noexcept : number_(number), kind_(kind) {}

  int number_;
  Kind kind_;
};

/// asyncio's keywords of subprocess_exec(), which are Popen's. [P22]
struct SubprocessOptions {
  Stdio input = Stdio::pipe();
  Stdio output = Stdio::pipe();
  Stdio error = Stdio::pipe();
  /// The program, if it is another than arguments[0] says; of a shell command, the shell. A name without
  /// a slash is looked for in the PATH of the new process.
  std::string executable{};
  /// Where it works; empty: where this process does. A relative `executable` is then relative to this.
  std::string cwd{};
  /// "NAME=value"; unset: the environment of this process.
  std::optional<std::vector<std::string>> env{};
  /// Descriptors that it has under the same numbers. They stay the caller's, and must stay open until the
  /// future is done.
  std::vector<int> pass_fds{};
  /// False: it inherits whatever descriptors are not close-on-exec; all of this library's are. [P19]
  bool close_fds = true;
  /// It leads a session of its own, away from this process's terminal.
  bool start_new_session = false;
  /// It joins this process group; 0: it leads one of its own.
  std::optional<int> process_group{};
  /// SIGPIPE and SIGXFSZ do what they do by default, even if this process ignores them.
  bool restore_signals = true;
  /// Who it is. Supplementary groups stay unless `extra_groups` is set, also to none.
  std::optional<std::uint32_t> user{};
  std::optional<std::uint32_t> group{};
  std::optional<std::vector<std::uint32_t>> extra_groups{};
};

namespace detail {

using SubprocessSink = OpenSink<SubprocessTransport>;

/// Starts a process; what it returns cancels that. A `command` is the shell's, else `arguments` count.
WEIR_API FutureState::CancelHook start_subprocess(EventLoop& loop,
                                                  SubprocessProtocolFactory make_protocol,
                                                  std::vector<std::string> arguments,
                                                  SubprocessOptions options, SubprocessSink sink);
WEIR_API FutureState::CancelHook start_shell(EventLoop& loop,
                                             SubprocessProtocolFactory make_protocol,
                                             std::string command, SubprocessOptions options,
                                             SubprocessSink sink);

/// A process, as open_transport() opens it.
struct SubprocessOpening {
  using Handle = SubprocessTransport;
  using Held = std::shared_ptr<SubprocessProtocol>;
  template <class P>
  using Opened = Subprocess<P>;
  template <class T>
  static auto made_of(T&& made) {
    return make_subprocess_protocol_of(std::forward<T>(made));
  }
};

}  // namespace detail

/// Starts the program arguments[0], looked for in the PATH, with these arguments, which nobody
/// interprets; asyncio's subprocess_exec.
///
/// `make_protocol` is called once, before the process is started, and returns a protocol: by pointer,
/// shared or unique, or an object with callbacks of these names. The future completes from the loop,
/// after connection_made(). The loop reaps the process, needs no signal handler for that and leaves
/// other children alone. Closing the loop kills it. [P1, P3, P4, P20, P21]
///
/// Errors: through the future only; misuse as std::invalid_argument [P2], what the factory throws, and
/// std::system_error that names what failed: "exec no-such-program", "chdir to /nope". No callback has
/// been called then, and nothing is left. [P3] UnsupportedOperationError on a simulated loop.
/// Threads: the loop's, which waits until the program is loaded. Dropping the future does not cancel;
/// cancel() does: it kills the process, and completes once that has been reaped. [P20]
template <detail::MakesProtocol Factory>
auto subprocess_exec(EventLoop& loop, Factory make_protocol, std::vector<std::string> arguments,
                     SubprocessOptions options = {}) {
  return detail::open_transport<detail::SubprocessOpening>(
      loop, std::move(make_protocol),
      [&](SubprocessProtocolFactory make, detail::SubprocessSink sink) {
        return detail::start_subprocess(loop, std::move(make), std::move(arguments),
                                        std::move(options), std::move(sink));
      });
}

/// The same with a default-constructed P for a protocol.
template <class P>
  requires(!detail::MakesProtocol<P>)
auto subprocess_exec(EventLoop& loop, std::vector<std::string> arguments,
                     SubprocessOptions options = {}) {
  return subprocess_exec(
      loop, [] { return std::make_shared<P>(); }, std::move(arguments), std::move(options));
}

/// Starts `command` by /bin/sh; asyncio's subprocess_shell. The shell interprets all of it: never put
/// into it what somebody else gave you. As subprocess_exec(), otherwise.
template <detail::MakesProtocol Factory>
auto subprocess_shell(EventLoop& loop, Factory make_protocol, std::string command,
                      SubprocessOptions options = {}) {
  return detail::open_transport<detail::SubprocessOpening>(
      loop, std::move(make_protocol),
      [&](SubprocessProtocolFactory make, detail::SubprocessSink sink) {
        return detail::start_shell(loop, std::move(make), std::move(command), std::move(options),
                                   std::move(sink));
      });
}

/// The same with a default-constructed P for a protocol.
template <class P>
  requires(!detail::MakesProtocol<P>)
auto subprocess_shell(EventLoop& loop, std::string command, SubprocessOptions options = {}) {
  return subprocess_shell(
      loop, [] { return std::make_shared<P>(); }, std::move(command), std::move(options));
}

}  // namespace weir::inline v0
