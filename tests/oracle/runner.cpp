#include "runner.h"

#include <weir/pipes.h>
#include <weir/unix_socket.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <utility>

#include "child.h"
#include "endpoint.h"
#include "opening.h"
#include "protocols.h"
#include "tls_words.h"

namespace weir::oracle {
namespace {

using std::chrono::milliseconds;

constexpr auto deadline = std::chrono::seconds(20);
constexpr auto settling_time = milliseconds(30);

}  // namespace

Runner::Runner(const Scenario& scenario, BackendKind backend, Transports transports,
               std::string certificates)
    : scenario_(scenario),
      trace_(scenario.hide_data),
      certificates_(std::move(certificates)),
      simulated_(backend == BackendKind::simulated),
      loop_(std::make_unique<EventLoop>(LoopOptions{.backend = backend})) {
  loop_->set_debug(false);
  loop_->set_exception_handler(
      [this](EventLoop&, const ExceptionContext& context) { report(context); });
  set_log_sink([this](LogLevel level, std::string_view text) {
    if (level < LogLevel::warning) return;
    std::string first_line(text.substr(0, text.find('\n')));
    // The words before are not in the contract, and name a process. [P12]
    const std::size_t report = first_line.find("will report returncode");
    if (report != std::string::npos) first_line.erase(0, report);
    trace_.add("log", std::string(to_string(level)) + ' ' + first_line);
  });
  start_time_ = loop_->time();
  if (transports == Transports::unix_sockets) unix_path_ = "default";
}

Runner::~Runner() {
  set_log_sink({});
  for (const int number : ignored_signals_) std::signal(number, SIG_DFL);
}

void Runner::report(const ExceptionContext& context) {
  std::string message = context.message;
  std::string fields =
      std::string(context.protocol ? " protocol" : "") + (context.transport ? " transport" : "");
  if (message.starts_with("Exception in callback")) {
    message = "Exception in callback";
    fields.clear();  // L20 asks for none
  }
  const std::string kind = kind_of(context.exception);
  std::string actor = "loop";
  if (const auto* teller = dynamic_cast<const Teller*>(context.protocol.get())) {
    actor = teller->end().name;
  } else if (!thrower_.empty() && (kind == "UserError" || kind == "ConnectionResetError")) {
    actor = thrower_;
  }
  trace_.add(actor, "exception_handler " + message + ' ' + kind + fields);
  if (handler_broken_) throw UserError();
}

// --- What is told, and what is done then
// ------------------------------------------------------------

std::optional<bool> Runner::happened(const std::string& actor, const std::string& label,
                                     const std::string& event, const std::string& detail) {
  const std::string name = label == actor ? event : label + '.' + event;
  trace_.add(actor, detail.empty() ? name : name + ' ' + detail);
  return act_for(actor, label, event);
}

void Runner::data(End& end, const std::string& label, const std::string& event,
                  std::span<const std::byte> bytes) {
  end.received += as_text(bytes);
  trace_.add_data(end.name, label == end.name ? event : label + '.' + event, as_text(bytes));
  for (const Handler& handler : scenario_.handlers) {
    const auto wanted = received_at_least(handler.event);
    if (handler.label != label || !wanted || end.received.size() < *wanted) continue;
    if (std::ranges::find(fired_, &handler) != fired_.end()) continue;
    fired_.push_back(&handler);
    act(end.name, handler.actions);
  }
  act_for(end.name, label, event);
}

std::optional<bool> Runner::act_for(const std::string& actor, const std::string& label,
                                    const std::string& event) {
  const int occurrence = trace_.count(label, event);
  std::optional<bool> result;
  for (const Handler& handler : scenario_.handlers) {
    if (handler.label == label && handler.event == event &&
        handler.occurrence.value_or(occurrence) == occurrence) {
      result = act(actor, handler.actions);
    }
  }
  return result;
}

bool Runner::is_actor(const std::string& name) const {
  return ends_.contains(name) || futures_.contains(name) || actors_.contains(name) ||
         name == "loop" || name == "listener" || name == "files";
}

Actor* Runner::find_actor(const std::string& name) const {
  const auto found = actors_.find(name);
  return found == actors_.end() ? nullptr : found->second.get();
}

std::string Runner::name_of(const Address& address) const {
  for (const auto& [name, actor] : actors_) {
    const auto* endpoint = dynamic_cast<const Endpoint*>(actor.get());
    if (endpoint != nullptr && endpoint->address() == address) return name;
  }
  return "unknown";
}

std::optional<bool> Runner::act(const std::string& actor, const std::vector<Words>& actions) {
  std::optional<bool> result;
  for (const Words& action : actions) {
    const bool names_actor = is_actor(action[0]);
    const std::string target = names_actor ? action[0] : actor;
    const Words words(action.begin() + (names_actor ? 1 : 0), action.end());
    if (words.at(0) == "return") {
      result = words.at(1) == "true";
    } else if (words[0] == "throw") {
      thrower_ = actor;
      std::rethrow_exception(make_error(words.at(1)));
    } else {
      perform(target, words);
    }
  }
  return result;
}

void Runner::perform(const std::string& target, const Words& words) {
  const auto end = ends_.find(target);
  const bool in_loop = futures_.contains(target);
  try {
    if (end != ends_.end()) {
      connection_verb(*end->second, words);
    } else if (futures_.contains(target)) {
      future_verb(target, words);
    } else if (Actor* actor = find_actor(target)) {
      actor->verb(words);
    } else if (target == "files") {
      files_.verb(words);
    } else if (target == "listener") {
      listener_verb(words);
    } else {
      loop_verb(words);
    }
  } catch (const std::out_of_range&) {
    throw std::runtime_error("words missing after " + words[0]);
  } catch (const std::exception&) {
    trace_.add(in_loop ? "loop" : target,
               words[0] + " raised " + kind_of(std::current_exception()));
  }
}

// --- Steps
// ------------------------------------------------------------------------------------------

AnyProtocol Runner::make_protocol(End& end, const std::string& label) {
  if (scenario_.buffered.contains(label)) {
    return std::make_shared<TellingBufferedProtocol>(*this, end, label);
  }
  return std::make_shared<TellingProtocol>(*this, end, label);
}

void Runner::check_factory(const std::string& label) {
  const auto throws = scenario_.factory_throws.find(label);
  if (throws == scenario_.factory_throws.end()) return;
  thrower_ = label;
  std::rethrow_exception(make_error(throws->second));
}

template <class P>
std::shared_ptr<P> Runner::make_first_protocol(End& end) {
  check_factory(end.name);
  return std::make_shared<P>(*this, end, end.name);
}

template <class P>
void Runner::listen(const Words& words) {
  UnixServerOptions options;
  for (const std::string& word : words) {
    if (word == "idle") options.start_serving = false;
    if (word == "keep") options.cleanup_socket = false;
    if (word.starts_with("backlog=")) options.backlog = std::stoi(word.substr(8));
    if (word.starts_with("unix=")) unix_path_ = word.substr(5);
  }
  const auto accept = [this] {
    const auto accepted = std::ranges::count_if(
        ends_, [](const auto& end) { return end.first.starts_with("server"); });
    const std::string name = accepted == 0 ? "server" : "server" + std::to_string(accepted + 1);
    auto& end = ends_[name] = std::make_unique<End>(End{.name = name});
    return make_first_protocol<P>(*end);
  };
  ServerOptions tcp{.backlog = options.backlog, .start_serving = options.start_serving};
  const TlsWords tls = server_tls(words, certificates_);
  tls.set_in(options);
  tls.set_in(tcp);
  try {
    server_ = loop_->run_until_complete(
        unix_path_ ? create_unix_server(*loop_, accept, files_.path(*unix_path_), options)
                   : create_server(*loop_, accept, "127.0.0.1", 0, tcp));
    if (!unix_path_) port_ = server_.sockets().at(0).sockname.port();
  } catch (const std::exception&) {
    trace_.add("listener", "listen failed " + kind_of(std::current_exception()));
  }
}

template <class P>
void Runner::start(const Words& words) {
  const std::string& name = words.at(1);
  End& end = *(ends_[name] = std::make_unique<End>(End{.name = name}));
  const auto make = [this, &end] { return make_first_protocol<P>(end); };
  UnixConnectOptions over_unix;
  client_tls(words, certificates_, "localhost").set_in(over_unix);
  ConnectOptions over_tcp;
  client_tls(words, certificates_, std::nullopt).set_in(over_tcp);
  auto future = unix_path_
                    ? create_unix_connection(*loop_, make, files_.path(*unix_path_), over_unix)
                    : create_connection(*loop_, make, "127.0.0.1", port_, over_tcp);
  end.cancel_connect = [future] { future.cancel(); };
  tell_opening(*this, future, name, "connect");
}

void Runner::start_any(const Words& words) {
  const std::string& name = words.at(1);
  for (const std::string& word : words) {
    if (word.starts_with("unix=")) unix_path_ = word.substr(5);
  }
  if (scenario_.buffered.contains(name)) {
    start<TellingBufferedProtocol>(words);
  } else {
    start<TellingProtocol>(words);
  }
}

template <class P>
void Runner::connect_pipe(const Words& words) {
  const std::string& name = words.at(1);
  End& end = *(ends_[name] = std::make_unique<End>(End{.name = name}));
  const auto make = [this, &end] { return make_first_protocol<P>(end); };
  const int pipe = files_.descriptor(words.at(2));
  auto future = words[0] == "read_pipe" ? connect_read_pipe(*loop_, make, pipe)
                                        : connect_write_pipe(*loop_, make, pipe);
  tell_opening(*this, future, name, "connect");
  run_until({name + ".connected"});
  const std::string outcome = kind_of(future.exception());
  if (outcome == "none" || outcome == "UserError") files_.release(words[2]);
}

void Runner::connect_any_pipe(const Words& words) {
  if (scenario_.buffered.contains(words.at(1))) {
    connect_pipe<TellingBufferedProtocol>(words);
  } else {
    connect_pipe<TellingProtocol>(words);
  }
}

/// False if `words` open no connection.
bool Runner::opening_step(const Words& words) {
  if (words[0] == "listen") {
    if (scenario_.buffered.contains("server")) {
      listen<TellingBufferedProtocol>(words);
    } else {
      listen<TellingProtocol>(words);
    }
  } else if (words[0] == "open") {
    Words listening = words;
    listening[0] = "listen";
    step(listening);
    Words connecting{"connect", "client"};
    if (std::ranges::find(words, "tls") != words.end()) connecting.emplace_back("tls");
    step(connecting);
    run_until({"server.connection_made"});
  } else if (words[0] == "start") {
    start_any(words);
  } else if (words[0] == "connect") {
    start_any(words);
    run_until({words.at(1) + ".connected"});
  } else if (words[0] == "read_pipe" || words[0] == "write_pipe") {
    connect_any_pipe(words);
  } else {
    return false;
  }
  return true;
}

/// False if `words` make no further actor.
bool Runner::actor_step(const Words& words) {
  if (words[0] == "endpoint") {
    auto endpoint = std::make_unique<Endpoint>(*this, words.at(1));
    Endpoint& made = *endpoint;
    actors_[words[1]] = std::move(endpoint);
    made.open(words);
  } else if (words[0] == "spawn" || words[0] == "spawning" || words[0] == "shell") {
    auto child = std::make_unique<Child>(*this, words.at(1));
    Child& made = *child;
    actors_[words[1]] = std::move(child);
    made.start(words);
    if (words[0] != "spawning") run_until({words[1] + ".spawned"});
  } else {
    return false;
  }
  return true;
}

void Runner::step(const Words& words) {
  if (is_actor(words[0])) {
    perform(words[0], Words(words.begin() + 1, words.end()));
  } else if (words[0] == "settle") {
    settle();
  } else if (words[0] == "future") {
    futures_[words.at(1)] = loop_->create_future();
  } else if (words[0] == "run") {
    run_step(words);
  } else if (!opening_step(words) && !actor_step(words) &&
             !files_.step(words, *loop_, simulated_)) {
    throw std::runtime_error("no such step: " + words[0]);
  }
}

void Runner::run_step(const Words& words) {
  if (words.at(1) == "until") {
    Words conditions(words.begin() + 2, words.end());
    std::erase(conditions, "and");
    run_until(conditions);
  } else if (words[1] == "once") {
    loop_->run_once();
  } else if (words[1] == "forever") {
    try {
      loop_->run_forever();
    } catch (const std::exception&) {
      trace_.add("loop", "run_forever raised " + kind_of(std::current_exception()));
    }
  } else {
    try {
      loop_->run_until_complete(futures_.at(words.at(2)));
      trace_.add("loop", "run_until_complete returned");
    } catch (const std::exception&) {
      trace_.add("loop", "run_until_complete raised " + kind_of(std::current_exception()));
    }
  }
}

bool Runner::holds(const std::string& condition) {
  const std::size_t dot = condition.find('.');
  const std::string label = condition.substr(0, dot);
  std::string event = condition.substr(dot + 1);
  const auto end = ends_.find(label);
  if (const auto wanted = received_at_least(event)) {
    return end != ends_.end() && end->second->received.size() >= *wanted;
  }
  if (event == "drained") return end->second->transport.get_write_buffer_size() == 0;
  if (event == "buffered") return end->second->transport.get_write_buffer_size() > 0;
  if (event == "got_all") return got_all(*end->second);
  int times = 1;
  if (const std::size_t hash = event.find('#'); hash != std::string::npos) {
    times = std::stoi(event.substr(hash + 1));
    event.resize(hash);
  }
  return trace_.counted(label, event) >= times;
}

void Runner::run_until(const std::vector<std::string>& conditions) {
  const auto begin = std::chrono::steady_clock::now();
  while (!std::ranges::all_of(conditions, [&](const auto& each) { return holds(each); })) {
    if (std::chrono::steady_clock::now() - begin > deadline) {
      std::string text = "waited in vain for";
      for (const std::string& condition : conditions) text += ' ' + condition;
      trace_.add("loop", text);
      return;
    }
    loop_->run_once(milliseconds(1));
  }
}

void Runner::settle() {
  const auto end = loop_->time() + settling_time;
  // On a busy machine the time may be over before anything has run.
  for (int idle_turns = 0; loop_->time() < end || idle_turns < 10;) {
    idle_turns = loop_->run_once(milliseconds(1)) == 0 ? idle_turns + 1 : 0;
  }
}

void Runner::run() {
  for (const Words& words : scenario_.steps) step(words);
  const Trace finished = trace_;
  loop_->close();
  trace_ = finished;
}

}  // namespace weir::oracle
