#include "process_mark.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <new>

namespace weir::inline v0::detail {
namespace {

constexpr std::size_t mark_size = 1;  // the kernel rounds up to a page

}  // namespace

ProcessMark::ProcessMark() {
  void* const page =
      ::mmap(nullptr, mark_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) throw std::bad_alloc();
  page_ = static_cast<volatile unsigned char*>(page);
  *page_ = 1;
  if (::madvise(page, mark_size, MADV_WIPEONFORK) != 0) process_ = ::getpid();  // before Linux 4.14
}

ProcessMark::~ProcessMark() {
  ::munmap(const_cast<unsigned char*>(page_), mark_size);
}  // NOLINT(*-const-cast)

bool ProcessMark::is_here() const noexcept {
  return process_ == 0 ? *page_ != 0 : process_ == ::getpid();
}

}  // namespace weir::inline v0::detail
