#include "kernel_fixture.h"

#include <cstdio>
#include <system_error>

namespace weir::test_backend {
namespace {

constexpr std::string_view uring = "uring";
constexpr std::string_view without = "uring_without_";

bool has_uring() {
  try {
    static_cast<void>(detail::make_uring_backend());
    return true;
  } catch (const std::system_error& error) {
    std::fprintf(stderr, "io_uring is not tested: %s\n", error.what());
    return false;
  }
}

}  // namespace

std::vector<std::string> kernel_backends() {
  static const bool with_uring = has_uring();
  std::vector<std::string> names{"epoll"};
  if (!with_uring) return names;
  names.emplace_back(uring);
  for (const char* feature :
       {"deferred_work", "incremental_buffers", "multishot_receive", "large_queues"}) {
    names.push_back(std::string(without) + feature);
  }
  return names;
}

std::unique_ptr<Backend> make_kernel_backend(const std::string& name) {
  if (!name.starts_with(uring)) return detail::make_epoll_backend();
  if (name.starts_with(without)) {
    ::setenv("WEIR_URING_WITHOUT", name.substr(without.size()).c_str(), 1);
  }
  auto backend = detail::make_uring_backend();
  ::unsetenv("WEIR_URING_WITHOUT");
  return backend;
}

}  // namespace weir::test_backend
