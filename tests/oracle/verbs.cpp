#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "protocols.h"
#include "runner.h"
#include "signal_names.h"

// What the actors of a scenario can do.
namespace weir::oracle {
namespace {

std::chrono::duration<double, std::milli> milliseconds_of(const std::string& word) {
  return std::chrono::duration<double, std::milli>(std::stod(word));
}

/// As Python does it: a pipe that nobody reads any more is an error and no signal.
void write_to(int end, const std::string& text) {
  auto* const before = std::signal(SIGPIPE, SIG_IGN);
  const ssize_t size = ::write(end, text.data(), text.size());
  const int error = errno;
  std::signal(SIGPIPE, before);
  if (size < 0) throw std::system_error(error, std::generic_category(), "write");
}

/// Blocks until a child has exited, and does not reap it.
void await_exit() {
  siginfo_t info{};
  ::waitid(P_ALL, 0, &info, WEXITED | WNOWAIT);
}

bool has_children() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOWAIT | WNOHANG) == 0;
}

}  // namespace

void unknown_verb(const Words& words) {
  throw std::runtime_error("no such verb: " + text_of(words, 0));
}

std::string text_of(const Words& words, std::size_t first) {
  std::string text;
  for (std::size_t i = first; i < words.size(); ++i) text += (i > first ? " " : "") + words[i];
  return text;
}

// --- Connections
// ------------------------------------------------------------------------------------

void Runner::connection_verb(End& end, const Words& words) {
  const Transport transport = end.transport;
  const std::string& verb = words[0];
  if (verb == "write") return write(end, words.at(1));
  if (verb == "write_repeat") {
    return write(end, std::string(std::stoul(words.at(1)), words.at(2)[0]));
  }
  if (verb == "write_empty") return transport.write("");
  if (verb == "writelines") return writelines(end, words);
  if (verb == "write_eof") return transport.write_eof();
  if (verb == "close") return transport.close();
  if (verb == "abort") return transport.abort();
  if (verb == "pause_reading") return transport.pause_reading();
  if (verb == "resume_reading") return transport.resume_reading();
  if (verb == "set_write_buffer_limits") {
    return transport.set_write_buffer_limits(limits_of(words, transport.get_write_buffer_size()));
  }
  if (verb == "set_protocol") {
    return transport.set_protocol(make_protocol(end, words.at(1)));
  }
  if (verb == "cancel_connect") return end.cancel_connect();
  if (verb == "clog") return clog(end);
  if (verb == "print") return print_connection(end, words);
  if (verb == "start_tls") return start_tls_verb(end, words);
  if (sendfile_verb(end, words)) return;
  if (verb != "buffer") unknown_verb(words);
  end.buffer_size = std::stoul(words.at(1));
}

void Runner::write(End& end, std::string_view text) {
  const bool dropped = end.transport.is_closing() && end.transport.get_write_buffer_size() == 0;
  end.transport.write(text);
  if (!dropped) end.sent += text;
}

void Runner::writelines(End& end, const Words& words) {
  std::vector<std::string> texts;
  for (std::size_t i = 1; i < words.size(); ++i) texts.push_back(words[i] == "-" ? "" : words[i]);
  std::vector<std::span<const std::byte>> lines;
  for (const std::string& text : texts) lines.push_back(as_bytes(text));
  end.transport.writelines(lines);
  for (const std::string& text : texts) end.sent += text;
}

WriteBufferLimits limits_of(const Words& words, std::size_t size) {
  WriteBufferLimits limits;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::size_t equals = words[i].find('=');
    const std::string value = words[i].substr(equals + 1);
    const std::size_t base = value[0] == '+' ? size : 0;
    (words[i].substr(0, equals) == "high" ? limits.high : limits.low) = base + std::stoul(value);
  }
  return limits;
}

void Runner::clog(End& end) {
  end.transport.set_write_buffer_limits({.high = std::size_t{1} << 30U});
  const std::string chunk(65536, 'c');
  do {
    while (end.transport.get_write_buffer_size() == 0) write(end, chunk);
    settle();
  } while (end.transport.get_write_buffer_size() == 0);
}

