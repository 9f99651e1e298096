// What a serving command has open, from beginning to end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <unordered_set>
#include <utility>
#include <vector>

namespace weir_tool {

/// One connection that is served, with all that belongs to it.
class Conversation {
 public:
  Conversation() = default;
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;
  virtual ~Conversation() = default;

  /// Sends what is on its way, and ends.
  virtual void close() = 0;
  /// Ends at once.
  virtual void abort() = 0;
};

/// The conversations that are open, and how many there were.
class Conversations {
 public:
  void began(Conversation& one) {
    open_.insert(&one);
    ++total_;
  }
  void ended(Conversation& one) {
    open_.erase(&one);
    if (open_.empty() && when_none_) when_none_();
  }
  /// Calls `callback` whenever the last one has ended.
  void when_none(std::function<void()> callback) { when_none_ = std::move(callback); }

  std::size_t open() const { return open_.size(); }
  std::uint64_t total() const { return total_; }

  void close_all() const {
    for (Conversation* one : all()) one->close();
  }
  void abort_all() const {
    for (Conversation* one : all()) one->abort();
  }

 private:
  std::vector<Conversation*> all() const { return {open_.begin(), open_.end()}; }

  std::unordered_set<Conversation*> open_;
  std::uint64_t total_ = 0;
  std::function<void()> when_none_;
};

}  // namespace weir_tool
