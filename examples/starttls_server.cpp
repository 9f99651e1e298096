// starttls_server CHAIN KEY [PORT]: the first words of a mail server, in the clear until STARTTLS.
#include <weir/weir.h>

#include <algorithm>
#include <cctype>
#include <iostream>
#include <memory>
#include <string>

class Session : public weir::Protocol, public std::enable_shared_from_this<Session> {
 public:
  Session(weir::EventLoop& loop, weir::TlsContext tls) : loop_(loop), tls_(std::move(tls)) {}

  void connection_made(weir::Transport transport) override {
    transport_ = transport;
    reply("220 weir.example");
  }

  void data_received(std::span<const std::byte> data) override {
    text_ += weir::as_text(data);
    for (auto end = text_.find("\r\n"); end != std::string::npos; end = text_.find("\r\n")) {
      std::string command = text_.substr(0, end);
      text_.erase(0, end + 2);
      std::transform(command.begin(), command.end(), command.begin(),
                     [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
      obey(command);
    }
    if (text_.size() > 512) transport_.abort();  // a command is shorter
  }

  void pause_writing() override { transport_.abort(); }  // reads no answer

 private:
  void obey(const std::string& command) {
    if (command.starts_with("EHLO")) {
      reply(encrypted_ ? "250 weir.example" : "250-weir.example\r\n250 STARTTLS");
    } else if (command == "STARTTLS" && !encrypted_) {
      start_tls();
    } else if (command == "NOOP") {
      reply(encrypted_ ? "250 nobody overheard that" : "250 everybody could hear that");
    } else if (command == "QUIT") {
      reply("221 goodbye");
      transport_.close();
    } else {
      reply("502 unknown here");
    }
  }

  void start_tls() {
    // What came along with the command came in the clear, and anybody may have put it there: it must
    // not be taken for something said over TLS.
    if (!text_.empty()) return transport_.abort();
    reply("220 go ahead");
    weir::start_tls(loop_, transport_, shared_from_this(), tls_)
        .add_done_callback([self = shared_from_this()](const weir::Future<weir::Transport>& done) {
          if (done.exception()) return;  // connection_lost() is called
          self->transport_ = done.result();
          self->encrypted_ = true;
        });
  }

  void reply(const std::string& line) { transport_.write(line + "\r\n"); }

  weir::EventLoop& loop_;
  weir::TlsContext tls_;
  weir::Transport transport_;
  std::string text_;
  bool encrypted_ = false;
};

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: starttls_server CHAIN KEY [PORT]" << std::endl;
    return 2;
  }
  weir::EventLoop loop;
  const auto port = static_cast<std::uint16_t>(argc > 3 ? std::atoi(argv[3]) : 8025);
  try {
    const auto tls = weir::TlsContext::server(
        {.identity = weir::TlsIdentity{.certificate_chain = weir::Pem::file(argv[1]),
                                       .private_key = weir::Pem::file(argv[2])}});
    auto session = [&] { return std::make_shared<Session>(loop, tls); };
    auto server = loop.run_until_complete(weir::create_server(loop, session, "127.0.0.1", port));
    std::cout << "serving on " << server.sockets().front().sockname.to_string() << std::endl;
    loop.run_forever();
  } catch (const std::system_error& error) {
    std::cerr << error.what() << std::endl;
    return 1;
  }
}
