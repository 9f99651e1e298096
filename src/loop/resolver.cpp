#include "resolver.h"

#include <weir/error.h>
#include <weir/event_loop.h>

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "loop.h"
#include "operation.h"
#include "resolver_threads.h"
#include "sockaddr.h"

namespace weir::inline v0 {
namespace detail {
namespace {

using Addresses = std::vector<AddressInfo>;

std::error_code resolver_error(int code) noexcept { return {code, resolver_category()}; }

/// What the resolver's functions returned; EAI_SYSTEM means errno.
std::error_code resolver_outcome(int code) noexcept {
  return code == EAI_SYSTEM ? std::error_code(errno, std::system_category()) : resolver_error(code);
}

int system_family(AddressFamily family) noexcept {
  switch (family) {
    case AddressFamily::ipv4: return AF_INET;
    case AddressFamily::ipv6: return AF_INET6;
    case AddressFamily::unix_socket: return AF_UNIX;
    case AddressFamily::unspecified: break;
  }
  return AF_UNSPEC;
}

int system_type(SocketType type) noexcept {
  switch (type) {
    case SocketType::stream: return SOCK_STREAM;
    case SocketType::datagram: return SOCK_DGRAM;
    case SocketType::any: break;
  }
  return 0;
}

SocketType type_of(int type) noexcept {
  if (type == SOCK_STREAM) return SocketType::stream;
  if (type == SOCK_DGRAM) return SocketType::datagram;
  return SocketType::any;
}

int protocol_of(SocketType type) noexcept {
  return type == SocketType::datagram ? IPPROTO_UDP : IPPROTO_TCP;
}

bool family_wanted(const AddressQuestion& question, const Address& address) noexcept {
  const AddressFamily wanted = question.options.family;
  return wanted == AddressFamily::unspecified || wanted == address.family();
}

/// The port `service` says in digits, 0 for an empty one; nothing for a name.
std::optional<std::uint16_t> decimal_port(std::string_view service) noexcept {
  if (service.empty()) return std::uint16_t{0};
  std::uint16_t port = 0;
  const char* const end = service.data() + service.size();
  const auto [stop, error] = std::from_chars(service.data(), end, port);
  if (error != std::errc() || stop != end) return std::nullopt;
  return port;
}

bool is_digits(std::string_view text) noexcept {
  return std::ranges::all_of(text, [](unsigned char c) { return std::isdigit(c) != 0; });
}

AddressInfo info_of(const AddressQuestion& question, const Address& address, SocketType type) {
  std::string canonical = (question.options.flags & AI_CANONNAME) != 0 ? question.host : "";
  return {address, type, protocol_of(type), std::move(canonical)};
}

/// Everything `address` can be used for, of what was asked.
void append_infos(const AddressQuestion& question, const Address& address, Addresses& infos) {
  if (question.options.type != SocketType::any) {
    infos.push_back(info_of(question, address, question.options.type));
    return;
  }
  infos.push_back(info_of(question, address, SocketType::stream));
  infos.push_back(info_of(question, address, SocketType::datagram));
}

/// What no host means.
std::vector<Address> unnamed_hosts(bool passive) {
  if (passive) return {Address::ipv4({}, 0), Address::ipv6({}, 0)};
  return {*Address::parse("::1", 0), *Address::parse("127.0.0.1", 0)};
}

/// The addresses of `question.host` where names are the backend's: `known` is what it says.
std::vector<Address> addresses_of(const AddressQuestion& question, std::vector<Address> known) {
  if (question.host.empty()) return unnamed_hosts((question.options.flags & AI_PASSIVE) != 0);
  if (auto literal = Address::parse(question.host, 0)) return {std::move(*literal)};
  return known;
}

const char* text_or_null(const std::string& text) noexcept {
  return text.empty() ? nullptr : text.c_str();
}

/// Why the question cannot be put to a resolver at all, if it cannot: the system reads a host up to
/// its first NUL, and a port modulo 65536.
std::exception_ptr flaw_of(const AddressQuestion& question) {
  const auto refused = [](int code, const std::string& text) {
    return std::make_exception_ptr(std::system_error(resolver_error(code), text));
  };
  if (question.host.empty() && question.service.empty()) {
    return refused(EAI_NONAME, "there is neither a host nor a service to resolve");
  }
  if (question.host.size() >= NI_MAXHOST) return refused(EAI_NONAME, "the host name is too long");
  if (question.host.find('\0') != std::string::npos) {
    return refused(EAI_NONAME, "the host name contains a NUL byte");
  }
  if (question.service.find('\0') != std::string::npos) {
    return refused(EAI_SERVICE, "the service name contains a NUL byte");
  }
  if (is_digits(question.service) && !decimal_port(question.service)) {
    return refused(EAI_SERVICE, "port " + question.service + " is not in 0-65535");
  }
  return nullptr;
}

template <class T>
void complete(const Future<T>& future, Result<T> answer, const std::string& subject) {
  if (answer) return future.set_result(std::move(answer.value()));
  future.set_exception(std::make_exception_ptr(std::system_error(answer.error(), subject)));
}

/// A question that is with a resolver thread. Only the question goes there: the future, and what its
/// user hung on it, stay on the loop's thread.
template <class T>
class Lookup final : public Operation {
 public:
  using Question = UniqueFunction<Result<T>()>;

