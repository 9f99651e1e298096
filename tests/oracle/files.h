#pragma once

#include <weir/weir.h>

#include <filesystem>
#include <map>
#include <string>

#include "actor.h"
#include "trace.h"

namespace weir::oracle {

/// The paths and the raw descriptors of a scenario, and the actor "files".
class Files final : public Actor {
 public:
  explicit Files(Trace& trace) : Actor("files"), trace_(trace) {}
  ~Files() override;

  /// In a directory of the scenario's own; "@name" is an abstract one.
  std::string path(const std::string& name);
  void verb(const Words& words) override;

  /// Makes descriptors: false if `words` are no such step.
  bool step(const Words& words, EventLoop& loop, bool simulated);

  bool has_descriptor(const std::string& name) const { return descriptors_.contains(name); }
  int descriptor(const std::string& name) const { return descriptors_.at(name); }
  void add_descriptor(const std::string& name, int descriptor) { descriptors_[name] = descriptor; }
  /// It is somebody else's now.
  void release(const std::string& name) { descriptors_.erase(name); }
  void shut(const std::string& name);
  /// Where that socket is bound.
  Address address_of(const std::string& name) const;
  /// Where nobody receives.
  static Address free_address();

 private:
  void add_pair(const std::string& name, int type);
  void add_pipe(const std::string& name, EventLoop& loop, bool simulated);
  void add_terminal(const std::string& name);
  void add_socket(const std::string& name, bool listening);
  void add_file(const std::string& name, std::size_t size, char filler);
  void fill(const std::string& name) const;

  Trace& trace_;
  std::filesystem::path directory_;
  std::map<std::string, int> descriptors_;
  bool simulated_pipes_ = false;
};

}  // namespace weir::oracle
