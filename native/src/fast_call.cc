#include "fast_call.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace umvu {
namespace {

// O_LARGEFILE as the kernel has it: for the C library of a 64-bit program it is 0.
constexpr uint32_t kLargeFile = 0100000;
// Flags of open(2) that only choose how an existing file is read.
constexpr uint32_t kReading =
    O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | kLargeFile;

std::optional<FastCall> Open(int dirfd, uint64_t path, uint64_t flags) {
  const auto bits = static_cast<uint32_t>(flags);
  if ((bits & ~kReading) != 0) return std::nullopt;
  FastCall call{FastCall::Kind::kOpen, dirfd, path, (bits & O_NOFOLLOW) != 0};
  call.flags = bits;
  return call;
}

std::optional<FastCall> Stat(int dirfd, uint64_t path, uint64_t out, uint64_t flags) {
  if ((static_cast<uint32_t>(flags) & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH)) != 0)
    return std::nullopt;
  return FastCall{FastCall::Kind::kStat, dirfd, path, (flags & AT_SYMLINK_NOFOLLOW) != 0, out};
}

std::optional<FastCall> Statx(const __u64* a) {
  const auto flags = static_cast<uint32_t>(a[2]);
  constexpr uint32_t kKnown = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE;
  if ((flags & ~kKnown) != 0) return std::nullopt;
  FastCall call{FastCall::Kind::kStatx, static_cast<int>(a[0]), a[1], (flags & AT_SYMLINK_NOFOLLOW) != 0, a[4]};
  call.flags = flags & AT_STATX_SYNC_TYPE;
  call.mode = static_cast<uint32_t>(a[3]);
  return call;
}

// Writing is a question of where changes would go.
std::optional<FastCall> Access(int dirfd, uint64_t path, uint64_t mode, uint64_t flags) {
  if ((static_cast<uint32_t>(mode) & ~(R_OK | X_OK)) != 0) return std::nullopt;
  if ((static_cast<uint32_t>(flags) & ~(AT_SYMLINK_NOFOLLOW | AT_EACCESS)) != 0) return std::nullopt;
  FastCall call{FastCall::Kind::kAccess, dirfd, path, (flags & AT_SYMLINK_NOFOLLOW) != 0};
  call.flags = static_cast<uint32_t>(flags) & AT_EACCESS;
  call.mode = static_cast<uint32_t>(mode);
  return call;
}

std::optional<FastCall> Readlink(int dirfd, uint64_t path, uint64_t out, uint64_t size) {
  if (static_cast<int>(size) <= 0) return std::nullopt;
  FastCall call{FastCall::Kind::kReadlink, dirfd, path, true, out};
  call.size = static_cast<uint32_t>(size);
  return call;
}

}  // namespace

std::optional<FastCall> FastCall::Of(const seccomp_data& data) {
  const __u64* a = data.args;
  const auto fd = static_cast<int>(a[0]);
  switch (data.nr) {
#ifdef SYS_open
    case SYS_stat:
      return Stat(AT_FDCWD, a[0], a[1], 0);
    case SYS_lstat:
      return Stat(AT_FDCWD, a[0], a[1], AT_SYMLINK_NOFOLLOW);
    case SYS_access:
      return Access(AT_FDCWD, a[0], a[1], 0);
    case SYS_readlink:
      return Readlink(AT_FDCWD, a[0], a[1], a[2]);
    case SYS_open:
      return Open(AT_FDCWD, a[0], a[1]);
#endif
    case SYS_newfstatat:
      return Stat(fd, a[1], a[2], a[3]);
    case SYS_statx:
      return Statx(a);
    case SYS_faccessat:
      return Access(fd, a[1], a[2], 0);
    case SYS_faccessat2:
      return Access(fd, a[1], a[2], a[3]);
    case SYS_readlinkat:
      return Readlink(fd, a[1], a[2], a[3]);
    case SYS_openat:
      return Open(fd, a[1], a[2]);
    case SYS_getdents64:
      return FastCall{Kind::kEntries, fd};
    case SYS_getcwd: {
      FastCall call{Kind::kWorkingDirectory, AT_FDCWD};
      call.out = a[0];
      call.size = a[1];
      return call;
    }
    default:
      return std::nullopt;
  }
}

}  // namespace umvu
