#include "stream_end.h"

#include <algorithm>
#include <string>
#include <utility>

#include "files.h"
#include "tls_contexts.h"
#include "world.h"

namespace weir::destroyer {
namespace {

// --- The protocols, of both kinds

/// What it tells is checked to be told to the right one.
class ToStream final : public Protocol, Counted<StreamEnd> {
 public:
  explicit ToStream(std::shared_ptr<StreamEnd> end, World& world)
      : end_(std::move(end)), world_(world) {}
  ~ToStream() override { world_.act(Point::destructor, end_.get()); }

  void connection_made(Transport transport) override { end().connection_made(transport); }
  void data_received(std::span<const std::byte> data) override { end().data_received(data); }
  bool eof_received() override { return end().eof_received(); }
  void pause_writing() override { end().pause_writing(); }
  void resume_writing() override { end().resume_writing(); }
  void connection_lost(const CloseReason& reason) override { end().connection_lost(reason); }

 private:
  StreamEnd& end() {
    end_->check_current(this);
    return *end_;
  }
  const std::shared_ptr<StreamEnd> end_;
  World& world_;
};

class ToBuffers final : public BufferedProtocol, Counted<StreamEnd> {
 public:
  explicit ToBuffers(std::shared_ptr<StreamEnd> end, World& world)
      : end_(std::move(end)), world_(world) {}
  ~ToBuffers() override { world_.act(Point::destructor, end_.get()); }

  void connection_made(Transport transport) override { end().connection_made(transport); }
  std::span<std::byte> get_buffer(std::ptrdiff_t hint) override {
    return buffer_ = end().get_buffer(hint, memory_);
  }
  void buffer_updated(std::size_t count) override {
    end().buffer_updated(std::span<const std::byte>(buffer_).first(count));
  }
  bool eof_received() override { return end().eof_received(); }
  void pause_writing() override { end().pause_writing(); }
  void resume_writing() override { end().resume_writing(); }
  void connection_lost(const CloseReason& reason) override { end().connection_lost(reason); }

