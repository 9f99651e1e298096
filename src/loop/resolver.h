#pragma once

#include <weir/address.h>
#include <weir/resolve.h>

#include <optional>
#include <string>
#include <vector>

#include "result.h"

namespace weir::inline v0::detail {

/// AI_PASSIVE, for those who see no header of the system: no host means all interfaces.
extern const int passive_flag;

/// What getaddrinfo() was asked.
struct AddressQuestion {
  std::string host;
  std::string service;
  ResolveOptions options;
};

/// The answer for a literal address with a decimal port, or none: no resolver is needed. Nothing if
/// one is. [L38]
std::optional<std::vector<AddressInfo>> literal_answer(const AddressQuestion& question);

/// The answer when the host is known to have `addresses`: those of the family asked for.
Result<std::vector<AddressInfo>> known_answer(const AddressQuestion& question,
                                              const std::vector<Address>& addresses);

/// Asks the system's resolver, and waits for it. Threads: any.
Result<std::vector<AddressInfo>> system_answer(const AddressQuestion& question);
Result<NameInfo> system_answer(const Address& address, int flags);

}  // namespace weir::inline v0::detail
