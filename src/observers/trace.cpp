#include <weir/event_loop.h>
#include <weir/trace.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "trace_matching.h"
#include "trace_text.h"

namespace weir::inline v0 {

/// What is recorded, in common for all transports of one trace.
class Trace::Record {
 public:
  /// A transport, and what is needed to match what it does with what its other end does.
  struct Traced {
    TracedTransport shown;
    std::size_t layer = 0;    ///< how many transports are below
    std::size_t entries = 0;  ///< that are kept
    bool gone = false;
    bool introduced = false;  ///< addresses are known
    detail::SentBytes sent{};
    std::uint64_t ended = 0;         ///< the entry that ended what it sends
    std::uint64_t closed = 0;        ///< the entry that closed it
    std::uint64_t cut = 0;           ///< the same, if it was not in order
    std::uint64_t protocol_set = 0;  ///< the last entry that set its protocol
    std::uint64_t taken_over = 0;    ///< the one that start_tls() made, or would have made
  };

  explicit Record(const TraceOptions& options)
      : options_{std::max<std::size_t>(1, options.most_entries), options.data_bytes} {}

  std::uint64_t add(const EventLoop& loop, TransportKind kind);
  void gone(std::uint64_t number);
  void note(TraceEntry::TimePoint when, std::string_view what);
  void clear() noexcept;

  void begins(std::uint64_t number, const ObservedTransport& transport, TraceEntry::TimePoint when,
              const Occurrence& what);
  void ends(std::uint64_t number, TraceEntry::TimePoint when, const Occurrence& what);

  const std::deque<TraceEntry>& entries() const { return entries_; }
  TraceEntry* entry(std::uint64_t number);
  std::uint64_t dropped() const { return last_entry_ - entries_.size(); }
  const TracedTransport* transport(std::uint64_t number) const;

 private:
  void forget(const Traced& traced) noexcept;
  void introduce(Traced& traced, const ObservedTransport& transport);
  void find_below(Traced& traced);
  void cover_pipe(int descriptor, const TracedTransport& process);
  std::string name_of(const EventLoop& loop);

  TraceEntry& push(TraceEntry entry);
  void drop_first() noexcept;

  std::vector<std::uint64_t> causes(Traced& traced, const Occurrence& what);
  void note_consequences(Traced& traced, const ObservedTransport& transport, const Occurrence& what,
                         std::uint64_t entry);
  Traced* find(std::uint64_t number);
  Traced* partner_of(const Traced& traced) { return find(traced.shown.partner); }

  TraceOptions options_;
  std::deque<TraceEntry> entries_;
  std::uint64_t last_entry_ = 0;
  std::map<std::uint64_t, Traced> transports_;
  std::uint64_t last_transport_ = 0;
  std::vector<std::uint64_t> open_;  ///< entries that have begun, each within the one before
  std::map<const EventLoop*, std::string> loops_;
  detail::LonelyEnds lonely_;
  detail::SentDatagrams datagrams_;
};

/// Tells the record of one transport.
class Trace::Recorder final : public TransportObserver {
 public:
  Recorder(std::shared_ptr<Record> record, const EventLoop& loop,
           const ObservedTransport& transport)
      : record_(std::move(record)),
        loop_(loop),
        transport_(transport),
        number_(record_->add(loop, transport.kind())) {}
  ~Recorder() override { record_->gone(number_); }

  void begins(const Occurrence& what) noexcept override {
    record_->begins(number_, transport_, loop_.time(), what);
  }
  void ends(const Occurrence& what) noexcept override {
    record_->ends(number_, loop_.time(), what);
  }

