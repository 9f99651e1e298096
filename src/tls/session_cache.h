#pragma once

#include <deque>
#include <mutex>
#include <string>

#include "openssl_handles.h"

namespace weir::inline v0::detail {

/// The last TLS sessions of a client, by the server's name. Bounded. Threads: any.
class SessionCache {
 public:
  static constexpr std::size_t max_sessions = 256;
  /// More than one, so that connections that are opened together can each resume one.
  static constexpr std::size_t max_sessions_of_a_server = 4;

  /// Keeps `session` as the newest one; drops the oldest if there are too many.
  void keep(std::string server_name, SslSessionPtr session);

  /// The newest session of `server_name` that can be resumed; null without one. One of TLS 1.3 is given
  /// away, since using its ticket twice would let an onlooker join the two connections.
  SslSessionPtr take(const std::string& server_name);

 private:
  struct Entry {
    std::string server_name;
    SslSessionPtr session;
  };

  std::mutex mutex_;
  std::deque<Entry> entries_;  // the oldest first
};

}  // namespace weir::inline v0::detail
