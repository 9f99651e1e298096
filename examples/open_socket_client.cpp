// open_socket_client: receives from a socket that something else opened, here one of a pair.
#include <sys/socket.h>
#include <unistd.h>
#include <weir/weir.h>

#include <iostream>

class OneMessage : public weir::Protocol {
 public:
  explicit OneMessage(weir::Future<> lost) : lost_(std::move(lost)) {}

  void connection_made(weir::Transport transport) override { transport_ = transport; }

  void data_received(std::span<const std::byte> data) override {
    std::cout << "received: " << weir::as_text(data) << std::endl;
    transport_.close();  // connection_lost() comes next
  }

  void connection_lost(const weir::CloseReason&) override { lost_.set_result(); }

 private:
  weir::Transport transport_;
  weir::Future<> lost_;
};

int main() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return 1;

  weir::EventLoop loop;
  auto lost = loop.create_future();

  // From here on the transport owns ends[0], and closes it.
  weir::ConnectOptions options;
  options.sock = ends[0];
  loop.run_until_complete(weir::create_connection(
      loop, [&] { return std::make_unique<OneMessage>(lost); }, options));

  // Data from the other end, as if it came over the network.
  loop.call_soon([&] { [[maybe_unused]] const auto sent = write(ends[1], "abc", 3); });
  loop.run_until_complete(lost);
  close(ends[1]);
}
