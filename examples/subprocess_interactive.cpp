// subprocess_interactive EXPRESSION...: has a child calculate, one expression at a time: the next is
// asked when the answer to the last is there.
#include <weir/weir.h>

#include <deque>
#include <iostream>
#include <string>

constexpr const char* calculator = R"sh(while read -r line; do echo "$(($line))"; done)sh";

class Questioner : public weir::SubprocessProtocol {
 public:
  Questioner(std::deque<std::string> questions, weir::Future<int> returncode)
      : questions_(std::move(questions)), returncode_(std::move(returncode)) {}

  void connection_made(weir::SubprocessTransport transport) override {
    transport_ = transport;
    ask_next();
  }

  void pipe_data_received(int fd, std::span<const std::byte> data) override {
    // What the child writes at once may come in pieces.
    (fd == 1 ? answer_ : complaint_) += weir::as_text(data);
    if (answer_.ends_with('\n')) {
      std::cout << questions_.front() << " = " << answer_;
      questions_.pop_front();
      answer_.clear();
      ask_next();
    }
  }

  void connection_lost(const weir::CloseReason&) override {
    std::cerr << complaint_;
    returncode_.set_result(*transport_.get_returncode());
  }

 private:
  void ask_next() {
    weir::Transport input = *transport_.get_pipe_transport(0);
    if (questions_.empty()) {
      input.close();  // the child finds its input at the end, and exits
    } else {
      input.write(questions_.front() + '\n');
    }
  }

  weir::SubprocessTransport transport_;
  std::deque<std::string> questions_;
  std::string answer_;
  std::string complaint_;
  weir::Future<int> returncode_;
};

int main(int argc, char** argv) {
  weir::EventLoop loop;
  weir::Future<int> returncode(loop);
  const std::deque<std::string> questions(argv + 1, argv + argc);
  loop.run_until_complete(weir::subprocess_shell(
      loop, [&] { return std::make_unique<Questioner>(questions, returncode); }, calculator));
  const int code = loop.run_until_complete(returncode);
  std::cout << "the calculator exited with " << code << std::endl;
  return code;
}
