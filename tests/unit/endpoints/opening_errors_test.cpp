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
using detail::pipe_failure;
using detail::PipeEnd;
using detail::require_one;

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

// I1: misuse of a pipe says what the descriptor is, and what is wanted.
TEST(PipeFailureTest, SaysWhatIsWrong) {
  const auto text = [](std::errc error, PipeEnd wanted) {
    return text_of<std::invalid_argument>(pipe_failure(std::make_error_code(error), 7, wanted));
  };
  EXPECT_EQ(text(std::errc::bad_file_descriptor, PipeEnd::read), "descriptor 7 is not open");
  EXPECT_EQ(text(std::errc::invalid_argument, PipeEnd::read),
            "descriptor 7 is a regular file, a directory or the like; a pipe, a socket or a "
            "character device is wanted");
  EXPECT_EQ(text(std::errc::operation_not_permitted, PipeEnd::read),
            "descriptor 7 is open for writing only; a read pipe needs one open for reading");
  EXPECT_EQ(text(std::errc::operation_not_permitted, PipeEnd::write),
            "descriptor 7 is open for reading only; a write pipe needs one open for writing");
}

// L30: so is a second transport.
TEST(PipeFailureTest, BusyIsAWrongState) {
  const auto busy = std::make_error_code(std::errc::device_or_resource_busy);
  EXPECT_EQ(text_of<WrongStateError>(pipe_failure(busy, 7, PipeEnd::write)),
            "descriptor 7 is used by a transport already");
}

// N2, V2: exactly one of an address and a socket.
TEST(RequireOneTest, SaysWhatIsWrong) {
  const auto text = [](bool has_address, bool has_socket) {
    try {
      require_one({"open", "a name", "a plug"}, has_address, has_socket);
    } catch (const std::invalid_argument& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(text(true, true), "open() takes either a name or options.sock, not both");
  EXPECT_EQ(text(false, false), "open() needs a name, or a plug in options.sock");
  EXPECT_EQ(text(true, false), "");
  EXPECT_EQ(text(false, true), "");
}

}  // namespace
}  // namespace weir
