#pragma once

#include <vector>

#include "lwip/markers.h"
#include "lwip/sock.h"

namespace umvu::lwip {

// A socket whose messages are datagrams: the guest's descriptor is one end of an AF_UNIX pair (SOCK_SEQPACKET).
class DatagramSock : public Sock {
 public:
  using Sock::Sock;
  // Makes the pair; the guest's end, or a negated errno.
  int open();

  int shutdown(int guest, int how) override;
  int option_changed(int guest, int level, int name) override;
  int special_option(int level, int name, std::span<uint8_t> out) override;
  void on_events(uint32_t events) override;
  void network_writable() override;
  // Sends a message after those that the guest has written itself. As outgoing().
  int send_message(std::span<const uint8_t> bytes, const Meta* meta);
  void abandon() override;

 protected:
  // A message of the guest, with `meta` where it was sent by a call with an address. 0, or a negated errno; -EAGAIN:
  // the network is full.
  virtual int outgoing(std::span<const uint8_t> bytes, const Meta* meta) = 0;
  // Gives up what the socket holds in lwIP.
  virtual void drop() = 0;
  // A message for the guest; lost (false) when its buffer is full, as everywhere.
  void incoming(const pbuf* packet, std::size_t skip, const Meta* meta);
  bool incoming(std::span<const uint8_t> bytes, const Meta* meta);

 private:
  void happened(uint32_t events);
  bool take();
  bool finished() const;
  bool send(const iovec* parts, std::size_t count, const Meta* meta);

  bool blocked_ = false;
  std::vector<uint8_t> held_;  // the message that the network did not take
};

// What UDP and raw sockets have in common.
class InternetSock : public DatagramSock {
 public:
  InternetSock(Stack* stack, int domain, int type, int protocol);

  int name(bool peer, uint8_t* out) override;

 protected:
  // Where a message goes, and from which address: by `meta`, or as the socket is connected. 0 or a negated errno.
  int destination(const Meta* meta, Endpoint* to, ip_addr_t* source, netif** place);
  Meta meta_of(const ip_addr_t& peer, uint16_t port, const pbuf* packet) const;
  bool from_connected() const { return connected_; }

  Endpoint local_, remote_;
  bool connected_ = false;
};

class UdpSock : public InternetSock {
 public:
  // UDP, or UDP-Lite (RFC 3828).
  UdpSock(Stack* stack, int domain, int protocol);
  ~UdpSock() override;

  int bind(int guest, std::span<const uint8_t> address) override;
  int connect(int guest, std::span<const uint8_t> address, bool wait) override;
  int option_changed(int guest, int level, int name) override;

 protected:
  int outgoing(std::span<const uint8_t> bytes, const Meta* meta) override;
  void drop() override;

 private:
  bool taken(const Endpoint& wanted) const;
  int make_bound();
  int coverage(int name);
  int membership(int level, int name);
  static void on_packet(void* self, udp_pcb* pcb, pbuf* packet, const ip_addr_t* from, u16_t port);

  udp_pcb* pcb_ = nullptr;
};

// SOCK_RAW, and SOCK_DGRAM of ICMP («ping sockets»).
class RawSock : public InternetSock {
 public:
  RawSock(Stack* stack, int domain, int type, int protocol);
  ~RawSock() override;

  int bind(int guest, std::span<const uint8_t> address) override;
  int connect(int guest, std::span<const uint8_t> address, bool wait) override;

 protected:
  int outgoing(std::span<const uint8_t> bytes, const Meta* meta) override;
  void drop() override;

 private:
  bool ping() const;
  u8_t take(pbuf* packet, const ip_addr_t* from);
  static u8_t on_packet(void* self, raw_pcb* pcb, pbuf* packet, const ip_addr_t* from);

  raw_pcb* pcb_ = nullptr;
};

}  // namespace umvu::lwip
