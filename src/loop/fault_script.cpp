// SimulatedNetwork::script(): lines of text that become calls.
#include <weir/simulation.h>

#include <charconv>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "simulated_world.h"

namespace weir::inline v0 {
namespace detail {
namespace {

using std::chrono::nanoseconds;

struct Unit {
  std::string_view name;
  double nanoseconds;
};
constexpr Unit units[] = {{"ns", 1},  {"us", 1e3},   {"ms", 1e6},
                          {"s", 1e9}, {"min", 6e10}, {"h", 3.6e12}};

std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> words;
  constexpr std::string_view blanks = " \t\r";
  line = line.substr(0, line.find('#'));
  for (std::size_t begin = line.find_first_not_of(blanks); begin != std::string_view::npos;
       begin = line.find_first_not_of(blanks)) {
    line.remove_prefix(begin);
    const std::size_t size = std::min(line.find_first_of(blanks), line.size());
    words.emplace_back(line.substr(0, size));
    line.remove_prefix(size);
  }
  return words;
}

/// A number that is not negative, and what stands behind it.
std::optional<std::pair<double, std::string_view>> number_of(std::string_view text) {
  double value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || !(value >= 0) || std::isinf(value)) return std::nullopt;
  return std::pair(value, text.substr(static_cast<std::size_t>(rest - text.data())));
}

}  // namespace

/// A script on its way to become faults of one network.
class FaultScript {
 public:
  explicit FaultScript(SimulatedNetwork& network) : network_(network) {}

