#include "link.h"

#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "error.h"
#include "unique_fd.h"

namespace umvu::broker {
namespace {

// One rtnetlink request, attributes and nested attributes in the order of the calls.
class LinkRequest {
 public:
  LinkRequest(uint16_t type, uint16_t flags) : type_(type), flags_(flags) {
    bytes_.resize(NLMSG_HDRLEN);
  }

  void Header(const ifinfomsg& info) { Append(&info, sizeof info); }
  void Attribute(uint16_t type, const void* data, size_t size) {
    const rtattr head{static_cast<uint16_t>(RTA_LENGTH(size)), type};
    Append(&head, sizeof head);
    Append(data, size);
  }
  void Word(uint16_t type, uint32_t value) { Attribute(type, &value, sizeof value); }
  void Text(uint16_t type, const std::string& text) {
    Attribute(type, text.c_str(), text.size() + 1);
  }
  // Opens a nested attribute; End() closes it.
  size_t Begin(uint16_t type) {
    const size_t start = bytes_.size();
    Attribute(type, nullptr, 0);
    return start;
  }
  void End(size_t start) {
    const auto length = static_cast<uint16_t>(bytes_.size() - start);
    std::memcpy(&bytes_[start], &length, sizeof length);
  }

  // Sends the request and waits for its acknowledgement. 0, or a negated errno.
  int Send() {
    const nlmsghdr head{static_cast<uint32_t>(bytes_.size()), type_,
                        static_cast<uint16_t>(flags_ | NLM_F_REQUEST | NLM_F_ACK), 1, 0};
    std::memcpy(bytes_.data(), &head, sizeof head);
    const UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!fd || send(fd.get(), bytes_.data(), bytes_.size(), 0) < 0) return -errno;
    alignas(nlmsghdr) char reply[8192];
    const ssize_t size = recv(fd.get(), reply, sizeof reply, 0);
    if (size < 0) return -errno;
    nlmsghdr answer;
    nlmsgerr status;
    if (static_cast<size_t>(size) < NLMSG_HDRLEN + sizeof status) return -EBADMSG;
    std::memcpy(&answer, reply, sizeof answer);
    if (answer.nlmsg_type != NLMSG_ERROR) return -EBADMSG;
    std::memcpy(&status, reply + NLMSG_HDRLEN, sizeof status);
    return status.error;
  }

 private:
  void Append(const void* data, size_t size) {
    const size_t start = bytes_.size();
    bytes_.resize(start + NLMSG_ALIGN(size));
    if (size > 0) std::memcpy(&bytes_[start], data, size);
  }

  uint16_t type_;
  uint16_t flags_;
  std::vector<char> bytes_;
};

// Group (IFLA_GROUP) of the interfaces that wait for their removal; others are in group 0.
constexpr uint32_t kDoomedGroup = 1;

void Complain(const char* what, int result) {
  std::fprintf(stderr, "umvu-broker: %s: %s\n", what, std::strerror(-result));
}

ifreq RequestFor(const std::string& name) {
  ifreq request{};
  std::memcpy(request.ifr_name, name.data(), std::min(name.size(), sizeof request.ifr_name - 1));
  return request;
}

UniqueFd ControlSocket() {
  UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) FailSystem("socket");
  return fd;
}

}  // namespace

bool ValidLinkName(const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ || name == "." || name == "..") return false;
  for (const char c : name) {
    if (c <= ' ' || c == '/' || c == ':' || c == '%' || c == 0x7f) return false;
  }
  return true;
}

void MakeVeth(const std::string& backstage, const std::string& name, unsigned mtu, int stack_ns) {
  LinkRequest request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  ifinfomsg up{};
  up.ifi_flags = IFF_UP | IFF_NOARP;
  up.ifi_change = IFF_UP | IFF_NOARP;
  request.Header(up);
  request.Text(IFLA_IFNAME, backstage);
  request.Word(IFLA_MTU, kBackstageMtu);
  const size_t info = request.Begin(IFLA_LINKINFO);
  request.Text(IFLA_INFO_KIND, "veth");
  const size_t data = request.Begin(IFLA_INFO_DATA);
  const size_t peer = request.Begin(VETH_INFO_PEER);
  request.Header(ifinfomsg{});
  request.Text(IFLA_IFNAME, name);
  request.Word(IFLA_MTU, mtu);
  request.Word(IFLA_TXQLEN, kQueueLength);
  request.Word(IFLA_NET_NS_FD, static_cast<uint32_t>(stack_ns));
  request.End(peer);
  request.End(data);
  request.End(info);
  const int result = request.Send();
  if (result < 0) throw Failure(-result, "veth pair: " + std::string(std::strerror(-result)));
}

void DoomLink(const std::string& name) {
  LinkRequest request(RTM_SETLINK, 0);
  request.Header(ifinfomsg{});
  request.Text(IFLA_IFNAME, name);
  request.Word(IFLA_GROUP, kDoomedGroup);
  const int result = request.Send();
  if (result < 0 && result != -ENODEV) Complain("doom an interface", result);
}

void RemoveDoomedLinks() {
  LinkRequest request(RTM_DELLINK, 0);
  request.Header(ifinfomsg{});
  request.Word(IFLA_GROUP, kDoomedGroup);
  const int result = request.Send();
  if (result < 0 && result != -ENODEV) Complain("remove interfaces", result);
}

void SetLinkUp(const std::string& name) {
  const UniqueFd fd = ControlSocket();
  ifreq request = RequestFor(name);
  CheckSystem(ioctl(fd.get(), SIOCGIFFLAGS, &request), "SIOCGIFFLAGS");
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  CheckSystem(ioctl(fd.get(), SIOCSIFFLAGS, &request), "SIOCSIFFLAGS");
}

void SetLinkSizes(const std::string& name, unsigned mtu, unsigned queue_length) {
  const UniqueFd fd = ControlSocket();
  ifreq request = RequestFor(name);
  request.ifr_mtu = static_cast<int>(mtu);
  CheckSystem(ioctl(fd.get(), SIOCSIFMTU, &request), "SIOCSIFMTU");
  request.ifr_qlen = static_cast<int>(queue_length);
  CheckSystem(ioctl(fd.get(), SIOCSIFTXQLEN, &request), "SIOCSIFTXQLEN");
}

void KeepVlanTagsInFrames(const std::string& name) {
  const UniqueFd fd = ControlSocket();
  ifreq request = RequestFor(name);
  ethtool_value value{ETHTOOL_GFLAGS, 0};
  request.ifr_data = reinterpret_cast<char*>(&value);
  if (ioctl(fd.get(), SIOCETHTOOL, &request) < 0) return;
  value.cmd = ETHTOOL_SFLAGS;
  value.data &= ~static_cast<uint32_t>(ETH_FLAG_TXVLAN | ETH_FLAG_RXVLAN);
  // Without it the pump still finds the tag in PACKET_AUXDATA.
  if (ioctl(fd.get(), SIOCETHTOOL, &request) < 0) return;
}

}  // namespace umvu::broker
