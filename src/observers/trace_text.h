// Words and numbers of pictures, and how to write what may contain anything.
#pragma once

#include <weir/trace.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <string>
#include <string_view>

namespace weir::inline v0::detail {

/// "75.3 us", "1.20 ms", "2.00 s": three digits.
std::string duration_text(std::chrono::nanoseconds duration);
/// "64 B", "1.5 KiB", "2.0 MiB".
std::string bytes_text(std::uint64_t bytes);

/// `data` as in a string literal: printable ASCII, without the quotes.
std::string escaped(std::span<const std::byte> data);

enum class Charset : std::uint8_t { unicode, ascii };

/// `text` with everything that could do something to a terminal, a parser or the eye written as \x1b: control
/// characters, what turns the direction of writing, and what is no UTF-8; for ascii, all that is not ASCII.
std::string printable(std::string_view text, Charset charset = Charset::unicode);

/// How many columns `text`, which is UTF-8, is wide.
std::size_t columns_of(std::string_view text);
/// The first columns of `text`, the last of which is `ellipsis` if it is cut.
std::string fitted(std::string_view text, std::size_t columns, std::string_view ellipsis);

/// What `exception` says.
std::string exception_text(const std::exception_ptr& exception);

/// What is received or written: its size is worth telling.
bool carries_data(Activity activity);
/// What an entry has besides its name and size: `"hello"`, its reason, what it threw. May contain anything.
std::string details_of(const TraceEntry& entry);

}  // namespace weir::inline v0::detail
