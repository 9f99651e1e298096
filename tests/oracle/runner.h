#pragma once

#include <weir/weir.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "actor.h"
#include "files.h"
#include "scenario.h"
#include "trace.h"

namespace weir::oracle {

/// One end of a connection.
struct End {
  std::string name;
  Transport transport{};
  std::string sent{};
  std::string received{};
  std::size_t buffer_size = 65536;
  std::function<void()> cancel_connect{};
};

/// Runs one scenario on a loop of `backend`, its connections over TCP unless it says otherwise, or over
/// Unix sockets.
class Runner {
 public:
  enum class Transports : std::uint8_t { tcp, unix_sockets };

  /// `certificates` is the directory of those that its TLS needs.
  Runner(const Scenario& scenario, BackendKind backend, Transports transports = Transports::tcp,
         std::string certificates = {});
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  ~Runner();

  /// Throws std::runtime_error for a scenario it does not understand.
  void run();

  // For what belongs to the scenario.
  Trace& trace() noexcept { return trace_; }
  EventLoop& loop() noexcept { return *loop_; }
  Files& files() noexcept { return files_; }
  /// The further actor of that name; null if there is none.
  Actor* find_actor(const std::string& name) const;
  void run_until(const std::vector<std::string>& conditions);
  Callback callback(const std::string& name);
  void keep_operation(const std::string& name, std::function<void()> cancel) {
    cancel_operation_[name] = std::move(cancel);
  }
  /// The endpoint that is bound there, or "unknown".
  std::string name_of(const Address& address) const;
  /// Throws what the factory of this protocol is to throw.
  void check_factory(const std::string& label);

  // What protocols tell: `label` is which protocol of the actor it is.
  std::optional<bool> happened(const std::string& actor, const std::string& label,
                               const std::string& event, const std::string& detail = {});
  void data(End& end, const std::string& label, const std::string& event,
            std::span<const std::byte> bytes);
  std::optional<bool> act_for(const std::string& actor, const std::string& label,
                              const std::string& event);

 private:
  bool is_actor(const std::string& name) const;
  /// Returns what a `return` among the actions says.
  std::optional<bool> act(const std::string& actor, const std::vector<Words>& actions);
  /// Does one verb; what it throws goes to the trace.
  void perform(const std::string& target, const Words& words);
  void step(const Words& words);

  void connection_verb(End& end, const Words& words);
  bool sendfile_verb(End& end, const Words& words);
  void start_tls_verb(End& end, const Words& words);
  void print_connection(End& end, const Words& words);
  void write(End& end, std::string_view text);
  void writelines(End& end, const Words& words);
  void clog(End& end);
  bool got_all(const End& end) const;

  void listener_verb(const Words& words);
  void wait_for(const std::string& waiter, Future<void> future);

  void loop_verb(const Words& words);
  bool descriptor_verb(const Words& words);
  bool signal_verb(const Words& words);
  bool operation_verb(const Words& words);
  void sock_verb(const Words& words);
  int socket_of(const std::string& name) const;
  void print_loop(const Words& words);

  void future_verb(const std::string& name, const Words& words);
  void print_future(const std::string& name, const std::string& what);

  AnyProtocol make_protocol(End& end, const std::string& label);
  template <class P>
  std::shared_ptr<P> make_first_protocol(End& end);
  template <class P>
  void listen(const Words& words);
  template <class P>
  void start(const Words& words);
  void start_any(const Words& words);
  template <class P>
  void connect_pipe(const Words& words);
  void connect_any_pipe(const Words& words);
  bool opening_step(const Words& words);
  bool actor_step(const Words& words);
  void run_step(const Words& words);
  bool holds(const std::string& condition);
  void settle();
  void report(const ExceptionContext& context);

  const Scenario& scenario_;
  Trace trace_;
  std::string certificates_;
  bool simulated_;
  Files files_{trace_};
  std::map<std::string, std::unique_ptr<End>> ends_;
  std::vector<const Handler*> fired_;  ///< of "received>=N", which happens once
  std::map<std::string, std::variant<Handle, TimerHandle>> handles_;
  std::map<std::string, DoneCallbackId> done_callbacks_;
  std::string thrower_;
  bool handler_broken_ = false;
  std::unique_ptr<EventLoop> loop_;
  std::map<std::string, std::unique_ptr<Actor>> actors_;
  std::map<std::string, std::function<void()>> cancel_operation_;
  std::map<std::string, Future<void>> futures_;
  std::map<std::string, Future<void>> waiters_;
  std::vector<int> ignored_signals_;  ///< until the scenario is over
  Server server_;
  std::uint16_t port_ = 0;
  std::optional<std::string> unix_path_{};  ///< where the listener is, if it is at a path
  EventLoop::TimePoint start_time_{};
};

/// `set_write_buffer_limits [high=N] [low=N]`, with +N for N more than `size`.
WriteBufferLimits limits_of(const Words& words, std::size_t size);

}  // namespace weir::oracle