bool Runner::got_all(const End& end) const {
  if (end.name == "reader") return end.received == ends_.at("writer")->sent;
  const std::string peer = end.name.starts_with("client") ? "server" : "client";
  return end.received == ends_.at(peer + end.name.substr(peer.size()))->sent;
}

void Runner::print_connection(End& end, const Words& words) {
  const Transport& transport = end.transport;
  const std::string& what = words.at(1);
  std::string value;
  if (what == "is_closing") {
    value = shown(transport.is_closing());
  } else if (what == "is_reading") {
    value = shown(transport.is_reading());
  } else if (what == "can_write_eof") {
    value = shown(transport.can_write_eof());
  } else if (what == "limits") {
    const EffectiveWriteBufferLimits limits = transport.get_write_buffer_limits();
    value = std::to_string(limits.low) + ' ' + std::to_string(limits.high);
  } else if (what == "size") {
    value = std::to_string(transport.get_write_buffer_size());
  } else if (what == "buffered") {
    value = shown(transport.get_write_buffer_size() > 0);
  } else if (what == "protocol") {
    const auto protocol = transport.get_protocol();
    const auto* teller = dynamic_cast<const Teller*>(protocol.get());
    value = teller == nullptr ? "none" : teller->label();
  } else if (what == "extra") {
    const ExtraInfo info = transport.get_extra_info(words.at(2));
    value = std::holds_alternative<std::monostate>(info) ? "absent" : "present";
  } else if (what == "got_all") {
    value = shown(got_all(end));
  } else {
    unknown_verb(words);
  }
  trace_.add(end.name, text_of(words, 0) + ' ' + value);
}

// --- The listener
// -----------------------------------------------------------------------------------

void Runner::listener_verb(const Words& words) {
  const std::string& verb = words[0];
  if (verb == "close") return server_.close();
  if (verb == "close_clients") return server_.close_clients();
  if (verb == "abort_clients") return server_.abort_clients();
  if (verb == "start_serving") return loop_->run_until_complete(server_.start_serving());
  if (verb == "wait_closed") return wait_for(words.at(1), server_.wait_closed());
  if (verb == "serve_forever") return wait_for(words.at(1), server_.serve_forever());
  if (verb == "cancel") return void(waiters_.at(words.at(1)).cancel());
  if (verb != "print") unknown_verb(words);
  const std::string value = words.at(1) == "is_serving" ? shown(server_.is_serving())
                                                        : std::to_string(server_.sockets().size());
  trace_.add("listener", "print " + words[1] + ' ' + value);
}

void Runner::wait_for(const std::string& waiter, Future<void> future) {
  future.add_done_callback([this, waiter](const Future<void>& done) {
    trace_.add("listener",
               waiter + ' ' + (done.cancelled() ? "cancelled" : kind_of(done.exception())));
    trace_.count("listener", waiter);
  });
  waiters_[waiter] = std::move(future);
}

// --- The loop
// ---------------------------------------------------------------------------------------

Callback Runner::callback(const std::string& name) {
  return [this, name] {
    trace_.add("loop", name);
    act_for("loop", "loop", name);
  };
}

void Runner::loop_verb(const Words& words) {
  const std::string& verb = words[0];
  if (verb == "stop") return loop_->stop();
  if (verb == "close") return loop_->close();
  if (verb == "run") return loop_->run_forever();
  if (verb == "await_exit") return await_exit();
  if (verb == "handler") return void(handler_broken_ = words.at(1) == "broken");
  if (verb == "report") return loop_->call_exception_handler({.message = text_of(words, 1)});
  if (verb == "print") return print_loop(words);
  if (operation_verb(words) || descriptor_verb(words) || signal_verb(words)) return;
  const std::string& name = words.at(1);
  if (verb == "call_soon") {
    handles_[name] = loop_->call_soon(callback(name));
  } else if (verb == "call_soon_threadsafe") {
    handles_[name] = loop_->call_soon_threadsafe(callback(name));
  } else if (verb == "call_later") {
    handles_[name] = loop_->call_later(milliseconds_of(words.at(2)), callback(name));
  } else if (verb == "call_at") {
    const auto after =
        std::chrono::duration_cast<EventLoop::Clock::duration>(milliseconds_of(words.at(2)));
    handles_[name] = loop_->call_at(start_time_ + after, callback(name));
  } else if (verb == "cancel") {
    std::visit([](auto& handle) { handle.cancel(); }, handles_.at(name));
  } else {
    unknown_verb(words);
  }
}

