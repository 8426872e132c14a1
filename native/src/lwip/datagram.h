#pragma once

#include <deque>
#include <string>
#include <vector>

#include "lwip/icmp_errors.h"
#include "lwip/markers.h"
#include "lwip/sock.h"
#include "lwip/waiting.h"

namespace umvu::lwip {

// A socket whose messages are datagrams: the guest's descriptor is one end of an AF_UNIX pair. Nothing tells when the
// guest has closed it; it is noticed when a message comes for it, when its port is wanted, or by Host::sweep().
class DatagramSock : public Sock {
 public:
  DatagramSock(Stack* stack, int domain, int type, int protocol);
  // Makes the pair; the guest's end, or a negated errno.
  int open();

  int shutdown(int guest, int how) override;
  int option_changed(int guest, int level, int name) override;
  int special_option(int level, int name, std::span<uint8_t> out) override;
  void on_events(uint32_t events) override;
  void network_writable() override;
  // Sends a message after those that the guest has written itself. As outgoing().
  int send_message(std::span<const uint8_t> bytes, const Meta* meta);
  bool unseen() const override { return true; }
  bool retry() override;
  // Looks whether the guest has closed it.
  void look();
  void cut() override;
  void abandon() override;

 protected:
  // A message of the guest, with `meta` where it was sent by a call with an address. 0, or a negated errno; -EAGAIN:
  // the network is full.
  virtual int outgoing(std::span<const uint8_t> bytes, const Meta* meta) = 0;
  // Gives up what the socket holds in lwIP.
  virtual void drop() = 0;
  // A message for the guest. False: it is lost, because the guest has closed() the socket, or reads so slowly that its
  // buffer and waiting_ are full. Its first `skip` bytes are left out, and what is more than `most` after them.
  bool incoming(const pbuf* packet, std::size_t skip, const Meta* meta, std::size_t most = SIZE_MAX);
  bool incoming(std::span<const uint8_t> bytes, const Meta* meta);
  // Whether the guest is known to have closed it.
  bool closed() const { return closed_; }
  // An error that the next call tells, and poll(2) as POLLERR.
  void raise(int error);

 private:
  void happened();
  bool take();
  void drain();
  void show_error();
  bool provoke();
  void hold(std::span<const uint8_t> bytes);
  // Hands a message to the guest: 0, or a negated errno.
  int hand(std::span<const iovec> parts, const Meta* meta);
  bool send(std::span<const iovec> parts, const Meta* meta);
  // Hands over what waits, as far as there is room.
  void send_waiting();
  void update_interest();

  std::string guest_name_;  // abstract address of the guest's end, by which it is found again
  net::UniqueFd place_;     // of far_, since there was an error
  bool raised_ = false;     // error_ is to be shown
  bool draining_ = false;
  bool closed_ = false;     // by the guest
  bool blocked_ = false;
  Waiting waiting_;
  std::vector<uint8_t> held_;  // the message that the network did not take
};

// What UDP and raw sockets have in common.
class InternetSock : public DatagramSock {
 public:
  InternetSock(Stack* stack, int domain, int type, int protocol);

  int name(bool peer, uint8_t* out) override;
  int shutdown(int guest, int how) override;
  int option_changed(int guest, int level, int name) override;
  int special_option(int level, int name, std::span<uint8_t> out) override;
  // Whether a message from here, of `port` to `to`, may have caused an ICMP error.
  bool sent(const ip_addr_t& from, uint16_t port, const Endpoint& to) const;
  // An ICMP error for such a message. Told if the socket is connected and `hard`, or if it wants to know (IP_RECVERR).
  void icmp_error(const IcmpError& error, bool hard);
  // The next error of the queue (MSG_ERRQUEUE) as IcmpError::write() lays it out: its size, or -EAGAIN.
  // Without room in `out`: 0 where there is one, and it stays.
  int take_queued(std::span<uint8_t> out);

 protected:
  // The address of a peer, for connect(2) and sendto(2). 0 or a negated errno.
  int read_peer(std::span<const uint8_t> address, Endpoint* peer) const;
  // Where a message goes, and from which address: by `meta`, or as the socket is connected. 0 or a negated errno.
  int destination(const Meta* meta, Endpoint* to, ip_addr_t* source, netif** place);
  Meta meta_of(const ip_addr_t& peer, uint16_t port, const pbuf* packet) const;
  // Whether a packet that lwIP is handing out is for this socket by its interface and its groups.
  bool wants_current() const;
  // Whether a packet of that size may be sent in fragments, or fits without. 0 or -EMSGSIZE.
  int check_size(std::size_t size, const netif* place, bool v6);
  bool broadcast(const ip_addr_t& ip, const netif* place) const;
  // For drop(): groups and errors.
  void leave_all();

  Endpoint local_, remote_;
  bool connected_ = false;

 private:
  struct Group {
    ip_addr_t ip;
    int interface;
  };
  int membership(int level, int name);
  int wanted_source(const Meta* meta, ip_addr_t* source);
  int join(const Group& group);
  int leave(const Group& group);

  std::vector<Group> groups_;
  std::deque<IcmpError> errors_;
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
  void set_hops(const Meta* meta, bool v6);
  UdpSock* choose(const ip_addr_t& from, uint16_t port);
  std::size_t filtered(pbuf* packet) const;
  static void on_packet(void* self, udp_pcb* pcb, pbuf* packet, const ip_addr_t* from, u16_t port);

  udp_pcb* pcb_ = nullptr;
  bool chosen_ = false;  // connect() has chosen the local address
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