  /// Answers `question`, about what `subject` says, into `future`.
  static void start(Loop& loop, Question question, std::string subject, const Future<T>& future) {
    auto& lookup = loop.own(std::make_unique<Lookup>(loop, std::move(subject), future));
    try {
      lookup.submit(std::move(question));
    } catch (...) {
      future.set_exception(std::current_exception());
      return lookup.finish();
    }
    FutureAccess::state(future)->set_cancel_hook(
        [cancel = unless_over(lookup, [](Lookup& self) { self.finish(); })]() mutable {
          cancel();
          return false;
        });
  }

  Lookup(Loop& loop, std::string subject, Future<T> future)
      : Operation(loop), subject_(std::move(subject)), future_(std::move(future)) {}
  ~Lookup() override { resolver_threads().withdraw(ticket_); }

 private:
  void submit(Question question) {
    ticket_ =
        resolver_threads().submit([box = loop().post_box(), deliver = unless_over(*this, &answered),
                                   question = std::move(question)]() mutable {
          box->post([deliver = std::move(deliver), answer = question()]() mutable {
            deliver(std::move(answer));
          });
        });
  }

  static void answered(Lookup& self, Result<T> answer) {
    const Future<T> future = self.future_;
    const std::string subject = std::move(self.subject_);
    self.finish();
    complete(future, std::move(answer), subject);
  }

