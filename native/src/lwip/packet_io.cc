#include "lwip/packet_io.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "lwip/datagram.h"
#include "lwip/host.h"
#include "lwip/netlink.h"
#include "lwip/packet.h"
#include "lwip/stream.h"

namespace umvu::lwip {
namespace {

// linux/netlink.h
constexpr int kNetlinkRoute = 0;
constexpr int kNetlinkSockDiag = 4;

int protocol_of(int domain, int type, int protocol) {
  if (domain == AF_PACKET) return type == SOCK_RAW || type == SOCK_DGRAM ? protocol & 0xffff : -ESOCKTNOSUPPORT;
  if (domain == AF_NETLINK) {
    if (type != SOCK_RAW && type != SOCK_DGRAM) return -ESOCKTNOSUPPORT;
    return protocol == kNetlinkRoute || protocol == kNetlinkSockDiag ? protocol : -EPROTONOSUPPORT;
  }
  const int icmp = domain == AF_INET ? int{IPPROTO_ICMP} : int{IPPROTO_ICMPV6};
  if (protocol < 0 || protocol > 255) return -EINVAL;
  switch (type) {
    case SOCK_STREAM: return protocol == 0 || protocol == IPPROTO_TCP ? IPPROTO_TCP : -EPROTONOSUPPORT;
    case SOCK_DGRAM:
      if (protocol == icmp) return icmp;
      if (protocol == IPPROTO_UDPLITE) return protocol;
      return protocol == 0 || protocol == IPPROTO_UDP ? IPPROTO_UDP : -EPROTONOSUPPORT;
    case SOCK_RAW: return protocol != 0 ? protocol : -EPROTONOSUPPORT;
    default: return type < 0 || type > 10 ? -EINVAL : -ESOCKTNOSUPPORT;
  }
}

int finish(Stack* stack, Sock* sock, int fd) {
  struct stat info;
  if (fd >= 0 && fstat(fd, &info) == 0) {
    stack->host().set_inode(sock, info.st_ino);
  } else {
    sock->abandon();
  }
  return fd;
}

}  // namespace

int make_socket(Stack* stack, int domain, int type, int protocol) {
  stack->host().sweep_sometimes();
  if (!stack->memory().fits(Memory::kSocket)) stack->host().sweep_when_full();
  const Inside inside(&stack->image());
  const int actual = protocol_of(domain, type, protocol);
  if (actual < 0) return actual;
  if (!stack->memory().fits(Memory::kSocket)) return domain == AF_NETLINK ? -ENOMEM : -ENOBUFS;
  if (domain == AF_INET || domain == AF_INET6) {
    if (type == SOCK_STREAM) {
      auto* sock = new StreamSock(stack, domain, actual);
      const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      return finish(stack, sock, fd < 0 ? -errno : fd);
    }
    DatagramSock* sock;
    if (type == SOCK_DGRAM && (actual == IPPROTO_UDP || actual == IPPROTO_UDPLITE)) {
      sock = new UdpSock(stack, domain, actual);
    } else {
      sock = new RawSock(stack, domain, type, actual);
    }
    return finish(stack, sock, sock->open());
  }
  if (domain == AF_PACKET) {
    auto* sock = new PacketSock(stack, type, actual);
    return finish(stack, sock, sock->open());
  }
  auto* sock = new NetlinkSock(stack, AF_NETLINK, type, actual);
  return finish(stack, sock, sock->open());
}

int accept_now(int fd, int flags) {
  pollfd state{fd, POLLIN, 0};
  if (poll(&state, 1, 0) <= 0 || (state.revents & (POLLIN | POLLHUP)) == 0) return -EAGAIN;
  // The guest may take the connection meanwhile, and its descriptor may be one that blocks. accept(2) has no
  // MSG_DONTWAIT, but it honours the receive timeout.
  timeval before = {};
  socklen_t size = sizeof before;
  const int mode = fcntl(fd, F_GETFL);
  const bool blocks = mode >= 0 && (mode & O_NONBLOCK) == 0;
  static constexpr timeval kShort = {0, 1};
  if (blocks) {
    getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &before, &size);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kShort, sizeof kShort);
  }
  const int accepted = accept4(fd, nullptr, nullptr, flags | SOCK_CLOEXEC);
  const int error = errno;
  if (blocks) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &before, sizeof before);
  return accepted < 0 ? -error : accepted;
}

int receive_marked(int fd, std::span<uint8_t> bytes, int flags, Meta* meta) {
  iovec part{bytes.data(), bytes.size()};
  msghdr message = {};
  alignas(cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))];
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t got = recvmsg(fd, &message, (flags & MSG_PEEK) | MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
  if (got < 0) return -errno;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int marker;
      std::memcpy(&marker, CMSG_DATA(header) + i * sizeof marker, sizeof marker);
      Markers::read(marker, meta);
    }
  }
  return static_cast<int>(got);
}

}  // namespace umvu::lwip