/// False if `words` are about something else.
bool Runner::signal_verb(const Words& words) {
  const std::string& verb = words[0];
  if (verb == "kill") {
    ::kill(::getpid(), signal_named(words.at(1)));
  } else if (verb == "ignore") {
    std::signal(ignored_signals_.emplace_back(signal_named(words.at(1))), SIG_IGN);
  } else if (verb == "add_signal_handler") {
    loop_->add_signal_handler(signal_named(words.at(1)), callback(words.at(2)));
  } else if (verb == "remove_signal_handler") {
    const bool removed = loop_->remove_signal_handler(signal_named(words.at(1)));
    trace_.add("loop", verb + ' ' + shown(removed));
  } else {
    return false;
  }
  return true;
}

/// False if `words` are about something else.
bool Runner::descriptor_verb(const Words& words) {
  const std::string& verb = words[0];
  if (words.size() < 2 || !files_.has_descriptor(words[1])) return false;
  const int end = files_.descriptor(words[1]);
  if (verb == "add_reader") {
    loop_->add_reader(end, callback(words.at(2)));
  } else if (verb == "add_writer") {
    loop_->add_writer(end, callback(words.at(2)));
  } else if (verb == "remove_reader") {
    trace_.add("loop", verb + ' ' + shown(loop_->remove_reader(end)));
  } else if (verb == "remove_writer") {
    trace_.add("loop", verb + ' ' + shown(loop_->remove_writer(end)));
  } else if (verb == "send") {
    write_to(end, words.at(2));
  } else if (verb == "recv") {
    char bytes[65536];
    const ssize_t size = ::read(end, bytes, sizeof bytes);
    if (size < 0) throw std::system_error(errno, std::generic_category(), "read");
    const std::string text(bytes, static_cast<std::size_t>(size));
    trace_.add("loop", text.empty() ? "recv" : "recv " + text);
  } else if (verb == "shut") {
    files_.shut(words[1]);
  } else {
    unknown_verb(words);
  }
  return true;
}

void Runner::print_loop(const Words& words) {
  const std::string& what = words.at(1);
  bool value = false;
  if (what == "is_running") {
    value = loop_->is_running();
  } else if (what == "is_closed") {
    value = loop_->is_closed();
  } else if (what == "has_children") {
    value = has_children();
  } else {
    value =
        std::visit([](const auto& handle) { return handle.cancelled(); }, handles_.at(words.at(2)));
  }
  trace_.add("loop", text_of(words, 0) + ' ' + shown(value));
}

// --- Futures
// ----------------------------------------------------------------------------------------

void Runner::future_verb(const std::string& name, const Words& words) {
  Future<void>& future = futures_.at(name);
  const std::string& verb = words[0];
  if (verb == "set_result") return future.set_result();
  if (verb == "set_exception") return future.set_exception(make_error(words.at(1)));
  if (verb == "print") return print_future(name, words.at(1));
  if (verb == "cancel") {
    trace_.add("loop", name + " cancel " + shown(future.cancel()));
  } else if (verb == "add_done_callback") {
    done_callbacks_[words.at(1)] = future.add_done_callback(
        [run = callback(words[1])](const Future<void>&) mutable { run(); });
  } else if (verb == "remove_done_callback") {
    const std::size_t removed = future.remove_done_callback(done_callbacks_.at(words.at(1)));
    trace_.add("loop", name + " removed " + std::to_string(removed));
  } else if (verb == "drop") {
    future = {};
  } else {
    unknown_verb(words);
  }
}

void Runner::print_future(const std::string& name, const std::string& what) {
  const Future<void>& future = futures_.at(name);
  std::string value = "none";
  try {
    if (what == "done") {
      value = shown(future.done());
    } else if (what == "cancelled") {
      value = shown(future.cancelled());
    } else if (what == "result") {
      future.result();
    } else {
      value = kind_of(future.exception());
    }
  } catch (const std::exception&) {
    value = "raised " + kind_of(std::current_exception());
  }
  trace_.add("loop", name + ' ' + what + ' ' + value);
}

}  // namespace weir::oracle
