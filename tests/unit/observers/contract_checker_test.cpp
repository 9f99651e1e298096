// The checker is fed with what transports do that break the contract, by a transport that is none.
#include <weir/contract_checker.h>
#include <weir/protocol.h>
#include <weir/weir.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace weir::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Somebody else's transport: it is what its fields say.
struct OtherTransport final : ObservedTransport {
  TransportKind kind() const noexcept override { return its_kind; }
  bool is_closing() const noexcept override { return closing; }
  bool is_reading() const noexcept override { return reading; }
  std::size_t get_write_buffer_size() const noexcept override { return size; }
  EffectiveWriteBufferLimits get_write_buffer_limits() const noexcept override { return limits; }
  ExtraInfo get_extra_info(std::string_view name) const override {
    return name == "peername" ? ExtraInfo(*Address::parse("10.0.0.1", 80)) : ExtraInfo();
  }

  TransportKind its_kind = TransportKind::socket;
  bool closing = false;
  bool reading = true;
  std::size_t size = 0;
  EffectiveWriteBufferLimits limits{.low = 10, .high = 40};
};

class CheckerTest : public ::testing::Test {
 protected:
  using Inside = std::function<void()>;

  /// From here on it is a transport of this kind.
  void become(TransportKind kind) {
    transport.its_kind = kind;
    observer = checker.observe(transport);
  }
  /// One occurrence, with what happens between its begin and its end; `change` is known at the end only.
  void tell(Occurrence what, const Inside& inside = {},
            const std::function<void(Occurrence&)>& change = {}) {
    if (is_callback(what.activity)) what.protocol = receiver;
    observer->begins(what);
    if (inside) inside();
    if (change) change(what);
    observer->ends(what);
  }
  void tell(Activity activity, const Inside& inside = {}) {
    tell(Occurrence{.activity = activity}, inside);
  }
  void made() { tell(Activity::connection_made); }
  void data(std::size_t size = 1, const Inside& inside = {}) {
    tell({.activity = Activity::data_received, .size = size}, inside);
  }
  void eof(bool keep_open) {
    tell({.activity = Activity::eof_received}, {},
         [&](Occurrence& end) { end.result = keep_open; });
  }
  void get_buffer(std::size_t size) {
    tell({.activity = Activity::get_buffer}, {}, [&](Occurrence& end) { end.size = size; });
  }
  void updated(std::size_t size) { tell({.activity = Activity::buffer_updated, .size = size}); }
  /// A write that leaves so much in the buffer, and what it calls.
  void write(std::size_t left, const Inside& inside = {}) {
    tell(Activity::write, [&] {
      transport.size = left;
      if (inside) inside();
    });
  }
  void write_and_pause(std::size_t left) {
    write(left, [&] { tell(Activity::pause_writing); });
  }
  void pause_reading() {
    tell(Activity::pause_reading, [&] { transport.reading = false; });
  }
  void close() {
    tell(Activity::close, [&] { transport.closing = true, transport.reading = false; });
  }
  void abort(const CloseReason& reason = {}) {
    tell({.activity = Activity::abort, .reason = &reason}, [&] {
      transport.closing = true;
      transport.size = 0;
    });
  }
  void lost(const CloseReason& reason = {}) {
    transport.closing = true;
    tell({.activity = Activity::connection_lost, .reason = &reason});
  }

  std::vector<std::string> rules;
  std::vector<ContractViolation> violations;
  OtherTransport transport;
  ContractChecker checker{[this](const ContractViolation& violation) {
    rules.push_back(violation.rule);
    violations.push_back(violation);
  }};
  std::unique_ptr<TransportObserver> observer = checker.observe(transport);
  Protocol first;
  Protocol second;
  const AbstractProtocol* receiver = &first;
};

// --- What is as it should be -------------------------------------------------------------------------

TEST_F(CheckerTest, FindsNothingInAConnectionThatKeepsToTheRules) {
  made();
  data(100, [&] { write_and_pause(41); });
  transport.size = 10;
  tell(Activity::resume_writing, [&] { write(20); });
  pause_reading();
  tell(Activity::resume_reading, [&] { transport.reading = true; });
  data();
  eof(true);
  close();
  transport.size = 0;
  lost();
  EXPECT_THAT(rules, IsEmpty());
}

