#include "lwip/interface.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lwip/offload.h"
#include "lwip/packet.h"
#include "lwip/stack.h"

namespace umvu::lwip {

// The port by which an interface is on its network.
class StackPort : public net::Port {
 public:
  StackPort(net::Network* network, int number, net::PortConfig config, Interface* interface)
      : Port(network, number, std::move(config)), interface_(interface) {}
  void set_reading(bool reading) override {
    if (reading) interface_->stack()->writable();
  }

 private:
  bool receive() override { return true; }
  bool transmit(const uint8_t* bytes, std::size_t size) override {
    count_sent(size);
    interface_->deliver(bytes, size);
    return false;
  }
  int write_now(const uint8_t*, std::size_t) override { return 0; }
  bool recover(uint32_t) override { return true; }

  Interface* const interface_;
};

namespace {

// TCP is left to the link, except its own check of what comes from outside (input()).
constexpr uint16_t kChecksums = NETIF_CHECKSUM_ENABLE_ALL & ~NETIF_CHECKSUM_GEN_TCP;
constexpr uint16_t kUnchecked =
    kChecksums & ~(NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_UDP | NETIF_CHECKSUM_CHECK_ICMP |
                   NETIF_CHECKSUM_CHECK_ICMP6 | NETIF_CHECKSUM_CHECK_IP);

}  // namespace

Interface::Interface(Stack* stack, int index, std::string name, net::Network* network, int mtu)
    : stack_(stack), index_(index), name_(std::move(name)), loopback_(network == nullptr), network_(network),
      mtu_(mtu) {
  if (network != nullptr) {
    if (getrandom(mac_.data(), mac_.size(), 0) != static_cast<ssize_t>(mac_.size())) mac_[5] = uint8_t(index);
    mac_[0] = static_cast<uint8_t>((mac_[0] & 0xfc) | 0x02);
  }
  new_place();
}

Interface::~Interface() {
  disconnect();
  if (stack_->failed()) return;
  while (!places_.empty()) drop_place(places_.back().get());
}

int Interface::connect() {
  net::PortConfig config;
  config.kind = net::PortKind::kInternal;
  config.vnet_header = true;
  config.name = name_;
  config.make = [this](net::Network* network, int number, net::PortConfig made) {
    auto port = std::make_unique<StackPort>(network, number, std::move(made), this);
    port_ = port.get();
    return port;
  };
  config.on_removed = [this] {
    port_ = nullptr;
    port_number_ = 0;
    network_ = nullptr;
    stack_->touch();
  };
  const int number = network_->add_port(std::move(config));
  if (number > 0) port_number_ = number;
  return number;
}

void Interface::disconnect() {
  if (network_ != nullptr && port_number_ > 0) network_->remove_port(port_number_);
}

net::PortCounters Interface::counters() const {
  if (loopback() || port_number_ == 0) return loop_counters_;
  net::PortCounters seen = network_->counters(port_number_).value_or(net::PortCounters{});
  // What the network sends is what the interface receives.
  std::swap(seen.rx_frames, seen.tx_frames);
  std::swap(seen.rx_bytes, seen.tx_bytes);
  return seen;
}

err_t Interface::init(netif* place) {
  Interface* self = of(place);
  place->name[0] = 'e';
  place->name[1] = 'n';
  place->mtu = static_cast<u16_t>(self->mtu_);
  place->hwaddr_len = ETH_HWADDR_LEN;
  std::memcpy(place->hwaddr, self->mac_.data(), ETH_HWADDR_LEN);
  place->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
  if (self->places_.size() == 1) place->flags |= NETIF_FLAG_IGMP | NETIF_FLAG_MLD6;
  place->output = etharp_output;
  place->output_ip6 = ethip6_output;
  place->linkoutput = send_frame;
  NETIF_SET_CHECKSUM_CTRL(place, kChecksums);
  return ERR_OK;
}

err_t Interface::init_loopback(netif* place) {
  place->name[0] = 'l';
  place->name[1] = 'o';
  place->mtu = 65535;
  place->flags = NETIF_FLAG_LINK_UP | NETIF_FLAG_IGMP | NETIF_FLAG_MLD6;
  place->output = [](netif* out, pbuf* packet, const ip4_addr_t*) { return of(out)->loop(packet, ETH_P_IP); };
  place->output_ip6 = [](netif* out, pbuf* packet, const ip6_addr_t*) {
    return of(out)->loop(packet, ETH_P_IPV6);
  };
  // Of ICMP, because programs that see it in raw sockets check the sum.
  NETIF_SET_CHECKSUM_CTRL(place, NETIF_CHECKSUM_GEN_IP | NETIF_CHECKSUM_GEN_ICMP | NETIF_CHECKSUM_GEN_ICMP6);
  return ERR_OK;
}

netif* Interface::new_place() {
  places_.push_back(std::make_unique<netif>());
  netif* place = places_.back().get();
  netif_add_noaddr(place, this, loopback() ? init_loopback : init, nullptr);
  if (up_) netif_set_up(place);
  return place;
}

void Interface::drop_place(netif* place) {
  netif_remove(place);
  std::erase_if(places_, [place](auto& p) { return p.get() == place; });
}

void Interface::deliver(const uint8_t* bytes, std::size_t size) {
  Received received;
  if (up_ && !stack_->packet_socks().empty() && size >= sizeof(net::VnetHeader) + net::kEthernetHeader) {
    net::VnetHeader header;
    std::memcpy(&header, bytes, sizeof header);
    const std::span<const uint8_t> frame(bytes + sizeof header, size - sizeof header);
    stack_->see({this, frame, packet_type(frame.data(), mac_.data()), (header.flags & net::kNeedsCsum) != 0, nullptr});
  }
  const Charge ours(&stack_->memory());
  if (!up_ || !parse_frame(bytes, size, mac_.data(), &received)) return;
  received.interface = this;
  if (stack_->forwards(false) || stack_->forwards(true)) finish_checksum(bytes, received.packet);
  stack_->receive(received);
}

netif* Interface::arp_place(const pbuf* packet) {
  if (packet->len < SIZEOF_ETHARP_HDR) return base();
  ip4_addr_t target;
  std::memcpy(&target.addr, static_cast<const uint8_t*>(packet->payload) + 24, 4);
  for (const Address& address : addresses_) {
    if (IP_IS_V4_VAL(address.ip) && ip4_addr_cmp(ip_2_ip4(&address.ip), &target)) return address.place;
  }
  return base();
}

// Neighbours that are fixed stay what they are, whatever the packet claims.
void Interface::ip6_receive(pbuf* packet) {
  constexpr uint8_t kTcp = 6, kUdp = 17;
  const uint8_t next = packet->len < IP6_HLEN ? uint8_t{0} : IP6H_NEXTH(static_cast<const ip6_hdr*>(packet->payload));
  ip6_input(packet, base());
  if (next != kTcp && next != kUdp) stack_->neighbours().hold();
}

void Interface::input(const Received& received) {
  pbuf* packet = received.packet;
  packet->flags = static_cast<u8_t>(packet->flags | received.cast);
  netif* place = base();
  if (!up_) {
    pbuf_free(packet);
    return;
  }
  if (!loopback()) NETIF_SET_CHECKSUM_CTRL(place, received.trusted ? kUnchecked : kChecksums);
  switch (received.type) {
    case ETH_P_IP:
      if (loopback() && packet->len >= IP_HLEN) {
        // All of 127.0.0.0/8 is this host, as on Linux.
        const auto* header = static_cast<const ip_hdr*>(packet->payload);
        ip4_addr_t to;
        ip4_addr_copy(to, header->dest);
        if (ip4_addr_isloopback(&to)) ip4_addr_copy(*ip_2_ip4(&place->ip_addr), to);
        ip4_input(packet, place);
        ip_addr_set_loopback(0, &place->ip_addr);
        return;
      }
      ip4_input(packet, place);
      return;
    case ETH_P_IPV6:
      ip6_receive(packet);
      return;
    case ETH_P_ARP:
      etharp_input(packet, arp_place(packet));
      return;
    default:
      pbuf_free(packet);
  }
}

err_t Interface::send(pbuf* frame) {
  if (port_ == nullptr || !up_) return ERR_IF;
  if (network_->paused()) return ERR_WOULDBLOCK;
  net::Pump& pump = network_->pump();
  net::Frame out{pump.buffers().slot(0), frame->tot_len};
  pbuf_copy_partial(frame, out.data(), frame->tot_len, 0);
  out.set_header(offload_header(out.data(), out.size, mtu_));
  if (!stack_->packet_socks().empty()) {
    stack_->see({this, {out.data(), out.size}, PACKET_OUTGOING, (out.header().flags & net::kNeedsCsum) != 0, nullptr});
  }
  // Ports that keep a reference get it over with at once, so that there is always a free slot.
  if (network_->receive(port_, out)) network_->flush();
  // Sockets of this host hear what is sent to a group or to all, too.
  const bool to_all = std::all_of(out.data(), out.data() + 6, [](uint8_t byte) { return byte == 0xff; });
  if (to_all || (frame->flags & PBUF_FLAG_MCASTLOOP) != 0) hear_own(frame, to_all);
  stack_->touch();
  return ERR_OK;
}

void Interface::hear_own(pbuf* frame, bool to_all) {
  uint16_t type = 0;
  pbuf_copy_partial(frame, &type, sizeof type, 12);
  type = ntohs(type);
  if (type != ETH_P_IP && type != ETH_P_IPV6) return;
  const auto size = static_cast<u16_t>(frame->tot_len - SIZEOF_ETH_HDR);
  pbuf* copy = pbuf_alloc(PBUF_RAW, size, PBUF_RAM);
  if (copy == nullptr) return;
  pbuf_copy_partial(frame, copy->payload, size, SIZEOF_ETH_HDR);
  stack_->receive({this, copy, type, true, to_all ? uint8_t{PBUF_FLAG_LLBCAST} : uint8_t{PBUF_FLAG_LLMCAST}});
}

int Interface::transmit(std::span<const uint8_t> frame, const Sock* origin) {
  if (!up_) return -ENETDOWN;
  if (frame.size() > static_cast<std::size_t>(mtu_) + net::kEthernetHeader + 4) return -EMSGSIZE;
  if (loopback()) {
    stack_->see({this, frame, PACKET_OUTGOING, false, origin});
    stack_->see({this, frame, PACKET_HOST, false, nullptr});
    const auto type = static_cast<uint16_t>(frame[12] << 8 | frame[13]);
    const std::size_t size = frame.size() - net::kEthernetHeader;
    if (type != ETH_P_IP && type != ETH_P_IPV6) return 0;
    pbuf* packet = pbuf_alloc(PBUF_RAW, static_cast<u16_t>(size), PBUF_RAM);
    if (packet == nullptr) return -ENOBUFS;
    pbuf_take(packet, frame.data() + net::kEthernetHeader, static_cast<u16_t>(size));
    stack_->receive({this, packet, type, false, 0});
    return 0;
  }
  if (port_ == nullptr) return -ENETDOWN;
  if (network_->paused()) return -EAGAIN;
  const net::Frame out{network_->pump().buffers().slot(0), frame.size()};
  std::memcpy(out.data(), frame.data(), frame.size());
  out.clear_header();
  stack_->see({this, frame, PACKET_OUTGOING, false, origin});
  if (network_->receive(port_, out)) network_->flush();
  return 0;
}

// A frame on lo goes out and comes in, and its addresses are zeroes.
void Interface::loop_seen(const pbuf* packet, uint16_t type) {
  static thread_local std::unique_ptr<uint8_t[]> frame(new uint8_t[net::kEthernetHeader + UINT16_MAX]());
  frame[12] = static_cast<uint8_t>(type >> 8);
  frame[13] = static_cast<uint8_t>(type);
  pbuf_copy_partial(packet, frame.get() + net::kEthernetHeader, packet->tot_len, 0);
  const std::span<const uint8_t> bytes(frame.get(), net::kEthernetHeader + packet->tot_len);
  stack_->see({this, bytes, PACKET_OUTGOING, true, nullptr});
  stack_->see({this, bytes, PACKET_HOST, true, nullptr});
}

err_t Interface::loop(pbuf* packet, uint16_t type) {
  if (!stack_->packet_socks().empty()) loop_seen(packet, type);
  pbuf* copy = pbuf_clone(PBUF_RAW, PBUF_RAM, packet);
  if (copy == nullptr) return ERR_MEM;
  ++loop_counters_.rx_frames;
  loop_counters_.rx_bytes += packet->tot_len;
  loop_counters_.tx_frames = loop_counters_.rx_frames;
  loop_counters_.tx_bytes = loop_counters_.rx_bytes;
  stack_->receive({this, copy, type, true, 0});
  return ERR_OK;
}

}  // namespace umvu::lwip
