#include "recorded_test.h"

#include <utility>

namespace weir::test {
namespace {

void end(const Transport& transport) {
  try {
    transport.abort();
  } catch (const UnsupportedOperationError&) {
    transport.close();  // a read pipe has no abort()
  }
}

}  // namespace

Recorder& RecordedTest::new_recorder(ProtocolKind kind, std::string name) {
  return recorders_.emplace_back(loop(), kind, std::move(name));
}

void RecordedTest::hand_over(Recorder& from, Recorder& to, ProtocolKind kind) {
  to.adopted = true;
  to.transport = from.transport;
  from.handed_over = true;
  from.transport.set_protocol(to.protocol(kind));
}

void RecordedTest::end_connections() {
  for (Recorder& recorder : recorders_) {
    recorder.forget_actions();
    end(recorder.transport);
  }
  run_until([&] { return RecordingProtocol::alive == 0; });
  for (const Recorder& recorder : recorders_) {
    EXPECT_TRUE(recorder.lost() || recorder.handed_over || !recorder.made()) << "never lost [B2]";
  }
}

void RecordedTest::TearDown() {
  // A test that failed half way has left callbacks that look at variables of its own: not run again.
  if (!HasFailure() && has_loop() && !loop().is_closed()) end_connections();
  for (const Recorder& recorder : recorders_) EXPECT_EQ(recorder.violations, Calls());
  LoopTest::TearDown();
}

}  // namespace weir::test
