#include "trace_picture.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "trace_text.h"

namespace weir::inline v0::detail {
namespace {

/// Which entries a picture shows, and on whose lifeline.
class Selection {
 public:
  Selection(const Trace& trace, const TraceView& view) : trace_(trace), view_(view) {}

  bool shows(const TraceEntry& entry) const {
    if (entry.is_note()) return true;
    if (entry.activity == Activity::get_buffer && !entry.threw) return false;
    const TracedTransport& own = *trace_.transport(entry.transport);
    if (view_.all_layers || own.above == 0 || entry.number < own.covered_from) return true;
    // What is written to a process its user writes to the pipe.
    return own.kind == TransportKind::write_pipe && !is_callback(entry.activity);
  }

  /// A transport and those over it are one to look at.
  const TracedTransport& top(std::uint64_t number) const {
    const TracedTransport* transport = trace_.transport(number);
    if (view_.all_layers) return *transport;
    while (const TracedTransport* above = trace_.transport(transport->above)) transport = above;
    return *transport;
  }

  std::size_t depth(const TraceEntry& entry) const {
    std::size_t depth = 0;
    const TraceEntry* around = trace_.entry(entry.inside);
    for (; around != nullptr; around = trace_.entry(around->inside)) depth += shows(*around);
    return depth;
  }

 private:
  const Trace& trace_;
  const TraceView& view_;
};

class PictureMaker {
 public:
  PictureMaker(const Trace& trace, const TraceView& view, LifelineOf of)
      : trace_(trace), view_(view), of_(of), selection_(trace, view) {}

  Picture make(Folding folding) {
    for (const TraceEntry& entry : trace_.entries()) {
      if (selection_.shows(entry)) shown_.push_back(&entry);
    }
    picture_.missing = trace_.dropped();
    if (!shown_.empty()) picture_.begin = shown_.front()->begin;
    know_datagram_sockets();
    make_lifelines();
    for (const TraceEntry* entry : shown_) add(*entry, folding);
    return std::move(picture_);
  }

 private:
  void know_datagram_sockets();
  void make_lifelines();
  std::size_t lifeline_of(std::uint64_t number);
  std::size_t outside_of(const TraceEntry& entry);
  std::string outside_name(const TraceEntry& entry) const;
  std::string name_of(const TracedTransport& transport) const;

  void add(const TraceEntry& entry, Folding folding);
  std::vector<Arrow> arrows_of(const TraceEntry& entry, std::size_t lifeline);

