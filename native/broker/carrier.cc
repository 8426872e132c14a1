#include "carrier.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

#include "error.h"
#include "link.h"

// Linux 6.2 and later; the headers of Debian 12 do not have them.
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

namespace umvu::broker {
namespace {

// Room for bursts of 64 KiB frames (TSO); a plain user gets what net.core.rmem_max allows.
constexpr int kSocketBuffer = 16 << 20;

void SetOption(int fd, int level, int option, int value, const char* what) {
  CheckSystem(setsockopt(fd, level, option, &value, sizeof value), what);
}

void SetBuffer(int fd, int force, int ordinary) {
  if (setsockopt(fd, SOL_SOCKET, force, &kSocketBuffer, sizeof kSocketBuffer) == 0) return;
  SetOption(fd, SOL_SOCKET, ordinary, kSocketBuffer, "SO_RCVBUF, SO_SNDBUF");
}

}  // namespace

UniqueFd MakeTap(const std::string& name, unsigned mtu) {
  // The interface is made where the device was opened, not where the ioctl happens.
  UniqueFd fd(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd) FailSystem("/dev/net/tun");
  ifreq request{};
  std::memcpy(request.ifr_name, name.data(), name.size());
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  CheckSystem(ioctl(fd.get(), TUNSETIFF, &request), "TUNSETIFF");
  CheckSystem(ioctl(fd.get(), TUNSETVNETHDRSZ, &kVnetHeaderSize), "TUNSETVNETHDRSZ");
  const unsigned offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
  if (ioctl(fd.get(), TUNSETOFFLOAD, offloads | TUN_F_USO4 | TUN_F_USO6) < 0) {
    CheckSystem(ioctl(fd.get(), TUNSETOFFLOAD, offloads), "TUNSETOFFLOAD");
  }
  CheckSystem(ioctl(fd.get(), TUNSETPERSIST, 1), "TUNSETPERSIST");
  SetLinkSizes(name, mtu, kQueueLength);
  return fd;
}

UniqueFd OpenPacketSocket(const std::string& interface) {
  // Protocol 0: nothing arrives before the options are set.
  UniqueFd fd(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) FailSystem("socket(AF_PACKET)");
  SetOption(fd.get(), SOL_PACKET, PACKET_VNET_HDR, 1, "PACKET_VNET_HDR");
  SetOption(fd.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, "PACKET_IGNORE_OUTGOING");
  SetOption(fd.get(), SOL_PACKET, PACKET_AUXDATA, 1, "PACKET_AUXDATA");
  SetOption(fd.get(), SOL_PACKET, PACKET_QDISC_BYPASS, 1, "PACKET_QDISC_BYPASS");
  SetBuffer(fd.get(), SO_RCVBUFFORCE, SO_RCVBUF);
  SetBuffer(fd.get(), SO_SNDBUFFORCE, SO_SNDBUF);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
  if (address.sll_ifindex == 0) FailSystem("if_nametoindex");
  CheckSystem(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address),
              "bind(AF_PACKET)");
  return fd;
}

}  // namespace umvu::broker
