#include "trace_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace weir::inline v0::detail {
namespace {

std::string number_text(double value, int digits, const char* unit) {
  std::array<char, 64> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value,
                                 std::chars_format::fixed, digits);
  return std::string(text.data(), end.ptr) + ' ' + unit;
}

std::string three_digits(double value, const char* unit) {
  return number_text(value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0, unit);
}

std::string hexadecimal(unsigned char byte) {
  static constexpr std::string_view digits = "0123456789abcdef";
  return {'\\', 'x', digits[byte >> 4U], digits[byte & 15U]};
}

/// One character of UTF-8, as far as it is one.
struct Decoded {
  char32_t character = 0;
  std::size_t size = 0;  ///< in bytes; 0: it is none
};

Decoded decoded(std::string_view text) {
  const auto byte = [&](std::size_t index) { return static_cast<unsigned char>(text[index]); };
  if (byte(0) < 0x80) return {byte(0), 1};
  const std::size_t size = byte(0) >= 0xF0 ? 4 : byte(0) >= 0xE0 ? 3 : 2;
  if (byte(0) < 0xC2 || byte(0) > 0xF4 || text.size() < size) return {};
  char32_t character = byte(0) & (0xFFU >> (size + 1));
  for (std::size_t index = 1; index < size; ++index) {
    if ((byte(index) & 0xC0U) != 0x80) return {};
    character = (character << 6U) | (byte(index) & 0x3FU);
  }
  static constexpr std::array<char32_t, 5> least{0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = character >= 0xD800 && character < 0xE000;
  if (character < least.at(size) || character > 0x10FFFF || surrogate) return {};
  return {character, size};
}

bool is_harmless(char32_t character) {
  const bool is_control = character < 0x20 || (character >= 0x7F && character < 0xA0);
  const bool turns = (character >= 0x200B && character <= 0x200F) ||
                     (character >= 0x2028 && character <= 0x202E) ||
                     (character >= 0x2060 && character <= 0x206F) || character == 0xFEFF;
  return !is_control && !turns && (character & 0xFFFEU) != 0xFFFE;
}

}  // namespace

std::string duration_text(std::chrono::nanoseconds duration) {
  const auto ns = static_cast<double>(duration.count());
  if (ns < 999'500) return three_digits(ns / 1e3, "us");
  if (ns < 999'500'000) return three_digits(ns / 1e6, "ms");
  return three_digits(ns / 1e9, "s");
}

std::string bytes_text(std::uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + " B";
  static constexpr std::array<const char*, 6> units{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < units.size(); ++unit) value /= 1024;
  return number_text(value, value == std::floor(value) ? 0 : 1, units.at(unit));
}

std::string escaped(std::span<const std::byte> data) {
  std::string text;
  for (const std::byte byte : data) {
    const auto character = static_cast<unsigned char>(byte);
    switch (character) {
      case '\n': text += "\\n"; break;
      case '\r': text += "\\r"; break;
      case '\t': text += "\\t"; break;
      case '\\': text += "\\\\"; break;
      case '"': text += "\\\""; break;
      default:
        if (character >= 0x20 && character < 0x7F) {
          text += static_cast<char>(character);
        } else {
          text += hexadecimal(character);
        }
    }
  }
  return text;
}

std::string printable(std::string_view text, Charset charset) {
  std::string result;
  while (!text.empty()) {
    const auto [character, size] = decoded(text);
    const bool shown =
        size > 0 && is_harmless(character) && (charset == Charset::unicode || character < 0x80);
    const std::size_t taken = size > 0 ? size : 1;
    for (const char byte : text.substr(0, taken)) {
      result += shown ? std::string(1, byte) : hexadecimal(static_cast<unsigned char>(byte));
    }
    text.remove_prefix(taken);
  }
  return result;
}

std::size_t columns_of(std::string_view text) {
  std::size_t columns = 0;
  for (const char byte : text)
    columns += (static_cast<unsigned char>(byte) & 0xC0U) != 0x80 ? 1 : 0;
  return columns;
}

std::string fitted(std::string_view text, std::size_t columns, std::string_view ellipsis) {
  if (columns_of(text) <= columns) return std::string(text);
  const std::size_t left = columns - std::min(columns, columns_of(ellipsis));
  std::size_t end = 0;
  for (std::size_t column = 0; end < text.size(); ++end) {
    const bool begins = (static_cast<unsigned char>(text[end]) & 0xC0U) != 0x80;
    if (begins && column++ == left) break;
  }
  return std::string(text.substr(0, end)) + std::string(columns > 0 ? ellipsis : "");
}

std::string exception_text(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an exception that is no std::exception";
  }
}

bool carries_data(Activity activity) {
  switch (activity) {
    case Activity::data_received:
    case Activity::buffer_updated:
    case Activity::datagram_received:
    case Activity::pipe_data_received:
    case Activity::write:
    case Activity::writelines:
    case Activity::sendto: return true;
    default: return false;
  }
}

std::string details_of(const TraceEntry& entry) {
  std::string text;
  const auto add = [&text](const std::string& more) { text += (text.empty() ? "" : ", ") + more; };
  if (entry.which != 0 || entry.activity == Activity::pipe_connection_lost) {
    add((entry.activity == Activity::send_signal ? "signal " : "stream ") +
        std::to_string(entry.which));
  }
  if (!entry.data.empty()) add('"' + entry.data + (entry.has_more ? "..." : "") + '"');
  if (!entry.reason.empty()) add(entry.reason);
  if (entry.activity == Activity::eof_received && entry.result) add("stays open");
  if (entry.threw) add(entry.exception.empty() ? "threw" : "threw " + entry.exception);
  return text;
}

}  // namespace weir::inline v0::detail
