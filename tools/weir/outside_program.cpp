#include "outside_program.h"

#include <unistd.h>

#include <memory>
#include <system_error>
#include <utility>

namespace weir_tool {
namespace {

/// Gives the input, collects the output, and is done when the program is.
class Program : public weir::SubprocessProtocol {
 public:
  Program(std::string_view input, weir::Future<ProgramResult> done)
      : input_(input), done_(std::move(done)) {}

  void connection_made(weir::SubprocessTransport transport) override {
    transport_ = transport;
    const weir::Transport pipe =
        transport.get_pipe_transport(STDIN_FILENO).value_or(weir::Transport());
    pipe.write(input_);
    pipe.write_eof();
  }

  void pipe_data_received(int, std::span<const std::byte> data) override {
    result_.output += weir::as_text(data);
  }

  void process_exited() override { result_.succeeded = transport_.get_returncode() == 0; }

  void connection_lost(const weir::CloseReason&) override { done_.set_result(std::move(result_)); }

 private:
  std::string input_;
  weir::Future<ProgramResult> done_;
  weir::SubprocessTransport transport_;
  ProgramResult result_;
};

}  // namespace

std::optional<ProgramResult> run_program(weir::EventLoop& loop,
                                         const std::vector<std::string>& arguments,
                                         std::string_view input, std::chrono::nanoseconds limit) {
  const auto done = loop.create_future<ProgramResult>();
  weir::SubprocessTransport program;
  try {
    program =
        loop.run_until_complete(
                weir::subprocess_exec(loop, [&] { return std::make_unique<Program>(input, done); },
                                      arguments, {.error = weir::Stdio::devnull()}))
            .transport;
  } catch (const std::system_error&) {
    return std::nullopt;
  }
  weir::TimerHandle timeout = loop.call_later(limit, [program] { program.close(); });
  ProgramResult result = loop.run_until_complete(done);
  timeout.cancel();
  return result;
}

}  // namespace weir_tool
