// The load generator for datagrams: keeps `outstanding` requests of `size` bytes under way to a UDP
// echo server, and prints one line of JSON on what came of it.
//
// A bare epoll loop with recvmmsg and sendmmsg, over one socket or several. Each request has a place
// and a number, which it carries; a place belongs to one of the sockets. A datagram may be lost: a
// place that has waited too long counts as lost, and its next request goes out.

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "measure.h"
#include "measurement.h"
#include "socket_address.h"

namespace {

using bench::now_ns;
using bench::to_ns;

struct Options {
  std::uint16_t port = 0;
  std::size_t outstanding = 64;
  std::size_t sockets = 1;  // who take turns with the places
  std::size_t size = 64;
  double duration = 1.0;  // seconds measured
  double warm_up = 0.2;   // seconds before the measurement
  long server_pid = 0;
  bool verify = false;  // compare every byte that comes back
};

/// What a request begins with.
struct Label {
  std::uint32_t place;
  std::uint32_t number;
};

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "udp_load: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

class Load {
 public:
  explicit Load(const Options& options)
      : options_(options),
        epoll_fd_(::epoll_create1(EPOLL_CLOEXEC)),
        places_(options.outstanding),
        outgoing_(options.outstanding, options.size),
        incoming_(options.outstanding, options.size + 1) {
    for (std::size_t i = 0; i < options.sockets; ++i) add_socket();
  }

  void run() {
    measurement_ = std::make_unique<bench::Measurement>(options_.server_pid);
    for (std::uint32_t place = 0; place < places_.size(); ++place) send_one(place, now_ns());
    run_until(measurement_->started() + to_ns(options_.warm_up));
    measurement_ = std::make_unique<bench::Measurement>(options_.server_pid);
    run_until(measurement_->started() + to_ns(options_.duration));
    if (measurement_->total() == 0) {
      errno = ETIMEDOUT;
      fail("the server does not answer");
    }
    measurement_->report(options_.size);
  }

 private:
  static constexpr std::uint64_t patience_ns = 50'000'000;  // then a request is lost
  static constexpr int patience_ms = 50;

  struct Place {
    std::uint32_t number = 0;
    std::uint64_t sent_at = 0;
  };

  /// Messages of up to `size` bytes each, for one call of recvmmsg or sendmmsg.
  struct Batch {
    Batch(std::size_t count, std::size_t size)
        : data(count * size), pieces(count), headers(count), message_size(size) {
      for (std::size_t i = 0; i < count; ++i) {
        for (std::size_t at = sizeof(Label); at < size; ++at) message(i)[at] = filler(at);
        pieces[i] = {message(i), size};
        headers[i].msg_hdr.msg_iov = &pieces[i];
        headers[i].msg_hdr.msg_iovlen = 1;
      }
    }
    std::byte* message(std::size_t i) { return data.data() + i * message_size; }

    std::vector<std::byte> data;
    std::vector<iovec> pieces;
    std::vector<mmsghdr> headers;
    std::size_t message_size;
    std::size_t used = 0;
  };

  static std::byte filler(std::size_t at) { return static_cast<std::byte>(at * 131 >> 3); }

  void add_socket() {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const auto address = bench::SocketAddress::loopback(options_.port);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (::connect(fd, address.get(), address.size()) != 0 ||
        ::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) {
      fail("connect");
    }
    sockets_.push_back(fd);
  }

  void run_until(std::uint64_t deadline) {
    std::array<epoll_event, 64> events{};
    auto next_search = now_ns() + patience_ns;
    for (auto now = now_ns(); now < deadline; now = now_ns()) {
      const int count =
          ::epoll_wait(epoll_fd_, events.data(), static_cast<int>(events.size()), patience_ms);
      if (count < 0) fail("epoll_wait");
      for (std::size_t i = 0; static_cast<int>(i) < count; ++i) exchange(events[i].data.fd);
      if (now >= next_search) {
        give_up_lost(now);
        next_search = now + patience_ns;
      }
    }
  }

