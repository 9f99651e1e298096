#include "datagram_queue.h"

#include <weir/buffer.h>

#include <cassert>
#include <cstring>
#include <utility>
#include <vector>

namespace weir::inline v0::detail {

DatagramQueue::~DatagramQueue() {
  for (Entry* entries : {first_, free_}) {
    while (entries != nullptr) delete std::exchange(entries, entries->next);
  }
  while (first_chunk_ != nullptr) {
    pool_->release(std::exchange(first_chunk_, first_chunk_->next));
  }
}

std::unique_ptr<DatagramQueue::Entry> DatagramQueue::take_entry() {
  if (free_ == nullptr) return std::make_unique<Entry>();
  std::unique_ptr<Entry> entry(std::exchange(free_, free_->next));
  --free_count_;
  entry->next = nullptr;
  return entry;
}

void DatagramQueue::push(Chunk* chunk) noexcept {
  (last_chunk_ != nullptr ? last_chunk_->next : first_chunk_) = chunk;
  last_chunk_ = chunk;
}

/// In one piece, so some room may be left behind in the chunk before.
ConstBytes DatagramQueue::copy(ConstBytes data) {
  if (data.size() > ChunkPool::largest_room) {
    push(pool_->acquire(Buffer(std::vector<std::byte>(data.begin(), data.end())), 0));
    return {last_chunk_->begin, last_chunk_->end};
  }
  if (data.empty()) return {};
  const bool fits =
      last_chunk_ != nullptr && last_chunk_->capacity > 0 && last_chunk_->room() >= data.size();
  if (!fits) push(pool_->acquire(data.size()));
  std::byte* place = last_chunk_->storage() + (last_chunk_->end - last_chunk_->storage());
  std::memcpy(place, data.data(), data.size());
  last_chunk_->end += data.size();
  return {place, data.size()};
}

void DatagramQueue::append(const OutgoingDatagram& datagram) {
  std::unique_ptr<Entry> entry = take_entry();
  entry->has_destination = datagram.destination != nullptr;
  if (entry->has_destination) entry->destination = *datagram.destination;
  entry->data = copy(datagram.data);
  Entry* added = entry.release();
  (last_ != nullptr ? last_->next : first_) = added;
  last_ = added;
  ++count_;
  size_ += size_of(added->data.size());
}

std::size_t DatagramQueue::peek(std::span<OutgoingDatagram> datagrams) const noexcept {
  std::size_t count = 0;
  if (empty()) return 0;
  for (const Entry* entry = first_; entry != nullptr && count < datagrams.size();
       entry = entry->next) {
    datagrams[count++] = {.data = entry->data,
                          .destination = entry->has_destination ? &entry->destination : nullptr};
  }
  return count;
}

void DatagramQueue::consume(std::size_t count) noexcept {
  assert(count <= count_);
  for (; count > 0; --count) {
    Entry* const done = first_;
    assert(done != nullptr);
    first_ = done->next;
    if (first_ == nullptr) last_ = nullptr;
    --count_;
    size_ -= size_of(done->data.size());
    release_bytes(done->data.size());
    if (free_count_ == max_datagrams) {
      delete done;
    } else {
      done->next = std::exchange(free_, done);
      ++free_count_;
    }
  }
}

/// Of the oldest datagram, which are the first of the first chunk.
void DatagramQueue::release_bytes(std::size_t length) noexcept {
  if (length == 0) return;
  first_chunk_->begin += length;
  if (first_chunk_->size() > 0) return;
  Chunk* done = std::exchange(first_chunk_, first_chunk_->next);
  if (first_chunk_ == nullptr) last_chunk_ = nullptr;
  pool_->release(done);
}

void DatagramQueue::retire() noexcept {
  count_ = 0;
  size_ = 0;
  last_ = nullptr;
}

}  // namespace weir::inline v0::detail
