#include <string>
#include <system_error>

#include "simulated_fixture.h"

namespace weir::test_backend {
namespace {

Address path(std::string name) { return Address::unix_socket(std::move(name)); }
Address abstract(std::string name) { return Address::unix_socket('\0' + std::move(name)); }

/// Unix sockets, whose names are those of the simulation.
class SimulatedUnix : public SimulatedBackendTest {
 protected:
  std::error_code connect_error(const Address& remote) {
    Connecting events;
    const ConnectStart start = backend->connect(remote, {}, events);
    EXPECT_EQ(start.step, ConnectStep::connect);
    EXPECT_EQ(start.attempt == nullptr, !!start.error);
    return start.error;
  }
};

TEST_F(SimulatedUnix, ConnectsByPathAndByAbstractName) {
  for (const Address& name : {path("/run/x.sock"), abstract("x")}) {
    Accepting accepting;
    Connecting connecting;
    const auto listener = listen(name, accepting);
    const auto attempt = connect(name, connecting);
    settle();
    ASSERT_TRUE(connecting.channel);
    ASSERT_EQ(accepting.channels.size(), 1U);
    EXPECT_EQ(listener->local_address(), name);
    EXPECT_EQ(accepting.channels[0]->local_address(), name);
    EXPECT_EQ(accepting.peers[0], path(""));  // a client has no name, unless it is bound
    EXPECT_EQ(connecting.channel->local_address(), path(""));
  }
}

TEST_F(SimulatedUnix, AClientMayHaveAName) {
  Accepting accepting;
  Connecting connecting;
  const auto listener = listen(path("/server"), accepting);
  const auto attempt = connect(path("/server"), connecting, path("/client"));
  settle();
  ASSERT_EQ(accepting.peers.size(), 1U);
  EXPECT_EQ(accepting.peers[0], path("/client"));
  EXPECT_EQ(connecting.channel->local_address(), path("/client"));

  const ConnectStart start = backend->connect(path("/server"), v4(0), connecting);
  EXPECT_EQ(start.step, ConnectStep::bind);
  EXPECT_EQ(start.error, std::errc::address_family_not_supported);
}

TEST_F(SimulatedUnix, ThatNobodyIsThereIsKnownAtOnce) {
  EXPECT_EQ(connect_error(path("/nothing")), std::errc::no_such_file_or_directory);
  EXPECT_EQ(connect_error(abstract("nothing")), std::errc::connection_refused);
  const auto bound = backend->bind(path("/bound"), {});
  EXPECT_EQ(connect_error(path("/bound")), std::errc::connection_refused);
}

// V14: a socket leaves its path behind, stale; the next one takes it over.
TEST_F(SimulatedUnix, AStalePathIsReplaced) {
  Accepting accepting;
  auto listener = listen(path("/x"), accepting);
  listener.reset();
  EXPECT_EQ(connect_error(path("/x")), std::errc::connection_refused);
  listener = listen(path("/x"), accepting);
  EXPECT_FALSE(connect_error(path("/x")));
}

// V15
TEST_F(SimulatedUnix, RemovesAPathOnlyIfItLeadsToThisSocket) {
  Accepting first_events;
  Accepting second_events;
  auto first = listen(path("/x"), first_events);
  const auto second = listen(path("/x"), second_events);
  EXPECT_FALSE(first->remove_path());
  first.reset();
  Connecting connecting;
  const auto attempt = connect(path("/x"), connecting);
  settle();
  EXPECT_EQ(second_events.channels.size(), 1U);
  EXPECT_FALSE(second->remove_path());
  EXPECT_FALSE(second->remove_path());
  EXPECT_EQ(connect_error(path("/x")), std::errc::no_such_file_or_directory);
}

TEST_F(SimulatedUnix, AnAbstractNameGoesWithItsSocket) {
  Accepting accepting;
  auto listener = listen(abstract("x"), accepting);
  EXPECT_EQ(bind_error(abstract("x")), std::errc::address_in_use);
  EXPECT_FALSE(listener->remove_path());
  EXPECT_FALSE(connect_error(abstract("x")));
  listener.reset();
  EXPECT_EQ(connect_error(abstract("x")), std::errc::connection_refused);
  EXPECT_FALSE(bind_error(abstract("x")));
}

TEST_F(SimulatedUnix, AnEmptyNameIsMadeUpAndAnImpossibleOneRefused) {
  auto first = backend->bind(path(""), {});
  auto second = backend->bind(path(""), {});
  EXPECT_EQ(first.value()->local_address(), abstract("00001"));
  EXPECT_EQ(second.value()->local_address(), abstract("00002"));
  EXPECT_FALSE(bind_error(path(std::string(107, 'x'))));
  EXPECT_EQ(bind_error(path(std::string(108, 'x'))), std::errc::filename_too_long);
  EXPECT_EQ(connect_error(path(std::string(108, 'x'))), std::errc::filename_too_long);
  EXPECT_FALSE(bind_error(abstract(std::string(107, 'x'))));
  EXPECT_EQ(bind_error(abstract(std::string(108, 'x'))), std::errc::filename_too_long);
  EXPECT_EQ(bind_error(path(std::string("a\0b", 3))), std::errc::invalid_argument);
}

TEST_F(SimulatedUnix, CarriesBytesBothWaysAndTheEndAfterThem) {
  make_pair(path("/x"));
  left->channel->start_receiving();
  right->channel->start_receiving();
  left->send("ping");
  left->channel->shutdown_send();
  settle();
  right->send("pong");  // one direction ended, the other did not
  right->channel->close();
  settle();
  EXPECT_EQ(events(), Trace({"right: received ping", "right: eof", "right: closed",
                             "left: received pong", "left: eof"}));
}

TEST_F(SimulatedUnix, SendingToAClosedPeerFailsAtOnce) {
  make_pair(path("/x"));
  left->channel->close();
  settle();
  right->send("is anybody there?");
  right->channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace({"left: closed", "right: send: broken pipe"}));
}

TEST_F(SimulatedUnix, ClosingWithUnreadBytesResetsTheReceiverAndBreaksTheSender) {
  make_pair(path("/x"));
  left->send("unread");
  settle();
  right->channel->close();
  settle();
  left->channel->start_receiving();
  settle();
  EXPECT_EQ(events(), Trace({"right: closed", "left: failed reset"}));

  make_pair(path("/x"));
  left->send("unread");
  right->channel->close();
  settle();
  left->send("more");
  EXPECT_EQ(events(), Trace({"right: closed", "left: send: broken pipe"}));
}

TEST_F(SimulatedUnix, WhatIsSentToASocketThatClosesMeanwhileIsLost) {
  make_pair(path("/x"));
  left->channel->start_receiving();
  right->channel->close();
  left->send("too late");
  settle();
  EXPECT_EQ(events(), Trace({"right: closed", "left: eof"}));
}

TEST_F(SimulatedUnix, KnowsItsPeerAndPassesNoDescriptors) {
  make_pair(path("/x"));
  detail::LocalSocket* local = left->channel->local_socket();
  ASSERT_NE(local, nullptr);
  EXPECT_EQ(local->peer_credentials(), (PeerCredentials{.process_id = 1}));
  EXPECT_TRUE(local->duplicates({}).empty());
  local->receive_descriptors(true);
  EXPECT_TRUE(local->take_received().empty());
  const int descriptor = 0;
  try {
    local->duplicates({&descriptor, 1});
    ADD_FAILURE();
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::operation_not_supported);
  }

  make_pair(v4(0));
  EXPECT_EQ(left->channel->local_socket(), nullptr);
}

}  // namespace
}  // namespace weir::test_backend
