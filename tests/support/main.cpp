// The main program of the behaviour tests: googletest's, and one option more.
//
//     weir_behaviour_tests --backend NAME     only the cases on that backend, and those that need none
#include <gtest/gtest.h>
#include <weir/weir.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

using weir::BackendKind;

constexpr std::array backends{BackendKind::epoll, BackendKind::uring, BackendKind::simulated};

/// Leaves out the cases of all other backends: the name of a case says which it is on.
void select(std::string_view wanted) {
  std::string others;
  std::string names;
  bool known = false;
  for (const BackendKind kind : backends) {
    const std::string name(to_string(kind));
    names += ' ' + name;
    known = known || name == wanted;
    if (name != wanted) others += (others.empty() ? "*/*" : ":*/*") + name + '*';
  }
  if (!known) {
    std::fprintf(stderr, "--backend: there is no \"%s\"; there are:%s\n",
                 std::string(wanted).c_str(), names.c_str());
    std::exit(2);
  }
  std::string filter = testing::GTEST_FLAG(filter);
  filter += filter.find('-') == std::string::npos ? "-" : ":";
  testing::GTEST_FLAG(filter) = filter + others;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc == 3 && std::string_view(argv[1]) == "--backend") {
    select(argv[2]);
  } else if (argc > 1) {
    std::fprintf(stderr, "usage: %s [--backend NAME] [googletest's options]\n", argv[0]);
    return 2;
  }
  return RUN_ALL_TESTS();
}