TEST_F(CheckerTest, FindsNothingInBuffersThatAreAskedForAgain) {
  made();
  get_buffer(10);
  get_buffer(10);
  updated(10);
  eof(false);
  close();
  lost();
  EXPECT_THAT(rules, IsEmpty());
}

TEST_F(CheckerTest, KnowsWhatIsOtherwiseWithPipesTlsAndProcesses) {
  become(TransportKind::read_pipe);
  made();
  transport.closing = true;
  eof(true);  // I5
  lost();
  transport.closing = false;
  become(TransportKind::tls);
  made();
  close();
  eof(true);  // T10
  lost();
  transport.closing = false;
  become(TransportKind::subprocess);
  made();
  tell(Activity::process_exited);
  tell({.activity = Activity::pipe_data_received, .size = 1, .number = 1});
  const CloseReason none;
  tell({.activity = Activity::pipe_connection_lost, .reason = &none, .number = 1});
  lost();
  EXPECT_THAT(rules, IsEmpty());
}

// --- The life -----------------------------------------------------------------------------------------

TEST_F(CheckerTest, ConnectionMadeComesFirstAndOnce) {  // B1
  data();
  made();
  made();
  EXPECT_THAT(rules, ElementsAre("B1", "B1"));
}

TEST_F(CheckerTest, ConnectionLostIsTheLastAndComesOnce) {  // B2
  made();
  lost();
  data();
  lost();
  EXPECT_THAT(rules, ElementsAre("B2", "S14", "B2"));
}

TEST_F(CheckerTest, CallbacksDoNotComeFromInsideCallsOrOneAnother) {  // B6, B16, S11
  made();
  tell(Activity::resume_reading, [&] { data(); });
  tell(Activity::write, [&] { tell(Activity::resume_writing); });
  data(1, [&] { data(); });
  close();
  tell(Activity::abort, [&] { lost(); });
  EXPECT_THAT(rules, ElementsAre("S11", "B16", "F7", "B16", "B6"));
}

TEST_F(CheckerTest, OneTransportIsNotCalledFromWithinAnothersCall) {  // B16
  made();
  OtherTransport other;
  const auto of_other = checker.observe(other);
  const Occurrence reading{.activity = Activity::resume_reading};
  of_other->begins(reading);
  data();
  of_other->ends(reading);
  EXPECT_THAT(rules, ElementsAre("S11"));
}

TEST_F(CheckerTest, TheProtocolThatWasSetLastIsToldEverything) {  // B12
  made();
  tell({.activity = Activity::set_protocol, .protocol = &second});
  data();
  receiver = &second;
  data();
  EXPECT_THAT(rules, ElementsAre("B12"));
}

TEST_F(CheckerTest, TheFirstCauseIsTheReason) {  // B5, S14, S17, S20
  const CloseReason reset(std::make_error_code(std::errc::connection_reset));
  made();
  abort(reset);
  lost();
  become(TransportKind::socket);
  transport.closing = false;
  made();
  close();
  lost(reset);
  become(TransportKind::socket);
  transport.closing = false;
  made();
  const auto thrown = std::make_exception_ptr(std::runtime_error("no"));
  tell({.activity = Activity::data_received, .size = 1}, {}, [&](Occurrence& end) {
    end.threw = true;
    end.exception = thrown;
  });
  lost(reset);
  EXPECT_THAT(rules, ElementsAre("B5", "B5", "B5"));
}

TEST_F(CheckerTest, ClosingIsForEver) {  // C9, S14, S17
  made();
  tell(Activity::close);
  tell(Activity::abort);
  transport.closing = true;
  tell(Activity::write_eof);
  transport.closing = false;
  tell(Activity::write_eof);
  EXPECT_THAT(rules, ElementsAre("S14", "S17", "C9"));
}

TEST_F(CheckerTest, WhatIsLostIsClosingAndHasNothingToSend) {  // C9, S17
  made();
  transport.size = 5;
  const CloseReason none;
  tell({.activity = Activity::connection_lost, .reason = &none});
  EXPECT_THAT(rules, ElementsAre("C9", "S17"));
}

// --- Receiving ----------------------------------------------------------------------------------------

