#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "pipe_maker.h"
#include "recorded_test.h"

namespace weir::test {

/// A pipe with a transport at each end.
struct PipePair {
  Recorder& reader;
  Recorder& writer;
};

/// A pipe whose reader has paused, and which is full: what its writer writes is queued. The writer's
/// limits are so high that it is not paused.
struct CloggedPipe {
  Recorder& reader;
  Recorder& writer;
  std::size_t base;     ///< how many bytes are queued
  std::size_t written;  ///< how many bytes were written in all
};

/// A test with pipes.
class PipeTest : public RecordedTest {
 protected:
  /// Makes the loop; a subclass calls it from its SetUp().
  void open_pipes(const PipeMaker& maker);

  const PipeMaker& maker() const { return maker_; }
  bool buffered() const { return maker().protocol == ProtocolKind::buffered; }

  /// Diaries for the ends, to prepare before connecting.
  Recorder& new_reader(std::string name = "reader") {
    return new_recorder(maker().protocol, std::move(name));
  }
  Recorder& new_writer(std::string name = "writer") {
    return new_recorder(ProtocolKind::stream, std::move(name));
  }

  PipeEnds make_ends() { return maker().make(loop()); }
  /// Makes a transport of `pipe` for a protocol that tells the recorder, and waits for it.
  void connect_reader(Recorder& reader, int pipe);
  void connect_writer(Recorder& writer, int pipe);
  PipePair connect(Recorder& reader, Recorder& writer);
  /// A pipe with fresh recorders.
  PipePair connected_pipe() { return connect(new_reader(), new_writer()); }

  /// See CloggedPipe; prepared ends may be given.
  CloggedPipe clogged_pipe() { return clog(connected_pipe()); }
  CloggedPipe clog(PipePair pair);
  /// Lets the reader read, and everything flow.
  void unclog(const CloggedPipe& pipe) { pipe.reader.transport.resume_reading(); }

  /// Drives the loop until whatever was under way has arrived: messages that set out later, in a
  /// pipe of their own, have arrived one after the other.
  void settle();

 private:
  PipeMaker maker_;
  Recorder* witness_reader_ = nullptr;
  Recorder* witness_writer_ = nullptr;
};

/// A test of one rule that runs over every pipe: TEST_P(EveryPipe, …).
class EveryPipe : public PipeTest, public ::testing::WithParamInterface<PipeMaker> {
 protected:
  void SetUp() override { open_pipes(GetParam()); }
};

/// The same over those whose ends are descriptors.
class EveryDescriptorPipe : public EveryPipe {};

inline std::string pipe_name(const ::testing::TestParamInfo<PipeMaker>& test) {
  return test.param.name();
}

}  // namespace weir::test
