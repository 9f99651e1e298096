#include "child_stream.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstring>
#include <exception>
#include <utility>

#include "errors.h"

namespace weir_tool {

class ChildStream : public weir::SubprocessProtocol {
 public:
  ChildStream(std::string command, std::shared_ptr<StreamProtocol> protocol)
      : command_(std::move(command)), protocol_(std::move(protocol)) {}

  void connection_made(weir::SubprocessTransport transport) override {
    pipes_->command = transport;
    input_ = transport.get_pipe_transport(STDIN_FILENO).value_or(weir::Transport());
    const auto output = transport.get_pipe_transport(STDOUT_FILENO).value_or(weir::Transport());
    protocol_->stream_made(Stream(output, input_, pipes_));
  }

  void pipe_data_received(int, std::span<const std::byte> data) override {
    protocol_->data_received(data);
  }

  void pipe_connection_lost(int descriptor, const weir::CloseReason&) override {
    // A command need not read all it is given, so that is no failure of its input.
    if (descriptor != STDOUT_FILENO) return;
    pipes_->has_ended = true;
    if (!pipes_->is_cut_off && !protocol_->eof_received()) input_.close();
  }

  void pause_writing() override { protocol_->pause_writing(); }
  void resume_writing() override { protocol_->resume_writing(); }

  void connection_lost(const weir::CloseReason& reason) override {
    protocol_->connection_lost(reason ? reason : verdict());
    protocol_.reset();
  }

 private:
  weir::CloseReason verdict() const {
    const int code = pipes_->command->get_returncode().value_or(0);
    if (code == 0 || pipes_->is_cut_off) return {};
    return std::make_exception_ptr(RunError(in_words(code)));
  }

  std::string in_words(int code) const {
    if (code < 0) {
      return fmt::format("the command '{}' was killed: {}", command_, strsignal(-code));
    }
    const std::string text =
        fmt::format("the command '{}' ended with exit code {}", command_, code);
    return code == 127 ? text + "; the shell did not find it, write a path or check $PATH" : text;
  }

  std::string command_;
  std::shared_ptr<StreamProtocol> protocol_;
  std::shared_ptr<PipePair> pipes_ = std::make_shared<PipePair>();
  weir::Transport input_;
};

weir::Future<weir::Subprocess<ChildStream>> start_command(
    weir::EventLoop& loop, const std::string& command, std::shared_ptr<StreamProtocol> protocol) {
  return weir::subprocess_shell(loop,
                                [command, protocol = std::move(protocol)] {
                                  return std::make_shared<ChildStream>(command, protocol);
                                },
                                command, {.error = weir::Stdio::inherit()});
}

}  // namespace weir_tool
