#pragma once

#include <span>

#include "lwip/bpf.h"

struct pbuf;

namespace umvu::lwip {

class Options;

// What SO_ATTACH_FILTER, SO_DETACH_FILTER and SO_LOCK_FILTER of socket(7) have made of a socket.
class SocketFilter {
 public:
  static bool concerns(int level, int name);
  // An option that concerns it has been set in `options`: 0 or a negated errno.
  int changed(int name, const Options& options);
  bool empty() const { return program_.empty(); }
  // How many bytes of a packet are wanted, 0: none. Without a filter: all.
  uint32_t run(const FilterInput& input) const { return program_.run(input); }
  // Of the packet that lwIP is handing out; what the socket gets of it begins `start` bytes after the IP header does.
  // `frame` has room for an Ethernet header before it.
  uint32_t run_current(std::span<const uint8_t> frame, std::size_t start) const;
  // The same of `packet`, whose payload begins with the IP header.
  uint32_t run_current(const pbuf* packet, std::size_t start) const;

 private:
  PacketFilter program_;
  bool locked_ = false;
};

}  // namespace umvu::lwip
