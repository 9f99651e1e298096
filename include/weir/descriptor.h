#pragma once

#include <weir/export.h>

#include <utility>

namespace weir::inline v0 {

/// An open file of the system with one owner, who closes it: the number that open(), socket() or
/// accept() gave. Threads: any, one at a time.
class WEIR_API Descriptor {
 public:
  /// None.
  Descriptor() noexcept = default;
  /// Takes over `number`; negative is none.
  explicit Descriptor(int number) noexcept : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      reset();
      number_ = other.release();
    }
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { reset(); }

  explicit operator bool() const noexcept { return number_ >= 0; }
  /// The number; -1 for none.
  int get() const noexcept { return number_; }
  /// Gives the number up, to be closed by the caller.
  int release() noexcept { return std::exchange(number_, -1); }
  /// Closes it.
  void reset() noexcept;

 private:
  int number_ = -1;
};

}  // namespace weir::inline v0
