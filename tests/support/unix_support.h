#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

#include "endpoint_support.h"
#include "temporary_directory.h"

namespace weir::test {

/// A Unix socket of a test's own, bound to `path` if there is one; not listening.
inline Descriptor unix_socket(const std::string& path = {}, int type = SOCK_STREAM) {
  Descriptor socket(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  if (socket.get() < 0 ||
      (!path.empty() &&
       ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0)) {
    throw std::runtime_error("no Unix socket");
  }
  return socket;
}

/// A test with servers and clients at Unix addresses of one loop.
class UnixEndpointTest : public EndpointTest {
 protected:
  Future<Server> start_listening_at(std::string_view path, UnixServerOptions options = {}) {
    return create_unix_server(loop(), accepting_factory(), path, options);
  }
  Server listen_at(std::string_view path, UnixServerOptions options = {}) {
    return run_until_done(start_listening_at(path, options));
  }
  auto start_connecting_to(Recorder& client, std::string_view path,
                           UnixConnectOptions options = {}) {
    return create_unix_connection(loop(), factory_of(client), path, options);
  }
  /// A connection to `path`; waits until both ends were told.
  Recorder& connect_to(std::string_view path) {
    const std::size_t before = accepted.size();
    Recorder& client = new_client();
    run_until_done(start_connecting_to(client, path));
    run_until([&] { return accepted.size() > before && accepted.back().made(); });
    return client;
  }
  /// How a connection to `path` ends that is opened now; see outcome().
  std::string try_to_connect_to(std::string_view path) {
    return outcome_of(start_connecting_to(new_client("tried"), path));
  }
  /// What the error of the future says; waits for it.
  template <class T>
  std::string text_of(const Future<T>& future) {
    run_until([&] { return future.done(); });
    return what(future.exception());
  }
};

/// The same over every backend.
class EveryUnixEndpoint : public UnixEndpointTest,
                          public ::testing::WithParamInterface<BackendKind> {
 protected:
  void SetUp() override { open_loop(loop_options(GetParam())); }
};

}  // namespace weir::test
