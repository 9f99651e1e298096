#include "operations.h"

#include <fcntl.h>
#include <weir/executor.h>
#include <weir/sendfile.h>
#include <weir/sock.h>
#include <weir/tls.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <vector>

#include "endpoint.h"
#include "tls_words.h"

// What a loop does once and then tells the outcome of.
namespace weir::oracle {
namespace {

SendfileOptions sendfile_options(const Words& words, std::size_t first) {
  SendfileOptions options;
  for (std::size_t i = first; i < words.size(); ++i) {
    const std::size_t equals = words[i].find('=');
    const std::string name = words[i].substr(0, equals);
    const std::string value = words[i].substr(equals + 1);
    if (name == "fallback") {
      options.fallback = value != "false";
    } else {
      const auto number = static_cast<std::uint64_t>(std::stoll(value));
      (name == "offset" ? options.offset : options.count.emplace()) = number;
    }
  }
  return options;
}

std::string text_of_bytes(std::span<const std::byte> bytes) { return std::string(as_text(bytes)); }

std::string in_digits(const Future<std::uint64_t>& sent) { return std::to_string(sent.result()); }

/// From now on the system sends no files over this socket: it would have to append.
void refuse_sendfile(int socket) { ::fcntl(socket, F_SETFL, ::fcntl(socket, F_GETFL) | O_APPEND); }

AnyProtocol protocol_of(const End& end) {
  const auto base = end.transport.get_protocol();
  if (auto buffered = std::dynamic_pointer_cast<BufferedProtocol>(base)) return buffered;
  return std::dynamic_pointer_cast<Protocol>(base);
}

auto says(std::string text) {
  return [text = std::move(text)](const auto&) { return text; };
}

/// Receives to the end of the stream.
class Drain : public std::enable_shared_from_this<Drain> {
 public:
  Drain(EventLoop& loop, int socket) : loop_(loop), socket_(socket), total_(loop) {}

  Future<std::uint64_t> total() const { return total_; }
  void receive() {
    constexpr std::size_t block = std::size_t{1} << 16U;
    sock_recv(loop_, socket_, block)
        .add_done_callback([self = shared_from_this()](const auto& done) {
          if (done.exception() != nullptr) return self->total_.set_exception(done.exception());
          const std::size_t size = done.result().size();
          self->received_ += size;
          if (size == 0) return self->total_.set_result(self->received_);
          self->receive();
        });
  }

 private:
  EventLoop& loop_;
  int socket_;
  std::uint64_t received_ = 0;
  Future<std::uint64_t> total_;
};

}  // namespace

bool Runner::sendfile_verb(End& end, const Words& words) {
  if (words[0] == "refuse_sendfile") {
    refuse_sendfile(socket_of(end.name));
    return true;
  }
  if (words[0] != "sendfile") return false;
  const auto future =
      sendfile(*loop_, end.transport, files_.descriptor(words.at(2)), sendfile_options(words, 3));
  tell_outcome(*this, end.name, words[1], future, [&end](const Future<std::uint64_t>& sent) {
    end.sent += std::string(sent.result(), 'f');
    return in_digits(sent);
  });
  return true;
}

/// `start_tls OPERATION [OPTION]...`
void Runner::start_tls_verb(End& end, const Words& words) {
  Words said = words;
  said.emplace_back("tls");
  const TlsWords tls = end.name.starts_with("server")
                           ? server_tls(said, certificates_)
                           : client_tls(said, certificates_, "localhost");
  StartTlsOptions options;
  tls.set_in(options);
  const auto future = start_tls(*loop_, end.transport, protocol_of(end), *tls.context, options);
  tell_outcome(*this, end.name, words.at(1), future, [&end](const Future<Transport>& done) {
    end.transport = done.result();
    return std::string("done");
  });
}

/// False if `words` are about something else.
bool Runner::operation_verb(const Words& words) {
  const std::string& verb = words[0];
  if (verb.starts_with("sock_")) {
    sock_verb(words);
  } else if (verb == "cancel_operation") {
    cancel_operation_.at(words.at(1))();
  } else if (verb == "run_in_executor") {
    const std::string error = words.size() > 2 ? words[2] : "";
    auto job = [error] {
      if (!error.empty()) std::rethrow_exception(make_error(error));
    };
    tell_outcome(*this, "loop", words.at(1), run_in_executor(*loop_, job), says("done"));
  } else if (verb == "shutdown_default_executor") {
    tell_outcome(*this, "loop", words.at(1), loop_->shutdown_default_executor(), says("done"));
  } else {
    return false;
  }
  return true;
}

/// An end, or the socket of a connection, which is the transport's.
int Runner::socket_of(const std::string& name) const {
  const auto end = ends_.find(name);
  if (end == ends_.end()) return files_.descriptor(name);
  return end->second->transport.get_extra_info<SocketView>("socket").value().descriptor;
}

/// `sock_VERB OPERATION END ...`
void Runner::sock_verb(const Words& words) {
  const std::string& verb = words[0];
  const std::string& name = words.at(1);
  const int socket = socket_of(words.at(2));
  const auto tell = [&](auto future, auto show) {
    tell_outcome(*this, "loop", name, std::move(future), std::move(show));
  };
  if (verb == "sock_recv") {
    tell(sock_recv(*loop_, socket, std::stoul(words.at(3))),
         [](const auto& done) { return text_of_bytes(done.result()); });
  } else if (verb == "sock_recv_all") {
    const auto drain = std::make_shared<Drain>(*loop_, socket);
    drain->receive();
    tell(drain->total(), in_digits);
  } else if (verb == "sock_recv_into") {
    const auto buffer = std::make_shared<std::vector<std::byte>>(std::stoul(words.at(3)));
    tell(sock_recv_into(*loop_, socket, *buffer), [buffer](const auto& done) {
      const std::size_t size = done.result();
      return std::to_string(size) + ' ' + text_of_bytes(std::span(*buffer).first(size));
    });
  } else if (verb == "sock_recvfrom") {
    tell(sock_recvfrom(*loop_, socket, std::stoul(words.at(3))),
         [](const auto& done) { return text_of_bytes(done.result().data); });
  } else if (verb == "sock_sendall") {
    tell(sock_sendall(*loop_, socket, as_bytes(words.at(3))), says("done"));
  } else if (verb == "sock_sendall_repeat") {
    const std::string text(std::stoul(words.at(3)), words.at(4)[0]);
    tell(sock_sendall(*loop_, socket, as_bytes(text)), says("done"));
  } else if (verb == "sock_accept") {
    tell(sock_accept(*loop_, socket), [this, name](const Future<Accepted>& done) {
      files_.add_descriptor(name, done.result().socket.release());
      return std::string("accepted");
    });
  } else if (verb == "sock_connect") {
    const Address peer =
        words.at(3) == "nobody" ? Files::free_address() : files_.address_of(words[3]);
    tell(sock_connect(*loop_, socket, peer), says("connected"));
  } else if (verb == "sock_sendfile") {
    tell(sock_sendfile(*loop_, socket, files_.descriptor(words.at(3)), sendfile_options(words, 4)),
         in_digits);
  } else {
    unknown_verb(words);
  }
}

}  // namespace weir::oracle
