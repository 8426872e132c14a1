// What carries the frames of an interface out of its stack.
#ifndef UMVU_BROKER_CARRIER_H_
#define UMVU_BROKER_CARRIER_H_

#include <string>

#include "unique_fd.h"

namespace umvu::broker {

// Length of the struct virtio_net_hdr before each frame, in bytes.
inline constexpr int kVnetHeaderSize = 10;

// Makes the TAP interface `name` in the calling thread's network namespace. It lives as long as
// that does, and has no carrier when the descriptor is closed: taking the interface down at that
// moment would hold up the supervisor for 25 ms, while the kernel removes all that is in a dead
// namespace at once.
UniqueFd MakeTap(const std::string& name, unsigned mtu);

// A packet socket on `interface` of the calling thread's network namespace, which receives all that
// the other end of the pair sends, and nothing that it sends itself. VLAN tags are in
// PACKET_AUXDATA.
UniqueFd OpenPacketSocket(const std::string& interface);

}  // namespace umvu::broker

#endif  // UMVU_BROKER_CARRIER_H_
