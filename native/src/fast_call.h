#pragma once

#include <linux/seccomp.h>

#include <cstdint>
#include <optional>

namespace umvu {

// A call that looks at files, as PathFront takes it. Calls that may change something are never one.
struct FastCall {
  enum class Kind { kStat, kStatx, kAccess, kReadlink, kOpen, kEntries, kWorkingDirectory };

  Kind kind;
  // Where relative paths start; for kEntries the descriptor that is read.
  int dirfd;
  uint64_t path = 0;
  // A symbolic link at the end is meant itself.
  bool no_follow = false;
  uint64_t out = 0;
  // Bytes of room at `out`, for kReadlink and kWorkingDirectory.
  uint64_t size = 0;
  // For kOpen those of open(2), for kAccess and kStatx the AT_ flags that are left.
  uint32_t flags = 0;
  // For kAccess what is asked for, for kStatx the mask.
  uint32_t mode = 0;

  // Nothing for all other calls, and for those with flags that need thought.
  static std::optional<FastCall> Of(const seccomp_data& data);
};

}  // namespace umvu
