// ICMP errors, as sockets are told of them.
#pragma once

#include <time.h>
// After <time.h>, which it needs.
#include <linux/errqueue.h>

#include <cstdint>
#include <span>
#include <vector>

#include "lwip/endpoint.h"

namespace umvu::lwip {

class Stack;

// An entry of the queue that recvmsg(2) with MSG_ERRQUEUE reads.
struct IcmpError {
  sock_extended_err what = {};
  ip_addr_t offender = IPADDR4_INIT(0);  // who reported it
  Endpoint to;                           // where the message went
  std::vector<uint8_t> bytes;            // what is known of the message

  // Bytes of memory.
  std::size_t cost() const { return sizeof *this + bytes.size(); }
  // sock_extended_err, offender and destination as sockaddrs of `domain`, in kLongestAddress bytes each after one for
  // their length, and the bytes. The size of it all.
  std::size_t write(int domain, std::span<uint8_t> out) const;
};

// Sees the ICMP messages that a stack receives. Lives inside the image.
class IcmpWatch {
 public:
  explicit IcmpWatch(Stack* stack);
  ~IcmpWatch();
  IcmpWatch(const IcmpWatch&) = delete;
  IcmpWatch& operator=(const IcmpWatch&) = delete;

 private:
  raw_pcb* const pcb4_;
  raw_pcb* const pcb6_;
};

}  // namespace umvu::lwip
