#include "bench.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <optional>
#include <system_error>

#include "datagram_load.h"
#include "echo_protocol.h"
#include "errors.h"
#include "load.h"
#include "report.h"
#include "terminal.h"
#include "tls_url.h"
#include "url.h"

namespace weir_tool {
namespace {

void allow_all_descriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/// Serves the URL in this process, and makes its client trust that server. Throws UsageError and RunError.
void serve_here(weir::EventLoop& loop, Url& url, Conversations& conversations) {
  if (is<ExecUrl>(url)) throw needs_real_network("bench exec:");
  if (const auto* tls = std::get_if<TlsUrl>(&url)) {
    TlsPair pair = make_tls_pair(*tls);
    serve_echo(loop, std::move(pair.server), conversations);
    url = std::move(pair.client);
    return;
  }
  if (const auto* udp = std::get_if<UdpUrl>(&url)) {
    echo_datagrams(loop, *udp);
  } else {
    serve_echo(loop, url, conversations);
  }
}

void check_datagram_size(const LoadOptions& options) {
  if (options.message_bytes >= least_datagram_bytes &&
      options.message_bytes <= most_datagram_bytes) {
    return;
  }
  throw UsageError(fmt::format("a datagram of {} bytes; give --size a number from {} to {}",
                               options.message_bytes, least_datagram_bytes, most_datagram_bytes));
}

LoadOptions load_options(const BenchCommand& command) {
  LoadOptions options{.url = parse_url(command.url, UrlRole::bench),
                      .connections = command.connections,
                      .message_bytes = command.message_bytes,
                      .pipeline = command.pipeline,
                      .duration = std::chrono::duration_cast<std::chrono::nanoseconds>(
                          std::chrono::duration<double>(command.seconds))};
  if (is<UdpUrl>(options.url)) check_datagram_size(options);
  return options;
}

/// Opens the file at once: a path that cannot be written should not cost a measurement.
std::optional<std::ofstream> open_json(const std::string& path) {
  if (path.empty()) return std::nullopt;
  errno = 0;
  std::ofstream file(path);
  if (!file) {
    throw RunError(fmt::format("cannot write '{}': {}; give --json a path in a directory of yours",
                               path, std::generic_category().message(errno)));
  }
  return file;
}

LoadProgress live_progress(const LoadOptions& options, const Terminal& terminal) {
  if (!terminal.interactive()) return {};
  return [options](const LoadResult& so_far) {
    fmt::print("\r  {}\x1b[K", progress_line(options, so_far));
    std::fflush(stdout);
  };
}

void print_title(const LoadOptions& options, weir::BackendKind backend) {
  const bool simulated = backend == weir::BackendKind::simulated;
  fmt::print("{}: {} {} x {}, {} in flight on each, {:g} s{}, {}\n\n", to_string(options.url),
             options.connections, options.connections == 1 ? "connection" : "connections",
             format_bytes(options.message_bytes), options.pipeline,
             std::chrono::duration<double>(options.duration).count(),
             simulated ? " of its own time" : "", weir::to_string(backend));
  std::fflush(stdout);
}

}  // namespace

int run_bench(const BenchCommand& command) {
  LoadOptions options = load_options(command);
  std::optional<std::ofstream> json = open_json(command.json_path);
  allow_all_descriptors();

  const Terminal terminal;
  Conversations conversations;
  weir::EventLoop loop({.backend = command.backend});
  if (loop.backend() == weir::BackendKind::simulated) serve_here(loop, options.url, conversations);
  print_title(options, loop.backend());
  const LoadResult result = run_load(loop, options, live_progress(options, terminal));

  if (terminal.interactive()) fmt::print("\r\x1b[K");
  fmt::print("{}", load_report(result, terminal));
  if (json) *json << load_json(options, result, weir::to_string(loop.backend())) << std::flush;
  if (!result.error.empty()) {
    throw RunError(fmt::format("wrong echo from {}: {}; the server has to send back every byte",
                               to_string(options.url), result.error));
  }
  return exit_ok;
}

}  // namespace weir_tool
