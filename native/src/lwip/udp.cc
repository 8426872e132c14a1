#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
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
  leave_all();
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
    if (both(SO_REUSEADDR) || both(SO_REUSEPORT) || other_device(*other)) continue;
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
  if (!wanted.any() && !special && !stack_->is_local(wanted.ip) && options_.number(IPPROTO_IP, IP_FREEBIND) == 0) return -EADDRNOTAVAIL;
  if (taken(wanted)) {
    // Perhaps by one that its guest has closed.
    host().sweep();
    if (taken(wanted)) return -EADDRINUSE;
  }
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
    if (chosen_) ip_addr_set_any(domain_ == AF_INET6, &local_.ip);
    connected_ = chosen_ = false;
    return 0;
  }
  Endpoint remote;
  if (const int result = read_peer(address, &remote); result != 0) return result;
  if (IP_IS_V4_VAL(remote.ip) && domain_ == AF_INET6 && options_.number(IPPROTO_IPV6, IPV6_V6ONLY) != 0) {
    return family == AF_INET ? -EAFNOSUPPORT : -ENETUNREACH;
  }
  if (const int result = make_bound(); result != 0) return result;
  if (ip_addr_isany_val(remote.ip)) ip_addr_set_loopback(IP_IS_V6_VAL(remote.ip), &remote.ip);
  if (broadcast(remote.ip, ip_route(&local_.ip, &remote.ip)) && options_.number(SOL_SOCKET, SO_BROADCAST) == 0) {
    return -EACCES;
  }
  if (chosen_ || ip_addr_isany_val(local_.ip)) {
    ip_addr_t source;
    if (!choose_source(stack_, remote.ip, &source)) return -ENETUNREACH;
    local_.ip = source;
    chosen_ = true;
  } else if (ip_route(&local_.ip, &remote.ip) == nullptr) {
    return -ENETUNREACH;
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
  const bool v6 = IP_IS_V6_VAL(to.ip);
  if (bytes.size() > (v6 ? 65527 : 65507)) return -EMSGSIZE;
  if (result = check_size(bytes.size() + UDP_HLEN, place, v6); result != 0) return result;
  pbuf* packet = pbuf_alloc(PBUF_TRANSPORT, static_cast<u16_t>(bytes.size()), PBUF_RAM);
  if (packet == nullptr) return -ENOBUFS;
  pbuf_take(packet, bytes.data(), static_cast<u16_t>(bytes.size()));
  set_hops(meta, v6);
  const err_t error = udp_sendto_if_src(pcb_, packet, &to.ip, to.port, place, &source);
  pbuf_free(packet);
  return errno_of(error);
}

void UdpSock::set_hops(const Meta* meta, bool v6) {
  const auto option = [&](int name4, int name6, int otherwise) {
    const int value = v6 ? options_.number(IPPROTO_IPV6, name6, otherwise) : options_.number(IPPROTO_IP, name4, otherwise);
    return value < 0 ? otherwise : value;
  };
  const int ttl = meta != nullptr && meta->ttl != 0 ? meta->ttl : option(IP_TTL, IPV6_UNICAST_HOPS, IP_DEFAULT_TTL);
  pcb_->ttl = static_cast<u8_t>(ttl);
  pcb_->tos = meta != nullptr && meta->tos != 0 ? meta->tos : static_cast<u8_t>(option(IP_TOS, IPV6_TCLASS, 0));
  udp_set_multicast_ttl(pcb_, static_cast<u8_t>(option(IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS, 1)));
  if (option(IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP, 1) != 0) {
    udp_set_flags(pcb_, UDP_FLAGS_MULTICAST_LOOP);
  } else {
    udp_clear_flags(pcb_, UDP_FLAGS_MULTICAST_LOOP);
  }
}

// Of sockets that share a port, by SO_REUSEPORT or by their devices, the one that gets the datagrams of this sender.
UdpSock* UdpSock::choose(const ip_addr_t& from, uint16_t port) {
  if (connected_ || ip_addr_ismulticast(ip_current_dest_addr())) return this;
  const bool heard = hears_current(), shared = options_.number(SOL_SOCKET, SO_REUSEPORT) != 0;
  if (heard && !shared) return this;
  std::vector<UdpSock*> group;
  for (Sock* sock : stack_->socks()) {
    auto* other = dynamic_cast<UdpSock*>(sock);
    if (other != nullptr && !other->connected_ && other->protocol_ == protocol_ && other->local_.port == local_.port &&
        ip_addr_cmp(&other->local_.ip, &local_.ip) && other->hears_current() &&
        (!heard || other->options_.number(SOL_SOCKET, SO_REUSEPORT) != 0)) {
      group.push_back(other);
    }
  }
  if (group.empty()) return this;
  const uint32_t address = IP_IS_V4_VAL(from) ? ip_2_ip4(&from)->addr : ip_2_ip6(&from)->addr[3];
  const uint32_t hash = (address ^ port) * 0x9e3779b1u >> 16;
  return group[hash % group.size()];
}

// How much the filter leaves of a datagram with its header, which always stays; 0: it is dropped.
std::size_t UdpSock::filtered(pbuf* packet) const {
  if (filter_.empty()) return SIZE_MAX;
  const std::size_t ip = ip_current_header_tot_len();
  const auto headers = static_cast<s16_t>(ip + UDP_HLEN);
  if (pbuf_header_force(packet, headers) != 0) return 0;
  const std::size_t kept = filter_.run_current(packet, ip);
  pbuf_remove_header(packet, static_cast<std::size_t>(headers));
  return kept == 0 ? 0 : std::max<std::size_t>(kept, UDP_HLEN);
}

void UdpSock::on_packet(void* self, udp_pcb*, pbuf* packet, const ip_addr_t* from, u16_t port) {
  UdpSock* sock = static_cast<UdpSock*>(self)->choose(*from, port);
  const Meta meta = sock->meta_of(*from, port, packet);
  const std::size_t most = sock->filtered(packet);
  if (most > 0 && sock->wants_current() && !sock->incoming(packet, 0, &meta, most - UDP_HLEN) && sock->closed() &&
      !ip_addr_ismulticast(ip_current_dest_addr())) {
    // The guest has closed it meanwhile.
    pbuf_header_force(packet, static_cast<s16_t>(ip_current_header_tot_len() + UDP_HLEN));
    icmp_port_unreach(ip_current_is_v6(), packet);
  }
  pbuf_free(packet);
}

int UdpSock::option_changed(int guest, int level, int name) {
  if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY && local_.port != 0) return -EINVAL;
  if (level == IPPROTO_UDPLITE) return coverage(name);
  return InternetSock::option_changed(guest, level, name);
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

}  // namespace umvu::lwip
