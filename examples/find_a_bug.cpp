// A client of a line protocol with a bug that a good network hides, and a simulated one that finds it: see
// docs/tutorial.md.
//
//     find_a_bug            with the bug
//     find_a_bug fixed      without

#include <weir/weir.h>

#include <chrono>
#include <deque>
#include <functional>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

using namespace std::chrono_literals;

namespace {

bool fixed = false;

// Answers each line with the same in capitals.
class Server : public weir::Protocol {
 public:
  void connection_made(weir::Transport transport) override { transport_ = transport; }
  void data_received(std::span<const std::byte> data) override {
    for (const char letter : weir::as_text(data)) {
      line_ += letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A') : letter;
      if (letter == '\n') transport_.write(std::exchange(line_, {}));
    }
  }

 private:
  weir::Transport transport_;
  std::string line_;
};

// Sends requests without waiting for the replies, which come in the same order.
class Client : public weir::Protocol {
 public:
  using Reply = std::function<void(std::string)>;

  void ask(std::string_view request, Reply reply) {
    waiting_.push_back(std::move(reply));
    transport_.write(std::string(request) + '\n');
  }

  void connection_made(weir::Transport transport) override { transport_ = transport; }

  void data_received(std::span<const std::byte> data) override {
    received_ += weir::as_text(data);
    if (received_.find('\n') != std::string::npos) take_reply();
    if (!fixed) return;
    while (received_.find('\n') != std::string::npos) take_reply();
  }

 private:
  void take_reply() {
    const std::size_t end = received_.find('\n');
    const std::string line = received_.substr(0, end);
    received_.erase(0, end + 1);
    const Reply reply = std::move(waiting_.front());
    waiting_.pop_front();
    reply(line);
  }

  weir::Transport transport_;
  std::string received_;
  std::deque<Reply> waiting_;
};

// A request every 50 ms; all of them must be answered.
void scenario(weir::SimulatedNetwork& network) {
  network.add_host("server",
                   [](weir::EventLoop& loop) { weir::create_server<Server>(loop, "0.0.0.0", 80); });
  weir::EventLoop loop({.host = network.add_host("client")});
  const auto client =
      loop.run_until_complete(weir::create_connection<Client>(loop, "server", 80)).protocol;

  int replies = 0;
  for (const auto* word : {"one", "two", "three", "four", "five"}) {
    client->ask(word, [&](const std::string&) { ++replies; });
    network.run_for(50ms);
  }
  if (!network.run_until([&] { return replies == 5; }, 1min)) {
    throw std::runtime_error(std::to_string(replies) + " of 5 requests were answered");
  }
}

}  // namespace

int main(int argc, char** argv) {
  fixed = argc > 1 && std::string_view(argv[1]) == "fixed";
  try {
    weir::explore({.seeds = 1000, .simulation = {.link = {.loss = 0.01}}}, scenario);
    std::cout << "1000 seeds, and every request was answered" << std::endl;
  } catch (const weir::ScenarioFailed& failure) {
    std::cout << failure.what() << std::endl;
    return 1;
  }
}
