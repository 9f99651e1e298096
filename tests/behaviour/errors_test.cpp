#include <chrono>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "loop_support.h"
#include "loop_test.h"

// What happens with exceptions of callbacks, and debug mode: L20-L26, C10, C12.
namespace weir::test {
namespace {

using namespace std::chrono_literals;

class Errors : public EveryLoop {};

/// Thrown by callbacks, and fatal where a test says so.
class FatalError : public std::exception {
 public:
  const char* what() const noexcept override { return "fatal error"; }
};

bool is_fatal(const std::exception_ptr& exception) { return kind_of(exception) == "fatal error"; }

// L20: an exception of a callback is reported; the remaining callbacks run and the loop goes on.
TEST_P(Errors, ReportsExceptionsOfCallbacksAndGoesOn) {
  Journal journal;
  loop().call_soon(journal.note("a", [] { throw TestError(); }));
  loop().call_soon(journal.note("b"));
  loop().call_later(-1s, journal.note("timer", [] { throw TestError(); }));
  loop().call_soon_threadsafe(journal.note("posted", [] { throw 7; }));
  iterate(2);
  EXPECT_EQ(journal.calls, calls("a", "b", "posted", "timer"));
  const std::vector<Report> reports = take_whole_reports();
  ASSERT_EQ(reports.size(), 3U);
  for (const Report& report : reports) {
    EXPECT_TRUE(report.message.starts_with("Exception in callback")) << report.message;
  }
  EXPECT_EQ(reports[0].exception, "test error");
  EXPECT_EQ(reports[1].exception, "(no std::exception)");
  EXPECT_EQ(reports[2].exception, "test error");
}

// L21: the report of a callback names its handle.
TEST_P(Errors, NamesTheHandleInTheReport) {
  bool has_handle = false;
  loop().set_exception_handler([&](EventLoop&, const ExceptionContext& context) {
    has_handle = context.extra.contains("handle");
  });
  loop().call_soon([] { throw TestError(); });
  iterate(1);
  EXPECT_TRUE(has_handle);
}

// L22: the default handler logs the message, the other fields by name, and the exception.
TEST_P(Errors, LogsByDefault) {
  loop().set_exception_handler({});
  loop().call_exception_handler({.message = "Something went wrong",
                                 .exception = std::make_exception_ptr(TestError()),
                                 .extra = {{"zebra", "last"}, {"apple", "first"}}});
  const Calls logs = take_logs();
  ASSERT_EQ(logs.size(), 1U);
  const auto at = [&](const char* text) { return logs[0].find(text); };
  EXPECT_TRUE(logs[0].starts_with("error: Something went wrong")) << logs[0];
  EXPECT_NE(at("apple: first"), std::string::npos) << logs[0];
  EXPECT_NE(at("test error"), std::string::npos) << logs[0];
  EXPECT_LT(at("apple: first"), at("zebra: last"));
  EXPECT_LT(at("zebra: last"), at("test error"));
}

// L22: the fields sorted by name are all of them, the protocol and the transport too.
TEST_P(Errors, LogsTheProtocolByNameToo) {
  loop().default_exception_handler({.message = "m",
                                    .protocol = std::make_shared<Protocol>(),
                                    .extra = {{"apple", "1"}, {"zebra", "2"}}});
  const Calls logs = take_logs();
  ASSERT_EQ(logs.size(), 1U);
  EXPECT_LT(logs[0].find("apple: "), logs[0].find("protocol: ")) << logs[0];
  EXPECT_LT(logs[0].find("protocol: "), logs[0].find("zebra: ")) << logs[0];
}

// L22: a report without a message and without an exception is logged as well.
TEST_P(Errors, LogsAReportWithNothingInIt) {
  loop().default_exception_handler({});
  EXPECT_EQ(take_logs(), calls("error: Unhandled exception in event loop"));
}

// L23: the handler set is called with the loop and the context; get returns it; empty restores.
TEST_P(Errors, CallsTheHandlerThatIsSet) {
  Calls seen;
  loop().set_exception_handler([&](EventLoop& where, const ExceptionContext& context) {
    EXPECT_EQ(&where, &loop());
    seen.push_back(context.message);
  });
  EXPECT_TRUE(loop().get_exception_handler() != nullptr);
  loop().call_exception_handler({.message = "one"});
  loop().get_exception_handler()(loop(), {.message = "two"});
  EXPECT_EQ(seen, calls("one", "two"));

  loop().set_exception_handler(nullptr);
  EXPECT_TRUE(loop().get_exception_handler() == nullptr);
  loop().call_exception_handler({.message = "three"});
  EXPECT_EQ(seen, calls("one", "two"));
  EXPECT_EQ(take_logs(), calls("error: three"));
}

// L23: a handler may replace itself.
TEST_P(Errors, LetsAHandlerReplaceItself) {
  Calls seen;
  const auto held = std::make_shared<int>(1);
  loop().set_exception_handler([&, held](EventLoop& where, const ExceptionContext&) {
    const auto kept = held;
    where.set_exception_handler(
        [&](EventLoop&, const ExceptionContext& next) { seen.push_back(next.message); });
    seen.push_back("first, " + std::to_string(*kept));
  });
  loop().call_exception_handler({.message = "one"});
  loop().call_exception_handler({.message = "two"});
  EXPECT_EQ(seen, calls("first, 1", "two"));
}

// L24: a handler that throws leads to the default handler with the new exception.
TEST_P(Errors, LogsWhatAHandlerThrows) {
  loop().set_exception_handler([](EventLoop&, const ExceptionContext&) { throw TestError(); });
  loop().call_exception_handler({.message = "original"});
  const Calls logs = take_logs();
  ASSERT_EQ(logs.size(), 1U);
  EXPECT_TRUE(logs[0].starts_with("error: Unhandled error in exception handler")) << logs[0];
  EXPECT_NE(logs[0].find("test error"), std::string::npos) << logs[0];
}

// L24: a handler that throws does not stop the loop.
TEST_P(Errors, GoesOnWhenTheHandlerThrows) {
  loop().set_exception_handler([](EventLoop&, const ExceptionContext&) { throw TestError(); });
  Journal journal;
  loop().call_soon([] { throw TestError(); });
  loop().call_soon(journal.note("next"));
  iterate(1);
  EXPECT_EQ(journal.calls, calls("next"));
  EXPECT_EQ(take_logs().size(), 1U);
}

// C10: an exception the predicate calls fatal leaves the run call, unreported; the rest waits.
TEST_P(Errors, LetsFatalExceptionsOut) {
  loop().set_fatal_exception_predicate(is_fatal);
  Journal journal;
  loop().call_soon(journal.note("a", [] { throw FatalError(); }));
  loop().call_soon(journal.note("b", [&] { loop().stop(); }));
  EXPECT_THROW(loop().run_forever(), FatalError);
  EXPECT_FALSE(loop().is_running());
  EXPECT_EQ(journal.calls, calls("a"));
  loop().run_forever();
  EXPECT_EQ(journal.calls, calls("a", "b"));
}

// C10: the same from a timer, with other timers due in the same iteration.
TEST_P(Errors, LetsFatalExceptionsOfTimersOut) {
  loop().set_fatal_exception_predicate(is_fatal);
  Journal journal;
  loop().call_later(-3s, journal.note("a", [] { throw FatalError(); }));
  TimerHandle cancelled = loop().call_later(-2s, journal.note("never"));
  loop().call_later(-1s, journal.note("b"));
  EXPECT_THROW(loop().run_once(), FatalError);
  EXPECT_EQ(journal.calls, calls("a"));
  cancelled.cancel();
  iterate(1);
  EXPECT_EQ(journal.calls, calls("a", "b"));
}

// C10: the same from run_until_complete(), whose future can be waited for again.
TEST_P(Errors, LetsFatalExceptionsOutOfRunUntilComplete) {
  loop().set_fatal_exception_predicate(is_fatal);
  const auto future = loop().create_future();
  loop().call_soon([] { throw FatalError(); });
  loop().call_soon([&] { future.set_result(); });
  EXPECT_THROW(loop().run_until_complete(future), FatalError);
  loop().run_until_complete(future);
}

// C10: the same from a protocol's callback; the connection is none the worse for another run.
TEST_P(Errors, LetsFatalExceptionsOfProtocolsOut) {
  Recorder server(loop(), ProtocolKind::stream, "server");
  const Server listener = run_until_done(create_server(
      loop(), [&] { return std::make_shared<RecordingProtocol>(server); }, "127.0.0.1", 0));
  const auto client = run_until_done(
      create_connection<Protocol>(loop(), "127.0.0.1", listener.sockets().at(0).sockname.port()));
  run_until([&] { return server.made(); });
  loop().set_fatal_exception_predicate(is_fatal);
  server.once("data_received", [] { throw FatalError(); });
  client.transport.write("x");
  EXPECT_THROW(run_until([&] { return server.lost(); }), FatalError);
  loop().set_fatal_exception_predicate({});
  listener.close();
  listener.abort_clients();
  run_until([&] { return server.lost(); });
  EXPECT_EQ(server.count("connection_lost"), 1U);
}

// C10: what an exception handler throws may be fatal, too.
TEST_P(Errors, LetsFatalExceptionsOfHandlersOut) {
  loop().set_fatal_exception_predicate(is_fatal);
  loop().set_exception_handler([](EventLoop&, const ExceptionContext&) { throw FatalError(); });
  loop().call_soon([] { throw TestError(); });
  EXPECT_THROW(loop().run_once(), FatalError);
}

// C10: by default nothing is fatal, and an exception that is not fatal is reported as ever.
TEST_P(Errors, ReportsWhatIsNotFatal) {
  loop().call_soon([] { throw FatalError(); });
  iterate(1);
  EXPECT_EQ(take_reports(), calls("Exception in callback [fatal error]"));
  loop().set_fatal_exception_predicate(is_fatal);
  loop().call_soon([] { throw TestError(); });
  iterate(1);
  EXPECT_EQ(take_reports(), calls("Exception in callback [test error]"));
}

// C12: log records go to one replaceable sink, with their level.
TEST_P(Errors, LogsToTheSinkThatIsSet) {
  loop().set_exception_handler({});
  Calls seen;
  set_log_sink([&](LogLevel level, std::string_view text) {
    seen.push_back(std::string(to_string(level)) + '|' + std::string(text));
  });
  loop().call_exception_handler({.message = "one"});
  set_log_sink([](LogLevel, std::string_view) {});
  loop().call_exception_handler({.message = "two"});
  EXPECT_EQ(seen, calls("error|one"));
  EXPECT_EQ(take_logs(), Calls());
}

// L25: debug mode warns of callbacks that last slow_callback_duration or longer.
TEST_P(Errors, WarnsOfSlowCallbacksInDebugMode) {
  EXPECT_EQ(loop().get_slow_callback_duration(), 100ms);
  loop().set_slow_callback_duration(0ns);
  EXPECT_EQ(loop().get_slow_callback_duration(), 0ns);
  loop().call_soon([] {});
  iterate(1);
  EXPECT_EQ(take_logs(), Calls());

  loop().set_debug(true);
  loop().call_soon([] {});
  iterate(1);
  const Calls logs = take_logs();
  ASSERT_EQ(logs.size(), 1U);
  EXPECT_TRUE(logs[0].starts_with("warning: Executing ")) << logs[0];
  EXPECT_NE(logs[0].find(" took "), std::string::npos) << logs[0];
  EXPECT_TRUE(logs[0].ends_with(" seconds")) << logs[0];

  loop().set_slow_callback_duration(24h);
  loop().call_soon([] {});
  iterate(1);
  EXPECT_EQ(take_logs(), Calls());
}

// L25: in debug mode scheduling from another thread than the running one is a wrong-state error.
TEST_P(Errors, ChecksTheThreadInDebugMode) {
  loop().set_debug(true);
  Calls errors;
  Journal journal;
  loop().call_soon([&] {
    std::thread([&] {
      const auto attempt = [&](const std::function<void()>& schedule) {
        try {
          schedule();
        } catch (const std::exception&) {
          errors.push_back(kind_of(std::current_exception()));
        }
      };
      attempt([&] { loop().call_soon(journal.note("soon")); });
      attempt([&] { loop().call_later(0s, journal.note("later")); });
      attempt([&] { loop().call_at(loop().time(), journal.note("at")); });
      loop().call_soon_threadsafe(journal.note("posted"));
    }).join();
  });
  run_until([&] { return journal.has("posted"); });
  EXPECT_EQ(errors, calls("WrongStateError", "WrongStateError", "WrongStateError"));
  EXPECT_EQ(journal.calls, calls("posted"));
}

// L26: debug mode may be switched any time, from inside a callback as well.
TEST_P(Errors, SwitchesDebugModeAnyTime) {
  loop().set_slow_callback_duration(0ns);
  loop().set_debug(true);
  EXPECT_TRUE(loop().get_debug());
  loop().call_soon([&] { loop().set_debug(false); });
  iterate(1);
  take_logs();
  EXPECT_FALSE(loop().get_debug());
  loop().call_soon([&] { loop().set_debug(true); });
  loop().call_soon([] {});
  iterate(1);
  EXPECT_TRUE(loop().get_debug());
  EXPECT_EQ(take_logs().size(), 1U);
}

INSTANTIATE_TEST_SUITE_P(Behaviour, Errors, ::testing::ValuesIn(backends()), backend_name);

}  // namespace
}  // namespace weir::test
