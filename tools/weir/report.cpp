#include "report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace weir_tool {
namespace {

struct Quantile {
  std::string_view name;
  std::string_view json_name;
  double fraction;
};

constexpr std::array<Quantile, 4> quantiles{{{"p50", "p50_us", 0.5},
                                             {"p90", "p90_us", 0.9},
                                             {"p99", "p99_us", 0.99},
                                             {"p99.9", "p99_9_us", 0.999}}};

double microseconds(std::chrono::nanoseconds duration) {
  return static_cast<double>(duration.count()) / 1e3;
}

/// The edge of a histogram bar: round, so without digits that say nothing.
std::string edge(std::chrono::nanoseconds duration) {
  const double us = microseconds(duration);
  if (us < 1e3) return fmt::format("{:g} us", us);
  if (us < 1e6) return fmt::format("{:g} ms", us / 1e3);
  return fmt::format("{:g} s", us / 1e6);
}

std::string latency_line(const Histogram& latencies, const Terminal& terminal) {
  std::string line;
  for (const Quantile& quantile : quantiles) {
    line += fmt::format("{} {}   ", terminal.styled(Style::dim, quantile.name),
                        format_duration(latencies.quantile(quantile.fraction)));
  }
  return line +
         fmt::format("{} {}", terminal.styled(Style::dim, "max"), format_duration(latencies.max()));
}

std::string datagram_lines(const DatagramCounts& counts) {
  const double sent = static_cast<double>(std::max<std::uint64_t>(counts.sent, 1));
  std::string text =
      fmt::format("  sent        {} = {} received + {} lost ({:.2f} %)\n",
                  format_count(counts.sent), format_count(counts.received),
                  format_count(counts.lost), 100 * static_cast<double>(counts.lost) / sent);
  if (counts.late > 0) text += fmt::format("  too late    {}\n", format_count(counts.late));
  return text;
}

std::string drawn(const Histogram& latencies, const Terminal& terminal) {
  const std::vector<Histogram::Bar> bars = latencies.bars();
  std::uint64_t highest = 1;
  for (const Histogram::Bar& bar : bars) highest = std::max(highest, bar.count);
  const int columns = std::clamp(terminal.width() - 44, 10, 60);
  std::string text;
  for (const Histogram::Bar& bar : bars) {
    const double share =
        100 * static_cast<double>(bar.count) / static_cast<double>(latencies.count());
    const double height = static_cast<double>(bar.count) / static_cast<double>(highest);
    text += fmt::format("  {:>8} - {:<8}{:>12} {:>6.2f}% {}\n", edge(bar.from), edge(bar.to),
                        format_count(bar.count), share,
                        terminal.styled(Style::cyan, terminal.bar(height, columns)));
  }
  return text;
}

/// `text` as a JSON string.
std::string quoted(std::string_view text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      json += '\\';
      json += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      json += fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      json += c;
    }
  }
  return json + '"';
}

std::string histogram_json(const Histogram& latencies) {
  std::string json;
  for (const Histogram::Bar& bar : latencies.bars()) {
    json += fmt::format("{}\n    {{\"from_us\": {}, \"to_us\": {}, \"count\": {}}}",
                        json.empty() ? "" : ",", microseconds(bar.from), microseconds(bar.to),
                        bar.count);
  }
  return json.empty() ? "[]" : fmt::format("[{}\n  ]", json);
}

std::string datagrams_json(const LoadResult& result) {
  if (!result.datagrams) return "null";
  const DatagramCounts& counts = *result.datagrams;
  return fmt::format(R"({{"sent": {}, "received": {}, "lost": {}, "late": {}}})", counts.sent,
                     counts.received, counts.lost, counts.late);
}

}  // namespace

std::string load_report(const LoadResult& result, const Terminal& terminal) {
  const auto rate = static_cast<std::uint64_t>(std::llround(result.requests_per_second()));
  std::string text = fmt::format("  {}  {}\n", result.datagrams ? "received/s" : "requests/s",
                                 terminal.styled(Style::bold, format_count(rate)));
  text += fmt::format("  MiB/s       {:.1f} each way\n", result.mib_per_second());
  text += fmt::format("  checked     {} in {} messages\n", format_bytes(result.bytes_checked),
                      format_count(result.requests));
  if (result.datagrams) text += datagram_lines(*result.datagrams);
  if (result.requests == 0) return text;
  text += fmt::format("  latency     {}\n\n", latency_line(result.latencies, terminal));
  return text + drawn(result.latencies, terminal);
}

std::string progress_line(const LoadOptions& options, const LoadResult& so_far) {
  const double total = std::chrono::duration<double>(options.duration).count();
  const auto rate = static_cast<std::uint64_t>(std::llround(so_far.requests_per_second()));
  const std::string lost =
      so_far.datagrams ? fmt::format("   {} lost", format_count(so_far.datagrams->lost)) : "";
  return fmt::format("{:.1f} of {:g} s   {} {}/s   {:.1f} MiB/s   p99 {}{}", so_far.seconds(),
                     total, format_count(rate), so_far.datagrams ? "received" : "requests",
                     so_far.mib_per_second(), format_duration(so_far.latencies.quantile(0.99)),
                     lost);
}

std::string load_json(const LoadOptions& options, const LoadResult& result,
                      std::string_view backend) {
  std::string latency;
  for (const Quantile& quantile : quantiles) {
    latency += fmt::format("\"{}\": {}, ", quantile.json_name,
                           microseconds(result.latencies.quantile(quantile.fraction)));
  }
  return fmt::format(
      R"({{
  "url": {},
  "backend": {},
  "connections": {},
  "message_bytes": {},
  "pipeline": {},
  "seconds": {},
  "requests": {},
  "requests_per_second": {:.1f},
  "mib_per_second": {:.2f},
  "bytes_checked": {},
  "latency": {{{}"max_us": {}}},
  "datagrams": {},
  "histogram": {},
  "error": {}
}}
)",
      quoted(to_string(options.url)), quoted(backend), options.connections, options.message_bytes,
      options.pipeline, result.seconds(), result.requests, result.requests_per_second(),
      result.mib_per_second(), result.bytes_checked, latency, microseconds(result.latencies.max()),
      datagrams_json(result), histogram_json(result.latencies),
      result.error.empty() ? "null" : quoted(result.error));
}

}  // namespace weir_tool
