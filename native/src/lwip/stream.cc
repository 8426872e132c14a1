#include "lwip/stream.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "lwip/host.h"
#include "lwip/place.h"

namespace umvu::lwip {

StreamSock::StreamSock(Stack* stack, int domain, int protocol) : Sock(stack, domain, SOCK_STREAM, protocol) {
  ip_addr_set_any(domain == AF_INET6, &local_.ip);
}

int StreamSock::make_pcb() {
  if (pcb_ != nullptr) return 0;
  pcb_ = tcp_new_ip_type(pcb_type(domain_, options_.number(IPPROTO_IPV6, IPV6_V6ONLY) != 0));
  if (pcb_ == nullptr) return -ENOBUFS;
  // Whether an address is free is decided in bind(), as Linux does; lwIP is not to ask again.
  ip_set_option(pcb_, SOF_REUSEADDR);
  set_callbacks();
  apply_options();
  return 0;
}

void StreamSock::set_callbacks() {
  tcp_arg(pcb_, this);
  tcp_recv(pcb_, on_received);
  tcp_sent(pcb_, on_sent);
  tcp_err(pcb_, on_error);
  // Small segments are not held back: what the guest wrote is gathered in its AF_UNIX socket meanwhile.
  tcp_nagle_disable(pcb_);
}

void StreamSock::drop_pcb() {
  if (pcb_ == nullptr) return;
  tcp_pcb* pcb = pcb_;
  pcb_ = nullptr;
  if (stack_->failed()) return;
  if (state_ == State::kListening) {
    if (leave_listener(pcb)) return;
    tcp_arg(pcb, nullptr);
    tcp_close(pcb);
    return;
  }
  tcp_arg(pcb, nullptr);
  tcp_recv(pcb, nullptr);
  tcp_sent(pcb, nullptr);
  tcp_err(pcb, nullptr);
  if (state_ == State::kFresh || state_ == State::kBound) {
    tcp_close(pcb);
  } else {
    tcp_abort(pcb);
  }
}

int StreamSock::bind(int guest, std::span<const uint8_t> address) {
  if (state_ != State::kFresh) return -EINVAL;
  Endpoint wanted;
  if (const int result = read_endpoint(domain_, address, stack_, &wanted); result != 0) return result;
  if (!wanted.any() && !stack_->is_local(wanted.ip)) return -EADDRNOTAVAIL;
  if (wanted.port != 0 && taken(wanted, false)) return -EADDRINUSE;
  if (const int result = make_pcb(); result != 0) return result;
  if (wanted.any() && domain_ == AF_INET6 && !IP_IS_V4_VAL(wanted.ip) && IP_IS_ANY_TYPE_VAL(pcb_->local_ip)) {
    wanted.ip = *IP_ANY_TYPE;
  }
  const err_t error = tcp_bind(pcb_, &wanted.ip, wanted.port);
  if (error != ERR_OK) return error == ERR_BUF ? -EADDRINUSE : errno_of(error);
  if (const int result = bind_place(guest, &place_); result != 0) return result;
  local_.port = pcb_->local_port;
  if (!wanted.any()) local_.ip = wanted.ip;
  state_ = State::kBound;
  return 0;
}

bool StreamSock::alive() {
  const bool unseen = state_ == State::kBound || state_ == State::kListening;
  return !unseen || !place_ || host().alive(place_.get());
}

int StreamSock::shutdown(int guest, int how) {
  if (how < SHUT_RD || how > SHUT_RDWR) return -EINVAL;
  if (state_ == State::kListening) {
    // Linux closes the port; who waits in accept() gets EINVAL, as from an AF_UNIX listener.
    if (how != SHUT_WR) drop_pcb();
    return how != SHUT_WR && ::shutdown(guest, how) != 0 ? -errno : 0;
  }
  if (state_ != State::kConnected) return -ENOTCONN;
  return ::shutdown(guest, how) != 0 ? -errno : 0;
}

int StreamSock::name(bool peer, uint8_t* out) {
  if (peer) {
    if (state_ != State::kConnected) return -ENOTCONN;
    return static_cast<int>(write_endpoint(domain_, remote_, out));
  }
  return static_cast<int>(write_endpoint(domain_, local_, out));
}

// lwIP knows no urgent data; what a guest sends as such arrives among the rest.
void StreamSock::keep_urgent() {
  const int on = 1;
  setsockopt(far_.get(), SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
}

// Segments larger than the MTU where the network cuts them, and no slow start where nothing gets lost.
void StreamSock::boost() {
  netif* place = ip_route(&pcb_->local_ip, &pcb_->remote_ip);
  if (place == nullptr) return;
  const Interface* interface = Interface::of(place);
  pcb_->rto = pcb_->sv = (interface->offloads() ? 200 : 1000) / TCP_SLOW_INTERVAL;
  if (!interface->offloads()) return;
  const unsigned headers = IP_IS_V6_VAL(pcb_->remote_ip) ? 60 : 40;
  const unsigned mss = static_cast<unsigned>(place->mtu) - headers;
  // A peer that takes less than the MTU allows gets what it asked for.
  if (!interface->loopback() && pcb_->mss >= mss) {
    constexpr unsigned kLargest = 65535 - SIZEOF_ETH_HDR - 120;
    pcb_->mss = static_cast<u16_t>(kLargest / mss * mss);
  }
  pcb_->cwnd = TCP_SND_BUF;
}

// What SO_SNDBUF and SO_RCVBUF allow, where they were set. Less than a SYN can offer is not withheld.
void StreamSock::limit_buffers() {
  constexpr int kLeast = 65535;
  const int send = options_.number(SOL_SOCKET, SO_SNDBUF) * 2;
  if (send > 0) pcb_->snd_buf = std::min<tcpwnd_size_t>(pcb_->snd_buf, static_cast<tcpwnd_size_t>(std::max(send, kLeast)));
  int receive = options_.find(SOL_SOCKET, SO_RCVBUF) == nullptr ? INT_MAX : options_.number(SOL_SOCKET, SO_RCVBUF) * 2;
  if (const int clamp = options_.number(IPPROTO_TCP, TCP_WINDOW_CLAMP); clamp > 0) receive = std::min(receive, clamp);
  receive = std::max(receive, kLeast);
  if (static_cast<unsigned>(receive) >= pcb_->rcv_wnd) return;
  withheld_ = pcb_->rcv_wnd - static_cast<unsigned>(receive);
  pcb_->rcv_wnd -= withheld_;
  pcb_->rcv_ann_wnd = std::min(pcb_->rcv_ann_wnd, pcb_->rcv_wnd);
  // The peer has seen the 16 bits of a SYN only.
  pcb_->rcv_ann_right_edge = pcb_->rcv_nxt + pcb_->rcv_ann_wnd;
}

void StreamSock::restore_window() {
  pcb_->rcv_wnd += withheld_;
  withheld_ = 0;
}

void StreamSock::abandon() {
  drop_pcb();
  leave_queue();
  while (!waiting_.empty()) waiting_.front()->abandon();
  drop_received();
  forget_chunks();
  retire();
}

void StreamSock::on_error(void* self, err_t error) {
  auto* sock = static_cast<StreamSock*>(self);
  if (sock == nullptr) return;
  sock->pcb_ = nullptr;  // lwIP has freed it
  if (sock->state_ == State::kConnecting) {
    sock->failed(error == ERR_RST ? ECONNREFUSED : ETIMEDOUT);
  } else {
    const int silence = sock->soft_error_ != 0 ? sock->soft_error_ : ETIMEDOUT;
    sock->reset(error == ERR_RST ? ECONNRESET : error == ERR_CLSD ? 0 : silence);
  }
}

}  // namespace umvu::lwip
