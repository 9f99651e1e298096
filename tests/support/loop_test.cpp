#include "loop_test.h"

namespace weir::test {

void LoopTest::open_loop(const LoopOptions& options) {
  descriptors_before_ = open_descriptors();
  logs_.emplace();
  loop_ = std::make_unique<EventLoop>(options);
  loop_->set_debug(false);  // its extra records are for the tests that turn it on
  reports_.emplace(*loop_);
}

void LoopTest::TearDown() {
  if (!logs_) return;
  if (loop_ != nullptr) loop_->close();
  loop_.reset();
  EXPECT_EQ(RecordingProtocol::alive, 0) << "protocols outlive their loop";
  EXPECT_LE(settled_descriptors(descriptors_before_), descriptors_before_)
      << "descriptors are left open";
  EXPECT_EQ(take_reports(), Calls()) << "reports nobody expected";
  EXPECT_EQ(take_logs(), Calls()) << "log records nobody expected";
  reports_.reset();
  logs_.reset();
}

}  // namespace weir::test
