#pragma once

#include <weir/subprocess.h>

#include <array>
#include <functional>
#include <span>
#include <string>

#include "actor.h"
#include "runner.h"

namespace weir::oracle {

/// A child process. What each pipe tells is traced apart, as NAME.FD, the exit as NAME.exit, and the
/// end of spawning as NAME.start: how these are ordered is nobody's contract. [P8]
class Child final : public Actor {
 public:
  Child(Runner& runner, const std::string& name);

  /// `spawn NAME` or `shell NAME`, then [stdin=...] [stdout=...] [stderr=...] [cwd=DIRECTORY]
  /// [env=NAME=VALUE] [pass=END] [close_fds=false] COMMAND...; `spawning` as `spawn`.
  void start(const Words& words);
  void verb(const Words& words) override;

 private:
  class TellingProtocol;

  void tell(const std::string& event, const std::string& detail = {}, const std::string& part = {});
  Transport pipe(const std::string& number) const;
  void print(const Words& words) const;

  Runner& runner_;
  std::function<void()> cancel_spawn_;
  SubprocessTransport transport_;
  std::array<End, 3> pipes_;
};

}  // namespace weir::oracle
