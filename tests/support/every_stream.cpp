#include "every_stream.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>

namespace weir::test {
namespace {

/// The descriptor under `transport`; -1 if there is none.
int descriptor_of(const Transport& transport) {
  return transport.get_extra_info<SocketView>("socket").value_or(SocketView()).descriptor;
}

void shrink_buffer(const Transport& transport, int option) {
  const int size = 64 * 1024;
  const int descriptor = descriptor_of(transport);
  if (descriptor >= 0) setsockopt(descriptor, SOL_SOCKET, option, &size, sizeof size);
}

/// Whether the kernel has sent all that the peer has room for. TCP goes on in the background, acknowledging after 40 ms
/// if at all it need not: until then more may be taken from us.
bool sends_nothing_more(const Transport& transport) {
  const int descriptor = descriptor_of(transport);
  int unsent = 0;
  int unacknowledged = 0;
  if (descriptor < 0 || ioctl(descriptor, SIOCOUTQNSD, &unsent) != 0 ||
      ioctl(descriptor, SIOCOUTQ, &unacknowledged) != 0) {
    return true;  // no TCP
  }
  return unsent > 0 && unacknowledged == unsent;
}

}  // namespace

void StreamTest::open_streams(const StreamMaker& maker) {
  maker_ = maker;
  open_loop(maker.loop_options());
}

Pair StreamTest::connect(Recorder& left, Recorder& right) {
  with_protocols([&](auto protocol_of) { connect_with(protocol_of(left), protocol_of(right)); });
  run_until([&] { return left.made() && right.made(); });
  return {left, right};
}

CloggedPair StreamTest::clog(Pair pair) {
  const Transport from = pair.left.transport;
  pair.right.transport.pause_reading();
  shrink_buffer(from, SO_SNDBUF);
  shrink_buffer(pair.right.transport, SO_RCVBUF);
  from.set_write_buffer_limits({.high = std::size_t{1} << 30U});
  const std::string chunk = pattern(16 * KiB);
  std::size_t written = 0;
  for (bool flows = true; flows;) {
    while (from.get_write_buffer_size() < 128 * KiB) {
      from.write(chunk);
      written += chunk.size();
    }
    const std::size_t queued = from.get_write_buffer_size();
    const bool may_flow = !sends_nothing_more(from);
    settle();
    flows = may_flow || queued != from.get_write_buffer_size();
  }
  return {pair.left, pair.right, from.get_write_buffer_size(), written};
}

void StreamTest::settle() {
  if (witness_left_ == nullptr) {
    witness_left_ = &new_recorder("left witness");
    witness_right_ = &new_recorder("right witness");
    connect(*witness_left_, *witness_right_);
  }
  for (int round = 0; round < 12; ++round) {
    for (const auto& [from, to] :
         {std::pair(witness_left_, witness_right_), std::pair(witness_right_, witness_left_)}) {
      const std::size_t before = to->received.size();
      from->transport.write(".");
      run_until([&] { return to->received.size() > before; });
    }
  }
}

std::string StreamTest::fatal_error(const std::string& callback,
                                    const std::string& exception) const {
  const std::string over_tls =
      callback == "eof_received" ? "Error calling eof_received()" : "Fatal error on SSL protocol";
  const std::string message = "Fatal error: protocol." + callback + "() call failed.";
  return (maker().is_tls() ? over_tls : message) + " [" + exception + ']';
}

void StreamTest::reset(Recorder& end, Recorder& other) {
  end.transport.pause_reading();
  if (maker().is_tls()) {
    // So much that what is below is paused, too, and does not read it all.
    end.transport.set_read_buffer_limits({.high = 0});
    other.transport.write(pattern(512 * KiB));
  }
  other.transport.write("!");
  settle();
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  const int descriptor = descriptor_of(end.transport);
  if (descriptor >= 0) setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  end.transport.abort();
}

}  // namespace weir::test
