// The load generators for streams: they keep `pipeline` requests of `size` bytes under way on each of
// `connections` connections to an echo server, and print one line of JSON on what came of it.
//
// A bare epoll loop on one thread, so that every server is measured with the same cheap client.
// A request's latency runs from the send that carried its first byte to the recv that brought the
// last byte of its answer.
#pragma once

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "load_options.h"
#include "measure.h"
#include "measurement.h"

namespace bench {

/// Where the connections of a load go, and who is told what happens on them.
struct LoadTarget {
  const LoadOptions& options;
  int epoll_fd;
  void* connection;  // epoll's pointer

  /// A new socket to the server, watched for both directions, edge-triggered.
  int connect() const {
    const int fd = connect_to_server(options);
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.ptr = connection;
    if (::epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) load_failed("epoll_ctl", errno);
    return fd;
  }
};

/// What a Stream received, into the buffer that it was given.
struct Arrived {
  std::size_t size = 0;
  bool drained = true;  // there is no more for now
};

/// A Stream is made of a LoadTarget, ends the program when it fails, and has
///     static constexpr std::size_t buffer_size;      what receive() needs
///     void flush();                                  the socket takes more
///     std::size_t send(std::span<const std::byte>);  how much of the front it took
///     Arrived receive(std::span<std::byte>);
template <class Stream>
class Load {
 public:
  explicit Load(const LoadOptions& options) : options_(options), epoll_fd_(::epoll_create1(0)) {
    // The request over and over, so that any run of requests is one contiguous piece of it.
    payload_.resize(options.size * (options.pipeline + 1));
    for (std::size_t i = 0; i < payload_.size(); ++i) {
      payload_[i] = static_cast<std::byte>((i % options.size) * 131 >> 3);
    }
    for (std::size_t i = 0; i < options.connections; ++i) {
      connections_.push_back(std::make_unique<Connection>(options_, epoll_fd_));
    }
  }

  void run() {
    for (auto& connection : connections_) allow(*connection, options_.pipeline, now_ns());
    measurement_ = std::make_unique<Measurement>(options_.server_pid);
    // As many as are under way are answered in each part, however slow the server is: a run that is
    // shorter than the latency would measure requests that were begun and not those that were done.
    const auto under_way = options_.connections * options_.pipeline;
    run_until(measurement_->started() + to_ns(options_.warm_up), under_way);
    measurement_ = std::make_unique<Measurement>(options_.server_pid);
    if (options_.requests != 0) {
      run_until(0, options_.requests);
    } else {
      run_until(measurement_->started() + to_ns(options_.duration), under_way);
    }
    measurement_->report(options_.size);
  }

 private:
  struct Connection {
    Connection(const LoadOptions& options, int epoll_fd)
        : stream(LoadTarget{options, epoll_fd, this}), sent_at(options.pipeline) {}

    Stream stream;
    std::size_t to_send = 0;             // bytes allowed to go and not yet taken by the stream
    std::size_t sent = 0, received = 0;  // positions within the current request and answer
    std::vector<std::uint64_t> sent_at;  // a ring: when each request under way was started
    std::size_t oldest = 0, under_way = 0;
  };

  /// Until the deadline, and until so many requests are answered.
  void run_until(std::uint64_t deadline, std::uint64_t requests) {
    std::array<epoll_event, 1024> events{};
    while (now_ns() < deadline || measurement_->total() < requests) {
      const int count =
          ::epoll_wait(epoll_fd_, events.data(), static_cast<int>(events.size()), stall_timeout_ms);
      if (count < 0) load_failed("epoll_wait", errno);
      if (count == 0) load_failed("the server answers no more", ETIMEDOUT);
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        auto& connection = *static_cast<Connection*>(event.data.ptr);
        if ((event.events & EPOLLOUT) != 0) {
          connection.stream.flush();
          send(connection);
        }
        receive(connection);
      }
    }
  }

  /// Lets `requests` more requests go.
  void allow(Connection& connection, std::size_t requests, std::uint64_t now) {
    for (std::size_t i = 0; i < requests; ++i) {
      connection.sent_at[(connection.oldest + connection.under_way++) % options_.pipeline] = now;
    }
    connection.to_send += requests * options_.size;
    send(connection);
  }

  void send(Connection& connection) {
    while (connection.to_send > 0) {
      const auto rest = std::span(payload_).subspan(connection.sent, connection.to_send);
      const std::size_t sent = connection.stream.send(rest);
      if (sent == 0) return;
      connection.to_send -= sent;
      connection.sent = (connection.sent + sent) % options_.size;
    }
  }

  void receive(Connection& connection) {
    for (;;) {
      const Arrived arrived = connection.stream.receive(buffer_);
      if (options_.verify) verify(connection, arrived.size);
      on_received(connection, arrived.size);
      if (arrived.drained) return;
    }
  }

  void on_received(Connection& connection, std::size_t size) {
    connection.received += size;
    const std::size_t answers = connection.received / options_.size;
    connection.received %= options_.size;
    const std::size_t bytes_under_way = connection.under_way * options_.size - connection.to_send;
    if (answers * options_.size + connection.received > bytes_under_way) {
      load_failed("the server sent more than it got", EPROTO);
    }
    if (answers == 0) return;
    const auto now = now_ns();
    for (std::size_t i = 0; i < answers; ++i) {
      measurement_->add(now - connection.sent_at[connection.oldest]);
      connection.oldest = (connection.oldest + 1) % options_.pipeline;
    }
    connection.under_way -= answers;
    allow(connection, answers, now);
  }

  void verify(const Connection& connection, std::size_t size) const {
    for (std::size_t done = 0; done < size;) {
      const std::size_t at = (connection.received + done) % options_.size;
      const std::size_t part = std::min(size - done, options_.size - at);
      if (std::memcmp(buffer_.data() + done, payload_.data() + at, part) != 0) {
        load_failed("the server sent other bytes than it got", EPROTO);
      }
      done += part;
    }
  }

  const LoadOptions options_;
  const int epoll_fd_;
  std::vector<std::byte> payload_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(Stream::buffer_size);
  std::vector<std::unique_ptr<Connection>> connections_;
  std::unique_ptr<Measurement> measurement_;
};

/// What main() does, with a Stream that keeps its connection and one that has a new one for each
/// request.
template <class Stream, class Reconnecting>
void run_load(int argc, char** argv) {
  const auto options = parse_load_options(argc, argv);
  raise_descriptor_limit();
  if (options.reconnect) {
    Load<Reconnecting>(options).run();
  } else {
    Load<Stream>(options).run();
  }
}

}  // namespace bench
