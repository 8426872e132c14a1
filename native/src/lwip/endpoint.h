// Socket addresses: struct sockaddr of guests and addresses of lwIP.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lwip/engine.h"

namespace umvu::lwip {

class Interface;
class Stack;

// Of struct sockaddr_storage.
inline constexpr std::size_t kLongestAddress = 128;

struct Endpoint {
  ip_addr_t ip = IPADDR4_INIT(0);
  uint16_t port = 0;  // host byte order

  bool any() const { return ip_addr_isany_val(ip); }
};

// Reads a sockaddr_in or sockaddr_in6 for a socket of `domain`. An IPv4-mapped address becomes one of IPv4. 0 or
// a negated errno.
int read_endpoint(int domain, std::span<const uint8_t> bytes, Stack* stack, Endpoint* endpoint);
// Writes it as sockaddr of `domain`; the length. `out` has kLongestAddress bytes.
std::size_t write_endpoint(int domain, const Endpoint& endpoint, uint8_t* out);
// The type of PCBs for sockets of `domain`.
u8_t pcb_type(int domain, bool v6only);
// The errno (negated) for an error of lwIP.
int errno_of(err_t error);
// The address from which a packet to `remote` goes, as Linux chooses it; false: unreachable.
bool choose_source(Stack* stack, const ip_addr_t& remote, ip_addr_t* source, Interface* device = nullptr);

}  // namespace umvu::lwip