  /// Receives answers and sends the next requests of their places.
  void exchange(int fd) {
    const int count = ::recvmmsg(fd, incoming_.headers.data(),
                                 static_cast<unsigned>(places_.size()), MSG_DONTWAIT, nullptr);
    if (count < 0 && errno != EAGAIN) fail("recvmmsg");
    const auto now = now_ns();
    for (std::size_t i = 0; static_cast<int>(i) < count; ++i) on_answer(i, now);
    send_all(fd);
  }

  void on_answer(std::size_t i, std::uint64_t now) {
    Label label{};
    std::memcpy(&label, incoming_.message(i), sizeof label);
    if (incoming_.headers[i].msg_len != options_.size || label.place >= places_.size() ||
        (options_.verify && !is_whole(incoming_.message(i)))) {
      errno = EPROTO;
      fail("the server sent other bytes than it got");
    }
    Place& place = places_[label.place];
    if (place.number != label.number) return;  // given up already, or sent twice
    measurement_->add(now - place.sent_at);
    next_request(label.place, now);
  }

  bool is_whole(const std::byte* message) const {
    for (std::size_t at = sizeof(Label); at < options_.size; ++at) {
      if (message[at] != filler(at)) return false;
    }
    return true;
  }

  void give_up_lost(std::uint64_t now) {
    for (std::uint32_t place = 0; place < places_.size(); ++place) {
      if (now < places_[place].sent_at + patience_ns) continue;
      measurement_->add_lost(1);
      send_one(place, now);
    }
  }

  void send_one(std::uint32_t place, std::uint64_t now) {
    next_request(place, now);
    send_all(sockets_[place % sockets_.size()]);
  }

  void next_request(std::uint32_t place, std::uint64_t now) {
    const Label label{place, ++places_[place].number};
    places_[place].sent_at = now;
    std::memcpy(outgoing_.message(outgoing_.used++), &label, sizeof label);
  }

  /// What the kernel does not take is lost, and found by give_up_lost().
  void send_all(int fd) {
    for (std::size_t done = 0; done < outgoing_.used;) {
      const int sent = ::sendmmsg(fd, &outgoing_.headers[done],
                                  static_cast<unsigned>(outgoing_.used - done), MSG_DONTWAIT);
      if (sent <= 0) break;
      done += static_cast<std::size_t>(sent);
    }
    outgoing_.used = 0;
  }

  const Options options_;
  const int epoll_fd_;
  std::vector<int> sockets_;
  std::vector<Place> places_;
  Batch outgoing_, incoming_;
  std::unique_ptr<bench::Measurement> measurement_;
};

[[noreturn]] void usage() {
  std::fprintf(stderr,
               "usage: udp_load --port N [--outstanding N] [--sockets N] [--size BYTES]\n"
               "                [--duration SECONDS] [--warm-up SECONDS] [--server-pid PID]\n"
               "                [--verify]     (a size of at least %zu)\n",
               sizeof(Label));
  std::exit(2);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--verify") {
      options.verify = true;
      continue;
    }
    if (++i == argc) usage();
    const char* value = argv[i];
    const auto number = std::strtoull(value, nullptr, 10);
    if (name == "--port")
      options.port = static_cast<std::uint16_t>(number);
    else if (name == "--outstanding")
      options.outstanding = number;
    else if (name == "--sockets")
      options.sockets = number;
    else if (name == "--size")
      options.size = number;
    else if (name == "--duration")
      options.duration = std::strtod(value, nullptr);
    else if (name == "--warm-up")
      options.warm_up = std::strtod(value, nullptr);
    else if (name == "--server-pid")
      options.server_pid = static_cast<long>(number);
    else
      usage();
  }
  if (options.port == 0 || options.outstanding * options.sockets == 0 ||
      options.size < sizeof(Label)) {
    usage();
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) { Load(parse(argc, argv)).run(); }
