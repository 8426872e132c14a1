#pragma once

#include <linux/if_packet.h>

#include <memory>

#include "lwip/bpf.h"
#include "lwip/datagram.h"
#include "lwip/packet_ring.h"

namespace umvu::lwip {

class Interface;

// A frame that passes an interface, as packet sockets see it.
struct Seen {
  Interface* interface;
  std::span<const uint8_t> frame;  // from the Ethernet header
  uint8_t type;                    // PACKET_HOST, …, PACKET_OUTGOING
  bool unfinished;                 // its checksum is left to hardware
  const Sock* origin;              // the packet socket that sent it; may be null
};

// The PACKET_… type of a frame that comes in on an interface with address `mac`.
uint8_t packet_type(const uint8_t* frame, const uint8_t* mac);

// AF_PACKET: SOCK_RAW with the Ethernet header, SOCK_DGRAM without; packet(7). A guest may have them on its own stack,
// whoever it is. Received messages carry a sockaddr_ll in Meta::peer, and for PACKET_AUXDATA status, length and
// offset of the network header in Meta::local.
class PacketSock : public DatagramSock {
 public:
  PacketSock(Stack* stack, int type, int protocol);

  int bind(int guest, std::span<const uint8_t> address) override;
  int connect(int guest, std::span<const uint8_t> address, bool wait) override;
  int shutdown(int guest, int how) override;
  int name(bool peer, uint8_t* out) override;
  int option_changed(int guest, int level, int name) override;
  int special_option(int level, int name, std::span<uint8_t> out) override;
  void abandon() override;

  // A frame passes an interface of the stack.
  void see(const Seen& seen);
  // mmap(2) of the ring by a guest that holds `guest`: a new descriptor of its memory, or a negated errno.
  int map(int guest, std::size_t size);

 protected:
  int outgoing(std::span<const uint8_t> bytes, const Meta* meta) override;
  void drop() override;

 private:
  bool wants(const Seen& seen, uint16_t protocol) const;
  Meta meta_of(const sockaddr_ll& from, const Seen& seen) const;
  int destination(const Meta* meta, sockaddr_ll* to) const;
  int set_ring();
  void drop_ring();
  int statistics(std::span<uint8_t> out);

  uint16_t bound_protocol_;  // ETH_P_…, host byte order
  int bound_ = 0;            // index of the interface; 0: all
  std::unique_ptr<PacketRing> ring_;
  uint32_t packets_ = 0, drops_ = 0;  // since PACKET_STATISTICS was read
};

}  // namespace umvu::lwip
