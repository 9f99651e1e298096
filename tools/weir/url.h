// Endpoints as they are written on the command line: tcp://HOST:PORT.
#pragma once

#include <weir/weir.h>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir_tool {

struct Url {
  std::string host;  // without brackets
  std::uint16_t port = 0;

  /// As a person writes it: "tcp://127.0.0.1:80", "tcp://[::1]:80".
  std::string to_string() const;
};

/// Servers may leave the choice of a port to the kernel, by port 0.
enum class PortRule { must_be_given, zero_takes_a_free_one };

/// Reads `text`; throws UsageError with what is wrong in it and how to write it right.
Url parse_url(std::string_view text, PortRule rule);

/// The endpoint that a socket is bound to.
Url url_of(const weir::Address& address);

}  // namespace weir_tool
