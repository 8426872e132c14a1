#include "lists.h"

#include <cstring>

#include "lwip/configuration.h"
#include "lwip/stack.h"

namespace umvu::isolated {
namespace {

uint8_t pack(const ip_addr_t& ip, Bytes* bytes) {
  *bytes = {};
  const bool v6 = IP_IS_V6_VAL(ip);
  const uint8_t size = v6 ? 16 : 4;
  std::memcpy(bytes->bytes, v6 ? static_cast<const void*>(ip_2_ip6(&ip)->addr) : &ip_2_ip4(&ip)->addr, size);
  return size;
}

uint8_t bits(bool first, bool second, bool third = false) {
  return static_cast<uint8_t>((first ? 1 : 0) | (second ? 2 : 0) | (third ? 4 : 0));
}

LinkEntry pack(const lwip::LinkState& link) {
  LinkEntry entry = {link.index, link.mtu, bits(link.loopback, link.up, link.carrier), {}, 0, {},
                     link.counters.rx_frames, link.counters.rx_bytes, link.counters.tx_frames, link.counters.tx_bytes,
                     link.counters.dropped};
  std::memcpy(entry.mac, link.mac.data(), sizeof entry.mac);
  link.name.copy(entry.name, sizeof entry.name - 1);
  return entry;
}

AddressEntry pack(const lwip::AddressState& address) {
  AddressEntry entry = {};
  entry.index = address.index;
  entry.valid = address.valid;
  entry.preferred = address.preferred;
  entry.flags = bits(address.tentative, address.duplicated, address.deprecated);
  entry.size = pack(address.ip, &entry.address);
  return entry;
}

NeighbourEntry pack(const lwip::Neighbour& neighbour) {
  NeighbourEntry entry = {};
  entry.index = neighbour.interface;
  entry.state = neighbour.state;
  entry.flags = bits(neighbour.router, neighbour.has_mac);
  entry.size = pack(neighbour.ip, &entry.address);
  std::memcpy(entry.mac, neighbour.mac.data(), sizeof entry.mac);
  return entry;
}

RouterEntry pack(const lwip::Router& router) {
  RouterEntry entry = {};
  entry.index = router.index;
  entry.lifetime = router.lifetime;
  entry.size = pack(router.ip, &entry.address);
  return entry;
}

ConnectionEntry pack(const lwip::Connection& connection) {
  ConnectionEntry entry = {};
  entry.domain = connection.domain;
  entry.type = connection.type;
  entry.protocol = connection.protocol;
  entry.state = connection.state;
  entry.local_size = pack(connection.local.ip, &entry.local);
  entry.remote_size = pack(connection.remote.ip, &entry.remote);
  entry.local_port = connection.local.port;
  entry.remote_port = connection.remote.port;
  entry.v6only = connection.v6only;
  entry.unsent = connection.unsent;
  entry.inode = connection.inode;
  return entry;
}

template <typename List>
std::vector<uint8_t> packed(const List& list) {
  std::vector<uint8_t> bytes;
  for (const auto& item : list) {
    const auto entry = pack(item);
    const auto* data = reinterpret_cast<const uint8_t*>(&entry);
    bytes.insert(bytes.end(), data, data + sizeof entry);
  }
  return bytes;
}

}  // namespace

std::vector<uint8_t> list(Op op, lwip::Stack* stack) {
  switch (op) {
    case Op::kLinks: return packed(lwip::list_links(*stack));
    case Op::kAddresses: return packed(lwip::list_addresses(*stack));
    case Op::kNeighbours: return packed(stack->neighbours().list());
    case Op::kRouters: return packed(lwip::list_routers());
    default: return packed(lwip::list_connections(*stack));
  }
}

}  // namespace umvu::isolated
