#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <system_error>
#include <vector>

#include "endpoint_support.h"

// getaddrinfo() and getnameinfo(): L37, L38.
namespace weir::test {
namespace {

using Found = std::vector<AddressInfo>;

class Resolving : public EveryEndpoint {
 protected:
  template <class T>
  std::error_code error_of(const Future<T>& future) {
    run_until([&] { return future.done(); });
    try {
      future.result();
      return {};
    } catch (const std::system_error& error) {
      return error.code();
    }
  }

  static std::error_code resolver_error(int code) { return {code, resolver_category()}; }
};

// L37: a name is resolved to addresses with the port, of the type asked for.
TEST_P(Resolving, FindsAddressesOfAName) {
  const auto future = getaddrinfo(loop(), "localhost", "80");
  const Found found = run_until_done(future);
  ASSERT_FALSE(found.empty());
  EXPECT_TRUE(std::ranges::any_of(
      found, [](const AddressInfo& info) { return info.address.host() == "127.0.0.1"; }));
  for (const AddressInfo& info : found) {
    EXPECT_EQ(info.address.port(), 80);
    EXPECT_EQ(info.type, SocketType::stream);
    EXPECT_EQ(info.protocol, IPPROTO_TCP);
  }
}

// L38: literal addresses give themselves.
TEST_P(Resolving, TakesLiteralAddresses) {
  EXPECT_EQ(run_until_done(getaddrinfo(loop(), "127.0.0.1", "8080")),
            (Found{{*Address::parse("127.0.0.1", 8080), SocketType::stream, IPPROTO_TCP}}));
  EXPECT_EQ(run_until_done(getaddrinfo(loop(), "192.0.2.7", "", {.type = SocketType::datagram})),
            (Found{{*Address::parse("192.0.2.7", 0), SocketType::datagram, IPPROTO_UDP}}));
  EXPECT_EQ(run_until_done(getaddrinfo(loop(), "::1", "65535")),
            (Found{{*Address::parse("::1", 65535), SocketType::stream, IPPROTO_TCP}}));
  EXPECT_EQ(run_until_done(getaddrinfo(loop(), "::ffff:1.2.3.4", "1")),
            (Found{{*Address::parse("::ffff:1.2.3.4", 1), SocketType::stream, IPPROTO_TCP}}));
}

// L37: an empty host is the loopback address, or, passively, all interfaces.
TEST_P(Resolving, TakesAnEmptyHost) {
  for (const auto& [flags, expected] :
       {std::pair(0, "127.0.0.1"), std::pair(AI_PASSIVE, "0.0.0.0")}) {
    const Found found = run_until_done(
        getaddrinfo(loop(), "", "80", {.family = AddressFamily::ipv4, .flags = flags}));
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].address, Address::parse(expected, 80));
  }
}

// L37: a family keeps the others out.
TEST_P(Resolving, KeepsToTheFamily) {
  const Found found =
      run_until_done(getaddrinfo(loop(), "localhost", "80", {.family = AddressFamily::ipv4}));
  for (const AddressInfo& info : found) {
    EXPECT_EQ(info.address.family(), AddressFamily::ipv4);
  }
  const auto other =
      error_of(getaddrinfo(loop(), "127.0.0.1", "80", {.family = AddressFamily::ipv6}));
  EXPECT_EQ(other.category(), resolver_category()) << other.message();
  EXPECT_EQ(error_of(getaddrinfo(loop(), "::1", "80", {.family = AddressFamily::ipv4})).category(),
            resolver_category());
}

// L37: any type gives streams and datagrams.
TEST_P(Resolving, FindsEveryType) {
  const Found found =
      run_until_done(getaddrinfo(loop(), "127.0.0.1", "80", {.type = SocketType::any}));
  for (const SocketType type : {SocketType::stream, SocketType::datagram}) {
    EXPECT_TRUE(
        std::ranges::any_of(found, [type](const AddressInfo& info) { return info.type == type; }));
  }
}

// L37: failures are errors of the resolver, with its code, in words that name the host.
TEST_P(Resolving, FailsWithTheResolversCode) {
  const auto future = getaddrinfo(loop(), "not-a-number", "80", {.flags = AI_NUMERICHOST});
  EXPECT_EQ(error_of(future), resolver_error(EAI_NONAME));
  EXPECT_NE(what(future.exception()).find("not-a-number"), std::string::npos);
  EXPECT_FALSE(resolver_error(EAI_NONAME).message().empty());
  EXPECT_NE(resolver_error(EAI_NONAME).message(), resolver_error(EAI_SERVICE).message());
}

// L37: what no system can resolve fails, too: neither host nor port, a port too high, bytes of 0.
TEST_P(Resolving, RefusesWhatCannotBeAsked) {
  EXPECT_EQ(error_of(getaddrinfo(loop(), "", "")), resolver_error(EAI_NONAME));
  EXPECT_EQ(error_of(getaddrinfo(loop(), "127.0.0.1", "65536")), resolver_error(EAI_SERVICE));
  EXPECT_EQ(error_of(getaddrinfo(loop(), "127.0.0.1", "123456789012345678901")),
            resolver_error(EAI_SERVICE));
  EXPECT_EQ(error_of(getaddrinfo(loop(), "127.0.0.1", "no-such-service-name")),
            resolver_error(EAI_SERVICE));
  EXPECT_EQ(error_of(getaddrinfo(loop(), std::string("127.0.0.1\0x", 11), "80")).category(),
            resolver_category());
  EXPECT_EQ(error_of(getaddrinfo(loop(), "127.0.0.1", std::string{'8', '\0', '0'})).category(),
            resolver_category());
  EXPECT_EQ(error_of(getaddrinfo(loop(), std::string(5000, 'x'), "80")).category(),
            resolver_category());
}

