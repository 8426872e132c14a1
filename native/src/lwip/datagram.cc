#include "lwip/datagram.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>

#include "lwip/host.h"

namespace umvu::lwip {
namespace {

constexpr int kTurns = 64;
constexpr std::size_t kLargest = 66000;

}  // namespace

int DatagramSock::open() {
  int pair[2];
  // Not SOCK_DGRAM: of these the end of the one is no event for the other.
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return -errno;
  far_.reset(pair[0]);
  // What waits for the guest until it is given SO_RCVBUF: twice the default, as much as an ordinary user may.
  constexpr int kWaiting = 212992;
  setsockopt(far_.get(), SOL_SOCKET, SO_SNDBUF, &kWaiting, sizeof kWaiting);
  watch(EPOLLIN | EPOLLRDHUP);
  return pair[1];
}

void DatagramSock::abandon() {
  if (!stack_->failed()) drop();
  retire();
}

int DatagramSock::shutdown(int guest, int how) {
  if (how < SHUT_RD || how > SHUT_RDWR) return -EINVAL;
  return ::shutdown(guest, how) != 0 ? -errno : 0;
}

int DatagramSock::option_changed(int guest, int level, int name) {
  if (level != SOL_SOCKET || (name != SO_RCVBUF && name != SO_SNDBUF)) return 0;
  const int size = options_.number(level, name);
  setsockopt(name == SO_SNDBUF ? guest : far_.get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  return 0;
}

int DatagramSock::special_option(int level, int name, std::span<uint8_t> out) {
  if (level != SOL_SOCKET || name != SO_ERROR || out.size() < sizeof(int)) return -ENOPROTOOPT;
  const int error = take_error();
  std::memcpy(out.data(), &error, sizeof error);
  return sizeof error;
}

void DatagramSock::on_events(uint32_t events) {
  stack_->run([&] {
    happened(events);
    return 0;
  });
}

void DatagramSock::happened(uint32_t events) {
  for (int turn = 0; turn < kTurns && !blocked_ && far_; ++turn) {
    if (!take()) break;
  }
  for (const auto& interface : stack_->interfaces()) {
    if (interface->network() != nullptr) interface->network()->finish();
  }
  stack_->touch();
  if (!far_ || blocked_) return;
  if ((events & EPOLLHUP) != 0 && finished()) {
    abandon();
  } else if ((events & EPOLLRDHUP) != 0 && finished()) {
    watch(0);  // shut down for writing; its end comes with EPOLLHUP
  }
}

// Whether nothing more comes, given that the guest has closed its end, or one direction.
bool DatagramSock::finished() const {
  int unread = 0;
  return ioctl(far_.get(), FIONREAD, &unread) != 0 || unread == 0;
}

// One message that the guest has written itself; false when there is none.
bool DatagramSock::take() {
  static thread_local std::unique_ptr<uint8_t[]> buffer(new uint8_t[kLargest]);
  const ssize_t got = recv(far_.get(), buffer.get(), kLargest, MSG_DONTWAIT);
  if (got < 0) return false;
  if (got == 0) {
    // An empty message, or the end: of that poll(2) tells.
    pollfd state{far_.get(), POLLRDHUP, 0};
    if (poll(&state, 1, 0) > 0 && (state.revents & (POLLRDHUP | POLLHUP)) != 0) return false;
  }
  const std::span<const uint8_t> bytes(buffer.get(), static_cast<std::size_t>(got));
  const int result = outgoing(bytes, nullptr);
  if (result == -EAGAIN) {
    held_.assign(bytes.begin(), bytes.end());
    blocked_ = true;
    watch(0);
    return false;
  }
  if (result < 0) error_ = -result;
  return true;
}

int DatagramSock::send_message(std::span<const uint8_t> bytes, const Meta* meta) {
  while (!blocked_ && take()) continue;
  if (blocked_) return -EAGAIN;
  const int result = outgoing(bytes, meta);
  for (const auto& interface : stack_->interfaces()) {
    if (interface->network() != nullptr) interface->network()->finish();
  }
  stack_->touch();
  return result < 0 ? result : static_cast<int>(bytes.size());
}

void DatagramSock::network_writable() {
  if (!blocked_ || outgoing(held_, nullptr) == -EAGAIN) return;
  blocked_ = false;
  held_.clear();
  watch(EPOLLIN | EPOLLRDHUP);
}

bool DatagramSock::send(const iovec* parts, std::size_t count, const Meta* meta) {
  msghdr message = {};
  message.msg_iov = const_cast<iovec*>(parts);
  message.msg_iovlen = count;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  const int marker = meta == nullptr ? -1 : host().markers().get(*meta);
  if (marker >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof marker);
    std::memcpy(CMSG_DATA(header), &marker, sizeof marker);
  }
  return sendmsg(far_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

void DatagramSock::incoming(const pbuf* packet, std::size_t skip, const Meta* meta) {
  iovec parts[64];
  std::size_t count = 0;
  for (const pbuf* part = packet; part != nullptr && count < 64; part = part->next) {
    const std::size_t off = std::min<std::size_t>(skip, part->len);
    skip -= off;
    parts[count++] = {static_cast<uint8_t*>(part->payload) + off, part->len - off};
  }
  send(parts, count, meta);
}

bool DatagramSock::incoming(std::span<const uint8_t> bytes, const Meta* meta) {
  const iovec part{const_cast<uint8_t*>(bytes.data()), bytes.size()};
  return send(&part, 1, meta);
}

// -- Internet sockets -----------------------------------------------------------------------------------

InternetSock::InternetSock(Stack* stack, int domain, int type, int protocol)
    : DatagramSock(stack, domain, type, protocol) {
  ip_addr_set_any(domain == AF_INET6, &local_.ip);
}

int InternetSock::name(bool peer, uint8_t* out) {
  if (peer && !connected_) return -ENOTCONN;
  return static_cast<int>(write_endpoint(domain_, peer ? remote_ : local_, out));
}

int InternetSock::destination(const Meta* meta, Endpoint* to, ip_addr_t* source, netif** place) {
  int interface = options_.number(SOL_SOCKET, SO_BINDTODEVICE);
  *source = local_.ip;
  if (meta != nullptr && meta->peer_size > 0) {
    const int result = read_endpoint(domain_, {meta->peer, meta->peer_size}, stack_, to);
    if (result != 0) return result;
  } else if (connected_) {
    *to = remote_;
  } else {
    return -EDESTADDRREQ;
  }
  if (ip_addr_isany_val(to->ip)) ip_addr_set_loopback(IP_IS_V6_VAL(to->ip), &to->ip);
  if (IP_IS_V4_VAL(to->ip) && ip_2_ip4(&to->ip)->addr == IPADDR_BROADCAST &&
      options_.number(SOL_SOCKET, SO_BROADCAST) == 0) {
    return -EACCES;
  }
  if (meta != nullptr && meta->interface != 0) interface = meta->interface;
  if (meta != nullptr && meta->local_size == 4) {
    uint32_t v4;
    std::memcpy(&v4, meta->local, 4);
    if (v4 != 0) ip_addr_set_ip4_u32_val(*source, v4);
  } else if (meta != nullptr && meta->local_size == 16) {
    ip6_addr_t v6 = {};
    std::memcpy(v6.addr, meta->local, 16);
    if (!ip6_addr_isany_val(v6)) ip_addr_copy_from_ip6(*source, v6);
  }
  const bool v6 = IP_IS_V6_VAL(to->ip);
  if (interface == 0 && ip_addr_ismulticast(&to->ip)) {
    interface = v6 ? options_.number(IPPROTO_IPV6, IPV6_MULTICAST_IF) : options_.number(IPPROTO_IP, IP_MULTICAST_IF);
  }
  *place = nullptr;
  if (Interface* out = interface == 0 ? nullptr : stack_->interface(interface); out != nullptr && out->up()) {
    *place = v6 ? out->base() : out->place_for(*ip_2_ip4(&to->ip));
    if (v6) ip6_addr_assign_zone(ip_2_ip6(&to->ip), IP6_UNKNOWN, *place);
  } else {
    *place = v6 ? ip6_route(ip_2_ip6(source), ip_2_ip6(&to->ip)) : ip4_route_src(ip_2_ip4(source), ip_2_ip4(&to->ip));
    if (v6 && *place != nullptr) ip6_addr_assign_zone(ip_2_ip6(&to->ip), IP6_UNKNOWN, *place);
  }
  if (*place == nullptr) return -ENETUNREACH;
  if (ip_addr_isany_val(*source) || IP_IS_V6_VAL(*source) != v6) {
    if (v6) {
      const ip_addr_t* chosen = ip6_select_source_address(*place, ip_2_ip6(&to->ip));
      if (stack_->is_local(to->ip)) chosen = &to->ip;
      if (chosen == nullptr) return -EADDRNOTAVAIL;
      *source = *chosen;
    } else if (stack_->is_local(to->ip)) {
      choose_source(stack_, to->ip, source);
    } else {
      ip_addr_copy_from_ip4(*source, *netif_ip4_addr(*place));
    }
  }
  return 0;
}

Meta InternetSock::meta_of(const ip_addr_t& peer, uint16_t port, const pbuf*) const {
  Meta meta;
  Endpoint from{peer, port};
  uint8_t address[kLongestAddress];
  meta.peer_size = static_cast<uint8_t>(write_endpoint(domain_, from, address));
  std::memcpy(meta.peer, address, meta.peer_size);
  if (ip_current_is_v6()) {
    std::memcpy(meta.local, ip6_current_dest_addr()->addr, 16);
    meta.local_size = 16;
    meta.ttl = IP6H_HOPLIM(ip6_current_header());
    meta.tos = static_cast<uint8_t>(IP6H_TC(ip6_current_header()));
  } else {
    std::memcpy(meta.local, &ip4_current_dest_addr()->addr, 4);
    meta.local_size = 4;
    meta.ttl = IPH_TTL(ip4_current_header());
    meta.tos = IPH_TOS(ip4_current_header());
  }
  if (ip_current_input_netif() != nullptr) meta.interface = Interface::of(ip_current_input_netif())->index();
  return meta;
}

}  // namespace umvu::lwip
