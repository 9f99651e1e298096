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

/// Runs one scenario on a loop of `backend`.
class Runner {
 public:
  Runner(const Scenario& scenario, BackendKind backend);
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  ~Runner();

  /// Throws std::runtime_error for a scenario it does not understand.
  void run();
  const Trace& trace() const noexcept { return trace_; }

  // What protocols tell: `label` is which protocol of the connection it is.
  std::optional<bool> happened(End& end, const std::string& label, const std::string& event,
                               const std::string& detail = {});
  void data(End& end, const std::string& label, const std::string& event,
            std::span<const std::byte> bytes);
  std::optional<bool> act_for(const std::string& actor, const std::string& label,
                              const std::string& event);

 private:
  using Sockets = std::map<std::string, int>;

  bool is_actor(const std::string& name) const;
  /// Returns what a `return` among the actions says.
  std::optional<bool> act(const std::string& actor, const std::vector<Words>& actions);
  /// Does one verb; what it throws goes to the trace.
  void perform(const std::string& target, const Words& words);
  void step(const Words& words);

  void connection_verb(End& end, const Words& words);
  void print_connection(End& end, const Words& words);
  void write(End& end, std::string_view text);
  void writelines(End& end, const Words& words);
  void set_limits(End& end, const Words& words);
  void clog(End& end);
  bool got_all(const End& end) const;

  void listener_verb(const Words& words);
  void wait_for(const std::string& waiter, Future<void> future);

  void loop_verb(const Words& words);
  bool descriptor_verb(const Words& words);
  void print_loop(const Words& words);
  Callback callback(const std::string& name);

  void future_verb(const std::string& name, const Words& words);
  void print_future(const std::string& name, const std::string& what);

  AnyProtocol make_protocol(End& end, const std::string& label);
  template <class P>
  std::shared_ptr<P> make_first_protocol(End& end);
  template <class P>
  void listen(const Words& words);
  template <class P>
  void start(const std::string& name);
  void start_any(const std::string& name);
  void open();
  void make_pair(const std::string& name);
  void run_step(const Words& words);
  void run_until(const std::vector<std::string>& conditions);
  bool holds(const std::string& condition);
  void settle();
  void clean_up();
  void report(const ExceptionContext& context);

  const Scenario& scenario_;
  Trace trace_;
  std::map<std::string, std::unique_ptr<End>> ends_;
  std::vector<const Handler*> fired_;  ///< of "received>=N", which happens once
  std::map<std::string, std::variant<Handle, TimerHandle>> handles_;
  std::map<std::string, DoneCallbackId> done_callbacks_;
  Sockets sockets_;
  std::string thrower_;
  bool handler_broken_ = false;
  std::unique_ptr<EventLoop> loop_;
  std::map<std::string, Future<void>> futures_;
  std::map<std::string, Future<void>> waiters_;
  Server server_;
  std::uint16_t port_ = 0;
  EventLoop::TimePoint start_time_{};
};

}  // namespace weir::oracle
