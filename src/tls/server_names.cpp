#include "server_names.h"

#include <weir/tls_context.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tls_context_core.h"

namespace weir::inline v0::detail {
namespace {

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lower(std::string_view name) {
  std::string text(name);
  std::ranges::transform(text, text.begin(), [](char c) { return lower(c); });
  return text;
}

bool is_of_label(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/// "www.example.org": labels of ASCII with a dot between them.
bool is_name(std::string_view name) noexcept {
  char before = '.';
  for (const char c : name) {
    if (!is_of_label(c) && (c != '.' || before == '.')) return false;
    before = c;
  }
  return before != '.';
}

}  // namespace

ServerNames::ServerNames(const std::vector<std::pair<std::string, TlsContext>>& names) {
  for (const auto& [given, context] : names) {
    const auto refuse = [&name = given](const std::string& why) {
      throw std::invalid_argument(std::string("TlsOptions::server_names: \"").append(name) + "\" " +
                                  why);
    };
    std::string name = lower(given);
    const std::string_view without_wildcard =
        std::string_view(name).substr(name.starts_with("*.") ? 2 : 0);
    if (!is_name(without_wildcard)) {
      refuse(R"(is neither a name as "www.example.org" nor one as "*.example.org")");
    }
    const TlsContextCore& core = TlsContextCore::of(context);
    if (!core.is_server()) refuse("has the context of a client");
    if (core.has_server_names()) refuse("has a context that has server_names itself");
    if (!names_.emplace(std::move(name), context).second) refuse("is there twice");
  }
}

const TlsContext* ServerNames::find(std::string_view name) const {
  const std::string wanted = lower(name);
  auto found = names_.find(wanted);
  if (found == names_.end()) {
    const std::size_t dot = wanted.find('.');
    if (dot == std::string::npos || dot == 0) return nullptr;
    found = names_.find("*" + wanted.substr(dot));
  }
  return found != names_.end() ? &found->second : nullptr;
}

std::optional<std::string_view> name_in_extension(
    std::span<const unsigned char> extension) noexcept {
  // A list with its length: of entries of a type, 0 being a name, and a text with its length.
  constexpr std::size_t before_name = 5;
  if (extension.size() < before_name || extension[2] != 0) return std::nullopt;
  const std::size_t size = std::size_t{extension[3]} * 256 + extension[4];
  if (size != extension.size() - before_name) return std::nullopt;
  return std::string_view(reinterpret_cast<const char*>(extension.data()) + before_name, size);
}

}  // namespace weir::inline v0::detail
