#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "simulation_support.h"
#ifdef WEIR_TEST_TLS
#include "certificates.h"
#endif

namespace weir::simulation_test {
namespace {

/// Answers in two writes what it gets.
struct Answerer : Protocol {
  void connection_made(Transport made) override { transport = std::move(made); }
  void data_received(std::span<const std::byte> data) override {
    transport.write("you said ");
    transport.write(data);
  }
  Transport transport;
};

class Traced : public testing::Test {
 protected:
  explicit Traced(SimulationOptions options = {}) : options_(std::move(options)) {
    // Every packet takes as long.
    options_.link.min_delay = options_.link.max_delay = 100us;
  }

  /// A server and a client on hosts of these names.
  template <class P>
  void connect(const std::string& server = "server", const std::string& client = "client") {
    network_ = std::make_unique<SimulatedNetwork>(options_,
                                                  std::vector<std::shared_ptr<Observer>>{trace_});
    server_ = network_->add_host(server, serving<P>(80));
    client_ = network_->add_host(client);
    loop_ = std::make_unique<EventLoop>(LoopOptions{.host = client_});
    const auto make = [this] { return std::make_shared<EndProtocol>(end_); };
    loop_->run_until_complete(create_connection(*loop_, make, server, 80));
  }
  void run_until(const std::function<bool()>& condition) {
    ASSERT_TRUE(network_->run_until(condition));
  }
  /// Says hello, hears the answer, and ends.
  void talk() {
    end_.transport.write("hello");
    run_until([&] { return end_.received.size() == 14; });
    end_.transport.write_eof();
    run_until([&] { return end_.lost; });
  }

  const TraceEntry* find(Activity activity, std::string_view loop) const {
    for (const TraceEntry& entry : trace_->entries()) {
      const TracedTransport* transport = trace_->transport(entry.transport);
      if (!entry.is_note() && entry.activity == activity && transport->loop == loop) return &entry;
    }
    return nullptr;
  }
  /// The sizes of what it came from.
  std::vector<std::size_t> sources(const TraceEntry& entry) const {
    std::vector<std::size_t> sizes;
    for (const std::uint64_t number : entry.from) sizes.push_back(trace_->entry(number)->size);
    return sizes;
  }

