// subprocess_date [FORMAT]: asks the program `date` for the time, and prints what it says.
#include <weir/weir.h>

#include <iostream>
#include <string>

class DateProtocol : public weir::SubprocessProtocol {
 public:
  explicit DateProtocol(weir::Future<> ended) : ended_(std::move(ended)) {}

  void pipe_data_received(int, std::span<const std::byte> data) override {
    output_ += weir::as_text(data);
  }

  // The process has exited and its pipes are closed: this was all.
  void connection_lost(const weir::CloseReason&) override { ended_.set_result(); }

  const std::string& output() const { return output_; }

 private:
  weir::Future<> ended_;
  std::string output_;
};

int main(int argc, char** argv) {
  const std::string format = argc > 1 ? argv[1] : "+%Y-%m-%d %H:%M:%S";

  weir::EventLoop loop;
  auto ended = loop.create_future();
  try {
    auto [transport, protocol] = loop.run_until_complete(weir::subprocess_exec(
        loop, [&] { return std::make_unique<DateProtocol>(ended); }, {"date", format},
        {.input = weir::Stdio::devnull(), .error = weir::Stdio::merge()}));
    loop.run_until_complete(ended);
    std::cout << "date says: " << protocol->output();
    return *transport.get_returncode();
  } catch (const std::system_error& error) {
    std::cerr << error.what() << std::endl;  // exec date: No such file or directory
    return 1;
  }
}