  const Trace& trace_;
  const TraceView& view_;
  LifelineOf of_;
  Selection selection_;
  std::vector<const TraceEntry*> shown_;
  std::map<std::string, std::size_t> inside_;
  std::map<std::string, std::size_t> outside_;
  std::set<std::string> datagram_sockets_;
  Picture picture_;
};

/// What goes to the other end, or comes from there.
bool crosses(const TraceEntry& entry) {
  switch (entry.activity) {
    case Activity::eof_received:
    case Activity::write_eof:
    case Activity::sendfile: return true;
    default: return carries_data(entry.activity);
  }
}

// --- Lifelines --------------------------------------------------------------------------------------

/// By the addresses they are bound to, and those by which they were reached: 0.0.0.0 has others.
void PictureMaker::know_datagram_sockets() {
  for (const TraceEntry* entry : shown_) {
    if (entry->is_note()) continue;
    const TracedTransport& transport = *trace_.transport(entry->transport);
    if (transport.kind != TransportKind::datagram) continue;
    datagram_sockets_.insert(transport.sockname.to_string());
    for (const std::uint64_t cause : entry->from) {
      const TraceEntry* sent = trace_.entry(cause);
      if (sent != nullptr) datagram_sockets_.insert(sent->address.to_string());
    }
  }
}

/// Whoever sends first is to the left of whom he sends to, so that the first arrow goes as one reads.
void PictureMaker::make_lifelines() {
  for (const TraceEntry* entry : shown_) {
    if (entry->is_note()) continue;
    for (const std::uint64_t cause : entry->from) {
      const TraceEntry* sender = trace_.entry(cause);
      if (sender != nullptr && selection_.shows(*sender)) lifeline_of(sender->transport);
    }
    if (entry->activity == Activity::connection_made &&
        trace_.transport(entry->transport)->partner != 0) {
      continue;  // wait for who sends first
    }
    lifeline_of(entry->transport);
    outside_of(*entry);
  }
  for (const TraceEntry* entry : shown_) {
    if (!entry->is_note()) lifeline_of(entry->transport);
  }
}

std::size_t PictureMaker::lifeline_of(std::uint64_t number) {
  const TracedTransport& transport = selection_.top(number);
  const std::string key =
      of_ == LifelineOf::loop ? transport.loop : std::to_string(transport.number);
  const auto [found, added] = inside_.emplace(key, picture_.lifelines.size());
  if (added) {
    picture_.lifelines.push_back(
        {.loop = transport.loop,
         .name = of_ == LifelineOf::loop ? transport.loop : name_of(transport),
         .transport = transport.number});
    // Next to its other end, if that is in the trace.
    if (trace_.transport(transport.partner) != nullptr) lifeline_of(transport.partner);
  }
  return found->second;
}

std::string PictureMaker::name_of(const TracedTransport& transport) const {
  if (view_.name) {
    if (std::string name = view_.name(transport); !name.empty()) return name;
  }
  if (!transport.of.empty()) return transport.of;
  std::string own = transport.sockname.to_string();
  if (!own.empty()) return own;
  return std::string(to_string(transport.kind)) + ' ' + std::to_string(transport.number);
}

/// Empty if it has nothing to do with anybody outside.
std::string PictureMaker::outside_name(const TraceEntry& entry) const {
  if (!crosses(entry)) return {};
  const TracedTransport& transport = selection_.top(entry.transport);
  if (transport.kind == TransportKind::datagram) {
    const std::string name = entry.address.to_string();
    const bool is_inside = !entry.from.empty() || datagram_sockets_.contains(name);
    return is_inside ? std::string() : name;
  }
  if (transport.kind == TransportKind::subprocess) return "the program";
  if (trace_.transport(transport.partner) != nullptr) return {};
  std::string name = transport.peername.to_string();
  if (!name.empty()) return name;
  return "peer of " + name_of(transport);
}

/// Event::everywhere if there is nobody.
std::size_t PictureMaker::outside_of(const TraceEntry& entry) {
  const std::string name = outside_name(entry);
  if (name.empty()) return Event::everywhere;
  const auto [found, added] = outside_.emplace(name, picture_.lifelines.size());
  if (added) picture_.lifelines.push_back({.loop = {}, .name = name, .outside = true});
  return found->second;
}

// --- Events -----------------------------------------------------------------------------------------

std::vector<Arrow> PictureMaker::arrows_of(const TraceEntry& entry, std::size_t lifeline) {
  std::vector<Arrow> arrows;
  for (const std::uint64_t cause : entry.from) {
    const TraceEntry* sender = trace_.entry(cause);
    if (sender == nullptr || !selection_.shows(*sender)) continue;
    const std::size_t from = lifeline_of(sender->transport);
    // What it was itself that did it has no way to go.
    if (selection_.top(sender->transport).number == selection_.top(entry.transport).number) {
      continue;
    }
    arrows.push_back({from, lifeline, sender->begin, entry.begin, cause});
  }
  const std::size_t outside = outside_of(entry);
  if (outside != Event::everywhere) {
    const bool comes = is_callback(entry.activity);
    arrows.push_back({comes ? outside : lifeline, comes ? lifeline : outside, entry.begin,
                      entry.begin, comes ? 0 : entry.number});
  }
  return arrows;
}

/// Only what has a size: other things do not happen again and again.
bool may_fold(const Event& last, const Event& next) {
  if (last.is_note() || next.is_note() || last.lifeline != next.lifeline) return false;
  const TraceEntry &one = *last.entry, &other = *next.entry;
  return one.activity == other.activity && one.transport == other.transport &&
         last.depth == next.depth && carries_data(one.activity) && !one.threw && !other.threw;
}

void PictureMaker::add(const TraceEntry& entry, Folding folding) {
  Event event{.entry = &entry, .size = entry.size};
  if (!entry.is_note()) {
    event.lifeline = lifeline_of(entry.transport);
    event.depth = selection_.depth(entry);
    event.arrows = arrows_of(entry, event.lifeline);
  }
  if (folding == Folding::folded && !picture_.events.empty() &&
      may_fold(picture_.events.back(), event)) {
    Event& last = picture_.events.back();
    last.size += event.size;
    ++last.times;
    picture_.event_of[entry.number] = picture_.events.size() - 1;
    last.arrows.insert(last.arrows.end(), event.arrows.begin(), event.arrows.end());
    return;
  }
  picture_.event_of[entry.number] = picture_.events.size();
  picture_.events.push_back(std::move(event));
}

}  // namespace

Picture picture_of(const Trace& trace, const TraceView& view, LifelineOf of, Folding folding) {
  return PictureMaker(trace, view, of).make(folding);
}

std::string label_of(const Event& event, std::string_view times_sign) {
  std::string text(to_string(event.entry->activity));
  if (carries_data(event.entry->activity)) text += ' ' + bytes_text(event.size);
  if (event.times > 1) text += ' ' + std::string(times_sign) + std::to_string(event.times);
  return text;
}

std::string full_label_of(const Event& event, std::string_view times_sign) {
  std::string text = label_of(event, times_sign);
  if (event.times > 1) return text;
  if (const std::string more = details_of(*event.entry); !more.empty()) text += ' ' + more;
  return text;
}

}  // namespace weir::inline v0::detail