  SimulationOptions options_;
  std::shared_ptr<Trace> trace_ = std::make_shared<Trace>();
  std::unique_ptr<SimulatedNetwork> network_;
  std::unique_ptr<EventLoop> loop_;
  SimulatedHost server_;
  SimulatedHost client_;
  End end_;
};

std::size_t count(std::string_view text, std::string_view part) {
  std::size_t times = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos;
       at = text.find(part, at + part.size())) {
    ++times;
  }
  return times;
}

bool contains(std::string_view text, std::string_view part) { return count(text, part) > 0; }

// --- Pictures -------------------------------------------------------------------------------------

TEST_F(Traced, IsASequenceDiagram) {
  connect<Answerer>();
  talk();
  EXPECT_EQ("\n" + to_sequence_diagram(*trace_), R"(
                                     client                      server
                             10.0.0.2:32768                      10.0.0.1:80
  0.00 us                   connection_made ●                    │
  0.00 us                 write 5 B "hello" ┤                    │
   100 us                                   │                    ● connection_made
   100 us                                   ├────── 100 us ─────▶● data_received 5 B "hello"
   100 us                                   │                    ├─ write 14 B ×2
   200 us  data_received 14 B "you said he… ●◀───── 100 us ──────┤
   200 us                         write_eof ┤                    │
   300 us                                   ├────── 100 us ─────▶● eof_received
   300 us                                   │                    ├ close
   300 us                                   │                    ● connection_lost
   400 us                      eof_received ●◀───── 100 us ──────┤
   400 us                             close ┤                    │
   400 us                   connection_lost ●                    │
)");
}

TEST_F(Traced, FitsWidthAndCharacters) {
  connect<Answerer>();
  talk();
  const std::string text = to_sequence_diagram(*trace_, {.width = 60, .unicode = false});
  EXPECT_EQ("\n" + text, R"(
                    client                 server
            10.0.0.2:32768                 10.0.0.1:80
  0.00 us  connection_made *               |
  0.00 us        write 5 B +               |
   100 us                  |               * connection_made
   100 us                  +--- 100 us --->* data_received..
   100 us                  |               +- write 14 B x2
   200 us  data_received.. *<-- 100 us ----+
   200 us        write_eof +               |
   300 us                  +--- 100 us --->* eof_received
   300 us                  |               + close
   300 us                  |               * connection_lost
   400 us     eof_received *<-- 100 us ----+
   400 us            close +               |
   400 us  connection_lost *               |
)");
  EXPECT_FALSE(contains(to_sequence_diagram(*trace_, {.width = 0}), "nothing"));
  EXPECT_EQ(to_sequence_diagram(Trace()), "nothing happened\n");
}

TEST_F(Traced, HasColoursOnRequestOnly) {
  connect<Answerer>();
  EXPECT_FALSE(contains(to_sequence_diagram(*trace_), "\x1b"));
  EXPECT_TRUE(contains(to_sequence_diagram(*trace_, {.colours = true}),
                       "\x1b[32m● connection_made\x1b[0m"));
}

TEST_F(Traced, IsAMermaidDiagram) {
  connect<Answerer>();
  talk();
  EXPECT_EQ("\n" + to_mermaid(*trace_), R"(
sequenceDiagram
  participant p1 as client 10.0.0.2:32768
  participant p2 as server 10.0.0.1:80
  Note over p1: 0.00 us connection_made
  Note over p1: 0.00 us write 5 B #34;hello#34;
  Note over p2: 100 us connection_made
  p1->>p2: 100 us data_received 5 B #34;hello#34;, after 100 us
  Note over p2: 100 us write 14 B x2
  p2->>p1: 200 us data_received 14 B #34;you said hello#34;, after 100 us
  Note over p1: 200 us write_eof
  p1->>p2: 300 us eof_received, after 100 us
  Note over p2: 300 us close
  Note over p2: 300 us connection_lost
  p2->>p1: 400 us eof_received, after 100 us
  Note over p1: 400 us close
  Note over p1: 400 us connection_lost
)");
}

TEST_F(Traced, IsASvgPicture) {
  connect<Answerer>();
  talk();
  const std::string svg = to_svg(*trace_);
  EXPECT_TRUE(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
  EXPECT_EQ(count(svg, "<text"), count(svg, "</text>"));
  EXPECT_EQ(count(svg, "class=\"arrow\""), 4U);
  EXPECT_EQ(count(svg, ">100 us</text>"), 3U + 4U);  // on the axis, and at the arrows
  EXPECT_TRUE(contains(svg, "write 5 B &quot;hello&quot;"));
  EXPECT_TRUE(contains(svg, "prefers-color-scheme: dark"));
  EXPECT_FALSE(contains(svg, "<script"));
}

TEST_F(Traced, IsJsonForPerfetto) {
  connect<Answerer>();
  talk();
  const std::string json = to_perfetto(*trace_);
  EXPECT_EQ(count(json, "\"ph\":\"X\""), trace_->entries().size());
  EXPECT_EQ(count(json, "\"ph\":\"M\""), 4U);
  // One for each write that was received, and for each end.
  EXPECT_EQ(count(json, "\"ph\":\"s\""), 5U);
  EXPECT_EQ(count(json, "\"ph\":\"f\",\"bp\":\"e\""), 5U);
  EXPECT_TRUE(contains(json, R"("name":"process_name","pid":1,"args":{"name":"client"})"));
  EXPECT_TRUE(contains(json,
                       R"("name":"write 5 B","pid":1,"tid":1000001,"ts":0.002,"dur":0.001,"args":{)"
                       R"("entry":2,"bytes":5,"data":"hello"})"));
}

TEST_F(Traced, NamesLifelinesAsItIsTold) {
  connect<Answerer>();
  talk();
  const TraceView view{.name = [](const TracedTransport& transport) {
    return std::string(transport.sockname.port() == 80 ? "the server" : "");
  }};
  EXPECT_TRUE(contains(to_sequence_diagram(*trace_, {.view = view}), "│ the server") ||
              contains(to_sequence_diagram(*trace_, {.view = view}), " the server\n"));
  EXPECT_TRUE(contains(to_mermaid(*trace_, {.view = view}), "p2 as server the server\n"));
  EXPECT_TRUE(contains(to_mermaid(*trace_, {.view = view}), "p1 as client 10.0.0.2:32768\n"));
}

// --- Text that could do harm ----------------------------------------------------------------------

constexpr std::string_view hostile = "</text>\x1b[31m\"';#%end\\\n\x80\xe2\x80\xae&";

struct Hostile : Protocol {
  void data_received(std::span<const std::byte>) override {
    throw std::runtime_error(std::string(hostile));
  }
};

TEST_F(Traced, DoesNoHarmWithWhatItShows) {
  trace_ = std::make_shared<Trace>(TraceOptions{.data_bytes = 64});
  connect<Hostile>("server", "<end>;\x1b[2J\"\n");
  network_->loop(server_)->set_exception_handler([](EventLoop&, const ExceptionContext&) {});
  end_.transport.write(hostile);
  run_until([&] { return end_.lost; });
  trace_->happened(loop_->time(), hostile);

  const std::string text = to_sequence_diagram(*trace_, {.width = 500});
  EXPECT_TRUE(contains(text, R"("</text>\x1b[31m\"';#%end\\\n\x80\xe2\x80\xae&")"));
  EXPECT_TRUE(contains(text, R"(threw </text>\x1b[31m"';#%end\\x0a\x80\xe2\x80\xae&)"));
  EXPECT_TRUE(contains(text, R"(<end>;\x1b[2J"\x0a)"));
  const std::string mermaid = to_mermaid(*trace_);
  EXPECT_TRUE(contains(mermaid, "p1 as #60;#101;nd#62;#59;#92;x1b[2J#34;#92;x0a 10.0.0.2"));
  EXPECT_EQ(count(mermaid, "end"), 0U);
  const std::string svg = to_svg(*trace_);
  EXPECT_EQ(count(svg, "<text"), count(svg, "</text>"));
  EXPECT_TRUE(contains(svg, "&lt;end&gt;;\\x1b[2J&quot;\\x0a"));
  const std::string json = to_perfetto(*trace_);
  EXPECT_TRUE(contains(json, R"("args":{"name":"<end>;\\x1b[2J\"\\x0a"})"));
  EXPECT_TRUE(contains(json, R"("cat":"fault","name":"</text>\\x1b[31m\"';#%end\\\\x0a\\x80)"));
  for (const std::string& picture : {text, mermaid, svg, json}) {
    EXPECT_FALSE(contains(picture, "\x1b"));
    EXPECT_FALSE(contains(picture, "\xe2\x80\xae"));
  }
}

// --- Arrows ---------------------------------------------------------------------------------------

TEST_F(Traced, SeveralWritesMayArriveAsOne) {
  connect<Echo>();
  for (const std::string_view word : {"one ", "two", " three"}) end_.transport.write(word);
  run_until([&] { return end_.received.size() == 13; });
  const TraceEntry* received = find(Activity::data_received, "server");
  EXPECT_EQ(received->size, 13U);
  EXPECT_EQ(sources(*received), std::vector<std::size_t>({4, 3, 6}));
  EXPECT_EQ(received->inside, 0U);
  const TraceEntry* written = find(Activity::write, "server");
  EXPECT_EQ(written->inside, received->number);
  EXPECT_EQ(written->depth, 1U);
}

class TracedInPieces : public Traced {
 protected:
  TracedInPieces() : Traced({.link = {.bytes_per_second = 1000}, .max_segment = 4}) {}
};

TEST_F(TracedInPieces, OneWriteMayArriveAsSeveral) {
  connect<Protocol>();
  end_.transport.write(pattern(40));
  end_.transport.write(pattern(7));
  network_->run_for(1s);
  std::size_t offset = 0, pieces = 0;
  for (const TraceEntry& entry : trace_->entries()) {
    if (entry.activity != Activity::data_received || entry.is_note()) continue;
    std::vector<std::size_t> expected;
    if (offset < 40) expected.push_back(40);
    offset += entry.size;
    if (offset > 40) expected.push_back(7);
    EXPECT_EQ(sources(entry), expected);
    ++pieces;
  }
  EXPECT_EQ(offset, 47U);
  EXPECT_GE(pieces, 12U);
}

TEST_F(Traced, AnAbortIsWhatEndsTheOtherEnd) {
  connect<Protocol>();
  network_->run_for(1s);
  end_.transport.abort(std::make_error_code(std::errc::timed_out));
  network_->run_for(1s);
  const TraceEntry* abort = find(Activity::abort, "client");
  EXPECT_EQ(abort->reason, "Connection timed out");
  const std::vector<std::uint64_t> from{abort->number};
  EXPECT_EQ(find(Activity::connection_lost, "client")->from, from);
  const bool as_end = find(Activity::eof_received, "server") != nullptr;
  EXPECT_EQ(find(as_end ? Activity::eof_received : Activity::connection_lost, "server")->from,
            from);
}

TEST_F(Traced, WhoIsNotInTheTraceHasALifelineOutside) {
  network_ = std::make_unique<SimulatedNetwork>(options_);
  network_->add_host("server", serving<Echo>(80));
  EventLoop loop({.host = network_->add_host("client"), .observers = {trace_}});
  loop.run_until_complete(create_connection(
      loop, [this] { return std::make_shared<EndProtocol>(end_); }, "server", 80));
  end_.transport.write("hello");
  run_until([&] { return end_.received.size() == 5; });
  EXPECT_EQ("\n" + to_sequence_diagram(*trace_, {.width = 80}), R"(
                                   10.0.0.2:32768                 10.0.0.1:80
  0.00 us                         connection_made ●               │
  0.00 us                       write 5 B "hello" ┤──────────────▶│
   200 us               data_received 5 B "hello" ●◀──────────────┤
)");
}

// --- Datagrams ------------------------------------------------------------------------------------

struct DatagramEcho : DatagramProtocol {
  void connection_made(DatagramTransport made) override { transport = made; }
  void datagram_received(std::span<const std::byte> data, const Address& sender) override {
    transport.sendto(data, sender);
  }
  DatagramTransport transport;
};

struct DatagramEnd : DatagramProtocol {
  void datagram_received(std::span<const std::byte>, const Address&) override { ++received; }
  int received = 0;
};

TEST_F(Traced, DatagramsHaveArrows) {
  network_ =
      std::make_unique<SimulatedNetwork>(options_, std::vector<std::shared_ptr<Observer>>{trace_});
  network_->add_host("server", [](EventLoop& loop) {
    create_datagram_endpoint<DatagramEcho>(loop, {.local_addr = LocalAddress{"0.0.0.0", 53}});
  });
  EventLoop loop({.host = network_->add_host("client")});
  const auto [transport, protocol] = loop.run_until_complete(
      create_datagram_endpoint<DatagramEnd>(loop, {.remote_addr = LocalAddress{"server", 53}}));
  transport.sendto("one");
  transport.sendto("two");
  run_until([&, end = protocol] { return end->received == 2; });
  EXPECT_EQ("\n" + to_sequence_diagram(*trace_, {.width = 80}), R"(
                              client                 server
                      10.0.0.2:32768                 0.0.0.0:53
  0.00 us            connection_made ●               │
  0.00 us                            │               ● connection_made
  0.00 us              sendto 6 B ×2 ┤               │
   100 us                            ├─── 100 us ───▶● datagram_received 3 B
   100 us                            │               ├─ sendto 3 B "one"
   100 us                            ├─── 100 us ───▶● datagram_received 3 B
   100 us                            │               ├─ sendto 3 B "two"
   200 us   datagram_received 6 B ×2 ●◀── 100 us ────┤
)");
}

// --- Bounds ---------------------------------------------------------------------------------------

TEST_F(Traced, KeepsNoMoreThanItMay) {
  trace_ = std::make_shared<Trace>(TraceOptions{.most_entries = 4, .data_bytes = 3});
  connect<Answerer>();
  talk();
  EXPECT_EQ(trace_->entries().size(), 4U);
  EXPECT_EQ(trace_->dropped(), 10U);
  EXPECT_EQ(trace_->entry(10), nullptr);
  EXPECT_EQ(trace_->entry(11), &trace_->entries().front());
  EXPECT_EQ(trace_->entry(15), nullptr);
  EXPECT_TRUE(contains(to_sequence_diagram(*trace_), "── 10 earlier entries are missing ──"));
  EXPECT_TRUE(contains(to_mermaid(*trace_), "Note over p1: 10 earlier entries are missing\n"));
  EXPECT_TRUE(contains(to_svg(*trace_), "10 earlier entries are missing"));
  EXPECT_TRUE(contains(to_perfetto(*trace_), "\"missing_entries\":10"));
  network_->run_for(1s);
  trace_->clear();
  EXPECT_EQ(trace_->dropped(), 14U);
  EXPECT_EQ(trace_->transport(1), nullptr);
  EXPECT_EQ(to_sequence_diagram(*trace_), "nothing happened\n");
  EXPECT_EQ(to_mermaid(*trace_), "sequenceDiagram\n");
}

TEST_F(Traced, KeepsTheFirstBytes) {
  trace_ = std::make_shared<Trace>(TraceOptions{.data_bytes = 3});
  connect<Protocol>();
  end_.transport.write("ab\ncd");
  EXPECT_EQ(find(Activity::write, "client")->data, "ab\\n");
  EXPECT_TRUE(find(Activity::write, "client")->has_more);
}

// --- Faults ---------------------------------------------------------------------------------------

TEST_F(Traced, FaultsGoOverAllLifelines) {
  connect<Echo>();
  network_->at(1s, [&] { network_->partition(server_, client_); });
  network_->run_for(2s);
  EXPECT_TRUE(
      contains(to_sequence_diagram(*trace_), "   1.00 s  ─── partition of server and client ──"));
  EXPECT_TRUE(
      contains(to_mermaid(*trace_), "Note over p1,p2: 1.00 s partition of server and client\n"));
  EXPECT_TRUE(contains(to_svg(*trace_), ">partition of server and client</text>"));
  EXPECT_TRUE(
      contains(to_perfetto(*trace_),
               R"("ph":"i","s":"g","cat":"fault","name":"partition of server and client")"));
}

// --- TLS ------------------------------------------------------------------------------------------

#ifdef WEIR_TEST_TLS

class TracedTls : public Traced {
 protected:
  TracedTls()
      : authority_(test::TestCertificate::authority()),
        server_context_(TlsContext::server({.identity = authority_.server({"server"}).identity()})),
        client_context_(TlsContext::client({.trusted = {authority_.trusted()}})) {}

  test::TestCertificate authority_;
  TlsContext server_context_;
  TlsContext client_context_;
};

TEST_F(TracedTls, ShowsTheUpperLayer) {
  network_ =
      std::make_unique<SimulatedNetwork>(options_, std::vector<std::shared_ptr<Observer>>{trace_});
  network_->add_host("server", serving<Echo>(443, {.tls = server_context_}));
  EventLoop loop({.host = network_->add_host("client")});
  loop.run_until_complete(create_connection(loop,
                                            [this] { return std::make_shared<EndProtocol>(end_); },
                                            "server", 443, {.tls = client_context_}));
  end_.transport.write("hello");
  run_until([&] { return end_.received == "hello"; });
  EXPECT_EQ("\n" + to_sequence_diagram(*trace_, {.width = 80}), R"(
                              client                 server
                      10.0.0.2:32768                 10.0.0.1:443
  0.00 us            connection_made ●               │
  0.00 us          write 5 B "hello" ┤               │
   100 us                            │               ● connection_made
   100 us                            ├─── 100 us ───▶● data_received 5 B "hello"
   100 us                            │               ├─ write 5 B "hello"
   200 us  data_received 5 B "hello" ●◀── 100 us ────┤
)");
  const std::string all = to_mermaid(*trace_, {.view = {.all_layers = true}});
  EXPECT_EQ(count(all, "participant"), 4U);
  EXPECT_GT(count(all, "->>"), 4U);
}

/// Speaks in the clear, then upgrades.
struct Upgrading : Protocol {
  Upgrading(EventLoop& its_loop, TlsContext its_context)
      : loop(its_loop), context(std::move(its_context)) {}
  void connection_made(Transport made) override {
    transport = std::move(made);
    if (!context.is_server()) transport.write("upgrade");
  }
  void data_received(std::span<const std::byte> data) override {
    if (!std::exchange(upgrading, true)) return upgrade();
    heard += as_text(data);
  }
  void upgrade() {
    if (context.is_server()) transport.write("yes");
    auto upgraded = start_tls(loop, transport, shared, context, {.server_hostname = name()});
    upgraded.add_done_callback([this, upgraded](const auto&) {
      transport = upgraded.result();
      if (!context.is_server()) transport.write("secret");
    });
  }
  std::optional<std::string> name() const {
    return context.is_server() ? std::nullopt : std::optional<std::string>("server");
  }
  EventLoop& loop;
  TlsContext context;
  Transport transport;
  std::shared_ptr<Protocol> shared;
  bool upgrading = false;
  std::string heard;
};

TEST_F(TracedTls, ShowsWhatWasInTheClearBefore) {
  network_ =
      std::make_unique<SimulatedNetwork>(options_, std::vector<std::shared_ptr<Observer>>{trace_});
  std::shared_ptr<Upgrading> server, client;
  const auto make = [](std::shared_ptr<Upgrading>& end, EventLoop& loop,
                       const TlsContext& context) {
    end = std::make_shared<Upgrading>(loop, context);
    end->shared = end;
    return end;
  };
  network_->add_host("server", [&](EventLoop& loop) {
    create_server(
        loop, [&] { return make(server, loop, server_context_); }, "0.0.0.0", 25);
  });
  EventLoop loop({.host = network_->add_host("client")});
  loop.run_until_complete(create_connection(
      loop, [&] { return make(client, loop, client_context_); }, "server", 25));
  run_until([&] { return server != nullptr && server->heard == "secret"; });
  EXPECT_EQ("\n" + to_sequence_diagram(*trace_, {.width = 80}), R"(
                              client                 server
                      10.0.0.2:32768                 10.0.0.1:25
  0.00 us            connection_made ●               │
  0.00 us       write 7 B "upgrade" ─┤               │
   100 us                            │               ● connection_made
   100 us                            ├─── 100 us ───▶● data_received 7 B "upgra…
   100 us                            │               ├─ write 3 B "yes"
   200 us    data_received 3 B "yes" ●◀── 100 us ────┤
   400 us                  start_tls ┤               │
   400 us         write 6 B "secret" ┤               │
   500 us                            │               ├ start_tls
   500 us                            ├─── 100 us ───▶● data_received 6 B "secre…
)");
  server->shared.reset();
  client->shared.reset();
}

#endif

}  // namespace
}  // namespace weir::simulation_test
