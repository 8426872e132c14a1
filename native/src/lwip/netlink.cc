#include "lwip/netlink.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "lwip/host.h"

namespace umvu::lwip {
namespace {

// What a datagram of a dump may hold: readers with small buffers exist (glibc reads a page at least).
constexpr std::size_t kDatagram = 3800;

}  // namespace

Message::Message(uint16_t type, uint16_t flags, uint32_t seq, uint32_t pid) {
  nlmsghdr header = {};
  header.nlmsg_type = type;
  header.nlmsg_flags = flags;
  header.nlmsg_seq = seq;
  header.nlmsg_pid = pid;
  append(&header, sizeof header);
}

void Message::append(const void* value, std::size_t size) {
  const auto* from = static_cast<const uint8_t*>(value);
  bytes_.insert(bytes_.end(), from, from + size);
  bytes_.resize(NLMSG_ALIGN(bytes_.size()));
}

Message& Message::attribute(uint16_t type, const void* value, std::size_t size) {
  const rtattr header{static_cast<uint16_t>(sizeof(rtattr) + size), type};
  append(&header, sizeof header);
  append(value, size);
  return *this;
}

Message& Message::address(uint16_t type, const ip_addr_t& ip) {
  return IP_IS_V6_VAL(ip) ? attribute(type, ip_2_ip6(&ip)->addr, 16) : attribute(type, &ip_2_ip4(&ip)->addr, 4);
}

std::size_t Message::begin(uint16_t type) {
  const std::size_t start = bytes_.size();
  attribute(type, nullptr, 0);
  return start;
}

void Message::end(std::size_t start) {
  const auto size = static_cast<uint16_t>(bytes_.size() - start);
  std::memcpy(bytes_.data() + start, &size, sizeof size);
}

const std::vector<uint8_t>& Message::bytes() {
  const auto size = static_cast<uint32_t>(bytes_.size());
  std::memcpy(bytes_.data(), &size, sizeof size);
  return bytes_;
}

Attributes::Attributes(std::span<const uint8_t> bytes) {
  while (bytes.size() >= sizeof(rtattr)) {
    rtattr header;
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.rta_len < sizeof header || header.rta_len > bytes.size()) return;
    list_.push_back({static_cast<uint16_t>(header.rta_type & NLA_TYPE_MASK),
                     bytes.subspan(sizeof header, header.rta_len - sizeof header)});
    bytes = bytes.subspan(std::min<std::size_t>(bytes.size(), RTA_ALIGN(header.rta_len)));
  }
}

std::span<const uint8_t> Attributes::find(uint16_t type) const {
  for (const auto& [known, value] : list_) {
    if (known == type) return value;
  }
  return {};
}

uint32_t Attributes::number(uint16_t type, uint32_t otherwise) const {
  const auto value = find(type);
  uint32_t number = otherwise;
  if (value.size() >= sizeof number) std::memcpy(&number, value.data(), sizeof number);
  return number;
}

std::string Attributes::text(uint16_t type) const {
  const auto value = find(type);
  const auto end = std::find(value.begin(), value.end(), 0);
  return std::string(value.begin(), end);
}

bool Attributes::address(uint16_t type, ip_addr_t* ip) const {
  const auto value = find(type);
  if (value.size() == 4) {
    uint32_t v4;
    std::memcpy(&v4, value.data(), 4);
    ip_addr_set_ip4_u32_val(*ip, v4);
    return true;
  }
  if (value.size() != 16) return false;
  ip6_addr_t v6 = {};
  std::memcpy(v6.addr, value.data(), 16);
  ip_addr_copy_from_ip6(*ip, v6);
  return true;
}

NetlinkSock::NetlinkSock(Stack* stack, int type) : DatagramSock(stack, AF_NETLINK, type, NETLINK_ROUTE) {}

int NetlinkSock::bind(int, std::span<const uint8_t> address) {
  sockaddr_nl wanted;
  if (address.size() < sizeof wanted) return -EINVAL;
  std::memcpy(&wanted, address.data(), sizeof wanted);
  if (wanted.nl_family != AF_NETLINK) return -EINVAL;
  if (port_ != 0 && wanted.nl_pid != 0 && wanted.nl_pid != port_) return -EINVAL;
  if (port_ == 0) port_ = wanted.nl_pid != 0 ? wanted.nl_pid : static_cast<uint32_t>(0x80000000u + id());
  groups_ = (groups_ & ~0xffffffffull) | wanted.nl_groups;
  return 0;
}

int NetlinkSock::connect(int, std::span<const uint8_t> address, bool) {
  // There is nobody but the stack to be connected to.
  if (address.size() < sizeof(sockaddr_nl)) return -EINVAL;
  return 0;
}

