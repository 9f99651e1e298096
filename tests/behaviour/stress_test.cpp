// Random lives of connections. Each test prints its seed; WEIR_TEST_SEED repeats a run.

#include <gtest/gtest.h>
#include <weir/weir.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "every_stream.h"
#include "seeded_random.h"

namespace weir::test {
namespace {

class Stress : public EveryStream {
 protected:
  std::size_t up_to(std::size_t most) { return random_.up_to(most); }
  bool one_in(std::size_t count) { return up_to(count - 1) == 0; }

  void step() { loop().run_once(std::chrono::milliseconds(1)); }

  /// Writes `text` in one of the ways there are.
  void write_somehow(const Transport& transport, std::string_view text) {
    const std::size_t cut = up_to(text.size());
    switch (up_to(2)) {
      case 0: transport.write(text); break;
      case 1: transport.write(Buffer(std::string(text))); break;
      default: transport.writelines({as_bytes(text.substr(0, cut)), as_bytes(text.substr(cut))});
    }
  }

 private:
  SeededRandom random_;
};

/// One direction of a connection: what is to be sent, and how much of it was written.
struct Direction {
  Recorder& from;
  Recorder& to;
  std::string text;
  std::size_t written = 0;

  bool arrived() const { return to.received.size() == text.size(); }
};

/// What becomes of a client. `alone`: nobody kills it, so that it must lose nothing.
enum class Fate : std::uint8_t { alone, closes, aborts, half_closes, throws, is_killed, count };

struct Client {
  Recorder& recorder;
  Fate fate;
  std::string text;
  std::size_t written = 0;
  bool ended = false;  ///< writes no more
};

}  // namespace

INSTANTIATE_TEST_SUITE_P(Behaviour, Stress, ::testing::ValuesIn(socket_makers()), maker_name);

// S2, S8, S22, F5, F6: whatever the chunks, the pauses and the marks, the bytes that arrive are those
// that were written.
TEST_P(Stress, LosesNothingToChunksAndPauses) {
  auto [left, right] = connected_pair();
  std::deque<Direction> directions{{left, right, pattern(2 * MiB, 1)},
                                   {right, left, pattern(1 * MiB, 2)}};
  while (!directions[0].arrived() || !directions[1].arrived()) {
    Direction& direction = directions[up_to(1)];
    const Transport& transport = direction.from.transport;
    const std::size_t most = one_in(8) ? 128 * KiB : 2 * KiB;
    const std::size_t size = std::min(up_to(most), direction.text.size() - direction.written);
    write_somehow(transport, std::string_view(direction.text).substr(direction.written, size));
    direction.written += size;
    if (one_in(4)) transport.pause_reading();
    if (one_in(3)) transport.resume_reading();
    if (one_in(10)) transport.set_write_buffer_limits({.high = up_to(100 * KiB)});
    direction.from.buffer_size = 1 + up_to(32 * KiB);
    if (one_in(2)) step();
  }
  for (const Direction& direction : directions) {
    EXPECT_TRUE(direction.to.received == direction.text);
    direction.from.transport.resume_reading();
    direction.from.transport.close();
  }
  run_until([&] { return left.lost() && right.lost(); });
}

// B2: a reset after each step of a life gives each end its connection_lost(), once.
TEST_P(Stress, SurvivesAResetAtEveryStep) {
  using Step = std::function<void(Recorder&, Recorder&)>;
  const std::string large = pattern(1 * MiB);
  const std::vector<Step> steps{[](Recorder& left, Recorder&) { left.transport.write("hello"); },
                                [this](Recorder&, Recorder&) { step(); },
                                [&](Recorder&, Recorder& right) { right.transport.write(large); },
                                [this](Recorder&, Recorder&) { step(); },
                                [](Recorder& left, Recorder&) { left.transport.pause_reading(); },
                                [&](Recorder& left, Recorder&) {
                                  for (int i = 0; i < 8; ++i) left.transport.write(large);
                                },
                                [this](Recorder&, Recorder&) { step(); },
                                [](Recorder& left, Recorder&) { left.transport.resume_reading(); },
                                [](Recorder&, Recorder& right) { right.transport.write_eof(); },
                                [this](Recorder&, Recorder&) { step(); },
                                [](Recorder& left, Recorder&) { left.transport.close(); },
                                [this](Recorder&, Recorder&) { step(); },
                                [](Recorder&, Recorder& right) { right.transport.close(); }};
  for (std::size_t count = 0; count <= steps.size(); ++count) {
    for (const bool by_left : {true, false}) {
      auto [left, right] = connected_pair();
      left.keep_open = one_in(2);
      right.keep_open = one_in(2);
      for (std::size_t i = 0; i < count; ++i) steps[i](left, right);
      (by_left ? left : right).transport.abort();
      left.transport.resume_reading();
      run_until([&] { return left.lost() || right.lost(); });
      left.transport.close();  // an end that was kept open stays until it is closed
      right.transport.close();
      run_until([&] { return left.lost() && right.lost(); });
      EXPECT_EQ(left.count("connection_lost"), 1U);
      EXPECT_EQ(right.count("connection_lost"), 1U);
    }
  }
}

// B1, B2, S2: a thousand connections to an echo server that end in every way, at random times; those
// that are left alone lose nothing, and each sees one connection_made() and one connection_lost().
TEST_P(Stress, EchoesWhileOthersDie) {
  constexpr std::size_t total = 1000;
  constexpr std::size_t at_once = 100;
  const auto serve = [&]() -> Recorder& {
    Recorder& end = new_recorder("server");
    end.on("data_received", [&end, echoed = std::size_t{0}]() mutable {
      if (end.received.front() == 'k') throw std::runtime_error("killed");
      end.transport.write(std::string_view(end.received).substr(echoed));
      echoed = end.received.size();
    });
    return end;
  };
  std::deque<Client> clients;
  std::vector<Client*> living;

  const auto finish = [&](Client& client) {
    client.ended = true;
    const Transport& transport = client.recorder.transport;
    switch (client.fate) {
      case Fate::closes: transport.close(); break;
      case Fate::aborts: transport.abort(); break;
      case Fate::half_closes: transport.write_eof(); break;
      case Fate::throws:
        client.recorder.on("data_received", [] { throw std::runtime_error("killed"); });
        if (client.recorder.received.size() == client.written) transport.abort();
        break;
      case Fate::is_killed: break;  // by the server, at the first byte
      default:
        if (client.recorder.received.size() == client.text.size()) transport.close();
    }
  };
  const auto advance = [&](Client& client) {
    const Transport& transport = client.recorder.transport;
    if (!client.recorder.made() || transport.is_closing()) return;
    if (client.ended) transport.resume_reading();
    const bool ends_early = client.fate != Fate::alone && client.written > 0 && one_in(10);
    if (client.ended || client.written == client.text.size() || ends_early) return finish(client);
    const std::size_t size = std::min(1 + up_to(8 * KiB), client.text.size() - client.written);
    write_somehow(transport, std::string_view(client.text).substr(client.written, size));
    client.written += size;
    if (one_in(6)) transport.pause_reading();
    if (one_in(2)) transport.resume_reading();
  };

  with_protocols([&](auto protocol_of) {
    Server server = run_until_done(maker().listen(loop(), [&] { return protocol_of(serve())(); }));
    const Address address = server.sockets().at(0).sockname;
    while (clients.size() < total || !living.empty()) {
      while (clients.size() < total && living.size() < at_once) {
        const auto fate = static_cast<Fate>(up_to(static_cast<std::size_t>(Fate::count) - 1));
        std::string text = pattern(1 + up_to(16 * KiB), static_cast<unsigned>(clients.size()));
        text.front() = fate == Fate::is_killed ? 'k' : 'e';
        Client& client = clients.emplace_back(Client{new_recorder("client"), fate, text});
        living.push_back(&client);
        maker().connect(loop(), protocol_of(client.recorder), address);
      }
      for (std::size_t i = 0; i < 20; ++i) {
        advance(*living[up_to(living.size() - 1)]);
      }
      step();
      std::erase_if(living, [](const Client* client) { return client->recorder.lost(); });
    }
    server.close();
    run_until([] { return RecordingProtocol::alive == 0; });
  });

  for (const Client& client : clients) {
    EXPECT_EQ(client.recorder.count("connection_made"), 1U);
    EXPECT_EQ(client.recorder.count("connection_lost"), 1U);
    EXPECT_TRUE(client.text.starts_with(client.recorder.received));
    const bool complete = client.recorder.received.size() == client.written;
    const bool loses_nothing = client.fate == Fate::alone || client.fate == Fate::half_closes;
    EXPECT_TRUE(complete || !loses_nothing);
  }
  for (const Report& report : take_whole_reports()) EXPECT_EQ(report.exception, "killed");
}

}  // namespace weir::test
