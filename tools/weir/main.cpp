// The command line tool of Weir: what the library does, without writing a program first.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <weir/weir.h>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "bench.h"
#include "chaos.h"
#include "chaos_script.h"
#include "connect.h"
#include "demo.h"
#include "echo.h"
#include "errors.h"
#include "faults.h"
#include "relay.h"
#include "trace.h"

namespace weir_tool {
namespace {

constexpr const char* footer =
    R"(Endpoints are URLs:
  tcp://HOST:PORT      an IPv6 address is in brackets
  tls://HOST:PORT      TLS over TCP; what it needs follows: ?ca=FILE&alpn=h2,http/1.1
  udp://HOST:PORT      datagrams: echo and bench
  unix:/PATH           a Unix socket
  unix-abstract:NAME   one without a file
  exec:COMMAND         standard input and output of a shell command: not to listen on
  stdio:               standard input and output of this program

Behind the ? of tls://, joined by &, all files in PEM:
  ca=FILE              whom to trust: of a client, in place of whom the system trusts;
                       of a server, for the certificates that its clients then must have
  cert=FILE, key=FILE  the own certificate with its chain, and its key if it is not there too
  alpn=NAME,NAME       protocols to agree on, the preferred one first
  name=HOST            whom the certificate must be of, if not the host: clients only
  insecure             anybody will do: clients only, for tests only

Examples:
  weir echo tcp://127.0.0.1:8888 udp://[::1]:0 unix:/tmp/echo
  printf 'hello\n' | weir connect tcp://127.0.0.1:8888
  weir relay tcp://127.0.0.1:9999 unix:/tmp/echo --max-connections 100
  weir relay tcp://127.0.0.1:7777 'exec:sort -u'
  weir chaos tcp://127.0.0.1:9999 tcp://127.0.0.1:8888 --latency 50ms --segments 8
  weir bench udp://127.0.0.1:8888 --connections 100 --size 64
  weir trace --listen tcp://127.0.0.1:0 </etc/hostname
  weir demo

Exit codes:
  0  all went well, or a signal ended what serves
  1  it failed while it ran: port in use, connection refused, a wrong byte
  2  the command line is wrong)";

constexpr const char* subcommands = "echo, connect, relay, chaos, bench, trace and demo";
constexpr std::size_t largest_message = std::size_t{16} * 1024 * 1024;

/// A number in a range, refused in words a person would use.
CLI::Validator number(double least, double most) {
  const auto refusal = [=](const std::string& text) {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    const bool is_number = end != text.c_str() && *end == '\0';
    if (is_number && value >= least && value <= most) return std::string();
    return fmt::format("'{}' is not a number from {} to {}", text, least, most);
  };
  return CLI::Validator(refusal, "");
}

CLI::Validator whole_number() {
  const auto refusal = [](const std::string& text) {
    const bool is_one =
        text.size() < 20 && text.find_first_not_of("0123456789") == std::string::npos;
    return is_one ? std::string()
                  : fmt::format("'{}' is not a whole number of 19 digits at most", text);
  };
  return CLI::Validator(refusal, "");
}

/// Turns "64KiB" into "65536".
CLI::Validator size_in_bytes() {
  const auto convert = [](std::string& text) {
    const std::string given = text;
    try {
      if (CLI::AsSizeValue(false)(text).empty()) return std::string();
    } catch (const CLI::ParseError&) {
      // not a size: refused below
    }
    return fmt::format("'{}' is not a size; write 1024, 64KiB or 1MiB", given);
  };
  return CLI::Validator(convert, "");
}

void add_backend(CLI::App& command, weir::BackendKind& backend) {
  static const std::map<std::string, weir::BackendKind> kinds{
      {"auto", weir::BackendKind::automatic},
      {"epoll", weir::BackendKind::epoll},
      {"uring", weir::BackendKind::uring},
      {"simulated", weir::BackendKind::simulated}};
  command
      .add_option_function<std::string>(
          "--backend", [&backend](const std::string& name) { backend = kinds.at(name); },
          "What is under the loop: auto, epoll, uring or simulated (auto)")
      ->check(CLI::IsMember(kinds).description(""))
      ->option_text("KIND");
}

void add_linger(CLI::App& command, double& seconds, const char* help) {
  command.add_option("--linger", seconds, help)
      ->check(number(0.001, 86400))
      ->option_text("SECONDS");
}

void add_echo(CLI::App& app, EchoCommand& command) {
  CLI::App* echo = app.add_subcommand("echo", "Serve echo on each URL until SIGINT or SIGTERM");
  echo->add_option("URL", command.urls,
                   "Where to listen: tcp, tls, udp, unix, unix-abstract or stdio; port 0 takes "
                   "a free one")
      ->required()
      ->option_text("...");
  echo->add_option("--grace", command.grace_seconds,
                   "How long connections may go on after the signal (5)")
      ->check(number(0, 86400))
      ->option_text("SECONDS");
  echo->add_option("--threads", command.threads,
                   "Serve streams on so many, which accept from the same sockets; datagrams and "
                   "standard input stay on the first (1)")
      ->check(number(1, 1024))
      ->option_text("N");
  add_backend(*echo, command.backend);
  echo->footer(
      "Prints 'listening on URL' for each socket once all are ready. Without ?cert=FILE a tls "
      "endpoint\nshows a certificate made for this run, for tests.\n\n"
      "Example:\n  weir echo tcp://127.0.0.1:8888 tcp://[::1]:0");
}

void add_connect(CLI::App& app, ConnectCommand& command) {
  CLI::App* connect =
      app.add_subcommand("connect", "Send standard input to a peer, print what it sends");
  connect
      ->add_option("URL", command.url, "Whom to connect to: tcp, tls, unix, unix-abstract or exec")
      ->required()
      ->option_text(" ");
  add_linger(
      *connect, command.linger_seconds,
      "How long a TLS peer may be silent after the end of the input, before that ends all (2)");
  add_backend(*connect, command.backend);
  connect->footer(
      "The end of standard input ends the sending direction; when the peer has ended "
      "its own too,\nthe program is done. TLS has no end of one direction: there the peer is given "
      "time to "
      "answer\n(--linger).\n\n"
      "Example:\n  printf 'GET / HTTP/1.0\\r\\n\\r\\n' | weir connect tcp://localhost:80");
}

void add_relay(CLI::App& app, RelayCommand& command) {
  CLI::App* relay =
      app.add_subcommand("relay", "Join each connection to one endpoint with one to another");
  relay
      ->add_option("LISTEN", command.listen_url,
                   "Where to listen: tcp, tls, unix or unix-abstract; or stdio, which is one "
                   "connection")
      ->required()
      ->option_text(" ");
  relay
      ->add_option("TARGET", command.target_url,
                   "What to connect to: tcp, tls, unix, unix-abstract, exec or stdio")
      ->required()
      ->option_text(" ");
  relay
      ->add_option("--max-connections", command.max_connections,
                   "At once; those that come after them wait their turn (any number)")
      ->check(number(1, 1'000'000))
      ->option_text("N");
  relay
      ->add_option("--grace", command.grace_seconds,
                   "How long connections may go on after SIGINT or SIGTERM (5)")
      ->check(number(0, 86400))
      ->option_text("SECONDS");
  add_linger(*relay, command.linger_seconds,
             "With TLS at one end: how long an end may be silent after the other has ended, before "
             "both do (30)");
  static const std::map<std::string, StatusWish> wishes{{"auto", StatusWish::automatic},
                                                        {"always", StatusWish::always},
                                                        {"never", StatusWish::never}};
  relay
      ->add_option_function<std::string>(
          "--status", [&command](const std::string& name) { command.status = wishes.at(name); },
          "A line a second on standard error: auto is on a terminal only; always; never (auto)")
      ->check(CLI::IsMember(wishes).description(""))
      ->option_text("WHEN");
  add_backend(*relay, command.backend);
  relay->footer(
      "Neither side is read faster than the other takes it, so memory stays bounded. The end of "
      "one\n"
      "direction is passed on, and the other goes on. A target that fails ends its connection "
      "only.\n"
      "Prints 'listening on URL' for each socket, and in the end how much went through.\n\n"
      "Example:\n  weir relay tcp://127.0.0.1:9999 unix:/tmp/echo --max-connections 100");
}

/// What a function that throws UsageError has to say against a text.
CLI::Validator parsed_by(const std::function<void(const std::string&)>& parse) {
  const auto refusal = [parse](const std::string& text) {
    try {
      parse(text);
      return std::string();
    } catch (const UsageError& error) {
      return std::string(error.what());
    }
  };
  return CLI::Validator(refusal, "");
}

void add_faults(CLI::App& chaos, ChaosCommand& command) {
  for (const FaultSetting& setting : fault_settings()) {
    chaos
        .add_option_function<std::string>(
            fmt::format("--{}", setting.name),
            [&command, &setting](const std::string& value) {
              command.both.push_back(fmt::format("{}={}", setting.name, value));
            },
            std::string(setting.help))
        ->check(parsed_by(
            [&setting](const std::string& value) { (void)parse_fault_change(setting, value); }))
        ->option_text(std::string(setting.form));
  }
  const CLI::Validator is_list = parsed_by([](const std::string& list) {
    Faults faults;
    change_faults(faults, list);
  });
  chaos.add_option("--forward", command.forward, "What is otherwise towards the target")
      ->check(is_list)
      ->allow_extra_args(false)
      ->option_text("FAULT=VALUE,...");
  chaos.add_option("--back", command.back, "What is otherwise on the way back")
      ->check(is_list)
      ->allow_extra_args(false)
      ->option_text("FAULT=VALUE,...");
}

void add_chaos(CLI::App& app, ChaosCommand& command) {
  CLI::App* chaos =
      app.add_subcommand("chaos", "A relay with faults: late, slow, in pieces, stopped, reset");
  chaos->add_option("LISTEN", command.listen_url, "Where to listen: tcp, unix or unix-abstract")
      ->required()
      ->option_text(" ");
  chaos->add_option("TARGET", command.target_url, "What to connect to: tcp, unix or unix-abstract")
      ->required()
      ->option_text(" ");
  add_faults(*chaos, command);
  chaos
      ->add_option("--script", command.script_path,
                   "Faults at their times, a line each, as docs/chaos.md says")
      ->option_text("FILE");
  chaos->add_option("--do", command.script_lines, "A line of a script; may be repeated")
      ->check(parsed_by([](const std::string& line) { (void)parse_script_line(line); }))
      ->allow_extra_args(false)
      ->option_text("LINE");
  chaos
      ->add_option("--seed", command.seed,
                   "Of all that is random; the same again does the same (any)")
      ->check(whole_number())
      ->option_text("N");
  chaos
      ->add_option("--grace", command.grace_seconds,
                   "How long connections may go on after SIGINT or SIGTERM (5)")
      ->check(number(0, 86400))
      ->option_text("SECONDS");
  add_backend(*chaos, command.backend);
  chaos->footer(
      "Faults delay bytes, cut them up or end the connection; no byte is changed, lost or "
      "overtaken.\n"
      "TIME is 50ms, 2s or 1min, BYTES 4096 or 64KiB; 0 is none. They are of both directions, but "
      "for\n"
      "what --forward and --back say. Lines of a script: 'at 2s partition forward for 3s',\n"
      "'at 5s latency 200ms back', 'at 8s reset', 'connection 3: reset back after 4096'; times are "
      "of\n"
      "each connection. Prints 'seed N', 'listening on URL', and each reset, stall and "
      "partition.\n\n"
      "Example:\n  weir chaos tcp://127.0.0.1:9999 tcp://127.0.0.1:8888 --latency 50ms --jitter "
      "20ms\n"
      "    --back rate=100KiB,reset-at=1MiB --do 'at 2s partition forward for 3s' --seed 7");
}

void add_bench(CLI::App& app, BenchCommand& command) {
  CLI::App* bench = app.add_subcommand("bench", "Load an echo server, check and measure it");
  bench
      ->add_option("URL", command.url,
                   "Where the echo server is: tcp, tls, udp, unix, unix-abstract or exec")
      ->required()
      ->option_text(" ");
  bench->add_option("--connections", command.connections, "How many, all at once (10)")
      ->check(number(1, 1'000'000))
      ->option_text("N");
  bench->add_option("--size", command.message_bytes, "Of a message; 64KiB and 1MiB work too (1024)")
      ->transform(size_in_bytes())
      ->check(number(1, largest_message))
      ->option_text("BYTES");
  bench
      ->add_option("--pipeline", command.pipeline,
                   "Messages on their way at once on each connection (1)")
      ->check(number(1, 65536))
      ->option_text("P");
  bench->add_option("--duration", command.seconds, "How long to measure (5)")
      ->check(number(0.001, 86400))
      ->option_text("SECONDS");
  bench->add_option("--json", command.json_path, "Write the figures there too")
      ->option_text("FILE");
  add_backend(*bench, command.backend);
  bench->footer(
      "Every byte that comes back is compared with what was sent; a wrong or lost one is "
      "an error.\nOn the simulated backend the server is in this process.\n\n"
      "Example:\n  weir bench tcp://127.0.0.1:8888 --connections 100 --size 64 "
      "--pipeline 16 --duration 10");
}

void add_trace(CLI::App& app, TraceCommand& command) {
  CLI::App* trace = app.add_subcommand(
      "trace", "Draw what passes between transports and protocols of connections");
  trace
      ->add_option("URL", command.urls,
                   "Whom to connect to: tcp, tls, unix, unix-abstract or exec; by default whoever "
                   "--listen serves")
      ->option_text("...");
  trace
      ->add_option("--listen", command.listen_urls,
                   "Serve echo there, in this process, so that both ends are in the picture")
      ->allow_extra_args(false)
      ->option_text("URL");
  static const std::map<std::string, TraceFormat> formats{{"text", TraceFormat::text},
                                                          {"mermaid", TraceFormat::mermaid},
                                                          {"svg", TraceFormat::svg},
                                                          {"perfetto", TraceFormat::perfetto}};
  trace
      ->add_option_function<std::string>(
          "--format", [&command](const std::string& name) { command.format = formats.at(name); },
          "text; mermaid; svg; perfetto, which ui.perfetto.dev opens (text)")
      ->check(CLI::IsMember(formats).description(""))
      ->option_text("FORMAT");
  trace->add_option("--output", command.output_path, "Write the picture there")
      ->option_text("FILE");
  trace->add_option("--for", command.seconds, "End after so long, if the peers have not (any time)")
      ->check(number(0.001, 86400))
      ->option_text("SECONDS");
  trace->add_flag("--layers", command.all_layers, "Show also what is below TLS and commands");
  add_backend(*trace, command.backend);
  trace->footer(
      "Standard input is read to its end, unless it is a terminal, and sent to each peer; then "
      "sending is\nended, over TLS once the peer is silent. When all peers have ended, or at "
      "SIGINT, the picture is drawn.\n\n"
      "Example:\n  printf 'hello\\n' | weir trace --format svg --output hello.svg -- "
      "tcp://127.0.0.1:8888");
}

void add_demo(CLI::App& app, DemoCommand& command) {
  CLI::App* demo = app.add_subcommand("demo", "Show what the library does, in a few seconds");
  add_backend(*demo, command.backend);
}

/// A program started without standard descriptors would get sockets in their place.
void open_missing_descriptors() {
  for (int descriptor = 0; descriptor <= STDERR_FILENO; ++descriptor) {
    if (fcntl(descriptor, F_GETFD) >= 0) continue;
    (void)open("/dev/null", O_RDWR);  // takes the lowest free number: this one
  }
}

int report_parse_error(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
  std::string command = "weir";
  for (const CLI::App* chosen : app.get_subcommands()) command += " " + chosen->get_name();
  fmt::print(stderr, "weir: {}; see {} --help\n", error.what(), command);
  return exit_usage;
}

/// CLI11 would only say that a subcommand is missing.
void check_subcommand(const CLI::App& app, std::string_view name) {
  if (name.starts_with('-')) return;
  for (const CLI::App* known : app.get_subcommands({})) {
    if (name == known->get_name()) return;
  }
  throw UsageError(fmt::format("unknown subcommand '{}'; there are {}", name, subcommands));
}

int run(int argc, char** argv) {
  CLI::App app("Weir: asyncio's transports and protocols, as a C++ library", "weir");
  app.set_version_flag("--version", "weir " WEIR_VERSION_STRING);
  app.footer(footer);
  app.require_subcommand(1);
  EchoCommand echo;
  ConnectCommand connect;
  RelayCommand relay;
  ChaosCommand chaos;
  BenchCommand bench;
  TraceCommand trace;
  DemoCommand demo;
  add_echo(app, echo);
  add_connect(app, connect);
  add_relay(app, relay);
  add_chaos(app, chaos);
  add_bench(app, bench);
  add_trace(app, trace);
  add_demo(app, demo);
  if (argc > 1) check_subcommand(app, argv[1]);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return report_parse_error(app, error);
  }
  if (app.got_subcommand("echo")) return run_echo(echo);
  if (app.got_subcommand("connect")) return run_connect(connect);
  if (app.got_subcommand("relay")) return run_relay(relay);
  if (app.got_subcommand("chaos")) return run_chaos(chaos);
  if (app.got_subcommand("bench")) return run_bench(bench);
  if (app.got_subcommand("trace")) return run_trace(trace);
  return run_demo(demo);
}

int run_and_report(int argc, char** argv) {
  try {
    const int code = run(argc, argv);
    return std::fflush(stdout) == 0 ? code : exit_failure;
  } catch (const UsageError& error) {
    fmt::print(stderr, "weir: {}\n", error.what());
    return exit_usage;
  } catch (const std::exception& error) {
    std::fflush(stdout);
    fmt::print(stderr, "weir: {}\n", error.what());
    return exit_failure;
  }
}

}  // namespace
}  // namespace weir_tool

int main(int argc, char** argv) {
  weir_tool::open_missing_descriptors();
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error to report, not an end
  return weir_tool::run_and_report(argc, argv);
}
