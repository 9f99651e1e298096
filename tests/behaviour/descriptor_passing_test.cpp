// Descriptors that are passed over Unix sockets: write_with_descriptors() and take_descriptors().

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>
#include <weir/weir.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "descriptor_support.h"
#include "every_stream.h"
#include "loop_support.h"

namespace weir::test {
namespace {

using OwnDescriptor = weir::Descriptor;

/// The makers of one kind of stream, over backends that have descriptors, or over those that have none.
std::vector<StreamMaker> makers_of(StreamKind kind, bool with_descriptors) {
  std::vector<StreamMaker> makers;
  const std::vector<BackendKind> wanted = backends_with_descriptors(with_descriptors);
  for (const StreamMaker& maker : socket_makers()) {
    if (maker.kind != kind || std::ranges::find(wanted, maker.backend) == wanted.end()) continue;
    makers.push_back(maker);
  }
  return makers;
}

/// An anonymous file that tells one descriptor from another by what is in it.
Descriptor file_with(const std::string& text) {
  Descriptor file(::memfd_create("passed", MFD_CLOEXEC));
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    throw std::runtime_error("no file");
  }
  return file;
}

std::string contents(const OwnDescriptor& file) {
  std::string text(100, '\0');
  const ssize_t size = ::pread(file.get(), text.data(), text.size(), 0);
  return text.substr(0, size > 0 ? static_cast<std::size_t>(size) : 0);
}

class DescriptorPassing : public EveryStream {
 protected:
  /// A pair whose right end notes what arrives.
  Pair passing_pair() {
    Recorder& right = new_recorder("right");
    right.on("data_received", [this, &right] { take(right); });
    const Pair pair = connect(new_recorder("left"), right);
    right.transport.receive_descriptors(true);
    return pair;
  }
  void take(Recorder& right) {
    for (const OwnDescriptor& file : right.transport.take_descriptors()) {
      EXPECT_NE(::fcntl(file.get(), F_GETFD) & FD_CLOEXEC, 0);
      arrived.push_back(contents(file));
      came_with.push_back({received_before_, right.received.size()});
    }
    received_before_ = right.received.size();
  }
  static void pass(const Recorder& left, const std::string& data, std::vector<std::string> texts) {
    std::vector<Descriptor> files;
    std::vector<int> numbers;
    for (const std::string& text : texts) {
      files.push_back(file_with(text));
      numbers.push_back(files.back().get());
    }
    left.transport.write_with_descriptors(as_bytes(data), numbers);
  }

  Calls arrived;
  /// For each, which bytes its callback brought: from, to.
  std::vector<std::pair<std::size_t, std::size_t>> came_with;

 private:
  std::size_t received_before_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Behaviour, DescriptorPassing,
                         ::testing::ValuesIn(makers_of(StreamKind::unix_socket, true)), maker_name);

/// Streams that pass nothing.
class NoDescriptorPassing : public EveryStream {};

INSTANTIATE_TEST_SUITE_P(Behaviour, NoDescriptorPassing,
                         ::testing::ValuesIn(makers_of(StreamKind::tcp, true)), maker_name);
INSTANTIATE_TEST_SUITE_P(Simulated, NoDescriptorPassing,
                         ::testing::ValuesIn(makers_of(StreamKind::tcp, false)), maker_name);

/// Unix sockets without descriptors to pass.
class SimulatedPassing : public EveryStream {};

INSTANTIATE_TEST_SUITE_P(Behaviour, SimulatedPassing,
                         ::testing::ValuesIn(makers_of(StreamKind::unix_socket, false)),
                         maker_name);

}  // namespace

// What is passed arrives in order, with its bytes; the sender's own stay open, and his.
TEST_P(DescriptorPassing, PassesDescriptorsInOrder) {
  auto [left, right] = passing_pair();
  const Descriptor one = file_with("one");
  const Descriptor two = file_with("two");
  const std::array numbers{one.get(), two.get(), one.get()};
  left.transport.write_with_descriptors(as_bytes("hello"), numbers);
  run_until([&, &right = right] { return right.received == "hello"; });
  EXPECT_EQ(arrived, calls("one", "two", "one"));
  EXPECT_TRUE(is_open(one.get()));
  EXPECT_TRUE(is_open(two.get()));
}

// Several writes keep what belongs to each: it arrives no later than the first byte it was written with.
TEST_P(DescriptorPassing, KeepsSeveralWritesApart) {
  auto [left, right] = passing_pair();
  left.transport.write("plain ");
  pass(left, "first ", {"1"});
  left.transport.write("plain ");
  pass(left, "second ", {"2a", "2b"});
  pass(left, "third", {"3"});
  run_until([&right = right] { return right.received == "plain first plain second third"; });
  EXPECT_EQ(arrived, calls("1", "2a", "2b", "3"));
}

