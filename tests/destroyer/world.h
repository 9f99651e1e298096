#pragma once

#include <weir/weir.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "choices.h"
#include "datagram_end.h"
#include "end.h"
#include "journal.h"
#include "pattern.h"
#include "stream_end.h"

namespace weir::destroyer {

/// What may come out of a call.
struct Allowed {
  bool wrong_state = false;
  bool unsupported = false;
  bool invalid = false;
  bool system = false;
  bool thrown = false;  ///< what a callback throws
};

/// Hosts with loops, and everything that is open there: what one program of the destroyer does, from a beginning
/// with nothing to an end with nothing.
class World {
 public:
  World(BackendKind backend, Choices& choices, Journal& journal, std::uint64_t steps);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World();

  /// The whole life: at random, then to rest, or not.
  void run();
  std::size_t connections() const noexcept { return ends_.size(); }
  std::uint64_t trace_hash() const { return network_ ? network_->trace_hash() : 0; }

  // --- For its ends

  Choices& choices() noexcept { return choices_; }
  Journal& journal() noexcept { return journal_; }
  bool is_real() const noexcept { return backend_ != BackendKind::simulated; }
  bool is_settling() const noexcept { return phase_ != Phase::random; }

  /// Takes some actions, in a callback of `here`; may throw at its end where callbacks may.
  void act(Point point, End* here);
  /// Runs `call`, of which only what is `allowed` may come out. Returns whether nothing did.
  template <class F>
  bool attempt(const char* what, F call, Allowed allowed = {});

  Stream& new_stream();
  /// The stream of that number, to be read by `reader`.
  Stream& claim(std::uint32_t number, StreamEnd& reader);
  /// Null if it is not there any more.
  EventLoop* loop_of(const End& end) const { return loop(end.machine()); }
  SentDatagrams& datagrams() noexcept { return datagrams_; }
  /// What a Buffer's owner has to call.
  Callback release();
  bool random_kind() { return choices_.chance(40); }
  std::chrono::nanoseconds some_time();
  /// With timeouts that end soon.
  template <class Options>
  Options tls_options();
  Address some_datagram_address(AddressFamily family);
  /// Consumes the result.
  void watch(const Future<std::uint64_t>& future);

 private:
  enum class Phase : std::uint8_t { random, settling, closing, over };

  struct Machine {
    SimulatedHost host{};
    std::unique_ptr<EventLoop> own{};  ///< not of a program of the network's
    bool programmed = false;
    std::uint64_t boot = 0;
  };
  struct Listening {
    std::size_t machine = 0;
    Server server{};
    bool tls = false;
    std::string path{};
    std::vector<Future<void>> waiting{};
  };
  struct Opener {
    std::size_t machine = 0;
    std::shared_ptr<End> end;
    std::function<bool()> done;
    std::function<void()> cancel;
    std::function<void(EventLoop&)> run;
  };

  // --- Machines and running (world.cpp)
  void make_machines();
  void begin(EventLoop& loop);
  void random_phase();
  void run_some();
  void run_loop(EventLoop& loop);
  void settle();
  bool comes_to_rest(std::chrono::nanoseconds limit);
  bool at_rest() const;
  void close_everything();
  void close_loops();
  void check_all();
  EventLoop* loop(std::size_t machine) const;
  void set_gone(std::size_t machine);
  void restart(std::size_t machine);
  template <class F>
  void running(F run);

  // --- Actions (actions.cpp)
  void one_action(Point point, End* here);
  void throw_some(Point point, End* here);
  End* some_end(End* here);
  void use_loop(std::size_t machine, Point point);
  void use_server();
  void fault(Point point);
  void misuse(EventLoop& loop);
  LinkOptions some_link();

  // --- Openers (openers.cpp)
  void open(std::size_t machine);
  void open_server(EventLoop& loop, std::size_t machine);
  void open_stream(EventLoop& loop, std::size_t machine);
  void open_pipes(EventLoop& loop, std::size_t machine);
  void open_datagrams(EventLoop& loop, std::size_t machine);
  std::shared_ptr<StreamEnd> new_stream_end(std::size_t machine, StreamKind kind, bool tls);
  AnyProtocol made_by_factory(const std::shared_ptr<StreamEnd>& end);
  ProtocolFactory factory_of(std::shared_ptr<StreamEnd> end);
  template <class Opened>
  void keep_opener(std::size_t machine, std::shared_ptr<End> end, Future<Opened> future);
  void check_opened(const std::shared_ptr<End>& end, const std::exception_ptr& failure,
                    bool cancelled);
  std::string new_path();

  const BackendKind backend_;
  Choices& choices_;
  Journal& journal_;
  const std::uint64_t last_step_;
  Phase phase_ = Phase::random;
  std::size_t depth_ = 0;
  bool faulty_ = false;  ///< the network is one that loses and cuts

  std::shared_ptr<Observer> checker_;
  std::unique_ptr<SimulatedNetwork> network_;
  std::vector<Machine> machines_;
  std::vector<std::shared_ptr<End>> ends_;
  std::vector<std::unique_ptr<Stream>> streams_;
  SentDatagrams datagrams_;
  std::vector<Listening> servers_;
  std::vector<Opener> openers_;
  std::size_t paths_ = 0;
  std::size_t buffers_ = 0;  ///< not released
};

template <class Options>
Options World::tls_options() {
  Options options;
  const bool soon = is_real() || choices_.chance(30);
  if (soon) options.tls_handshake_timeout = std::chrono::seconds(is_real() ? 2 : 1);
  if (soon) options.tls_shutdown_timeout = std::chrono::milliseconds(choices_.between(1, 300));
  return options;
}

template <class F>
bool World::attempt(const char* what, F call, Allowed allowed) {
  std::string thrown;
  try {
    const Journal::Nested nested(journal_);
    call();
    return true;
  } catch (const WrongStateError& error) {
    if (!allowed.wrong_state) thrown = std::string("WrongStateError: ") + error.what();
  } catch (const UnsupportedOperationError& error) {
    if (!allowed.unsupported) thrown = std::string("UnsupportedOperationError: ") + error.what();
  } catch (const std::invalid_argument& error) {
    if (!allowed.invalid) thrown = std::string("std::invalid_argument: ") + error.what();
  } catch (const std::system_error& error) {
    if (!allowed.system) thrown = std::string("std::system_error: ") + error.what();
  } catch (const Thrown& error) {
    if (!allowed.thrown) thrown = error.what();
  } catch (const Fatal& error) {
    if (!allowed.thrown) thrown = error.what();
  } catch (const std::exception& error) {
    thrown = error.what();
  }
  if (!thrown.empty()) journal_.broken(std::string(what) + " threw " + thrown);
  journal_.note("refused");
  return false;
}

}  // namespace weir::destroyer