 private:
  StreamEnd& end() {
    end_->check_current(this);
    return *end_;
  }
  const std::shared_ptr<StreamEnd> end_;
  World& world_;
  std::unique_ptr<std::byte[]> memory_;  ///< of its very size, so that one byte more is found
  std::span<std::byte> buffer_;
};

}  // namespace

AnyProtocol StreamEnd::new_protocol(bool buffered) {
  buffered_ = buffered;
  if (buffered) {
    auto made = std::make_shared<ToBuffers>(shared_from_this(), world());
    protocol_ = made;
    return made;
  }
  auto made = std::make_shared<ToStream>(shared_from_this(), world());
  protocol_ = made;
  return made;
}

void StreamEnd::check_current(const BaseProtocol* protocol) {
  world().journal().require(protocol_.lock().get() == protocol,
                            "a callback for a protocol that was replaced [B12]");
}

// --- Callbacks --------------------------------------------------------------------------------------

void StreamEnd::connection_made(const Transport& transport) {
  callback_made();
  transport_ = keeper_ = transport;
  if (world().is_settling()) return world().choices().chance(50) ? close() : abort();
  world().act(Point::connection_made, this);
}

void StreamEnd::data_received(std::span<const std::byte> data) {
  callback("data_received", data.size());
  check(data);
  world().act(Point::data_received, this);
}

std::span<std::byte> StreamEnd::get_buffer(std::ptrdiff_t hint,
                                           std::unique_ptr<std::byte[]>& memory) {
  callback("get_buffer");
  world().journal().require(hint == -1 || hint > 0, "get_buffer() with a hint of 0 [U2]");
  world().act(Point::get_buffer, this);
  Choices& choices = world().choices();
  std::size_t size = 16'384;
  if (!world().is_settling()) {
    switch (choices.below(12)) {
      case 0: break;
      case 1: size = 1; break;
      case 2: size = 1'048'576; break;
      case 3:
        if (!choices.chance(10)) break;
        cut();
        world().journal().step("empty buffer", number());
        return {};
      default: size = choices.between(1, choices.chance(50) ? 100 : 70'000);
    }
  }
  memory.reset(new std::byte[size]);
  return {memory.get(), size};
}

void StreamEnd::buffer_updated(std::span<const std::byte> data) {
  callback("buffer_updated", data.size());
  check(data);
  world().act(Point::buffer_updated, this);
}

bool StreamEnd::eof_received() {
  callback("eof_received");
  world().journal().require(!eof_, "a second eof_received() [S4]");
  eof_ = true;
  check_end();
  world().act(Point::eof_received, this);
  return world().choices().chance(50);
}

void StreamEnd::pause_writing() {
  callback_of_call("pause_writing");
  world().journal().require(!std::exchange(write_paused_, true), "a second pause_writing() [F7]");
  world().act(Point::pause_writing, this);
}

void StreamEnd::resume_writing() {
  callback("resume_writing");
  world().journal().require(std::exchange(write_paused_, false),
                            "a resume_writing() without pause_writing() [F7]");
  world().act(Point::resume_writing, this);
}

void StreamEnd::connection_lost(const CloseReason& reason) {
  callback_lost();
  if (reason) cut();
  is_losing_ = true;
  world().act(Point::connection_lost, this);
  is_losing_ = false;  // unless it threw: then nobody asks
}

/// Nothing is missing, unless it was dropped: by the writer, or by this side. Over TLS that is told the end also
/// once it has closed. [T10, T14]
void StreamEnd::check_end() {
  if (in_ == nullptr || in_->cut || garbled_ || closed_ || in_->received >= in_->certain) return;
  if (tls_ > 0 && (keeper_.is_closing() ||
                   !keeper_.get_extra_info<bool>("tls_clean_shutdown").value_or(false))) {
    return;
  }
  world().journal().broken("the end of a stream of which " + std::to_string(in_->received) +
                           " bytes came, and " + std::to_string(in_->certain) + " were written");
}

/// What came is what the peer wrote.
void StreamEnd::check(std::span<const std::byte> data) {
  world().journal().require(!data.empty(), "no data [S2]");
  world().journal().require(!eof_, "data after the end [S4]");
  world().journal().require(is_opened(), "data before the opener's future is done [B8]");
  if (garbled_) return;
  while (numbered_ < number_size && !data.empty()) {
    number_bytes_.at(numbered_++) = data.front();
    data = data.subspan(1);
    if (numbered_ < number_size) continue;
    in_ = &world().claim(number_in(number_bytes_), *this);
    in_->received = number_size;
  }
  if (in_ == nullptr) return;
  if (!fits(data, in_->number, in_->received)) {
    world().journal().broken("end " + std::to_string(number()) + " received at " +
                             std::to_string(in_->received) + " what was not written there");
  }
  in_->received += data.size();
  world().journal().require(in_->received <= in_->written, "more is received than was written");
}

StreamEnd* StreamEnd::peer() const noexcept {
  if (in_ != nullptr) return in_->writer;
  return out_.reader;
}

// --- Asked ------------------------------------------------------------------------------------------

void StreamEnd::close() {
  keeper_.close();
  closed_ = true;
}

void StreamEnd::abort() {
  if (!writes()) return close();
  cut();
  closed_ = true;
  keeper_.abort();
}

void StreamEnd::ask() {
  const Transport& transport = world().choices().chance(80) ? keeper_ : transport_;
  const bool closing = transport.is_closing();
  for (const char* name : {"sockname", "peername", "socket", "pipe", "peercred", "cipher",
                           "peercert", "tls_clean_shutdown", "nothing"}) {
    static_cast<void>(transport.get_extra_info(name));
  }
  static_cast<void>(transport.can_write_eof());
  world().attempt("is_reading()",
                  [&] {
                    world().journal().require(!closing || !transport.is_reading(),
                                              "is_reading() while closing [S12]");
                  },
                  {.unsupported = !reads()});
  world().attempt("get_write_buffer_size()",
                  [&] {
                    static_cast<void>(transport.get_write_buffer_size());
                    const auto [low, high] = transport.get_write_buffer_limits();
                    world().journal().require(low <= high, "low > high [F3]");
                  },
                  {.unsupported = !writes()});
  world().attempt("get_read_buffer_size()",
                  [&] {
                    static_cast<void>(transport.get_read_buffer_size());
                    static_cast<void>(transport.get_read_buffer_limits());
                  },
                  {.unsupported = tls_ == 0});
  const auto protocol = transport.get_protocol();
  // While TLS is started it is one of the library's.
  world().journal().require(protocol == nullptr || upgrading_ || protocol == protocol_.lock(),
                            "get_protocol() is another than the last that was set [B12]");
}

void StreamEnd::check_dead() {
  dead_.push_back(keeper_);
  dead_.push_back(transport_);
  dead_.emplace_back();
  while (!dead_.empty()) use_dead();
  if (is_gone()) {  // its futures stay pending [L6]
    upgrading_.reset();
    file_.reset();
  }
  if (upgrading_ && !upgrading_->done()) {
    world().journal().broken("start_tls() of end " + std::to_string(number()) +
                             " is not done, and its transport gone");
  }
  world().journal().require(!file_ || file_->sent.done(),
                            "sendfile() is not done, and its transport gone");
}

/// A handle that names nothing any more. [B17]
void StreamEnd::use_dead() {
  if (dead_.empty()) return;
  const Transport transport = dead_.back();
  dead_.pop_back();
  const Journal& journal = world().journal();
  world().attempt("a dead handle", [&] {
    transport.write("nothing");
    transport.write(Buffer(std::string("nothing")));
    transport.writelines({as_bytes("nothing"), as_bytes("at all")});
    transport.write("");
    transport.write_eof();
    transport.close();
    transport.abort();
    transport.abort(std::make_error_code(std::errc::io_error));
    transport.pause_reading();
    transport.resume_reading();
    transport.set_write_buffer_limits({.high = 1, .low = 2});
    transport.set_protocol({});
    journal.require(transport.is_closing(), "a dead transport is not closing [B17]");
    journal.require(!transport.is_reading(), "a dead transport reads [B17]");
    journal.require(transport.get_write_buffer_size() == 0, "a dead transport has bytes [B17]");
    journal.require(transport.get_protocol() == nullptr, "a dead transport has a protocol [B17]");
    journal.require(!transport.get_extra_info<Address>("sockname"),
                    "a dead transport has a name [B7]");
    journal.require(transport.get_extra_info("peername", true) == ExtraInfo(true),
                    "a dead transport does not give the fallback [C13]");
  });
}

// --- Actions ----------------------------------------------------------------------------------------

void StreamEnd::act() {
  static constexpr Weighted<void (StreamEnd::*)()> actions[] = {
      {18, &StreamEnd::write},       {4, &StreamEnd::writelines},
      {4, &StreamEnd::write_buffer}, {1, &StreamEnd::write_descriptors},
      {1, &StreamEnd::write_eof},    {2, &StreamEnd::user_closes},
      {2, &StreamEnd::user_aborts},  {5, &StreamEnd::pause},
      {10, &StreamEnd::resume},      {4, &StreamEnd::set_limits},
      {4, &StreamEnd::set_protocol}, {1, &StreamEnd::set_no_protocol},
      {1, &StreamEnd::step_on_dead}, {1, &StreamEnd::drop_handle},
      {2, &StreamEnd::step_to_ask},  {1, &StreamEnd::send_file},
      {2, &StreamEnd::upgrade},      {1, &StreamEnd::upgrade_alone},
  };
  settle_file();
  (this->*pick(world().choices(), actions))();
}

void StreamEnd::user_closes() {
  world().journal().step("close", number());
  transport_.close();
  closed_ = closed_ || transport_ == keeper_;
}

void StreamEnd::user_aborts() {
  const bool with_reason = world().choices().chance(50);
  world().journal().step(with_reason ? "abort with a reason" : "abort", number());
  if (transport_ == keeper_) {
    cut();
    closed_ = true;
  }
  world().attempt("abort()",
                  [&] {
                    with_reason ? transport_.abort(std::make_exception_ptr(Thrown()))
                                : transport_.abort();
                  },
                  {.unsupported = !writes()});
}

void StreamEnd::step_on_dead() {
  world().journal().step("use a dead handle", number());
  if (is_lost() && !is_losing_) dead_.push_back(keeper_);
  use_dead();
}

void StreamEnd::drop_handle() {
  if (!world().choices().chance(20)) return ask();
  world().journal().step("drop the handle", number());
  transport_ = Transport();
}

void StreamEnd::step_to_ask() {
  world().journal().step("ask", number());
  ask();
}

/// Nothing, a little, about what the marks say, or a lot.
std::size_t StreamEnd::some_size() {
  Choices& choices = world().choices();
  if (!writes()) return choices.below(100);
  const std::size_t waiting = keeper_.get_write_buffer_size();
  if (waiting > std::size_t{4} << 20U) return choices.below(1000);
  switch (choices.below(16)) {
    case 0: return 0;
    case 1: return 1;
    case 2: return choices.between(2, 8);
    case 3: {
      const auto [low, high] = keeper_.get_write_buffer_limits();
      const std::size_t mark = choices.chance(50) ? high : low;
      if (mark < waiting || mark - waiting > std::size_t{1} << 20U) return 3;
      return std::max<std::size_t>(mark - waiting + choices.below(3), 1) - 1;
    }
    case 4: return choices.between(16'000, 17'000);
    case 5: return choices.between(60'000, 70'000);
    case 6: return choices.chance(30) ? choices.between(100'000, 600'000) : 5;
    case 7: return choices.chance(5) ? choices.between(1'000'000, 4'000'000) : 6;
    default: return choices.between(1, 500);
  }
}

template <class F>
void StreamEnd::written(const char* what, std::size_t size, F call) {
  world().journal().step(what, number(), size);
  std::vector<std::byte> bytes(size);
  fill(bytes, out_.number, out_.written);
  // By a handle that names nothing, or soon; in the end it closes, or there is another.
  const bool dropped = transport_ != keeper_ || upgrading_;
  const bool was_closing = transport_.is_closing();
  const std::uint64_t before = out_.written;
  const bool refused = ended_ || is_upgrading() || sends_file();
  const bool must_throw = !dropped && is_live() && writes() && refused;
  if (!dropped) out_.written += size;
  const bool taken = world().attempt(what, [&] { call(std::move(bytes)); },
                                     {.wrong_state = refused, .unsupported = !writes()});
  if (taken && must_throw && is_live())
    world().journal().broken("a write that must be refused was not");
  if (!taken) {
    out_.written = before;
  } else if (!was_closing && !dropped && !keeper_.is_closing() && is_live()) {
    out_.certain = std::max(out_.certain, before + size);
  }
}

void StreamEnd::write() {
  written("write", some_size(), [this](std::vector<std::byte> bytes) { transport_.write(bytes); });
}

void StreamEnd::writelines() {
  Choices& choices = world().choices();
  const std::size_t count = choices.chance(10) ? choices.below(200) : choices.below(6);
  std::vector<std::size_t> sizes;
  std::size_t total = 0;
  for (std::size_t i = 0; i < count; ++i) {
    sizes.push_back(count > 6 ? choices.below(300) : some_size());
    if (total > std::size_t{2} << 20U) sizes.back() = 1;
    total += sizes.back();
  }
  written("writelines", total, [&](const std::vector<std::byte>& bytes) {
    std::vector<std::span<const std::byte>> lines;
    std::size_t at = 0;
    for (const std::size_t size : sizes) {
      lines.push_back(std::span(bytes).subspan(at, size));
      at += size;
    }
    transport_.writelines(lines);
  });
}

void StreamEnd::write_buffer() {
  written("write a Buffer", some_size(), [this](std::vector<std::byte> bytes) {
    auto kept = std::make_shared<std::vector<std::byte>>(std::move(bytes));
    const std::span<const std::byte> view = *kept;
    transport_.write(Buffer(view, [kept = std::move(kept), release = world().release()]() mutable {
      kept.reset();
      release();
    }));
  });
}

/// Over a Unix socket they arrive; elsewhere this is refused.
void StreamEnd::write_descriptors() {
  if (!world().is_real() || transport_ != keeper_ || tls_ > 0) return ask();
  if (kind_ == StreamKind::local && world().choices().chance(30)) {
    world().journal().step("receive_descriptors", number());
    const bool enabled = world().choices().chance(70);
    transport_.receive_descriptors(enabled);
    static_cast<void>(transport_.take_descriptors());
    return;
  }
  if (kind_ != StreamKind::local) return ask();
  const std::vector<int> descriptors(world().choices().between(1, 3), 0);
  written("write with descriptors", world().choices().between(1, 5000),
          [&](const std::vector<std::byte>& bytes) {
            transport_.write_with_descriptors(bytes, descriptors);
          });
}

void StreamEnd::write_eof() {
  if (!world().choices().chance(60)) return ask();
  world().journal().step("write_eof", number());
  const bool closing = transport_.is_closing();
  const bool done =
      world().attempt("write_eof()", [&] { transport_.write_eof(); },
                      {.wrong_state = is_upgrading(), .unsupported = !writes() || tls_ > 0});
  if (!done || transport_ != keeper_) return;
  if (kind_ == StreamKind::write_pipe) {
    closed_ = true;
  } else if (!closing) {
    ended_ = true;
  }
}

void StreamEnd::pause() {
  world().journal().step("pause_reading", number());
  world().attempt("pause_reading()", [&] { transport_.pause_reading(); },
                  {.unsupported = !reads()});
}

void StreamEnd::resume() {
  world().journal().step("resume_reading", number());
  world().attempt("resume_reading()", [&] { transport_.resume_reading(); },
                  {.unsupported = !reads()});
}

void StreamEnd::set_limits() {
  Choices& choices = world().choices();
  WriteBufferLimits limits;
  const auto some_mark = [&]() -> std::size_t {
    switch (choices.below(5)) {
      case 0: return 0;
      case 1: return 1;
      case 2: return choices.below(100);
      default: return choices.below(200'000);
    }
  };
  if (choices.chance(70)) limits.high = some_mark();
  if (choices.chance(40)) limits.low = some_mark();
  const bool valid = !limits.high || !limits.low || *limits.high >= *limits.low;
  if (choices.chance(20)) {
    world().journal().step("set_read_buffer_limits", number());
    world().attempt("set_read_buffer_limits()", [&] { transport_.set_read_buffer_limits(limits); },
                    {.unsupported = tls_ == 0, .invalid = !valid});
    return;
  }
  world().journal().step("set_write_buffer_limits", number(), limits.high.value_or(0));
  const auto before =
      writes() ? transport_.get_write_buffer_limits() : EffectiveWriteBufferLimits();
  const bool done = world().attempt("set_write_buffer_limits()",
                                    [&] { transport_.set_write_buffer_limits(limits); },
                                    {.unsupported = !writes(), .invalid = !valid});
  if (!valid && writes() && is_live() && transport_ == keeper_ && !upgrading_) {
    world().journal().require(!done, "low > high was taken [F3]");
    world().journal().require(transport_.get_write_buffer_limits() == before,
                              "limits that were refused changed some [F3]");
  }
}

void StreamEnd::set_protocol() {
  const bool buffered = world().choices().chance(30) ? !buffered_ : buffered_;
  world().journal().step("set_protocol", number());
  const auto before = protocol_;
  const bool was_buffered = buffered_;
  AnyProtocol next = new_protocol(buffered);
  const bool done = world().attempt("set_protocol()", [&] { transport_.set_protocol(next); },
                                    {.wrong_state = is_upgrading()});
  if (done && transport_ == keeper_ && transport_.get_protocol() == next.base()) return;
  // In connection_lost(), and by a handle that names nothing, it is not taken.
  world().journal().require(!done || !is_live() || transport_ != keeper_ || upgrading_,
                            "a protocol that was set is not there [B12]");
  protocol_ = before;
  buffered_ = was_buffered;
}

void StreamEnd::set_no_protocol() {
  world().journal().step("set_protocol to none", number());
  world().attempt("set_protocol()", [&] { transport_.set_protocol({}); },
                  {.wrong_state = is_upgrading(), .invalid = true});
}

// --- Files, only of the system ------------------------------------------------------------------------

void StreamEnd::settle_file() {
  if (!file_ || !file_->sent.done()) return;
  const std::uint64_t position = position_of(file_->file.get());
  const std::uint64_t sent = position - std::min(position, file_->offset);
  out_.written = file_->base + sent;
  file_.reset();
}

void StreamEnd::send_file() {
  if (!world().is_real() || !is_live() || transport_ != keeper_) return ask();
  EventLoop* const loop = world().loop_of(*this);
  if (loop == nullptr || file_) return ask();
  Choices& choices = world().choices();
  const std::size_t before = choices.below(2) * choices.below(1000);
  const std::size_t size =
      choices.chance(30) ? choices.between(1, 400'000) : choices.between(1, 5000);
  world().journal().step("sendfile", number(), size);
  std::vector<std::byte> bytes(before + size);
  fill(std::span(bytes).subspan(before), out_.number, out_.written);
  File file{.file = file_of(bytes), .base = out_.written, .offset = before};
  SendfileOptions options{.offset = before};
  if (choices.chance(30)) options.count = size;
  options.fallback = choices.chance(95);
  const auto sent = sendfile(*loop, transport_, file.file.get(), options);
  world().watch(sent);
  file.sent = sent;
  out_.written += size;
  file_.emplace(std::move(file));
  settle_file();  // which may be done, or refused
}

// --- TLS over what is there -----------------------------------------------------------------------------

/// Nothing is on its way, in either direction.
bool StreamEnd::is_quiet() const {
  return is_live() && !transport_.is_closing() && transport_ == keeper_ && !ended_ && !eof_ &&
         !upgrading_ && !file_ && is_socket() && !garbled_ && tls_ < 3 &&
         (out_.written == 0 ? out_.reader == nullptr
                            : out_.reader != nullptr && out_.received == out_.written);
}

/// Both ends begin at once, so that what was in the clear stays apart from what is not.
void StreamEnd::upgrade() {
  if (is_upgrading() && world().choices().chance(30)) {
    world().journal().step("cancel start_tls", number());
    cut();
    upgrading_->cancel();
    return;
  }
  StreamEnd* const other = peer();
  if (other == nullptr || !is_quiet() || !other->is_quiet() || other->peer() != this) return ask();
  if (world().loop_of(*this) == nullptr || world().loop_of(*other) == nullptr) return ask();
  const bool here = world().choices().chance(50);
  start_tls(here);
  other->start_tls(!here);
}

/// The other end gets what it does not understand.
void StreamEnd::upgrade_alone() {
  StreamEnd* const other = peer();
  if (other == nullptr || !world().choices().chance(20) || transport_ != keeper_) return ask();
  if (world().loop_of(*this) == nullptr || !is_live() || upgrading_ || !is_socket()) return ask();
  garbled_ = other->garbled_ = true;
  cut();
  other->cut();
  start_tls(world().choices().chance(50));
}

void StreamEnd::start_tls(bool server) {
  world().journal().step("start_tls", number());
  const auto base = protocol_.lock();
  AnyProtocol protocol = buffered_ ? AnyProtocol(std::static_pointer_cast<ToBuffers>(base))
                                   : AnyProtocol(std::static_pointer_cast<ToStream>(base));
  StartTlsOptions options = world().tls_options<StartTlsOptions>();
  if (!server) options.server_hostname = "localhost";
  const auto future = weir::start_tls(*world().loop_of(*this), transport_, std::move(protocol),
                                      server ? server_tls() : client_tls(), options);
  if (future.done()) {  // refused: everything is as it was
    static_cast<void>(future.exception());
    world().journal().require(garbled_, "start_tls() of an open connection was refused");
    return;
  }
  upgrading_ = future;
  future.add_done_callback(
      [end = shared_from_this()](const Future<Transport>& done) { end->upgraded(done); });
}

void StreamEnd::upgraded(const Future<Transport>& future) {
  world().journal().event("start_tls is done", number());
  upgrading_.reset();
  if (future.cancelled() || future.exception() != nullptr) {
    cut();
    return;
  }
  dead_.push_back(keeper_);
  const bool dropped = transport_ != keeper_;
  keeper_ = future.result();
  if (!dropped) transport_ = keeper_;
  ++tls_;
  world().journal().note("TLS is up", number(), tls_);
  if (world().is_settling()) return close();
  world().act(Point::future_done, this);
}

}  // namespace weir::destroyer
