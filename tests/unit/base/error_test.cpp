#include <weir/error.h>

#include <gtest/gtest.h>

#include <netdb.h>

#include <exception>
#include <stdexcept>
#include <system_error>
#include <vector>

namespace weir {
namespace {

std::system_error error_of(std::errc code, const char* doing) {
  return {std::make_error_code(code), doing};
}

// N5: one error whose text lists all, and which keeps every member.
TEST(ErrorTest, AggregateErrorListsAndKeepsAll) {
  const AggregateError error({error_of(std::errc::connection_refused, "connect to a"),
                              error_of(std::errc::timed_out, "connect to b")});
  EXPECT_STREQ(error.what(),
               "Multiple exceptions: connect to a: Connection refused, connect to b: "
               "Connection timed out");
  EXPECT_EQ(error.code(), std::errc::timed_out);
  ASSERT_EQ(error.errors().size(), 2U);
  EXPECT_EQ(error.errors().front().code(), std::errc::connection_refused);
}

TEST(ErrorTest, AggregateErrorOfOne) {
  const AggregateError error({error_of(std::errc::connection_refused, "connect to a")});
  EXPECT_STREQ(error.what(), "Multiple exceptions: connect to a: Connection refused");
}

// L37: failures of the resolver have its codes and its words.
TEST(ErrorTest, ResolverCategory) {
  const std::error_code code(EAI_NONAME, resolver_category());
  EXPECT_STREQ(code.category().name(), "resolver");
  EXPECT_EQ(code.message(), gai_strerror(EAI_NONAME));
  EXPECT_NE(code, std::error_code(EAI_NONAME, std::system_category()));
}

TEST(CloseReasonTest, EmptyForARegularEnd) {
  const CloseReason reason;
  EXPECT_FALSE(reason);
  EXPECT_FALSE(reason.code());
  EXPECT_EQ(reason.exception(), nullptr);
  EXPECT_EQ(reason.message(), "");
  EXPECT_FALSE(CloseReason(std::error_code()));
  EXPECT_FALSE(CloseReason(std::exception_ptr()));
}

TEST(CloseReasonTest, ErrorOfTheSystem) {
  const CloseReason reason(std::make_error_code(std::errc::connection_reset));
  EXPECT_TRUE(reason);
  EXPECT_EQ(reason.code(), std::errc::connection_reset);
  EXPECT_FALSE(reason.is_exception());
  EXPECT_EQ(reason.message(), "Connection reset by peer");
  EXPECT_THROW(std::rethrow_exception(reason.exception()), std::system_error);
}

TEST(CloseReasonTest, KeepsAnException) {
  const auto thrown = std::make_exception_ptr(std::runtime_error("no"));
  const CloseReason reason(thrown);
  EXPECT_TRUE(reason);
  EXPECT_FALSE(reason.code());
  EXPECT_TRUE(reason.is_exception());
  EXPECT_EQ(reason.exception(), thrown);
  EXPECT_EQ(reason.message(), "no");
}

TEST(CloseReasonTest, TakesTheCodeOfASystemError) {
  const CloseReason reason(std::make_exception_ptr(error_of(std::errc::broken_pipe, "write")));
  EXPECT_EQ(reason.code(), std::errc::broken_pipe);
  EXPECT_TRUE(reason.is_exception());
  EXPECT_EQ(reason.message(), "write: Broken pipe");
}

TEST(CloseReasonTest, AnExceptionOfNoStandardType) {
  const CloseReason reason(std::make_exception_ptr(42));
  EXPECT_TRUE(reason);
  EXPECT_EQ(reason.message(), "unknown exception");
}

}  // namespace
}  // namespace weir
