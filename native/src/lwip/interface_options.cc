// Options of sockets that name interfaces: SO_BINDTODEVICE, IP_UNICAST_IF, IP_MULTICAST_IF and those of IPv6.
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lwip/host.h"

namespace umvu::lwip {
namespace {

constexpr int kUnicast = 50, kUnicast6 = 76;  // IP_UNICAST_IF, IPV6_UNICAST_IF
// Added to the level of an option: where the index of its interface is kept.
constexpr int kIndex = 1 << 16;

std::span<const uint8_t> bytes_of(const int& value) {
  return {reinterpret_cast<const uint8_t*>(&value), sizeof value};
}

// What IP_MULTICAST_IF names: an address, struct ip_mreq or struct ip_mreqn. Its address and index.
std::pair<uint32_t, int> multicast_request(const std::vector<uint8_t>& value) {
  uint32_t address = 0;
  int index = 0;
  if (value.size() >= sizeof(ip_mreqn)) std::memcpy(&index, &value[8], sizeof index);
  if (value.size() >= sizeof(ip_mreq)) {
    std::memcpy(&address, &value[4], sizeof address);
  } else if (value.size() >= sizeof address) {
    std::memcpy(&address, value.data(), sizeof address);
  }
  return {address, index};
}

}  // namespace

int Sock::interface_option(int level, int name) {
  const std::vector<uint8_t>* value = options_.find(level, name);
  if (value == nullptr) return 0;
  int index = options_.number(level, name);
  int missing = ENODEV;
  if (level == SOL_SOCKET && name == SO_BINDTODEVICE) {
    const std::string device(value->begin(), std::find(value->begin(), value->end(), 0));
    const Interface* interface = stack_->interface(device);
    if (interface == nullptr && !device.empty()) return -ENODEV;
    index = interface == nullptr ? 0 : interface->index();
  } else if (level == SOL_SOCKET && name == SO_BINDTOIFINDEX) {
    const Interface* interface = stack_->interface(index);
    if (interface == nullptr && index != 0) return -ENODEV;
    std::vector<uint8_t> device;
    if (interface != nullptr) device.assign(interface->name().c_str(), interface->name().c_str() + interface->name().size() + 1);
    options_.set(level, SO_BINDTODEVICE, device);
    name = SO_BINDTODEVICE;
  } else if ((level == IPPROTO_IP && name == kUnicast) || (level == IPPROTO_IPV6 && name == kUnicast6)) {
    index = static_cast<int>(ntohl(static_cast<uint32_t>(index)));
    missing = EADDRNOTAVAIL;
  } else if (level == IPPROTO_IP && name == IP_MULTICAST_IF) {
    const auto [address, wanted] = multicast_request(*value);
    ip_addr_t own;
    ip_addr_set_ip4_u32_val(own, address);
    const Interface* holder = address == 0 || wanted != 0 ? nullptr : stack_->holder(own);
    if (address != 0 && wanted == 0 && holder == nullptr) return -EADDRNOTAVAIL;
    index = holder == nullptr ? wanted : holder->index();
    missing = EADDRNOTAVAIL;
    const int shown = static_cast<int>(address);
    options_.set(level, name, bytes_of(shown));
  } else if (level != IPPROTO_IPV6 || name != IPV6_MULTICAST_IF) {
    return 0;
  }
  if (index != 0 && stack_->interface(index) == nullptr) return -missing;
  options_.set(level + kIndex, name, bytes_of(index));
  return 0;
}

Interface* Sock::chosen_interface(int level, int name) const {
  const int index = options_.number(level + kIndex, name);
  return index == 0 ? nullptr : stack_->interface(index);
}

bool Sock::hears_current() const {
  const Interface* bound = chosen_interface(SOL_SOCKET, SO_BINDTODEVICE);
  const netif* input = ip_current_input_netif();
  if (bound == nullptr || input == nullptr) return true;
  // What this host sends to itself comes by the interface that has the address.
  const Interface* here = Interface::of(input);
  return bound == (here->loopback() ? stack_->holder(*ip_current_dest_addr()) : here);
}

bool Sock::other_device(const Sock& other) const {
  const Interface* mine = chosen_interface(SOL_SOCKET, SO_BINDTODEVICE);
  const Interface* its = other.chosen_interface(SOL_SOCKET, SO_BINDTODEVICE);
  return mine != nullptr && its != nullptr && mine != its;
}

}  // namespace umvu::lwip