// L37: the answer is delivered from the loop, never from inside the call.
TEST_P(Resolving, DeliversFromTheLoop) {
  bool delivered = false;
  for (const char* host : {"127.0.0.1", "localhost"}) {
    delivered = false;
    getaddrinfo(loop(), host, "80").add_done_callback([&](const auto&) { delivered = true; });
    EXPECT_FALSE(delivered);
    run_until([&] { return delivered; });
  }
}

// L37: many questions at the same time get their answers.
TEST_P(Resolving, AnswersManyAtOnce) {
  std::vector<Future<Found>> futures;
  for (int port = 1; port <= 100; ++port) {
    futures.push_back(getaddrinfo(loop(), "localhost", std::to_string(port)));
  }
  for (std::size_t i = 0; i < futures.size(); ++i) {
    const Found found = run_until_done(futures[i]);
    ASSERT_FALSE(found.empty());
    EXPECT_EQ(found[0].address.port(), i + 1);
  }
}

// A1: a question may be cancelled; its answer is dropped.
TEST_P(Resolving, MayBeCancelled) {
  for (int i = 0; i < 20; ++i) {
    const auto future = getaddrinfo(loop(), "localhost", "80");
    const bool was_done = future.done();
    EXPECT_EQ(future.cancel(), !was_done);
    EXPECT_EQ(outcome_of(future), was_done ? "result" : "cancelled");
  }
  run_until_done(getaddrinfo(loop(), "localhost", "80"));
}

// L35, L6: an answer that comes after the loop was closed is dropped in silence.
TEST_P(Resolving, IsDroppedWithTheLoop) {
  std::vector<Future<Found>> futures;
  bool delivered = false;
  for (int i = 0; i < 20; ++i) {
    futures.push_back(getaddrinfo(loop(), "localhost", "80"));
    futures.back().add_done_callback([&](const auto&) { delivered = true; });
  }
  loop().close();
  destroy_loop();
  futures.clear();
  EXPECT_FALSE(delivered);
}

// L37: getnameinfo() gives the names of an address, in numbers if asked.
TEST_P(Resolving, FindsNamesOfAnAddress) {
  const int numeric = NI_NUMERICHOST | NI_NUMERICSERV;
  EXPECT_EQ(run_until_done(getnameinfo(loop(), *Address::parse("127.0.0.1", 80), numeric)),
            (NameInfo{.host = "127.0.0.1", .service = "80"}));
  EXPECT_EQ(run_until_done(getnameinfo(loop(), *Address::parse("::1", 8080), numeric)),
            (NameInfo{.host = "::1", .service = "8080"}));
  EXPECT_EQ(error_of(getnameinfo(loop(), Address(), numeric)).category(), resolver_category());
}

INSTANTIATE_TEST_SUITE_P(Behaviour, Resolving, ::testing::ValuesIn(backends()), backend_name);

/// In a process of its own, for what resolved earlier leaves threads behind.
class ResolverThreadsDeathTest : public ::testing::TestWithParam<BackendKind> {
 protected:
  ResolverThreadsDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }

  /// Ends the process with 0 if resolving starts a thread, with 1 if not, with 2 if it fails.
  [[noreturn]] static void resolve_and_exit(std::string_view host, std::string_view service,
                                            ResolveOptions options) {
    EventLoop loop(loop_options(GetParam()));
    const std::size_t before = threads();
    auto future = getaddrinfo(loop, host, service, options);
    const std::size_t after = threads();
    try {
      run_until_done(loop, future);
    } catch (const std::system_error& error) {
      if (error.code().category() != resolver_category()) std::_Exit(2);
    }
    std::_Exit(after > before || threads() > before ? 0 : 1);
  }
};

// L38: a literal address with a decimal port, or none, uses no thread.
TEST_P(ResolverThreadsDeathTest, AreNotUsedForLiterals) {
  const auto no_thread = ::testing::ExitedWithCode(1);
  EXPECT_EXIT(resolve_and_exit("127.0.0.1", "80", {}), no_thread, "");
  EXPECT_EXIT(resolve_and_exit("::1", "", {}), no_thread, "");
  EXPECT_EXIT(
      resolve_and_exit("::1", "1", {.family = AddressFamily::ipv6, .protocol = IPPROTO_TCP}),
      no_thread, "");
  EXPECT_EXIT(
      resolve_and_exit("127.0.0.1", "1", {.type = SocketType::datagram, .protocol = IPPROTO_UDP}),
      no_thread, "");
}

INSTANTIATE_TEST_SUITE_P(Behaviour, ResolverThreadsDeathTest, ::testing::ValuesIn(backends()),
                         backend_name);

/// The same where the system's resolver is asked.
class SystemResolverDeathTest : public ResolverThreadsDeathTest {};

// L38: names, services and zones go to the resolver, on a thread.
TEST_P(SystemResolverDeathTest, IsAskedOnAThread) {
  const auto on_a_thread = ::testing::ExitedWithCode(0);
  EXPECT_EXIT(resolve_and_exit("localhost", "80", {}), on_a_thread, "");
  EXPECT_EXIT(resolve_and_exit("127.0.0.1", "http", {}), on_a_thread, "");
  EXPECT_EXIT(resolve_and_exit("fe80::1%lo", "80", {}), on_a_thread, "");
}

INSTANTIATE_TEST_SUITE_P(Behaviour, SystemResolverDeathTest,
                         ::testing::ValuesIn(backends_with_descriptors(true)), backend_name);

}  // namespace
}  // namespace weir::test
