#pragma once

#include <weir/error.h>
#include <weir/export.h>
#include <weir/transport.h>

#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

namespace weir::inline v0 {

/// What every protocol is told, whatever its transport is. A state machine:
///
///     start -> connection_made [-> pause_writing -> resume_writing]* -> connection_lost -> end
///
/// connection_made() and connection_lost() are called exactly once per connection. [B1, B2] What
/// connection_made() brings depends on the kind: see BaseProtocol, DatagramProtocol, SubprocessProtocol.
///
/// Threads: all callbacks come on the loop's thread. A callback may call any method of its transport.
class WEIR_API AbstractProtocol {
 public:
  AbstractProtocol() = default;
  AbstractProtocol(const AbstractProtocol&) = default;
  AbstractProtocol& operator=(const AbstractProtocol&) = default;
  virtual ~AbstractProtocol();

  /// The connection is over; the last callback. `reason` is empty for the regular end of the stream,
  /// close() and abort(). The protocol may be destroyed once this returned. [B2, B5, B7]
  virtual void connection_lost(const CloseReason& reason);

  /// More than the high-water mark of bytes wait to be sent: write no more until resume_writing().
  /// The only callback made from inside write(), so that it comes in time. [F5, F8]
  virtual void pause_writing();

  /// The bytes waiting are back at the low-water mark or under it. [F6, F10]
  virtual void resume_writing();
};

/// What the protocols of byte streams have in common, and all that one of a write pipe needs. [I9]
class WEIR_API BaseProtocol : public AbstractProtocol {
 public:
  ~BaseProtocol() override;

  /// The connection is up. Keep `transport` to write to it; nobody else keeps it for you. [B1, B19]
  virtual void connection_made(Transport transport);
};

/// A protocol of a byte stream.
///
///     start -> connection_made [-> data_received]* [-> eof_received]? -> connection_lost -> end
class WEIR_API Protocol : public BaseProtocol {
 public:
  ~Protocol() override;

  /// Some bytes arrived, never none; chunk boundaries mean nothing. `data` is valid until this
  /// returns. An exception ends the connection and is its reason. [S2, C5, S20]
  virtual void data_received(std::span<const std::byte> data);

  /// The peer will send no more. False (the default) closes the transport; true keeps it open for
  /// writing, and closing it is then the protocol's job. [S4, S5]
  virtual bool eof_received();
};

/// A protocol of a byte stream that provides the memory its bytes are received into.
///
///     start -> connection_made [-> get_buffer [-> buffer_updated]?]* [-> eof_received]?
///           -> connection_lost -> end
class WEIR_API BufferedProtocol : public BaseProtocol {
 public:
  ~BufferedProtocol() override;

  /// Where to put the next bytes: memory that stays valid until the next callback, at least one byte
  /// of it. `size_hint` is the recommended size, -1 for any. [U2, U7]
  virtual std::span<std::byte> get_buffer(std::ptrdiff_t size_hint) = 0;

  /// `count` bytes, at least one, were put at the start of the last buffer. [U5]
  virtual void buffer_updated(std::size_t count) = 0;

  /// As Protocol::eof_received(). [U8]
  virtual bool eof_received();
};

namespace detail {

template <class T>
concept StreamMembers =
    requires(T& object, std::span<const std::byte> data) { object.data_received(data); };

template <class T>
concept BufferMembers = requires(T& object, std::ptrdiff_t hint, std::size_t count) {
  { object.get_buffer(hint) } -> std::convertible_to<std::span<std::byte>>;
  object.buffer_updated(count);
};

/// The callbacks an adapted object may have whatever it is adapted to, by way of its transport.
template <class T, class Base, class ItsTransport>
class AdaptedCallbacks : public Base {
 public:
  explicit AdaptedCallbacks(std::shared_ptr<T> object) : object_(std::move(object)) {}

  const std::shared_ptr<T>& object() const noexcept { return object_; }

  void connection_made(ItsTransport transport) override {
    if constexpr (requires { object_->connection_made(transport); }) {
      object_->connection_made(transport);
    } else {
      static_assert(
          !requires { &T::connection_made; },
          "weir: connection_made() must take a weir::Transport, or for a datagram or subprocess "
          "protocol a weir::DatagramTransport or weir::SubprocessTransport");
    }
  }

  void connection_lost(const CloseReason& reason) override {
    if constexpr (requires { object_->connection_lost(reason); }) {
      object_->connection_lost(reason);
    } else {
      static_assert(
          !requires { &T::connection_lost; },
          "weir: connection_lost() must take a const weir::CloseReason&");
    }
  }

