#pragma once

#include <sys/types.h>

#include <climits>
#include <cstdint>

namespace umvu {

// Reads a path of at most PATH_MAX - 1 bytes at `address` of thread `tid` into `buffer`, with its NUL. Its length,
// or -1.
ssize_t ReadPath(pid_t tid, uint64_t address, char (&buffer)[PATH_MAX]);

}  // namespace umvu
