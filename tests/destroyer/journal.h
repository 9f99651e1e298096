#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace weir::destroyer {

/// What happened, for whoever has to find out why: the last lines of it, its hash, and how often what was done.
/// Of equal runs the hashes are equal.
class Journal {
 public:
  /// Printed when something is broken: how to repeat the run.
  explicit Journal(std::string how_to_repeat);
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal();

  /// A callback of end `who`, or what happened elsewhere. `what` lives as long as the program.
  void event(const char* what, std::size_t who = 0, std::size_t amount = 0) {
    enter('<', what, who, amount);
    ++events_;
  }
  /// An action: a step.
  void step(const char* what, std::size_t who = 0, std::size_t amount = 0) {
    ++steps_;
    enter('>', what, who, amount);
    ++counts_[what];
  }
  /// What becomes of the last step: told, but no step of its own.
  void note(const char* what, std::size_t who = 0, std::size_t amount = 0) {
    enter(' ', what, who, amount);
  }

  /// Ends the program, as a finding.
  [[noreturn]] void broken(const std::string& what) const;
  void require(bool holds, const char* what) const {
    if (!holds) broken(what);
  }

  std::uint64_t steps() const noexcept { return steps_; }
  std::uint64_t events() const noexcept { return events_; }
  std::uint64_t hash() const noexcept { return hash_; }
  const std::map<std::string_view, std::uint64_t>& counts() const noexcept { return counts_; }

  /// Marks what happens within it as nested.
  class Nested {
   public:
    explicit Nested(Journal& journal) noexcept : journal_(journal) { ++journal_.depth_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;
    ~Nested() { --journal_.depth_; }

   private:
    Journal& journal_;
  };

  /// Prints every line as it comes.
  void set_verbose() noexcept { verbose_ = true; }

  /// Ends the program with the lines of the journal there is, for a handler of signals.
  [[noreturn]] static void ends(const char* why);

 private:
  struct Line {
    char sign = ' ';
    const char* what = "";
    std::size_t who = 0;
    std::size_t amount = 0;
    std::size_t depth = 0;
    std::uint64_t step = 0;
  };

  static void print(const Line& line);
  void enter(char sign, const char* what, std::size_t who, std::size_t amount);

  std::string how_to_repeat_;
  std::array<Line, 256> lines_{};
  std::size_t entered_ = 0;
  std::size_t depth_ = 0;
  bool verbose_ = false;
  std::uint64_t steps_ = 0;
  std::uint64_t events_ = 0;
  std::uint64_t hash_ = 0xCBF29CE484222325U;
  std::map<std::string_view, std::uint64_t> counts_;
};

}  // namespace weir::destroyer
