// rtnetlink: routes, rules and neighbours.
#include <linux/fib_rules.h>
#include <linux/neighbour.h>
#include <sys/socket.h>

#include <cerrno>

#include "lwip/host.h"
#include "lwip/netlink.h"

namespace umvu::lwip {

Message route_message(const Route& route, uint16_t type, uint16_t flags, uint32_t seq, uint32_t pid) {
  Message message(type, flags, seq, pid);
  rtmsg fixed = {};
  fixed.rtm_family = route.v6() ? AF_INET6 : AF_INET;
  fixed.rtm_dst_len = route.prefix;
  fixed.rtm_table = RT_TABLE_MAIN;
  fixed.rtm_protocol = route.protocol;
  fixed.rtm_scope = route.scope;
  fixed.rtm_type = route.type;
  fixed.rtm_flags = route.flags;
  message.body(fixed);
  message.number<uint32_t>(RTA_TABLE, RT_TABLE_MAIN);
  if (route.prefix > 0) message.address(RTA_DST, route.destination);
  if (route.metric != 0) message.number<uint32_t>(RTA_PRIORITY, route.metric);
  if (route.has_source) message.address(RTA_PREFSRC, route.source);
  if (route.has_gateway) message.address(RTA_GATEWAY, route.gateway);
  if (route.interface != 0) message.number<uint32_t>(RTA_OIF, static_cast<uint32_t>(route.interface));
  if (route.v6()) {
    rta_cacheinfo cache = {};
    message.attribute(RTA_CACHEINFO, &cache, sizeof cache);
    message.number<uint8_t>(RTA_PREF, 0);
  }
  return message;
}

int NetlinkSock::get_route(const Request& request) {
  const auto fixed = request.fixed<rtmsg>();
  const Attributes given = request.attributes<rtmsg>();
  if (request.dump()) {
    const uint32_t table = given.number(RTA_TABLE, fixed.rtm_table);
    if (table != RT_TABLE_UNSPEC && table != RT_TABLE_MAIN) return 0;
    for (const bool v6 : {false, true}) {
      if (fixed.rtm_family != AF_UNSPEC && fixed.rtm_family != (v6 ? AF_INET6 : AF_INET)) continue;
      for (const Route& route : stack_->routes().list()) {
        if (route.v6() != v6) continue;
        Message message = route_message(route, RTM_NEWROUTE, NLM_F_MULTI, request.header.nlmsg_seq, port_);
        reply(&message);
      }
    }
    return 0;
  }
  Route found;
  if (!given.address(RTA_DST, &found.destination)) return -EINVAL;
  const bool v6 = found.v6();
  found.prefix = v6 ? 128 : 32;
  found.protocol = RTPROT_UNSPEC;
  found.flags = RTM_F_CLONED;
  if (stack_->is_local(found.destination)) {
    found.type = RTN_LOCAL;
    found.interface = stack_->loopback().index();
  } else {
    const Route* route = stack_->routes().find(found.destination, static_cast<int>(given.number(RTA_OIF, 0)));
    if (route == nullptr) return -ENETUNREACH;
    found.interface = route->interface;
    found.has_gateway = route->has_gateway;
    found.gateway = route->gateway;
  }
  found.has_source = choose_source(stack_, found.destination, &found.source);
  Message message = route_message(found, RTM_NEWROUTE, 0, request.header.nlmsg_seq, port_);
  reply(&message);
  return 0;
}

int NetlinkSock::set_route(const Request& request, bool add) {
  const auto fixed = request.fixed<rtmsg>();
  const Attributes given = request.attributes<rtmsg>();
  if (fixed.rtm_family != AF_INET && fixed.rtm_family != AF_INET6) return -EAFNOSUPPORT;
  const uint32_t table = given.number(RTA_TABLE, fixed.rtm_table);
  if (table != RT_TABLE_MAIN && table != RT_TABLE_UNSPEC) return add ? -EOPNOTSUPP : -ESRCH;
  if (given.has(RTA_MULTIPATH)) return -EOPNOTSUPP;
  Route route;
  ip_addr_set_any(fixed.rtm_family == AF_INET6, &route.destination);
  if (given.has(RTA_DST) && !given.address(RTA_DST, &route.destination)) return -EINVAL;
  if (route.v6() != (fixed.rtm_family == AF_INET6) || fixed.rtm_dst_len > (route.v6() ? 128 : 32)) return -EINVAL;
  const ip_addr_t network = network_of(route.destination, fixed.rtm_dst_len);
  // IPv4 refuses bits after the prefix, IPv6 ignores them.
  if (!route.v6() && !ip_addr_cmp_zoneless(&route.destination, &network)) return -EINVAL;
  route.destination = network;
  route.prefix = fixed.rtm_dst_len;
  route.has_gateway = given.address(RTA_GATEWAY, &route.gateway);
  route.has_source = given.address(RTA_PREFSRC, &route.source);
  route.interface = static_cast<int>(given.number(RTA_OIF, 0));
  route.metric = given.number(RTA_PRIORITY, route.v6() && add ? 1024 : 0);
  route.type = fixed.rtm_type == RTN_UNSPEC ? uint8_t{RTN_UNICAST} : fixed.rtm_type;
  route.scope = fixed.rtm_scope == RT_SCOPE_NOWHERE ? uint8_t{RT_SCOPE_UNIVERSE} : fixed.rtm_scope;
  route.protocol = fixed.rtm_protocol;
  if (!add) {
    const int result = stack_->routes().remove(route, !route.has_gateway, route.interface == 0);
    if (result != 0) return result;
  } else if (route.type == RTN_UNICAST) {
    if (route.has_gateway) {
      if (stack_->is_local(route.gateway)) return -EINVAL;
      const bool link_local = route.v6() && ip6_addr_islinklocal(ip_2_ip6(&route.gateway));
      const Route* near = link_local ? nullptr : stack_->routes().find(route.gateway, route.interface);
      if (near == nullptr && !(link_local && route.interface != 0) && (fixed.rtm_flags & RTNH_F_ONLINK) == 0) {
        return route.v6() ? -EHOSTUNREACH : -ENETUNREACH;
      }
      if (route.interface == 0 && near != nullptr) route.interface = near->interface;
    }
    const Interface* interface = stack_->interface(route.interface);
    if (interface == nullptr) return route.interface == 0 ? -EINVAL : -ENODEV;
    if (!interface->up()) return -ENETDOWN;
  } else if (route.type != RTN_UNREACHABLE && route.type != RTN_BLACKHOLE && route.type != RTN_PROHIBIT) {
    return -EOPNOTSUPP;
  } else {
    route.interface = 0;
  }
  if (add) {
    const unsigned flags = request.header.nlmsg_flags;
    const bool replace = (flags & NLM_F_REPLACE) != 0;
    if ((flags & (NLM_F_CREATE | NLM_F_REPLACE)) == 0) return -ENOENT;
    const int result = stack_->routes().add(route, replace, (flags & NLM_F_EXCL) != 0);
    if (result != 0) return result;
  }
  stack_->touch();
  Message told = route_message(route, add ? RTM_NEWROUTE : RTM_DELROUTE, 0, 0, 0);
  broadcast(stack_, route.v6() ? RTNLGRP_IPV6_ROUTE : RTNLGRP_IPV4_ROUTE, &told);
  return 0;
}

int NetlinkSock::get_rule(const Request& request) {
  const auto fixed = request.fixed<fib_rule_hdr>();
  if (!request.dump()) return -EOPNOTSUPP;
  static constexpr struct {
    uint32_t table, priority;
  } kRules[] = {{RT_TABLE_LOCAL, 0}, {RT_TABLE_MAIN, 32766}, {RT_TABLE_DEFAULT, 32767}};
  for (const auto& rule : kRules) {
    if (fixed.family == AF_INET6 && rule.table == RT_TABLE_DEFAULT) continue;
    Message message(RTM_NEWRULE, NLM_F_MULTI, request.header.nlmsg_seq, port_);
    fib_rule_hdr header = {};
    header.family = fixed.family == AF_INET6 ? AF_INET6 : AF_INET;
    header.table = static_cast<uint8_t>(rule.table);
    header.action = FR_ACT_TO_TBL;
    message.body(header);
    message.number<uint32_t>(FRA_TABLE, rule.table);
    if (rule.priority != 0) message.number<uint32_t>(FRA_PRIORITY, rule.priority);
    reply(&message);
  }
  return 0;
}

int NetlinkSock::get_neighbour(const Request& request) {
  const auto fixed = request.fixed<ndmsg>();
  if (!request.dump()) return -EOPNOTSUPP;
  const auto add = [&](netif* place, const ip_addr_t& ip, const uint8_t* mac, uint16_t state, uint8_t flags) {
    const Interface* interface = Interface::of(place);
    const uint8_t family = IP_IS_V6_VAL(ip) ? AF_INET6 : AF_INET;
    if (fixed.ndm_family != AF_UNSPEC && fixed.ndm_family != family) return;
    Message message(RTM_NEWNEIGH, NLM_F_MULTI, request.header.nlmsg_seq, port_);
    ndmsg header = {};
    header.ndm_family = family;
    header.ndm_ifindex = interface->index();
    header.ndm_state = state;
    header.ndm_flags = flags;
    header.ndm_type = RTN_UNICAST;
    message.body(header);
    message.address(NDA_DST, ip);
    if (mac != nullptr) message.attribute(NDA_LLADDR, mac, 6);
    reply(&message);
  };
  for (std::size_t i = 0; i < ARP_TABLE_SIZE; ++i) {
    ip4_addr_t* ip;
    netif* place;
    eth_addr* mac;
    if (etharp_get_entry(i, &ip, &place, &mac) == 0) continue;
    ip_addr_t address;
    ip_addr_copy_from_ip4(address, *ip);
    add(place, address, mac->addr, NUD_REACHABLE, 0);
  }
  for (std::size_t i = 0; i < LWIP_ND6_NUM_NEIGHBORS; ++i) {
    const nd6_neighbor_cache_entry& entry = neighbor_cache[i];
    if (entry.state == ND6_NO_ENTRY) continue;
    ip_addr_t address;
    ip_addr_copy_from_ip6(address, entry.next_hop_address);
    const uint16_t state = entry.state == ND6_INCOMPLETE  ? NUD_INCOMPLETE
                           : entry.state == ND6_REACHABLE ? NUD_REACHABLE
                           : entry.state == ND6_DELAY     ? NUD_DELAY
                           : entry.state == ND6_PROBE     ? NUD_PROBE
                                                          : NUD_STALE;
    add(entry.netif, address, entry.state == ND6_INCOMPLETE ? nullptr : entry.lladdr, state,
        entry.isrouter != 0 ? NTF_ROUTER : 0);
  }
  return 0;
}

int NetlinkSock::set_neighbour(const Request& request, bool add) {
  const auto fixed = request.fixed<ndmsg>();
  const Attributes given = request.attributes<ndmsg>();
  Interface* interface = stack_->interface(fixed.ndm_ifindex);
  ip_addr_t ip;
  if (interface == nullptr) return -ENODEV;
  if (!given.address(NDA_DST, &ip)) return -EINVAL;
  // The neighbour table of lwIP takes fixed entries of IPv4 only.
  if (IP_IS_V6_VAL(ip)) return -EOPNOTSUPP;
  const auto mac = given.find(NDA_LLADDR);
  if (!add) return etharp_remove_static_entry(ip_2_ip4(&ip)) == ERR_OK ? 0 : -ENOENT;
  if (mac.size() != 6) return -EINVAL;
  eth_addr hardware;
  std::memcpy(hardware.addr, mac.data(), 6);
  return etharp_add_static_entry(ip_2_ip4(&ip), &hardware) == ERR_OK ? 0 : -ENETUNREACH;
}

}  // namespace umvu::lwip
