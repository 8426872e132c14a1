// TCP sockets that share a port (SO_REUSEPORT, SO_BINDTODEVICE), and those that are connected to themselves.
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

#include "lwip/host.h"
#include "lwip/stream.h"

namespace umvu::lwip {

// -- Listeners of one port ----------------------------------------------------------------------------------
//
// lwIP has one listener for an address. The first of them has its PCB, and leaves it to another when it closes.

std::vector<StreamSock*> StreamSock::sharers() const {
  std::vector<StreamSock*> group;
  const bool shared = options_.number(SOL_SOCKET, SO_REUSEPORT) != 0;
  if (!shared && chosen_interface(SOL_SOCKET, SO_BINDTODEVICE) == nullptr) return group;
  for (Sock* sock : stack_->socks()) {
    auto* other = dynamic_cast<StreamSock*>(sock);
    if (other != nullptr && other != this && other->state_ == State::kListening && other->domain_ == domain_ &&
        other->local_.port == local_.port && ip_addr_cmp(&other->local_.ip, &local_.ip) &&
        ((shared && other->options_.number(SOL_SOCKET, SO_REUSEPORT) != 0) || other_device(*other))) {
      group.push_back(other);
    }
  }
  return group;
}

bool StreamSock::share_listener() {
  for (const StreamSock* other : sharers()) {
    if (other->pcb_ == nullptr) continue;
    drop_pcb();
    return true;
  }
  return false;
}

bool StreamSock::leave_listener(tcp_pcb* pcb) {
  const std::vector<StreamSock*> group = sharers();
  if (group.empty()) return false;
  group.front()->pcb_ = pcb;
  tcp_arg(pcb, group.front());
  return true;
}

StreamSock* StreamSock::choose_listener(const tcp_pcb* pcb) {
  std::vector<StreamSock*> group = sharers();
  group.push_back(this);
  const ip_addr_t& ip = pcb->remote_ip;
  const uint32_t address = IP_IS_V4_VAL(ip) ? ip_2_ip4(&ip)->addr : ip_2_ip6(&ip)->addr[3];
  const uint32_t hash = (address ^ pcb->remote_port) * 0x9e3779b1u >> 16;
  for (std::size_t i = 0; i < group.size(); ++i) {
    StreamSock* chosen = group[(hash + i) % group.size()];
    if (chosen->hears_current() && chosen->still_listens()) return chosen;
  }
  return this;
}

// -- A socket that is connected to itself ---------------------------------------------------------------------
//
// Two ends of TCP in one (simultaneous open, RFC 9293, 3.5), which lwIP does not know: what the guest writes comes
// back to it.

int StreamSock::connect_self(int guest) {
  const int far = host().attach(guest);
  if (far < 0) return far;
  drop_pcb();
  far_.reset(far);
  remote_ = local_;
  state_ = State::kConnected;
  self_ = true;
  update_interest();
  return 0;
}

void StreamSock::on_own_events(uint32_t events) {
  if ((events & (EPOLLHUP | EPOLLERR)) != 0 && (guest_finished_ || (events & EPOLLIN) == 0)) return abandon();
  if ((events & EPOLLOUT) != 0) push();
  constexpr std::size_t kMost = 16384;
  uint8_t bytes[kMost];
  while (received_.empty() && !guest_finished_) {
    const ssize_t got = recv(far_.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) break;
    if (got <= 0) {
      guest_finished_ = peer_finished_ = true;
    } else {
      pbuf* data = pbuf_alloc(PBUF_RAW, static_cast<u16_t>(got), PBUF_RAM);
      if (data == nullptr) return reset(ENOBUFS);
      pbuf_take(data, bytes, static_cast<u16_t>(got));
      received_.push_back(data);
    }
    push();
  }
  send_full_ = !received_.empty();
  update_interest();
}

}  // namespace umvu::lwip
