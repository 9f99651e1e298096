#include "connect.h"

#include <fmt/format.h>

#include <exception>
#include <memory>
#include <string_view>
#include <utility>

#include "errors.h"
#include "standard_streams.h"
#include "url.h"

namespace weir_tool {
namespace {

std::exception_ptr stream_failure(std::string_view what, std::error_code error,
                                  std::string_view advice) {
  return std::make_exception_ptr(
      RunError(fmt::format("{}: {}; {}", what, error.message(), advice)));
}

/// One connection and the two standard streams. Each direction has its own end, and its own flow
/// control; the session is done when both have ended and all is written.
class Session : public weir::Protocol {
 public:
  Session(weir::EventLoop& loop, Url url, weir::Future<> done)
      : url_(std::move(url)),
        done_(std::move(done)),
        input_(loop,
               {[this](std::span<const std::byte> data) { transport_.write(data); },
                [this] { input_ended(); }, [this](std::error_code error) { input_failed(error); }}),
        output_(loop, {[this] { transport_.resume_reading(); }, [this] { output_closed(); },
                       [this](std::error_code error) { output_failed(error); }}) {}

  void connection_made(weir::Transport transport) override {
    transport_ = transport;
    input_.start();
  }

  void data_received(std::span<const std::byte> data) override {
    output_.write(data);
    if (output_.full()) transport_.pause_reading();
  }

  bool eof_received() override {
    output_.close();
    return true;  // the other direction goes on
  }

  void pause_writing() override { input_.stop(); }
  void resume_writing() override { input_.start(); }

  void connection_lost(const weir::CloseReason& reason) override {
    input_.stop();
    lost_ = true;
    if (reason) {
      failure_ = std::make_exception_ptr(
          RunError(fmt::format("lost the connection to {}: {}; the peer ended it, ask there",
                               url_.to_string(), reason.message())));
    }
    output_.close();
    finish_if_done();
  }

 private:
  void input_ended() {
    transport_.write_eof();
    finish_if_done();
  }

  void output_closed() {
    output_closed_ = true;
    finish_if_done();
  }

  void input_failed(std::error_code error) {
    give_up(
        stream_failure("cannot read standard input", error, "use a file, a pipe or </dev/null"));
  }

  void output_failed(std::error_code error) {
    output_closed_ = true;
    give_up(stream_failure("cannot write to standard output", error,
                           "its reader has to read until the end"));
  }

  void give_up(std::exception_ptr failure) {
    failure_ = std::move(failure);
    output_closed_ = true;
    transport_.abort();
    finish_if_done();
  }

  void finish_if_done() {
    if (!output_closed_ || done_.done()) return;
    if (!lost_) {
      if (input_.ended()) transport_.close();  // connection_lost() comes next
    } else if (failure_) {
      done_.set_exception(failure_);
    } else {
      done_.set_result();
    }
  }

  Url url_;
  weir::Future<> done_;
  weir::Transport transport_;
  StandardInput input_;
  StandardOutput output_;
  std::exception_ptr failure_;
  bool output_closed_ = false;
  bool lost_ = false;
};

}  // namespace

int run_connect(const ConnectCommand& command) {
  if (command.backend == weir::BackendKind::simulated) throw needs_real_network("connect");
  const Url url = parse_url(command.url, PortRule::must_be_given);
  weir::EventLoop loop({.backend = command.backend});
  const weir::Future<> done = loop.create_future();
  auto session = std::make_shared<Session>(loop, url, done);
  try {
    loop.run_until_complete(weir::create_connection(
        loop, [&] { return session; }, url.host, url.port));
  } catch (const std::system_error& error) {
    throw cannot_connect(url, error);
  }
  loop.run_until_complete(done);
  return exit_ok;
}

}  // namespace weir_tool
