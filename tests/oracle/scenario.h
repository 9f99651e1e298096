#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

// The scenarios of the oracle, as README.md describes them; script.py is the same in Python.
namespace weir::oracle {

using Words = std::vector<std::string>;

/// What a protocol, or a callback of the loop, does when it is called.
struct Handler {
  std::string label;
  std::string event;
  std::optional<int> occurrence;  ///< only this time; nothing: each time
  std::vector<Words> actions;
};

struct Scenario {
  std::string name;
  bool requires_descriptors = false;
  bool hide_data = false;
  std::set<std::string> buffered;
  std::map<std::string, std::string> factory_throws;
  std::vector<Handler> handlers;
  std::vector<Words> steps;

  /// Whether its connections may as well go over another transport than TCP.
  bool over_any_transport() const;
};

/// Throws std::runtime_error if `path` cannot be read or understood.
std::vector<Scenario> read_scenarios(const std::filesystem::path& path);

/// The number a condition such as "received>=5" asks for; nothing if it is no such condition.
std::optional<std::size_t> received_at_least(std::string_view event);

}  // namespace weir::oracle
