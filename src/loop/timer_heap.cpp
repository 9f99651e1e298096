#include "timer_heap.h"

#include <algorithm>
#include <utility>

namespace weir::inline v0::detail {

void TimerHeap::push(TimePoint when, Entry& entry) {
  nodes_.push_back({when, next_sequence_++, &entry});
  entry.timers = this;
  sift_up(nodes_.size() - 1);
}

std::optional<TimerHeap::TimePoint> TimerHeap::earliest() noexcept {
  while (!nodes_.empty() && !nodes_.front().entry->callback) {
    entries_.release(pop());
    --cancelled_;
  }
  if (nodes_.empty()) return std::nullopt;
  return nodes_.front().when;
}

void TimerHeap::pop_due(TimePoint now, std::vector<Entry*>& due) {
  while (!nodes_.empty() && nodes_.front().when <= now) due.push_back(&pop());
}

void TimerHeap::note_cancelled() noexcept {
  ++cancelled_;
  if (nodes_.size() > compact_above && cancelled_ * 2 > nodes_.size()) compact();
}

void TimerHeap::compact() noexcept {
  auto kept = nodes_.begin();
  for (Node& node : nodes_) {
    if (node.entry->callback) {
      *kept++ = node;
    } else {
      entries_.release(*node.entry);
      --cancelled_;
    }
  }
  nodes_.erase(kept, nodes_.end());
  for (std::size_t index = nodes_.size() / arity + 1; index-- > 0;) {
    if (index < nodes_.size()) sift_down(index);
  }
  if (nodes_.capacity() > 4 * nodes_.size()) nodes_.shrink_to_fit();
}

void TimerHeap::clear() noexcept {
  // Destroying a callback may come back here: take the timers out first.
  std::vector<Node> nodes = std::exchange(nodes_, {});
  cancelled_ = 0;
  for (Node& node : nodes) {
    node.entry->timers = nullptr;
    entries_.release(*node.entry);
  }
}

Entry& TimerHeap::pop() noexcept {
  Entry& entry = *nodes_.front().entry;
  nodes_.front() = nodes_.back();
  nodes_.pop_back();
  if (!nodes_.empty()) sift_down(0);
  return entry;
}

void TimerHeap::sift_up(std::size_t index) noexcept {
  const Node node = nodes_[index];
  while (index > 0) {
    const std::size_t parent = (index - 1) / arity;
    if (!earlier(node, nodes_[parent])) break;
    nodes_[index] = nodes_[parent];
    index = parent;
  }
  nodes_[index] = node;
}

void TimerHeap::sift_down(std::size_t index) noexcept {
  const Node node = nodes_[index];
  for (;;) {
    const std::size_t first = index * arity + 1;
    if (first >= nodes_.size()) break;
    const std::size_t last = std::min(first + arity, nodes_.size());
    std::size_t least = first;
    for (std::size_t child = first + 1; child < last; ++child) {
      if (earlier(nodes_[child], nodes_[least])) least = child;
    }
    if (!earlier(nodes_[least], node)) break;
    nodes_[index] = nodes_[least];
    index = least;
  }
  nodes_[index] = node;
}

}  // namespace weir::inline v0::detail
