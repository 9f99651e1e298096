#pragma once

#include <string_view>

// CMakeLists.txt refuses to configure when these differ from its project(VERSION).
#define WEIR_VERSION_MAJOR 0
#define WEIR_VERSION_MINOR 1
#define WEIR_VERSION_PATCH 0
#define WEIR_VERSION_STRING "0.1.0"

namespace weir::inline v0 {

/// The version of the headers you compile with, as "major.minor.patch".
constexpr std::string_view version() noexcept { return WEIR_VERSION_STRING; }

}  // namespace weir::inline v0
