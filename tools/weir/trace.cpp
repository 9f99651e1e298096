#include "trace.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <fstream>
#include <memory>
#include <system_error>
#include <utility>

#include "echo_protocol.h"
#include "errors.h"
#include "stream.h"
#include "terminal.h"
#include "url.h"

namespace weir_tool {
namespace {

using namespace std::chrono_literals;

/// A peer over TLS that says nothing for so long has said all it had to.
constexpr auto silence_time = 500ms;
/// After the clients, what is served here has so long to notice that they are gone.
constexpr auto noticing_time = 1s;
constexpr std::array stop_signals{SIGINT, SIGTERM};

std::string standard_input() {
  std::string text;
  if (isatty(STDIN_FILENO) == 1) return text;
  std::array<char, 65536> block{};
  while (true) {
    const ssize_t size = read(STDIN_FILENO, block.data(), block.size());
    if (size == 0) return text;
    if (size > 0) {
      text.append(block.data(), static_cast<std::size_t>(size));
    } else if (errno != EINTR) {
      throw RunError(fmt::format("cannot read standard input: {}; use a file, a pipe or </dev/null",
                                 std::generic_category().message(errno)));
    }
  }
}

/// Sends its text, and listens until its peer has ended.
class Client final : public StreamProtocol {
 public:
  Client(weir::EventLoop& loop, Url url, const std::string& text, weir::Future<> done)
      : loop_(loop), url_(std::move(url)), text_(text), done_(std::move(done)) {}

  void stream_made(Stream stream) override {
    stream_ = std::move(stream);
    if (!text_.empty()) stream_.write(weir::as_bytes(text_));
    stream_.can_write_eof() ? stream_.write_eof() : close_when_silent();
  }
  void data_received(std::span<const std::byte>) override { heard_ = true; }
  void connection_lost(const weir::CloseReason& reason) override {
    silence_.cancel();
    if (done_.done()) return;
    if (reason) return done_.set_exception(lost_connection(url_, reason));
    done_.set_result();
  }

 private:
  void close_when_silent() {
    silence_ = loop_.call_later(silence_time, [this] {
      if (!std::exchange(heard_, false) && !stream_.has_unsent()) return stream_.close();
      close_when_silent();
    });
  }

  weir::EventLoop& loop_;
  Url url_;
  const std::string& text_;
  weir::Future<> done_;
  Stream stream_;
  weir::TimerHandle silence_;
  bool heard_ = false;
};

class TraceRun {
 public:
  explicit TraceRun(const TraceCommand& command)
      : command_(command),
        trace_(std::make_shared<weir::Trace>()),
        loop_({.backend = command.backend, .observers = {trace_}}),
        stopped_(loop_.create_future()) {
    for (const std::string& text : command.urls) {
      targets_.push_back(parse_url(text, UrlRole::connect));
    }
    for (const std::string& text : command.listen_urls) {
      listening_.push_back(parse_url(text, UrlRole::trace_listen));
    }
    if (targets_.empty() && listening_.empty()) {
      throw UsageError("nobody to connect to; give a URL, or --listen URL to serve one here");
    }
    if (loop_.backend() == weir::BackendKind::simulated) check_simulated();
  }

  /// The first failure of a connection; null if all went well.
  std::exception_ptr run(const std::string& text) {
    try {
      serve();
      trace_->clear();  // of asking whether a path is taken
      stop_later();
      for (const Url& target : targets_) connect(target, text);
      await(clients_);
      finish();
    } catch (const RunError&) {
      return std::current_exception();
    }
    return failure_;
  }

  std::string picture(const Terminal& terminal, bool to_terminal) const;

 private:
  void check_simulated() const;
  void serve();
  void stop_later();
  void connect(const Url& target, const std::string& text);
  void await(const std::vector<weir::Future<>>& futures);
  void finish();
  void stop() const {
    if (!stopped_.done()) stopped_.set_result();
  }

