// The old ioctl requests of netdevice(7).
#include <arpa/inet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "lwip/host.h"
#include "lwip/packet_io.h"

namespace umvu::lwip {

unsigned link_flags(const Interface& interface);

namespace {

const Address* first_ipv4(const Interface& interface) {
  for (const Address& address : interface.addresses()) {
    if (IP_IS_V4_VAL(address.ip)) return &address;
  }
  return nullptr;
}

uint32_t mask_of(unsigned prefix) { return htonl(prefix == 0 ? 0 : ~0u << (32 - prefix)); }

int put_ipv4(ifreq* request, uint32_t address) {
  sockaddr_in value = {};
  value.sin_family = AF_INET;
  value.sin_addr.s_addr = address;
  std::memcpy(&request->ifr_addr, &value, sizeof value);
  return 0;
}

int get(Interface* interface, unsigned code, ifreq* request) {
  const Address* address = first_ipv4(*interface);
  switch (code) {
    case SIOCGIFINDEX: request->ifr_ifindex = interface->index(); return 0;
    case SIOCGIFFLAGS: request->ifr_flags = static_cast<short>(link_flags(*interface)); return 0;
    case SIOCGIFMTU: request->ifr_mtu = interface->mtu(); return 0;
    case SIOCGIFMETRIC: request->ifr_metric = 0; return 0;
    case SIOCGIFTXQLEN: request->ifr_qlen = 1000; return 0;
    case SIOCGIFHWADDR:
      std::memset(&request->ifr_hwaddr, 0, sizeof request->ifr_hwaddr);
      request->ifr_hwaddr.sa_family = interface->loopback() ? ARPHRD_LOOPBACK : ARPHRD_ETHER;
      std::memcpy(request->ifr_hwaddr.sa_data, interface->mac().data(), 6);
      return 0;
    case SIOCGIFADDR:
    case SIOCGIFDSTADDR:
      return address == nullptr ? -EADDRNOTAVAIL : put_ipv4(request, ip_2_ip4(&address->ip)->addr);
    case SIOCGIFNETMASK: return address == nullptr ? -EADDRNOTAVAIL : put_ipv4(request, mask_of(address->prefix));
    case SIOCGIFBRDADDR:
      if (address == nullptr) return -EADDRNOTAVAIL;
      return put_ipv4(request, interface->loopback() ? 0 : ip_2_ip4(&address->ip)->addr | ~mask_of(address->prefix));
    case SIOCGIFMAP: std::memset(&request->ifr_map, 0, sizeof request->ifr_map); return 0;
    default: return -EINVAL;
  }
}

int set(Interface* interface, unsigned code, const ifreq& request) {
  sockaddr_in given;
  std::memcpy(&given, &request.ifr_addr, sizeof given);
  const Address* address = first_ipv4(*interface);
  switch (code) {
    case SIOCSIFFLAGS: interface->set_up((request.ifr_flags & IFF_UP) != 0); return 0;
    case SIOCSIFMTU: return interface->set_mtu(request.ifr_mtu);
    case SIOCSIFTXQLEN: return 0;
    case SIOCSIFHWADDR:
      if (interface->loopback()) return -EOPNOTSUPP;
      interface->set_mac(reinterpret_cast<const uint8_t*>(request.ifr_hwaddr.sa_data));
      return 0;
    case SIOCSIFADDR:
    case SIOCSIFNETMASK: {
      if (given.sin_family != AF_INET) return -EINVAL;
      if (code == SIOCSIFNETMASK && address == nullptr) return -EADDRNOTAVAIL;
      Address wanted;
      const uint32_t host = ntohl(given.sin_addr.s_addr);
      if (code == SIOCSIFADDR) {
        ip_addr_set_ip4_u32_val(wanted.ip, given.sin_addr.s_addr);
        // The class of the address, until the mask is given.
        wanted.prefix = host >> 31 == 0 ? 8 : host >> 30 == 2 ? 16 : 24;
      } else {
        wanted.ip = address->ip;
        wanted.prefix = static_cast<uint8_t>(__builtin_popcount(host));
      }
      if (address != nullptr) {
        const Address old = *address;
        interface->remove_address(old.ip, old.prefix);
      }
      if (code == SIOCSIFADDR && given.sin_addr.s_addr == 0) return 0;
      const int result = interface->add_address(wanted, true);
      if (result == 0 && code == SIOCSIFADDR) interface->set_up(true);
      return result;
    }
    case SIOCSIFBRDADDR:
    case SIOCSIFDSTADDR: return 0;
    default: return -EINVAL;
  }
}

}  // namespace

int device_request(Stack* stack, unsigned code, std::span<uint8_t> bytes) {
  if (bytes.size() < sizeof(ifreq)) return -EINVAL;
  const Inside inside(&stack->image());
  ifreq request;
  std::memcpy(&request, bytes.data(), sizeof request);
  request.ifr_name[IFNAMSIZ - 1] = '\0';
  int result;
  if (code == SIOCGIFNAME) {
    const Interface* interface = stack->interface(request.ifr_ifindex);
    if (interface == nullptr) return -ENODEV;
    std::memset(request.ifr_name, 0, sizeof request.ifr_name);
    interface->name().copy(request.ifr_name, IFNAMSIZ - 1);
    result = 0;
  } else {
    Interface* interface = stack->interface(std::string(request.ifr_name));
    if (interface == nullptr) return -ENODEV;
    result = get(interface, code, &request);
    if (result == -EINVAL) result = set(interface, code, request);
  }
  if (result == 0) std::memcpy(bytes.data(), &request, sizeof request);
  return result;
}

}  // namespace umvu::lwip
