#include <algorithm>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "simulation_support.h"

namespace weir::simulation_test {
namespace {

/// Answers what it gets, and ends when its peer has.
struct Greeter : Protocol {
  void connection_made(Transport made) override { transport = std::move(made); }
  void data_received(std::span<const std::byte> data) override {
    transport.write("you said ");
    transport.write(data);
  }
  bool eof_received() override { return false; }
  Transport transport;
};

class Traced : public testing::Test {
 protected:
  explicit Traced(const SimulationOptions& options = {.link = {.min_delay = 100us,
                                                               .max_delay = 100us}})
      : network_(options, {trace_}) {}

  /// A client that says hello, and is told so.
  void exchange() {
    network_.add_host("server", serving<Greeter>(80));
    EventLoop loop({.host = network_.add_host("client")});
    loop.run_until_complete(create_connection(
        loop, [&] { return std::make_shared<EndProtocol>(end_); }, "server", 80));
    end_.transport.write("hello");
    network_.run_until([&] { return end_.received.size() == 14; });
    end_.transport.write_eof();
    network_.run_until([&] { return end_.lost; });
  }

  std::shared_ptr<Trace> trace_ = std::make_shared<Trace>();
  SimulatedNetwork network_;
  End end_;
};

TEST_F(Traced, AsASequenceDiagram) {
  exchange();
  std::cout << to_sequence_diagram(*trace_)
            << to_sequence_diagram(*trace_, {.width = 80, .unicode = false});
}

}  // namespace
}  // namespace weir::simulation_test
