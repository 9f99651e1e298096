#pragma once

#include <gtest/gtest.h>
#include <weir/weir.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <utility>

#include "calls.h"
#include "capture.h"
#include "recorder.h"
#include "run_until.h"
#include "stream_maker.h"

namespace weir::test {

/// A test with an event loop. At its end nothing may be left: no protocol, no descriptor, no report
/// to the exception handler and no log record that the test has not taken.
class LoopTest : public ::testing::Test {
 protected:
  /// Makes the loop. A subclass that wants other options calls it from its SetUp().
  void open_loop(const LoopOptions& options);
  void TearDown() override;

  EventLoop& loop() { return *loop_; }
  bool has_loop() const { return loop_ != nullptr; }
  /// Destroys the loop, as a test that looks at what comes after it does.
  void destroy_loop() { loop_.reset(); }

  void run_until(const std::function<bool()>& condition,
                 std::source_location where = std::source_location::current()) {
    test::run_until(loop(), condition, where);
  }
  template <class T>
  T run_until_done(Future<T> future, std::source_location where = std::source_location::current()) {
    return test::run_until_done(loop(), std::move(future), where);
  }
  /// Drives the loop through `count` iterations without waiting.
  void iterate(int count) {
    for (int i = 0; i < count; ++i) loop().run_once();
  }

  /// What was reported, and logged, since the last call; see ReportCapture and LogCapture.
  Calls take_reports() { return reports_->take(); }
  std::vector<Report> take_whole_reports() { return reports_->take_whole(); }
  Calls take_logs() { return logs_->take(); }

 private:
  std::size_t descriptors_before_ = 0;
  std::optional<LogCapture> logs_;
  std::unique_ptr<EventLoop> loop_;
  std::optional<ReportCapture> reports_;
};

/// A test that runs over every backend; a chapter derives its suite from it and instantiates that.
class EveryLoop : public LoopTest, public ::testing::WithParamInterface<BackendKind> {
 protected:
  void SetUp() override { open_loop(loop_options(GetParam())); }
};

inline std::string backend_name(const ::testing::TestParamInfo<BackendKind>& test) {
  return std::string(to_string(test.param));
}

inline std::string maker_name(const ::testing::TestParamInfo<StreamMaker>& test) {
  return test.param.name();
}

}  // namespace weir::test
