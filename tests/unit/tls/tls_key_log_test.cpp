#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <weir/tls.h>

#include <filesystem>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "handshake.h"
#include "key_log.h"
#include "tls_fixture.h"

namespace weir::test {
namespace {

// The secrets of connections are appended to a file that its owner alone can read.
TEST(TlsKeyLog, Appends) {
  const TemporaryFile file;
  std::filesystem::remove(file.path());
  const TlsContext server = server_context({.key_log_file = file.path()});
  EXPECT_TRUE(Handshake(client_context(), server, "localhost").is_done());
  EXPECT_EQ(std::filesystem::status(file.path()).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  const std::string one = file.contents();
  EXPECT_THAT(one, testing::HasSubstr("CLIENT_TRAFFIC_SECRET_0 "));
  EXPECT_THAT(one, testing::EndsWith("\n"));

  const TlsContext client = client_context({.key_log_file = file.path()});
  EXPECT_TRUE(Handshake(client, server_context(), "localhost").is_done());
  EXPECT_THAT(file.contents(), testing::StartsWith(one));
  EXPECT_EQ(file.contents().size(), 2 * one.size());
}

// C4: a file that cannot be written is refused when the context is made.
TEST(TlsKeyLog, FileThatCannotBeWritten) {
  EXPECT_EQ(refusal<std::system_error>([] { client_context({.key_log_file = "/nowhere/log"}); }),
            "TlsOptions::key_log_file: cannot append to \"/nowhere/log\": No such file or "
            "directory");
}

// Lines of several threads stay whole.
TEST(TlsKeyLog, WholeLines) {
  const TemporaryFile file;
  const detail::KeyLog one(file.path());
  const detail::KeyLog other(file.path());
  const std::string line(300, 'x');
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int j = 0; j < 100; ++j) (i % 2 == 0 ? one : other).append(line);
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::istringstream lines(file.contents());
  int count = 0;
  for (std::string read; std::getline(lines, read); ++count) EXPECT_EQ(read, line);
  EXPECT_EQ(count, 400);
}

}  // namespace
}  // namespace weir::test
