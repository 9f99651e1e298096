#include "opening_errors.h"

#include <gtest/gtest.h>
#include <weir/error.h>

#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace weir {
namespace {

using detail::adoption_failure;
using detail::connect_failure;

std::system_error refused(const char* address) {
  return {std::make_error_code(std::errc::connection_refused), address};
}

template <class Error>
std::string text_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    return error.what();
  } catch (const std::exception& error) {
    return std::string("not expected: ") + error.what();
  }
}

bool is_aggregate(const std::exception_ptr& failure) {
  return !text_of<AggregateError>(failure).starts_with("not expected");
}

// N5: a single error is thrown as it is.
TEST(ConnectFailureTest, OneErrorIsThatError) {
  const auto failure = connect_failure({refused("a")}, false);
  EXPECT_FALSE(is_aggregate(failure));
  EXPECT_EQ(text_of<std::system_error>(failure), "a: Connection refused");
}

// N5: several that say the same are one.
TEST(ConnectFailureTest, EqualErrorsAreTheFirst) {
  EXPECT_FALSE(is_aggregate(connect_failure({refused("a"), refused("a")}, false)));
}

// N5: several that differ are listed.
TEST(ConnectFailureTest, DifferentErrorsAreListed) {
  EXPECT_EQ(text_of<AggregateError>(connect_failure({refused("a"), refused("b")}, false)),
            "Multiple exceptions: a: Connection refused, b: Connection refused");
}

// N5: all_errors gives the group also of one.
TEST(ConnectFailureTest, AllErrorsIsAlwaysAGroup) {
  EXPECT_TRUE(is_aggregate(connect_failure({refused("a")}, true)));
  EXPECT_TRUE(is_aggregate(connect_failure({refused("a"), refused("a")}, true)));
}

// N5: no error at all is a time-out.
TEST(ConnectFailureTest, NoErrorIsATimeOut) {
  try {
    std::rethrow_exception(connect_failure({}, false));
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::timed_out);
  }
}

// N2, V2: misuse says what is wrong with the descriptor.
TEST(AdoptionFailureTest, SaysWhatIsWrong) {
  const auto text = [](std::errc error) {
    return text_of<std::invalid_argument>(adoption_failure(std::make_error_code(error), 7));
  };
  EXPECT_EQ(text(std::errc::bad_file_descriptor), "descriptor 7 is not open");
  EXPECT_EQ(text(std::errc::not_a_socket), "descriptor 7 is not a socket");
  EXPECT_EQ(text(std::errc::wrong_protocol_type), "descriptor 7 is not a stream socket");
}

// L30: a second transport on a descriptor is a wrong-state error.
TEST(AdoptionFailureTest, BusyIsAWrongState) {
  EXPECT_EQ(text_of<WrongStateError>(
                adoption_failure(std::make_error_code(std::errc::device_or_resource_busy), 7)),
            "descriptor 7 is used by a transport already");
}

TEST(AdoptionFailureTest, AnythingElseIsTheError) {
  EXPECT_EQ(text_of<std::system_error>(
                adoption_failure(std::make_error_code(std::errc::operation_not_supported), 7)),
            "descriptor 7: Operation not supported");
}

}  // namespace
}  // namespace weir
