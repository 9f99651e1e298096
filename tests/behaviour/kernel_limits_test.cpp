#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <deque>
#include <exception>
#include <string>
#include <system_error>

#include "descriptor_support.h"
#include "endpoint_support.h"
#include "loop_support.h"
#include "loop_test.h"

// Loops that the kernel refuses something.
namespace weir::test {
namespace {

/// Lets this process open `room` further descriptors, while it lives.
class RoomForDescriptors {
 public:
  explicit RoomForDescriptors(std::size_t room) {
    // A sanitizer opens one when it meets a type for the first time.
    static_cast<void>(std::system_error(std::error_code()).code());
    getrlimit(RLIMIT_NOFILE, &before_);
    // The numbers that come next: each is the lowest that is free.
    std::deque<Descriptor> next;
    while (next.size() <= room) next.emplace_back(dup(0));
    const rlimit lowered{.rlim_cur = static_cast<rlim_t>(next.back().get()),
                         .rlim_max = before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &lowered);
  }
  RoomForDescriptors(const RoomForDescriptors&) = delete;
  RoomForDescriptors& operator=(const RoomForDescriptors&) = delete;
  ~RoomForDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

/// Lets this thread lock no memory, while it lives, not even as root.
class NoLockedMemory {
 public:
  NoLockedMemory() {
    getrlimit(RLIMIT_MEMLOCK, &before_);
    const rlimit none{.rlim_cur = 0, .rlim_max = before_.rlim_max};
    setrlimit(RLIMIT_MEMLOCK, &none);
    ::syscall(SYS_capget, &header_, capabilities_);
    __user_cap_data_struct fewer[] = {capabilities_[0], capabilities_[1]};
    fewer[0].effective &= ~(1U << CAP_IPC_LOCK);
    ::syscall(SYS_capset, &header_, fewer);
  }
  NoLockedMemory(const NoLockedMemory&) = delete;
  NoLockedMemory& operator=(const NoLockedMemory&) = delete;
  ~NoLockedMemory() {
    ::syscall(SYS_capset, &header_, capabilities_);
    setrlimit(RLIMIT_MEMLOCK, &before_);
  }

 private:
  rlimit before_{};
  __user_cap_header_struct header_{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct capabilities_[2]{};
};

class KernelLimits : public EveryEndpoint {
 protected:
  /// A second loop while the first one has a connection, which goes on whatever becomes of it: true if there is one.
  bool makes_a_second_loop() {
    try {
      EventLoop second(loop_options(GetParam()));
      second.set_debug(false);
      bool ran = false;
      second.call_soon([&] { ran = true; });
      second.run_once();
      EXPECT_TRUE(ran);
      second.close();
      return true;
    } catch (...) {
      failure_ = std::current_exception();
      return false;
    }
  }
  void open_connection() {
    server_ = listen();
    client_ = &connect(port_of(server_));
  }
  void expect_that_it_goes_on() {
    const std::size_t before = accepted.back().received.size();
    client_->transport.write("still there");
    run_until([&] { return accepted.back().received.size() > before; });
    EXPECT_TRUE(accepted.back().received.ends_with("still there"));
  }
  void close_connection() {
    server_.close();
    client_->transport.abort();
    run_until([&] { return client_->lost() && accepted.back().lost(); });
    iterate(2);
  }
  /// Why there was none; see kind_of().
  std::string failure() const { return kind_of(failure_); }

 private:
  Server server_;
  Recorder* client_ = nullptr;
  std::exception_ptr failure_;
};

INSTANTIATE_TEST_SUITE_P(Behaviour, KernelLimits,
                         ::testing::ValuesIn(backends_with_descriptors(true)), backend_name);

// C4: a loop that lacks a descriptor, whichever of its own it is, is not made, says why, and leaves nothing behind.
TEST_P(KernelLimits, ALoopWithoutDescriptorsIsNotMade) {
  open_connection();
  std::size_t room = 0;
  for (bool made = false; !made; ++room) {
    ASSERT_LT(room, 20U);
    const std::size_t before = open_descriptors();
    {
      const RoomForDescriptors some(room);
      made = makes_a_second_loop();
    }
    EXPECT_EQ(open_descriptors(), before);
    EXPECT_TRUE(made || failure() == "Too many open files") << failure();
    expect_that_it_goes_on();
  }
  EXPECT_GT(room, 1U) << "a loop needs no descriptor";
  EXPECT_TRUE(makes_a_second_loop());
  close_connection();
}

// C4: the same for memory that a kernel wants locked; one that wants none makes the loop.
TEST_P(KernelLimits, ALoopWithoutLockedMemoryWorksOrIsNotMade) {
  open_connection();
  {
    const NoLockedMemory none;
    const std::size_t before = open_descriptors();
    const bool made = makes_a_second_loop();
    EXPECT_TRUE(made || failure() == "Cannot allocate memory") << failure();
    EXPECT_EQ(open_descriptors(), before);
    expect_that_it_goes_on();
  }
  close_connection();
}

}  // namespace
}  // namespace weir::test
