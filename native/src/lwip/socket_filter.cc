#include "lwip/socket_filter.h"

#include <linux/if_ether.h>
#include <net/if_arp.h>
#include <sys/socket.h>

#include <cerrno>

#include "lwip/sock.h"
#include "lwip/stack.h"

namespace umvu::lwip {

bool SocketFilter::concerns(int level, int name) {
  return level == SOL_SOCKET && (name == SO_ATTACH_FILTER || name == SO_DETACH_FILTER || name == SO_LOCK_FILTER);
}

int SocketFilter::changed(int name, const Options& options) {
  if (name == SO_LOCK_FILTER) {
    const bool lock = options.number(SOL_SOCKET, SO_LOCK_FILTER) != 0;
    if (locked_ && !lock) return -EPERM;
    locked_ = lock;
    return 0;
  }
  if (locked_) return -EPERM;
  if (name == SO_ATTACH_FILTER) return program_.load(*options.find(SOL_SOCKET, SO_ATTACH_FILTER));
  if (program_.empty()) return -ENOENT;
  program_.clear();
  return 0;
}

uint32_t SocketFilter::run_current(std::span<const uint8_t> frame, std::size_t start) const {
  const Interface* interface = Interface::of(ip_current_input_netif());
  const uint16_t hardware = interface->loopback() ? ARPHRD_LOOPBACK : ARPHRD_ETHER;
  const uint16_t protocol = ip_current_is_v6() ? ETH_P_IPV6 : ETH_P_IP;
  return program_.run({frame.subspan(ETH_HLEN + start), frame, protocol, PACKET_HOST, interface->index(), hardware});
}

uint32_t SocketFilter::run_current(const pbuf* packet, std::size_t start) const {
  if (program_.empty()) return UINT32_MAX;
  static thread_local std::vector<uint8_t> frame;
  frame.assign(ETH_HLEN, 0);
  frame.resize(ETH_HLEN + std::size_t{packet->tot_len});
  pbuf_copy_partial(packet, frame.data() + ETH_HLEN, packet->tot_len, 0);
  return run_current(std::span<const uint8_t>(frame), start);
}

}  // namespace umvu::lwip
