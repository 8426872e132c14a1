#include "lwip/netlink.h"

#include <linux/netlink.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "lwip/host.h"

namespace umvu::lwip {

int NetlinkSock::open() {
  int pair[2];
  // Not SOCK_DGRAM: of these the end of the one is no event for the other.
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return -errno;
  far_.reset(pair[0]);
  watch(EPOLLIN);
  return pair[1];
}

int NetlinkSock::shutdown(int, int) { return -EOPNOTSUPP; }

int NetlinkSock::option_changed(int guest, int level, int name) {
  if (level != SOL_SOCKET || (name != SO_RCVBUF && name != SO_SNDBUF)) return 0;
  // What the guest may have unread is what this side may have sent.
  const int size = options_.number(level, name);
  setsockopt(name == SO_SNDBUF ? guest : far_.get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  return 0;
}

void NetlinkSock::abandon() {
  host().notify(id(), Event::kClosed, 0);
  retire();
}

// Each event is told once: JavaScript takes and puts until there is -EAGAIN, which has it told again.
void NetlinkSock::on_events(uint32_t events) {
  int unread = 0;
  const bool closed = (events & (EPOLLHUP | EPOLLERR)) != 0;
  if (closed && (ioctl(far_.get(), FIONREAD, &unread) != 0 || unread == 0)) {
    abandon();
    return;
  }
  if ((events & EPOLLOUT) != 0) host().notify(id(), Event::kWritable, 0);
  if ((events & EPOLLIN) != 0) host().notify(id(), Event::kMessage, 0);
  // What is left unread after the guest's end has been closed is still taken, or dropped with the socket.
  if (closed) {
    unwatch();
  } else {
    waits_for_room_ = waits_for_room_ && (events & EPOLLOUT) == 0;
    watch(waits_for_room_ ? uint32_t{EPOLLOUT} : 0u);
  }
}

int NetlinkSock::take(std::span<uint8_t> into) {
  const ssize_t got = recv(far_.get(), into.data(), into.size(), MSG_DONTWAIT);
  const int error = errno;
  pollfd state{far_.get(), POLLIN, 0};
  // Nothing is also what comes from an end that was closed; empty messages mean nothing in netlink.
  const bool closed = got == 0 && poll(&state, 1, 0) > 0 && (state.revents & POLLHUP) != 0;
  if (got >= 0 && !closed) return static_cast<int>(got);
  watch(EPOLLIN | (waits_for_room_ ? uint32_t{EPOLLOUT} : 0u));
  return closed ? -EAGAIN : -error;
}

int NetlinkSock::put(std::span<const uint8_t> bytes, uint32_t group) {
  const iovec part{const_cast<uint8_t*>(bytes.data()), bytes.size()};
  int marker = -1;
  if (group != 0) {
    Meta meta;
    sockaddr_nl from = {};
    from.nl_family = AF_NETLINK;
    from.nl_groups = group > 32 ? 0 : 1u << (group - 1);
    std::memcpy(meta.peer, &from, sizeof from);
    meta.peer_size = sizeof from;
    marker = host().markers().get(meta);
    if (marker < 0) return marker;
  }
  if (send_marked(far_.get(), {&part, 1}, marker)) return 0;
  if (errno != EAGAIN && errno != ENOBUFS) return -errno;
  waits_for_room_ = true;
  watch(EPOLLIN | EPOLLOUT);
  return -EAGAIN;
}

}  // namespace umvu::lwip
