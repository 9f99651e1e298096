#include <weir/error.h>

#include <netdb.h>

#include <string>
#include <system_error>

namespace weir::inline v0 {
namespace {

class ResolverCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "resolver"; }
  std::string message(int code) const override { return ::gai_strerror(code); }
};

}  // namespace

const std::error_category& resolver_category() noexcept {
  // Never destroyed: errors may be read after main() returned.
  static const auto* const category = new ResolverCategory;
  return *category;
}

}  // namespace weir::inline v0
