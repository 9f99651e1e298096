#pragma once

#include <weir/address.h>
#include <weir/export.h>
#include <weir/observer.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace weir::inline v0 {

/// How much a Trace keeps.
struct TraceOptions {
  /// When there are more, the oldest go.
  std::size_t most_entries = 100'000;
  /// Of what is received or written, so many bytes are kept.
  std::size_t data_bytes = 16;
};

/// A transport in a Trace.
struct TracedTransport {
  std::uint64_t number = 0;  ///< in the order they were made, from 1
  TransportKind kind{};
  std::string loop;  ///< its name, or "loop 1" and so on
  Address sockname{};
  Address peername{};
  /// What it is of, where it has no addresses: "pipe 5", "process 1234".
  std::string of{};
  /// The other end of the connection, by number; 0 if that is not in the trace.
  std::uint64_t partner = 0;
  /// The transport that is over this one: that of TLS, or of the process whose pipe this is. 0: none.
  std::uint64_t above = 0;
  /// The number of the first entry that is that transport's business, and not of a user of this one.
  std::uint64_t covered_from = 0;
};

/// One callback or call, or a note.
struct TraceEntry {
  using TimePoint = std::chrono::steady_clock::time_point;

  std::uint64_t number = 0;     ///< in the order they began, from 1
  std::uint64_t transport = 0;  ///< by number; 0: this is a note
  Activity activity{};
  /// In the time of the loop. Until it has ended, `end` is `begin`.
  TimePoint begin{};
  TimePoint end{};
  std::size_t depth = 0;     ///< how many others had begun and not ended
  std::uint64_t inside = 0;  ///< the last of them; 0 for what the loop calls
  /// What it is the consequence of, where that can be known: of data the writes at the other end that it came
  /// from, of the end of a stream or a connection what brought it about. Oldest first.
  std::vector<std::uint64_t> from{};
  std::size_t size = 0;  ///< in bytes
  std::string
      data{};  ///< the first of them, as they are in a string literal of C++, in printable ASCII
  bool has_more = false;  ///< than these
  Address address{};      ///< of a datagram
  int which = 0;          ///< stream of a process, or signal
  std::string reason{};   ///< of connection_lost() and its like; empty if there is none
  bool result = false;    ///< of eof_received()
  bool threw = false;
  std::string exception{};  ///< what it threw, where that is known; or the text of a note

  bool is_note() const noexcept { return transport == 0; }
};

/// Records what passes between transports and protocols, and what happens to a simulated network: when, where,
/// and because of what. The functions below make pictures of it.
///
///     auto trace = std::make_shared<weir::Trace>();
///     weir::EventLoop loop({.observers = {trace}});
///     ...
///     std::cout << weir::to_sequence_diagram(*trace);
///
/// Two transports are one connection if each has the other's address as its peer's; offsets in what went through
/// tell which write() a data_received() came from. So a connection with both its ends in one trace, on one loop or on
/// several, has arrows from end to end.
///
/// Threads: one; loops on several threads need one each.
class WEIR_API Trace final : public Observer {
 public:
  explicit Trace(const TraceOptions& options = {});
  ~Trace() override;

  std::unique_ptr<TransportObserver> observe(const EventLoop& loop,
                                             const ObservedTransport& transport) override;
  void happened(std::chrono::steady_clock::time_point when, std::string_view what) override;

  /// Oldest first. Numbers have no gaps.
  const std::deque<TraceEntry>& entries() const noexcept;
  /// Null if it was dropped, or there never was one.
  const TraceEntry* entry(std::uint64_t number) const noexcept;
  /// How many are no more there.
  std::uint64_t dropped() const noexcept;

  /// Null if nothing of it is left.
  const TracedTransport* transport(std::uint64_t number) const noexcept;

  /// Forgets all entries so far. Connections go on, and so do numbers.
  void clear() noexcept;

 private:
  class Record;
  class Recorder;

  std::shared_ptr<Record> record_;
};

/// What of a trace a picture shows.
struct TraceView {
  /// Also what passes between the layers of TLS, and between a process and its pipes.
  bool all_layers = false;
  /// What a transport's lifeline is called; by default, or if this returns nothing, by loop and address.
  std::function<std::string(const TracedTransport&)> name{};
};

struct SequenceDiagramOptions {
  TraceView view{};
  /// In columns. If there is no room for a lifeline for each transport, there is one for each loop.
  std::size_t width = 100;
  bool unicode = true;
  /// Has escape codes of terminals.
  bool colours = false;
};

/// The trace as text for a terminal: a lifeline for each transport, time downwards. What comes from another end in the
/// trace has an arrow with the time it was on its way; a call within a callback is joined to its lifeline by a dash.
/// Equal events that follow each other are one line.
WEIR_API std::string to_sequence_diagram(const Trace& trace,
                                         const SequenceDiagramOptions& options = {});

struct MermaidOptions {
  TraceView view{};
};

/// The trace as a sequenceDiagram of Mermaid, for pages that show those.
WEIR_API std::string to_mermaid(const Trace& trace, const MermaidOptions& options = {});

struct SvgOptions {
  TraceView view{};
};

/// The trace as a picture of its own, light or dark as whoever looks at it prefers: time downwards, more room where more
/// time passed, though not in proportion. An arrow leaves when something was sent and arrives when it was received.
WEIR_API std::string to_svg(const Trace& trace, const SvgOptions& options = {});

struct PerfettoOptions {
  TraceView view{};
};

/// The trace as JSON in Chrome's format, which ui.perfetto.dev opens: a process for each loop, a thread for each
/// transport, a slice for each callback and call, a flow for each arrow. What happens in the same instant of virtual
/// time is a nanosecond apart there, or it would be invisible.
WEIR_API std::string to_perfetto(const Trace& trace, const PerfettoOptions& options = {});

}  // namespace weir::inline v0