  std::string subject_;
  Future<T> future_;
  ThreadPool::Ticket ticket_{};
};

std::string subject_of(const AddressQuestion& question) {
  std::string subject = "resolve " + question.host;
  if (!is_digits(question.service)) subject += ":" + question.service;
  return subject;
}

/// Completes `future` by what the backend knows of the name, at once or when it is time.
void answer(Loop& loop, const Future<Addresses>& future, const AddressQuestion& question,
            KnownName known) {
  Result<Addresses> addresses = resolver_error(EAI_AGAIN);
  if (!known.fails) {
    addresses = known_answer(question, addresses_of(question, std::move(known.addresses)));
  }
  if (known.delay <= std::chrono::nanoseconds::zero()) {
    return complete(future, std::move(addresses), subject_of(question));
  }
  loop.call_after(
      known.delay,
      [future, addresses = std::move(addresses), subject = subject_of(question)]() mutable {
        if (!future.done()) complete(future, std::move(addresses), subject);
      },
      {});
}

std::exception_ptr closed_error() {
  return std::make_exception_ptr(WrongStateError("Event loop is closed"));
}

/// The names of an address where only the loop's own network exists.
Result<NameInfo> known_names(const Address& address, int flags) {
  if ((flags & NI_NAMEREQD) != 0) return resolver_error(EAI_NONAME);
  return NameInfo{address.host(), std::to_string(address.port())};
}

}  // namespace

const int passive_flag = AI_PASSIVE;

std::optional<Addresses> literal_answer(const AddressQuestion& question) {
  const ResolveOptions& options = question.options;
  if (options.type == SocketType::any) return std::nullopt;
  if (options.protocol != 0 && options.protocol != IPPROTO_TCP && options.protocol != IPPROTO_UDP) {
    return std::nullopt;
  }
  const auto port = decimal_port(question.service);
  if (!port) return std::nullopt;
  const auto address = Address::parse(question.host, *port);
  if (!address || !family_wanted(question, *address)) return std::nullopt;
  return Addresses{info_of(question, *address, options.type)};
}

Result<Addresses> known_answer(const AddressQuestion& question,
                               const std::vector<Address>& addresses) {
  const auto port = decimal_port(question.service);
  if (!port) return resolver_error(EAI_SERVICE);
  Addresses infos;
  for (const Address& address : addresses) {
    if (family_wanted(question, address)) append_infos(question, address.with_port(*port), infos);
  }
  if (infos.empty()) return resolver_error(EAI_NONAME);
  return infos;
}

Result<Addresses> system_answer(const AddressQuestion& question) {
  addrinfo hints{};
  hints.ai_family = system_family(question.options.family);
  hints.ai_socktype = system_type(question.options.type);
  hints.ai_protocol = question.options.protocol;
  hints.ai_flags = question.options.flags;
  addrinfo* found = nullptr;
  const int code =
      ::getaddrinfo(text_or_null(question.host), text_or_null(question.service), &hints, &found);
  if (code != 0) return resolver_outcome(code);
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(found, &::freeaddrinfo);
  Addresses infos;
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
    Address address = address_from(*info->ai_addr, info->ai_addrlen);
    if (address.empty()) continue;
    infos.push_back({std::move(address), type_of(info->ai_socktype), info->ai_protocol,
                     info->ai_canonname != nullptr ? info->ai_canonname : ""});
  }
  return infos;
}

Result<NameInfo> system_answer(const Address& address, int flags) {
  sockaddr_storage storage{};
  const socklen_t length = sockaddr_from(address, storage);
  if (length == 0) return resolver_error(EAI_FAMILY);
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> service{};
  const int code = ::getnameinfo(reinterpret_cast<const sockaddr*>(&storage), length, host.data(),
                                 host.size(), service.data(), service.size(), flags);
  if (code != 0) return resolver_outcome(code);
  return NameInfo{host.data(), service.data()};
}

}  // namespace detail

Future<std::vector<AddressInfo>> getaddrinfo(EventLoop& loop, std::string_view host,
                                             std::string_view service, ResolveOptions options) {
  using namespace detail;
  Loop& inner = Loop::of(loop);
  Future<Addresses> future(loop);
  AddressQuestion question{std::string(host), std::string(service), options};
  if (inner.is_closed()) {
    future.set_exception(closed_error());
  } else if (auto flaw = flaw_of(question)) {
    future.set_exception(std::move(flaw));
  } else if (auto literal = literal_answer(question)) {
    future.set_result(std::move(*literal));
  } else if (auto known = inner.backend().known_name(host)) {
    answer(inner, future, question, std::move(*known));
  } else {
    std::string subject = subject_of(question);
    Lookup<Addresses>::start(
        inner, [question = std::move(question)] { return system_answer(question); },
        std::move(subject), future);
  }
  return future;
}

Future<NameInfo> getnameinfo(EventLoop& loop, const Address& address, int flags) {
  using namespace detail;
  Loop& inner = Loop::of(loop);
  Future<NameInfo> future(loop);
  std::string subject = "name of " + address.to_string();
  if (inner.is_closed()) {
    future.set_exception(closed_error());
  } else if (address.empty()) {
    complete(future, Result<NameInfo>(resolver_error(EAI_FAMILY)), "name of no address");
  } else if (inner.backend().known_name(address.host())) {
    complete(future, known_names(address, flags), subject);
  } else {
    Lookup<NameInfo>::start(
        inner, [address, flags] { return system_answer(address, flags); }, std::move(subject),
        future);
  }
  return future;
}

}  // namespace weir::inline v0
