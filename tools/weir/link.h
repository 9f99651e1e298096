// Two streams joined: what one receives the other sends.
#pragma once

#include <weir/weir.h>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "stream.h"

namespace weir_tool {

/// Bytes that went from the near end to the far one, and back.
struct ByteCounts {
  std::uint64_t forward = 0;
  std::uint64_t back = 0;
};

/// Joins a near and a far end until both are over.
///
/// An end is read only while the other takes what it gets, so no more waits in between than one read of
/// each direction. The end of one direction is passed on and the other goes on; once both have ended, or
/// one end is lost, both are closed, and what was on its way is still sent.
///
/// An end of TLS cannot be told that no more comes without being closed. It is given time to answer:
/// it is closed once it has been silent for a while. When it is the near end that ends its TLS, it is gone,
/// but the far end may not be through with what it was sent: it is given as much time, and whatever it
/// still says does not prolong that.
class Link : public std::enable_shared_from_this<Link> {
 public:
  enum class End { near, far };

  /// Adds to `counts`, which must outlive it, as must `loop`. `linger` is how long an end has to be
  /// silent.
  Link(weir::EventLoop& loop, std::chrono::duration<double> linger, ByteCounts& counts)
      : loop_(loop),
        linger_(linger),
        counts_(counts),
        near_(*this, End::near, far_),
        far_(*this, End::far, near_) {}
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  virtual ~Link() = default;

  /// The protocols of the two ends; they keep the link alive.
  std::shared_ptr<StreamProtocol> near() { return {shared_from_this(), &near_}; }
  std::shared_ptr<StreamProtocol> far() { return {shared_from_this(), &far_}; }

  /// Both ends are lost.
  bool is_over() const { return over_; }

  /// There will be no far end: the near one is closed.
  void give_up();
  /// Sends what is on its way and ends both, or ends them at once.
  void close_ends();
  void abort_ends();

 protected:
  const Stream& stream(End end) const { return side(end).stream(); }
  const Stream& stream_behind(End end) const { return stream(other(end)); }

  /// Counts bytes of `from` and writes them to the other end.
  void pass(End from, std::span<const std::byte> data);
  /// Tells the other end that no more comes from this one, or ends both if neither has more to say.
  void pass_end(End from);
  /// Ends both at once, as Stream::reset().
  void reset_ends();

  virtual void made(End) {}
  virtual void lost(End, const weir::CloseReason&) {}

  // What becomes of what the ends bring: it is passed on at once. A link that takes its time overrides these.
  virtual void received(End from, std::span<const std::byte> data) { pass(from, data); }
  virtual void ended(End from) { pass_end(from); }
  /// It takes no more for now; again it does.
  virtual void clogged(End end) { stream_behind(end).pause_reading(); }
  virtual void drained(End end) { stream_behind(end).resume_reading(); }
  /// It is lost, as lost() has told.
  virtual void left(End end, const weir::CloseReason& reason);

  /// The end of its stream came, but perhaps not from its peer: bytes may be missing.
  virtual void cut_off(End) {}
  /// It was silent for long enough, and is closed.
  virtual void waited(End) {}
  /// The last event: both ends are lost.
  virtual void over() = 0;

 private:
  class Side final : public StreamProtocol {
   public:
    Side(Link& link, End end, Side& other) : link_(link), end_(end), other_(other) {}

    void stream_made(Stream stream) override;
    void data_received(std::span<const std::byte> data) override {
      heard_ = heard_ || !other_.is_lost();
      link_.received(end_, data);
    }
    bool eof_received() override;
    void pause_writing() override {
      other_.held_ = true;
      link_.clogged(end_);
    }
    void resume_writing() override {
      other_.held_ = false;
      link_.drained(end_);
    }
    void connection_lost(const weir::CloseReason& reason) override;

    End end() const { return end_; }
    const Stream& stream() const { return stream_; }
    bool is_made() const { return state_ == State::made; }
    bool is_lost() const { return state_ == State::lost; }
    void never() { state_ = State::lost; }
    /// No more comes from it, and the other end has been told.
    bool is_through() const { return through_; }
    void be_through() { through_ = true; }
    bool has_said_all() const { return ended_ && !stream_.can_write_eof(); }
    /// Whether nothing has come since it was asked last, and something could have.
    bool is_silent() { return !std::exchange(heard_, false) && !held_ && !stream_.has_unsent(); }

   private:
    enum class State { expected, made, lost };

    Link& link_;
    End end_;
    Side& other_;
    Stream stream_;
    State state_ = State::expected;
    bool ended_ = false;  // it receives no more
    bool through_ = false;
    bool heard_ = false;  // something for the other end, since is_silent() was called
    bool held_ = false;   // what it receives has to wait
  };

  static End other(End end) { return end == End::near ? End::far : End::near; }
  Side& side(End end) { return end == End::near ? near_ : far_; }
  const Side& side(End end) const { return end == End::near ? near_ : far_; }
  void close_when_silent(Side& side);
  void finish_if_lost();

  weir::EventLoop& loop_;
  std::chrono::duration<double> linger_;
  ByteCounts& counts_;
  weir::TimerHandle silence_;
  Side near_;
  Side far_;
  bool closing_ = false;
  bool over_ = false;
};

}  // namespace weir_tool
