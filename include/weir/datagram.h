#pragma once

#include <weir/address.h>
#include <weir/buffer.h>
#include <weir/callback.h>
#include <weir/connect.h>
#include <weir/detail/open_transport.h>
#include <weir/detail/slot.h>
#include <weir/event_loop.h>
#include <weir/export.h>
#include <weir/future.h>
#include <weir/protocol.h>
#include <weir/transport.h>

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>

namespace weir::inline v0 {

class DatagramProtocol;

namespace detail {
class DatagramCore;
}  // namespace detail

/// A datagram socket as its user holds it: a name for a transport that the loop owns. Copying it, what
/// a copy is once connection_lost() has returned, and threads: as Transport. [B17, C7]
///
/// What goes wrong with a single datagram is told by DatagramProtocol::error_received() and never
/// thrown; the transport stays open. [D9, D10]
class WEIR_API DatagramTransport {
 public:
  DatagramTransport() noexcept = default;

  /// Sends `data`, which may be empty, as one datagram; never blocks. `data` is copied if the datagram
  /// cannot be sent at once, and then leaves after those that wait already. [D4, D5, C6]
  ///
  /// `destination` may be left out, and must be left out or equal to the peer, if the peer was fixed at
  /// creation: std::invalid_argument otherwise. [D6] Without any destination the protocol is told
  /// destination_address_required. [D7]
  ///
  /// May call error_received() before returning: what it throws comes out of here. [D11, D13] May call
  /// pause_writing(). [F5, F8] After the end of the transport datagrams are dropped. [D15]
  ///
  /// Answers are sent together: from inside a datagram_received() that is one of several in a row,
  /// datagrams are kept back until the last of these, and their errors are told then: before the
  /// loop's next turn in any case, and without pausing anybody.
  void sendto(std::span<const std::byte> data, const Address& destination = {}) const;
  void sendto(std::string_view text, const Address& destination = {}) const {
    sendto(as_bytes(text), destination);
  }

  /// Closes: nothing more is received, what waits is still sent, then connection_lost() comes from the
  /// loop. [D14]
  void close() const;
  /// Closes at once, dropping what waits. connection_lost() comes from the loop. [D14]
  void abort() const;
  /// True from the first close() or abort() on, for ever. [C9]
  bool is_closing() const;

  /// No datagram_received() after this returns, until resume_reading(); what the system cannot keep
  /// meanwhile is lost. Both may be repeated, and do nothing on a closing transport. [D16, S8, S9]
  void pause_reading() const;
  /// Never delivers before it returns. [S11]
  void resume_reading() const;
  /// Not paused and not closing. [S12]
  bool is_reading() const;

  /// As Transport's. Each waiting datagram counts with its length and 8 more. [D8, D17]
  ///
  /// Where sockets always look writable (BSD, macOS) it never pauses; what is too much is dropped by the
  /// system, and may be told as no_buffer_space. [D17]
  void set_write_buffer_limits(WriteBufferLimits limits = {}) const;
  EffectiveWriteBufferLimits get_write_buffer_limits() const;
  std::size_t get_write_buffer_size() const;

  /// "sockname", and "peername" if it is connected to a peer with a name (Address); "socket"
  /// (SocketView). `fallback` for anything else, and once connection_lost() has returned. [X2]
  ExtraInfo get_extra_info(std::string_view name, ExtraInfo fallback = {}) const;

  /// The same for a known type: get_extra_info<Address>("sockname").
  template <class T>
  std::optional<T> get_extra_info(std::string_view name) const {
    ExtraInfo info = get_extra_info(name, ExtraInfo());
    if (T* value = std::get_if<T>(&info)) return std::move(*value);
    return std::nullopt;
  }

  /// Hands the socket to another protocol, at once, as Transport::set_protocol(). [B12]
  /// Throws std::invalid_argument for no protocol.
  void set_protocol(std::shared_ptr<DatagramProtocol> protocol) const;
  /// The protocol, empty once connection_lost() has returned. [B17]
  std::shared_ptr<DatagramProtocol> get_protocol() const;

