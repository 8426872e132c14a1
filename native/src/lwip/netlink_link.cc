// rtnetlink: links and addresses.
#include <arpa/inet.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <sys/socket.h>

#include <cerrno>

#include "lwip/host.h"
#include "lwip/netlink.h"

namespace umvu::lwip {
namespace {

Interface* named(Stack* stack, const ifinfomsg& fixed, const Attributes& given) {
  if (fixed.ifi_index > 0) return stack->interface(fixed.ifi_index);
  if (given.has(IFLA_IFNAME)) return stack->interface(given.text(IFLA_IFNAME));
  if (given.has(IFLA_ALT_IFNAME)) return stack->interface(given.text(IFLA_ALT_IFNAME));
  return nullptr;
}

}  // namespace

// The flags of an interface, IFF_….
unsigned link_flags(const Interface& interface) {
  unsigned flags = interface.loopback() ? IFF_LOOPBACK : IFF_BROADCAST | IFF_MULTICAST;
  if (interface.up()) flags |= IFF_UP;
  if (interface.up() && interface.connected()) flags |= IFF_RUNNING | IFF_LOWER_UP;
  return flags;
}

Message link_message(const Interface& interface, uint16_t type, uint16_t flags, uint32_t seq, uint32_t pid) {
  Message message(type, flags, seq, pid);
  ifinfomsg fixed = {};
  fixed.ifi_type = interface.loopback() ? ARPHRD_LOOPBACK : ARPHRD_ETHER;
  fixed.ifi_index = interface.index();
  fixed.ifi_flags = link_flags(interface);
  message.body(fixed);
  message.text(IFLA_IFNAME, interface.name());
  message.number<uint32_t>(IFLA_TXQLEN, 1000);
  // IF_OPER_…: up without a say of the driver is «unknown», as for lo.
  const uint8_t state = !interface.up() || !interface.connected() ? 2 : interface.loopback() ? 0 : 6;
  message.number<uint8_t>(IFLA_OPERSTATE, state);
  message.number<uint8_t>(IFLA_LINKMODE, 0);
  message.number<uint32_t>(IFLA_MTU, static_cast<uint32_t>(interface.mtu()));
  message.number<uint32_t>(IFLA_MIN_MTU, interface.loopback() ? 0 : 68);
  message.number<uint32_t>(IFLA_MAX_MTU, interface.loopback() ? 0 : 65521);
  message.number<uint32_t>(IFLA_GROUP, 0);
  message.number<uint32_t>(IFLA_PROMISCUITY, 0);
  message.number<uint32_t>(IFLA_NUM_TX_QUEUES, 1);
  message.number<uint32_t>(IFLA_NUM_RX_QUEUES, 1);
  message.number<uint8_t>(IFLA_CARRIER, interface.up() && interface.connected());
  message.text(IFLA_QDISC, interface.loopback() || !interface.up() ? "noqueue" : "pfifo_fast");
  static constexpr uint8_t kBroadcast[6] = {255, 255, 255, 255, 255, 255};
  static constexpr uint8_t kNone[6] = {};
  message.attribute(IFLA_ADDRESS, interface.mac().data(), interface.mac().size());
  message.attribute(IFLA_BROADCAST, interface.loopback() ? kNone : kBroadcast, 6);
  const net::PortCounters seen = interface.counters();
  rtnl_link_stats64 stats = {};
  stats.rx_packets = seen.rx_frames;
  stats.rx_bytes = seen.rx_bytes;
  stats.tx_packets = seen.tx_frames;
  stats.tx_bytes = seen.tx_bytes;
  stats.tx_dropped = seen.dropped;
  message.attribute(IFLA_STATS64, &stats, sizeof stats);
  return message;
}

int NetlinkSock::get_link(const Request& request) {
  const auto fixed = request.fixed<ifinfomsg>();
  const Attributes given = request.attributes<ifinfomsg>();
  if (!request.dump()) {
    const Interface* interface = named(stack_, fixed, given);
    if (interface == nullptr) return -ENODEV;
    Message message = link_message(*interface, RTM_NEWLINK, 0, request.header.nlmsg_seq, port_);
    reply(&message);
    return 0;
  }
  // Bridges and the like have families of their own.
  if (fixed.ifi_family != AF_UNSPEC && fixed.ifi_family != AF_PACKET && fixed.ifi_family != AF_INET &&
      fixed.ifi_family != AF_INET6) {
    return 0;
  }
  for (const auto& interface : stack_->interfaces()) {
    Message message = link_message(*interface, RTM_NEWLINK, NLM_F_MULTI, request.header.nlmsg_seq, port_);
    reply(&message);
  }
  return 0;
}

int NetlinkSock::set_link(const Request& request) {
  const auto fixed = request.fixed<ifinfomsg>();
  const Attributes given = request.attributes<ifinfomsg>();
  Interface* interface = named(stack_, fixed, given);
  if (interface == nullptr) return given.has(IFLA_LINKINFO) ? -EOPNOTSUPP : -ENODEV;
  if ((request.header.nlmsg_flags & NLM_F_EXCL) != 0) return -EEXIST;
  if (given.has(IFLA_LINKINFO) || given.has(IFLA_MASTER)) return -EOPNOTSUPP;
  if (given.has(IFLA_ADDRESS)) {
    const auto mac = given.find(IFLA_ADDRESS);
    if (interface->loopback()) return -EOPNOTSUPP;
    if (mac.size() != 6 || (mac[0] & 1) != 0) return -EADDRNOTAVAIL;
    interface->set_mac(mac.data());
  }
  if (given.has(IFLA_MTU)) {
    const int result = interface->set_mtu(static_cast<int>(given.number(IFLA_MTU, 0)));
    if (result != 0) return result;
  }
  if (fixed.ifi_index > 0 && given.has(IFLA_IFNAME) && given.text(IFLA_IFNAME) != interface->name()) {
    const std::string name = given.text(IFLA_IFNAME);
    if (name.empty() || name.size() > 15) return -EINVAL;
    if (stack_->interface(name) != nullptr) return -EEXIST;
    if (interface->up()) return -EBUSY;
    interface->rename(name);
  }
  // An ifi_change of zero is that of old programs, which mean all flags (rtnl_dev_get_flags()).
  const unsigned change = fixed.ifi_change != 0 ? fixed.ifi_change : fixed.ifi_flags != 0 ? ~0u : 0u;
  if ((change & IFF_UP) != 0) interface->set_up((fixed.ifi_flags & IFF_UP) != 0);
  Message told = link_message(*interface, RTM_NEWLINK, 0, 0, 0);
  broadcast(stack_, RTNLGRP_LINK, &told);
  return 0;
}

Message address_message(const Interface& interface, const Address& address, uint16_t type, uint16_t flags,
                        uint32_t seq, uint32_t pid) {
  const bool v6 = IP_IS_V6_VAL(address.ip);
  Message message(type, flags, seq, pid);
  ifaddrmsg fixed = {};
  fixed.ifa_family = v6 ? AF_INET6 : AF_INET;
  fixed.ifa_prefixlen = address.prefix;
  fixed.ifa_flags = static_cast<uint8_t>(address.flags);
  fixed.ifa_scope = address.scope;
  fixed.ifa_index = static_cast<uint32_t>(interface.index());
  message.body(fixed);
  message.address(IFA_ADDRESS, address.ip);
  if (!v6) {
    message.address(IFA_LOCAL, address.ip);
    if (address.prefix < 31 && !interface.loopback()) {
      const uint32_t rest = htonl(address.prefix == 0 ? ~0u : (1u << (32 - address.prefix)) - 1);
      message.number<uint32_t>(IFA_BROADCAST, ip_2_ip4(&address.ip)->addr | rest);
    }
    message.text(IFA_LABEL, address.label);
  }
  message.number<uint32_t>(IFA_FLAGS, address.flags);
  ifa_cacheinfo lives = {~0u, ~0u, 0, 0};
  message.attribute(IFA_CACHEINFO, &lives, sizeof lives);
  return message;
}

int NetlinkSock::get_address(const Request& request) {
  const auto fixed = request.fixed<ifaddrmsg>();
  if (!request.dump()) return -EOPNOTSUPP;
  for (const auto& interface : stack_->interfaces()) {
    interface->collect_addresses();
    if (fixed.ifa_index != 0 && static_cast<int>(fixed.ifa_index) != interface->index()) continue;
    // IPv4 first, as the kernel dumps its families in turn.
    for (const bool v6 : {false, true}) {
      if (fixed.ifa_family != AF_UNSPEC && fixed.ifa_family != (v6 ? AF_INET6 : AF_INET)) continue;
      for (const Address& address : interface->addresses()) {
        if (bool{IP_IS_V6_VAL(address.ip)} != v6) continue;
        Message message =
            address_message(*interface, address, RTM_NEWADDR, NLM_F_MULTI, request.header.nlmsg_seq, port_);
        reply(&message);
      }
    }
  }
  return 0;
}

int NetlinkSock::set_address(const Request& request, bool add) {
  const auto fixed = request.fixed<ifaddrmsg>();
  const Attributes given = request.attributes<ifaddrmsg>();
  Interface* interface = stack_->interface(static_cast<int>(fixed.ifa_index));
  if (interface == nullptr) return -ENODEV;
  Address address;
  if (!given.address(IFA_LOCAL, &address.ip) && !given.address(IFA_ADDRESS, &address.ip)) return -EINVAL;
  const bool v6 = IP_IS_V6_VAL(address.ip);
  if (fixed.ifa_family != (v6 ? AF_INET6 : AF_INET)) return -EINVAL;
  if (fixed.ifa_prefixlen > (v6 ? 128 : 32)) return -EINVAL;
  address.prefix = fixed.ifa_prefixlen;
  address.scope = fixed.ifa_scope;
  address.label = given.text(IFA_LABEL);
  address.flags = given.number(IFA_FLAGS, fixed.ifa_flags) & (IFA_F_NODAD | IFA_F_NOPREFIXROUTE);
  if (v6) {
    address.scope = ip6_addr_islinklocal(ip_2_ip6(&address.ip)) ? RT_SCOPE_LINK
                    : interface->loopback()                     ? RT_SCOPE_HOST
                                                                : RT_SCOPE_UNIVERSE;
    ip6_addr_assign_zone(ip_2_ip6(&address.ip), IP6_UNICAST, interface->base());
  }
  if (add) {
    const int result = interface->add_address(address, (address.flags & IFA_F_NODAD) != 0);
    const bool replace = (request.header.nlmsg_flags & NLM_F_REPLACE) != 0;
    if (result != 0) return result == -EEXIST && replace ? 0 : result;
    Message told = address_message(*interface, *interface->find(address.ip), RTM_NEWADDR, 0, 0, 0);
    broadcast(stack_, v6 ? RTNLGRP_IPV6_IFADDR : RTNLGRP_IPV4_IFADDR, &told);
    return 0;
  }
  const int result = interface->remove_address(address.ip, address.prefix);
  if (result != 0) return result;
  Message told = address_message(*interface, address, RTM_DELADDR, 0, 0, 0);
  broadcast(stack_, v6 ? RTNLGRP_IPV6_IFADDR : RTNLGRP_IPV4_IFADDR, &told);
  return 0;
}

}  // namespace umvu::lwip