  void pause_writing() override {
    if constexpr (requires { object_->pause_writing(); }) object_->pause_writing();
  }

  void resume_writing() override {
    if constexpr (requires { object_->resume_writing(); }) object_->resume_writing();
  }

 private:
  std::shared_ptr<T> object_;
};

/// An object with nothing but these, for a write pipe.
template <class T>
class AdaptedBaseProtocol final : public AdaptedCallbacks<T, BaseProtocol, Transport> {
 public:
  using AdaptedCallbacks<T, BaseProtocol, Transport>::AdaptedCallbacks;
};

/// An object that reads a stream: the end of that comes on top.
template <class T, class Base>
class AdaptedReader : public AdaptedCallbacks<T, Base, Transport> {
 public:
  using AdaptedCallbacks<T, Base, Transport>::AdaptedCallbacks;

  bool eof_received() override {
    T& object = *this->object();
    if constexpr (requires {
                    { object.eof_received() } -> std::convertible_to<bool>;
                  }) {
      return object.eof_received();
    } else if constexpr (requires { object.eof_received(); }) {
      object.eof_received();
    }
    return false;
  }
};

template <class T>
class AdaptedProtocol final : public AdaptedReader<T, Protocol> {
 public:
  using AdaptedReader<T, Protocol>::AdaptedReader;
  void data_received(std::span<const std::byte> data) override {
    this->object()->data_received(data);
  }
};

template <class T>
class AdaptedBufferedProtocol final : public AdaptedReader<T, BufferedProtocol> {
 public:
  using AdaptedReader<T, BufferedProtocol>::AdaptedReader;
  std::span<std::byte> get_buffer(std::ptrdiff_t size_hint) override {
    return this->object()->get_buffer(size_hint);
  }
  void buffer_updated(std::size_t count) override { this->object()->buffer_updated(count); }
};

template <class T>
inline constexpr bool is_shared_pointer = false;
template <class T>
inline constexpr bool is_shared_pointer<std::shared_ptr<T>> = true;
template <class T>
inline constexpr bool is_unique_pointer = false;
template <class T, class D>
inline constexpr bool is_unique_pointer<std::unique_ptr<T, D>> = true;

/// `object` as the shared pointer it is, becomes, or is moved into.
template <class T>
auto share(T&& object) {
  using Value = std::remove_cvref_t<T>;
  if constexpr (is_shared_pointer<Value>) {
    return Value(std::forward<T>(object));
  } else if constexpr (is_unique_pointer<Value>) {
    return std::shared_ptr<typename Value::element_type>(std::forward<T>(object));
  } else {
    return std::make_shared<Value>(std::forward<T>(object));
  }
}

}  // namespace detail

/// Makes a protocol of any object that has the right members, by their asyncio names: data_received(),
/// or get_buffer() and buffer_updated(); and, if it likes, connection_made(), connection_lost(),
/// eof_received(), pause_writing(), resume_writing(). Missing ones take the defaults of Protocol.
///
/// `object` is moved in, or is a shared or unique pointer to it. An object with the members of both
/// kinds does not compile. [U9]
template <class T>
auto adapt(T&& object) {
  auto shared = detail::share(std::forward<T>(object));
  using Object = typename decltype(shared)::element_type;
  constexpr bool stream = detail::StreamMembers<Object>;
  constexpr bool buffered = detail::BufferMembers<Object>;
  static_assert(
      !(stream && buffered),
      "weir: a protocol has either data_received(), or get_buffer() and buffer_updated(); "
      "this one has both, so which is meant is not clear");
  static_assert(stream || buffered,
                "weir: a protocol needs data_received(std::span<const std::byte>), or "
                "get_buffer(std::ptrdiff_t) and buffer_updated(std::size_t)");
  if constexpr (stream && !buffered) {
    return std::make_shared<detail::AdaptedProtocol<Object>>(std::move(shared));
  } else {
    return std::make_shared<detail::AdaptedBufferedProtocol<Object>>(std::move(shared));
  }
}

/// A stream protocol of either kind, as a transport holds it: shared with whoever keeps a pointer.
///
/// Made from a shared or unique pointer to a Protocol or a BufferedProtocol; which of the two is
/// decided here, by the static type. [U9]
class AnyProtocol {
 public:
  /// No protocol.
  AnyProtocol() noexcept = default;

