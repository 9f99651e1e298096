#pragma once

#include <weir/weir.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace weir::test {

/// Somebody in the middle of one connection: who connects to port() is connected to the server behind it,
/// and what goes over the line is passed on, as far as the test lets it.
class Tap {
 public:
  using Change = std::function<std::string(std::string)>;

  /// For the server at `port` of 127.0.0.1.
  Tap(EventLoop& loop, std::uint16_t port);
  Tap(const Tap&) = delete;
  Tap& operator=(const Tap&) = delete;
  ~Tap();

  std::uint16_t port() const { return listening_port_; }

  /// Makes something else of what goes to the server, or to the client, from here on.
  void change_to_server(Change change);
  void change_to_client(Change change);
  /// Takes nothing more from either side; what they send stays unread.
  void stop_reading();
  void stop_reading_from_server();
  /// Says something to the client that the server has not said.
  void send_to_client(std::string_view bytes);
  /// Ends the line, towards both: as one who has nothing more to send, or so that what is unread is lost.
  void end();
  void abort();

  /// Everything that was passed on so far.
  const std::string& to_server() const;
  const std::string& to_client() const;

 private:
  struct Line;
  class End;

  std::shared_ptr<Line> line_;
  Server server_;
  std::uint16_t listening_port_ = 0;
};

}  // namespace weir::test
