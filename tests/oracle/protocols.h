#pragma once

#include <weir/weir.h>

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runner.h"

namespace weir::oracle {

/// What the protocols of a scenario have in common: they tell the runner.
class Teller {
 public:
  Teller(Runner& runner, End& end, std::string label)
      : runner_(runner), end_(end), label_(std::move(label)) {}
  Teller(const Teller&) = delete;
  Teller& operator=(const Teller&) = delete;
  virtual ~Teller() = default;

  End& end() const noexcept { return end_; }
  const std::string& label() const noexcept { return label_; }

 protected:
  bool tell(const std::string& event, const std::string& detail = {}) {
    return runner_.happened(end_.name, label_, event, detail).value_or(false);
  }
  void tell_data(const std::string& event, std::span<const std::byte> bytes) {
    runner_.data(end_, label_, event, bytes);
  }
  void ask_for_buffer() { runner_.act_for(end_.name, label_, "get_buffer"); }

 private:
  Runner& runner_;
  End& end_;
  std::string label_;
};

/// The callbacks both kinds of protocol have.
template <class Base>
class TellingCallbacks : public Base, public Teller {
 public:
  using Teller::Teller;
  void connection_made(Transport transport) override {
    end().transport = transport;
    tell("connection_made");
  }
  void connection_lost(const CloseReason& reason) override {
    tell("connection_lost", kind_of(reason.exception()));
  }
  void pause_writing() override { tell("pause_writing"); }
  void resume_writing() override { tell("resume_writing"); }
  bool eof_received() override { return tell("eof_received"); }
};

class TellingProtocol final : public TellingCallbacks<Protocol> {
 public:
  using TellingCallbacks::TellingCallbacks;
  void data_received(std::span<const std::byte> data) override { tell_data("data_received", data); }
};

class TellingBufferedProtocol final : public TellingCallbacks<BufferedProtocol> {
 public:
  using TellingCallbacks::TellingCallbacks;
  std::span<std::byte> get_buffer(std::ptrdiff_t) override {
    ask_for_buffer();
    buffer_.resize(end().buffer_size);
    return buffer_;
  }
  void buffer_updated(std::size_t count) override {
    tell_data("buffer_updated", std::span(buffer_).first(count));
  }

 private:
  std::vector<std::byte> buffer_;
};

}  // namespace weir::oracle