// Queued behind a clogged peer they wait for their byte, whatever is written around them.
TEST_P(DescriptorPassing, PassesWhatWasQueued) {
  Recorder& right = new_recorder("right");
  right.on("data_received", [this, &right] { take(right); });
  const CloggedPair pair = clog(connect(new_recorder("left"), right));
  right.transport.receive_descriptors(true);
  std::vector<std::size_t> positions;
  std::size_t written = pair.written;
  for (int batch = 0; batch < 20; ++batch) {
    positions.push_back(written);
    pass(pair.left, pattern(1000), {std::to_string(batch)});
    pair.left.transport.write(pattern(3000));
    written += 4000;
  }
  unclog(pair);
  run_until([&] { return right.received.size() == written; });
  ASSERT_EQ(arrived.size(), 20U);
  for (std::size_t batch = 0; batch < 20; ++batch) {
    EXPECT_EQ(arrived[batch], std::to_string(batch));
    const auto [from, to] = came_with[batch];
    EXPECT_LE(from, positions[batch]);
    EXPECT_GT(to, positions[batch]);
  }
}

// A write that the kernel takes in part passes its descriptors once.
TEST_P(DescriptorPassing, PassesThemOnceThoughTheWriteIsCut) {
  auto [left, right] = passing_pair();
  right.transport.pause_reading();
  const std::string large = pattern(2 * MiB);
  pass(left, large, {"once"});
  EXPECT_GT(left.transport.get_write_buffer_size(), 0U);
  pass(left, "behind", {"behind"});
  right.transport.resume_reading();
  run_until([&, &right = right] { return right.received.size() == large.size() + 6; });
  EXPECT_EQ(arrived, calls("once", "behind"));
  EXPECT_TRUE(right.received == large + "behind");
}

// close() sends what is queued, descriptors included.
TEST_P(DescriptorPassing, PassesThemBeforeItCloses) {
  Recorder& right = new_recorder("right");
  right.on("data_received", [this, &right] { take(right); });
  const CloggedPair pair = clog(connect(new_recorder("left"), right));
  right.transport.receive_descriptors(true);
  pass(pair.left, "the end", {"last"});
  pair.left.transport.close();
  unclog(pair);
  run_until([&] { return right.lost(); });
  EXPECT_EQ(arrived, calls("last"));
}

// What is not taken when its callback returns is closed, and so is what arrives unasked.
TEST_P(DescriptorPassing, ClosesWhatIsNotTaken) {
  auto [left, right] = connected_pair();
  pass(left, "unasked", {"a"});
  run_until([&right = right] { return right.received == "unasked"; });
  const std::size_t open = open_descriptors();
  right.transport.receive_descriptors(true);
  pass(left, " untaken", {"b", "c"});
  run_until([&right = right] { return right.received == "unasked untaken"; });
  EXPECT_TRUE(right.transport.take_descriptors().empty());
  EXPECT_EQ(open_descriptors(), open);
  right.transport.receive_descriptors(false);
  pass(left, " unwanted", {"d"});
  run_until([&right = right] { return right.received == "unasked untaken unwanted"; });
  EXPECT_EQ(open_descriptors(), open);
}

// What was taken is the user's, also when the connection is over.
TEST_P(DescriptorPassing, GivesThemAway) {
  std::vector<OwnDescriptor> taken;
  Recorder& right = new_recorder("right");
  right.on("data_received", [&] { taken = right.transport.take_descriptors(); });
  Recorder& left = new_recorder("left");
  connect(left, right);
  right.transport.receive_descriptors(true);
  pass(left, "hello", {"kept"});
  run_until([&] { return !taken.empty(); });
  EXPECT_TRUE(right.transport.take_descriptors().empty());
  left.transport.abort();
  run_until([&] { return right.lost(); });
  ASSERT_EQ(taken.size(), 1U);
  EXPECT_EQ(contents(taken[0]), "kept");
}

// What is dropped with the connection is closed, and so is what comes too late.
TEST_P(DescriptorPassing, ClosesWhatItDrops) {
  const CloggedPair pair = clogged_pair();
  const std::size_t open = open_descriptors();
  for (int i = 0; i < 10; ++i) pass(pair.left, "never sent", {"x", "y"});
  EXPECT_EQ(open_descriptors(), open + 20);
  pair.left.transport.abort();
  EXPECT_EQ(open_descriptors(), open);
  pass(pair.left, "too late", {"z"});
  EXPECT_EQ(open_descriptors(), open);
}