 private:
  std::shared_ptr<Record> record_;
  const EventLoop& loop_;
  const ObservedTransport& transport_;
  std::uint64_t number_;
};

// --- Transports -------------------------------------------------------------------------------------

std::uint64_t Trace::Record::add(const EventLoop& loop, TransportKind kind) {
  const std::uint64_t number = ++last_transport_;
  Traced& traced = transports_[number];
  traced.shown = {.number = number, .kind = kind, .loop = name_of(loop)};
  if (kind == TransportKind::tls) find_below(traced);
  return number;
}

std::string Trace::Record::name_of(const EventLoop& loop) {
  if (!loop.name().empty()) return loop.name();
  return loops_.emplace(&loop, "loop " + std::to_string(loops_.size() + 1)).first->second;
}

/// TLS is there once the handshake below has received its last.
void Trace::Record::find_below(Traced& traced) {
  const TraceEntry* around = open_.empty() ? nullptr : entry(open_.back());
  Traced* below = around != nullptr ? find(around->transport) : nullptr;
  if (below == nullptr) return;
  below->shown.above = traced.shown.number;
  traced.layer = below->layer + 1;
}

/// Addresses are asked for with the first callback: before, not every transport has them.
void Trace::Record::introduce(Traced& traced, const ObservedTransport& transport) {
  if (std::exchange(traced.introduced, true)) return;
  TracedTransport& shown = traced.shown;
  const auto address = [&](std::string_view name) {
    const ExtraInfo info = transport.get_extra_info(name);
    const auto* known = std::get_if<Address>(&info);
    return known != nullptr ? *known : Address();
  };
  shown.sockname = address("sockname");
  shown.peername = address("peername");
  const ExtraInfo pipe = transport.get_extra_info("pipe");
  if (const auto* view = std::get_if<PipeView>(&pipe)) {
    shown.of = "pipe " + std::to_string(view->descriptor);
  }
  const ExtraInfo process = transport.get_extra_info("subprocess");
  if (const auto* view = std::get_if<SubprocessView>(&process)) {
    shown.of = "process " + std::to_string(view->pid);
    for (const int descriptor : view->pipes) cover_pipe(descriptor, shown);
  }
  if (shown.kind != TransportKind::socket && shown.kind != TransportKind::tls) return;
  shown.partner = lonely_.partner_of(shown, traced.layer);
  if (Traced* partner = partner_of(traced)) partner->shown.partner = shown.number;
}

/// The pipe to or from a process is the process's.
void Trace::Record::cover_pipe(int descriptor, const TracedTransport& process) {
  if (descriptor < 0) return;
  const std::string name = "pipe " + std::to_string(descriptor);
  for (auto& [_, pipe] : transports_) {
    if (!pipe.gone && pipe.shown.of == name && pipe.shown.loop == process.loop) {
      pipe.shown.above = process.number;
    }
  }
}

void Trace::Record::gone(std::uint64_t number) {
  Traced* traced = find(number);
  traced->gone = true;
  if (traced->entries == 0) forget(*traced);
}

void Trace::Record::forget(const Traced& traced) noexcept {
  lonely_.forget(traced.shown, traced.layer);
  transports_.erase(traced.shown.number);
}

Trace::Record::Traced* Trace::Record::find(std::uint64_t number) {
  const auto found = transports_.find(number);
  return found != transports_.end() ? &found->second : nullptr;
}

const TracedTransport* Trace::Record::transport(std::uint64_t number) const {
  const auto found = transports_.find(number);
  return found != transports_.end() ? &found->second.shown : nullptr;
}

// --- Entries ----------------------------------------------------------------------------------------

TraceEntry* Trace::Record::entry(std::uint64_t number) {
  if (number <= dropped() || number > last_entry_) return nullptr;
  return &entries_[static_cast<std::size_t>(number - dropped() - 1)];
}

TraceEntry& Trace::Record::push(TraceEntry entry) {
  if (entries_.size() == options_.most_entries) drop_first();
  entry.number = ++last_entry_;
  entries_.push_back(std::move(entry));
  return entries_.back();
}

void Trace::Record::drop_first() noexcept {
  const std::uint64_t number = entries_.front().transport;
  entries_.pop_front();
  Traced* traced = find(number);
  if (traced != nullptr && --traced->entries == 0 && traced->gone) forget(*traced);
}

void Trace::Record::clear() noexcept {
  while (!entries_.empty()) drop_first();
}

void Trace::Record::note(TraceEntry::TimePoint when, std::string_view what) {
  push({.begin = when, .end = when, .exception = std::string(what)});
}

void Trace::Record::begins(std::uint64_t number, const ObservedTransport& transport,
                           TraceEntry::TimePoint when, const Occurrence& what) {
  Traced& traced = *find(number);
  introduce(traced, transport);
  ++traced.entries;
  const auto shown = what.data.first(std::min(what.data.size(), options_.data_bytes));
  TraceEntry entry{.transport = number,
                   .activity = what.activity,
                   .begin = when,
                   .end = when,
                   .depth = open_.size(),
                   .inside = open_.empty() ? 0 : open_.back(),
                   .from = causes(traced, what),
                   .size = what.size,
                   .data = detail::escaped(shown),
                   .has_more = what.size > shown.size(),
                   .which = what.number};
  if (what.address != nullptr) entry.address = *what.address;
  if (what.reason != nullptr) entry.reason = what.reason->message();
  if (what.activity == Activity::sendto && entry.address.empty()) {
    entry.address = traced.shown.peername;
  }
  if (what.activity == Activity::start_tls) {
    for (auto& [_, below] : transports_) {
      if (below.shown.above == number) below.shown.covered_from = below.taken_over;
    }
  }
  const TraceEntry& pushed = push(std::move(entry));
  open_.push_back(pushed.number);
  note_consequences(traced, transport, what, pushed.number);
}

void Trace::Record::ends(std::uint64_t number, TraceEntry::TimePoint when, const Occurrence& what) {
  const std::uint64_t ended = open_.back();
  open_.pop_back();
  Traced& traced = *find(number);
  if (TraceEntry* known = entry(ended)) {
    known->end = when;
    known->size = what.size;
    known->result = what.result;
    known->threw = what.threw;
    if (what.exception != nullptr) known->exception = detail::exception_text(what.exception);
  }
  const bool is_call = !is_callback(what.activity);
  if (is_call && what.threw) {
    traced.sent.did_not_write(ended);
    for (std::uint64_t* by : {&traced.ended, &traced.closed, &traced.cut}) {
      if (*by == ended) *by = 0;
    }
  }
  // That of a callback that brings data ends the connection.
  const bool is_fatal =
      !is_call &&
      (detail::carries_data(what.activity) || what.activity == Activity::get_buffer ||
       what.activity == Activity::eof_received) &&
      what.exception != nullptr;
  for (std::uint64_t* by : {&traced.ended, &traced.closed, &traced.cut}) {
    if (is_fatal && *by == 0) *by = ended;
  }
}

// --- Causes -----------------------------------------------------------------------------------------

/// What a callback from the loop is the consequence of.
std::vector<std::uint64_t> Trace::Record::causes(Traced& traced, const Occurrence& what) {
  Traced* partner = partner_of(traced);
  const auto one = [](std::uint64_t entry) {
    return entry != 0 ? std::vector<std::uint64_t>{entry} : std::vector<std::uint64_t>();
  };
  switch (what.activity) {
    case Activity::data_received:
    case Activity::buffer_updated:
      if (partner == nullptr) return {};
      partner->sent.forget_before(dropped());
      return partner->sent.received(what.size);
    case Activity::eof_received: return one(partner != nullptr ? partner->ended : 0);
    case Activity::datagram_received:
      if (what.address == nullptr) return {};
      return one(datagrams_.received(traced.shown.number, *what.address, traced.shown.sockname,
                                     what.data));
    case Activity::connection_lost: {
      const bool failed = what.reason != nullptr && *what.reason;
      if (partner != nullptr && failed && partner->cut != 0 && traced.cut == 0) {
        return one(partner->cut);
      }
      if (traced.closed != 0) return one(traced.closed);
      return one(partner != nullptr ? partner->closed : 0);
    }
    default: return {};
  }
}

/// What it will have consequences at the other end for.
void Trace::Record::note_consequences(Traced& traced, const ObservedTransport& transport,
                                      const Occurrence& what, std::uint64_t entry) {
  const bool closing = transport.is_closing();
  // Behind close() a stream still takes what is written while it has something to send; TLS does not. [S28, T21]
  const bool takes = !closing || (traced.shown.kind != TransportKind::tls &&
                                  transport.get_write_buffer_size() > 0);
  const auto first = [entry](std::uint64_t& by) {
    if (by == 0) by = entry;
  };
  switch (what.activity) {
    case Activity::write:
    case Activity::writelines:
      traced.sent.forget_before(dropped());
      if (takes) traced.sent.wrote(entry, what.size);
      break;
    case Activity::sendfile:
      // Told of start_tls() as well, which has just set the protocol of the handshake.
      traced.taken_over = traced.protocol_set;
      traced.sent.wrote_unseen(entry);
      break;
    case Activity::sendto:
      if (!closing) {
        datagrams_.sent(entry, traced.shown.sockname, this->entry(entry)->address, what.data);
      }
      break;
    case Activity::write_eof: first(traced.ended); break;
    case Activity::abort:
      if (!takes) break;
      first(traced.cut);
      [[fallthrough]];
    case Activity::close:
      first(traced.ended);
      first(traced.closed);
      break;
    case Activity::set_protocol: traced.protocol_set = entry; break;
    default: break;
  }
}

// --- The trace --------------------------------------------------------------------------------------

Trace::Trace(const TraceOptions& options) : record_(std::make_shared<Record>(options)) {}

Trace::~Trace() = default;

std::unique_ptr<TransportObserver> Trace::observe(const EventLoop& loop,
                                                  const ObservedTransport& transport) {
  return std::make_unique<Recorder>(record_, loop, transport);
}

void Trace::happened(std::chrono::steady_clock::time_point when, std::string_view what) {
  record_->note(when, what);
}

const std::deque<TraceEntry>& Trace::entries() const noexcept { return record_->entries(); }
const TraceEntry* Trace::entry(std::uint64_t number) const noexcept {
  return record_->entry(number);
}
std::uint64_t Trace::dropped() const noexcept { return record_->dropped(); }
const TracedTransport* Trace::transport(std::uint64_t number) const noexcept {
  return record_->transport(number);
}
void Trace::clear() noexcept { record_->clear(); }

}  // namespace weir::inline v0
