// What commands that join connections have in common: an accepted connection gets one to the target.
#pragma once

#include <weir/weir.h>
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

#include "conversations.h"
#include "link.h"
#include "service.h"
#include "url.h"

namespace weir_tool {

/// "1.5 MiB to the target, 64 B back".
std::string amounts(const ByteCounts& bytes);

/// What all sessions of a command share.
class Junction {
 public:
  Junction(weir::EventLoop& loop, double grace_seconds, double linger_seconds, Url target);

  weir::EventLoop& loop() const { return service_.loop(); }
  Service& service() { return service_; }
  const Service& service() const { return service_; }
  const Url& target() const { return target_; }
  std::chrono::duration<double> linger() const { return linger_; }
  ByteCounts& bytes() { return bytes_; }
  const ByteCounts& bytes() const { return bytes_; }

  /// Tells what went wrong; if there is a lot in one second, how much.
  void failed(std::string_view who, std::string_view what);
  /// "relayed 3 connections: 64 B to the target, 64 B back, in 1.20 s".
  std::string summary() const;

 private:
  void tell_how_many();

  Service service_;
  std::chrono::duration<double> linger_;
  Url target_;
  weir::EventLoop::TimePoint began_;
  ByteCounts bytes_;
  std::size_t failures_ = 0;  // in this interval
};

/// An accepted connection, and the one to the target.
class Session : public Link, public Conversation {
 public:
  explicit Session(Junction& junction);

  /// "connection 3 from 127.0.0.1:4711".
  const std::string& name() const { return name_; }

  /// Connects to the target.
  void start();
  bool is_running() const { return running_; }

  void close() override;
  void abort() override;

 protected:
  /// There is a connection, the first event: start() is to be called, now or later.
  virtual void accepted() = 0;

  void made(End end) override;
  void lost(End end, const weir::CloseReason& reason) override;
  void cut_off(End end) override;
  void waited(End end) override;
  void over() override;

 private:
  Junction& junction_;
  std::string name_;
  bool running_ = false;
};

}  // namespace weir_tool
