// Spawning by libuv: the next uv_spawn from the callback that closed the last child's handle.

#include <uv.h>

#include <array>
#include <cstdint>
#include <string>

#include "spawn_meter.h"

namespace {

class Spawner {
 public:
  explicit Spawner(bench::SpawnMeter& meter) : meter_(meter) {}

  void next() {
    if (!meter_.again()) return;
    std::array<char*, 2> arguments{program_.data(), nullptr};
    std::array<uv_stdio_container_t, 3> stdio{};
    for (int fd = 0; fd < 3; ++fd) {
      stdio[static_cast<std::size_t>(fd)].flags = UV_INHERIT_FD;
      stdio[static_cast<std::size_t>(fd)].data.fd = fd;
    }
    uv_process_options_t options{};
    options.file = program_.c_str();
    options.args = arguments.data();
    options.stdio = stdio.data();
    options.stdio_count = stdio.size();
    options.exit_cb = [](uv_process_t* process, std::int64_t status, int) {
      bench::SpawnMeter::check(static_cast<int>(status));
      uv_close(reinterpret_cast<uv_handle_t*>(process),
               [](uv_handle_t* handle) { static_cast<Spawner*>(handle->data)->next(); });
    };
    process_.data = this;
    if (const int error = uv_spawn(uv_default_loop(), &process_, &options); error != 0) {
      bench::spawn_failed("uv_spawn", uv_strerror(error));
    }
  }

 private:
  bench::SpawnMeter& meter_;
  std::string program_ = bench::child_program;
  uv_process_t process_{};
};

}  // namespace

int main(int argc, char** argv) {
  bench::SpawnMeter meter(argc, argv);
  Spawner spawner(meter);
  spawner.next();
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  meter.report();
}
