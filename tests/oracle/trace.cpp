#include "trace.h"

#include <weir/sendfile.h>
#include <weir/tls.h>

#include <algorithm>
#include <cstdio>
#include <ranges>
#include <stdexcept>
#include <system_error>

namespace weir::oracle {
namespace {

/// Bytes as text in one line, repeated ones as x*1000.
std::string runs_of(std::string_view bytes) {
  constexpr std::size_t longest_text = 32;
  std::string text;
  if (bytes.size() <= longest_text) {
    for (const char byte : bytes) text += byte == '\n' ? std::string("\\n") : std::string(1, byte);
    return text;
  }
  for (std::size_t begin = 0; begin < bytes.size();) {
    const std::size_t end = std::min(bytes.find_first_not_of(bytes[begin], begin), bytes.size());
    if (begin > 0) text += '+';
    text += bytes[begin];
    text += '*' + std::to_string(end - begin);
    begin = end;
  }
  return text;
}

}  // namespace

std::string kind_of(const std::error_code& code) {
  static const std::pair<std::errc, const char*> kinds[] = {
      {std::errc::connection_reset, "ConnectionResetError"},
      {std::errc::connection_aborted, "ConnectionAbortedError"},
      {std::errc::connection_refused, "ConnectionRefusedError"},
      {std::errc::broken_pipe, "BrokenPipeError"},
      {std::errc::timed_out, "TimeoutError"},
      {std::errc::operation_would_block, "BlockingIOError"},
      {std::errc::no_such_file_or_directory, "FileNotFoundError"},
      {std::errc::permission_denied, "PermissionError"},
      {std::errc::no_such_process, "ProcessLookupError"},
      {std::errc::address_in_use, "AddressInUse"},  // from here on not Python's names
      {std::errc::destination_address_required, "DestinationRequired"},
      {std::errc::message_size, "MessageTooLong"}};
  for (const auto& [kind, name] : kinds) {
    if (code == kind) return name;
  }
  return "OSError";
}

std::exception_ptr make_error(std::string_view kind) {
  if (kind == "UserError") return std::make_exception_ptr(UserError());
  if (kind == "ConnectionResetError") {
    return std::make_exception_ptr(
        std::system_error(std::make_error_code(std::errc::connection_reset)));
  }
  throw std::runtime_error("no such error: " + std::string(kind));
}

std::string kind_of(const std::exception_ptr& exception) {
  if (exception == nullptr) return "none";
  try {
    std::rethrow_exception(exception);
  } catch (const UserError&) {
    return "UserError";
  } catch (const CancelledError&) {
    return "CancelledError";
  } catch (const InvalidStateError&) {
    return "InvalidStateError";
  } catch (const WrongStateError&) {
    return "RuntimeError";
  } catch (const UnsupportedOperationError&) {
    return "NotImplementedError";
  } catch (const SendfileNotAvailableError&) {
    return "SendfileNotAvailableError";
  } catch (const CertificateError&) {
    return "SSLCertVerificationError";
  } catch (const TlsError& error) {
    return error.code().category() == tls_category() ? "SSLError" : kind_of(error.code());
  } catch (const std::invalid_argument&) {
    return "ValueError";
  } catch (const std::system_error& error) {
    return kind_of(error.code());
  } catch (const std::exception& error) {
    return error.what();
  }
}

void Trace::add(const std::string& actor, std::string text) {
  lines_.push_back({actor, std::move(text)});
}

void Trace::add_data(const std::string& actor, const std::string& event, std::string_view bytes) {
  auto lines = std::views::reverse(lines_);
  const auto last =
      std::ranges::find_if(lines, [&](const Line& line) { return line.actor == actor; });
  if (last == lines.end() || last->event != event) {
    lines_.push_back({actor, event, event, std::string(bytes)});
  } else {
    last->bytes += bytes;
  }
}

int Trace::counted(const std::string& label, const std::string& event) const {
  const auto found = counts_.find({label, event});
  return found == counts_.end() ? 0 : found->second;
}

void Trace::print() const {
  for (const Line& line : lines_) {
    std::string text = line.text;
    if (!line.event.empty() && !hide_data_) text += ' ' + runs_of(line.bytes);
    std::printf("%s: %s\n", line.actor.c_str(), text.c_str());
  }
}

}  // namespace weir::oracle
