// Preloaded into a server (LD_PRELOAD): on SIGUSR1 it prints on standard error how many bytes of
// the heap are in use. Only for a server that is idle in the kernel when the signal comes:
// mallinfo2 is not safe while malloc runs.

#include <malloc.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

namespace {

void report(int) {
  const struct mallinfo2 heap = ::mallinfo2();
  ::dprintf(STDERR_FILENO, "%zu\n", heap.uordblks + heap.hblkhd);
}

__attribute__((constructor)) void install() { std::signal(SIGUSR1, report); }

}  // namespace