int NetlinkSock::name(bool peer, uint8_t* out) {
  sockaddr_nl address = {};
  address.nl_family = AF_NETLINK;
  if (!peer) {
    address.nl_pid = port_;
    address.nl_groups = static_cast<uint32_t>(groups_);
  }
  std::memcpy(out, &address, sizeof address);
  return sizeof address;
}

int NetlinkSock::option_changed(int guest, int level, int name) {
  if (level == SOL_NETLINK && (name == NETLINK_ADD_MEMBERSHIP || name == NETLINK_DROP_MEMBERSHIP)) {
    const int group = options_.number(level, name);
    if (group < 1 || group > 63) return -EINVAL;
    const uint64_t bit = 1ull << (group - 1);
    groups_ = name == NETLINK_ADD_MEMBERSHIP ? groups_ | bit : groups_ & ~bit;
    return 0;
  }
  return DatagramSock::option_changed(guest, level, name);
}

int NetlinkSock::outgoing(std::span<const uint8_t> bytes, const Meta*) {
  if (port_ == 0) port_ = static_cast<uint32_t>(0x80000000u + id());
  while (bytes.size() >= sizeof(nlmsghdr)) {
    Request request;
    std::memcpy(&request.header, bytes.data(), sizeof request.header);
    const std::size_t size = request.header.nlmsg_len;
    if (size < sizeof request.header || size > bytes.size()) break;
    request.payload = bytes.subspan(sizeof request.header, size - sizeof request.header);
    // As the kernel does with what is no request (netlink_rcv_skb()).
    if ((request.header.nlmsg_flags & NLM_F_REQUEST) != 0 && request.header.nlmsg_type >= NLMSG_MIN_TYPE) {
      handle(request);
    }
    bytes = bytes.subspan(std::min<std::size_t>(bytes.size(), NLMSG_ALIGN(size)));
  }
  return 0;
}

void NetlinkSock::handle(const Request& request) {
  const int result = dispatch(request);
  const bool get = (request.header.nlmsg_type & 3) == 2;
  if (result == 0 && get && request.dump()) {
    finish_dump(request);
  } else if (result != 0 || (request.header.nlmsg_flags & NLM_F_ACK) != 0) {
    acknowledge(request, result);
  }
  flush();
}

int NetlinkSock::dispatch(const Request& request) {
  switch (request.header.nlmsg_type) {
    case RTM_GETLINK: return get_link(request);
    case RTM_NEWLINK:
    case RTM_SETLINK: return set_link(request);
    case RTM_GETADDR: return get_address(request);
    case RTM_NEWADDR: return set_address(request, true);
    case RTM_DELADDR: return set_address(request, false);
    case RTM_GETROUTE: return get_route(request);
    case RTM_NEWROUTE: return set_route(request, true);
    case RTM_DELROUTE: return set_route(request, false);
    case RTM_GETNEIGH: return get_neighbour(request);
    case RTM_NEWNEIGH: return set_neighbour(request, true);
    case RTM_DELNEIGH: return set_neighbour(request, false);
    case RTM_GETRULE: return get_rule(request);
    case RTM_GETQDISC: return request.dump() ? 0 : -ENOENT;
    default: return -EOPNOTSUPP;
  }
}

void NetlinkSock::reply(Message* message) {
  const auto& bytes = message->bytes();
  if (pending_.size() + bytes.size() > kDatagram) flush();
  pending_.insert(pending_.end(), bytes.begin(), bytes.end());
}

void NetlinkSock::flush() {
  if (!pending_.empty()) incoming(pending_, nullptr);
  pending_.clear();
}

void NetlinkSock::finish_dump(const Request& request) {
  Message done(NLMSG_DONE, NLM_F_MULTI, request.header.nlmsg_seq, port_);
  done.body(int32_t{0});
  reply(&done);
}

void NetlinkSock::acknowledge(const Request& request, int result) {
  // Of a request that is refused the whole comes back, unless NETLINK_CAP_ACK was set.
  const bool whole = result != 0 && options_.number(SOL_NETLINK, NETLINK_CAP_ACK) == 0;
  struct {
    int32_t error;
    nlmsghdr header;
  } body{result, request.header};
  Message answer(NLMSG_ERROR, whole ? 0 : NLM_F_CAPPED, request.header.nlmsg_seq, port_);
  answer.body(body);
  if (whole) answer.raw(request.payload);
  reply(&answer);
}

void NetlinkSock::broadcast(Stack* stack, unsigned group, Message* message) {
  for (Sock* sock : stack->socks()) {
    auto* listener = dynamic_cast<NetlinkSock*>(sock);
    if (listener != nullptr && (listener->groups_ >> (group - 1) & 1) != 0) listener->incoming(message->bytes(), nullptr);
  }
}

}  // namespace umvu::lwip
