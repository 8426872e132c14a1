// Between frames of a network and packets of lwIP.
#pragma once

#include "lwip/interface.h"
#include "net/offload.h"

namespace umvu::lwip {

// The virtio header for an outgoing frame: TCP leaves its checksum, and the cutting of what is longer than `mtu`, to
// whoever needs it. Puts the sum of the pseudo header in place, as that header demands.
net::VnetHeader offload_header(uint8_t* frame, std::size_t size, int mtu);

// Takes an incoming frame (with virtio header) apart. False when it is not for `mac`, too short, or of no interest.
bool parse_frame(const uint8_t* bytes, std::size_t size, const uint8_t* mac, Received* received);
// Finishes the checksum of `packet`, that of frame `bytes`, where its sender left that to others: it may be passed on,
// and only those of TCP are left open again.
void finish_checksum(const uint8_t* bytes, pbuf* packet);

}  // namespace umvu::lwip
