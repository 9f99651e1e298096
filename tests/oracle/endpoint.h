#pragma once

#include <weir/datagram.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "actor.h"
#include "runner.h"

namespace weir::oracle {

/// A datagram endpoint.
class Endpoint final : public Actor {
 public:
  Endpoint(Runner& runner, std::string name) : Actor(std::move(name)), runner_(runner) {}

  /// `endpoint NAME` with: local, local6, remote=ENDPOINT, nobody, path=NAME, remote_path=NAME,
  /// sock=END, broadcast, inet, nowhere.
  void open(const Words& words);
  void verb(const Words& words) override;

  const DatagramTransport& transport() const noexcept { return transport_; }
  const Address& address() const noexcept { return address_; }

  // What the protocol is told.
  void made(DatagramTransport transport, const std::string& label);
  void received(std::span<const std::byte> data, const Address& sender, const std::string& label);
  void tell(const std::string& label, const std::string& event, const std::string& detail = {});

 private:
  const Endpoint& other(const std::string& name) const;
  std::string sender_name(const Address& sender) const;
  Address destination(const Words& words, std::size_t at) const;
  void send(std::string_view text, const Words& words, std::size_t at) const;
  void set_option(DatagramOptions& options, const std::string& word);
  void set_limits(const Words& words) const;
  void print(const Words& words) const;
  std::shared_ptr<DatagramProtocol> make_protocol(const std::string& label);

  Runner& runner_;
  DatagramTransport transport_;
  Address address_;
  Address last_sender_;
};

}  // namespace weir::oracle
