#include "lwip/packet.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <net/if_arp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lwip/host.h"

namespace umvu::lwip {
namespace {

constexpr std::size_t kHeader = net::kEthernetHeader;
constexpr std::size_t kAddressStart = offsetof(sockaddr_ll, sll_addr);
constexpr int kIgnoreOutgoing = 23;  // PACKET_IGNORE_OUTGOING

// What Meta::local holds for PACKET_AUXDATA (runtime/syscalls/emulated/meta.ts).
struct Auxiliary {
  uint32_t status;
  uint32_t length;
  uint16_t network;
  uint16_t reserved;
};
static_assert(sizeof(Auxiliary) <= sizeof(Meta::local));

uint16_t type_of(std::span<const uint8_t> frame) {
  const auto type = static_cast<uint16_t>(frame[12] << 8 | frame[13]);
  // Below 1536 it is a length (IEEE 802.3).
  return type >= ETH_P_802_3_MIN ? type : static_cast<uint16_t>(ETH_P_802_2);
}

uint16_t hardware_of(const Interface& interface) { return interface.loopback() ? ARPHRD_LOOPBACK : ARPHRD_ETHER; }

int read_address(std::span<const uint8_t> bytes, sockaddr_ll* address) {
  if (bytes.size() < sizeof *address) return -EINVAL;
  std::memcpy(address, bytes.data(), sizeof *address);
  return address->sll_family == AF_PACKET ? 0 : -EINVAL;
}

}  // namespace

uint8_t packet_type(const uint8_t* frame, const uint8_t* mac) {
  static constexpr uint8_t kBroadcast[ETH_ALEN] = {255, 255, 255, 255, 255, 255};
  if ((frame[0] & 1) == 0) return std::memcmp(frame, mac, ETH_ALEN) == 0 ? PACKET_HOST : PACKET_OTHERHOST;
  return std::memcmp(frame, kBroadcast, ETH_ALEN) == 0 ? PACKET_BROADCAST : PACKET_MULTICAST;
}

PacketSock::PacketSock(Stack* stack, int type, int protocol)
    : DatagramSock(stack, AF_PACKET, type, protocol), bound_protocol_(ntohs(static_cast<uint16_t>(protocol))) {
  stack->packet_socks().push_back(this);
}

void PacketSock::drop() { std::erase(stack_->packet_socks(), this); }

void PacketSock::abandon() {
  drop_ring();
  DatagramSock::abandon();
}

int PacketSock::bind(int, std::span<const uint8_t> address) {
  sockaddr_ll wanted;
  if (const int result = read_address(address, &wanted); result != 0) return result;
  const Interface* interface = wanted.sll_ifindex == 0 ? nullptr : stack_->interface(wanted.sll_ifindex);
  if (wanted.sll_ifindex != 0 && interface == nullptr) return -ENODEV;
  bound_ = wanted.sll_ifindex;
  if (wanted.sll_protocol != 0) bound_protocol_ = ntohs(wanted.sll_protocol);
  if (interface != nullptr && !interface->up()) error_ = ENETDOWN;
  return 0;
}

int PacketSock::connect(int, std::span<const uint8_t>, bool) { return -EOPNOTSUPP; }
int PacketSock::shutdown(int, int) { return -EOPNOTSUPP; }

int PacketSock::name(bool peer, uint8_t* out) {
  if (peer) return -EOPNOTSUPP;
  sockaddr_ll address = {};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(bound_protocol_);
  address.sll_ifindex = bound_;
  if (const Interface* interface = stack_->interface(bound_); interface != nullptr) {
    address.sll_hatype = hardware_of(*interface);
    address.sll_halen = ETH_ALEN;
    std::copy(interface->mac().begin(), interface->mac().end(), address.sll_addr);
  }
  std::memcpy(out, &address, sizeof address);
  return static_cast<int>(kAddressStart + address.sll_halen);
}

// -- Sending ------------------------------------------------------------------------------------------------

int PacketSock::destination(const Meta* meta, sockaddr_ll* to) const {
  *to = {};
  if (meta == nullptr || meta->peer_size == 0) {
    to->sll_ifindex = bound_;
    to->sll_protocol = htons(bound_protocol_);
    return 0;
  }
  // Like the kernel, this does not look at the family.
  std::memcpy(to, meta->peer, std::min<std::size_t>(meta->peer_size, sizeof *to));
  if (meta->peer_size < sizeof *to) return -EINVAL;
  to->sll_halen = ETH_ALEN;
  if (to->sll_protocol == 0) to->sll_protocol = htons(bound_protocol_);
  return 0;
}

int PacketSock::outgoing(std::span<const uint8_t> bytes, const Meta* meta) {
  sockaddr_ll to;
  if (const int result = destination(meta, &to); result != 0) return result;
  Interface* interface = stack_->interface(to.sll_ifindex);
  if (interface == nullptr) return -ENXIO;
  if (!interface->up()) return -ENETDOWN;
  if (type_ == SOCK_RAW) {
    if (bytes.size() < kHeader) return -EINVAL;
    return interface->transmit(bytes, this);
  }
  // Without an address there is no header to make.
  if (to.sll_halen == 0) return -EINVAL;
  if (bytes.size() > static_cast<std::size_t>(interface->mtu())) return -EMSGSIZE;
  std::vector<uint8_t> frame(kHeader + bytes.size());
  std::memcpy(frame.data(), to.sll_addr, ETH_ALEN);
  std::copy(interface->mac().begin(), interface->mac().end(), frame.begin() + ETH_ALEN);
  std::memcpy(frame.data() + 2 * ETH_ALEN, &to.sll_protocol, sizeof to.sll_protocol);
  std::copy(bytes.begin(), bytes.end(), frame.begin() + kHeader);
  return interface->transmit(frame, this);
}

// -- Receiving ----------------------------------------------------------------------------------------------

bool PacketSock::wants(const Seen& seen, uint16_t protocol) const {
  if (seen.origin == this || (bound_ != 0 && seen.interface->index() != bound_)) return false;
  if (bound_protocol_ == ETH_P_ALL) {
    return seen.type != PACKET_OUTGOING || options_.number(SOL_PACKET, kIgnoreOutgoing) == 0;
  }
  // What the host itself sends, only those see that want everything.
  return seen.type != PACKET_OUTGOING && bound_protocol_ == protocol;
}

void PacketSock::see(const Seen& seen) {
  const uint16_t protocol = type_of(seen.frame);
  if (!wants(seen, protocol)) return;
  const std::size_t skip = type_ == SOCK_RAW ? 0 : kHeader;
  const std::span<const uint8_t> whole = seen.frame.subspan(skip);
  const uint32_t limit = filter_.run({whole, seen.frame, protocol, seen.type, seen.interface->index(),
                                      hardware_of(*seen.interface)});
  if (limit == 0) return;
  const std::span<const uint8_t> bytes = whole.first(std::min<std::size_t>(whole.size(), limit));
  sockaddr_ll from = {};
  from.sll_family = AF_PACKET;
  from.sll_protocol = htons(protocol);
  from.sll_ifindex = seen.interface->index();
  from.sll_hatype = hardware_of(*seen.interface);
  from.sll_pkttype = seen.type;
  from.sll_halen = ETH_ALEN;
  std::memcpy(from.sll_addr, seen.frame.data() + ETH_ALEN, ETH_ALEN);
  ++packets_;
  bool taken;
  if (ring_) {
    const uint32_t status = seen.unfinished ? TP_STATUS_CSUMNOTREADY : 0;
    taken = ring_->put({bytes, whole.size(), kHeader - skip, from, status});
  } else {
    const Meta meta = meta_of(from, seen);
    taken = incoming(bytes, &meta);
  }
  if (!taken) ++drops_;
}

Meta PacketSock::meta_of(const sockaddr_ll& from, const Seen& seen) const {
  Meta meta;
  std::memcpy(meta.peer, &from, sizeof from);
  meta.peer_size = sizeof from;
  if (options_.number(SOL_PACKET, PACKET_AUXDATA) == 0) return meta;
  Auxiliary more = {};
  more.status = TP_STATUS_USER | (seen.unfinished ? TP_STATUS_CSUMNOTREADY : 0);
  more.length = static_cast<uint32_t>(seen.frame.size() - (type_ == SOCK_RAW ? 0 : kHeader));
  more.network = type_ == SOCK_RAW ? kHeader : 0;
  std::memcpy(meta.local, &more, sizeof more);
  meta.local_size = sizeof more;
  return meta;
}

// -- Options ------------------------------------------------------------------------------------------------

int PacketSock::option_changed(int guest, int level, int name) {
  if (level != SOL_PACKET) return DatagramSock::option_changed(guest, level, name);
  switch (name) {
    case PACKET_ADD_MEMBERSHIP:
      // Nothing is kept from anybody, like on a TAP device; so there is nothing to switch on.
      return stack_->interface(options_.number(level, name)) == nullptr ? -ENODEV : 0;
    case PACKET_VERSION:
      return ring_ ? -EBUSY : static_cast<unsigned>(options_.number(level, name)) > TPACKET_V3 ? -EINVAL : 0;
    case PACKET_RESERVE: return ring_ ? -EBUSY : static_cast<unsigned>(options_.number(level, name)) > 4096 ? -EINVAL : 0;
    case PACKET_RX_RING: {
      const int result = set_ring();
      // What came before is not to be mistaken for news of the ring.
      uint8_t byte;
      while (result == 0 && ring_ && recv(guest, &byte, sizeof byte, MSG_DONTWAIT) >= 0) continue;
      return result;
    }
    default: return 0;
  }
}

int PacketSock::set_ring() {
  const std::vector<uint8_t>& request = *options_.find(SOL_PACKET, PACKET_RX_RING);
  const int version = options_.number(SOL_PACKET, PACKET_VERSION);
  if (request.size() < (version == TPACKET_V3 ? sizeof(tpacket_req3) : sizeof(tpacket_req))) return -EINVAL;
  tpacket_req counts;
  std::memcpy(&counts, request.data(), sizeof counts);
  if (counts.tp_block_nr == 0) {
    if (counts.tp_frame_nr != 0) return -EINVAL;
    drop_ring();
    return 0;
  }
  if (ring_) return -EBUSY;
  const uint64_t size = uint64_t{counts.tp_block_size} * counts.tp_block_nr;
  if (!stack_->memory().fits(size)) return -ENOMEM;
  int error = 0;
  const auto reserve = static_cast<std::size_t>(options_.number(SOL_PACKET, PACKET_RESERVE));
  ring_ = PacketRing::make(&host().pump(), far_.get(), version, reserve, request, &error);
  if (ring_) stack_->memory().take(ring_->size());
  return error;
}

void PacketSock::drop_ring() {
  if (!ring_) return;
  stack_->memory().give(ring_->size());
  ring_->stop();
  host().pump().retire(std::move(ring_));
}

int PacketSock::map(int guest, std::size_t size) {
  if (!ring_ || size != ring_->size()) return -EINVAL;
  return ring_->map(guest);
}

int PacketSock::statistics(std::span<uint8_t> out) {
  tpacket_stats_v3 counts = {};
  counts.tp_packets = packets_;
  counts.tp_drops = drops_;
  if (ring_) counts.tp_freeze_q_cnt = ring_->take_freezes();
  packets_ = drops_ = 0;
  const bool long_form = options_.number(SOL_PACKET, PACKET_VERSION) == TPACKET_V3;
  const std::size_t size = long_form ? sizeof(tpacket_stats_v3) : sizeof(tpacket_stats);
  std::memcpy(out.data(), &counts, size);
  return static_cast<int>(size);
}

int PacketSock::special_option(int level, int name, std::span<uint8_t> out) {
  if (level != SOL_PACKET) return DatagramSock::special_option(level, name, out);
  if (name == PACKET_STATISTICS) return statistics(out);
  if (name != PACKET_HDRLEN) return -ENOPROTOOPT;
  int version;
  std::memcpy(&version, out.data(), sizeof version);
  int size;
  switch (version) {
    case TPACKET_V1: size = sizeof(tpacket_hdr); break;
    case TPACKET_V2: size = sizeof(tpacket2_hdr); break;
    case TPACKET_V3: size = sizeof(tpacket3_hdr); break;
    default: return -EINVAL;
  }
  std::memcpy(out.data(), &size, sizeof size);
  return sizeof size;
}

}  // namespace umvu::lwip
