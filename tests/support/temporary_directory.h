#pragma once

#include <string>

namespace weir::test {

/// A directory of the test's own, removed at the end with all that is in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory();

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + '/' + name; }

 private:
  std::string path_;
};

/// A path for a socket where nothing is, below a directory that goes with the process.
std::string new_socket_path();

}  // namespace weir::test
