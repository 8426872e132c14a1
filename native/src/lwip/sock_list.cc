#include "lwip/sock_list.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <map>
#include <tuple>

#include "lwip/stack.h"
#include "lwip/sock.h"

namespace umvu::lwip {
namespace {

// Local port, remote address and port: what tells connections of TCP apart.
using Key = std::tuple<uint16_t, std::array<uint8_t, 16>, uint16_t>;

Key key_of(const Endpoint& local, const Endpoint& remote) {
  std::array<uint8_t, 16> bytes{};
  if (IP_IS_V6_VAL(remote.ip)) {
    std::memcpy(bytes.data(), ip_2_ip6(&remote.ip)->addr, 16);
  } else if (!ip4_addr_isany_val(*ip_2_ip4(&remote.ip))) {
    std::memcpy(bytes.data(), &ip_2_ip4(&remote.ip)->addr, 4);
  }
  return {local.port, bytes, remote.port};
}

// The address that `sock` tells of itself or its peer; that of nobody where it has none.
Endpoint told(Sock* sock, bool peer) {
  uint8_t name[kLongestAddress];
  Endpoint endpoint;
  ip_addr_set_any(sock->domain() == AF_INET6, &endpoint.ip);
  const int size = sock->name(peer, name);
  if (size > 0) read_endpoint(sock->domain(), {name, static_cast<std::size_t>(size)}, &sock->stack(), &endpoint);
  return endpoint;
}

bool v6only(Sock* sock) { return sock->options().number(IPPROTO_IPV6, IPV6_V6ONLY) != 0; }

int linux_state(int state) {
  switch (state) {
    case LISTEN: return TCP_LISTEN;
    case SYN_SENT: return TCP_SYN_SENT;
    case SYN_RCVD: return TCP_SYN_RECV;
    case ESTABLISHED: return TCP_ESTABLISHED;
    case FIN_WAIT_1: return TCP_FIN_WAIT1;
    case FIN_WAIT_2: return TCP_FIN_WAIT2;
    case CLOSE_WAIT: return TCP_CLOSE_WAIT;
    case CLOSING: return TCP_CLOSING;
    case LAST_ACK: return TCP_LAST_ACK;
    case TIME_WAIT: return TCP_TIME_WAIT;
    default: return TCP_CLOSE;
  }
}

class Lister {
 public:
  explicit Lister(Stack* stack) {
    for (Sock* sock : stack->socks()) {
      if (sock->domain() != AF_INET && sock->domain() != AF_INET6) continue;
      const Endpoint local = told(sock, false), remote = told(sock, true);
      if (sock->type() == SOCK_STREAM) {
        owners_[key_of(local, remote)] = sock;
      } else if (sock->type() == SOCK_RAW || local.port != 0) {
        const int state = remote.any() && remote.port == 0 ? TCP_CLOSE : TCP_ESTABLISHED;
        list_.push_back({sock->domain(), sock->type(), sock->protocol(), state, local, remote, sock->inode, 0,
                         v6only(sock)});
      }
    }
  }

  void add(const tcp_pcb* pcb) {
    const bool listens = pcb->state == LISTEN;
    Endpoint local{pcb->local_ip, pcb->local_port}, remote;
    ip_addr_set_any(IP_IS_V6_VAL(local.ip), &remote.ip);
    // The PCB of a listener is a shorter one.
    if (!listens) remote = {pcb->remote_ip, pcb->remote_port};
    if (IP_IS_ANY_TYPE_VAL(local.ip)) ip_addr_set_any(true, &local.ip);
    Connection found{IP_IS_V6_VAL(local.ip) ? AF_INET6 : AF_INET, SOCK_STREAM, IPPROTO_TCP, linux_state(pcb->state),
                     local, remote, 0, 0, false};
    if (!listens && pcb->state != TIME_WAIT) found.unsent = pcb->snd_lbb - pcb->lastack;
    if (const auto owner = owners_.find(key_of(local, remote)); owner != owners_.end()) {
      found.domain = owner->second->domain();
      found.inode = owner->second->inode;
      found.v6only = v6only(owner->second);
    }
    list_.push_back(found);
  }

  std::vector<Connection> take() { return std::move(list_); }

 private:
  std::map<Key, Sock*> owners_;
  std::vector<Connection> list_;
};

}  // namespace

std::vector<Connection> list_connections(Stack& stack) {
  Lister lister(&stack);
  for (const tcp_pcb_listen* pcb = tcp_listen_pcbs.listen_pcbs; pcb != nullptr; pcb = pcb->next) {
    lister.add(reinterpret_cast<const tcp_pcb*>(pcb));
  }
  stack.connections().each([&](const tcp_pcb* pcb) { lister.add(pcb); });
  return lister.take();
}

}  // namespace umvu::lwip
