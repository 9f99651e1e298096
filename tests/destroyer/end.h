#pragma once

#include <weir/weir.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>

namespace weir::destroyer {

class World;

/// Where an action is taken: a callback, or between them.
enum class Point : std::uint8_t {
  between_runs,
  call_soon,
  call_later,
  future_done,
  exception_handler,
  factory,
  destructor,
  release,  ///< of a Buffer
  connection_made,
  data_received,
  get_buffer,
  buffer_updated,
  eof_received,
  pause_writing,
  resume_writing,
  connection_lost,
  datagram_received,
  error_received,
};

/// What callbacks throw, besides errors of the system.
class Thrown : public std::runtime_error {
 public:
  Thrown() : std::runtime_error("thrown by the destroyer") {}
};
/// One that leaves the run call. [C10]
class Fatal : public std::runtime_error {
 public:
  Fatal() : std::runtime_error("fatal, by the destroyer") {}
};

/// One end of a connection, or a datagram socket: what its protocols, one after the other, are told. It stays
/// until its world goes, so that what comes too late is found.
class End {
 public:
  End(World& world, std::size_t number, std::size_t machine) noexcept
      : world_(world), number_(number), machine_(machine) {}
  End(const End&) = delete;
  End& operator=(const End&) = delete;
  virtual ~End() = default;

  std::size_t number() const noexcept { return number_; }
  std::size_t machine() const noexcept { return machine_; }
  bool is_live() const noexcept { return made_ && !lost_ && !gone_; }
  bool is_made() const noexcept { return made_; }
  bool is_lost() const noexcept { return lost_; }
  /// Its loop was closed, so that it is told nothing more.
  void set_gone() noexcept { gone_ = true; }
  bool is_gone() const noexcept { return gone_; }

  /// Does one of the things that can be done to it: a step.
  virtual void act() = 0;
  /// Asks everything that can be asked.
  virtual void ask() = 0;
  virtual void close() = 0;
  virtual void abort() = 0;
  /// It must behave as a dead handle does. [B17]
  virtual void check_dead() = 0;

  /// The opener whose future has to be done before data comes; none of those that a server accepts. [B8]
  void set_opened(std::function<bool()> opened) { opened_ = std::move(opened); }
  bool is_opened() const { return !opened_ || opened_(); }
  void forget_opener() { opened_ = nullptr; }

 protected:
  /// Checks that a callback may come, and tells the journal.
  void callback(const char* name, std::size_t amount = 0);
  /// The same of one that a call may make: also, then, in a callback in which its host crashed.
  void callback_of_call(const char* name);
  void callback_made();
  void callback_lost();
  World& world() const noexcept { return world_; }

 private:
  void check_life() const;

  World& world_;
  const std::size_t number_;
  const std::size_t machine_;
  std::function<bool()> opened_;
  bool made_ = false;
  bool lost_ = false;
  bool gone_ = false;
};

/// Counts the objects of a kind that are there.
template <class T>
class Counted {
 public:
  Counted() noexcept { ++objects; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --objects; }
  static inline std::int64_t objects = 0;
};

}  // namespace weir::destroyer
