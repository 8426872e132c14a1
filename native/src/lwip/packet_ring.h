#pragma once

#include <linux/if_packet.h>

#include <cstdint>
#include <memory>
#include <span>

#include "net/pump.h"
#include "net/unique_fd.h"

namespace umvu::lwip {

// A frame for the ring.
struct RingFrame {
  std::span<const uint8_t> bytes;  // the guest's part: with Ethernet header for SOCK_RAW
  std::size_t length;              // of the whole; `bytes` may be cut
  std::size_t header;              // Ethernet header in `bytes`
  sockaddr_ll from;
  uint32_t status;                 // TP_STATUS_… beside TP_STATUS_USER
};

// The receive ring of a packet socket (PACKET_RX_RING, versions 1 to 3; packet(7) and packet_mmap of the kernel's
// documentation). The guest holds an AF_UNIX socket, which cannot be mapped: its mmap(2) is answered with a mapping of
// a memfd in the same form, which this fills. A byte in the guest's socket makes that readable, as long as the ring
// holds frames that the guest has not handed back. Nothing tells when it does so, and only by a copy of
// the guest's own descriptor can the byte be taken away: so this holds one while the guest has the ring mapped, and looks after
// 1 ms, and then less and less often. All that is read from the ring is hostile and used for comparisons only.
class PacketRing : public net::Pollable {
 public:
  // `request` is a struct tpacket_req, or tpacket_req3 for TPACKET_V3. `far` is the stack's end of the socket. Null and a negated
  // errno.
  static std::unique_ptr<PacketRing> make(net::Pump* pump, int far, int version, std::size_t reserve,
                                          std::span<const uint8_t> request, int* error);
  ~PacketRing() override;

  std::size_t size() const { return size_t{request_.tp_block_size} * request_.tp_block_nr; }
  // The memory, for a guest that holds the socket `guest`: a new descriptor or a negated errno.
  int map(int guest);
  // False when there is no room.
  bool put(const RingFrame& frame);
  // Whether the guest may still have the ring; asked for now and then.
  bool mapped();
  // Times the ring was full; since the last call.
  uint32_t take_freezes();
  void stop();

  void on_events(uint32_t events) override;

 private:
  PacketRing(net::Pump* pump, int far, int version, std::size_t reserve);
  int prepare(std::span<const uint8_t> request);
  int check(std::size_t least) const;
  std::size_t offset_of(uint32_t frame) const;
  bool free_at(std::size_t offset, std::size_t width);
  bool put_frame(const RingFrame& frame);
  bool put_in_block(const RingFrame& frame);
  bool open_block();
  void close_block(uint32_t status);
  bool store(std::size_t offset, const void* bytes, std::size_t size);
  void signal();
  void unsignal();
  bool unread();
  uint64_t block_age() const;
  uint64_t block_limit() const;
  void schedule();

  net::Pump* const pump_;
  const int far_;
  const int version_;
  const std::size_t reserve_;
  tpacket_req3 request_ = {};
  net::UniqueFd memory_;
  net::UniqueFd timer_;
  net::UniqueFd near_;        // a copy of the guest's descriptor
  uint64_t mapped_at_ = 0;    // ms
  bool signalled_ = false;
  uint64_t pause_ = 1;        // until the next look, in ms
  uint32_t next_ = 0;         // frame or block that is filled next
  // Of the open block of version 3.
  bool open_ = false;
  uint64_t opened_at_ = 0;    // ms
  uint64_t sequence_ = 0;
  std::size_t used_ = 0;      // bytes of the block
  std::size_t last_ = 0;      // offset in the ring of its last frame
  tpacket_block_desc block_ = {};
  bool frozen_ = false;
  uint32_t freezes_ = 0;
};

}  // namespace umvu::lwip