  /// Takes part in the multicast group `group`, or no longer: its datagrams are received, too. `interface`
  /// is an address of this machine, the system's choice if left out; for IPv6 its scope_id counts.
  ///
  /// These and the following throw std::system_error if the system refuses. On a transport that is over
  /// they do nothing. [D20]
  void join_group(const Address& group, const Address& interface = {}) const;
  void leave_group(const Address& group, const Address& interface = {}) const;
  /// How many routers datagrams may pass: to single hosts, and to groups (at first 1, the own network).
  void set_ttl(int hops) const;
  void set_multicast_ttl(int hops) const;
  /// Whether members of the group on this machine get what is sent to it; at first they do.
  void set_multicast_loop(bool enabled) const;
  /// By which of this machine's interfaces datagrams to groups leave.
  void set_multicast_interface(const Address& interface) const;

  friend bool operator==(const DatagramTransport&, const DatagramTransport&) = default;

 private:
  friend class detail::DatagramCore;
  friend class detail::Lifecycle;
  explicit DatagramTransport(detail::SlotRef ref) noexcept : ref_(ref) {}

  detail::SlotRef ref_;
};

/// A protocol of datagrams.
///
///     start -> connection_made [-> datagram_received | error_received]* -> connection_lost -> end
///
/// What datagram_received() or error_received() throws is reported, and the transport stays open. [D13]
class WEIR_API DatagramProtocol : public AbstractProtocol {
 public:
  ~DatagramProtocol() override;

  /// The socket is open. Keep `transport` to send by it; nobody else keeps it for you. [D1, B19]
  virtual void connection_made(DatagramTransport transport);

  /// One datagram arrived, which may be empty. `data` and `sender` are valid until this returns; a sender
  /// without a name has no address. [D2, D3, C5]
  virtual void datagram_received(std::span<const std::byte> data, const Address& sender);

