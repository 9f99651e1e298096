// In a build by WEIR_TLS=OFF, in place of throw_away_certificate.cpp.
#include "throw_away_certificate.h"

namespace weir_tool {

ThrowAwayCertificate make_throw_away_certificate(const std::vector<std::string>&) {
  throw weir::UnsupportedOperationError("this weir was built without TLS (WEIR_TLS=OFF)");
}

}  // namespace weir_tool
