#pragma once

#include <weir/weir.h>

#include <cstddef>
#include <exception>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace weir::oracle {

/// What the callbacks of a scenario throw.
class UserError : public std::exception {
 public:
  const char* what() const noexcept override { return "UserError"; }
};

std::exception_ptr make_error(std::string_view kind);

/// The kind of an exception under Python's name; "none" for a null pointer.
std::string kind_of(const std::exception_ptr& exception);
std::string kind_of(const std::error_code& code);

inline std::string shown(bool value) { return value ? "true" : "false"; }

/// What happened, a line each, and how often.
class Trace {
 public:
  explicit Trace(bool hide_data) : hide_data_(hide_data) {}

  void add(const std::string& actor, std::string text);
  /// Bytes for `event`; those that follow each other at one actor are one line.
  void add_data(const std::string& actor, const std::string& event, std::string_view bytes);
  /// Another time of `event`; returns how many there are now.
  int count(const std::string& label, const std::string& event) {
    return ++counts_[{label, event}];
  }
  int counted(const std::string& label, const std::string& event) const;

  void print() const;

 private:
  struct Line {
    std::string actor;
    std::string text;
    std::string event{};  ///< of data, else empty
    std::string bytes{};
  };

  bool hide_data_;
  std::vector<Line> lines_;
  std::map<std::pair<std::string, std::string>, int> counts_;
};

}  // namespace weir::oracle
