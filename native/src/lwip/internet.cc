// What UDP and raw sockets have in common: addresses, errors and groups.
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lwip/datagram.h"
#include "lwip/host.h"

namespace umvu::lwip {
namespace {

// Most errors that wait to be read, and most groups (net.ipv4.igmp_max_memberships).
constexpr std::size_t kMostErrors = 64, kMostGroups = 20;
// Of <linux/in.h> and <linux/in6.h>, beside which <netinet/in.h> cannot be included.
constexpr int kMulticastAll = 49, kMulticastAll6 = 29, kUnicast = 50, kUnicast6 = 76;

}  // namespace

InternetSock::InternetSock(Stack* stack, int domain, int type, int protocol)
    : DatagramSock(stack, domain, type, protocol) {
  ip_addr_set_any(domain == AF_INET6, &local_.ip);
}

int InternetSock::name(bool peer, uint8_t* out) {
  if (peer && !connected_) return -ENOTCONN;
  return static_cast<int>(write_endpoint(domain_, peer ? remote_ : local_, out));
}

// The source that a message asks for (IP_PKTINFO).
int InternetSock::wanted_source(const Meta* meta, ip_addr_t* source) {
  if (meta == nullptr || meta->local_size == 0) return 0;
  ip_addr_t wanted;
  if (meta->local_size == 4) {
    uint32_t v4;
    std::memcpy(&v4, meta->local, 4);
    ip_addr_set_ip4_u32_val(wanted, v4);
  } else {
    ip6_addr_t v6 = {};
    std::memcpy(v6.addr, meta->local, 16);
    ip_addr_copy_from_ip6(wanted, v6);
  }
  if (ip_addr_isany_val(wanted)) return 0;
  if (!stack_->is_local(wanted) && options_.number(IPPROTO_IP, IP_FREEBIND) == 0) return -EINVAL;
  *source = wanted;
  return 0;
}

// Sockets of UDP over IPv6 take addresses of IPv4 as they are, too.
int InternetSock::read_peer(std::span<const uint8_t> address, Endpoint* peer) const {
  sa_family_t family = AF_UNSPEC;
  if (address.size() >= sizeof family) std::memcpy(&family, address.data(), sizeof family);
  const bool plain = family == AF_INET && domain_ == AF_INET6 && type_ == SOCK_DGRAM && protocol_ != IPPROTO_ICMPV6;
  return read_endpoint(plain ? AF_INET : domain_, address, stack_, peer);
}

int InternetSock::destination(const Meta* meta, Endpoint* to, ip_addr_t* source, netif** place) {
  Interface* interface = chosen_interface(SOL_SOCKET, SO_BINDTODEVICE);
  *source = local_.ip;
  if (meta != nullptr && meta->peer_size > 0) {
    const int result = read_peer({meta->peer, meta->peer_size}, to);
    if (result != 0) return result;
  } else if (connected_) {
    *to = remote_;
  } else {
    return -EDESTADDRREQ;
  }
  if (ip_addr_isany_val(to->ip)) ip_addr_set_loopback(IP_IS_V6_VAL(to->ip), &to->ip);
  if (IP_IS_V4_VAL(to->ip) && domain_ == AF_INET6 && options_.number(IPPROTO_IPV6, IPV6_V6ONLY) != 0) return -ENETUNREACH;
  if (meta != nullptr && meta->interface != 0) {
    interface = stack_->interface(meta->interface);
    if (interface == nullptr) return -ENODEV;
  }
  if (const int result = wanted_source(meta, source); result != 0) return result;
  const bool v6 = IP_IS_V6_VAL(to->ip);
  const int level = v6 ? int{IPPROTO_IPV6} : int{IPPROTO_IP};
  if (interface == nullptr) {
    const bool group = ip_addr_ismulticast(&to->ip) != 0;
    interface = chosen_interface(level, group ? v6 ? IPV6_MULTICAST_IF : IP_MULTICAST_IF : v6 ? kUnicast6 : kUnicast);
  }
  *place = nullptr;
  if (interface != nullptr && interface->up() && !stack_->is_local(to->ip)) {
    *place = v6 ? interface->base() : interface->place_for(*ip_2_ip4(&to->ip));
    if (v6) ip6_addr_assign_zone(ip_2_ip6(&to->ip), IP6_UNKNOWN, *place);
  } else {
    *place = v6 ? ip6_route(ip_2_ip6(source), ip_2_ip6(&to->ip)) : ip4_route_src(ip_2_ip4(source), ip_2_ip4(&to->ip));
    if (v6 && *place != nullptr) ip6_addr_assign_zone(ip_2_ip6(&to->ip), IP6_UNKNOWN, *place);
  }
  if (*place == nullptr) return -ENETUNREACH;
  if (!v6 && broadcast(to->ip, *place) && options_.number(SOL_SOCKET, SO_BROADCAST) == 0) return -EACCES;
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

bool InternetSock::broadcast(const ip_addr_t& ip, const netif* place) const {
  return IP_IS_V4_VAL(ip) && (ip_2_ip4(&ip)->addr == IPADDR_BROADCAST ||
                              (place != nullptr && ip4_addr_isbroadcast(ip_2_ip4(&ip), place) != 0));
}

int InternetSock::check_size(std::size_t size, const netif* place, bool v6) {
  const int discover = v6 ? options_.number(IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_WANT)
                          : options_.number(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_WANT);
  const bool whole = discover == IP_PMTUDISC_DO || discover == IP_PMTUDISC_PROBE ||
                     (v6 && options_.number(IPPROTO_IPV6, IPV6_DONTFRAG) != 0);
  const auto mtu = static_cast<std::size_t>(Interface::of(place)->mtu());
  return whole && size + (v6 ? IP6_HLEN : IP_HLEN) > mtu ? -EMSGSIZE : 0;
}

bool InternetSock::wants_current() const {
  if (!hears_current()) return false;
  const ip_addr_t* to = ip_current_dest_addr();
  if (!ip_addr_ismulticast(to)) return true;
  const bool all = ip_current_is_v6() ? options_.number(IPPROTO_IPV6, kMulticastAll6, 1) != 0
                                      : options_.number(IPPROTO_IP, kMulticastAll, 1) != 0;
  return all || std::any_of(groups_.begin(), groups_.end(), [&](const Group& group) {
           return ip_addr_cmp_zoneless(&group.ip, to) != 0;
         });
}

int InternetSock::shutdown(int guest, int how) {
  if (how < SHUT_RD || how > SHUT_RDWR) return -EINVAL;
  return connected_ ? DatagramSock::shutdown(guest, how) : -ENOTCONN;
}

// -- Errors of the network --------------------------------------------------------------------------------

bool InternetSock::sent(const ip_addr_t& from, uint16_t port, const Endpoint& to) const {
  if (port != 0 && port != local_.port) return false;
  if (!ip_addr_isany_val(local_.ip) && !ip_addr_cmp_zoneless(&local_.ip, &from)) return false;
  if (!connected_) return true;
  return ip_addr_cmp_zoneless(&remote_.ip, &to.ip) && (to.port == 0 || remote_.port == to.port);
}

void InternetSock::icmp_error(const IcmpError& error, bool hard) {
  const bool v6 = IP_IS_V6_VAL(error.to.ip);
  const bool wanted =
      v6 ? options_.number(IPPROTO_IPV6, IPV6_RECVERR) != 0 : options_.number(IPPROTO_IP, IP_RECVERR) != 0;
  if (!wanted && (!hard || !connected_)) return;
  if (wanted && errors_.size() < kMostErrors && !stack_->memory().full()) {
    stack_->memory().take(error.cost());
    errors_.push_back(error);
  }
  raise(static_cast<int>(error.what.ee_errno));
}

int InternetSock::take_queued(std::span<uint8_t> out) {
  if (errors_.empty()) return -EAGAIN;
  if (out.empty()) return 0;
  const std::size_t size = errors_.front().write(domain_, out);
  stack_->memory().give(errors_.front().cost());
  errors_.pop_front();
  error_ = 0;
  if (!errors_.empty()) raise(static_cast<int>(errors_.front().what.ee_errno));
  return static_cast<int>(size);
}

// -- Options ----------------------------------------------------------------------------------------------

int InternetSock::special_option(int level, int name, std::span<uint8_t> out) {
  const bool mtu = (level == IPPROTO_IP && name == IP_MTU) || (level == IPPROTO_IPV6 && name == IPV6_MTU);
  if (!mtu) return DatagramSock::special_option(level, name, out);
  if (!connected_) return -ENOTCONN;
  netif* place = ip_route(&local_.ip, &remote_.ip);
  if (place == nullptr || out.size() < sizeof(int)) return -ENOTCONN;
  const int bytes = Interface::of(place)->mtu();
  std::memcpy(out.data(), &bytes, sizeof bytes);
  return sizeof bytes;
}

int InternetSock::option_changed(int guest, int level, int name) {
  if ((level == IPPROTO_IP && (name == IP_ADD_MEMBERSHIP || name == IP_DROP_MEMBERSHIP)) ||
      (level == IPPROTO_IPV6 && (name == IPV6_ADD_MEMBERSHIP || name == IPV6_DROP_MEMBERSHIP))) {
    return membership(level, name);
  }
  if (const int result = interface_option(level, name); result != 0) return result;
  return DatagramSock::option_changed(guest, level, name);
}

int InternetSock::membership(int level, int name) {
  const std::vector<uint8_t>& value = *options_.find(level, name);
  Group group;
  Interface* interface = nullptr;
  if (level == IPPROTO_IP) {
    if (value.size() < sizeof(ip_mreq)) return -EINVAL;
    ip_mreqn request = {};
    std::memcpy(&request, value.data(), std::min(value.size(), sizeof request));
    ip_addr_set_ip4_u32_val(group.ip, request.imr_multiaddr.s_addr);
    if (!ip_addr_ismulticast(&group.ip)) return -EINVAL;
    ip_addr_t own;
    ip_addr_set_ip4_u32_val(own, request.imr_address.s_addr);
    interface = request.imr_ifindex != 0      ? stack_->interface(request.imr_ifindex)
                : ip_addr_isany_val(own) != 0 ? nullptr
                                              : stack_->holder(own);
    if (interface == nullptr && (request.imr_ifindex != 0 || !ip_addr_isany_val(own))) return -ENODEV;
  } else {
    if (value.size() < sizeof(ipv6_mreq)) return -EINVAL;
    ipv6_mreq request;
    std::memcpy(&request, value.data(), sizeof request);
    ip6_addr_t ip = {};
    std::memcpy(ip.addr, &request.ipv6mr_multiaddr, 16);
    if (!ip6_addr_ismulticast(&ip)) return -EINVAL;
    ip_addr_copy_from_ip6(group.ip, ip);
    interface = stack_->interface(static_cast<int>(request.ipv6mr_interface));
    if (interface == nullptr && request.ipv6mr_interface != 0) return -ENODEV;
  }
  if (interface == nullptr) {
    netif* place = IP_IS_V6_VAL(group.ip) ? ip6_route(nullptr, ip_2_ip6(&group.ip)) : ip4_route(ip_2_ip4(&group.ip));
    if (place == nullptr) return -ENODEV;
    interface = Interface::of(place);
  }
  group.interface = interface->index();
  return name == IP_ADD_MEMBERSHIP || name == IPV6_ADD_MEMBERSHIP ? join(group) : leave(group);
}

namespace {

err_t change_group(Interface* interface, ip_addr_t ip, bool join) {
  netif* base = interface->base();
  if (IP_IS_V4_VAL(ip)) {
    return join ? igmp_joingroup_netif(base, ip_2_ip4(&ip)) : igmp_leavegroup_netif(base, ip_2_ip4(&ip));
  }
  ip6_addr_assign_zone(ip_2_ip6(&ip), IP6_MULTICAST, base);
  return join ? mld6_joingroup_netif(base, ip_2_ip6(&ip)) : mld6_leavegroup_netif(base, ip_2_ip6(&ip));
}

}  // namespace

int InternetSock::join(const Group& group) {
  for (const Group& known : groups_) {
    if (known.interface == group.interface && ip_addr_cmp_zoneless(&known.ip, &group.ip)) return -EADDRINUSE;
  }
  if (groups_.size() == kMostGroups) return -ENOBUFS;
  if (change_group(stack_->interface(group.interface), group.ip, true) != ERR_OK) return -ENOBUFS;
  groups_.push_back(group);
  return 0;
}

int InternetSock::leave(const Group& group) {
  const auto at = std::find_if(groups_.begin(), groups_.end(), [&](const Group& known) {
    return known.interface == group.interface && ip_addr_cmp_zoneless(&known.ip, &group.ip);
  });
  if (at == groups_.end()) return -EADDRNOTAVAIL;
  groups_.erase(at);
  change_group(stack_->interface(group.interface), group.ip, false);
  return 0;
}

void InternetSock::leave_all() {
  for (const IcmpError& error : errors_) stack_->memory().give(error.cost());
  errors_.clear();
  for (const Group& group : groups_) {
    if (Interface* interface = stack_->interface(group.interface)) change_group(interface, group.ip, false);
  }
  groups_.clear();
}

}  // namespace umvu::lwip
