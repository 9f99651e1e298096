#pragma once

#include <gtest/gtest.h>
#include <weir/weir.h>

#include <array>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "calls.h"
#include "loop_support.h"
#include "loop_test.h"

namespace weir::test {

/// The diary of one process. Each callback is noted in `calls`: "connection_made", "1:hello",
/// "0:lost", "exited:0", "pause_writing", "connection_lost". Adjacent data of one pipe is merged, and
/// more than 64 bytes are noted by their number.
class SubprocessRecorder {
 public:
  using Action = std::function<void()>;

  /// A new protocol that tells this recorder.
  std::shared_ptr<SubprocessProtocol> protocol();
  auto factory() {
    return [this] { return protocol(); };
  }

  /// Runs `action` each time `callback` ("connection_made", "process_exited", "pipe_data_received", ...)
  /// has been noted.
  void on(std::string callback, Action action) {
    actions_[std::move(callback)] = std::move(action);
  }

  /// The calls in an order that does not depend on how the process and its pipes raced: what comes
  /// between the first and the last is ordered by where it comes from: 0, 1, 2, exit, flow. [P8]
  Calls story() const;
  bool has(std::string_view call) const;
  bool lost() const { return has("connection_lost"); }
  /// The pipe has ended.
  bool lost(int fd) const { return has(std::to_string(fd) + ":lost"); }
  bool exited() const { return returncode.has_value(); }

  Calls calls;
  SubprocessTransport transport;
  std::array<std::string, 3> received;
  std::array<CloseReason, 3> reasons;  ///< why each pipe ended
  std::optional<int> returncode;       ///< as process_exited() found it

  static inline int alive = 0;  ///< protocols in the process

 private:
  class Telling;

  void note(const std::string& call, const std::string& callback);
  void note_data(int fd, std::string_view data);

  std::map<std::string, Action> actions_;
  int run_of_data_ = -1;  ///< the pipe whose data is the last entry, -1 if it is none
  std::size_t run_size_ = 0;
};

/// True while this process has a child, a zombie included.
bool has_children();

/// True while there is a process with that number, other than a zombie.
bool is_running(int pid);

/// The text of a file.
std::string text_of(const std::string& path);

/// A test with processes. At its end no child may be left.
class SubprocessTest : public LoopTest, public ::testing::WithParamInterface<BackendKind> {
 protected:
  void SetUp() override { open_loop(loop_options(GetParam())); }
  void TearDown() override;

  SubprocessRecorder& new_recorder() { return recorders_.emplace_back(); }

  /// A process that runs.
  SubprocessRecorder& start(std::vector<std::string> arguments, SubprocessOptions options = {});
  /// A shell that runs `script`.
  SubprocessRecorder& start_shell(std::string script, SubprocessOptions options = {});
  /// The same, until everything has ended. stdin ends at once.
  SubprocessRecorder& run(std::vector<std::string> arguments, SubprocessOptions options = {});
  SubprocessRecorder& run_shell(std::string script, SubprocessOptions options = {});
  /// How starting ends that fails; see outcome().
  std::string failure(std::vector<std::string> arguments, SubprocessOptions options = {});
  /// The text of that failure.
  std::string failure_text(std::vector<std::string> arguments, SubprocessOptions options = {});

  Transport pipe(const SubprocessRecorder& process, int fd) {
    return process.transport.get_pipe_transport(fd).value();
  }
  void finish(const SubprocessRecorder& process) {
    run_until([&] { return process.lost(); });
  }

  /// A directory of the test's own.
  const std::string& directory();

 private:
  std::deque<SubprocessRecorder> recorders_;
  std::string directory_;
};

}  // namespace weir::test
