#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <string>

#include "loop_test.h"

namespace weir::test {

/// A test whose protocols keep diaries. At its end each connection still open is ended, and each
/// protocol must have seen a legal order of callbacks: one connection_made(), in the end one
/// connection_lost().
class RecordedTest : public LoopTest {
 protected:
  void TearDown() override;

  /// A diary for one end, to prepare before connecting.
  Recorder& new_recorder(ProtocolKind kind, std::string name);

  /// Calls `use(protocol_of)`, where protocol_of(recorder) is a factory, as openers take it, of
  /// protocols of `kind`.
  template <class Use>
  static void with_protocols(ProtocolKind kind, Use use) {
    if (kind == ProtocolKind::buffered) {
      use([](Recorder& recorder) {
        return [&recorder] { return std::make_shared<RecordingBufferedProtocol>(recorder); };
      });
    } else {
      use([](Recorder& recorder) {
        return [&recorder] { return std::make_shared<RecordingProtocol>(recorder); };
      });
    }
  }

  /// Hands the transport of `from` over to `to`, with set_protocol().
  void hand_over(Recorder& from, Recorder& to) { hand_over(from, to, to.kind); }
  void hand_over(Recorder& from, Recorder& to, ProtocolKind kind);

 private:
  void end_connections();

  std::deque<Recorder> recorders_;
};

}  // namespace weir::test
