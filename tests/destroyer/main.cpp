// weir_destroyer: programs at random against the library, with the contract checker on; see --help.
#include <weir/weir.h>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <system_error>

#include "destroyer.h"

namespace {

using weir::BackendKind;
using weir::destroyer::Journal;
using weir::destroyer::Summary;

constexpr const char* usage =
    "usage: weir_destroyer [--backend simulated|epoll|uring] [--seed N] [--steps N] [--first "
    "EPISODE]\n"
    "                      [--repeat] [--verbose]\n"
    "Opens, uses and destroys connections of all kinds at random, from within every callback, in "
    "episodes\n"
    "of some hundred steps, and ends with an error as soon as the library breaks its contract.\n"
    "  --steps N   that many steps in all, or a few more (200000)\n"
    "  --first N   begins with that episode\n"
    "  --repeat    runs each episode twice, which must be the same (simulated)\n"
    "  --verbose   tells all steps and callbacks\n";

/// An episode that takes longer hangs.
constexpr unsigned most_seconds = 300;

struct Options {
  BackendKind backend = BackendKind::simulated;
  std::uint64_t seed = 1;
  std::uint64_t steps = 200'000;
  std::uint64_t first = 0;
  bool repeat = false;
  bool verbose = false;
};

Options read_options(int argc, char** argv) {
  Options options;
  const auto fail = [] {
    std::fputs(usage, stderr);
    std::exit(2);
  };
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--repeat") {
      options.repeat = true;
      continue;
    }
    if (name == "--verbose") {
      options.verbose = true;
      continue;
    }
    if (i + 1 == argc) fail();
    const std::string value = argv[++i];
    char* end = nullptr;
    const std::uint64_t number = std::strtoull(value.c_str(), &end, 10);
    const bool is_number = *end == '\0' && !value.empty();
    if (name == "--backend") {
      constexpr std::array kinds{BackendKind::simulated, BackendKind::epoll, BackendKind::uring};
      const auto* found =
          std::ranges::find(kinds, value, [](auto kind) { return to_string(kind); });
      if (found == kinds.end()) fail();
      options.backend = *found;
    } else if (name == "--seed" && is_number) {
      options.seed = number;
    } else if (name == "--steps" && is_number) {
      options.steps = number;
    } else if (name == "--first" && is_number) {
      options.first = number;
    } else {
      fail();
    }
  }
  return options;
}

std::uint64_t mixed(std::uint64_t hash, std::uint64_t more) {
  return (hash ^ more) * 0x100000001B3U + (hash >> 29U);
}

/// How long an episode is: most are short, so that many begin and end.
std::uint64_t steps_of(std::uint64_t episode) { return 50 + episode * 7919 % 23 * 50; }

}  // namespace

// What the sanitizers find ends in SIGABRT, too, so that the journal is told.
// NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl*,misc-use-internal-linkage)
extern "C" {
[[gnu::visibility("default")]] const char* __asan_default_options();
[[gnu::visibility("default")]] const char* __ubsan_default_options();
const char* __asan_default_options() { return "abort_on_error=1:allow_user_segv_handler=0"; }
const char* __ubsan_default_options() { return "abort_on_error=1:print_stacktrace=1"; }
}
// NOLINTEND(bugprone-reserved-identifier,cert-dcl*,misc-use-internal-linkage)

int main(int argc, char** argv) {
  const Options options = read_options(argc, argv);
  weir::set_log_sink([](weir::LogLevel, std::string_view) {});
  ::signal(SIGALRM, [](int) { Journal::ends("it hangs"); });
  ::signal(SIGSEGV, [](int) { Journal::ends("a segmentation fault"); });
  ::signal(SIGABRT, [](int) { Journal::ends("the program aborts"); });
  ::signal(SIGPIPE, [](int) { Journal::ends("SIGPIPE was raised [O5]"); });

  try {
    const weir::EventLoop loop({.backend = options.backend});
  } catch (const std::system_error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 77;  // which says that there was nothing to test
  }
  const std::string backend(to_string(options.backend));
  std::uint64_t steps = 0;
  std::uint64_t callbacks = 0;
  std::uint64_t connections = 0;
  std::uint64_t hash = 0;
  std::uint64_t episodes = 0;
  std::map<std::string_view, std::uint64_t> counts;
  for (std::uint64_t episode = options.first; steps < options.steps; ++episode, ++episodes) {
    const std::uint64_t seed = mixed(options.seed * 0x9E3779B97F4A7C15U, episode);
    ::alarm(most_seconds);
    const auto run = [&](Journal& journal) {
      return weir::destroyer::destroy(options.backend, seed, journal, steps_of(episode));
    };
    const std::string again = "weir_destroyer --backend " + backend + " --seed " +
                              std::to_string(options.seed) + " --first " + std::to_string(episode) +
                              " --steps 1";
    Journal journal(again);
    if (options.verbose) journal.set_verbose();
    const Summary summary = run(journal);
    if (options.repeat) {
      Journal second(again + " --repeat");
      if (run(second).hash != summary.hash) second.broken("a second run was another one");
    }
    steps += journal.steps();
    callbacks += journal.events();
    connections += summary.connections;
    hash = mixed(hash, summary.hash);
    for (const auto& [what, count] : journal.counts()) counts[what] += count;
  }
  std::printf("%s, seed %llu: %llu steps in %llu episodes, %llu connections, %llu callbacks",
              backend.c_str(), static_cast<unsigned long long>(options.seed),
              static_cast<unsigned long long>(steps), static_cast<unsigned long long>(episodes),
              static_cast<unsigned long long>(connections),
              static_cast<unsigned long long>(callbacks));
  if (options.backend == BackendKind::simulated) {
    std::printf(", hash %016llx", static_cast<unsigned long long>(hash));
  }
  std::printf(": nothing broken\n");
  for (const auto& [what, count] : counts) {
    std::printf("  %10llu %.*s\n", static_cast<unsigned long long>(count),
                static_cast<int>(what.size()), what.data());
  }
  return 0;
}
