#include "descriptor_watch.h"

#include <system_error>
#include <utility>

namespace weir_tool {

DescriptorWatch::DescriptorWatch(weir::EventLoop& loop, int descriptor, Direction direction,
                                 std::function<void()> callback)
    : loop_(loop), descriptor_(descriptor), direction_(direction), callback_(std::move(callback)) {}

DescriptorWatch::~DescriptorWatch() { stop(); }

void DescriptorWatch::start() {
  if (std::exchange(active_, true)) return;
  pollable_ = pollable_ && try_to_poll();
  if (!pollable_) schedule();
}

void DescriptorWatch::stop() {
  if (!std::exchange(active_, false)) return;
  if (!pollable_) {
    next_call_.cancel();
  } else if (direction_ == Direction::reading) {
    loop_.remove_reader(descriptor_);
  } else {
    loop_.remove_writer(descriptor_);
  }
}

bool DescriptorWatch::try_to_poll() {
  try {
    if (direction_ == Direction::reading) {
      loop_.add_reader(descriptor_, [this] { callback_(); });
    } else {
      loop_.add_writer(descriptor_, [this] { callback_(); });
    }
    return true;
  } catch (const std::system_error& error) {
    if (error.code() == std::errc::operation_not_permitted) return false;
    throw;
  }
}

void DescriptorWatch::schedule() {
  next_call_ = loop_.call_soon([this] {
    callback_();
    if (active_) schedule();
  });
}

}  // namespace weir_tool
