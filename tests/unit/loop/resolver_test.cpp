#include "resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <weir/error.h>
#include <weir/event_loop.h>
#include <weir/resolve.h>

#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

namespace weir {
namespace {

using detail::AddressQuestion;
using detail::known_answer;
using detail::literal_answer;

AddressQuestion question(std::string host, std::string service, ResolveOptions options = {}) {
  return {std::move(host), std::move(service), options};
}

Address address(const char* literal, std::uint16_t port) { return *Address::parse(literal, port); }

template <class T>
std::error_code failure_of(EventLoop& loop, const Future<T>& future) {
  try {
    static_cast<void>(loop.run_until_complete(future));
  } catch (const std::system_error& error) {
    return error.code();
  }
  return {};
}

std::error_code resolver_code(int code) { return {code, resolver_category()}; }

// --- Literals -------------------------------------------------------------------------------------

// L38: a literal address with a decimal port, or none, needs no resolver.
TEST(LiteralAnswerTest, AnswersLiterals) {
  const auto four = literal_answer(question("127.0.0.1", "80"));
  ASSERT_TRUE(four);
  EXPECT_EQ(
      *four,
      (std::vector<AddressInfo>{{address("127.0.0.1", 80), SocketType::stream, IPPROTO_TCP}}));
  const auto six = literal_answer(question("::1", "", {.type = SocketType::datagram}));
  ASSERT_TRUE(six);
  EXPECT_EQ(*six,
            (std::vector<AddressInfo>{{address("::1", 0), SocketType::datagram, IPPROTO_UDP}}));
}

// L38: a zone, a service name, another family, type or protocol go to the resolver.
TEST(LiteralAnswerTest, LeavesTheRestToTheResolver) {
  EXPECT_FALSE(literal_answer(question("localhost", "80")));
  EXPECT_FALSE(literal_answer(question("", "80")));
  EXPECT_FALSE(literal_answer(question("fe80::1%lo", "80")));
  EXPECT_FALSE(literal_answer(question("127.0.0.1", "http")));
  EXPECT_FALSE(literal_answer(question("127.0.0.1", "80", {.family = AddressFamily::ipv6})));
  EXPECT_FALSE(literal_answer(question("127.0.0.1", "80", {.type = SocketType::any})));
  EXPECT_FALSE(literal_answer(question("127.0.0.1", "80", {.protocol = IPPROTO_ICMP})));
}

// --- Names that the backend knows -----------------------------------------------------------------

TEST(KnownAnswerTest, TakesTheFamilyAskedForInOrder) {
  const std::vector<Address> known{address("::1", 0), address("127.0.0.1", 0)};
  auto all = known_answer(question("localhost", "80"), known);
  ASSERT_TRUE(all);
  ASSERT_EQ(all.value().size(), 2U);
  EXPECT_EQ(all.value().front().address, address("::1", 80));

  auto four = known_answer(question("localhost", "80", {.family = AddressFamily::ipv4}), known);
  ASSERT_TRUE(four);
  EXPECT_EQ(
      four.value(),
      (std::vector<AddressInfo>{{address("127.0.0.1", 80), SocketType::stream, IPPROTO_TCP}}));
}

TEST(KnownAnswerTest, AnyTypeIsBoth) {
  auto both =
      known_answer(question("localhost", "", {.type = SocketType::any}), {address("127.0.0.1", 0)});
  ASSERT_TRUE(both);
  ASSERT_EQ(both.value().size(), 2U);
  EXPECT_EQ(both.value().front().type, SocketType::stream);
  EXPECT_EQ(both.value().back().type, SocketType::datagram);
}

TEST(KnownAnswerTest, NoAddressIsNoSuchName) {
  EXPECT_EQ(known_answer(question("nowhere", "80"), {}).error(), resolver_code(EAI_NONAME));
}

TEST(KnownAnswerTest, KnowsNoServiceNames) {
  EXPECT_EQ(known_answer(question("localhost", "http"), {address("::1", 0)}).error(),
            resolver_code(EAI_SERVICE));
}

// --- On a loop ------------------------------------------------------------------------------------

class ResolverTest : public ::testing::Test {
 protected:
  std::vector<Address> resolve(EventLoop& loop, const char* host, const char* service,
                               ResolveOptions options = {}) {
    std::vector<Address> addresses;
    for (const AddressInfo& info :
         loop.run_until_complete(getaddrinfo(loop, host, service, options))) {
      addresses.push_back(info.address);
    }
    return addresses;
  }

