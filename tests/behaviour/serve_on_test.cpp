#include <gmock/gmock.h>

#include <algorithm>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "endpoint_support.h"

// Loops on several threads, and servers on them.
namespace weir::test {
namespace {

using testing::HasSubstr;

/// Has its loop, which is the clients', over the backend of the threads as well.
class Threads : public EveryEndpoint {
 protected:
  LoopOptions options() const { return loop_options(GetParam()); }
};

class LoopsOnThreads : public Threads {};

// --- LoopThreads ----------------------------------------------------------------------------------

// Each body has a loop of its own on a thread of its own, and they begin one after the other.
TEST_P(LoopsOnThreads, BeginOneAfterTheOther) {
  std::map<std::thread::id, EventLoop*> seen;
  Calls order;
  LoopThreads threads(
      3,
      [&](LoopThread& self) {
        order.push_back(std::to_string(self.index()));
        seen.emplace(std::this_thread::get_id(), &self.loop());
        self.ready();
        self.loop().run_forever();
      },
      options());
  EXPECT_EQ(threads.size(), 3U);
  EXPECT_EQ(order, calls("0", "1", "2"));
  EXPECT_EQ(seen.size(), 3U);
  EXPECT_EQ(seen.count(std::this_thread::get_id()), 0U);
  threads.stop();
  threads.join();
}

// post() runs on the thread it names, and says when that one is over.
TEST_P(LoopsOnThreads, TakePosts) {
  LoopThreads threads(
      2,
      [](LoopThread& self) {
        self.ready();
        self.loop().run_forever();
      },
      options());
  std::promise<std::thread::id> first;
  std::promise<std::thread::id> second;
  EXPECT_TRUE(threads.post(0, [&] { first.set_value(std::this_thread::get_id()); }));
  EXPECT_TRUE(threads.post(1, [&] { second.set_value(std::this_thread::get_id()); }));
  EXPECT_NE(first.get_future().get(), second.get_future().get());
  EXPECT_THROW(threads.post(2, [] {}), std::out_of_range);
  EXPECT_THROW(threads.post(0, {}), std::invalid_argument);
  threads.stop();
  threads.join();
  EXPECT_FALSE(threads.post(0, [] { ADD_FAILURE() << "runs on a thread that is over"; }));
  threads.stop();
  threads.join();
}

// A body that cannot begin ends those before it, and its exception comes out; none after it begins.
TEST_P(LoopsOnThreads, FailTogetherWhenOneCannotBegin) {
  const std::size_t before = weir::test::threads();
  Calls order;
  const auto make = [&] {
    LoopThreads threads(
        3,
        [&](LoopThread& self) {
          order.push_back(std::to_string(self.index()));
          if (self.index() == 1) throw TestError();
          self.ready();
          self.loop().run_forever();
          order.emplace_back("0 ended");
        },
        options());
  };
  EXPECT_THROW(make(), TestError);
  EXPECT_EQ(order, calls("0", "1", "0 ended"));
  EXPECT_EQ(weir::test::threads(), before);
}

// What a body throws later comes out of join(), once; the others go on until they are done.
TEST_P(LoopsOnThreads, TellInJoinWhatABodyThrew) {
  LoopThreads threads(
      2,
      [](LoopThread& self) {
        self.ready();
        self.loop().run_forever();
        if (self.index() == 1) throw TestError();
      },
      options());
  threads.stop();
  EXPECT_THROW(threads.join(), TestError);
  EXPECT_NO_THROW(threads.join());
}

// 0 is as many as there are processors for this process.
TEST_P(LoopsOnThreads, AreAsManyAsProcessors) {
  const LoopThreads threads(
      0, [](LoopThread&) {}, options());
  EXPECT_GE(threads.size(), 1U);
  EXPECT_LE(threads.size(), std::max(1U, std::thread::hardware_concurrency()));
}

TEST_P(LoopsOnThreads, AreToldApartByTheirNames) {
  Calls names;
  LoopOptions named = options();
  named.name = "worker";
  const LoopThreads threads(
      2, [&](LoopThread& self) { names.push_back(self.loop().name()); }, named);
  EXPECT_EQ(names, calls("worker.0", "worker.1"));
}

TEST_P(LoopsOnThreads, NeedABody) {
  EXPECT_THROW(LoopThreads(1, {}, options()), std::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(Behaviour, LoopsOnThreads,
                         ::testing::ValuesIn(backends_with_descriptors(true)), backend_name);

// --- serve_on() -----------------------------------------------------------------------------------

/// Echoes, and tells where.
class ThreadEcho : public Protocol {
 public:
  struct Log {
    std::mutex mutex{};
    std::set<std::thread::id> threads{};
    int lost = 0;
    int on_another_thread = 0;
  };
  explicit ThreadEcho(Log& log) : log_(log) {}

  void connection_made(Transport transport) override {
    transport_ = transport;
    const std::lock_guard lock(log_.mutex);
    log_.threads.insert(thread_);
  }
  void data_received(std::span<const std::byte> data) override { transport_.write(data); }
  void connection_lost(const CloseReason&) override {
    const std::lock_guard lock(log_.mutex);
    ++log_.lost;
    if (thread_ != std::this_thread::get_id()) ++log_.on_another_thread;
  }

 private:
  Log& log_;
  const std::thread::id thread_ = std::this_thread::get_id();
  Transport transport_;
};

class ServeOnThreads : public Threads {
 protected:
  auto factory() {
    return [this] { return std::make_shared<ThreadEcho>(log); };
  }
  ThreadedServer serve(std::size_t threads, ServerOptions server_options = {}) {
    return serve_on(threads, factory(), "127.0.0.1", 0, std::move(server_options), options());
  }
  /// A connection that has echoed its name.
  Recorder& echoed(const ThreadedServer& server) {
    Recorder& client = new_client();
    run_until_done(start_connecting(client, "127.0.0.1", server.addresses().at(0).port()));
    client.transport.write("hello");
    run_until([&] { return client.received == "hello"; });
    return client;
  }
  std::size_t threads_seen() {
    const std::lock_guard lock(log.mutex);
    return log.threads.size();
  }

  ThreadEcho::Log log;
};

// Every thread has its share of the connections, at one address, and serves it alone. [C1]
TEST_P(ServeOnThreads, SharesConnections) {
  ThreadedServer server = serve(3);
  EXPECT_EQ(server.threads(), 3U);
  ASSERT_EQ(server.addresses().size(), 1U);
  int count = 0;
  for (; threads_seen() < 3; ++count) {
    ASSERT_LT(count, 200) << "a thread has none";
    echoed(server);
  }
  server.close();
  server.close_clients();
  server.wait();
  EXPECT_EQ(log.lost, count);
  EXPECT_EQ(log.on_another_thread, 0);
}

// wait() is until the last connection is gone; close() lets them go on, and takes no new ones.
TEST_P(ServeOnThreads, LetsConnectionsFinish) {
  ThreadedServer server = serve(2);
  const std::uint16_t port = server.addresses().at(0).port();
  Recorder& client = echoed(server);
  server.close();
  server.close();
  run_until([&] { return try_to_connect(port) != "result"; });
  client.transport.write(" again");
  run_until([&] { return client.received == "hello again"; });
  const auto waiting = std::async(std::launch::async, [&] { server.wait(); });
  client.transport.close();
  run_until([&] { return client.lost(); });
  waiting.wait();
  EXPECT_EQ(log.lost, 1);
}

// The destructor ends everything.
TEST_P(ServeOnThreads, EndsWithItsOwner) {
  Recorder* client = nullptr;
  {
    ThreadedServer moved;
    EXPECT_EQ(moved.threads(), 0U);
    EXPECT_TRUE(moved.addresses().empty());
    moved = serve(2);
    client = &echoed(moved);
  }
  EXPECT_EQ(log.lost, 1);
  run_until([&] { return client->lost(); });
}

// Two programs do not share a port by accident; on purpose they do.
TEST_P(ServeOnThreads, RefusesAPortThatIsServed) {
  const ThreadedServer server = serve(2);
  const std::uint16_t port = server.addresses().at(0).port();
  try {
    serve_on(2, factory(), "127.0.0.1", port, {}, options());
    ADD_FAILURE() << "two servers at one port";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::address_in_use);
    EXPECT_THAT(error.what(), HasSubstr("127.0.0.1"));
  }
  const ThreadedServer second =
      serve_on(2, factory(), "127.0.0.1", port, {.reuse_port = true}, options());
  EXPECT_EQ(second.addresses(), server.addresses());
}

// With a socket all threads accept from it.
TEST_P(ServeOnThreads, SharesOneSocket) {
  Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const ThreadedServer server = serve_on(3, factory(), {.sock = socket.release()}, options());
  EXPECT_EQ(server.threads(), 3U);
  for (int i = 0; i < 20; ++i) echoed(server);
}

TEST_P(ServeOnThreads, RefusesToWaitForItsStart) {
  EXPECT_THROW(serve(2, {.start_serving = false}), std::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(Behaviour, ServeOnThreads,
                         ::testing::ValuesIn(backends_with_descriptors(true)), backend_name);

// --- In a simulated world -------------------------------------------------------------------------

class ThreadsOfAPretendedWorld : public Threads {};

// It is on one thread.
TEST_P(ThreadsOfAPretendedWorld, AreRefused) {
  EXPECT_THROW(LoopThreads(
                   2, [](LoopThread&) {}, options()),
               std::invalid_argument);
  EXPECT_THROW(serve_on<Protocol>(2, "127.0.0.1", 0, {}, options()), std::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(Behaviour, ThreadsOfAPretendedWorld,
                         ::testing::ValuesIn(backends_with_descriptors(false)), backend_name);

}  // namespace
}  // namespace weir::test
