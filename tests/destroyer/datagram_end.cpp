#include "datagram_end.h"

#include <algorithm>
#include <string>
#include <utility>

#include "pattern.h"
#include "world.h"

namespace weir::destroyer {
namespace {

class ToDatagrams final : public DatagramProtocol, Counted<DatagramEnd> {
 public:
  explicit ToDatagrams(std::shared_ptr<DatagramEnd> end, World& world)
      : end_(std::move(end)), world_(world) {}
  ~ToDatagrams() override { world_.act(Point::destructor, end_.get()); }

  void connection_made(DatagramTransport transport) override { end().connection_made(transport); }
  void datagram_received(std::span<const std::byte> data, const Address& sender) override {
    end().datagram_received(data, sender);
  }
  void error_received(std::error_code error) override { end().error_received(error); }
  void pause_writing() override { end().pause_writing(); }
  void resume_writing() override { end().resume_writing(); }
  void connection_lost(const CloseReason& reason) override { end().connection_lost(reason); }

 private:
  DatagramEnd& end() {
    end_->check_current(this);
    return *end_;
  }
  const std::shared_ptr<DatagramEnd> end_;
  World& world_;
};

}  // namespace

std::shared_ptr<DatagramProtocol> DatagramEnd::new_protocol() {
  auto made = std::make_shared<ToDatagrams>(shared_from_this(), world());
  protocol_ = made;
  return made;
}

void DatagramEnd::check_current(const DatagramProtocol* protocol) {
  world().journal().require(protocol_.lock().get() == protocol,
                            "a callback for a protocol that was replaced [B12]");
}

// --- Callbacks --------------------------------------------------------------------------------------

void DatagramEnd::connection_made(const DatagramTransport& transport) {
  callback_made();
  transport_ = keeper_ = transport;
  if (auto name = transport.get_extra_info<Address>("sockname")) address_ = *name;
  if (world().is_settling()) return world().choices().chance(50) ? close() : abort();
  world().act(Point::connection_made, this);
}

/// Whole, and unchanged.
void DatagramEnd::datagram_received(std::span<const std::byte> data, const Address&) {
  callback("datagram_received", data.size());
  world().journal().require(is_opened(), "data before the opener's future is done [B8]");
  std::uint32_t number = 0;
  if (data.size() >= number_size) {
    number = number_in(data.first<number_size>());
    const auto sent = world().datagrams().find(number);
    if (sent == world().datagrams().end() || sent->second != data.size()) {
      world().journal().broken("a datagram that nobody sent, of " + std::to_string(data.size()) +
                               " bytes");
    }
  }
  world().journal().require(fits(data, number, 0), "a datagram was changed");
  world().act(Point::datagram_received, this);
}

void DatagramEnd::error_received(std::error_code error) {
  callback_of_call("error_received");
  world().journal().require(static_cast<bool>(error), "error_received() without an error [D9]");
  world().act(Point::error_received, this);
}

void DatagramEnd::pause_writing() {
  callback_of_call("pause_writing");
  world().journal().require(!std::exchange(write_paused_, true), "a second pause_writing() [F7]");
  world().act(Point::pause_writing, this);
}

void DatagramEnd::resume_writing() {
  callback("resume_writing");
  world().journal().require(std::exchange(write_paused_, false),
                            "a resume_writing() without pause_writing() [F7]");
  world().act(Point::resume_writing, this);
}

void DatagramEnd::connection_lost(const CloseReason&) {
  callback_lost();
  world().act(Point::connection_lost, this);
}

// --- Asked ------------------------------------------------------------------------------------------

void DatagramEnd::close() { keeper_.close(); }
void DatagramEnd::abort() { keeper_.abort(); }

void DatagramEnd::ask() {
  for (const char* name : {"sockname", "peername", "socket", "nothing"}) {
    static_cast<void>(keeper_.get_extra_info(name));
  }
  const Journal& journal = world().journal();
  journal.require(!keeper_.is_closing() || !keeper_.is_reading(),
                  "is_reading() while closing [S12]");
  const auto [low, high] = keeper_.get_write_buffer_limits();
  journal.require(low <= high, "low > high [F3]");
  const auto protocol = keeper_.get_protocol();
  journal.require(protocol == nullptr || protocol == protocol_.lock(),
                  "get_protocol() is another than the last that was set [B12]");
}

void DatagramEnd::check_dead() {
  const Journal& journal = world().journal();
  world().attempt("a dead handle", [&] {
    keeper_.sendto("nothing");
    keeper_.close();
    keeper_.abort();
    keeper_.pause_reading();
    keeper_.resume_reading();
    keeper_.set_write_buffer_limits({.high = 1, .low = 2});
    keeper_.set_protocol({});
    journal.require(keeper_.is_closing(), "a dead transport is not closing [B17]");
    journal.require(!keeper_.is_reading(), "a dead transport reads [B17]");
    journal.require(keeper_.get_write_buffer_size() == 0, "a dead transport has bytes [B17]");
    journal.require(keeper_.get_protocol() == nullptr, "a dead transport has a protocol [B17]");
    journal.require(keeper_.get_extra_info("sockname", true) == ExtraInfo(true),
                    "a dead transport does not give the fallback [C13]");
  });
}

// --- Actions ----------------------------------------------------------------------------------------

void DatagramEnd::act() {
  static constexpr Weighted<void (DatagramEnd::*)()> actions[] = {
      {1, &DatagramEnd::user_closes},     {1, &DatagramEnd::user_aborts},
      {2, &DatagramEnd::pause},           {4, &DatagramEnd::resume},
      {2, &DatagramEnd::set_limits},      {1, &DatagramEnd::set_protocol},
      {1, &DatagramEnd::set_no_protocol}, {1, &DatagramEnd::step_to_ask},
      {1, &DatagramEnd::drop_handle},     {18, &DatagramEnd::send},
  };
  (this->*pick(world().choices(), actions))();
}

void DatagramEnd::user_closes() {
  world().journal().step("close", number());
  transport_.close();
}

void DatagramEnd::user_aborts() {
  world().journal().step("abort", number());
  transport_.abort();
}

void DatagramEnd::pause() {
  world().journal().step("pause_reading", number());
  transport_.pause_reading();
}

void DatagramEnd::resume() {
  world().journal().step("resume_reading", number());
  transport_.resume_reading();
}

void DatagramEnd::set_protocol() {
  world().journal().step("set_protocol", number());
  const auto before = protocol_;
  const auto next = new_protocol();
  transport_.set_protocol(next);
  if (transport_ != keeper_ || !is_live()) protocol_ = before;
}

void DatagramEnd::set_no_protocol() {
  world().journal().step("set_protocol to none", number());
  world().attempt("set_protocol()", [&] { transport_.set_protocol({}); }, {.invalid = true});
}

void DatagramEnd::step_to_ask() {
  world().journal().step("ask", number());
  ask();
}

void DatagramEnd::drop_handle() {
  if (!world().choices().chance(10)) return ask();
  world().journal().step("drop the handle", number());
  transport_ = DatagramTransport();
}

void DatagramEnd::send() {
  Choices& choices = world().choices();
  std::size_t size = 0;
  switch (choices.below(8)) {
    case 0: size = choices.below(number_size); break;
    case 1: size = choices.between(1'000, 2'000); break;
    case 2: size = choices.between(number_size, 66'000); break;
    default: size = choices.between(number_size, 300);
  }
  auto number = static_cast<std::uint32_t>(world().datagrams().size()) + 1;
  if (size < number_size) {
    number = 0;
  } else {
    world().datagrams().emplace(number, size);
  }
  const bool to_peer = connected_ ? choices.chance(90) : choices.chance(5);
  const Address destination = to_peer ? Address() : world().some_datagram_address(family_);
  std::vector<std::byte> bytes(size);
  fill(bytes, number, 0);
  world().journal().step("sendto", this->number(), size);
  world().attempt("sendto()", [&] { transport_.sendto(bytes, destination); },
                  {.invalid = !to_peer, .system = true, .thrown = true});
}

void DatagramEnd::set_limits() {
  Choices& choices = world().choices();
  WriteBufferLimits limits;
  if (choices.chance(60)) limits.high = choices.chance(30) ? 0 : choices.below(100'000);
  if (choices.chance(40)) limits.low = choices.below(50'000);
  const bool valid = !limits.high || !limits.low || *limits.high >= *limits.low;
  world().journal().step("set_write_buffer_limits", number(), limits.high.value_or(0));
  world().attempt("set_write_buffer_limits()", [&] { transport_.set_write_buffer_limits(limits); },
                  {.invalid = !valid, .system = true, .thrown = true});
}

}  // namespace weir::destroyer
