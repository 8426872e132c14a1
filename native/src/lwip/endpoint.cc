#include "lwip/endpoint.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "lwip/hooks.h"
#include "lwip/stack.h"

namespace umvu::lwip {

int read_endpoint(int domain, std::span<const uint8_t> bytes, Stack* stack, Endpoint* endpoint) {
  sa_family_t family;
  if (bytes.size() < sizeof family) return -EINVAL;
  std::memcpy(&family, bytes.data(), sizeof family);
  if (domain == AF_INET) {
    sockaddr_in address;
    if (bytes.size() < sizeof address) return -EINVAL;
    if (family != AF_INET) return -EAFNOSUPPORT;
    std::memcpy(&address, bytes.data(), sizeof address);
    ip_addr_set_ip4_u32_val(endpoint->ip, address.sin_addr.s_addr);
    endpoint->port = ntohs(address.sin_port);
    return 0;
  }
  constexpr std::size_t kOldSize = 24;  // without sin6_scope_id
  sockaddr_in6 address = {};
  if (bytes.size() < kOldSize) return -EINVAL;
  if (family != AF_INET6) return -EAFNOSUPPORT;
  std::memcpy(&address, bytes.data(), std::min(bytes.size(), sizeof address));
  endpoint->port = ntohs(address.sin6_port);
  if (IN6_IS_ADDR_V4MAPPED(&address.sin6_addr)) {
    uint32_t v4;
    std::memcpy(&v4, address.sin6_addr.s6_addr + 12, sizeof v4);
    ip_addr_set_ip4_u32_val(endpoint->ip, v4);
    return 0;
  }
  ip6_addr_t ip = {};
  std::memcpy(ip.addr, address.sin6_addr.s6_addr, 16);
  ip6_addr_clear_zone(&ip);
  if (address.sin6_scope_id != 0) {
    Interface* interface = stack->interface(static_cast<int>(address.sin6_scope_id));
    if (ip6_addr_has_scope(&ip, IP6_UNKNOWN)) {
      if (interface == nullptr) return -ENODEV;
      ip6_addr_assign_zone(&ip, IP6_UNKNOWN, interface->base());
    }
  }
  ip_addr_copy_from_ip6(endpoint->ip, ip);
  return 0;
}

std::size_t write_endpoint(int domain, const Endpoint& endpoint, uint8_t* out) {
  if (domain == AF_INET) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(endpoint.port);
    if (IP_IS_V4_VAL(endpoint.ip)) address.sin_addr.s_addr = ip_2_ip4(&endpoint.ip)->addr;
    std::memcpy(out, &address, sizeof address);
    return sizeof address;
  }
  sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(endpoint.port);
  if (IP_IS_V6_VAL(endpoint.ip)) {
    std::memcpy(address.sin6_addr.s6_addr, ip_2_ip6(&endpoint.ip)->addr, 16);
    if (ip6_addr_has_zone(ip_2_ip6(&endpoint.ip))) {
      netif* place = netif_get_by_index(ip6_addr_zone(ip_2_ip6(&endpoint.ip)));
      if (place != nullptr) address.sin6_scope_id = static_cast<uint32_t>(Interface::of(place)->index());
    }
  } else if (IP_IS_V4_VAL(endpoint.ip) && !ip4_addr_isany_val(*ip_2_ip4(&endpoint.ip))) {
    address.sin6_addr.s6_addr[10] = address.sin6_addr.s6_addr[11] = 0xff;
    std::memcpy(address.sin6_addr.s6_addr + 12, &ip_2_ip4(&endpoint.ip)->addr, 4);
  }
  std::memcpy(out, &address, sizeof address);
  return sizeof address;
}

u8_t pcb_type(int domain, bool v6only) {
  if (domain == AF_INET) return IPADDR_TYPE_V4;
  return v6only ? IPADDR_TYPE_V6 : IPADDR_TYPE_ANY;
}

int errno_of(err_t error) {
  switch (error) {
    case ERR_OK: return 0;
    case ERR_MEM:
    case ERR_BUF: return -ENOBUFS;
    case ERR_TIMEOUT:
    case ERR_ABRT: return -ETIMEDOUT;
    case ERR_RTE: return -ENETUNREACH;
    case ERR_INPROGRESS: return -EINPROGRESS;
    case ERR_WOULDBLOCK: return -EAGAIN;
    case ERR_USE: return -EADDRINUSE;
    case ERR_ALREADY: return -EALREADY;
    case ERR_ISCONN: return -EISCONN;
    case ERR_CONN: return -ENOTCONN;
    case ERR_IF: return -ENETDOWN;
    case ERR_RST: return -ECONNREFUSED;
    default: return -EINVAL;
  }
}

bool choose_source(Stack* stack, const ip_addr_t& remote, ip_addr_t* source, Interface* device) {
  if (IP_IS_V4_VAL(remote)) {
    netif* place = device != nullptr ? device->place_for(*ip_2_ip4(&remote)) : umvu_ip4_route(nullptr, ip_2_ip4(&remote));
    if (place == nullptr) return false;
    // Linux talks to its own addresses from the same address.
    if (stack->is_local(remote)) {
      *source = remote;
      if (ip4_addr_isloopback(ip_2_ip4(&remote))) ip_addr_set_loopback(0, source);
      return true;
    }
    ip_addr_copy_from_ip4(*source, *netif_ip4_addr(place));
    return !ip4_addr_isany_val(*netif_ip4_addr(place));
  }
  netif* place = device != nullptr ? device->base() : umvu_ip6_route(nullptr, ip_2_ip6(&remote));
  if (place == nullptr) return false;
  if (stack->is_local(remote)) {
    *source = remote;
    return true;
  }
  const ip_addr_t* chosen = ip6_select_source_address(place, ip_2_ip6(&remote));
  if (chosen == nullptr) return false;
  *source = *chosen;
  return true;
}

}  // namespace umvu::lwip
