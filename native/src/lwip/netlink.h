#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cstring>
#include <span>
#include <vector>

#include "lwip/datagram.h"
#include "lwip/interface.h"
#include "lwip/routes.h"

namespace umvu::lwip {

// A message of netlink(7) that is being written.
class Message {
 public:
  Message(uint16_t type, uint16_t flags, uint32_t seq, uint32_t pid);
  template <typename T>
  Message& body(const T& value) {
    append(&value, sizeof value);
    return *this;
  }
  Message& raw(std::span<const uint8_t> bytes) {
    append(bytes.data(), bytes.size());
    return *this;
  }
  Message& attribute(uint16_t type, const void* value, std::size_t size);
  template <typename T>
  Message& number(uint16_t type, T value) {
    return attribute(type, &value, sizeof value);
  }
  Message& text(uint16_t type, const std::string& value) { return attribute(type, value.c_str(), value.size() + 1); }
  Message& address(uint16_t type, const ip_addr_t& ip);
  // Begins an attribute that holds others; the result goes to end().
  std::size_t begin(uint16_t type);
  void end(std::size_t start);
  // The message with its length filled in.
  const std::vector<uint8_t>& bytes();

 private:
  void append(const void* value, std::size_t size);
  std::vector<uint8_t> bytes_;
};

// The attributes of a request.
class Attributes {
 public:
  // Parses what follows a fixed header; what is malformed ends it.
  explicit Attributes(std::span<const uint8_t> bytes);
  bool has(uint16_t type) const { return find(type).data() != nullptr; }
  std::span<const uint8_t> find(uint16_t type) const;
  uint32_t number(uint16_t type, uint32_t otherwise) const;
  std::string text(uint16_t type) const;
  // An address of 4 or 16 bytes; false when there is none.
  bool address(uint16_t type, ip_addr_t* ip) const;

 private:
  std::vector<std::pair<uint16_t, std::span<const uint8_t>>> list_;
};

// A request, as its handlers see it.
struct Request {
  nlmsghdr header;
  std::span<const uint8_t> payload;  // after the header

  bool dump() const { return (header.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP; }
  // The fixed part; zeroes where it is too short, as old programs send just a struct rtgenmsg.
  template <typename T>
  T fixed() const {
    T value = {};
    std::memcpy(&value, payload.data(), std::min(payload.size(), sizeof value));
    return value;
  }
  template <typename T>
  Attributes attributes() const {
    const std::size_t start = NLMSG_ALIGN(sizeof(T));
    return Attributes(payload.size() > start ? payload.subspan(start) : std::span<const uint8_t>());
  }
};

// AF_NETLINK, protocol NETLINK_ROUTE: rtnetlink(7) of a stack that is not the kernel's.
class NetlinkSock : public DatagramSock {
 public:
  NetlinkSock(Stack* stack, int type);

  int bind(int guest, std::span<const uint8_t> address) override;
  int connect(int guest, std::span<const uint8_t> address, bool wait) override;
  int name(bool peer, uint8_t* out) override;
  int option_changed(int guest, int level, int name) override;

  // Tells all sockets of `stack` that listen to `group` (RTNLGRP_…).
  static void broadcast(Stack* stack, unsigned group, Message* message);

 protected:
  int outgoing(std::span<const uint8_t> bytes, const Meta* meta) override;
  void drop() override {}

 private:
  void handle(const Request& request);
  void reply(Message* message);
  void flush();
  void finish_dump(const Request& request);
  void acknowledge(const Request& request, int result);
  int dispatch(const Request& request);

  int get_link(const Request& request);
  int set_link(const Request& request);
  int get_address(const Request& request);
  int set_address(const Request& request, bool add);
  int get_route(const Request& request);
  int set_route(const Request& request, bool add);
  int get_neighbour(const Request& request);
  int set_neighbour(const Request& request, bool add);
  int get_rule(const Request& request);

  uint32_t port_ = 0;
  uint64_t groups_ = 0;
  std::vector<uint8_t> pending_;  // a datagram of several messages
};

Message link_message(const Interface& interface, uint16_t type, uint16_t flags, uint32_t seq, uint32_t pid);
Message address_message(const Interface& interface, const Address& address, uint16_t type, uint16_t flags, uint32_t seq,
                        uint32_t pid);
Message route_message(const Route& route, uint16_t type, uint16_t flags, uint32_t seq, uint32_t pid);

}  // namespace umvu::lwip
