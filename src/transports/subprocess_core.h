#pragma once

#include <weir/callback.h>
#include <weir/observer.h>
#include <weir/subprocess.h>
#include <weir/transport.h>

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include "backend.h"
#include "children.h"
#include "lifecycle.h"
#include "loop.h"
#include "spawn.h"

namespace weir::inline v0::detail {

/// What a new subprocess transport is made of.
struct SubprocessParts {
  Spawned child;
  /// Of stdin, stdout and stderr; null where there is no pipe.
  std::array<std::unique_ptr<StreamChannel>, 3> pipes{};
  std::shared_ptr<SubprocessProtocol> protocol;
  /// Called once, from the loop, after connection_made().
  UniqueFunction<void(SubprocessTransport)> ready{};
};

/// The transport of a process: a child, and a stream transport for each of its pipes, whose protocols
/// only pass on what they are told. It ends when all of these have ended. [P9]
///
/// The loop owns it. If that closes, the child is killed and reaped with it. [P20]
class SubprocessCore final : public Owned, public ObservedTransport, private ChildEvents {
 public:
  /// Makes one, owned by `loop`. From the loop, later: connection_made(), `ready`, everything else. [P4]
  /// Throws std::system_error if nothing can wait for the child; that is killed then.
  static SubprocessCore& start(Loop& loop, SubprocessParts parts);

  SubprocessCore(Loop& loop, Spawned child, std::shared_ptr<SubprocessProtocol> protocol);
  ~SubprocessCore() override;

  SubprocessTransport handle() const { return {lifecycle_.name(), child_.status()}; }
  bool on_loop_thread() noexcept { return lifecycle_.loop().on_loop_thread(); }
  /// The transport behind a handle, null if it is dead.
  static SubprocessCore* of(const SubprocessTransport& handle) noexcept;

  // The calls of the public handle, for a live transport.
  std::optional<Transport> pipe_transport(int fd) const;
  void send_signal(int signal);
  void close();
  bool is_closing() const noexcept override { return lifecycle_.closing(); }
  ExtraInfo get_extra_info(std::string_view name) const override;
  void set_protocol(std::shared_ptr<SubprocessProtocol> protocol);
  std::shared_ptr<SubprocessProtocol> protocol() const {
    return std::static_pointer_cast<SubprocessProtocol>(lifecycle_.protocol());
  }

  // It has no bytes of its own: the pipes do.
  TransportKind kind() const noexcept override { return TransportKind::subprocess; }
  bool is_reading() const noexcept override { return false; }
  std::size_t get_write_buffer_size() const noexcept override { return 0; }
  EffectiveWriteBufferLimits get_write_buffer_limits() const noexcept override { return {}; }

  /// Calls `exited` once the child is reaped, after process_exited().
  void when_exited(Callback exited) noexcept { exited_ = std::move(exited); }

 private:
  class PipeProtocol;

  struct Pipe {
    Transport transport{};
    bool exists = false;
    bool lost = false;
  };

  SubprocessProtocol& told() const noexcept {
    return static_cast<SubprocessProtocol&>(*lifecycle_.protocol());
  }
  void connect(std::size_t fd, std::unique_ptr<StreamChannel> channel);
  void begin(UniqueFunction<void(SubprocessTransport)>& ready);
  void pipe_data_received(std::size_t fd, ConstBytes data);
  void pipe_connection_lost(std::size_t fd, const CloseReason& reason);
  void on_exited() noexcept override;
  void tell_exit() noexcept;
  void finish_if_over();
  void lose() noexcept;

  Lifecycle lifecycle_;
  Child child_;
  std::array<Pipe, 3> pipes_{};
  Callback exited_;
  bool starting_ = true;  ///< nobody knows of it yet: an exit is told later
};

}  // namespace weir::inline v0::detail
