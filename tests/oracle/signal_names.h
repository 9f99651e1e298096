#pragma once

#include <csignal>
#include <map>
#include <string>

namespace weir::oracle {

/// The number of "SIGUSR1", or of "10".
inline int signal_named(const std::string& name) {
  static const std::map<std::string, int> numbers = {
      {"SIGCHLD", SIGCHLD}, {"SIGINT", SIGINT},   {"SIGKILL", SIGKILL}, {"SIGSTOP", SIGSTOP},
      {"SIGTERM", SIGTERM}, {"SIGUSR1", SIGUSR1}, {"SIGUSR2", SIGUSR2}};
  const auto found = numbers.find(name);
  return found == numbers.end() ? std::stoi(name) : found->second;
}

}  // namespace weir::oracle
