// tls_sites_server DIRECTORY [PORT]: two sites on one port, told apart by the name that a client asks for.
// Each tells a client what it knows of it. In DIRECTORY there are server.pem and server.key, other.pem and
// other.key for the site other.example, and ca.pem, who vouches for clients.
#include <weir/weir.h>

#include <iostream>
#include <string>

struct Site : weir::Protocol {
  void connection_made(weir::Transport transport) override {
    const auto client = transport.get_extra_info<weir::PeerCertificate>("peercert");
    const auto protocol = transport.get_extra_info<std::string>("alpn");
    const auto cipher = transport.get_extra_info<weir::TlsCipher>("cipher");
    transport.write("you are " + (client ? client->subject : "unknown") + "\n");
    transport.write("we speak " + protocol.value_or("what we like") + "\n");
    transport.write("nobody breaks " + cipher->name + "\n");
    if (transport.get_extra_info<bool>("session_reused") == true) transport.write("welcome back\n");
    transport.close();
  }
};

weir::TlsContext context_of_sites(const std::string& directory) {
  weir::TlsOptions options;
  options.verification = weir::PeerVerification::optional;
  options.trusted = {weir::Pem::file(directory + "/ca.pem")};
  options.alpn = {"sites/2", "sites/1"};
  options.key_log_file = directory + "/keys.log";

  options.identity =
      weir::TlsIdentity{.certificate_chain = weir::Pem::file(directory + "/other.pem"),
                        .private_key = weir::Pem::file(directory + "/other.key")};
  const auto other = weir::TlsContext::server(options);

  options.identity =
      weir::TlsIdentity{.certificate_chain = weir::Pem::file(directory + "/server.pem"),
                        .private_key = weir::Pem::file(directory + "/server.key")};
  options.server_names = {{"other.example", other}, {"*.other.example", other}};
  return weir::TlsContext::server(options);
}

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: tls_sites_server DIRECTORY [PORT]" << std::endl;
    return 2;
  }
  weir::EventLoop loop;
  const auto port = static_cast<std::uint16_t>(argc > 2 ? std::atoi(argv[2]) : 8889);
  try {
    auto server = loop.run_until_complete(
        weir::create_server<Site>(loop, "127.0.0.1", port, {.tls = context_of_sites(argv[1])}));
    std::cout << "serving on " << server.sockets().front().sockname.to_string() << std::endl;
    loop.run_forever();
  } catch (const std::system_error& error) {
    std::cerr << error.what() << std::endl;
    return 1;
  }
}
