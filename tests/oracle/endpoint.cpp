#include "endpoint.h"

#include <utility>

#include "opening.h"

namespace weir::oracle {
namespace {

class TellingDatagramProtocol final : public DatagramProtocol {
 public:
  TellingDatagramProtocol(Endpoint& endpoint, std::string label)
      : endpoint_(endpoint), label_(std::move(label)) {}

  void connection_made(DatagramTransport transport) override { endpoint_.made(transport, label_); }
  void datagram_received(std::span<const std::byte> data, const Address& sender) override {
    endpoint_.received(data, sender, label_);
  }
  void error_received(std::error_code error) override {
    endpoint_.tell(label_, "error_received", kind_of(error));
  }
  void connection_lost(const CloseReason& reason) override {
    endpoint_.tell(label_, "connection_lost", kind_of(reason.exception()));
  }
  void pause_writing() override { endpoint_.tell(label_, "pause_writing"); }
  void resume_writing() override { endpoint_.tell(label_, "resume_writing"); }

 private:
  Endpoint& endpoint_;
  std::string label_;
};

}  // namespace

void Endpoint::made(DatagramTransport transport, const std::string& label) {
  transport_ = transport;
  address_ = transport.get_extra_info<Address>("sockname").value_or(Address());
  tell(label, "connection_made");
}

void Endpoint::received(std::span<const std::byte> data, const Address& sender,
                        const std::string& label) {
  constexpr std::size_t longest_text = 32;
  last_sender_ = sender;
  std::string text(as_text(data));
  if (text.size() > longest_text) text = text.substr(0, 1) + '*' + std::to_string(text.size());
  if (text.empty()) text = "nothing";
  tell(label, "datagram_received", text + " from " + sender_name(sender));
}

void Endpoint::tell(const std::string& label, const std::string& event, const std::string& detail) {
  runner_.happened(name(), label, event, detail);
}

const Endpoint& Endpoint::other(const std::string& name) const {
  return dynamic_cast<const Endpoint&>(*runner_.find_actor(name));
}

std::string Endpoint::sender_name(const Address& sender) const {
  if (sender.empty() || (sender.family() == AddressFamily::unix_socket && sender.path().empty())) {
    return "none";
  }
  return runner_.name_of(sender);
}

std::shared_ptr<DatagramProtocol> Endpoint::make_protocol(const std::string& label) {
  return std::make_shared<TellingDatagramProtocol>(*this, label);
}

void Endpoint::set_option(DatagramOptions& options, const std::string& word) {
  const std::string key = word.substr(0, word.find('='));
  const std::string value = word.substr(std::min(key.size() + 1, word.size()));
  const auto place = [](const Address& address) {
    return LocalAddress{address.host(), address.port()};
  };
  if (key == "local") {
    options.local_addr = LocalAddress{"127.0.0.1", 0};
  } else if (key == "local6") {
    options.local_addr = LocalAddress{"::1", 0};
  } else if (key == "remote") {
    options.remote_addr = place(other(value).address());
  } else if (key == "nobody") {
    options.remote_addr = place(Files::free_address());
  } else if (key == "path") {
    options.local_path = runner_.files().path(value);
  } else if (key == "remote_path") {
    options.remote_path = runner_.files().path(value);
  } else if (key == "sock") {
    options.sock = runner_.files().descriptor(value);
  } else if (key == "broadcast") {
    options.allow_broadcast = true;
  } else if (key == "inet") {
    options.family = AddressFamily::ipv4;
  } else if (key != "nowhere") {
    throw std::runtime_error("no such option: " + word);
  }
}

void Endpoint::open(const Words& words) {
  DatagramOptions options;
  Words given(words.begin() + 2, words.end());
  if (given.empty()) given = {"local"};
  for (const std::string& word : given) set_option(options, word);
  const auto make = [this] {
    runner_.check_factory(name());
    return make_protocol(name());
  };
  const auto opening = create_datagram_endpoint(runner_.loop(), make, options);
  tell_opening(runner_, opening, name(), "open");
  runner_.run_until({name() + ".opened"});
  if (options.sock && opening.exception() == nullptr) {
    for (const std::string& word : given) {
      if (word.starts_with("sock=")) runner_.files().release(word.substr(5));
    }
  }
}

Address Endpoint::destination(const Words& words, std::size_t at) const {
  if (words.size() <= at) return {};
  return words[at] == "nobody" ? Files::free_address() : other(words[at]).address();
}

void Endpoint::send(std::string_view text, const Words& words, std::size_t at) const {
  transport_.sendto(text, destination(words, at));
}

void Endpoint::verb(const Words& words) {
  const std::string& verb = words[0];
  if (verb == "sendto") return send(words.at(1), words, 2);
  if (verb == "sendto_empty") return send("", words, 1);
  if (verb == "sendto_repeat") {
    return send(std::string(std::stoul(words.at(1)), words.at(2)[0]), words, 3);
  }
  if (verb == "reply") return transport_.sendto(words.at(1), last_sender_);
  if (verb == "clog") {
    while (transport_.get_write_buffer_size() == 0) send("clog", words, 1);
    return;
  }
  if (verb == "close") return transport_.close();
  if (verb == "abort") return transport_.abort();
  if (verb == "pause_reading") return transport_.pause_reading();
  if (verb == "resume_reading") return transport_.resume_reading();
  if (verb == "set_protocol") return transport_.set_protocol(make_protocol(words.at(1)));
  if (verb == "set_write_buffer_limits") return set_limits(words);
  if (verb != "print") unknown_verb(words);
  print(words);
}

void Endpoint::set_limits(const Words& words) const {
  transport_.set_write_buffer_limits(limits_of(words, transport_.get_write_buffer_size()));
}

void Endpoint::print(const Words& words) const {
  const std::string& what = words.at(1);
  std::string value;
  if (what == "is_closing") {
    value = shown(transport_.is_closing());
  } else if (what == "is_reading") {
    value = shown(transport_.is_reading());
  } else if (what == "limits") {
    const EffectiveWriteBufferLimits limits = transport_.get_write_buffer_limits();
    value = std::to_string(limits.low) + ' ' + std::to_string(limits.high);
  } else if (what == "size") {
    value = std::to_string(transport_.get_write_buffer_size());
  } else if (what == "buffered") {
    value = shown(transport_.get_write_buffer_size() > 0);
  } else if (what == "extra") {
    const ExtraInfo info = transport_.get_extra_info(words.at(2));
    value = std::holds_alternative<std::monostate>(info) ? "absent" : "present";
  } else {
    unknown_verb(words);
  }
  runner_.trace().add(name(), text_of(words, 0) + ' ' + value);
}

}  // namespace weir::oracle
