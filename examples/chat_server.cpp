// chat_server [PORT]: sends each line to all others; cuts off slow readers and endless lines.
#include <weir/weir.h>

#include <iostream>
#include <string>
#include <unordered_set>

using Room = std::unordered_set<weir::Transport>;

struct Member : weir::Protocol {
  explicit Member(Room& room) : room_(room) {}

  void connection_made(weir::Transport transport) override {
    transport_ = transport;
    transport_.set_write_buffer_limits({.high = 1024 * 1024});
    name_ = transport_.get_extra_info<weir::Address>("peername")->to_string();
    tell_others(name_ + " came\n");
    room_.insert(transport_);
  }

  void data_received(std::span<const std::byte> data) override {
    text_ += weir::as_text(data);
    std::size_t begin = 0;
    for (auto end = text_.find('\n'); end != std::string::npos; end = text_.find('\n', begin)) {
      tell_others(name_ + ": " + text_.substr(begin, end + 1 - begin));
      begin = end + 1;
    }
    text_.erase(0, begin);
    if (text_.size() > 4096) transport_.abort();
  }

  void pause_writing() override { transport_.abort(); }  // over 1 MiB behind: too slow

  void connection_lost(const weir::CloseReason&) override {
    room_.erase(transport_);
    tell_others(name_ + " went\n");
  }

  void tell_others(const std::string& line) const {
    for (const weir::Transport& other : room_) {
      if (other != transport_ && !other.is_closing()) other.write(line);
    }
  }

  Room& room_;
  weir::Transport transport_;
  std::string name_, text_;
};

int main(int argc, char** argv) {
  Room room;
  weir::EventLoop loop;
  const auto port = static_cast<std::uint16_t>(argc > 1 ? std::atoi(argv[1]) : 8888);
  auto member = [&] { return Member(room); };
  auto server = loop.run_until_complete(weir::create_server(loop, member, "127.0.0.1", port));
  std::cout << "chat on " << server.sockets().front().sockname.to_string() << std::endl;
  loop.run_forever();
}
