// make_certificates DIRECTORY: what tests of programs need of certificates, made anew as PEM files.
//
//     ca.pem                    the authority of all of them
//     server.pem, server.key    localhost, 127.0.0.1 and ::1, by way of an intermediate
//     other.pem, other.key      other.example and *.other.example
//     late.pem, late.key        localhost, expired
//     client.pem, client.key    a client
//     stranger.pem              another authority
#include <chrono>
#include <exception>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>

#include "certificates.h"

namespace {

void write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  if (!file) throw std::runtime_error("cannot write " + path);
}

void write_pair(const std::string& path, const weir::test::TestCertificate& one) {
  write_file(path + ".pem", one.chain());
  write_file(path + ".key", one.key());
}

}  // namespace

int main(int argc, char** argv) {
  using namespace std::chrono_literals;
  using weir::test::TestCertificate;
  if (argc != 2) {
    std::cerr << "usage: make_certificates DIRECTORY\n";
    return 2;
  }
  const std::string directory = std::string(argv[1]) + '/';
  try {
    const TestCertificate authority = TestCertificate::authority();
    write_file(directory + "ca.pem", authority.certificate());
    write_file(directory + "stranger.pem", TestCertificate::authority("Stranger").certificate());
    write_pair(directory + "server", authority.intermediate().server());
    write_pair(directory + "other", authority.server({"other.example", "*.other.example"}));
    write_pair(directory + "client", authority.client("a client"));
    write_pair(directory + "late", authority.issue({.common_name = "late",
                                                    .names = {"localhost", "127.0.0.1"},
                                                    .not_before = -48h,
                                                    .not_after = -24h}));
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
