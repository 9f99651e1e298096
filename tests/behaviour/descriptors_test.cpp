#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "descriptor_support.h"
#include "loop_support.h"
#include "loop_test.h"

// Watching descriptors: L27-L32.
namespace weir::test {
namespace {

using namespace std::chrono_literals;

/// The loops whose backend has descriptors.
class Descriptors : public EveryLoop {};

// L27: add_reader() calls back once an iteration, for as long as the descriptor is readable.
TEST_P(Descriptors, CallsTheReaderOnceAnIterationWhileReadable) {
  const SocketPair pair;
  Journal journal;
  loop().add_reader(pair.b(), journal.note("readable"));
  iterate(2);
  EXPECT_EQ(journal.calls, Calls());
  pair.send_to_b("hello");
  iterate(1);
  EXPECT_EQ(journal.calls, calls("readable"));
  iterate(2);
  EXPECT_EQ(journal.calls, calls("readable", "readable", "readable"));
  EXPECT_EQ(receive(pair.b()), "hello");
  iterate(2);
  EXPECT_EQ(journal.calls, calls("readable", "readable", "readable"));
  EXPECT_TRUE(loop().remove_reader(pair.b()));
}

// L27: add_writer() calls back once an iteration, for as long as there is room.
TEST_P(Descriptors, CallsTheWriterOnceAnIterationWhileWritable) {
  const SocketPair pair;
  Journal journal;
  loop().add_writer(pair.a(), journal.note("writable"));
  iterate(2);
  EXPECT_EQ(journal.calls, calls("writable", "writable"));
  fill(pair.a());
  iterate(2);
  EXPECT_EQ(journal.calls, calls("writable", "writable"));
  while (!receive(pair.b()).empty()) {
  }
  iterate(1);
  EXPECT_EQ(journal.calls, calls("writable", "writable", "writable"));
  EXPECT_TRUE(loop().remove_writer(pair.a()));
}

// L27: adding again replaces the callback, which is released and does not run.
TEST_P(Descriptors, ReplacesACallback) {
  const SocketPair pair;
  Journal journal;
  const auto held = std::make_shared<int>(1);
  loop().add_reader(pair.b(), [held, note = journal.note("old")]() mutable { note(); });
  loop().add_reader(pair.b(), journal.note("new"));
  EXPECT_EQ(held.use_count(), 1);
  pair.send_to_b("x");
  iterate(1);
  EXPECT_EQ(journal.calls, calls("new"));
  EXPECT_TRUE(loop().remove_reader(pair.b()));
  EXPECT_FALSE(loop().remove_reader(pair.b()));
}

// L27, L28: a callback replaced or removed by an earlier one of the same batch does not run.
TEST_P(Descriptors, DropsWhatIsReplacedOrRemovedInTheSameBatch) {
  const SocketPair one;
  const SocketPair two;
  Journal journal;
  one.send_to_b("x");
  two.send_to_b("x");
  const auto replace_both = [&] {
    for (const int descriptor : {one.b(), two.b()}) {
      loop().add_reader(descriptor, journal.note("new"));
    }
  };
  loop().add_reader(one.b(), journal.note("old", replace_both));
  loop().add_reader(two.b(), journal.note("old", replace_both));
  iterate(1);
  EXPECT_EQ(journal.count("old"), 1U);

  journal.calls.clear();
  const auto remove_both = [&] {
    EXPECT_TRUE(loop().remove_reader(one.b()));
    EXPECT_TRUE(loop().remove_reader(two.b()));
  };
  loop().add_reader(one.b(), journal.note("removes", remove_both));
  loop().add_reader(two.b(), journal.note("removes", remove_both));
  iterate(3);
  EXPECT_EQ(journal.calls, calls("removes"));
}

// L28: a callback removed by one that was queued before the poll does not run.
TEST_P(Descriptors, DropsWhatAnEarlierCallbackRemoves) {
  const SocketPair pair;
  Journal journal;
  pair.send_to_b("x");
  loop().add_reader(pair.b(), journal.note("never"));
  loop().call_soon(journal.note("remove", [&] { loop().remove_reader(pair.b()); }));
  iterate(2);
  EXPECT_EQ(journal.calls, calls("remove"));
}

// L28: removing what is not there returns false, whatever the descriptor.
TEST_P(Descriptors, RemovesNothingThatIsNotThere) {
  const SocketPair pair;
  EXPECT_FALSE(loop().remove_reader(pair.a()));
  EXPECT_FALSE(loop().remove_writer(pair.a()));
  EXPECT_FALSE(loop().remove_reader(123456));
  loop().add_reader(pair.a(), [] {});
  EXPECT_FALSE(loop().remove_writer(pair.a()));
  EXPECT_TRUE(loop().remove_reader(pair.a()));
}

// L29: reader and writer of one descriptor are independent.
TEST_P(Descriptors, KeepsReaderAndWriterApart) {
  const SocketPair pair;
  Journal journal;
  loop().add_reader(pair.b(), journal.note("readable"));
  loop().add_writer(pair.b(), journal.note("writable"));
  iterate(1);
  EXPECT_EQ(journal.calls, calls("writable"));
  pair.send_to_b("x");
  EXPECT_TRUE(loop().remove_writer(pair.b()));
  iterate(1);
  EXPECT_EQ(journal.calls, calls("writable", "readable"));
  loop().add_writer(pair.b(), journal.note("writable"));
  EXPECT_TRUE(loop().remove_reader(pair.b()));
  iterate(1);
  EXPECT_EQ(journal.calls, calls("writable", "readable", "writable"));
  EXPECT_TRUE(loop().remove_writer(pair.b()));
}

// L29: a hang-up wakes each registered side.
TEST_P(Descriptors, WakesBothSidesOnAHangUp) {
  SocketPair pair;
  Journal journal;
  fill(pair.b());
  loop().add_reader(pair.b(), journal.note("reader", [&] { loop().remove_reader(pair.b()); }));
  loop().add_writer(pair.b(), journal.note("writer", [&] { loop().remove_writer(pair.b()); }));
  iterate(1);
  EXPECT_EQ(journal.calls, Calls());
  pair.close_a();
  iterate(2);
  EXPECT_EQ(journal.calls, calls("reader", "writer"));
}

// L29: a hang-up with no side registered wakes nothing: the loop does not spin.
TEST_P(Descriptors, DoesNotSpinOnAHangUpNobodyWatches) {
  SocketPair pair;
  loop().add_reader(pair.b(), [] {});
  loop().add_writer(pair.b(), [] {});
  iterate(1);
  loop().remove_reader(pair.b());
  loop().remove_writer(pair.b());
  pair.close_a();
  bool late = false;
  loop().call_later(5ms, [&] { late = true; });
  int rounds = 0;
  while (!late) {
    loop().run_once(1h);
    ++rounds;
  }
  EXPECT_LE(rounds, 3);
}

// L30: a descriptor owned by a transport is refused, until the transport is gone.
TEST_P(Descriptors, RefusesADescriptorOfATransport) {
  const SocketPair pair;
  Recorder recorder(loop(), ProtocolKind::stream, "owner");
  const int owned = dup(pair.a());
  auto connection = run_until_done(create_connection(
      loop(), [&] { return std::make_shared<RecordingProtocol>(recorder); }, {.sock = owned}));
  EXPECT_THROW(loop().add_reader(owned, [] {}), WrongStateError);
  EXPECT_THROW(loop().add_writer(owned, [] {}), WrongStateError);
  EXPECT_THROW(loop().remove_reader(owned), WrongStateError);
  EXPECT_THROW(loop().remove_writer(owned), WrongStateError);
  pair.send_to_a("hello");
  run_until([&] { return recorder.received == "hello"; });
  connection.transport.abort();
  run_until([&] { return recorder.lost(); });
  iterate(1);
  EXPECT_FALSE(loop().remove_reader(owned));
}

// L30: a negative descriptor is an invalid argument, an empty callback too.
TEST_P(Descriptors, RefusesInvalidArguments) {
  const SocketPair pair;
  EXPECT_THROW(loop().add_reader(-1, [] {}), std::invalid_argument);
  EXPECT_THROW(loop().add_writer(-1, [] {}), std::invalid_argument);
  EXPECT_THROW(loop().remove_reader(-1), std::invalid_argument);
  EXPECT_THROW(loop().remove_writer(-1), std::invalid_argument);
  EXPECT_THROW(loop().add_reader(pair.a(), nullptr), std::invalid_argument);
  EXPECT_FALSE(loop().remove_reader(pair.a()));
}

// L30: a descriptor that is not open is refused with the system's error.
TEST_P(Descriptors, RefusesAClosedDescriptor) {
  int closed = -1;
  {
    const SocketPair pair;
    closed = pair.a();
  }
  try {
    loop().add_reader(closed, [] {});
    ADD_FAILURE() << "nothing thrown";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::bad_file_descriptor);
    EXPECT_NE(std::string(error.what()).find(std::to_string(closed)), std::string::npos);
  }
  EXPECT_FALSE(loop().remove_reader(closed));
}

// L31: a descriptor closed without being removed, its number used again: nothing is delivered to
// the old callback once the new owner registered, and nothing crashes.
TEST_P(Descriptors, ForgetsADescriptorThatWasClosedAndUsedAgain) {
  Journal journal;
  auto first = std::make_unique<SocketPair>();
  const int number = first->b();
  loop().add_reader(number, journal.note("stale"));
  iterate(1);
  first.reset();
  iterate(1);
  SocketPair second;
  second.move_b_to(number);
  second.send_to_b("hello");
  loop().add_reader(number, journal.note("fresh"));
  iterate(1);
  EXPECT_EQ(journal.calls, calls("fresh"));
  EXPECT_TRUE(loop().remove_reader(number));
  iterate(1);
  EXPECT_EQ(journal.calls, calls("fresh"));
}

// L31: the same when the descriptor is kept open elsewhere, so that the kernel still watches it.
TEST_P(Descriptors, ForgetsADescriptorThatLivesOnUnderAnotherNumber) {
  Journal journal;
  auto first = std::make_unique<SocketPair>();
  const int number = first->b();
  loop().add_reader(number, journal.note("stale"));
  iterate(1);
  const SocketPair kept(dup(first->a()), dup(first->b()));
  first.reset();
  SocketPair second;
  second.move_b_to(number);
  loop().add_reader(number, journal.note("fresh"));
  kept.send_to_b("for the old one");
  iterate(2);
  EXPECT_FALSE(journal.has("stale"));
  second.send_to_b("for the new one");
  run_until([&] { return journal.has("fresh"); });
  EXPECT_FALSE(journal.has("stale"));
  EXPECT_TRUE(loop().remove_reader(number));
}

// L31: a descriptor closed before it is removed can be removed, and the loop does not spin.
TEST_P(Descriptors, RemovesADescriptorThatWasClosed) {
  auto pair = std::make_unique<SocketPair>();
  const int number = pair->b();
  loop().add_reader(number, [] {});
  loop().add_writer(number, [] {});
  pair.reset();
  EXPECT_TRUE(loop().remove_reader(number));
  iterate(1);
  loop().remove_writer(number);
  EXPECT_FALSE(loop().remove_writer(number));
  iterate(1);
}

// L31: a new transport may get the number of a descriptor that was closed and never removed.
TEST_P(Descriptors, GivesAClosedDescriptorsNumberToATransport) {
  Journal journal;
  auto first = std::make_unique<SocketPair>();
  const int number = first->b();
  loop().add_reader(number, journal.note("stale"));
  iterate(1);
  first.reset();
  SocketPair second;
  second.move_b_to(number);
  Recorder recorder(loop(), ProtocolKind::stream, "new owner");
  auto connection = run_until_done(
      create_connection(loop(), [&] { return std::make_shared<RecordingProtocol>(recorder); },
                        {.sock = second.release_b()}));
  second.send_to_b("hello");
  run_until([&] { return recorder.received == "hello"; });
  EXPECT_EQ(journal.calls, Calls());
  connection.transport.abort();
  run_until([&] { return recorder.lost(); });
}

// L32: a regular file cannot be polled; the error of the system says so.
TEST_P(Descriptors, RefusesARegularFile) {
  const Descriptor file(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  ASSERT_GE(file.get(), 0);
  try {
    loop().add_reader(file.get(), [] {});
    ADD_FAILURE() << "nothing thrown";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::operation_not_permitted);
  }
  EXPECT_FALSE(loop().remove_reader(file.get()));
}

// L20: what a reader throws is reported, and it is called again.
TEST_P(Descriptors, ReportsWhatReadersThrow) {
  const SocketPair pair;
  pair.send_to_b("x");
  loop().add_reader(pair.b(), [] { throw TestError(); });
  iterate(2);
  EXPECT_EQ(take_reports(),
            calls("Exception in callback [test error]", "Exception in callback [test error]"));
  loop().remove_reader(pair.b());
}

/// Counts how often it is entered.
class CountedContext final : public Context {
 public:
  void enter() noexcept override { ++entered; }
  void leave() noexcept override {}
  int entered = 0;
};

// L19: a reader runs in the context that was current when it was added.
TEST_P(Descriptors, RunInTheirContext) {
  const SocketPair pair;
  const auto context = std::make_shared<CountedContext>();
  std::vector<std::shared_ptr<Context>> seen;
  pair.send_to_b("x");
  loop().call_soon(
      [&] { loop().add_reader(pair.b(), [&] { seen.push_back(loop().current_context()); }); },
      context);
  iterate(2);
  EXPECT_EQ(seen, std::vector<std::shared_ptr<Context>>(seen.size(), context));
  EXPECT_EQ(context->entered, 1 + static_cast<int>(seen.size()));
  EXPECT_TRUE(loop().remove_reader(pair.b()));
}

// L27: a callback may remove itself, or replace itself, while it runs.
TEST_P(Descriptors, LetsACallbackReplaceOrRemoveItself) {
  const SocketPair pair;
  Journal journal;
  pair.send_to_b("x");
  loop().add_reader(pair.b(), journal.note("first", [&] {
    const std::string text = "still alive";
    loop().add_reader(pair.b(), journal.note("second", [&] { loop().remove_reader(pair.b()); }));
    journal.calls.push_back(text);
  }));
  iterate(4);
  EXPECT_EQ(journal.calls, calls("first", "still alive", "second"));
}

// L9: descriptors and timers are served in one iteration, descriptors first.
TEST_P(Descriptors, RunsReadersBetweenCallbacksAndTimers) {
  const SocketPair pair;
  Journal journal;
  pair.send_to_b("x");
  loop().call_later(-1s, journal.note("timer"));
  loop().add_reader(pair.b(), journal.note("reader", [&] { loop().remove_reader(pair.b()); }));
  loop().call_soon(journal.note("soon"));
  iterate(1);
  EXPECT_EQ(journal.calls, calls("soon", "reader", "timer"));
}

// L6: closing the loop releases the callbacks; the descriptor stays the caller's.
TEST_P(Descriptors, ReleasesCallbacksWhenClosed) {
  const SocketPair pair;
  const auto held = std::make_shared<int>(1);
  loop().add_reader(pair.a(), [held] {});
  loop().add_writer(pair.a(), [held] {});
  loop().close();
  EXPECT_EQ(held.use_count(), 1);
  pair.send_to_a("still open");
  EXPECT_EQ(receive(pair.a()), "still open");
}

INSTANTIATE_TEST_SUITE_P(Behaviour, Descriptors,
                         ::testing::ValuesIn(backends_with_descriptors(true)), backend_name);

/// The loops whose backend has none.
class NoDescriptors : public EveryLoop {};

// A backend without descriptors says so.
TEST_P(NoDescriptors, AreAnUnsupportedOperation) {
  const SocketPair pair;
  const auto error_of = [](const std::function<void()>& call) {
    try {
      call();
      return std::error_code();
    } catch (const std::system_error& error) {
      return error.code();
    }
  };
  EXPECT_EQ(error_of([&] { loop().add_reader(pair.a(), [] {}); }),
            std::errc::operation_not_supported);
  EXPECT_EQ(error_of([&] { loop().add_writer(pair.a(), [] {}); }),
            std::errc::operation_not_supported);
  EXPECT_FALSE(loop().remove_reader(pair.a()));
  const int kept = dup(pair.a());
  EXPECT_EQ(error_of([&] { run_until_done(create_connection<Protocol>(loop(), {.sock = kept})); }),
            std::errc::operation_not_supported);
  EXPECT_EQ(error_of([&] {
              run_until_done(connect_accepted_socket(
                  loop(), [] { return std::make_shared<Protocol>(); }, kept));
            }),
            std::errc::operation_not_supported);
  EXPECT_EQ(close(kept), 0);
}

INSTANTIATE_TEST_SUITE_P(Behaviour, NoDescriptors,
                         ::testing::ValuesIn(backends_with_descriptors(false)), backend_name);

}  // namespace
}  // namespace weir::test
