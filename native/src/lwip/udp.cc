#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "lwip/datagram.h"
#include "lwip/host.h"

namespace umvu::lwip {

UdpSock::UdpSock(Stack* stack, int domain, int protocol) : InternetSock(stack, domain, SOCK_DGRAM, protocol) {
  pcb_ = udp_new_ip_type(pcb_type(domain, false));
  if (pcb_ == nullptr) return;
  ip_set_option(pcb_, SOF_REUSEADDR);  // conflicts are found in taken()
  ip_set_option(pcb_, SOF_BROADCAST);
  if (protocol == IPPROTO_UDPLITE) udp_set_flags(pcb_, UDP_FLAGS_UDPLITE);
  udp_recv(pcb_, on_packet, this);
}

UdpSock::~UdpSock() = default;

void UdpSock::drop() {
  if (pcb_ != nullptr) udp_remove(pcb_);
  pcb_ = nullptr;
}

bool UdpSock::taken(const Endpoint& wanted) const {
  for (const Sock* sock : stack_->socks()) {
    const auto* other = dynamic_cast<const UdpSock*>(sock);
    if (other == nullptr || other == this || other->protocol_ != protocol_ || other->local_.port != wanted.port || wanted.port == 0) continue;
    const auto both = [&](int name) {
      return options_.number(SOL_SOCKET, name) != 0 && other->options_.number(SOL_SOCKET, name) != 0;
    };
    if (both(SO_REUSEADDR) || both(SO_REUSEPORT)) continue;
    if (IP_IS_V6_VAL(other->local_.ip) != IP_IS_V6_VAL(wanted.ip)) {
      const auto narrow = [](const UdpSock& s, const ip_addr_t& ip) {
        return s.domain_ == AF_INET || !ip_addr_isany_val(ip) || s.options_.number(IPPROTO_IPV6, IPV6_V6ONLY) != 0;
      };
      if (narrow(*this, wanted.ip) && narrow(*other, other->local_.ip)) continue;
    }
    if (ip_addr_isany_val(other->local_.ip) || ip_addr_isany_val(wanted.ip) ||
        ip_addr_cmp_zoneless(&other->local_.ip, &wanted.ip)) {
      return true;
    }
  }
  return false;
}

int UdpSock::bind(int, std::span<const uint8_t> address) {
  if (pcb_ == nullptr) return -ENOBUFS;
  if (local_.port != 0) return -EINVAL;
  Endpoint wanted;
  if (const int result = read_endpoint(domain_, address, stack_, &wanted); result != 0) return result;
  const bool special = ip_addr_ismulticast(&wanted.ip) ||
                       (IP_IS_V4_VAL(wanted.ip) && ip_2_ip4(&wanted.ip)->addr == IPADDR_BROADCAST);
  if (!wanted.any() && !special && !stack_->is_local(wanted.ip)) return -EADDRNOTAVAIL;
  if (taken(wanted)) return -EADDRINUSE;
  ip_addr_t ip = wanted.ip;
  const bool dual = domain_ == AF_INET6 && options_.number(IPPROTO_IPV6, IPV6_V6ONLY) == 0;
  if (dual && wanted.any() && IP_IS_V6_VAL(wanted.ip)) ip = *IP_ANY_TYPE;
  const err_t error = udp_bind(pcb_, &ip, wanted.port);
  if (error != ERR_OK) return errno_of(error);
  local_ = {wanted.ip, pcb_->local_port};
  return 0;
}

int UdpSock::make_bound() {
  if (pcb_ == nullptr) return -ENOBUFS;
  if (local_.port != 0) return 0;
  const bool v6only = options_.number(IPPROTO_IPV6, IPV6_V6ONLY) != 0;
  const ip_addr_t* any = domain_ == AF_INET ? IP4_ADDR_ANY : v6only ? IP6_ADDR_ANY : IP_ANY_TYPE;
  const err_t error = udp_bind(pcb_, any, 0);
  if (error != ERR_OK) return -EAGAIN;
  local_.port = pcb_->local_port;
  return 0;
}

int UdpSock::connect(int, std::span<const uint8_t> address, bool) {
  sa_family_t family = AF_UNSPEC;
  if (address.size() >= sizeof family) std::memcpy(&family, address.data(), sizeof family);
  if (family == AF_UNSPEC) {
    if (address.size() < sizeof family) return -EINVAL;
    if (pcb_ != nullptr) udp_disconnect(pcb_);
    connected_ = false;
    return 0;
  }
  Endpoint remote;
  if (const int result = read_endpoint(domain_, address, stack_, &remote); result != 0) return result;
  if (const int result = make_bound(); result != 0) return result;
  if (ip_addr_isany_val(remote.ip)) ip_addr_set_loopback(IP_IS_V6_VAL(remote.ip), &remote.ip);
  const bool broadcast = IP_IS_V4_VAL(remote.ip) && ip_2_ip4(&remote.ip)->addr == IPADDR_BROADCAST;
  if (broadcast && options_.number(SOL_SOCKET, SO_BROADCAST) == 0) return -EACCES;
  ip_addr_t source;
  if (ip_addr_isany_val(local_.ip)) {
    if (!choose_source(stack_, remote.ip, &source)) return -ENETUNREACH;
    local_.ip = source;
  }
  if (const err_t error = udp_connect(pcb_, &remote.ip, remote.port); error != ERR_OK) return errno_of(error);
  remote_ = remote;
  connected_ = true;
  return 0;
}

int UdpSock::outgoing(std::span<const uint8_t> bytes, const Meta* meta) {
  Endpoint to;
  ip_addr_t source;
  netif* place = nullptr;
  int result = make_bound();
  if (result == 0) result = destination(meta, &to, &source, &place);
  if (result != 0) return result;
  if (bytes.size() > 65507) return -EMSGSIZE;
  if (IP_IS_V4_VAL(to.ip) && ip4_addr_isbroadcast(ip_2_ip4(&to.ip), place) &&
      options_.number(SOL_SOCKET, SO_BROADCAST) == 0) {
    return -EACCES;
  }
  pbuf* packet = pbuf_alloc(PBUF_TRANSPORT, static_cast<u16_t>(bytes.size()), PBUF_RAM);
  if (packet == nullptr) return -ENOBUFS;
  pbuf_take(packet, bytes.data(), static_cast<u16_t>(bytes.size()));
  const bool v6 = IP_IS_V6_VAL(to.ip);
  const int ttl = v6 ? options_.number(IPPROTO_IPV6, IPV6_UNICAST_HOPS, -1) : options_.number(IPPROTO_IP, IP_TTL, -1);
  pcb_->ttl = static_cast<u8_t>(meta != nullptr && meta->ttl != 0 ? meta->ttl : ttl < 0 ? 64 : ttl);
  pcb_->tos = static_cast<u8_t>(v6 ? options_.number(IPPROTO_IPV6, IPV6_TCLASS) : options_.number(IPPROTO_IP, IP_TOS));
  const int group = v6 ? options_.number(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 1)
                       : options_.number(IPPROTO_IP, IP_MULTICAST_TTL, 1);
  udp_set_multicast_ttl(pcb_, static_cast<u8_t>(group < 0 ? 1 : group));
  const int loop = v6 ? options_.number(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 1)
                      : options_.number(IPPROTO_IP, IP_MULTICAST_LOOP, 1);
  if (loop != 0) {
    udp_set_flags(pcb_, UDP_FLAGS_MULTICAST_LOOP);
  } else {
    udp_clear_flags(pcb_, UDP_FLAGS_MULTICAST_LOOP);
  }
  const err_t error = udp_sendto_if_src(pcb_, packet, &to.ip, to.port, place, &source);
  pbuf_free(packet);
  return errno_of(error);
}

void UdpSock::on_packet(void* self, udp_pcb*, pbuf* packet, const ip_addr_t* from, u16_t port) {
  auto* sock = static_cast<UdpSock*>(self);
  const Meta meta = sock->meta_of(*from, port, packet);
  sock->incoming(packet, 0, &meta);
  pbuf_free(packet);
}

int UdpSock::option_changed(int guest, int level, int name) {
  if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY && local_.port != 0) return -EINVAL;
  if ((level == IPPROTO_IP && (name == IP_ADD_MEMBERSHIP || name == IP_DROP_MEMBERSHIP)) ||
      (level == IPPROTO_IPV6 && (name == IPV6_ADD_MEMBERSHIP || name == IPV6_DROP_MEMBERSHIP))) {
    return membership(level, name);
  }
  if (level == IPPROTO_UDPLITE) return coverage(name);
  return DatagramSock::option_changed(guest, level, name);
}

