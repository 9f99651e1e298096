#include "tls_engine.h"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "tls_engine_fixture.h"

namespace weir::test {
namespace {

TlsContext client_of(TlsVersion version) {
  return client_context({.minimum_version = version, .maximum_version = version});
}

/// Everything below, with TLS of both versions and bytes that come in pieces of any size.
struct EveryCut : testing::TestWithParam<std::tuple<TlsVersion, std::size_t>> {
  EveryCut() : pair(client_of(std::get<0>(GetParam())), server_context()) {
    pair.cut = std::get<1>(GetParam());
  }
  TlsPair pair;
};
INSTANTIATE_TEST_SUITE_P(Tls, EveryCut,
                         testing::Combine(testing::Values(TlsVersion::tls1_2, TlsVersion::tls1_3),
                                          testing::Values(1U, 2U, 3U, 5U, 7U, 64U, 1000U, 16'384U,
                                                          1'000'000U)));

TEST_P(EveryCut, DataGoesBothWaysAfterTheHandshake) {
  pair.handshake();
  ASSERT_TRUE(pair.client.engine.is_handshake_done()) << failure_of(pair.client.engine);
  ASSERT_TRUE(pair.server.engine.is_handshake_done()) << failure_of(pair.server.engine);
  EXPECT_EQ(pair.client.engine.write(as_bytes("from the client")), Status::ok);
  EXPECT_EQ(pair.server.engine.write(as_bytes("from the server")), Status::ok);
  pair.settle();
  EXPECT_EQ(pair.server.received, "from the client");
  EXPECT_EQ(pair.client.received, "from the server");
  EXPECT_EQ(ERR_peek_error(), 0U);
}

// T12: what was written before close_notify comes before it.
TEST_P(EveryCut, TheEndComesBehindTheData) {
  const std::string text = long_text(50'000);
  pair.handshake();
  pair.client.engine.write(as_bytes(text));
  pair.client.engine.shut_down();
  pair.settle();
  EXPECT_EQ(pair.server.received, text);
  EXPECT_EQ(pair.server.status, Status::ended);
  EXPECT_TRUE(pair.server.engine.is_peer_shut_down());
  EXPECT_FALSE(pair.client.engine.is_peer_shut_down());
}

TEST_P(EveryCut, ReadsIntoABufferOfAnySizeAcrossRecords) {
  const std::string text = long_text(5'000);
  for (const std::size_t size : {1U, 100U, 4'999U, 5'000U, 5'001U}) {
    TlsPair small(client_of(std::get<0>(GetParam())), server_context());
    small.cut = pair.cut;
    small.server.buffer_size = size;
    small.handshake();
    for (std::size_t i = 0; i < text.size(); i += 250) {
      small.client.engine.write(as_bytes(text).subspan(i, 250));
    }
    small.settle();
    EXPECT_EQ(small.server.received, text);
    EXPECT_EQ(small.server.status, Status::wants_input);
  }
}

struct TlsEngineTest : testing::Test {
  void start() {
    pair.handshake();
    ASSERT_TRUE(pair.client.engine.is_handshake_done());
    ASSERT_TRUE(pair.server.engine.is_handshake_done());
  }
  TlsPair pair{client_context(), server_context()};
};

TEST_F(TlsEngineTest, ALargeWriteMakesFullRecords) {
  start();
  const std::string text = long_text(10 * 16'384 + 5);
  EXPECT_EQ(pair.client.engine.write(as_bytes(text)), Status::ok);
  std::vector<std::size_t> expected(10, 16'384 + 17);  // the kind of the record, and the tag
  expected.push_back(5 + 17);
  EXPECT_EQ(record_sizes(pair.client.output), expected);
  pair.settle();
  EXPECT_EQ(pair.server.received, text);
}

TEST_F(TlsEngineTest, ATransferOfManyMegabytesArrivesWhole) {
  start();
  const std::string text = long_text(1'000'000);
  for (int i = 0; i < 20; ++i) {
    pair.client.engine.write(as_bytes(text));
    pair.server.engine.write(as_bytes(text));
    pair.cut = 100'000 + static_cast<std::size_t>(i) * 1'111;
    pair.settle();
    ASSERT_EQ(pair.server.received, text);
    ASSERT_EQ(pair.client.received, text);
    pair.server.received.clear();
    pair.client.received.clear();
  }
}

TEST_F(TlsEngineTest, AFullBufferLeavesTheRestForTheNextRead) {
  start();
  pair.client.engine.write(as_bytes("0123456789"));
  pair.client.engine.write(as_bytes("abc"));
  pair.server.input = pair.client.take_output();
  pair.server.engine.feed(pair.server.input);
  std::vector<std::byte> buffer(4);

  TlsEngine::Read got = pair.server.engine.read(buffer);
  EXPECT_EQ(got.status, Status::ok);
  EXPECT_EQ(as_text(buffer), "0123");
  EXPECT_TRUE(pair.server.engine.has_pending());
  EXPECT_FALSE(pair.server.engine.rest().empty());  // the second record is not decrypted yet [T18]
  pair.server.engine.read(buffer);
  got = pair.server.engine.read(buffer);
  EXPECT_EQ(got.status, Status::ok);
  EXPECT_EQ(as_text(buffer), "89ab");
  got = pair.server.engine.read(buffer);
  EXPECT_EQ(got.status, Status::wants_input);
  EXPECT_EQ(got.count, 1U);
  EXPECT_FALSE(pair.server.engine.has_pending());
}

// U11: whether there is data is known before anybody is asked for a buffer: records that have none do not
// count, and are used up.
TEST_F(TlsEngineTest, TellsWhetherThereIsDataWithoutReadingIt) {
  pair.client.go_on();
  pair.carry(pair.client, pair.server);
  pair.carry(pair.server, pair.client);
  pair.carry(pair.client, pair.server);
  pair.client.input = pair.server.take_output();  // tickets
  ASSERT_FALSE(pair.client.input.empty());
  pair.client.engine.feed(pair.client.input);
  EXPECT_TRUE(pair.client.engine.has_pending());
  EXPECT_FALSE(pair.client.engine.has_data());
  EXPECT_TRUE(pair.client.engine.rest().empty());

  pair.server.engine.write(as_bytes("abc"));
  pair.client.input = pair.server.take_output();
  pair.client.engine.feed(pair.client.input);
  EXPECT_TRUE(pair.client.engine.has_data());
  EXPECT_TRUE(pair.client.engine.has_data());
  std::vector<std::byte> buffer(3);
  EXPECT_EQ(pair.client.engine.read(buffer).count, 3U);
  EXPECT_EQ(as_text(buffer), "abc");
  EXPECT_FALSE(pair.client.engine.has_data());

  pair.server.engine.shut_down();
  pair.client.input = pair.server.take_output();
  pair.client.engine.feed(pair.client.input);
  EXPECT_FALSE(pair.client.engine.has_data());
  EXPECT_TRUE(pair.client.engine.is_peer_shut_down());
}

TEST_F(TlsEngineTest, ReadingIntoNothingAndWritingNothingDoNothing) {
  start();
  EXPECT_EQ(pair.client.engine.write({}), Status::ok);
  EXPECT_TRUE(pair.client.output.empty());
  pair.client.engine.write(as_bytes("x"));
  pair.server.input = pair.client.take_output();
  pair.server.engine.feed(pair.server.input);
  const TlsEngine::Read got = pair.server.engine.read({});
  EXPECT_EQ(got.status, Status::ok);
  EXPECT_EQ(got.count, 0U);
  EXPECT_TRUE(pair.server.engine.has_pending());
}

TEST_F(TlsEngineTest, DataRightBehindTheHandshakeStaysForRead) {
  pair.client.go_on();
  pair.carry(pair.client, pair.server);
  pair.carry(pair.server, pair.client);
  ASSERT_TRUE(pair.client.engine.is_handshake_done());
  pair.client.engine.write(as_bytes("first"));  // in one piece with the end of the handshake
  pair.server.input = pair.client.take_output();
  pair.server.engine.feed(pair.server.input);
  EXPECT_EQ(pair.server.engine.handshake(), Status::ok);
  EXPECT_FALSE(pair.server.engine.rest().empty());
  pair.server.handshake_done = true;
  pair.server.read();
  EXPECT_EQ(pair.server.received, "first");
}

// T21: what is written before the handshake is done is for the caller to keep.
TEST_F(TlsEngineTest, AWriteBeforeTheHandshakeIsDoneTakesNothing) {
  EXPECT_EQ(pair.client.engine.write(as_bytes("early")), Status::wants_input);
  EXPECT_TRUE(pair.client.output.empty());
  start();
  EXPECT_EQ(pair.client.engine.write(as_bytes("late")), Status::ok);
  pair.settle();
  EXPECT_EQ(pair.server.received, "late");
}

TEST_F(TlsEngineTest, TheHandshakeThatIsDoneStaysDone) {
  start();
  EXPECT_EQ(pair.client.engine.handshake(), Status::ok);
  EXPECT_TRUE(pair.client.output.empty());
}

TEST_F(TlsEngineTest, ErrorsThatOthersLeftInTheQueueMeanNothing) {
  ERR_raise(ERR_LIB_SSL, SSL_R_BAD_DATA);
  start();
  ERR_raise(ERR_LIB_SSL, SSL_R_BAD_DATA);
  EXPECT_EQ(pair.client.engine.write(as_bytes("x")), Status::ok);
  ERR_raise(ERR_LIB_SSL, SSL_R_BAD_DATA);
  pair.settle();
  EXPECT_EQ(pair.server.received, "x");
  EXPECT_EQ(pair.server.status, Status::wants_input);

  // Half a record: the library has to look whether it failed.
  pair.client.engine.write(as_bytes("y"));
  std::vector<std::byte> record = pair.client.take_output();
  pair.server.take(ConstBytes(record).first(10));
  EXPECT_EQ(failure_of(pair.server.engine), "");
  EXPECT_EQ(ERR_peek_error(), 0U);

  // A failure is told by its own error, and none of them is left.
  ERR_raise(ERR_LIB_SSL, SSL_R_BAD_DATA);
  record.back() ^= std::byte{1};
  pair.server.take(ConstBytes(record).subspan(10));
  EXPECT_EQ(failure_of(pair.server.engine), "TLS failed: decryption failed or bad record mac");
  EXPECT_EQ(ERR_peek_error(), 0U);
}

// Nor for the end, not even if they look like the alert that a peer may end with.
TEST_F(TlsEngineTest, TheEndIsNoFailureWhateverOthersLeftInTheQueue) {
  start();
  pair.client.engine.shut_down();
  ERR_raise(ERR_LIB_SSL, SSL_R_SSLV3_ALERT_BAD_RECORD_MAC);
  pair.carry(pair.client, pair.server);
  EXPECT_EQ(pair.server.status, Status::ended);
  EXPECT_EQ(failure_of(pair.server.engine), "");
  EXPECT_EQ(ERR_peek_error(), 0U);
}

/// What CPython's ssl module sent, for TLS 1.3 with localhost.
constexpr std::string_view recorded_hello =
    "16030100ee010000ea0303feb0c984ffab4ca5aea2895a9276adba0d6599812f66e25b31db62a46061035820"
    "04a4fdaa0ab4d8c699672930a1e1d584229928c5b0c30f5d492069899fe8c384000813021303130100ff0100"
    "00990000000e000c0000096c6f63616c686f7374000b000403000102000a00160014001d0017001e00190018"
    "01000101010201030104002300000016000000170000000d001e001c040305030603080708080809080a080b"
    "080408050806040105010601002b0003020304002d00020101003300260024001d0020c5c6f5a7bdd75816eb"
    "17be900014e7c0dbfe243d17a905cdf324ae21ceb59b43";

std::vector<std::byte> from_hexadecimal(std::string_view digits) {
  std::vector<std::byte> bytes;
  for (; !digits.empty(); digits.remove_prefix(2)) {
    bytes.push_back(
        static_cast<std::byte>(std::stoi(std::string(digits.substr(0, 2)), nullptr, 16)));
  }
  return bytes;
}

TEST_F(TlsEngineTest, ARecordedClientHelloIsAnsweredWhereverItIsCut) {
  const std::vector<std::byte> hello = from_hexadecimal(recorded_hello);
  for (std::size_t cut = 1; cut < hello.size(); cut += 4) {
    TlsEnd server(server_context());
    server.take(ConstBytes(hello).first(cut));
    EXPECT_EQ(server.status, Status::wants_input);
    EXPECT_TRUE(server.output.empty());
    server.take(ConstBytes(hello).subspan(cut));
    EXPECT_EQ(server.status, Status::wants_input);
    ASSERT_GT(server.output.size(), 6U);
    EXPECT_EQ(server.output[0], std::byte{0x16});  // a handshake record
    EXPECT_EQ(server.output[5], std::byte{0x02});  // with the server's hello
  }
}

// --- The end [T9, T12, T13] ------------------------------------------------------------------------

TEST_F(TlsEngineTest, CloseNotifyIsSentOnceAndNothingIsWrittenBehindIt) {
  start();
  pair.client.engine.shut_down();
  EXPECT_TRUE(pair.client.engine.is_shut_down());
  EXPECT_EQ(record_sizes(pair.client.output).size(), 1U);
  pair.client.engine.shut_down();
  EXPECT_EQ(pair.client.engine.write(as_bytes("late")), Status::ended);
  EXPECT_EQ(record_sizes(pair.client.output).size(), 1U);
}

// T9, T13: after our close_notify the peer's data can still be read, up to its own.
TEST_F(TlsEngineTest, ReadingGoesOnBehindOurCloseNotify) {
  start();
  pair.client.engine.shut_down();
  pair.settle();
  EXPECT_EQ(pair.server.status, Status::ended);
  EXPECT_EQ(pair.server.engine.write(as_bytes("last words")), Status::ok);
  pair.settle();
  EXPECT_EQ(pair.client.received, "last words");
  EXPECT_EQ(pair.client.status, Status::wants_input);
  pair.server.engine.shut_down();
  pair.settle();
  EXPECT_EQ(pair.client.status, Status::ended);
  EXPECT_EQ(failure_of(pair.client.engine), "");
}

TEST_F(TlsEngineTest, BothMayEndAtOnce) {
  start();
  pair.client.engine.shut_down();
  pair.server.engine.shut_down();
  pair.settle();
  EXPECT_EQ(pair.client.status, Status::ended);
  EXPECT_EQ(pair.server.status, Status::ended);
}

// A client that closes at once: the server's tickets come behind its close_notify.
TEST_F(TlsEngineTest, TicketsBehindOurCloseNotifyAreNoError) {
  pair.client.go_on();
  pair.carry(pair.client, pair.server);
  pair.carry(pair.server, pair.client);
  ASSERT_TRUE(pair.client.engine.is_handshake_done());
  pair.client.engine.shut_down();
  pair.carry(pair.client, pair.server);
  EXPECT_EQ(pair.server.status, Status::ended);
  pair.server.engine.write(as_bytes("bye"));
  pair.server.engine.shut_down();
  pair.settle();
  EXPECT_EQ(pair.client.received, "bye");
  EXPECT_EQ(pair.client.status, Status::ended);
  EXPECT_EQ(failure_of(pair.client.engine), "");
}

TEST_F(TlsEngineTest, WhatFollowsCloseNotifyIsDropped) {
  start();
  pair.client.engine.write(as_bytes("data"));
  pair.client.engine.shut_down();
  auto bytes = pair.client.take_output();
  bytes.insert(bytes.end(), 1000, std::byte{0x55});
  pair.server.take(bytes);
  EXPECT_EQ(pair.server.received, "data");
  EXPECT_EQ(pair.server.status, Status::ended);
  pair.server.take(bytes);
  EXPECT_EQ(pair.server.status, Status::ended);
  EXPECT_EQ(pair.server.received, "data");
  EXPECT_EQ(failure_of(pair.server.engine), "");
}

TEST_F(TlsEngineTest, ShutDownDuringTheHandshakeSendsNothing) {
  pair.client.go_on();
  const std::vector<std::byte> hello = pair.client.take_output();
  pair.client.engine.shut_down();
  pair.server.take(hello);
  pair.client.take({});
  EXPECT_TRUE(pair.client.output.empty());
  EXPECT_EQ(pair.client.engine.handshake(), Status::ended);
  EXPECT_EQ(failure_of(pair.client.engine), "");
  // What comes is not kept, either: nobody will ever read it.
  pair.client.take(as_bytes("late"));
  EXPECT_EQ(pair.client.engine.handshake(), Status::ended);
}

TEST_F(TlsEngineTest, ShutDownAfterAFailureSendsNothing) {
  start();
  pair.client.take(std::vector<std::byte>(100, std::byte{0x17}));
  ASSERT_EQ(pair.client.status, Status::failed);
  pair.client.take_output();
  pair.client.engine.shut_down();
  EXPECT_EQ(pair.client.engine.write(as_bytes("x")), Status::failed);
  EXPECT_EQ(pair.client.engine.handshake(), Status::failed);
  pair.client.take(as_bytes("more"));
  EXPECT_EQ(pair.client.status, Status::failed);
  EXPECT_TRUE(pair.client.output.empty());
}

// T14: a stream that was cut off shows in that its end was never told.
TEST_F(TlsEngineTest, ATruncatedStreamNeverSaysThatItEnded) {
  start();
  pair.client.engine.write(as_bytes("all of it"));
  pair.client.engine.shut_down();
  auto bytes = pair.client.take_output();
  bytes.pop_back();
  pair.server.take(bytes);
  EXPECT_EQ(pair.server.received, "all of it");
  EXPECT_EQ(pair.server.status, Status::wants_input);
  EXPECT_FALSE(pair.server.engine.is_peer_shut_down());
}

}  // namespace
}  // namespace weir::test
