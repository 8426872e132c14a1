#pragma once

#include "lwip/sock.h"

namespace umvu::lwip {

// AF_NETLINK: just the object that a guest holds. What it writes is handed to JavaScript, which answers it
// (runtime/ioth/lwip/netlink.ts), and which answers all calls that name addresses and options.
class NetlinkSock : public Sock {
 public:
  using Sock::Sock;
  // Makes the pair of sockets; the guest's end, or a negated errno.
  int open();

  // The next message that the guest has written; its length, or -EAGAIN: an event will tell.
  int take(std::span<uint8_t> into);
  // A message for the guest; with the number of a multicast group, or 0. -EAGAIN: there is no room, an event will tell.
  int put(std::span<const uint8_t> bytes, uint32_t group);

  int bind(int, std::span<const uint8_t>) override { return -EOPNOTSUPP; }
  int connect(int, std::span<const uint8_t>, bool) override { return -EOPNOTSUPP; }
  int name(bool, uint8_t*) override { return -EOPNOTSUPP; }
  int shutdown(int guest, int how) override;
  int option_changed(int guest, int level, int name) override;
  void on_events(uint32_t events) override;
  void abandon() override;

 private:
  bool waits_for_room_ = false;
};

}  // namespace umvu::lwip
