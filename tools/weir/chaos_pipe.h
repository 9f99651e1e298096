// One direction of a connection through bad weather: which byte comes out when, without any I/O.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "faults.h"
#include "random.h"

namespace weir_tool {

/// Bytes go in as they are received, and come out in the same order: later, in other pieces, or no more
/// because of a reset. It knows no clock, but is told the time, which is counted from the opening of the
/// connection and never goes back.
///
/// What happens at random happens at positions of the stream, which are drawn from the seed. They depend neither
/// on time nor on how the bytes were received, so they are the same in each run; but for jitter, which every
/// receive has its own of.
class ChaosPipe {
 public:
  using Time = std::chrono::nanoseconds;
  static constexpr Time never = Time::max();

  /// It has room while what it holds takes less memory than that.
  static constexpr std::size_t capacity = std::size_t{4} * 1024 * 1024;

  struct Action {
    enum class Kind {
      wait,       // nothing until `time`
      deliver,    // `bytes`, which stay until the next call
      end,        // no more comes
      lose,       // the sender was lost
      reset,      // the connection is to be reset
      stall,      // begins now, for `time`
      partition,  // likewise
    };
    Kind kind = Kind::wait;
    Time time = never;
    std::span<const std::byte> bytes{};
  };

  /// `script` is in the order of time.
  ChaosPipe(const Faults& faults, std::vector<TimedFault> script, std::uint64_t seed);

  void push(std::span<const std::byte> data, Time now);
  /// The sender has ended, or it was lost: that, too, comes out in its turn.
  void push_end(Time now);
  void push_loss(Time now);
  /// The receiver is lost: what it would have got is dropped, now and later.
  void discard();

  /// The receiver takes no more for now; again it does.
  void block() { blocked_ = true; }
  void unblock() { blocked_ = false; }

  bool has_room() const { return held_ + chunks_.size() * chunk_overhead < capacity; }
  std::uint64_t delivered() const { return delivered_; }

  /// What is to be done now. To be asked again when that is done, at the time of a wait, and after each call
  /// of another method.
  Action next(Time now);

 private:
  enum class Ending { none, regular, loss };

  struct Chunk {
    Time due{};
    std::vector<std::byte> bytes;
  };
  static constexpr std::size_t chunk_overhead = 2 * sizeof(Chunk);

  Time due_of_new(Time now);
  void push_ending(Ending ending, Time now);
  void drop_delivered();
  bool run_script(Time now, Action& action);
  void change(const FaultChange& change);
  void hold_until(Time time) { held_until_ = std::max(held_until_, time); }
  Time next_script_time() const { return script_.empty() ? never : script_.front().at; }
  Time ready_time() const;
  std::span<const std::byte> take_piece(Time now);
  std::uint64_t random_point(double per_kib, Random& random) const;

  Faults faults_;
  std::deque<TimedFault> script_;  // what is still to come
  Random jitter_random_;
  Random segment_random_;
  Random stall_random_;
  Random reset_random_;

  std::deque<Chunk> chunks_;
  std::size_t taken_ = 0;  // of the first chunk
  std::size_t held_ = 0;
  Time last_due_{};
  Ending ending_ = Ending::none;
  Ending ending_told_ = Ending::none;
  Time ending_due_{};

  std::uint64_t delivered_ = 0;
  // Positions, of which delivered() is one.
  std::uint64_t cut_point_ = 0;
  std::uint64_t stall_point_;
  std::uint64_t reset_point_;

  Time held_until_{};  // by a stall or a partition
  Time rate_free_{};   // when the next byte may pass
  bool blocked_ = false;
  bool over_ = false;
};

}  // namespace weir_tool
