// Spawning by Weir: the next subprocess_exec from the last child's connection_lost.

#include <weir/weir.h>

#include <memory>

#include "spawn_meter.h"

namespace {

class Spawner {
 public:
  Spawner(weir::EventLoop& loop, bench::SpawnMeter& meter) : loop_(loop), meter_(meter) {}

  void next() {
    if (!meter_.again()) return loop_.stop();
    const auto inherit = weir::Stdio::inherit();
    weir::SubprocessOptions options;
    options.input = options.output = options.error = inherit;
    weir::subprocess_exec(
        loop_, [this] { return std::make_shared<Child>(*this); }, {bench::child_program}, options)
        .add_done_callback([](const auto& spawned) { spawned.result(); });
  }

 private:
  struct Child : weir::SubprocessProtocol {
    explicit Child(Spawner& owner) : spawner(owner) {}
    void connection_made(weir::SubprocessTransport made) override { transport = made; }
    void process_exited() override { bench::SpawnMeter::check(transport.get_returncode().value()); }
    void connection_lost(const weir::CloseReason&) override { spawner.next(); }

    Spawner& spawner;
    weir::SubprocessTransport transport;
  };

  weir::EventLoop& loop_;
  bench::SpawnMeter& meter_;
};

}  // namespace

int main(int argc, char** argv) {
  bench::SpawnMeter meter(argc, argv);
  weir::EventLoop loop;
  Spawner spawner(loop, meter);
  spawner.next();
  loop.run_forever();
  meter.report();
}
