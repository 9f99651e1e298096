// Weir's echo server on `--threads N`, each message hashed `--hashes N` times before it is echoed.

#include <weir/serve_on.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "server_options.h"
#include "weir_loop.h"

namespace {

std::uint64_t fnv1a(std::span<const std::byte> data, std::uint64_t hash) {
  for (const std::byte byte : data) {
    hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3;
  }
  return hash;
}

class HashAndEcho : public weir::Protocol {
 public:
  explicit HashAndEcho(unsigned long hashes) : hashes_(hashes) {}

  void connection_made(weir::Transport transport) override { transport_ = transport; }
  void data_received(std::span<const std::byte> data) override {
    for (unsigned long i = 0; i < hashes_; ++i) hash_ = fnv1a(data, hash_);
    transport_.write(data);
  }

 private:
  unsigned long hashes_;
  volatile std::uint64_t hash_ = 0xcbf29ce484222325;  // so that it is computed
  weir::Transport transport_;
};

}  // namespace

int main(int argc, char** argv) {
  const auto options = bench::parse_server_options(argc, argv);
  auto server = weir::serve_on(
      options.threads, [hashes = options.hashes] { return std::make_shared<HashAndEcho>(hashes); },
      "127.0.0.1", options.port, {}, bench::loop_options(options));
  bench::announce(server.addresses().front().port());
  server.wait();
}
