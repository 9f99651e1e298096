#include "opening.h"

#include <string>
#include <system_error>

namespace weir::inline v0::detail {
namespace {

std::vector<Address> addresses_of(const std::vector<AddressInfo>& infos) {
  std::vector<Address> addresses;
  addresses.reserve(infos.size());
  for (const AddressInfo& info : infos) addresses.push_back(info.address);
  return addresses;
}

}  // namespace

FutureState::CancelHook Opening::cancel_hook() {
  return [this, alive = name()] { return alive.alive() && stop(); };
}

void Opening::refuse(std::exception_ptr error) {
  later(*this, [error = std::move(error)](Opening& self) { self.fail(error); });
}

void Opening::cancel() {
  if (lookup_.valid()) lookup_.cancel();
  finish();
}

void Opening::resolve(std::string_view host, std::uint16_t port, const ResolveOptions& options,
                      Resolved then) {
  lookup_ = getaddrinfo(loop().facade(), host, std::to_string(port), options);
  auto go_on =
      unless_over(*this, [then = std::move(then)](Opening& self, const std::exception_ptr& error,
                                                  std::vector<Address> found) mutable {
        if (error != nullptr) return self.fail(error);
        then(std::move(found));
      });
  lookup_.add_done_callback([go_on = std::move(go_on), subject = "resolve " + std::string(host)](
                                const Future<std::vector<AddressInfo>>& lookup) mutable {
    if (lookup.cancelled()) return;
    std::exception_ptr error = lookup.exception();
    if (error != nullptr) return go_on(error, std::vector<Address>());
    if (lookup.result().empty()) {
      error = std::make_exception_ptr(std::system_error(
          std::make_error_code(std::errc::address_not_available), subject + ": no addresses"));
    }
    go_on(error, addresses_of(lookup.result()));
  });
}

}  // namespace weir::inline v0::detail
