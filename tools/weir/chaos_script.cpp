#include "chaos_script.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <system_error>
#include <utility>

#include "errors.h"

namespace weir_tool {
namespace {

constexpr std::string_view white_space = " \t\r";
constexpr std::string_view forms =
    "write 'latency 50ms', 'partition forward for 3s' or 'reset back after 4096'";

[[noreturn]] void fail(std::string_view what, std::string_view advice) {
  throw UsageError(fmt::format("{}; {}", what, advice));
}

/// The words of a line, taken one by one.
class Words {
 public:
  explicit Words(std::string_view line) : rest_(line.substr(0, line.find('#'))) {}

  /// Empty behind the last one.
  std::string_view peek() const {
    const std::string_view word =
        rest_.substr(std::min(rest_.find_first_not_of(white_space), rest_.size()));
    return word.substr(0, word.find_first_of(white_space));
  }
  std::string_view take() {
    const std::string_view word = peek();
    if (!word.empty()) rest_.remove_prefix(static_cast<std::size_t>(word.end() - rest_.begin()));
    return word;
  }
  bool take_if(std::string_view wanted) {
    if (peek() != wanted) return false;
    take();
    return true;
  }
  /// The next word, which is `what`.
  std::string_view need(std::string_view what, std::string_view advice) {
    if (peek().empty()) fail(fmt::format("no {}", what), advice);
    return take();
  }
  std::optional<Direction> take_direction() {
    if (take_if("forward")) return Direction::forward;
    if (take_if("back")) return Direction::back;
    return std::nullopt;
  }
  void need_end() const {
    if (!peek().empty())
      fail(fmt::format("'{}' is too much", peek()), "leave it out, or put it on a line of its own");
  }

 private:
  std::string_view rest_;
};

std::uint64_t parse_connection(std::string_view word) {
  const std::string_view digits = word.substr(0, word.find(':'));
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size() || number == 0 ||
      digits.size() + 1 != word.size()) {
    fail(fmt::format("'{}' is not the number of a connection", word),
         "write 'connection 1:', with the colon");
  }
  return number;
}

void parse_partition(Words& words, ScriptLine& line) {
  constexpr std::string_view advice = "write 'partition forward for 3s'";
  line.direction = words.take_direction();
  if (!words.take_if("for")) fail("no 'for' after 'partition'", advice);
  line.fault.fault = Partition{parse_time(words.need("time after 'for'", advice))};
}

/// Of the three lines that begin with "reset", those that are not the setting.
bool parse_reset(Words& words, ScriptLine& line) {
  constexpr std::string_view advice = "write 'reset', 'reset back after 4096' or 'reset 0.01 back'";
  line.direction = words.take_direction();
  if (words.take_if("after")) {
    line.fault.fault = ResetAfter{parse_bytes(words.need("size after 'after'", advice))};
    return true;
  }
  if (line.direction)
    fail(fmt::format("no 'after' after 'reset {}'", to_string(*line.direction)), advice);
  if (!words.peek().empty()) return false;
  line.direction = Direction::forward;  // once is enough
  line.fault.fault = ResetNow{};
  return true;
}

void parse_setting(const FaultSetting& setting, Words& words, ScriptLine& line) {
  const std::string_view value =
      words.need(fmt::format("{} after '{}'", setting.form, setting.name),
                 fmt::format("write '{} {}'", setting.name, setting.form));
  line.fault.fault = parse_fault_change(setting, value);
  line.direction = words.take_direction();
}

void parse_fault(Words& words, ScriptLine& line) {
  const std::string_view name = words.need("fault", forms);
  if (name == "partition") return parse_partition(words, line);
  if (name == "reset" && parse_reset(words, line)) return;
  const FaultSetting* const setting = find_fault_setting(name);
  if (setting == nullptr) {
    fail(fmt::format("unknown fault '{}'", name),
         fmt::format("there are {}", fault_names("partition")));
  }
  parse_setting(*setting, words, line);
}

}  // namespace

std::optional<ScriptLine> parse_script_line(std::string_view text) {
  Words words(text);
  if (words.peek().empty()) return std::nullopt;
  ScriptLine line;
  if (words.take_if("connection")) {
    line.connection =
        parse_connection(words.need("number after 'connection'", "write 'connection 1:'"));
  }
  if (words.take_if("at"))
    line.fault.at = parse_time(words.need("time after 'at'", "write 'at 2s'"));
  parse_fault(words, line);
  words.need_end();
  return line;
}

std::vector<ScriptLine> read_script(const std::string& path) {
  std::ifstream file(path);
  std::vector<ScriptLine> script;
  std::string text;
  for (std::size_t number = 1; std::getline(file, text); ++number) {
    try {
      if (auto line = parse_script_line(text)) script.push_back(*std::move(line));
    } catch (const UsageError& error) {
      throw UsageError(fmt::format("{}:{}: {}", path, number, error.what()));
    }
  }
  if (!file.is_open() || file.bad()) {
    const std::error_code error(errno, std::generic_category());
    throw RunError(
        fmt::format("cannot read '{}': {}; give --script a file of yours", path, error.message()));
  }
  return script;
}

std::vector<TimedFault> faults_of(const std::vector<ScriptLine>& script, std::uint64_t connection,
                                  Direction direction) {
  std::vector<TimedFault> faults;
  for (const ScriptLine& line : script) {
    if (line.connection.value_or(connection) != connection) continue;
    if (line.direction.value_or(direction) == direction) faults.push_back(line.fault);
  }
  std::stable_sort(faults.begin(), faults.end(),
                   [](const TimedFault& a, const TimedFault& b) { return a.at < b.at; });
  return faults;
}

}  // namespace weir_tool
