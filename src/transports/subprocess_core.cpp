#include "subprocess_core.h"

#include <algorithm>
#include <csignal>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "stream_transport.h"

namespace weir::inline v0::detail {

/// The protocol of one pipe: passes everything on. It may outlive the core, if the user keeps it.
class SubprocessCore::PipeProtocol final : public Protocol {
 public:
  PipeProtocol(SlotRef core, std::size_t fd) noexcept : core_(core), fd_(fd) {}

  void data_received(std::span<const std::byte> data) override {
    if (auto* core = core_.get<SubprocessCore>()) core->pipe_data_received(fd_, data);
  }
  void connection_lost(const CloseReason& reason) override {
    if (auto* core = core_.get<SubprocessCore>()) core->pipe_connection_lost(fd_, reason);
  }
  void pause_writing() override {
    if (auto* core = core_.get<SubprocessCore>()) core->lifecycle_.pause_writing();
  }
  void resume_writing() override {
    if (auto* core = core_.get<SubprocessCore>()) core->lifecycle_.resume_writing();
  }

 private:
  SlotRef core_;
  std::size_t fd_;
};

SubprocessCore& SubprocessCore::start(Loop& loop, SubprocessParts parts) {
  auto made =
      std::make_unique<SubprocessCore>(loop, std::move(parts.child), std::move(parts.protocol));
  made->child_.start_waiting();
  SubprocessCore& core = loop.own(std::move(made));
  for (std::size_t fd = 0; fd < core.pipes_.size(); ++fd) {
    if (parts.pipes[fd] != nullptr) core.connect(fd, std::move(parts.pipes[fd]));
  }
  // After those of the pipes, and before what they receive, which comes after another wait(). [P4]
  loop.schedule([&core, ready = std::move(parts.ready)]() mutable { core.begin(ready); });
  return core;
}

SubprocessCore::SubprocessCore(Loop& loop, Spawned child,
                               std::shared_ptr<SubprocessProtocol> protocol)
    : lifecycle_(loop, TransportKind::subprocess, this, std::move(protocol)),
      child_(loop, std::move(child), *this) {
  lifecycle_.observe(*this);
}

SubprocessCore::~SubprocessCore() {
  // Dropped with its loop: the protocol's destructor must find a dead handle.
  lifecycle_.retire_name();
}

SubprocessCore* SubprocessCore::of(const SubprocessTransport& handle) noexcept {
  return handle.ref_.get<SubprocessCore>();
}

void SubprocessCore::connect(std::size_t fd, std::unique_ptr<StreamChannel> channel) {
  pipes_[fd].exists = true;
  pipes_[fd].transport =
      StreamTransport::start(lifecycle_.loop(),
                             {.channel = std::move(channel),
                              .protocol = std::make_shared<PipeProtocol>(lifecycle_.name(), fd),
                              .role = fd == 0 ? StreamRole::write_pipe : StreamRole::read_pipe})
          .handle();
}

void SubprocessCore::begin(UniqueFunction<void(SubprocessTransport)>& ready) {
  lifecycle_.connection_made([this] { told().connection_made(handle()); });
  if (ready) ready(handle());
  // Whoever waits for `ready` comes first, so that it hears of the exit, too. [B8]
  lifecycle_.loop().schedule([this] {
    starting_ = false;
    if (child_.exited()) tell_exit();
  });
}

// --- Calls ------------------------------------------------------------------------------------------

std::optional<Transport> SubprocessCore::pipe_transport(int fd) const {
  if (fd < 0 || fd > 2 || !pipes_[static_cast<std::size_t>(fd)].exists) return std::nullopt;
  return pipes_[static_cast<std::size_t>(fd)].transport;
}

void SubprocessCore::send_signal(int signal) {
  const ObservedCall call(lifecycle_.observation(),
                          {.activity = Activity::send_signal, .number = signal});
  if (const std::error_code error = child_.send_signal(signal)) {
    throw std::system_error(error, "send signal " + std::to_string(signal) + " to process " +
                                       std::to_string(child_.status()->pid));
  }
}

void SubprocessCore::close() {
  const ObservedCall call(lifecycle_.observation(), Activity::close);
  if (lifecycle_.closing()) return;
  lifecycle_.set_flushing();
  for (const Pipe& pipe : pipes_) pipe.transport.close();
  // It fails for one that became another user's, who then sees its pipes end.
  static_cast<void>(child_.send_signal(SIGKILL));
}

ExtraInfo SubprocessCore::get_extra_info(std::string_view name) const {
  if (name != "subprocess") return {};
  SubprocessView view{.pid = child_.status()->pid};
  std::ranges::transform(pipes_, view.pipes.begin(), [](const Pipe& pipe) {
    return pipe.transport.get_extra_info<PipeView>("pipe").value_or(PipeView()).descriptor;
  });
  return view;
}

void SubprocessCore::set_protocol(std::shared_ptr<SubprocessProtocol> protocol) {
  const ObservedCall call(lifecycle_.observation(),
                          {.activity = Activity::set_protocol, .protocol = protocol.get()});
  if (protocol == nullptr) {
    throw std::invalid_argument("set_protocol() needs a protocol, not an empty pointer");
  }
  if (lifecycle_.state() == Lifecycle::State::lost) return;
  lifecycle_.replace_protocol(std::move(protocol));
}

// --- Events -----------------------------------------------------------------------------------------

void SubprocessCore::pipe_data_received(std::size_t fd, ConstBytes data) {
  Occurrence received{.activity = Activity::pipe_data_received,
                      .protocol = &told(),
                      .data = data,
                      .size = data.size(),
                      .number = static_cast<int>(fd)};
  lifecycle_.run(received, [&] { told().pipe_data_received(static_cast<int>(fd), data); });
}

void SubprocessCore::pipe_connection_lost(std::size_t fd, const CloseReason& reason) {
  Occurrence lost{.activity = Activity::pipe_connection_lost,
                  .protocol = &told(),
                  .reason = &reason,
                  .number = static_cast<int>(fd)};
  lifecycle_.run(lost, [&] { told().pipe_connection_lost(static_cast<int>(fd), reason); });
  pipes_[fd].lost = true;
  finish_if_over();
}

void SubprocessCore::on_exited() noexcept {
  if (!starting_) tell_exit();
}

void SubprocessCore::tell_exit() noexcept {
  Occurrence exited{.activity = Activity::process_exited, .protocol = &told()};
  lifecycle_.run(exited, [this] { told().process_exited(); });
  if (exited_) exited_();
  finish_if_over();
}

// --- The end ----------------------------------------------------------------------------------------

void SubprocessCore::finish_if_over() {
  const bool all_lost =
      std::ranges::all_of(pipes_, [](const Pipe& pipe) { return !pipe.exists || pipe.lost; });
  if (starting_ || !child_.exited() || !all_lost || !lifecycle_.doom({})) return;
  lifecycle_.loop().schedule([this] { lose(); });
}

void SubprocessCore::lose() noexcept {
  lifecycle_.connection_lost();
  lifecycle_.retire_name();
  lifecycle_.drop_protocol();
  Loop::destroy(*this);
}

}  // namespace weir::inline v0::detail
