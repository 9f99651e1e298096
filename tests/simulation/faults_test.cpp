// Names that are answered late, wrongly or never, and faults that are read from a script.
#include <weir/weir.h>

#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "simulation_support.h"

namespace weir::simulation_test {
namespace {

// --- Names ----------------------------------------------------------------------------------------

class SimulatedNames : public ::testing::Test {
 protected:
  Future<std::vector<AddressInfo>> ask(const std::string& name) {
    return getaddrinfo(loop, name, "80", {.type = SocketType::stream});
  }
  /// What asking for `name` comes to, in words.
  std::string answer(const std::string& name) {
    try {
      std::string text;
      for (const AddressInfo& info : loop.run_until_complete(ask(name))) {
        text += (text.empty() ? "" : " ") + info.address.to_string();
      }
      return text;
    } catch (const std::system_error& error) {
      return error.code().message();
    }
  }

  SimulatedNetwork network;
  SimulatedHost server = network.add_host("server", serving<Echo>(80));
  EventLoop loop{{.host = network.add_host("client")}};
};

TEST_F(SimulatedNames, HaveTheAnswerThatWasSet) {
  network.set_name("db.test", {.addresses = {"fd00::9", "10.0.0.9"}});
  EXPECT_EQ(answer("db.test"), "[fd00::9]:80 10.0.0.9:80");
  EXPECT_EQ(answer("server"), "10.0.0.1:80 [fd00::1]:80");
  network.set_name("server", {.addresses = {"10.0.0.7"}});
  EXPECT_EQ(answer("server"), "10.0.0.7:80");
  network.set_name("server", {});
  EXPECT_EQ(answer("server"), "Name or service not known");
}

TEST_F(SimulatedNames, MayBeSlow) {
  network.set_name("db.test", {.addresses = {"10.0.0.1"}, .delay = 3s});
  EXPECT_EQ(answer("db.test"), "10.0.0.1:80");
  EXPECT_EQ(network.elapsed(), 3s);
}

TEST_F(SimulatedNames, MayFailForNow) {
  network.set_name("db.test", {.delay = 5s, .fails = true});
  EXPECT_EQ(answer("db.test"), "Temporary failure in name resolution");
  EXPECT_EQ(network.elapsed(), 5s);
  network.set_name("db.test", {.addresses = {"10.0.0.1"}});
  EXPECT_EQ(answer("db.test"), "10.0.0.1:80");
}

TEST_F(SimulatedNames, ALateAnswerToWhoHasGivenUpIsNone) {
  network.set_name("db.test", {.addresses = {"10.0.0.1"}, .delay = 5s});
  auto asked = ask("db.test");
  asked.cancel();
  network.run_for(10s);
  EXPECT_TRUE(asked.cancelled());
}

TEST_F(SimulatedNames, AllTheirAddressesAreTried) {
  network.set_name("server.test", {.addresses = {"10.0.0.77", "fd00::1"}});
  const auto [transport, echo] =
      loop.run_until_complete(create_connection<Echo>(loop, "server.test", 80));
  EXPECT_EQ(transport.get_extra_info<Address>("peername")->to_string(), "[fd00::1]:80");
}

TEST_F(SimulatedNames, AddressesMustBeSome) {
  EXPECT_THROW(network.set_name("db.test", {.addresses = {"server"}}), std::invalid_argument);
}

// --- Scripts --------------------------------------------------------------------------------------

class SimulatedScript : public ::testing::Test {
 protected:
  /// Why `line` is refused.
  std::string refusal(const std::string& line) {
    try {
      network.script(line);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "it is not";
  }

  struct Diary : Observer {
    std::unique_ptr<TransportObserver> observe(const EventLoop&,
                                               const ObservedTransport&) override {
      return nullptr;
    }
    void happened(std::chrono::steady_clock::time_point when, std::string_view what) override {
      if (began == std::chrono::steady_clock::time_point()) began = when;
      lines.push_back(std::to_string((when - began) / 1s) + ' ' + std::string(what));
    }
    std::chrono::steady_clock::time_point began{};
    std::vector<std::string> lines;
  };

  std::shared_ptr<Diary> diary = std::make_shared<Diary>();
  SimulatedNetwork network{{}, {diary}};
  SimulatedHost one = network.add_host("one", serving<Echo>(80));
  SimulatedHost two = network.add_host("two");
};

TEST_F(SimulatedScript, DoesWhatItsLinesSayAtTheirTimes) {
  network.script(R"(
      # what is behind a # is not read
      0s     name nobody.test          # so there is one at the start
      1s     isolate one
      1500ms heal
      2s     partition one two
      2.5s   heal one two
      3s     partition one -> two
      0.1min crash one
      8s     restart one
      9s     link one -> two delay=10ms..20ms rate=1000 loss=0.5 duplicate=0 reorder=1
      10s    link one two delay=1s
      11s    name db.test 10.0.0.1 fd00::1 delay=2s
  )");
  network.run_for(1h);
  EXPECT_EQ(diary->lines,
            (std::vector<std::string>{
                "0 another answer to the name nobody.test", "1 isolation of one",
                "1 heal all links", "2 partition of one and two", "2 heal one and two",
                "3 partition from one to two", "6 crash of one", "8 restart of one",
                "9 another link from one to two", "10 another link from one to two",
                "10 another link from two to one", "11 another answer to the name db.test"}));
}

TEST_F(SimulatedScript, ItsLinksAreAsItSays) {
  network.script("0s link one two delay=1s");
  EventLoop loop({.host = two});
  loop.run_until_complete(create_connection<Echo>(loop, "one", 80));
  EXPECT_EQ(network.elapsed(), 2s);
}

TEST_F(SimulatedScript, MistakesAreNamedWithTheirLine) {
  EXPECT_EQ(refusal("1s heal\n2s isolate three"),
            "line 2 of the script, \"2s isolate three\": there is no host \"three\"");
  EXPECT_EQ(
      refusal("soon heal"),
      "line 1 of the script, \"soon heal\": \"soon\" is no time; write 10ms, 1.5s, 2min or 1h");
  EXPECT_EQ(refusal("1 heal"),
            "line 1 of the script, \"1 heal\": \"1\" is no time; write 10ms, 1.5s, 2min or 1h");
  EXPECT_EQ(refusal("1s"), "line 1 of the script, \"1s\": a time and a fault are needed");
  EXPECT_EQ(refusal("1s explode one"),
            "line 1 of the script, \"1s explode one\": there is no fault \"explode\", but isolate, "
            "heal, partition, crash, restart, link and name");
  EXPECT_EQ(refusal("1s crash"), "line 1 of the script, \"1s crash\": it is: crash HOST");
  EXPECT_EQ(refusal("1s heal one -> two"),
            "line 1 of the script, \"1s heal one -> two\": it is: heal, or heal HOST HOST");
  EXPECT_EQ(
      refusal("1s partition one"),
      "line 1 of the script, \"1s partition one\": it is: partition HOST HOST, or HOST -> HOST");
  EXPECT_EQ(
      refusal("1s link one"),
      "line 1 of the script, \"1s link one\": it is: link HOST HOST, or HOST -> HOST, and what "
      "it is like");
  EXPECT_EQ(refusal("1s link one two loss=2"),
            "line 1 of the script, \"1s link one two loss=2\": \"2\" is not a number from 0 to 1");
  EXPECT_EQ(refusal("1s link one two speed=2"),
            "line 1 of the script, \"1s link one two speed=2\": a link has delay=, rate=, loss=, "
            "duplicate= and reorder=, not \"speed=2\"");
  EXPECT_EQ(refusal("1s name"),
            "line 1 of the script, \"1s name\": it is: name NAME ADDRESS... delay=TIME, or fails");
  EXPECT_EQ(
      refusal("1s name x y"),
      "line 1 of the script, \"1s name x y\": \"y\" is no IPv4 or IPv6 address, nor delay=TIME "
      "or fails");
  network.run_for(1h);
  EXPECT_EQ(diary->lines, std::vector<std::string>());  // nothing of a script with a mistake
}

}  // namespace
}  // namespace weir::simulation_test
