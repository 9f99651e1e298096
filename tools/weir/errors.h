// What goes wrong, in one line that says what, where, and what would work.
#pragma once

#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#include "url.h"

namespace weir_tool {

/// The exit codes of the program, as --help lists them.
enum ExitCode { exit_ok = 0, exit_failure = 1, exit_usage = 2 };

/// The command line makes no sense: exit code 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The command line is fine, the world is not: exit code 1.
class RunError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// `command` cannot work on the simulated network, which ends with the process.
UsageError needs_real_network(std::string_view command);

/// Why connecting to `url` failed, and what would work. Errors that are none of the system's are
/// passed on as they are.
std::exception_ptr cannot_connect(const Url& url, const std::exception_ptr& error);

/// Why the connection to `url` ended, and what to do. Errors that are none of the system's, nor of TLS, are
/// passed on as they are.
std::exception_ptr lost_connection(const Url& url, const weir::CloseReason& reason);

/// Why listening at `url` failed, and what would work.
RunError cannot_listen(const Url& url, const std::system_error& error);

}  // namespace weir_tool
