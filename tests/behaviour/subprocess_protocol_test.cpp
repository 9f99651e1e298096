// Chapter 7 and table 1: protocols of processes: of any type, replaced, and throwing.

#include <gtest/gtest.h>
#include <weir/weir.h>

#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "subprocess_support.h"

namespace weir::test {
namespace {

class SubprocessProtocols : public SubprocessTest {};

/// Has what it needs, and inherits nothing.
struct Collector {
  std::string output;
  bool exited = false;

  void pipe_data_received(int fd, std::span<const std::byte> data) {
    if (fd == 1) output.append(reinterpret_cast<const char*>(data.data()), data.size());
  }
  void process_exited() { exited = true; }
};

/// Has nothing at all.
struct Indifferent {};

// B15: a protocol is any object: it has what callbacks it likes, and the future gives it back.
TEST_P(SubprocessProtocols, AnyObject) {
  auto [transport, collector] =
      run_until_done(subprocess_exec<Collector>(loop(), {"echo", "hello"}));
  run_until([&, transport = transport] { return transport.get_protocol() == nullptr; });
  EXPECT_EQ(collector->output, "hello\n");
  EXPECT_TRUE(collector->exited);
  EXPECT_EQ(transport.get_returncode(), 0);

  auto indifferent = run_until_done(subprocess_shell<Indifferent>(loop(), "exit 3"));
  run_until([&] { return indifferent.transport.get_protocol() == nullptr; });
  EXPECT_EQ(indifferent.transport.get_returncode(), 3);
}

// B15: factories may return objects and pointers of either kind.
TEST_P(SubprocessProtocols, FactoriesOfEachKind) {
  const auto by_value =
      run_until_done(subprocess_exec(loop(), [] { return Collector(); }, {"cat"}));
  const auto unique = run_until_done(
      subprocess_exec(loop(), [] { return std::make_unique<SubprocessProtocol>(); }, {"cat"}));
  by_value.transport.close();
  unique.transport.close();
  run_until([&] {
    return by_value.transport.get_protocol() == nullptr &&
           unique.transport.get_protocol() == nullptr;
  });
  EXPECT_TRUE(by_value.protocol->exited);
}

// B12: set_protocol() takes effect at once; the old one hears nothing more.
TEST_P(SubprocessProtocols, Replaced) {
  auto& first = start({"cat"});
  SubprocessRecorder& second = new_recorder();
  second.transport = first.transport;
  first.transport.set_protocol(second.protocol());
  EXPECT_THROW(first.transport.set_protocol(nullptr), std::invalid_argument);
  pipe(first, 0).write("for the second");
  pipe(first, 0).close();
  finish(second);
  EXPECT_EQ(first.calls, calls("connection_made"));
  EXPECT_EQ(second.received[1], "for the second");
  EXPECT_EQ(second.returncode, 0);
  EXPECT_EQ(second.calls.back(), "connection_lost");
}

// B12: also from inside a callback, whose protocol is not destroyed under its feet.
TEST_P(SubprocessProtocols, ReplacedByItself) {
  auto& first = new_recorder();
  SubprocessRecorder& second = new_recorder();
  first.on("pipe_data_received", [&] {
    second.transport = first.transport;
    first.transport.set_protocol(second.protocol());
  });
  run_until_done(subprocess_exec(loop(), first.factory(), {"cat"}));
  pipe(first, 0).write("x");
  run_until([&] { return first.received[1] == "x"; });
  pipe(first, 0).write("y");
  pipe(first, 0).close();
  finish(second);
  EXPECT_EQ(first.calls, calls("connection_made", "1:x"));
  EXPECT_EQ(second.received[1], "y");
}

// Table 1: what callbacks throw is reported, with the process, and everything goes on.
TEST_P(SubprocessProtocols, Throwing) {
  std::vector<int> processes;
  loop().set_exception_handler([&](EventLoop&, const ExceptionContext& context) {
    ASSERT_TRUE(context.subprocess_transport);
    ASSERT_TRUE(context.protocol);
    processes.push_back(context.subprocess_transport->get_pid());
  });
  SubprocessRecorder& process = new_recorder();
  for (const char* callback : {"connection_made", "pipe_data_received", "pipe_connection_lost",
                               "process_exited", "connection_lost"}) {
    process.on(callback, [] { throw TestError(); });
  }
  const auto started =
      run_until_done(subprocess_shell(loop(), process.factory(), "read x; echo x"));
  started.transport.get_pipe_transport(0)->write("\n");
  finish(process);
  EXPECT_EQ(process.story(), calls("connection_made", "0:lost", "1:x\n", "1:lost", "2:lost",
                                   "exited:0", "connection_lost"));
  EXPECT_EQ(processes, std::vector<int>(7, process.transport.get_pid()));
}

// Table 1, L20: what is reported says which callback it was.
TEST_P(SubprocessProtocols, TheReportNamesTheCallback) {
  SubprocessRecorder& process = new_recorder();
  process.on("process_exited", [] { throw TestError(); });
  run_until_done(subprocess_exec(loop(), process.factory(), {"true"}));
  finish(process);
  const auto reports = take_whole_reports();
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0].message, "Exception in callback process_exited()");
}

// F16: pause_writing() that throws is reported, and the write goes on.
TEST_P(SubprocessProtocols, ThrowingWhenPaused) {
  auto& process = start_shell("read line; cat");
  process.on("pause_writing", [] { throw TestError(); });
  pipe(process, 0).write("\n" + std::string(MiB, 'x'));
  EXPECT_EQ(take_reports(), calls("protocol.pause_writing() failed [test error]"));
  pipe(process, 0).close();
  finish(process);
  EXPECT_EQ(process.received[1].size(), MiB);
}

// C10: what is fatal leaves the run call; the process is still looked after.
TEST_P(SubprocessProtocols, FatalExceptions) {
  loop().set_fatal_exception_predicate([](const std::exception_ptr&) { return true; });
  SubprocessRecorder& process = new_recorder();
  process.on("process_exited", [] { throw TestError(); });
  const auto future = subprocess_exec(loop(), process.factory(), {"true"});
  EXPECT_THROW(run_until([&] { return process.lost(); }), TestError);
  EXPECT_TRUE(process.exited());
  finish(process);
}

// A pipe's own protocol may be replaced; what is kept of the old one is harmless later.
TEST_P(SubprocessProtocols, ThePipesOwnProtocols) {
  auto& process = start({"cat"});
  const auto kept = pipe(process, 1).get_protocol();
  process.transport.close();
  finish(process);
  kept->pause_writing();
  kept->connection_lost({});
  std::dynamic_pointer_cast<Protocol>(kept)->data_received(as_bytes("x"));
  EXPECT_EQ(process.received[1], "");
}

INSTANTIATE_TEST_SUITE_P(Behaviour, SubprocessProtocols,
                         ::testing::ValuesIn(backends_with_descriptors(true)), backend_name);

}  // namespace
}  // namespace weir::test
