#include "listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <weir/event_loop.h>
#include <weir/exception_context.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "backend.h"
#include "loop.h"

namespace weir {
namespace {

using detail::ListenChannel;
using detail::Listener;
using detail::ListenEvents;
using detail::Loop;
using detail::StreamChannel;
using std::chrono::milliseconds;
using ::testing::ElementsAre;

std::error_code code(std::errc error) { return std::make_error_code(error); }

/// A listening socket that fails when the test says so: no network, real or simulated, runs out of
/// descriptors on demand.
class FailingChannel final : public ListenChannel {
 public:
  explicit FailingChannel(std::vector<std::string>& trace) : trace_(trace) {}

  ListenEvents* events = nullptr;
  std::error_code start_error;

  std::error_code start_accepting(ListenEvents& told, int backlog) noexcept override {
    trace_.push_back("start " + std::to_string(backlog));
    events = &told;
    return start_error;
  }
  void stop_accepting() noexcept override { trace_.emplace_back("stop"); }
  Address local_address() const override { return Address::ipv4({127, 0, 0, 1}, 80); }
  int descriptor() const noexcept override { return 7; }

 private:
  std::vector<std::string>& trace_;
};

class ListenerTest : public ::testing::Test, public detail::AcceptEvents {
 protected:
  ListenerTest() {
    loop.set_exception_handler([this](EventLoop&, const ExceptionContext& context) {
      reports.push_back(context.message);
      if (on_report) on_report();
    });
    auto made = std::make_unique<FailingChannel>(trace);
    channel = made.get();
    listener = std::make_unique<Listener>(Loop::of(loop), std::move(made), *this);
    EXPECT_FALSE(listener->start(100));
  }

  void accepted(std::unique_ptr<StreamChannel>, const Address&) noexcept override {}

  void pass(std::chrono::nanoseconds time) {
    loop.call_later(time, [this] { loop.stop(); });
    loop.run_forever();
  }

  EventLoop loop{{.backend = BackendKind::simulated}};
  std::vector<std::string> trace;
  std::vector<std::string> reports;
  std::function<void()> on_report;
  FailingChannel* channel = nullptr;
  std::unique_ptr<Listener> listener;
};

// V7: out of descriptors or memory, accepting pauses for a second.
TEST_F(ListenerTest, PausesWhenOutOfResources) {
  for (const std::errc error :
       {std::errc::too_many_files_open, std::errc::too_many_files_open_in_system,
        std::errc::no_buffer_space, std::errc::not_enough_memory}) {
    trace.clear();
    reports.clear();
    channel->events->on_accept_failed(code(error));
    EXPECT_THAT(reports, ElementsAre("socket.accept() out of system resource"));
    pass(milliseconds(999));
    EXPECT_THAT(trace, ElementsAre("stop"));
    pass(milliseconds(2));
    EXPECT_THAT(trace, ElementsAre("stop", "start 100"));
  }
}

// V7: accepting stays paused while it cannot begin again.
TEST_F(ListenerTest, PausesAgainWhenItCannotResume) {
  channel->events->on_accept_failed(code(std::errc::too_many_files_open));
  channel->start_error = code(std::errc::not_enough_memory);
  pass(milliseconds(1001));
  channel->start_error = {};
  pass(milliseconds(1001));
  EXPECT_THAT(trace, ElementsAre("start 100", "stop", "start 100", "stop", "start 100"));
  EXPECT_EQ(reports.size(), 2U);
}

// V7: a server that was closed meanwhile does not begin again.
TEST_F(ListenerTest, DoesNotResumeWhenGone) {
  channel->events->on_accept_failed(code(std::errc::too_many_files_open));
  listener.reset();
  pass(std::chrono::hours(1));
  EXPECT_THAT(trace, ElementsAre("start 100", "stop"));
}

// V7: any other error is reported, and accepting goes on.
TEST_F(ListenerTest, ReportsOtherErrorsAndGoesOn) {
  channel->events->on_accept_failed(code(std::errc::operation_not_permitted));
  EXPECT_THAT(reports, ElementsAre("accept failed on 127.0.0.1:80"));
  EXPECT_THAT(trace, ElementsAre("start 100"));
}

// The handler is the user's, and may close the server.
TEST_F(ListenerTest, MayBeDestroyedByTheHandler) {
  on_report = [this] { listener.reset(); };
  channel->events->on_accept_failed(code(std::errc::too_many_files_open));
  EXPECT_EQ(listener, nullptr);
  pass(std::chrono::hours(1));
}

}  // namespace
}  // namespace weir
