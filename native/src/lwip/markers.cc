#include "lwip/markers.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "net/passed_fd.h"

namespace umvu::lwip {
namespace {

constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

// Descriptors of this process that may be kept: where it may have few, they are for sockets.
std::size_t most() {
  constexpr std::size_t kMost = 1024;
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
  return std::clamp<std::size_t>(limit.rlim_cur / 16, 1, kMost);
}

}  // namespace

Markers::Markers() : most_(most()) {}

int Markers::get(const Meta& meta) {
  std::string key(reinterpret_cast<const char*>(&meta), sizeof meta);
  if (const auto found = index_.find(key); found != index_.end()) {
    entries_.splice(entries_.begin(), entries_, found->second);
    return entries_.front().fd.get();
  }
  if (entries_.size() >= most_) drop_last();
  net::UniqueFd fd(memfd_create("umvu-datagram", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd && errno == EMFILE && !entries_.empty()) {
    // The one that was used least lately gives its place up.
    drop_last();
    fd.reset(memfd_create("umvu-datagram", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  }
  if (!fd) return -errno;
  if (write(fd.get(), &meta, sizeof meta) != static_cast<ssize_t>(sizeof meta)) return -EIO;
  if (fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) return -errno;
  entries_.push_front({key, std::move(fd)});
  index_[std::move(key)] = entries_.begin();
  return entries_.front().fd.get();
}

void Markers::drop_last() {
  index_.erase(entries_.back().key);
  entries_.pop_back();
}

bool Markers::read(int fd, Meta* meta) {
  const net::UniqueFd owned(fd);
  // Only of a sealed memfd is it known that reading neither blocks nor asks anybody else.
  return fcntl(fd, F_GET_SEALS) == kSeals && pread(fd, meta, sizeof *meta, 0) == static_cast<ssize_t>(sizeof *meta) &&
         meta->peer_size <= sizeof meta->peer && meta->local_size <= sizeof meta->local;
}

bool send_marked(int fd, std::span<const iovec> parts, int marker) {
  msghdr message = {};
  message.msg_iov = const_cast<iovec*>(parts.data());
  message.msg_iovlen = parts.size();
  const net::PassedFd passed(&message, marker);
  return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

}  // namespace umvu::lwip
