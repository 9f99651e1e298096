#pragma once

#include <weir/address.h>

#include <cstddef>
#include <vector>

namespace weir::inline v0::detail {

/// The same addresses, regrouped so that the families take turns: `first_family_count` - 1 of the
/// first family, then one of each in the order they were first seen, and again. The order within a
/// family stays. 0: unchanged. [N7]
std::vector<Address> interleaved(std::vector<Address> addresses, std::size_t first_family_count);

/// The same addresses, each only where it comes first.
std::vector<Address> without_duplicates(const std::vector<Address>& addresses);

}  // namespace weir::inline v0::detail
