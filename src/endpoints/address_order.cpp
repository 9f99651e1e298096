#include "address_order.h"

#include <algorithm>
#include <deque>
#include <utility>

namespace weir::inline v0::detail {
namespace {

using Family = std::deque<Address>;

/// By family, in first-seen order.
std::vector<Family> grouped(std::vector<Address> addresses) {
  std::vector<Family> families;
  for (Address& address : addresses) {
    auto found = std::ranges::find(families, address.family(),
                                   [](const Family& family) { return family.front().family(); });
    if (found == families.end()) found = families.emplace(families.end());
    found->push_back(std::move(address));
  }
  return families;
}

void take_first(Family& family, std::vector<Address>& taken) {
  if (family.empty()) return;
  taken.push_back(std::move(family.front()));
  family.pop_front();
}

}  // namespace

std::vector<Address> interleaved(std::vector<Address> addresses, std::size_t first_family_count) {
  const std::size_t count = addresses.size();
  if (first_family_count == 0 || count == 0) return addresses;
  std::vector<Family> families = grouped(std::move(addresses));
  std::vector<Address> result;
  result.reserve(count);
  for (std::size_t taken = 1; taken < std::min(first_family_count, count); ++taken) {
    take_first(families.front(), result);
  }
  while (result.size() < count) {
    for (Family& family : families) take_first(family, result);
  }
  return result;
}

std::vector<Address> without_duplicates(const std::vector<Address>& addresses) {
  std::vector<Address> result;
  for (const Address& address : addresses) {
    if (std::ranges::find(result, address) == result.end()) result.push_back(address);
  }
  return result;
}

}  // namespace weir::inline v0::detail