  EventLoop system;
  EventLoop simulated{{.backend = BackendKind::simulated}};
};

// L37: names are resolved on another thread.
TEST_F(ResolverTest, ResolvesLocalhost) {
  const auto found = resolve(system, "localhost", "80");
  ASSERT_FALSE(found.empty());
  EXPECT_TRUE(std::ranges::all_of(found, [](const Address& address) {
    return address == *Address::parse("127.0.0.1", 80) || address == *Address::parse("::1", 80);
  }));
}

// L37: the resolver is asked once for each call, and answers several at once.
TEST_F(ResolverTest, AnswersManyAtOnce) {
  std::vector<Future<std::vector<AddressInfo>>> futures;
  for (int i = 0; i < 20; ++i) futures.push_back(getaddrinfo(system, "localhost", "80"));
  for (const auto& future : futures) EXPECT_FALSE(system.run_until_complete(future).empty());
}

TEST_F(ResolverTest, NoHostIsTheLoopbackOrAllInterfaces) {
  for (EventLoop* loop : {&system, &simulated}) {
    EXPECT_THAT(resolve(*loop, "", "80", {.family = AddressFamily::ipv4}),
                ::testing::ElementsAre(address("127.0.0.1", 80)));
    EXPECT_THAT(
        resolve(*loop, "", "80", {.family = AddressFamily::ipv4, .flags = detail::passive_flag}),
        ::testing::ElementsAre(address("0.0.0.0", 80)));
  }
}

// L37: failures have the resolver's code.
TEST_F(ResolverTest, FailuresHaveTheResolversCode) {
  const ResolveOptions numeric{.flags = AI_NUMERICHOST};
  EXPECT_EQ(failure_of(system, getaddrinfo(system, "no address", "80", numeric)),
            resolver_code(EAI_NONAME));
  EXPECT_EQ(failure_of(system, getaddrinfo(system, "127.0.0.1", "no-such-service")),
            resolver_code(EAI_SERVICE));
}

TEST_F(ResolverTest, FailureNamesTheHost) {
  try {
    static_cast<void>(resolve(simulated, "nowhere.example", "80"));
    ADD_FAILURE();
  } catch (const std::system_error& error) {
    EXPECT_EQ(std::string(error.what()), "resolve nowhere.example: Name or service not known");
  }
}

// The system would read these up to the NUL, and modulo 65536.
TEST_F(ResolverTest, RefusesWhatTheSystemWouldMisread) {
  const std::string with_nul("127.0.0.1\0.example", 18);
  EXPECT_EQ(failure_of(system, getaddrinfo(system, with_nul, "80")), resolver_code(EAI_NONAME));
  EXPECT_EQ(failure_of(system, getaddrinfo(system, "localhost", std::string("80\0x", 4))),
            resolver_code(EAI_SERVICE));
  EXPECT_EQ(failure_of(system, getaddrinfo(system, std::string(2000, 'x'), "80")),
            resolver_code(EAI_NONAME));
  EXPECT_EQ(failure_of(system, getaddrinfo(system, "localhost", "65616")),
            resolver_code(EAI_SERVICE));
}

TEST_F(ResolverTest, SimulationKnowsItsOwnNames) {
  EXPECT_THAT(resolve(simulated, "localhost", "80"),
              ::testing::ElementsAre(address("::1", 80), address("127.0.0.1", 80)));
  EXPECT_THAT(resolve(simulated, "127.0.0.1", "80"),
              ::testing::ElementsAre(address("127.0.0.1", 80)));
  EXPECT_EQ(resolve(simulated, "127.0.0.1", "80", {.type = SocketType::any}).size(), 2U);
  EXPECT_EQ(failure_of(simulated, getaddrinfo(simulated, "example.org", "80")),
            resolver_code(EAI_NONAME));
}

// A1, L37: cancelling drops the answer.
TEST_F(ResolverTest, CancelDropsTheAnswer) {
  const auto future = getaddrinfo(system, "localhost", "80");
  EXPECT_TRUE(future.cancel());
  EXPECT_TRUE(future.cancelled());
  static_cast<void>(resolve(system, "localhost", "80"));
  EXPECT_TRUE(future.cancelled());
}

// L35, L37: an answer that comes after the loop was closed is dropped.
TEST_F(ResolverTest, AnswerAfterTheLoopIsDropped) {
  auto loop = std::make_unique<EventLoop>();
  const auto future = getaddrinfo(*loop, "localhost", "80");
  loop->close();
  EXPECT_FALSE(future.done());
  loop.reset();
  static_cast<void>(resolve(system, "localhost", "80"));
  EXPECT_FALSE(future.done());
}

// L7: a closed loop resolves nothing.
TEST_F(ResolverTest, ClosedLoopIsAWrongState) {
  system.close();
  EXPECT_THROW(static_cast<void>(getaddrinfo(system, "127.0.0.1", "80").result()), WrongStateError);
}

// L37: the names of an address.
TEST_F(ResolverTest, NamesOfAnAddress) {
  const int numeric = NI_NUMERICHOST | NI_NUMERICSERV;
  for (EventLoop* loop : {&system, &simulated}) {
    EXPECT_EQ(loop->run_until_complete(getnameinfo(*loop, address("127.0.0.1", 80), numeric)),
              (NameInfo{"127.0.0.1", "80"}));
  }
  EXPECT_EQ(failure_of(system, getnameinfo(system, Address(), numeric)), resolver_code(EAI_FAMILY));
}

}  // namespace
}  // namespace weir
