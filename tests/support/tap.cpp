#include "tap.h"

#include <utility>

#include "run_until.h"

namespace weir::test {

/// One direction: what arrives at one end leaves at the other.
struct Direction {
  Tap::Change change;
  Transport from;
  Transport to;
  std::string passed;
};

struct Tap::Line {
  Direction to_server;
  Direction to_client;
};

class Tap::End final : public Protocol {
 public:
  /// Of `here`, where `arriving` comes from and `leaving` goes to; `connected` is told of its transport.
  End(std::shared_ptr<Line> line, Direction Line::*arriving, Direction Line::*leaving,
      std::function<void(const Transport&)> connected)
      : line_(std::move(line)),
        arriving_((*line_).*arriving),
        leaving_((*line_).*leaving),
        connected_(std::move(connected)) {}

  void connection_made(Transport transport) override {
    arriving_.from = leaving_.to = transport;
    connected_(transport);
  }
  void data_received(std::span<const std::byte> data) override {
    std::string text(as_text(data));
    if (arriving_.change) text = arriving_.change(std::move(text));
    arriving_.passed += text;
    arriving_.to.write(text);
  }
  bool eof_received() override {
    arriving_.to.write_eof();
    return true;
  }
  void connection_lost(const CloseReason& reason) override {
    reason ? arriving_.to.abort() : arriving_.to.close();
  }

 private:
  std::shared_ptr<Line> line_;
  Direction& arriving_;
  Direction& leaving_;
  std::function<void(const Transport&)> connected_;
};

Tap::Tap(EventLoop& loop, std::uint16_t port) : line_(std::make_shared<Line>()) {
  const auto accepted = [&loop, port, line = line_](const Transport& client) {
    client.pause_reading();
    const auto reached = [client](const Transport&) { client.resume_reading(); };
    create_connection(
        loop,
        [line, reached] {
          return std::make_shared<End>(line, &Line::to_client, &Line::to_server, reached);
        },
        "127.0.0.1", port);
  };
  server_ = run_until_done(loop, create_server(
                                     loop,
                                     [line = line_, accepted] {
                                       return std::make_shared<End>(line, &Line::to_server,
                                                                    &Line::to_client, accepted);
                                     },
                                     "127.0.0.1", 0));
  listening_port_ = server_.sockets().at(0).sockname.port();
}

Tap::~Tap() {
  server_.close();
  abort();
}

void Tap::change_to_server(Change change) { line_->to_server.change = std::move(change); }
void Tap::change_to_client(Change change) { line_->to_client.change = std::move(change); }

void Tap::stop_reading() {
  line_->to_server.from.pause_reading();
  stop_reading_from_server();
}
void Tap::stop_reading_from_server() { line_->to_client.from.pause_reading(); }

void Tap::send_to_client(std::string_view bytes) { line_->to_client.to.write(bytes); }

void Tap::end() {
  line_->to_server.to.close();
  line_->to_client.to.close();
}

void Tap::abort() {
  line_->to_server.to.abort();
  line_->to_client.to.abort();
}

const std::string& Tap::to_server() const { return line_->to_server.passed; }
const std::string& Tap::to_client() const { return line_->to_client.passed; }

}  // namespace weir::test