  const TraceCommand& command_;
  std::vector<Url> targets_;
  std::vector<Url> listening_;
  Conversations conversations_;
  std::shared_ptr<weir::Trace> trace_;
  weir::EventLoop loop_;
  std::vector<weir::Server> servers_;
  std::vector<weir::Future<>> clients_;
  weir::Future<> stopped_;
  bool all_ended_ = false;
  std::exception_ptr failure_;
};

void TraceRun::check_simulated() const {
  if (listening_.empty()) throw needs_real_network("trace without --listen");
  if (std::ranges::any_of(targets_, is<ExecUrl>)) throw needs_real_network("trace exec:");
}

/// Whom one serves one connects to, unless somebody else is named.
void TraceRun::serve() {
  const bool connects_here = targets_.empty();
  for (const Url& url : listening_) {
    servers_.push_back(serve_echo(loop_, url, conversations_));
    for (const weir::SocketView& socket : servers_.back().sockets()) {
      const Url here = url_at(url, socket.sockname);
      if (!connects_here) continue;
      const bool tls = is<TlsUrl>(url);
      targets_.push_back(tls ? parse_url(to_string(here) + "?insecure", UrlRole::connect) : here);
    }
  }
}

/// On a simulated network signals are left to the system.
void TraceRun::stop_later() {
  if (loop_.backend() != weir::BackendKind::simulated) {
    for (const int signal : stop_signals) loop_.add_signal_handler(signal, [this] { stop(); });
  }
  if (command_.seconds) {
    loop_.call_later(std::chrono::duration<double>(*command_.seconds), [this] { stop(); });
  }
}

void TraceRun::connect(const Url& target, const std::string& text) {
  const weir::Future<> done = loop_.create_future();
  clients_.push_back(done);
  open_stream(loop_, target, std::make_shared<Client>(loop_, target, text, done))
      .add_done_callback([done](const weir::Future<>& opened) {
        if (opened.exception() != nullptr && !done.done()) done.set_exception(opened.exception());
      });
}

/// Until all are done, or somebody has had enough.
void TraceRun::await(const std::vector<weir::Future<>>& futures) {
  auto left = std::make_shared<std::size_t>(futures.size());
  for (const weir::Future<>& future : futures) {
    future.add_done_callback([this, left](const weir::Future<>& done) {
      if (failure_ == nullptr) failure_ = done.exception();
      if (--*left > 0) return;
      all_ended_ = true;
      stop();
    });
  }
  loop_.run_until_complete(stopped_);
}

/// What is served here may have to notice that its client is gone.
void TraceRun::finish() {
  for (const weir::Server& server : servers_) server.close();
  if (conversations_.open() == 0 || !all_ended_) return;
  const weir::Future<> noticed = loop_.create_future();
  const auto end = [noticed] {
    if (!noticed.done()) noticed.set_result();
  };
  conversations_.when_none(end);
  loop_.call_later(noticing_time, end);
  loop_.run_until_complete(noticed);
}

std::string TraceRun::picture(const Terminal& terminal, bool to_terminal) const {
  const weir::TraceView view{.all_layers = command_.all_layers};
  switch (command_.format) {
    case TraceFormat::mermaid: return weir::to_mermaid(*trace_, {.view = view});
    case TraceFormat::svg: return weir::to_svg(*trace_, {.view = view});
    case TraceFormat::perfetto: return weir::to_perfetto(*trace_, {.view = view});
    case TraceFormat::text: break;
  }
  const bool fits = to_terminal && terminal.interactive();
  return weir::to_sequence_diagram(
      *trace_, {.view = view,
                .width = fits ? static_cast<std::size_t>(std::max(60, terminal.width())) : 100,
                .unicode = terminal.unicode(),
                .colours = to_terminal && terminal.colours()});
}

void write_file(const std::string& path, const std::string& text) {
  errno = 0;
  std::ofstream file(path, std::ios::binary);
  if (!(file << text << std::flush)) {
    throw RunError(
        fmt::format("cannot write '{}': {}; give --output a path in a directory of yours", path,
                    std::generic_category().message(errno)));
  }
}

}  // namespace

int run_trace(const TraceCommand& command) {
  TraceRun run(command);
  const std::exception_ptr failure = run.run(standard_input());
  const Terminal terminal;
  if (command.output_path.empty()) {
    fmt::print("{}", run.picture(terminal, true));
  } else {
    write_file(command.output_path, run.picture(terminal, false));
  }
  if (failure) std::rethrow_exception(failure);
  return exit_ok;
}

}  // namespace weir_tool
