#pragma once

#include <weir/tls_context.h>

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::inline v0::detail {

/// Which context serves which name of a server.
class ServerNames {
 public:
  /// Throws std::invalid_argument for what is no name, for one that is there twice, and for a context
  /// that cannot serve it.
  explicit ServerNames(const std::vector<std::pair<std::string, TlsContext>>& names);

  bool empty() const noexcept { return names_.empty(); }
  /// The context for `name` in any case: by its exact name, else by "*." and what follows the first
  /// label. Null without one.
  const TlsContext* find(std::string_view name) const;

 private:
  std::map<std::string, TlsContext, std::less<>> names_;
};

/// The name in the body of a server_name extension (RFC 6066); none if it has none.
std::optional<std::string_view> name_in_extension(
    std::span<const unsigned char> extension) noexcept;

}  // namespace weir::inline v0::detail