  /// A datagram could not be sent, or receiving failed: connection_refused if nobody listens at a
  /// peer's port, message_size if a datagram was too large. The transport stays open. May be called from
  /// inside sendto(). [D9-D11]
  virtual void error_received(std::error_code error);
};

namespace detail {

template <class T>
concept DatagramMembers =
    requires(T& object, std::span<const std::byte> data, const Address& sender) {
      object.datagram_received(data, sender);
    };

template <class T>
class AdaptedDatagramProtocol final
    : public AdaptedCallbacks<T, DatagramProtocol, DatagramTransport> {
 public:
  using AdaptedCallbacks<T, DatagramProtocol, DatagramTransport>::AdaptedCallbacks;

  void datagram_received(std::span<const std::byte> data, const Address& sender) override {
    this->object()->datagram_received(data, sender);
  }

  void error_received(std::error_code error) override {
    if constexpr (requires { this->object()->error_received(error); }) {
      this->object()->error_received(error);
    } else {
      static_assert(
          !requires { &T::error_received; }, "weir: error_received() must take a std::error_code");
    }
  }
};

template <class T>
using PointedTo = typename decltype(share(std::declval<T>()))::element_type;

/// What a factory of datagram protocols made; see open_transport().
template <class P>
struct MadeDatagramProtocol {
  std::shared_ptr<P> typed;
  std::shared_ptr<DatagramProtocol> any;
};

template <class T>
auto make_datagram_protocol_of(T&& made) {
  auto shared = share(std::forward<T>(made));
  using Object = typename decltype(shared)::element_type;
  if constexpr (std::derived_from<Object, DatagramProtocol>) {
    return MadeDatagramProtocol<Object>{shared, shared};
  } else {
    static_assert(DatagramMembers<Object>,
                  "weir: a datagram protocol needs "
                  "datagram_received(std::span<const std::byte>, const weir::Address&)");
    auto adapted = std::make_shared<AdaptedDatagramProtocol<Object>>(shared);
    return MadeDatagramProtocol<Object>{std::move(shared), std::move(adapted)};
  }
}

}  // namespace detail

/// Makes a datagram protocol of any object with datagram_received(data, sender) and, if it likes,
/// connection_made(DatagramTransport), error_received(), pause_writing(), resume_writing() and
/// connection_lost(). As the other adapt(), otherwise.
template <class T>
  requires(detail::DatagramMembers<detail::PointedTo<T>>)
std::shared_ptr<DatagramProtocol> adapt(T&& object) {
  using Object = detail::PointedTo<T>;
  static_assert(
      !detail::StreamMembers<Object> && !detail::BufferMembers<Object>,
      "weir: this object has the members of a stream protocol and of a datagram protocol, so "
      "which is meant is not clear");
  return detail::make_datagram_protocol_of(std::forward<T>(object)).any;
}

/// Makes the protocol of a new datagram socket; called once.
using DatagramProtocolFactory = UniqueFunction<std::shared_ptr<DatagramProtocol>()>;

/// What create_datagram_endpoint() gives: the transport, and the protocol its factory made.
template <class P = DatagramProtocol>
struct DatagramConnection {
  DatagramTransport transport;
  std::shared_ptr<P> protocol;
};

/// asyncio's keywords of create_datagram_endpoint(). [D18]
struct DatagramOptions {
  /// Where to receive. An unset one leaves the port to the system, at the first datagram sent.
  std::optional<LocalAddress> local_addr{};
  /// The only peer: to whom is sent, and from whom is received.
  std::optional<LocalAddress> remote_addr{};
  /// The same for Unix sockets. With a leading NUL, an abstract name. A stale socket file at
  /// `local_path` is removed first; the file stays when the transport closes. [D21]
  std::optional<std::string> local_path{};
  std::optional<std::string> remote_path{};
  /// Needed without any address.
  AddressFamily family = AddressFamily::unspecified;
  int protocol = 0;
  /// AI_NUMERICHOST and so on.
  int flags = 0;
  /// Several sockets may be bound to one port. [D20]
  bool reuse_port = false;
  /// Broadcasts may be sent. The socket is then not connected: `remote_addr` is where datagrams go, but
  /// they are received from everywhere. [D20]
  bool allow_broadcast = false;
  /// A datagram socket to use, instead of all of these; the transport then owns it.
  std::optional<int> sock{};
};

namespace detail {

using DatagramSink = OpenSink<DatagramTransport>;

/// Starts opening; what it returns cancels that.
WEIR_API FutureState::CancelHook start_datagram(EventLoop& loop,
                                                DatagramProtocolFactory make_protocol,
                                                DatagramOptions options, DatagramSink sink);

/// A datagram socket, as open_transport() opens it.
struct DatagramOpening {
  using Handle = DatagramTransport;
  using Held = std::shared_ptr<DatagramProtocol>;
  template <class P>
  using Opened = DatagramConnection<P>;
  template <class T>
  static auto made_of(T&& made) {
    return make_datagram_protocol_of(std::forward<T>(made));
  }
};

}  // namespace detail

/// Opens a datagram socket, UDP or Unix; asyncio's create_datagram_endpoint.
///
/// Resolves both addresses and tries their pairs of the same family in order, the first that works
/// wins. [D19] `make_protocol` is called once, after the socket is open, and returns a protocol: by
/// pointer, shared or unique, or an object for adapt(). The future completes from the loop, after
/// connection_made() and before the first datagram. [D1, B8]
///
/// Errors: through the future only; misuse, and addresses without a family in common, as
/// std::invalid_argument [D18, D19], what the factory throws [B11], resolver errors, and
/// std::system_error with the address and the step in its text. A `sock` stays the caller's then.
/// Threads: the loop's. Dropping the future does not cancel; cancel() does, and closes everything. [N9]
template <detail::MakesProtocol Factory>
auto create_datagram_endpoint(EventLoop& loop, Factory make_protocol, DatagramOptions options) {
  return detail::open_transport<detail::DatagramOpening>(
      loop, std::move(make_protocol), [&](DatagramProtocolFactory make, detail::DatagramSink sink) {
        return detail::start_datagram(loop, std::move(make), std::move(options), std::move(sink));
      });
}

/// The same with a default-constructed P for a protocol.
template <class P>
  requires(!detail::MakesProtocol<P>)
auto create_datagram_endpoint(EventLoop& loop, DatagramOptions options) {
  return create_datagram_endpoint(
      loop, [] { return std::make_shared<P>(); }, std::move(options));
}

}  // namespace weir::inline v0