TEST_F(CheckerTest, DataIsSomeAndNotTooMuch) {  // S2, S3
  made();
  data(0);
  data(std::size_t{256} * 1024);
  data(std::size_t{256} * 1024 + 1);
  EXPECT_THAT(rules, ElementsAre("S2", "S3"));
}

TEST_F(CheckerTest, NothingComesAfterTheEndOfTheStream) {  // S4, U8
  made();
  eof(true);
  data();
  eof(true);
  get_buffer(1);
  EXPECT_THAT(rules, ElementsAre("S4", "S4", "S4"));
}

TEST_F(CheckerTest, ATransportClosesWhenEofReceivedReturnsFalse) {  // S5
  made();
  eof(false);
  tell(Activity::write);
  EXPECT_THAT(rules, ElementsAre("S5"));
}

TEST_F(CheckerTest, NothingComesWhileReadingIsPaused) {  // S8, D16
  made();
  pause_reading();
  data();
  get_buffer(1);
  eof(true);
  become(TransportKind::datagram);
  made();
  pause_reading();
  tell({.activity = Activity::datagram_received});
  EXPECT_THAT(rules, ElementsAre("S8", "S8", "S8", "S8"));
}

TEST_F(CheckerTest, IsReadingSaysWhetherItIsPaused) {  // S12
  made();
  tell(Activity::pause_reading);
  transport.reading = false;
  tell(Activity::resume_reading);
  EXPECT_THAT(rules, ElementsAre("S12", "S12"));
}

TEST_F(CheckerTest, NothingComesAfterClose) {  // S14
  made();
  close();
  data();
  eof(true);
  EXPECT_THAT(rules, ElementsAre("S14", "S14"));
}

TEST_F(CheckerTest, BuffersAreAskedForAndNotOverrun) {  // U1, U5, U10
  made();
  updated(1);
  get_buffer(4);
  updated(5);
  get_buffer(4);
  updated(0);
  get_buffer(4);
  tell({.activity = Activity::set_protocol, .protocol = &second});
  receiver = &second;
  updated(1);
  EXPECT_THAT(rules, ElementsAre("U1", "U5", "U5", "U1"));
}

// --- Writing ------------------------------------------------------------------------------------------

TEST_F(CheckerTest, PausingIsStrictlyOverTheHighMark) {  // F5
  made();
  write_and_pause(40);
  EXPECT_THAT(rules, ElementsAre("F5"));
  EXPECT_THAT(violations[0].what, HasSubstr("40 bytes, not more than the high mark of 40 bytes"));
}

TEST_F(CheckerTest, WhoeverWritesTooMuchIsPaused) {  // F5
  made();
  write(41);
  EXPECT_THAT(rules, ElementsAre("F5"));
}

TEST_F(CheckerTest, ResumingIsAtTheLowMark) {  // F6
  made();
  write_and_pause(41);
  transport.size = 11;
  tell(Activity::resume_writing);
  EXPECT_THAT(rules, ElementsAre("F6"));
}

TEST_F(CheckerTest, WhoeverWasPausedIsResumed) {  // F6
  made();
  write_and_pause(41);
  transport.size = 10;
  data();
  EXPECT_THAT(rules, ElementsAre("F6"));
}

TEST_F(CheckerTest, MarksThatMovedAreNoReasonToResumeAtOnce) {  // F14
  made();
  write_and_pause(41);
  tell(Activity::set_write_buffer_limits, [&] { transport.limits = {.low = 50, .high = 60}; });
  data();
  EXPECT_THAT(rules, IsEmpty());
}

TEST_F(CheckerTest, PausesAndResumesArePaired) {  // F7
  made();
  tell(Activity::resume_writing);
  write_and_pause(41);
  write_and_pause(42);
  EXPECT_THAT(rules, ElementsAre("F7", "F7"));
}

TEST_F(CheckerTest, PausingComesFromTheWriteItself) {  // F8
  made();
  transport.size = 41;
  tell(Activity::pause_writing);
  EXPECT_THAT(rules, ElementsAre("F8"));
}

TEST_F(CheckerTest, WhatWasPausedIsResumedOnTheWayDown) {  // F13
  made();
  write_and_pause(41);
  close();
  transport.size = 0;
  lost();
  EXPECT_THAT(rules, ElementsAre("F13"));
}