// UDPLITE_SEND_CSCOV and UDPLITE_RECV_CSCOV: how much of a datagram its checksum covers.
int UdpSock::coverage(int name) {
  constexpr int kSend = 10;
  int bytes = options_.number(IPPROTO_UDPLITE, name);
  if (bytes != 0 && bytes < 8) bytes = 8;
  if (bytes > UINT16_MAX) bytes = UINT16_MAX;
  udp_set_flags(pcb_, UDP_FLAGS_UDPLITE);
  (name == kSend ? pcb_->chksum_len_tx : pcb_->chksum_len_rx) = static_cast<u16_t>(bytes);
  return 0;
}

int UdpSock::membership(int level, int name) {
  const std::vector<uint8_t>& value = *options_.find(level, name);
  if (level == IPPROTO_IP) {
    if (value.size() < 8) return -EINVAL;
    ip4_addr_t group, own;
    std::memcpy(&group.addr, value.data(), 4);
    std::memcpy(&own.addr, value.data() + 4, 4);
    int index = 0;
    if (value.size() >= sizeof(ip_mreqn)) std::memcpy(&index, value.data() + 8, 4);
    if (!ip4_addr_ismulticast(&group)) return -EINVAL;
    Interface* interface = stack_->interface(index);
    if (interface == nullptr) {
      netif* place = ip4_addr_isany_val(own) ? ip4_route(&group) : nullptr;
      for (const auto& each : stack_->interfaces()) {
        for (const Address& address : each->addresses()) {
          if (IP_IS_V4_VAL(address.ip) && ip4_addr_cmp(ip_2_ip4(&address.ip), &own)) place = each->base();
        }
      }
      if (place == nullptr) return -ENODEV;
      interface = Interface::of(place);
    }
    netif* base = interface->base();
    const err_t error = name == IP_ADD_MEMBERSHIP ? igmp_joingroup_netif(base, &group) : igmp_leavegroup_netif(base, &group);
    return error == ERR_OK ? 0 : -EADDRNOTAVAIL;
  }
  if (value.size() < sizeof(ipv6_mreq)) return -EINVAL;
  ipv6_mreq request;
  std::memcpy(&request, value.data(), sizeof request);
  ip6_addr_t group = {};
  std::memcpy(group.addr, &request.ipv6mr_multiaddr, 16);
  if (!ip6_addr_ismulticast(&group)) return -EINVAL;
  Interface* interface = stack_->interface(static_cast<int>(request.ipv6mr_interface));
  if (interface == nullptr) {
    netif* place = ip6_route(nullptr, &group);
    if (place == nullptr) return -ENODEV;
    interface = Interface::of(place);
  }
  ip6_addr_assign_zone(&group, IP6_MULTICAST, interface->base());
  const err_t error = name == IPV6_ADD_MEMBERSHIP ? mld6_joingroup_netif(interface->base(), &group)
                                                  : mld6_leavegroup_netif(interface->base(), &group);
  return error == ERR_OK ? 0 : -EADDRNOTAVAIL;
}

}  // namespace umvu::lwip