  template <class P>
    requires(std::derived_from<P, Protocol> || std::derived_from<P, BufferedProtocol>)
  AnyProtocol(std::shared_ptr<P> protocol) {  // NOLINT(google-explicit-constructor)
    static_assert(!(std::derived_from<P, Protocol> && std::derived_from<P, BufferedProtocol>),
                  "weir: a protocol derives from Protocol or from BufferedProtocol, not from both");
    if constexpr (std::derived_from<P, Protocol>) {
      stream_ = protocol.get();
    } else {
      buffered_ = protocol.get();
    }
    base_ = std::move(protocol);
  }

  template <class P>
    requires(std::derived_from<P, Protocol> || std::derived_from<P, BufferedProtocol>)
  AnyProtocol(std::unique_ptr<P> protocol)  // NOLINT(google-explicit-constructor)
      : AnyProtocol(std::shared_ptr<P>(std::move(protocol))) {}

  /// One that only writes: the protocol of a write pipe, which never reads. [I9]
  static AnyProtocol write_only(std::shared_ptr<BaseProtocol> protocol) noexcept {
    AnyProtocol any;
    any.base_ = std::move(protocol);
    return any;
  }

  explicit operator bool() const noexcept { return base_ != nullptr; }

  const std::shared_ptr<BaseProtocol>& base() const noexcept { return base_; }
  /// The protocol if it takes bytes by data_received(), else null.
  Protocol* stream() const noexcept { return stream_; }
  /// The protocol if it provides its own buffers, else null.
  BufferedProtocol* buffered() const noexcept { return buffered_; }

 private:
  std::shared_ptr<BaseProtocol> base_;
  Protocol* stream_ = nullptr;
  BufferedProtocol* buffered_ = nullptr;
};

/// Makes the protocol of a new connection; called once for each. [V8, N4]
using ProtocolFactory = UniqueFunction<AnyProtocol()>;

namespace detail {

/// A made protocol, both as its maker's type and as transports take it.
template <class P>
struct MadeProtocol {
  std::shared_ptr<P> typed;
  AnyProtocol any;
};

/// Of a factory that chooses the kind at run time.
inline auto make_protocol_of(AnyProtocol made) {
  auto base = made.base();
  return MadeProtocol<BaseProtocol>{std::move(base), std::move(made)};
}

template <class T>
  requires(!std::same_as<std::remove_cvref_t<T>, AnyProtocol>)
auto make_protocol_of(T&& made) {
  auto shared = share(std::forward<T>(made));
  using Object = typename decltype(shared)::element_type;
  static_assert(
      !(std::derived_from<Object, Protocol> && std::derived_from<Object, BufferedProtocol>),
      "weir: a protocol derives from Protocol or from BufferedProtocol, not from both");
  if constexpr (std::derived_from<Object, BaseProtocol>) {
    AnyProtocol any(shared);
    return MadeProtocol<Object>{std::move(shared), std::move(any)};
  } else {
    AnyProtocol any(adapt(shared));
    return MadeProtocol<Object>{std::move(shared), std::move(any)};
  }
}

/// What a factory makes, as the user's type: EchoServer for a factory of EchoServer or a pointer to one.
template <class Factory>
using ProtocolOf =
    typename decltype(make_protocol_of(std::declval<std::invoke_result_t<Factory&>>())
                          .typed)::element_type;

/// As make_protocol_of(), for a write pipe: any protocol of a stream, or one with no more than the base
/// callbacks, or an object to be adapted to that.
inline auto make_write_protocol_of(AnyProtocol made) { return make_protocol_of(std::move(made)); }

template <class T>
  requires(!std::same_as<std::remove_cvref_t<T>, AnyProtocol>)
auto make_write_protocol_of(T&& made) {
  auto shared = share(std::forward<T>(made));
  using Object = typename decltype(shared)::element_type;
  if constexpr (std::derived_from<Object, Protocol> ||
                std::derived_from<Object, BufferedProtocol>) {
    return make_protocol_of(std::move(shared));
  } else if constexpr (std::derived_from<Object, BaseProtocol>) {
    AnyProtocol any = AnyProtocol::write_only(shared);
    return MadeProtocol<Object>{std::move(shared), std::move(any)};
  } else {
    AnyProtocol any =
        AnyProtocol::write_only(std::make_shared<AdaptedBaseProtocol<Object>>(shared));
    return MadeProtocol<Object>{std::move(shared), std::move(any)};
  }
}

template <class Factory>
concept MakesProtocol = std::invocable<Factory&> && !std::is_void_v<std::invoke_result_t<Factory&>>;

}  // namespace detail
}  // namespace weir::inline v0