TEST_F(CheckerTest, NobodyIsResumedAfterAbort) {  // F17
  made();
  write_and_pause(41);
  abort();
  tell(Activity::resume_writing);
  EXPECT_THAT(rules, ElementsAre("F17"));
}

TEST_F(CheckerTest, AbortDropsWhatIsUnsent) {  // S17
  made();
  write(5);
  tell(Activity::abort, [&] { transport.closing = true; });
  EXPECT_THAT(rules, ElementsAre("S17"));
}

TEST_F(CheckerTest, WritingAfterTheEndOfTheStreamThrows) {  // S25
  made();
  tell(Activity::write_eof);
  tell({.activity = Activity::write}, {}, [](Occurrence& end) { end.threw = true; });
  EXPECT_THAT(rules, IsEmpty());
  tell(Activity::writelines);
  EXPECT_THAT(rules, ElementsAre("S25"));
}

// --- Processes ----------------------------------------------------------------------------------------

TEST_F(CheckerTest, AProcessEndsOnceAfterItsPipesAndItsExit) {  // P5, P6, P7, P9
  const CloseReason none;
  const Occurrence pipe_lost{
      .activity = Activity::pipe_connection_lost, .reason = &none, .number = 1};
  become(TransportKind::subprocess);
  made();
  tell({.activity = Activity::pipe_data_received, .size = 1, .number = 0});
  tell({.activity = Activity::pipe_data_received, .size = 0, .number = 1});
  tell(pipe_lost);
  tell(pipe_lost);
  tell(Activity::process_exited);
  tell(Activity::process_exited);
  lost(CloseReason(std::make_error_code(std::errc::broken_pipe)));
  EXPECT_THAT(rules, ElementsAre("P5", "P5", "P6", "P7", "P9"));
}

// --- What is told -------------------------------------------------------------------------------------

TEST_F(CheckerTest, AViolationSaysRuleTransportAndWhatHappenedLast) {
  made();
  data(7, [&] { write(3); });
  pause_reading();
  data(5);
  ASSERT_THAT(rules, ElementsAre("S8"));
  EXPECT_EQ(to_string(violations[0]),
            "contract violated [S8]: data_received() while reading is paused\n"
            "  by the socket transport 1, peername 10.0.0.1:80\n"
            "  what happened last:\n"
            "    connection_made()\n"
            "    data_received(7)\n"
            "      write(0)\n"
            "    pause_reading()\n"
            "    data_received(5)\n");
}

TEST(ContractChecker, EndsTheProgramUnlessSomebodyIsTold) {
  OtherTransport transport;
  ContractChecker checker;
  const auto observer = checker.observe(transport);
  EXPECT_DEATH(observer->begins({.activity = Activity::eof_received}),
               "weir: contract violated \\[B1\\]: eof_received\\(\\) before connection_made\\(\\)");
}

/// Of a loop, as its user would have it.
TEST(ContractChecker, WatchesTheTransportsOfALoop) {
  struct Counting final : Observer {
    std::unique_ptr<TransportObserver> observe(const EventLoop& loop,
                                               const ObservedTransport& transport) override {
      names.push_back(loop.name() + ' ' + std::string(to_string(transport.kind())));
      return nullptr;
    }
    std::vector<std::string> names;
  };
  const auto counting = std::make_shared<Counting>();
  std::vector<std::string> rules;
  const auto checker = std::make_shared<ContractChecker>(
      [&](const ContractViolation& violation) { rules.push_back(violation.rule); });
  {
    EventLoop loop(
        {.backend = BackendKind::simulated, .name = "mine", .observers = {checker, counting}});
    const Server server = loop.run_until_complete(create_server(
        loop, [] { return std::make_shared<Protocol>(); }, "127.0.0.1", 0));
    const auto [transport, protocol] = loop.run_until_complete(
        create_connection<Protocol>(loop, "127.0.0.1", server.sockets().front().sockname.port()));
    while (counting->names.size() < 2) loop.run_once(std::chrono::seconds(1));
    transport.write("hello");
    transport.close();
    server.close();
    loop.run_until_complete(server.wait_closed());
  }
  EXPECT_THAT(counting->names, ElementsAre("mine socket", "mine socket"));
  EXPECT_THAT(rules, IsEmpty());
}

}  // namespace
}  // namespace weir::test
