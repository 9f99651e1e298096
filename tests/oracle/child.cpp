#include "child.h"

#include <csignal>
#include <map>
#include <memory>
#include <stdexcept>

#include "opening.h"
#include "signal_names.h"

namespace weir::oracle {
namespace {

Stdio stdio_named(const std::string& name) {
  if (name == "devnull") return Stdio::devnull();
  if (name == "inherit") return Stdio::inherit();
  if (name == "merge") return Stdio::merge();
  return Stdio::pipe();
}

/// False if `word` is no option.
bool set_option(SubprocessOptions& options, const std::string& word, const Files& files) {
  const std::size_t equals = word.find('=');
  if (equals == std::string::npos) return false;
  const std::string key = word.substr(0, equals);
  const std::string value = word.substr(equals + 1);
  if (key == "stdin") {
    options.input = stdio_named(value);
  } else if (key == "stdout") {
    options.output = stdio_named(value);
  } else if (key == "stderr") {
    options.error = stdio_named(value);
  } else if (key == "cwd") {
    options.cwd = value;
  } else if (key == "env") {
    options.env = std::vector{value};
  } else if (key == "pass") {
    options.pass_fds = {files.descriptor(value)};
  } else if (key == "close_fds") {
    options.close_fds = value != "false";
  } else {
    return false;
  }
  return true;
}

/// {"sh", "-c", "'exit", "3'"} as {"sh", "-c", "exit 3"}.
Words joined(const Words& words) {
  Words result;
  bool quoted = false;
  for (std::string word : words) {
    const bool opens = !quoted && word.starts_with('\'');
    if (opens) word.erase(0, 1);
    const bool closes = (quoted || opens) && word.ends_with('\'');
    if (closes) word.pop_back();
    if (quoted) {
      result.back() += ' ' + word;
    } else {
      result.push_back(word);
    }
    quoted = (quoted || opens) && !closes;
  }
  return result;
}

}  // namespace

class Child::TellingProtocol final : public SubprocessProtocol {
 public:
  explicit TellingProtocol(Child& child) : child_(child) {}

  void connection_made(SubprocessTransport transport) override {
    child_.transport_ = transport;
    child_.tell("connection_made");
  }
  void pipe_data_received(int fd, std::span<const std::byte> data) override {
    End& pipe = child_.pipes_.at(static_cast<std::size_t>(fd));
    child_.runner_.data(pipe, pipe.name, "data", data);
    child_.runner_.act_for(child_.name(), child_.name(), "pipe_data_received");
  }
  void pipe_connection_lost(int fd, const CloseReason& reason) override {
    child_.runner_.trace().count(child_.name(), "lost_" + std::to_string(fd));
    child_.tell("pipe_connection_lost", kind_of(reason.exception()), '.' + std::to_string(fd));
  }
  void process_exited() override {
    const auto code = child_.transport_.get_returncode();
    child_.tell("process_exited", code ? std::to_string(*code) : "", ".exit");
  }
  void connection_lost(const CloseReason& reason) override {
    child_.tell("connection_lost", kind_of(reason.exception()));
  }
  void pause_writing() override { child_.tell("pause_writing", {}, ".0"); }
  void resume_writing() override { child_.tell("resume_writing", {}, ".0"); }

 private:
  Child& child_;
};

Child::Child(Runner& runner, const std::string& name)
    : Actor(name),
      runner_(runner),
      pipes_{End{.name = name + ".0"}, End{.name = name + ".1"}, End{.name = name + ".2"}} {}

void Child::tell(const std::string& event, const std::string& detail, const std::string& part) {
  runner_.trace().add(name() + part, detail.empty() ? event : event + ' ' + detail);
  runner_.act_for(name(), name(), event);
}

void Child::start(const Words& words) {
  SubprocessOptions options;
  auto word = words.begin() + 2;
  while (word != words.end() && set_option(options, *word, runner_.files())) ++word;
  const Words command = joined(Words(word, words.end()));
  const auto make = [this] {
    runner_.check_factory(name());
    return std::make_shared<TellingProtocol>(*this);
  };
  const auto opening = words[0] == "shell"
                           ? subprocess_shell(runner_.loop(), make, text_of(command, 0), options)
                           : subprocess_exec(runner_.loop(), make, command, options);
  cancel_spawn_ = [opening] { opening.cancel(); };
  tell_opening(runner_, opening, name(), "spawn", ".start");
}

Transport Child::pipe(const std::string& number) const {
  return transport_.get_pipe_transport(std::stoi(number)).value();
}

void Child::verb(const Words& words) {
  const std::string& verb = words[0];
  if (verb == "write") return pipe("0").write(words.at(1) + '\n');
  if (verb == "write_repeat") {
    return pipe("0").write(std::string(std::stoul(words.at(1)), words.at(2)[0]));
  }
  if (verb == "write_eof") return pipe("0").write_eof();
  if (verb == "close_pipe") return pipe(words.at(1)).close();
  if (verb == "cancel_spawn") return cancel_spawn_();
  if (verb == "drop") return void(transport_ = {});
  if (verb == "close") return transport_.close();
  if (verb == "kill") return transport_.kill();
  if (verb == "terminate") return transport_.terminate();
  if (verb == "send_signal") return transport_.send_signal(signal_named(words.at(1)));
  if (verb != "print") unknown_verb(words);
  print(words);
}

void Child::print(const Words& words) const {
  const std::string& what = words.at(1);
  std::string value;
  if (what == "returncode") {
    const auto code = transport_.get_returncode();
    value = code ? std::to_string(*code) : "None";
  } else if (what == "has_pid") {
    value = shown(transport_.get_pid() > 0);
  } else if (what == "is_closing") {
    value = shown(transport_.is_closing());
  } else if (what == "pipe") {
    value = transport_.get_pipe_transport(std::stoi(words.at(2))) ? "present" : "absent";
  } else {
    unknown_verb(words);
  }
  runner_.trace().add(name(), text_of(words, 0) + ' ' + value);
}

}  // namespace weir::oracle
