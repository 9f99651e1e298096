#pragma once

#include <gtest/gtest.h>
#include <weir/tls.h>

#include <exception>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <typeinfo>

#include "certificates.h"

namespace weir::test {

/// One authority and a server for all tests of a program: making a key takes its time.
inline const TestCertificate& authority() {
  static const TestCertificate made = TestCertificate::authority();
  return made;
}
inline const TestCertificate& localhost() {
  static const TestCertificate made = authority().server();
  return made;
}

inline TlsContext server_context(TlsOptions options = {}) {
  if (!options.identity) options.identity = localhost().identity();
  return TlsContext::server(options);
}
inline TlsContext client_context(TlsOptions options = {}) {
  if (options.trusted.empty()) options.trusted.push_back(authority().trusted());
  return TlsContext::client(options);
}

/// The words of the exception that `call` throws, which must be an Error.
template <class Error, class Call>
std::string refusal(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  } catch (const std::exception& error) {
    return std::string("a ") + typeid(error).name() + ": " + error.what();
  }
  return "nothing was thrown";
}

/// A file of the test's own, gone at its end.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& contents = "") : path_(new_path()) {
    std::ofstream(path_) << contents;
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { std::filesystem::remove(path_); }

  const std::string& path() const { return path_; }
  std::string contents() const {
    std::ostringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }

 private:
  static std::string new_path() {
    static int count = 0;
    const auto* const test = testing::UnitTest::GetInstance()->current_test_info();
    return testing::TempDir() + "weir_" + test->test_suite_name() + "_" + test->name() + "_" +
           std::to_string(++count) + ".pem";
  }
  std::string path_;
};

}  // namespace weir::test
