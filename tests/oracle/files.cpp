#include "files.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>
#include <weir/simulation.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace weir::oracle {
namespace {

int checked(int result, const char* what) {
  if (result < 0) throw std::runtime_error(what + std::string(": ") + std::strerror(errno));
  return result;
}

sockaddr_in loopback() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void bind_to_loopback(int socket) {
  const sockaddr_in address = loopback();
  checked(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
}

Address bound_address(int socket) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  checked(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  return Address::ipv4({127, 0, 0, 1}, ntohs(address.sin_port));
}

/// A socket's file that nobody listens on any more.
void make_stale_socket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const int socket = checked(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  checked(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  ::close(socket);
}

void clear_flag(int descriptor, int get, int set, int flag) {
  checked(::fcntl(descriptor, set, checked(::fcntl(descriptor, get), "fcntl") & ~flag), "fcntl");
}

}  // namespace

Files::~Files() {
  for (const auto& [name, descriptor] : descriptors_) {
    if (!simulated_pipes_) ::close(descriptor);
  }
  std::error_code ignored;  // the system's temporary files go some day
  if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
}

std::string Files::path(const std::string& name) {
  if (name.starts_with('@')) {
    return '\0' + ("weir-oracle-" + std::to_string(::getpid()) + '-' + name.substr(1));
  }
  if (directory_.empty()) {
    auto pattern = (std::filesystem::temp_directory_path() / "oracleXXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary directory");
    directory_ = pattern;
  }
  return directory_ / name;
}

void Files::verb(const Words& words) {
  if (words[0] == "print_position") {
    const auto position = ::lseek(descriptor(words.at(1)), 0, SEEK_CUR);
    return trace_.add(name(), text_of(words, 0) + ' ' + std::to_string(position));
  }
  if (words[0] == "block") return clear_flag(descriptor(words.at(1)), F_GETFL, F_SETFL, O_NONBLOCK);
  if (words[0] == "inherit")
    return clear_flag(descriptor(words.at(1)), F_GETFD, F_SETFD, FD_CLOEXEC);
  if (words[0] == "print_blocking") {
    const int flags = checked(::fcntl(descriptor(words.at(1)), F_GETFL), "fcntl");
    return trace_.add(name(), text_of(words, 0) + ' ' + shown((flags & O_NONBLOCK) == 0));
  }
  const std::string path = this->path(words.at(1));
  if (words[0] == "make") {
    std::ofstream(path) << "a file";
  } else if (words[0] == "stale") {
    make_stale_socket(path);
  } else if (words[0] == "remove") {
    std::filesystem::remove(path);
  } else if (words[0] == "print") {
    const auto type = std::filesystem::symlink_status(path).type();
    const bool absent = type == std::filesystem::file_type::not_found;
    const bool socket = type == std::filesystem::file_type::socket;
    trace_.add(name(), text_of(words, 0) + (absent ? " absent" : socket ? " socket" : " file"));
  } else {
    unknown_verb(words);
  }
}

bool Files::step(const Words& words, EventLoop& loop, bool simulated) {
  const std::string& kind = words[0];
  if (kind == "pair") {
    add_pair(words.at(1), SOCK_STREAM);
  } else if (kind == "datagram_pair") {
    add_pair(words.at(1), SOCK_DGRAM);
  } else if (kind == "pipe") {
    add_pipe(words.at(1), loop, simulated);
  } else if (kind == "terminal") {
    add_terminal(words.at(1));
  } else if (kind == "dup") {
    descriptors_[words.at(1)] =
        checked(::fcntl(descriptor(words.at(2)), F_DUPFD_CLOEXEC, 0), "fcntl");
  } else if (kind == "fill") {
    fill(words.at(1));
  } else if (kind == "listening" || kind == "socket") {
    add_socket(words.at(1), kind == "listening");
  } else if (kind == "file") {
    add_file(words.at(1), std::stoul(words.at(2)), words.at(3)[0]);
  } else {
    return false;
  }
  return true;
}

void Files::add_pair(const std::string& name, int type) {
  std::array<int, 2> ends{};
  checked(::socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), "socketpair");
  descriptors_[name + ".a"] = ends[0];
  descriptors_[name + ".b"] = ends[1];
}

void Files::add_pipe(const std::string& name, EventLoop& loop, bool simulated) {
  std::array<int, 2> ends{};
  if (simulated) {
    const SimulatedPipe pipe = simulated_pipe(loop);
    ends = {pipe.read_end, pipe.write_end};
    simulated_pipes_ = true;
  } else {
    checked(::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC), "pipe");
  }
  descriptors_[name + ".r"] = ends[0];
  descriptors_[name + ".w"] = ends[1];
}

void Files::add_terminal(const std::string& name) {
  const int controller =
      checked(::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC), "posix_openpt");
  descriptors_[name + ".m"] = controller;
  checked(::grantpt(controller), "grantpt");
  checked(::unlockpt(controller), "unlockpt");
  char path[64];
  if (::ptsname_r(controller, path, sizeof path) != 0) throw std::runtime_error("no terminal");
  const int line = checked(::open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC), "open");
  descriptors_[name + ".t"] = line;
  termios modes{};
  checked(::tcgetattr(line, &modes), "tcgetattr");
  ::cfmakeraw(&modes);
  checked(::tcsetattr(line, TCSANOW, &modes), "tcsetattr");
}

void Files::add_socket(const std::string& name, bool listening) {
  const int socket =
      checked(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
  descriptors_[name] = socket;
  if (!listening) return;
  bind_to_loopback(socket);
  checked(::listen(socket, SOMAXCONN), "listen");
}

void Files::add_file(const std::string& name, std::size_t size, char filler) {
  const std::string path = this->path("file-" + name);
  std::ofstream(path) << std::string(size, filler);
  descriptors_[name] = checked(::open(path.c_str(), O_RDONLY | O_CLOEXEC), "open");
}

void Files::fill(const std::string& name) const {
  const std::string block(4096, 'f');
  while (::write(descriptor(name), block.data(), block.size()) >= 0) {
  }
}

void Files::shut(const std::string& name) {
  ::close(descriptor(name));
  release(name);
}

Address Files::address_of(const std::string& name) const { return bound_address(descriptor(name)); }

Address Files::free_address() {
  const int socket = checked(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
  bind_to_loopback(socket);
  const Address address = bound_address(socket);
  ::close(socket);
  return address;
}

}  // namespace weir::oracle
