#include "stream.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <exception>
#include <optional>
#include <system_error>
#include <utility>

#include "child_stream.h"
#include "errors.h"
#include "standard_streams.h"

namespace weir_tool {
namespace {

/// Completes `opened` when `opening` is complete, with its error in words.
template <class T>
void report(const weir::Future<T>& opening, const Url& url, const weir::Future<>& opened) {
  opening.add_done_callback([url, opened](const weir::Future<T>& done) {
    if (const std::exception_ptr error = done.exception()) {
      opened.set_exception(cannot_connect(url, error));
    } else {
      opened.set_result();
    }
  });
}

/// Whether a server is there: listening would take its path away.
bool is_answered(weir::EventLoop& loop, const std::string& path) {
  try {
    const auto connection =
        loop.run_until_complete(weir::create_unix_connection<weir::Protocol>(loop, path));
    connection.transport.abort();
    return true;
  } catch (const std::system_error& error) {
    return error.code() == std::errc::resource_unavailable_try_again;  // it is busy
  }
}

}  // namespace

void Stream::write_eof() const {
  if (pipes_) pipes_->writing_ended = true;
  if (can_write_eof()) writer_.write_eof();
}

void Stream::close() const {
  if (pipes_) {
    pipes_->writing_ended = true;
    if (pipes_->command && !pipes_->has_ended) {
      pipes_->is_cut_off = true;
      pipes_->command->terminate();
    }
  }
  reader_.close();
  writer_.close();
}

void Stream::abort() const {
  if (pipes_) pipes_->writing_ended = pipes_->is_cut_off = true;
  if (pipes_ && pipes_->command) return pipes_->command->close();
  writer_.abort();
  reader_.close();
}

void Stream::reset() const {
  if (const auto socket = writer_.get_extra_info<weir::SocketView>("socket")) {
    // A socket that is closed without lingering sends RST instead of FIN. Where this fails it is an abort().
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(socket->descriptor, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  abort();
}

weir::Future<> open_stream(weir::EventLoop& loop, const Url& url,
                           std::shared_ptr<StreamProtocol> protocol) {
  weir::Future<> opened = loop.create_future();
  const auto factory = [protocol] { return protocol; };
  visit_url(
      url,
      [&](const TcpUrl& tcp) {
        report(weir::create_connection(loop, factory, tcp.host, tcp.port), url, opened);
      },
      [&](const TlsUrl& tls) {
        report(
            weir::create_connection(loop, factory, tls.host, tls.port,
                                    {.tls = tls.context, .server_hostname = tls.server_hostname}),
            url, opened);
      },
      [&](const UnixUrl& local) {
        report(weir::create_unix_connection(loop, factory, local.path), url, opened);
      },
      [&](const ExecUrl& exec) {
        report(start_command(loop, exec.command, protocol), url, opened);
      },
      [&](const StdioUrl&) {
        if (weir::Descriptor socket = take_standard_socket()) {
          report(weir::connect_accepted_socket(loop, factory, socket.release()), url, opened);
        } else {
          report(open_standard_streams(loop, protocol), url, opened);
        }
      },
      [&](const UdpUrl&) { throw UsageError("udp is no stream"); });
  return opened;
}

weir::Server listen(weir::EventLoop& loop, const Url& url, StreamFactory factory) {
  try {
    if (const auto* local = std::get_if<UnixUrl>(&url)) {
      if (is_answered(loop, local->path)) {
        throw std::system_error(std::make_error_code(std::errc::address_in_use));
      }
      return loop.run_until_complete(
          weir::create_unix_server(loop, std::move(factory), local->path));
    }
    if (const auto* tls = std::get_if<TlsUrl>(&url)) {
      return loop.run_until_complete(weir::create_server(loop, std::move(factory), tls->host,
                                                         tls->port, {.tls = tls->context}));
    }
    const auto& tcp = std::get<TcpUrl>(url);
    return loop.run_until_complete(
        weir::create_server(loop, std::move(factory), tcp.host, tcp.port));
  } catch (const std::system_error& error) {
    throw cannot_listen(url, error);
  }
}

weir::Server listen_along(weir::EventLoop& loop, const Url& url, int socket,
                          StreamFactory factory) {
  try {
    weir::Descriptor own(::fcntl(socket, F_DUPFD_CLOEXEC, 0));
    if (own.get() < 0) throw std::system_error(errno, std::system_category(), "dup");
    std::optional<weir::Server> server;
    if (is<UnixUrl>(url)) {
      server = loop.run_until_complete(weir::create_unix_server(
          loop, std::move(factory), {.cleanup_socket = false, .sock = own.get()}));
    } else {
      const auto* tls = std::get_if<TlsUrl>(&url);
      server = loop.run_until_complete(weir::create_server(
          loop, std::move(factory),
          {.sock = own.get(), .tls = tls ? std::optional(tls->context) : std::nullopt}));
    }
    static_cast<void>(own.release());
    return *server;
  } catch (const std::system_error& error) {
    throw cannot_listen(url, error);
  }
}

}  // namespace weir_tool
