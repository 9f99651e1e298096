#include "every_pipe.h"

#include "calls.h"

namespace weir::test {

void PipeTest::open_pipes(const PipeMaker& maker) {
  maker_ = maker;
  open_loop(loop_options(maker.backend));
}

void PipeTest::connect_reader(Recorder& reader, int pipe) {
  with_protocols(reader.kind, [&](auto protocol_of) {
    run_until_done(connect_read_pipe(loop(), protocol_of(reader), pipe));
  });
}

void PipeTest::connect_writer(Recorder& writer, int pipe) {
  with_protocols(writer.kind, [&](auto protocol_of) {
    run_until_done(connect_write_pipe(loop(), protocol_of(writer), pipe));
  });
}

PipePair PipeTest::connect(Recorder& reader, Recorder& writer) {
  const PipeEnds ends = make_ends();
  connect_reader(reader, ends.read_end);
  connect_writer(writer, ends.write_end);
  return {reader, writer};
}

CloggedPipe PipeTest::clog(PipePair pair) {
  const Transport to = pair.writer.transport;
  pair.reader.transport.pause_reading();
  to.set_write_buffer_limits({.high = std::size_t{1} << 30U});
  const std::string chunk = pattern(16 * KiB);
  std::size_t written = 0;
  for (std::size_t queued = 0; queued == 0 || queued != to.get_write_buffer_size();) {
    while (to.get_write_buffer_size() < 128 * KiB) {
      to.write(chunk);
      written += chunk.size();
    }
    queued = to.get_write_buffer_size();
    settle();
  }
  return {pair.reader, pair.writer, to.get_write_buffer_size(), written};
}

void PipeTest::settle() {
  if (witness_reader_ == nullptr) {
    witness_reader_ = &new_reader("reading witness");
    witness_writer_ = &new_writer("writing witness");
    connect(*witness_reader_, *witness_writer_);
  }
  for (int round = 0; round < 12; ++round) {
    const std::size_t before = witness_reader_->received.size();
    witness_writer_->transport.write(".");
    run_until([&] { return witness_reader_->received.size() > before; });
  }
}

}  // namespace weir::test
