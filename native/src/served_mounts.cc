#include "served_mounts.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace umvu {
namespace {

// Types as in mountinfo; a subtype ("fuse.sshfs") counts as its type. Of virtiofs the server is the
// host of a virtual machine, which no guest can be.
constexpr std::array<std::string_view, 12> kServed = {
    "fuse", "fuseblk", "nfs", "nfs4", "cifs", "smb3", "9p", "afs", "ceph", "coda", "autofs", "lustre"};

bool IsServedType(std::string_view type) {
  type = type.substr(0, type.find('.'));
  for (const std::string_view served : kServed) {
    if (type == served) return true;
  }
  return false;
}

}  // namespace

ServedMounts& ServedMounts::Own() {
  // Of this process, whatever environments it has: never destroyed.
  static auto* own = new ServedMounts();
  return *own;
}

ServedMounts::ServedMounts() : fd_(open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)) {
  if (fd_ >= 0) Read(fd_);
}

ServedMounts::ServedMounts(pid_t tid) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/mountinfo", tid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  Read(fd);
  close(fd);
}

ServedMounts::~ServedMounts() {
  if (fd_ >= 0) close(fd_);
}

void ServedMounts::Update() {
  pollfd changes{fd_, POLLPRI, 0};
  if (fd_ >= 0 && poll(&changes, 1, 0) > 0) Read(fd_);
}

// Lines: id, parent, device, root, mount point, options, optional fields, "-", type, source, ...
void ServedMounts::Read(int fd) {
  std::string text;
  char buffer[16384];
  ssize_t n;
  lseek(fd, 0, SEEK_SET);
  while ((n = read(fd, buffer, sizeof buffer)) > 0) text.append(buffer, static_cast<size_t>(n));
  known_ = n == 0;
  served_.clear();
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line(text.data() + at, end - at);
    const size_t dash = line.find(" - ");
    if (dash != std::string_view::npos) {
      const std::string_view type = line.substr(dash + 3);
      if (IsServedType(type.substr(0, type.find(' ')))) {
        served_.insert(std::strtoull(text.c_str() + at, nullptr, 10));
      }
    }
    at = end + 1;
  }
}

bool ServedMounts::Has(int fd) const {
  struct statx attributes {};
  // DONT_SYNC: what is known here will do.
  if (!known_ || statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &attributes) < 0) return true;
  if ((attributes.stx_mask & STATX_MNT_ID) == 0) return true;
  return served_.contains(attributes.stx_mnt_id);
}

}  // namespace umvu