// As many as one message can carry.
TEST_P(DescriptorPassing, PassesAsManyAsFit) {
  auto [left, right] = passing_pair();
  const Descriptor file = file_with("f");
  const std::vector<int> most(253, file.get());
  left.transport.write_with_descriptors(as_bytes("x"), most);
  run_until([&right = right] { return right.received == "x"; });
  EXPECT_EQ(arrived.size(), 253U);
  const std::vector<int> too_many(254, file.get());
  try {
    left.transport.write_with_descriptors(as_bytes("x"), too_many);
    ADD_FAILURE() << "254 are taken";
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "254 descriptors are too many for one write: at most 253");
  }
}

// Without data there is nothing for them to go along with; without descriptors it is a write().
TEST_P(DescriptorPassing, NeedsDataForThem) {
  auto [left, right] = passing_pair();
  const std::array numbers{STDIN_FILENO};
  EXPECT_THROW(left.transport.write_with_descriptors({}, numbers), std::invalid_argument);
  left.transport.write_with_descriptors(as_bytes("plain"), {});
  run_until([&right = right] { return right.received == "plain"; });
  EXPECT_EQ(arrived, Calls());
}

// A descriptor that is not open is an error, which sends nothing and leaks nothing.
TEST_P(DescriptorPassing, RefusesAClosedDescriptor) {
  auto [left, right] = passing_pair();
  Descriptor file = file_with("x");
  const int closed = ::fcntl(file.get(), F_DUPFD_CLOEXEC, 0);
  ::close(closed);
  const std::array numbers{file.get(), closed};
  const std::size_t open = open_descriptors();
  try {
    left.transport.write_with_descriptors(as_bytes("never sent"), numbers);
    ADD_FAILURE() << "it is taken";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::bad_file_descriptor);
    EXPECT_NE(std::string(error.what()).find(std::to_string(closed)), std::string::npos);
  }
  EXPECT_EQ(open_descriptors(), open);
  left.transport.write("sent");
  run_until([&right = right] { return right.received == "sent"; });
}

// A half-closed or closed connection takes none, as write() has it.
TEST_P(DescriptorPassing, FollowsTheRulesOfWriting) {
  auto [left, right] = passing_pair();
  const std::array numbers{STDIN_FILENO};
  left.transport.write_eof();
  EXPECT_THROW(left.transport.write_with_descriptors(as_bytes("x"), numbers), WrongStateError);
  left.transport.close();
  run_until([&left = left] { return left.lost(); });
  left.transport.write_with_descriptors(as_bytes("x"), numbers);
  left.transport.receive_descriptors(true);
  EXPECT_TRUE(left.transport.take_descriptors().empty());
  run_until([&right = right] { return right.lost(); });
  EXPECT_EQ(right.received, "");
}

// A connected socket can be passed and used at the other end.
TEST_P(DescriptorPassing, PassesALiveSocket) {
  SocketPair sockets;
  std::vector<OwnDescriptor> taken;
  Recorder& right = new_recorder("right");
  right.on("data_received", [&] { taken = right.transport.take_descriptors(); });
  Recorder& left = new_recorder("left");
  connect(left, right);
  right.transport.receive_descriptors(true);
  const std::array numbers{sockets.a()};
  left.transport.write_with_descriptors(as_bytes("x"), numbers);
  sockets.close_a();
  run_until([&] { return !taken.empty(); });
  send(taken.at(0).get(), "hello");
  EXPECT_EQ(receive(sockets.b()), "hello");
}

// Other streams than Unix sockets pass nothing, and say so.
TEST_P(NoDescriptorPassing, IsUnsupported) {
  auto [left, right] = connected_pair();
  const std::array numbers{STDIN_FILENO};
  EXPECT_THROW(left.transport.write_with_descriptors(as_bytes("x"), numbers),
               UnsupportedOperationError);
  EXPECT_THROW(left.transport.receive_descriptors(true), UnsupportedOperationError);
  EXPECT_THROW(static_cast<void>(left.transport.take_descriptors()), UnsupportedOperationError);
  left.transport.write("x");
  run_until([&right = right] { return right.received == "x"; });
}

// There are no descriptors in a simulation.
TEST_P(SimulatedPassing, HasNothingToPass) {
  auto [left, right] = connected_pair();
  const std::array numbers{STDIN_FILENO};
  EXPECT_THROW(left.transport.write_with_descriptors(as_bytes("x"), numbers), std::system_error);
  right.transport.receive_descriptors(true);
  left.transport.write_with_descriptors(as_bytes("x"), {});
  run_until([&right = right] { return right.received == "x"; });
  EXPECT_TRUE(right.transport.take_descriptors().empty());
}

}  // namespace weir::test
