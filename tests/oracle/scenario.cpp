#include "scenario.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

namespace weir::oracle {
namespace {

Words words_of(const std::string& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<std::string>(stream), {}};
}

std::string without_comment(const std::string& line) {
  if (line.starts_with('#')) return {};
  return line.substr(0, line.find(" # "));
}

/// "on client.eof_received#1: close; print is_closing" in parts.
Handler read_handler(const std::string& line) {
  const std::size_t begin = line.find(' ') + 1;
  const std::size_t dot = line.find('.', begin);
  const std::size_t colon = line.find(": ", begin);
  if (dot == std::string::npos || colon == std::string::npos || colon < dot) {
    throw std::runtime_error("not a handler: " + line);
  }
  Handler handler;
  handler.label = line.substr(begin, dot - begin);
  handler.event = line.substr(dot + 1, colon - dot - 1);
  if (const std::size_t hash = handler.event.find('#'); hash != std::string::npos) {
    handler.occurrence = std::stoi(handler.event.substr(hash + 1));
    handler.event.resize(hash);
  }
  std::istringstream actions(line.substr(colon + 2));
  for (std::string action; std::getline(actions, action, ';');) {
    handler.actions.push_back(words_of(action));
  }
  return handler;
}

void read_line(Scenario& scenario, const std::string& line, const Words& words) {
  if (words[0] == "requires") {
    scenario.requires_descriptors = true;
  } else if (words[0] == "hide") {
    scenario.hide_data = true;
  } else if (words[0] == "buffered") {
    scenario.buffered.insert(words.at(1));
  } else if (words[0] == "factory") {
    scenario.factory_throws[words.at(1)] = words.at(3);
  } else if (words[0] == "on") {
    scenario.handlers.push_back(read_handler(line));
  } else if (words[0] != "compare") {  // what is compared is not our business
    scenario.steps.push_back(words);
  }
}

}  // namespace

std::vector<Scenario> read_scenarios(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  std::vector<Scenario> scenarios;
  for (std::string line; std::getline(file, line);) {
    line = without_comment(line);
    const Words words = words_of(line);
    if (words.empty()) continue;
    if (words[0] == "scenario") {
      scenarios.emplace_back().name = words.at(1);
    } else {
      read_line(scenarios.back(), line, words);
    }
  }
  return scenarios;
}

bool Scenario::over_any_transport() const {
  return std::ranges::any_of(steps, [](const Words& words) {
    return (words[0] == "listen" || words[0] == "open") &&
           std::ranges::none_of(words, [](const auto& word) { return word.starts_with("unix="); });
  });
}

std::optional<std::size_t> received_at_least(std::string_view event) {
  constexpr std::string_view prefix = "received>=";
  if (!event.starts_with(prefix)) return std::nullopt;
  return std::stoul(std::string(event.substr(prefix.size())));
}

}  // namespace weir::oracle
