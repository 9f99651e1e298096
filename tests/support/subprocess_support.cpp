#include "subprocess_support.h"

#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace weir::test {

class SubprocessRecorder::Telling final : public SubprocessProtocol {
 public:
  explicit Telling(SubprocessRecorder& recorder) : recorder_(recorder) { ++alive; }
  Telling(const Telling&) = delete;
  Telling& operator=(const Telling&) = delete;
  ~Telling() override { --alive; }

  void connection_made(SubprocessTransport made) override {
    recorder_.transport = std::move(made);
    recorder_.note("connection_made", "connection_made");
  }
  void pipe_data_received(int fd, std::span<const std::byte> data) override {
    if (data.empty()) recorder_.note("empty data", "");
    recorder_.note_data(fd, {reinterpret_cast<const char*>(data.data()), data.size()});
  }
  void pipe_connection_lost(int fd, const CloseReason& reason) override {
    recorder_.reasons.at(static_cast<std::size_t>(fd)) = reason;
    recorder_.note(std::to_string(fd) + ":lost", "pipe_connection_lost");
  }
  void process_exited() override {
    recorder_.returncode = recorder_.transport.get_returncode();
    const int code = recorder_.returncode.value_or(12345);
    recorder_.note("exited:" + std::to_string(code), "process_exited");
  }
  void pause_writing() override { recorder_.note("pause_writing", "pause_writing"); }
  void resume_writing() override { recorder_.note("resume_writing", "resume_writing"); }
  void connection_lost(const CloseReason& reason) override {
    const std::string detail = reason ? ":" + reason.message() : "";
    recorder_.note("connection_lost" + detail, "connection_lost");
  }

 private:
  SubprocessRecorder& recorder_;
};

std::shared_ptr<SubprocessProtocol> SubprocessRecorder::protocol() {
  return std::make_shared<Telling>(*this);
}

void SubprocessRecorder::note(const std::string& call, const std::string& callback) {
  run_of_data_ = -1;
  calls.push_back(call);
  const auto action = actions_.find(callback);
  if (action != actions_.end()) Action(action->second)();
}

void SubprocessRecorder::note_data(int fd, std::string_view data) {
  std::string& all = received.at(static_cast<std::size_t>(fd));
  all += data;
  if (run_of_data_ == fd) {
    calls.pop_back();
    run_size_ += data.size();
  } else {
    run_size_ = data.size();
  }
  const std::string text =
      std::to_string(fd) + ':' +
      (run_size_ > 64 ? std::to_string(run_size_) + " bytes" : all.substr(all.size() - run_size_));
  note(text, "pipe_data_received");
  if (calls.back() == text) run_of_data_ = fd;
}

Calls SubprocessRecorder::story() const {
  Calls story = calls;
  if (story.empty()) return story;
  const auto end = story.back().starts_with("connection_lost") ? story.end() - 1 : story.end();
  const auto source = [](const std::string& call) {
    return call.size() > 1 && call[1] == ':' ? call.front()
           : call.starts_with("exited")      ? '3'
                                             : '4';
  };
  std::ranges::stable_sort(story.begin() + 1, end, {}, source);
  return story;
}

bool SubprocessRecorder::has(std::string_view call) const {
  return std::ranges::find(calls, call) != calls.end();
}

bool has_children() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

bool is_running(int pid) {
  const std::string stat = text_of("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t name_end = stat.rfind(')');
  return name_end != std::string::npos && stat.at(name_end + 2) != 'Z';
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void SubprocessTest::TearDown() {
  if (has_loop()) loop().close();
  destroy_loop();
  EXPECT_FALSE(has_children()) << "a child is left";
  EXPECT_EQ(SubprocessRecorder::alive, 0) << "protocols outlive their loop";
  if (!directory_.empty()) std::filesystem::remove_all(directory_);
  LoopTest::TearDown();
}

SubprocessRecorder& SubprocessTest::start(std::vector<std::string> arguments,
                                          SubprocessOptions options) {
  SubprocessRecorder& process = new_recorder();
  run_until_done(
      subprocess_exec(loop(), process.factory(), std::move(arguments), std::move(options)));
  return process;
}

SubprocessRecorder& SubprocessTest::start_shell(std::string script, SubprocessOptions options) {
  SubprocessRecorder& process = new_recorder();
  run_until_done(
      subprocess_shell(loop(), process.factory(), std::move(script), std::move(options)));
  return process;
}

SubprocessRecorder& SubprocessTest::run(std::vector<std::string> arguments,
                                        SubprocessOptions options) {
  SubprocessRecorder& process = start(std::move(arguments), std::move(options));
  if (auto input = process.transport.get_pipe_transport(0)) input->close();
  finish(process);
  return process;
}

SubprocessRecorder& SubprocessTest::run_shell(std::string script, SubprocessOptions options) {
  SubprocessRecorder& process = start_shell(std::move(script), std::move(options));
  if (auto input = process.transport.get_pipe_transport(0)) input->close();
  finish(process);
  return process;
}

std::string SubprocessTest::failure(std::vector<std::string> arguments, SubprocessOptions options) {
  SubprocessRecorder& process = new_recorder();
  auto future =
      subprocess_exec(loop(), process.factory(), std::move(arguments), std::move(options));
  this->run_until([&] { return future.done(); });
  EXPECT_EQ(process.calls, Calls());
  return outcome(future);
}

std::string SubprocessTest::failure_text(std::vector<std::string> arguments,
                                         SubprocessOptions options) {
  SubprocessRecorder& process = new_recorder();
  auto future =
      subprocess_exec(loop(), process.factory(), std::move(arguments), std::move(options));
  this->run_until([&] { return future.done(); });
  EXPECT_EQ(process.calls, Calls());
  return what(future.exception());
}

const std::string& SubprocessTest::directory() {
  if (directory_.empty()) {
    directory_ = std::filesystem::temp_directory_path() / "weir-subprocess-XXXXXX";
    if (::mkdtemp(directory_.data()) == nullptr) throw std::runtime_error("no directory");
  }
  return directory_;
}

}  // namespace weir::test
