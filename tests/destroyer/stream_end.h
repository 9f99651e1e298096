#pragma once

#include <weir/weir.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "end.h"
#include "pattern.h"

namespace weir::destroyer {

enum class StreamKind : std::uint8_t { tcp, local, read_pipe, write_pipe };

/// One end of a byte stream. Writes its pattern and checks what comes against its peer's.
class StreamEnd final : public End, public std::enable_shared_from_this<StreamEnd> {
 public:
  StreamEnd(World& world, std::size_t number, std::size_t machine, StreamKind kind, bool tls,
            Stream& out) noexcept
      : End(world, number, machine), kind_(kind), tls_(tls ? 1 : 0), out_(out) {
    out.writer = this;
  }

  AnyProtocol new_protocol(bool buffered);
  /// Of a server, to be ended with its other clients.
  void set_server(std::size_t server) noexcept { server_ = server; }
  std::optional<std::size_t> server() const noexcept { return server_; }
  /// What it wrote need not arrive: it does not end in order.
  void cut() noexcept { out_.cut = true; }
  const Transport& transport() const noexcept { return keeper_; }

  void act() override;
  void ask() override;
  void close() override;
  void abort() override;
  void check_dead() override;

  // --- Callbacks, of a protocol of either kind
  void connection_made(const Transport& transport);
  void data_received(std::span<const std::byte> data);
  std::span<std::byte> get_buffer(std::ptrdiff_t hint, std::unique_ptr<std::byte[]>& memory);
  void buffer_updated(std::span<const std::byte> data);
  bool eof_received();
  void pause_writing();
  void resume_writing();
  void connection_lost(const CloseReason& reason);
  /// Only the last protocol that was set is told anything. [B12]
  void check_current(const BaseProtocol* protocol);

 private:
  struct File {
    Descriptor file;
    std::uint64_t base = 0;  ///< of the stream
    std::uint64_t offset = 0;
    Future<std::uint64_t> sent{};
  };

  bool reads() const noexcept { return kind_ != StreamKind::write_pipe; }
  bool writes() const noexcept { return kind_ != StreamKind::read_pipe; }
  bool is_socket() const noexcept { return reads() && writes(); }

  // --- Actions
  void write();
  void writelines();
  void write_buffer();
  void write_descriptors();
  void write_eof();
  void user_closes();
  void user_aborts();
  void step_on_dead();
  void drop_handle();
  void step_to_ask();
  void pause();
  void resume();
  void set_limits();
  void set_protocol();
  void set_no_protocol();
  void use_dead();
  void send_file();
  void upgrade();
  void upgrade_alone();
  void start_tls(bool server);
  void upgraded(const Future<Transport>& future);

  std::size_t some_size();
  /// The next `size` bytes, written by `call`, which may be refused.
  template <class F>
  void written(const char* what, std::size_t size, F call);
  void check(std::span<const std::byte> data);
  void check_end();
  void settle_file();
  bool sends_file() const { return file_ && !file_->sent.done(); }
  /// Whose stream it receives, if that is known.
  StreamEnd* peer() const noexcept;
  bool is_quiet() const;
  bool is_upgrading() const { return upgrading_ && !upgrading_->done(); }

  const StreamKind kind_;
  std::size_t tls_;      ///< how many layers
  Transport transport_;  ///< as its user keeps it, or drops it
  Transport keeper_;
  std::vector<Transport> dead_;
  std::weak_ptr<BaseProtocol> protocol_;
  bool buffered_ = false;
  std::optional<std::size_t> server_;

  Stream& out_;
  Stream* in_ = nullptr;
  std::array<std::byte, number_size> number_bytes_{};
  std::size_t numbered_ = 0;  ///< how many of those are there
  bool garbled_ = false;      ///< what comes is no pattern
  bool eof_ = false;
  bool closed_ = false;  ///< by this side
  bool ended_ = false;
  bool write_paused_ = false;
  bool is_losing_ = false;  ///< in connection_lost()
  std::optional<Future<Transport>> upgrading_;
  std::optional<File> file_;
};

}  // namespace weir::destroyer