  void read(std::string_view text) {
    for (std::size_t number = 1; !text.empty(); ++number) {
      const std::string_view line = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(line.size() + 1, text.size()));
      try {
        read_line(words_of(line));
      } catch (const std::invalid_argument& error) {
        throw std::invalid_argument("line " + std::to_string(number) + " of the script, \"" +
                                    std::string(line) + "\": " + error.what());
      }
    }
  }

  void schedule() {
    for (auto& [time, fault] : faults_) network_.at(time, std::move(fault));
  }

 private:
  using Words = std::vector<std::string>;
  using Fault = std::function<void()>;

  void read_line(Words words) {
    if (words.empty()) return;
    if (words.size() < 2) throw std::invalid_argument("a time and a fault are needed");
    const nanoseconds time = time_of(words[0]);
    const std::string verb = words[1];
    words.erase(words.begin(), words.begin() + 2);
    faults_.emplace_back(time, fault_of(verb, words));
  }

  Fault fault_of(const std::string& verb, Words& words) {
    if (verb == "name") return name_of(words);
    if (verb == "link") return link_of(words);
    const bool one_way = words.size() == 3 && words[1] == "->";
    if (one_way) words.erase(words.begin() + 1);
    std::vector<SimulatedHost> hosts;
    for (const std::string& word : words) hosts.push_back(host(word));
    return of_hosts(verb, std::move(hosts), one_way);
  }

  Fault of_hosts(const std::string& verb, std::vector<SimulatedHost> hosts, bool one_way) {
    struct Verb {
      std::size_t count;
      const char* form;
      std::function<void(SimulatedNetwork&, const std::vector<SimulatedHost>&)> call;
    };
    using Hosts = std::vector<SimulatedHost>;
    static const std::multimap<std::string, Verb> verbs{
        {"isolate",
         {1, "isolate HOST", [](auto& network, const Hosts& of) { network.isolate(of[0]); }}},
        {"crash", {1, "crash HOST", [](auto& network, const Hosts& of) { network.crash(of[0]); }}},
        {"restart",
         {1, "restart HOST", [](auto& network, const Hosts& of) { network.restart(of[0]); }}},
        {"partition",
         {2, "partition HOST HOST, or HOST -> HOST",
          [](auto& network, const Hosts& of) { network.partition(of[0], of[1]); }}},
        {"heal",
         {0, "heal, or heal HOST HOST", [](auto& network, const Hosts&) { network.heal(); }}},
        {"heal", {2, "heal, or heal HOST HOST", [](auto& network, const Hosts& of) {
                    network.heal(of[0], of[1]);
                  }}}};
    const auto [first, last] = verbs.equal_range(verb);
    if (first == last) {
      throw std::invalid_argument(
          "there is no fault \"" + verb +
          "\", but isolate, heal, partition, crash, restart, link and name");
    }
    for (auto known = first; known != last; ++known) {
      if (known->second.count != hosts.size() || (one_way && verb != "partition")) continue;
      if (one_way) {
        return [&network = network_, hosts] { network.partition_one_way(hosts[0], hosts[1]); };
      }
      return [&network = network_, hosts = std::move(hosts), call = known->second.call] {
        call(network, hosts);
      };
    }
    throw std::invalid_argument(std::string("it is: ") + first->second.form);
  }

  Fault link_of(Words& words) {
    const std::size_t ends = words.size() > 1 && words[1] == "->" ? 3 : 2;
    if (words.size() < ends) {
      throw std::invalid_argument("it is: link HOST HOST, or HOST -> HOST, and what it is like");
    }
    const SimulatedHost from = host(words[0]);
    const SimulatedHost to = host(words[ends - 1]);
    LinkOptions link;
    for (std::size_t index = ends; index < words.size(); ++index) set(link, words[index]);
    return [&network = network_, from, to, link, one_way = ends == 3] {
      one_way ? network.set_link_one_way(from, to, link) : network.set_link(from, to, link);
    };
  }

  static void set(LinkOptions& link, const std::string& word) {
    const auto [name, value] = name_and_value(word);
    if (name == "delay") {
      const std::size_t dots = value.find("..");
      link.min_delay = time_of(value.substr(0, dots));
      link.max_delay = dots == std::string::npos ? link.min_delay : time_of(value.substr(dots + 2));
    } else if (name == "rate") {
      link.bytes_per_second = static_cast<std::uint64_t>(plain_number(value, 1e18));
    } else if (name == "loss") {
      link.loss = plain_number(value, 1);
    } else if (name == "duplicate") {
      link.duplicate = plain_number(value, 1);
    } else if (name == "reorder") {
      link.reorder = plain_number(value, 1);
    } else {
      throw std::invalid_argument(
          "a link has delay=, rate=, loss=, duplicate= and reorder=, not \"" + word + "\"");
    }
  }

  Fault name_of(Words& words) {
    if (words.empty())
      throw std::invalid_argument("it is: name NAME ADDRESS... delay=TIME, or fails");
    SimulatedName answer;
    const std::string name = words[0];
    for (std::size_t index = 1; index < words.size(); ++index) {
      if (words[index] == "fails") {
        answer.fails = true;
      } else if (words[index].starts_with("delay=")) {
        answer.delay = time_of(name_and_value(words[index]).second);
      } else if (Address::parse(words[index], 0)) {
        answer.addresses.push_back(words[index]);
      } else {
        throw std::invalid_argument("\"" + words[index] +
                                    "\" is no IPv4 or IPv6 address, nor delay=TIME or fails");
      }
    }
    return [&network = network_, name, answer] { network.set_name(name, answer); };
  }

  SimulatedHost host(const std::string& name) const {
    simulated::Host* const found = network_.world_->network().host_named(name);
    if (found == nullptr) throw std::invalid_argument("there is no host \"" + name + "\"");
    return network_.host_of(*found);
  }

  static std::pair<std::string, std::string> name_and_value(const std::string& word) {
    const std::size_t sign = word.find('=');
    if (sign == std::string::npos) return {word, ""};
    return {word.substr(0, sign), word.substr(sign + 1)};
  }

  static double plain_number(const std::string& text, double most) {
    const auto number = number_of(text);
    if (!number || !number->second.empty() || number->first > most) {
      throw std::invalid_argument("\"" + text + "\" is not a number from 0 to " +
                                  std::to_string(static_cast<std::uint64_t>(most)));
    }
    return number->first;
  }

  static nanoseconds time_of(const std::string& text) {
    if (const auto number = number_of(text)) {
      for (const Unit& unit : units) {
        const double time = number->first * unit.nanoseconds;
        if (number->second == unit.name && time < 9e18) {
          return nanoseconds(static_cast<nanoseconds::rep>(time));
        }
      }
    }
    throw std::invalid_argument("\"" + text + "\" is no time; write 10ms, 1.5s, 2min or 1h");
  }

  SimulatedNetwork& network_;
  std::vector<std::pair<nanoseconds, Fault>> faults_;
};

}  // namespace detail

void SimulatedNetwork::script(std::string_view faults) {
  detail::FaultScript script(*this);
  script.read(faults);
  script.schedule();
}

}  // namespace weir::inline v0
