#include "session_cache.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <mutex>
#include <string>
#include <utility>

namespace weir::inline v0::detail {

void SessionCache::keep(std::string server_name, SslSessionPtr session) {
  const std::scoped_lock lock(mutex_);
  const auto is_of_server = [&](const Entry& entry) { return entry.server_name == server_name; };
  const auto of_server = std::ranges::count_if(entries_, is_of_server);
  if (static_cast<std::size_t>(of_server) >= max_sessions_of_a_server) {
    entries_.erase(std::ranges::find_if(entries_, is_of_server));
  } else if (entries_.size() >= max_sessions) {
    entries_.pop_front();
  }
  entries_.push_back({std::move(server_name), std::move(session)});
}

SslSessionPtr SessionCache::take(const std::string& server_name) {
  const std::scoped_lock lock(mutex_);
  std::erase_if(entries_, [](const Entry& entry) {
    return SSL_SESSION_is_resumable(entry.session.get()) != 1;
  });
  const auto newest = std::find_if(entries_.rbegin(), entries_.rend(), [&](const Entry& entry) {
    return entry.server_name == server_name;
  });
  if (newest == entries_.rend()) return nullptr;
  SslSessionPtr session;
  if (SSL_SESSION_get_protocol_version(newest->session.get()) >= TLS1_3_VERSION) {
    session = std::move(newest->session);
    entries_.erase(std::next(newest).base());
  } else if (SSL_SESSION_up_ref(newest->session.get()) == 1) {
    session.reset(newest->session.get());
  }
  return session;
}

}  // namespace weir::inline v0::detail
