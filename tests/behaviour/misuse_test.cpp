// Tables 2 and 4: every call in every state of a stream, and the errors of calls that do not fit.

#include <gtest/gtest.h>
#include <weir/weir.h>

#include <cerrno>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>

#include "every_stream.h"

namespace weir::test {
namespace {

using Limits = EffectiveWriteBufferLimits;

/// Each form of writing, the empty ones included.
void expect_writes_refused(const Transport& transport) {
  EXPECT_THROW(transport.write("x"), WrongStateError);
  EXPECT_THROW(transport.write(""), WrongStateError);
  EXPECT_THROW(transport.write(Buffer(std::string("x"))), WrongStateError);
  EXPECT_THROW(transport.writelines({as_bytes("x")}), WrongStateError);
}

}  // namespace

// Table 2, "after eof, kept open": every call works as on an open stream.
TEST_P(EverySocket, TakesEveryCallAfterTheEndOfThePeer) {
  auto [left, right] = connected_pair();
  left.keep_open = true;
  right.keep_open = true;
  right.transport.write_eof();
  run_until([&left = left] { return left.count("eof_received") == 1; });
  left.transport.write("a");
  left.transport.writelines({as_bytes("b"), as_bytes("c")});
  left.transport.pause_reading();
  EXPECT_FALSE(left.transport.is_reading());
  left.transport.resume_reading();
  EXPECT_TRUE(left.transport.is_reading());
  EXPECT_FALSE(left.transport.is_closing());
  left.transport.set_write_buffer_limits({.high = 10, .low = 5});
  EXPECT_EQ(left.transport.get_write_buffer_limits(), (Limits{.low = 5, .high = 10}));
  left.transport.write_eof();
  run_until([&right = right] { return right.count("eof_received") == 1; });
  expect_writes_refused(left.transport);
  left.transport.close();
  run_until([&left = left] { return left.lost(); });
  EXPECT_EQ(right.calls, calls("connection_made", "data_received:abc", "eof_received"));
  EXPECT_EQ(left.calls, calls("connection_made", "eof_received", "connection_lost"));
}

// Table 2, "flushing": writes are appended, limits hold, everything else does nothing.
TEST_P(EverySocket, TakesEveryCallWhileFlushing) {
  const CloggedPair pair = clogged_pair();
  const Transport transport = pair.left.transport;
  transport.close();
  transport.write("x");
  EXPECT_EQ(transport.get_write_buffer_size(), pair.base + 1);
  transport.write_eof();
  transport.close();
  transport.pause_reading();
  transport.resume_reading();
  EXPECT_TRUE(transport.is_closing());
  EXPECT_FALSE(transport.is_reading());
  EXPECT_NE(transport.get_protocol(), nullptr);
  EXPECT_THROW(transport.set_write_buffer_limits({.high = 1, .low = 2}), std::invalid_argument);
  transport.set_write_buffer_limits({.high = pair.base});
  EXPECT_EQ(pair.left.calls, calls("connection_made", "pause_writing"));
  transport.write("y");
  unclog(pair);
  run_until([&] { return pair.left.lost() && pair.right.lost(); });
  EXPECT_EQ(pair.right.received.substr(pair.written), "xy");
  EXPECT_EQ(pair.left.calls,
            calls("connection_made", "pause_writing", "resume_writing", "connection_lost"));
}

// Table 2, "flushing": abort() dooms it, and drops the queue.
TEST_P(EveryStream, AbortsWhileFlushing) {
  const CloggedPair pair = clogged_pair();
  pair.left.transport.close();
  pair.left.transport.abort();
  EXPECT_EQ(pair.left.transport.get_write_buffer_size(), 0U);
  run_until([&] { return pair.left.lost(); });
  EXPECT_EQ(pair.left.calls, calls("connection_made", "connection_lost"));
}

// Table 2, "write after write_eof": a wrong state in every state but the last.
TEST_P(EverySocket, RefusesWritesAfterWriteEofInEveryState) {
  const CloggedPair pair = clogged_pair();
  const Transport transport = pair.left.transport;
  bool refused_at_the_end = false;
  pair.left.on("connection_lost", [&] {
    expect_writes_refused(transport);
    refused_at_the_end = true;
  });
  transport.write_eof();
  expect_writes_refused(transport);
  transport.close();
  expect_writes_refused(transport);
  transport.abort();
  expect_writes_refused(transport);
  run_until([&] { return pair.left.protocols_alive == 0; });
  EXPECT_TRUE(refused_at_the_end);
  transport.write("nobody is left to mind");
  EXPECT_EQ(take_logs(), calls());
}

// Table 2, "doomed": nothing does anything any more; limits and the protocol are stored.
TEST_P(EverySocket, TakesEveryCallWhenDoomed) {
  auto [left, right] = connected_pair();
  const Transport transport = left.transport;
  transport.close();
  transport.write("x");
  transport.write_eof();
  transport.write("y");  // write_eof() did nothing
  transport.close();
  transport.abort(std::make_error_code(std::errc::timed_out));
  transport.pause_reading();
  transport.resume_reading();
  EXPECT_TRUE(transport.is_closing());
  EXPECT_FALSE(transport.is_reading());
  EXPECT_EQ(transport.get_write_buffer_size(), 0U);
  transport.set_write_buffer_limits({.high = 10, .low = 5});
  EXPECT_EQ(transport.get_write_buffer_limits(), (Limits{.low = 5, .high = 10}));
  EXPECT_NE(transport.get_protocol(), nullptr);
  run_until([&] { return left.lost() && right.lost(); });
  EXPECT_EQ(left.calls, calls("connection_made", "connection_lost"));
  EXPECT_EQ(right.calls, calls("connection_made", "eof_received", "connection_lost"));
}

// Table 2, "lost": the same inside connection_lost(), and no protocol is stored.
TEST_P(EverySocket, TakesEveryCallWhenLost) {
  auto [left, right] = connected_pair();
  Recorder& heir = new_recorder("heir");
  heir.adopted = true;
  bool asked = false;
  left.on("connection_lost", [&, &left = left] {
    const Transport transport = left.transport;
    transport.write("x");
    transport.write_eof();
    transport.write("y");
    transport.close();
    transport.abort();
    transport.pause_reading();
    transport.resume_reading();
    transport.set_write_buffer_limits({.high = 0});
    const auto before = transport.get_protocol();
    transport.set_protocol(heir.protocol());
    EXPECT_EQ(transport.get_protocol(), before);
    EXPECT_TRUE(transport.is_closing());
    EXPECT_FALSE(transport.is_reading());
    EXPECT_EQ(transport.get_write_buffer_size(), 0U);
    asked = true;
  });
  left.transport.close();
  run_until([&] { return left.protocols_alive == 0 && right.lost(); });
  settle();
  EXPECT_TRUE(asked);
  EXPECT_EQ(heir.protocols_alive, 0);
  EXPECT_EQ(heir.calls, calls());
  EXPECT_EQ(left.calls, calls("connection_made", "connection_lost"));
  EXPECT_EQ(right.calls, calls("connection_made", "eof_received", "connection_lost"));
}

// Table 4: what is thrown has the C++ type that says what kind of error it is, and a text.
TEST_P(EverySocket, ThrowsErrorsThatSayTheirKind) {
  auto [left, right] = connected_pair();
  right.keep_open = true;
  const auto text_of = [](const std::function<void()>& call) {
    try {
      call();
    } catch (const std::logic_error& error) {
      return std::string(error.what());
    }
    return std::string("nothing was thrown");
  };
  const Transport transport = left.transport;
  EXPECT_NE(text_of([&] { transport.set_write_buffer_limits({.high = 1, .low = 2}); }), "");
  EXPECT_NE(text_of([&] { transport.set_protocol(AnyProtocol()); }), "");
  transport.write_eof();
  EXPECT_EQ(text_of([&] { transport.write("x"); }), "Cannot call write() after write_eof()");
}

// C3: a reason says which it is: nothing, an error of the system, or an exception.
TEST(CloseReasonTest, SaysWhatItIs) {
  const CloseReason nothing;
  EXPECT_FALSE(nothing);
  EXPECT_FALSE(nothing.is_exception());
  EXPECT_EQ(nothing.exception(), nullptr);
  EXPECT_EQ(nothing.message(), "");

  const CloseReason system(std::error_code(ECONNRESET, std::system_category()));
  EXPECT_TRUE(system);
  EXPECT_FALSE(system.is_exception());
  EXPECT_EQ(system.code().value(), ECONNRESET);
  EXPECT_EQ(system.code(), std::errc::connection_reset);
  EXPECT_NE(system.message(), "");
  EXPECT_THROW(std::rethrow_exception(system.exception()), std::system_error);

  const CloseReason exception(std::make_exception_ptr(std::runtime_error("boom")));
  EXPECT_TRUE(exception);
  EXPECT_TRUE(exception.is_exception());
  EXPECT_FALSE(exception.code());
  EXPECT_EQ(exception.message(), "boom");
  EXPECT_THROW(std::rethrow_exception(exception.exception()), std::runtime_error);

  const auto code = std::make_error_code(std::errc::timed_out);
  const CloseReason both(std::make_exception_ptr(std::system_error(code)));
  EXPECT_TRUE(both.is_exception());
  EXPECT_EQ(both.code(), code);

  EXPECT_FALSE(CloseReason(std::error_code()));
  EXPECT_FALSE(CloseReason(std::exception_ptr()));
}

}  // namespace weir::test
