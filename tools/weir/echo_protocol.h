// The server side of an echo, for everything here that serves one.
#pragma once

#include <weir/weir.h>
#include <span>
#include <utility>

#include "conversations.h"
#include "stream.h"
#include "url.h"

namespace weir_tool {

/// Sends back what it receives, and receives no faster than it can send.
class EchoProtocol : public StreamProtocol, public Conversation {
 public:
  /// Belongs to `conversations` while it is open.
  explicit EchoProtocol(Conversations& conversations) : conversations_(conversations) {}

  void stream_made(Stream stream) override {
    stream_ = std::move(stream);
    conversations_.began(*this);
  }
  void connection_lost(const weir::CloseReason&) override { conversations_.ended(*this); }
  void data_received(std::span<const std::byte> data) override { stream_.write(data); }
  void pause_writing() override { stream_.pause_reading(); }
  void resume_writing() override { stream_.resume_reading(); }

  void close() override { stream_.close(); }
  void abort() override { stream_.abort(); }

 private:
  Conversations& conversations_;
  Stream stream_;
};

/// Sends each datagram back to where it came from, and takes no more of them while those wait.
class DatagramEchoProtocol : public weir::DatagramProtocol {
 public:
  void connection_made(weir::DatagramTransport transport) override { transport_ = transport; }
  void datagram_received(std::span<const std::byte> data, const weir::Address& sender) override {
    transport_.sendto(data, sender);
  }
  void pause_writing() override { transport_.pause_reading(); }
  void resume_writing() override { transport_.resume_reading(); }

 private:
  weir::DatagramTransport transport_;
};

/// Echoes on a socket that is listened on, or on one for datagrams. Both throw RunError.
weir::Server serve_echo(weir::EventLoop& loop, const Url& url, Conversations& conversations);
weir::DatagramTransport echo_datagrams(weir::EventLoop& loop, const UdpUrl& url);

}  // namespace weir_tool
