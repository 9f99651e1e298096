#include "session.h"

#include <fmt/format.h>

#include <exception>
#include <memory>
#include <utility>

#include "terminal.h"

namespace weir_tool {
namespace {

using namespace std::chrono_literals;

/// A target that is down fails every connection: that many of them in a second are told one by one.
constexpr std::size_t most_failures_told = 5;
constexpr auto failures_interval = 1s;

std::string in_words(const std::exception_ptr& error) { return weir::CloseReason(error).message(); }

}  // namespace

std::string amounts(const ByteCounts& bytes) {
  return fmt::format("{} to the target, {} back", format_bytes(bytes.forward),
                     format_bytes(bytes.back));
}

Junction::Junction(weir::EventLoop& loop, double grace_seconds, double linger_seconds, Url target)
    : service_(loop, grace_seconds),
      linger_(linger_seconds),
      target_(std::move(target)),
      began_(loop.time()) {}

void Junction::failed(std::string_view who, std::string_view what) {
  if (failures_++ == 0) loop().call_later(failures_interval, [this] { tell_how_many(); });
  if (failures_ > most_failures_told) return;
  service_.notices().line(fmt::format("weir: {}: {}", who, what));
}

void Junction::tell_how_many() {
  if (failures_ > most_failures_told) {
    service_.notices().line(
        fmt::format("weir: {} more failures like these", failures_ - most_failures_told));
  }
  failures_ = 0;
}

std::string Junction::summary() const {
  const std::uint64_t total = service_.conversations().total();
  return fmt::format("relayed {} {}: {}, in {}", format_count(total),
                     total == 1 ? "connection" : "connections", amounts(bytes_),
                     format_duration(loop().time() - began_));
}

Session::Session(Junction& junction)
    : Link(junction.loop(), junction.linger(), junction.bytes()), junction_(junction) {}

void Session::start() {
  running_ = true;
  const auto self = std::static_pointer_cast<Session>(shared_from_this());
  open_stream(junction_.loop(), junction_.target(), far())
      .add_done_callback([self](const weir::Future<>& opened) {
        if (const std::exception_ptr error = opened.exception()) {
          self->junction_.failed(self->name_, in_words(error));
          self->give_up();
        }
      });
}

void Session::close() {
  close_ends();
  if (!running_) give_up();
}

void Session::abort() {
  abort_ends();
  if (!running_) give_up();
}

void Session::made(End end) {
  if (end == End::far) return;
  Conversations& conversations = junction_.service().conversations();
  conversations.began(*this);
  name_ = fmt::format("connection {}", conversations.total());
  if (const auto peer = stream(End::near).peer(); peer && peer->port() != 0) {
    name_ += fmt::format(" from {}", peer->to_string());
  }
  accepted();
}

void Session::lost(End end, const weir::CloseReason& reason) {
  if (reason) {
    junction_.failed(name_,
                     reason.is_exception()
                         ? reason.message()
                         : fmt::format("{}: {}", end == End::near ? "its peer" : "the target",
                                       reason.message()));
  }
  if (end == End::near && !running_) give_up();
}

void Session::cut_off(End end) {
  junction_.failed(name_, fmt::format("{} ended without a goodbye of TLS; bytes may be missing",
                                      end == End::near ? "its peer" : "the target"));
}

void Session::waited(End end) {
  if (end == End::near || !is<ExecUrl>(junction_.target())) return;
  junction_.failed(name_,
                   fmt::format("the command went on for {:g} s after the end of its input, and is "
                               "told to end; --linger gives it more time",
                               junction_.linger().count()));
}

void Session::over() { junction_.service().conversations().ended(*this); }

}  // namespace weir_tool
