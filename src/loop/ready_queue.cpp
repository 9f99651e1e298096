#include "ready_queue.h"

#include <utility>

namespace weir::inline v0::detail {

EntryPool::~EntryPool() {
  for (auto& block : blocks_) {
    for (std::size_t i = 0; i < block_size; ++i) slots_.release(*block[i].slot);
  }
}

void EntryPool::grow() {
  auto block = std::make_unique<Entry[]>(block_size);
  blocks_.reserve(blocks_.size() + 1);
  for (std::size_t i = 0; i < block_size; ++i) {
    block[i].slot = slots_.acquire(&block[i]).slot;
    block[i].next = std::exchange(free_, &block[i]);
  }
  blocks_.push_back(std::move(block));
}

Entry& EntryPool::acquire(Callback&& callback, std::shared_ptr<Context>&& context) {
  if (free_ == nullptr) grow();
  Entry& entry = *std::exchange(free_, free_->next);
  entry.next = nullptr;
  entry.callback = std::move(callback);
  entry.context = std::move(context);
  return entry;
}

void EntryPool::release(Entry& entry) noexcept {
  entry.forget_handles();
  entry.callback.reset();
  entry.context.reset();
  entry.claim = {};
  entry.timers = nullptr;
  entry.next = std::exchange(free_, &entry);
}

void ReadyQueue::push(Entry& entry) noexcept {
  entry.next = nullptr;
  (last_ != nullptr ? last_->next : first_) = &entry;
  last_ = &entry;
  ++size_;
}

Entry& ReadyQueue::pop() noexcept {
  Entry& entry = *first_;
  first_ = entry.next;
  if (first_ == nullptr) last_ = nullptr;
  --size_;
  return entry;
}

}  // namespace weir::inline v0::detail
