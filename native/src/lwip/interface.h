#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lwip/engine.h"
#include "net/network.h"

namespace umvu::lwip {

class Sock;
class Stack;
class Interface;

// An address of an interface.
struct Address {
  ip_addr_t ip;
  uint8_t prefix = 0;
  netif* place = nullptr;  // what holds it in lwIP: one netif for each IPv4 address
};

// A frame or packet on its way into a stack, without Ethernet header.
struct Received {
  Interface* interface;
  pbuf* packet;
  uint16_t type;     // an ETH_P_…, in host byte order
  bool trusted;      // its checksums need no check
  uint8_t cast;      // 0, PBUF_FLAG_LLBCAST or PBUF_FLAG_LLMCAST
};

// An interface of a stack: lo, or an Ethernet interface on a network. lwIP knows only one IPv4 address for a netif, so
// an interface has further netifs for further ones; the first holds the IPv6 addresses.
class Interface {
 public:
  // `network` is null for lo.
  Interface(Stack* stack, int index, std::string name, net::Network* network, int mtu);
  ~Interface();
  Interface(const Interface&) = delete;
  Interface& operator=(const Interface&) = delete;

  static Interface* of(const netif* place) { return static_cast<Interface*>(place->state); }

  int index() const { return index_; }
  const std::string& name() const { return name_; }
  void rename(std::string name) { name_ = std::move(name); }
  bool loopback() const { return loopback_; }
  const std::array<uint8_t, 6>& mac() const { return mac_; }
  int mtu() const { return mtu_; }
  bool up() const { return up_; }
  bool connected() const { return loopback() || port_number_ > 0; }
  Stack* stack() const { return stack_; }
  net::Network* network() const { return network_; }
  std::size_t places() const { return places_.size(); }
  netif* base() { return places_.front().get(); }
  const std::vector<Address>& addresses() const { return addresses_; }
  // Null where it has no such address.
  const Address* find(const ip_addr_t& ip) const;
  net::PortCounters counters() const;

  // 0 or a negated errno. Inside the image.
  int connect();
  // Leaves the network.
  void disconnect();

  // Configuration (addresses.cc); what is sound, and what follows from it, the caller knows (runtime/ioth/lwip). An
  // interface that goes down loses its IPv6 addresses.
  void set_up(bool up);
  void set_mac(const uint8_t* mac);
  void set_mtu(int mtu);
  // `tentative`: an IPv6 address of which lwIP finds out first whether somebody else has it (RFC 4862).
  int add_address(const ip_addr_t& ip, unsigned prefix, bool tentative);
  int remove_address(const ip_addr_t& ip);
  // The netif that holds an IPv4 address of the network of `destination`, or the first one.
  netif* place_for(const ip4_addr_t& destination);
  // The addresses that lwIP has made or dropped by itself (autoconfiguration) come into addresses() and out of it.
  void collect_addresses();

  // Sends a whole frame of the packet socket `origin`. 0 or a negated errno.
  int transmit(std::span<const uint8_t> frame, const Sock* origin);
  // A frame from the network, with virtio header. Takes a copy.
  void deliver(const uint8_t* bytes, std::size_t size);
  // Whether segments larger than the MTU may be given to it.
  bool offloads() const { return loopback_ || (network_ != nullptr && network_->offloads()); }
  // Gives a packet to lwIP, which then owns it. Inside the image.
  void input(const Received& received);

 private:
  netif* new_place();
  void drop_place(netif* place);
  err_t send(pbuf* frame);
  err_t loop(pbuf* packet, uint16_t type);
  void loop_seen(const pbuf* packet, uint16_t type);
  void hear_own(pbuf* frame, bool to_all);
  void ip6_receive(pbuf* packet);
  netif* arp_place(const pbuf* packet);

  static err_t init(netif* place);
  static err_t init_loopback(netif* place);
  static err_t send_frame(netif* place, pbuf* frame) { return of(place)->send(frame); }

  Stack* const stack_;
  const int index_;
  std::string name_;
  const bool loopback_;
  net::Network* network_;  // null: lo, or the network has ended
  net::Port* port_ = nullptr;
  int port_number_ = 0;
  std::array<uint8_t, 6> mac_{};
  int mtu_;
  bool up_ = false;
  std::vector<std::unique_ptr<netif>> places_;
  std::vector<Address> addresses_;
  net::PortCounters loop_counters_;

  friend class StackPort;
};

}  // namespace umvu::lwip
