#include "uring_backend.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "epoll_stream.h"
#include "uring_names.h"
#include "uring_stream.h"

namespace weir::inline v0::detail {
namespace {

constexpr unsigned submission_entries = 512;
/// A completion that finds no room is kept by the kernel, and ends a multishot request.
constexpr unsigned completion_entries = 8192;

[[noreturn]] void refuse(int error, const std::string& what) {
  throw std::system_error(error, std::system_category(), "there is no io_uring here: " + what);
}

const char* advice(int error) noexcept {
  switch (error) {
    case ENOSYS: return "the kernel has none";
    case EPERM: return "kernel.io_uring_disabled, or a filter of system calls, forbids it";
    default: return "the kernel refuses a ring";
  }
}

io_uring_params parameters(const UringMask& mask) noexcept {
  io_uring_params parameters{};
  parameters.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL;
  parameters.flags |= mask.deferred_work ? IORING_SETUP_COOP_TASKRUN
                                         : IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  parameters.cq_entries = mask.large_queues ? 4 : completion_entries;
  return parameters;
}

/// Of this thread, and never of another one. Unlike the system's it costs no call.
std::uint64_t thread_number() noexcept {
  static std::atomic<std::uint64_t> last = 0;
  thread_local const std::uint64_t number = ++last;
  return number;
}

}  // namespace

UringMask uring_mask() {
  UringMask mask;
  const char* text = ::secure_getenv("WEIR_URING_WITHOUT");
  std::string_view left = text != nullptr ? text : "";
  while (!left.empty()) {
    const std::string_view name = left.substr(0, left.find(','));
    left.remove_prefix(std::min(left.size(), name.size() + 1));
    if (name == "everything") mask.everything = true;
    if (name == "deferred_work") mask.deferred_work = true;
    if (name == "incremental_buffers") mask.incremental_buffers = true;
    if (name == "multishot_receive") mask.multishot_receive = true;
    if (name == "large_queues") mask.large_queues = true;
  }
  return mask;
}

// --- The ring ---------------------------------------------------------------------------------------

UringBackend::Ring::Ring(const UringMask& mask) : thread_(thread_number()) {
  const unsigned entries = mask.large_queues ? 2 : submission_entries;
  io_uring_params wanted = parameters(mask);
  int result = io_uring_queue_init_params(entries, &ring, &wanted);
  if (result == -EINVAL && !mask.deferred_work) {  // before Linux 6.1
    UringMask older = mask;
    older.deferred_work = true;
    wanted = parameters(older);
    result = io_uring_queue_init_params(entries, &ring, &wanted);
  }
  if (result < 0) refuse(-result, advice(-result));
  is_of_one_thread_ = (wanted.flags & IORING_SETUP_SINGLE_ISSUER) != 0;
  constexpr unsigned needed = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP;
  if ((wanted.features & needed) != needed) {
    io_uring_queue_exit(&ring);
    refuse(ENOSYS, "that of this kernel is too old, Linux 5.19 is needed");
  }
}

bool UringBackend::is_ahead_of_epoll() const noexcept {
  return ring_->is_of_one_thread() && buffers_->fill() == UringBuffers::Fill::bit_by_bit &&
         !mask_.multishot_receive && !mask_.large_queues;
}

bool UringBackend::Ring::is_of_another_thread() const noexcept {
  return is_of_one_thread_ && thread_ != thread_number();
}

UringBackend::UringBackend(const UringMask& mask, UringWish wish) : mask_(mask) {
  if (mask.everything) refuse(ENOSYS, "WEIR_URING_WITHOUT says so");
  ring_ = std::make_unique<Ring>(mask);
  std::error_code error = std::make_error_code(std::errc::invalid_argument);
  if (!mask.incremental_buffers) {
    buffers_ = std::make_unique<UringBuffers>(UringBuffers::Fill::bit_by_bit);
    error = buffers_->offer_to(ring_->ring);
  }
  if (error) {  // before Linux 6.12
    buffers_ = std::make_unique<UringBuffers>(UringBuffers::Fill::once);
    error = buffers_->offer_to(ring_->ring);
  }
  if (error) refuse(error.value(), "the kernel takes no ring of buffers, Linux 5.19 is needed");
  if (wish == UringWish::ahead_of_epoll && !is_ahead_of_epoll()) {
    refuse(EOPNOTSUPP, "that of this kernel may be slower than epoll, Linux 6.12 is needed");
  }
}

UringBackend::~UringBackend() {
  if (ring_ == nullptr) return;
  // What is cancelled lets its descriptor go now, and not when the kernel comes to clean up the ring.
  if (is_own_process() && !ring_->is_of_another_thread()) flush();
  ring_.reset();
  while (!requests_.empty()) requests_.pop_front().complete(-ECANCELED, 0);
}

/// A ring is its thread's. What was asked for by another is asked for again.
void UringBackend::move_to_this_thread() noexcept {
  reap();
  std::unique_ptr<Ring> ring;
  try {
    ring = std::make_unique<Ring>(mask_);
    if (buffers_->offer_to(ring->ring)) ring.reset();
  } catch (const std::system_error&) {  // from now on there is epoll alone
  }
  close_ring(std::move(ring));
}

void UringBackend::leave_ring() noexcept {
  if (ring_ == nullptr || !is_own_process()) return;
  if (!ring_->is_of_another_thread()) cancel_all();
  close_ring(nullptr);
}

/// What the kernel received meanwhile is not lost.
void UringBackend::cancel_all() noexcept {
  io_uring_sqe* const entry = next_entry();
  io_uring_prep_cancel64(entry, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
  io_uring_sqe_set_data(entry, nullptr);
  while (!requests_.empty()) {
    const int result = io_uring_submit_and_wait(&ring_->ring, 1);
    reap();
    if (result < 0 && result != -EINTR && result != -EBUSY && result != -EAGAIN) return;
  }
}

/// On with `next`, or with none.
void UringBackend::close_ring(std::unique_ptr<Ring> next) noexcept {
  const std::unique_ptr<Ring> old = std::exchange(ring_, std::move(next));
  epoll_waiter_.armed = false;
  IntrusiveList<UringRequest, UringRequestTag> requests;
  requests.splice_back(requests_);
  while (!requests.empty()) requests.pop_front().complete(-ECANCELED, 0);
  if (ring_ != nullptr) return;
  while (!together_.empty()) together_.pop_front().sent_together(0, -EAGAIN);
}

/// From now on there is epoll alone: its set is always the same one and tells a host all that happens, a ring does
/// neither, and for whom a host waits no ring is of use.
int UringBackend::poll_descriptor() noexcept {
  if (std::exchange(hosted_, true) || running_) return epoll_descriptor();
  leave_ring();
  if (has_pending_events()) wake();  // who has asked next_deadline() already knows nothing of it
  return epoll_descriptor();
}

int UringBackend::kernel_descriptor() const noexcept {
  return ring_ == nullptr || has_nothing_to_do() ? epoll_descriptor() : ring_->ring.ring_fd;
}

bool UringBackend::has_pending_events() const noexcept {
  return EpollBackend::has_pending_events() || !together_.empty() ||
         (ring_ != nullptr && io_uring_cq_ready(&ring_->ring) > 0);
}

// --- Asking -----------------------------------------------------------------------------------------

/// Null without a ring.
io_uring_sqe* UringBackend::next_entry() noexcept {
  while (ring_ != nullptr) {
    if (io_uring_sqe* const entry = io_uring_get_sqe(&ring_->ring)) return entry;
    if (ring_->is_of_another_thread()) {
      move_to_this_thread();  // the only one that may submit what is there
    } else {
      submit_all();
    }
  }
  return nullptr;
}

/// Nothing but the lack of memory keeps the kernel from taking an entry; then sends are tried again later.
void UringBackend::submit_all() noexcept {
  while (io_uring_sq_ready(&ring_->ring) > 0) {
    const int result = io_uring_submit_and_get_events(&ring_->ring);
    if (result >= 0 || result == -EINTR) continue;
    reap();  // if it has too many completions for us
    if (result != -EBUSY) return withdraw_sends();
  }
}

bool UringBackend::receive(int socket, UringRequest& request) noexcept {
  if (mask_.multishot_receive) return false;
  io_uring_sqe* const entry = next_entry();
  if (entry == nullptr) return false;
  io_uring_prep_recv_multishot(entry, socket, nullptr, 0, 0);
  entry->flags |= IOSQE_BUFFER_SELECT;
  entry->buf_group = receive_group;
  io_uring_sqe_set_data(entry, &request);
  requests_.push_back(request);
  return true;
}

void UringBackend::cancel(UringRequest& request) noexcept {
  if (!is_own_process()) return;
  const Ring* const asked = ring_.get();
  io_uring_sqe* const entry = next_entry();
  if (entry == nullptr) return;
  if (ring_.get() == asked) {
    io_uring_prep_cancel64(entry, reinterpret_cast<std::uintptr_t>(&request), 0);
  } else {
    io_uring_prep_nop(entry);  // the ring went meanwhile, and the request with it
  }
  entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
  io_uring_sqe_set_data(entry, nullptr);
}

void UringBackend::EpollWaiter::complete(int, std::uint32_t) noexcept {
  armed = false;
  fired = true;
}

/// The kernel looks whether something is ready when it is asked, so that nothing is missed in between.
void UringBackend::watch_epoll() noexcept {
  if (std::exchange(epoll_waiter_.armed, true)) return;
  io_uring_sqe* const entry = next_entry();
  io_uring_prep_poll_add(entry, epoll_descriptor(), POLLIN);
  io_uring_sqe_set_data(entry, static_cast<UringRequest*>(&epoll_waiter_));
}

// --- Sending together -------------------------------------------------------------------------------

/// True if somebody wants to know at once what becomes of it. The kernel does all of it while it takes the
/// entries, since none may block: what was to be sent need not stay in place for longer.
bool UringBackend::prepare_sends() noexcept {
  bool awaited = false;
  std::array<ConstBytes, max_send_pieces> pieces;
  while (!together_.empty()) {
    UringSender& sender = together_.pop_front();
    const std::size_t count = sender.pieces_to_send(pieces);
    if (count == 0) continue;
    io_uring_sqe* const entry = next_entry();
    if (sending_now_ == sending_.size()) sending_.push_back(std::make_unique<Sending>());
    Sending& sending = *sending_[sending_now_++];
    std::size_t size = 0;
    for (const ConstBytes& piece : std::span(pieces).first(count)) size += piece.size();
    sending.sender = &sender;
    sending.size = size;
    sending.result = static_cast<int>(size);
    constexpr int flags = MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL;
    if (count == 1) {
      io_uring_prep_send(entry, sender.sending_descriptor(), pieces.front().data(), size, flags);
    } else {
      sending.pieces.resize(max_send_pieces);
      sending.message.msg_iov = sending.pieces.data();
      sending.message.msg_iovlen = gather(std::span(pieces).first(count), sending.pieces);
      io_uring_prep_sendmsg(entry, sender.sending_descriptor(), &sending.message, flags);
    }
    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data(entry, static_cast<UringRequest*>(&sending));
    awaited = awaited || sender.awaits_sent();
  }
  return awaited;
}

/// Turns into nothing those that the kernel has not taken.
void UringBackend::withdraw_sends() noexcept {
  io_uring_sq& queue = ring_->ring.sq;
  for (unsigned index = *queue.khead; index != queue.sqe_tail; ++index) {
    io_uring_sqe& entry = queue.sqes[index & queue.ring_mask];
    if (entry.opcode != IORING_OP_SEND && entry.opcode != IORING_OP_SENDMSG) continue;
    auto* request =
        reinterpret_cast<UringRequest*>(  // NOLINT(performance-no-int-to-ptr): as it was set
            static_cast<std::uintptr_t>(entry.user_data));
    io_uring_prep_nop(&entry);
    io_uring_sqe_set_data(&entry, nullptr);
    request->complete(-EAGAIN, 0);
  }
}

void UringBackend::finish_sends() noexcept {
  for (std::size_t i = 0; i < sending_now_; ++i) {
    sending_[i]->sender->sent_together(sending_[i]->size, sending_[i]->result);
  }
  sending_now_ = 0;
}

// --- Turns ------------------------------------------------------------------------------------------

/// True if nobody receives or sends by the ring: then epoll alone is a call less.
bool UringBackend::has_nothing_to_do() const noexcept {
  return requests_.empty() && together_.empty() && io_uring_sq_ready(&ring_->ring) == 0 &&
         io_uring_cq_ready(&ring_->ring) == 0;
}

void UringBackend::wait(std::optional<TimePoint> deadline) noexcept {
  running_ = true;
  if (ring_ == nullptr || !is_own_process()) return EpollBackend::wait(deadline);
  if (ring_->is_of_another_thread()) {
    move_to_this_thread();
    if (ring_ == nullptr) return EpollBackend::wait(deadline);
  }
  if (has_nothing_to_do()) return EpollBackend::wait(deadline);
  bool at_once = EpollBackend::has_pending_events() || io_uring_cq_ready(&ring_->ring) > 0 ||
                 deadline == TimePoint::min();
  watch_epoll();
  at_once = prepare_sends() || at_once;
  enter(deadline, at_once);
  if (io_uring_sq_ready(&ring_->ring) > 0) submit_all();
  begin_turn();
  reap();
  if (std::exchange(epoll_waiter_.fired, false)) collect_events();
  finish_sends();
}

void UringBackend::flush() noexcept {
  running_ = false;
  if (ring_ == nullptr || !is_own_process()) return;
  static_cast<void>(prepare_sends());
  if (io_uring_sq_ready(&ring_->ring) > 0) {
    submit_all();
    reap();
    finish_sends();
  }
  if (hosted_) leave_ring();
}

void UringBackend::enter(std::optional<TimePoint> deadline, bool at_once) noexcept {
  io_uring* const ring = &ring_->ring;
  if (at_once) {
    static_cast<void>(io_uring_submit_and_get_events(ring));
  } else if (!deadline) {
    static_cast<void>(io_uring_submit_and_wait(ring, 1));
  } else {
    const std::chrono::nanoseconds left = time_until(*deadline);
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    __kernel_timespec timeout{.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
    io_uring_cqe* first = nullptr;
    static_cast<void>(io_uring_submit_and_wait_timeout(ring, &first, 1, &timeout, nullptr));
  }
}

void UringBackend::reap() noexcept {
  io_uring* const ring = &ring_->ring;
  while (true) {
    unsigned head = 0;
    unsigned count = 0;
    io_uring_cqe* completion = nullptr;
    io_uring_for_each_cqe(ring, head, completion) {
      ++count;
      auto* request = static_cast<UringRequest*>(io_uring_cqe_get_data(completion));
      if (request == nullptr) continue;
      if ((completion->flags & IORING_CQE_F_MORE) == 0) request->unlink();
      request->complete(completion->res, completion->flags);
    }
    io_uring_cq_advance(ring, count);
    if ((IO_URING_READ_ONCE(*ring->sq.kflags) & IORING_SQ_CQ_OVERFLOW) == 0) return;
    if (ring_->is_of_another_thread() || io_uring_get_events(ring) < 0) return;
  }
}

std::unique_ptr<StreamChannel> UringBackend::make_stream(Fd socket, AddressFamily family) {
  return make_uring_stream(*this, std::move(socket), family);
}

std::unique_ptr<Backend> make_uring_backend(UringWish wish) {
  return std::make_unique<UringBackend>(uring_mask(), wish);
}

}  // namespace weir::inline v0::detail
