// Ports and options of TCP sockets.
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lwip/host.h"
#include "lwip/stream.h"

namespace umvu::lwip {
namespace {

int put(std::span<uint8_t> out, const void* value, std::size_t size) {
  std::memcpy(out.data(), value, std::min(size, out.size()));
  return static_cast<int>(std::min(size, out.size()));
}

int put(std::span<uint8_t> out, int value) { return put(out, &value, sizeof value); }

uint8_t linux_state(tcp_state state) {
  // As in <netinet/tcp.h>, whose numbers differ from lwIP's.
  switch (state) {
    case ESTABLISHED: return 1;
    case SYN_SENT: return 2;
    case SYN_RCVD: return 3;
    case FIN_WAIT_1: return 4;
    case FIN_WAIT_2: return 5;
    case TIME_WAIT: return 6;
    case CLOSE_WAIT: return 8;
    case LAST_ACK: return 9;
    case LISTEN: return 10;
    case CLOSING: return 11;
    default: return 7;
  }
}

}  // namespace

bool StreamSock::conflicts(const StreamSock& other, const Endpoint& wanted, bool listening) const {
  if (state_ == State::kFresh || state_ == State::kFailed || local_.port != wanted.port) return false;
  if (listening && state_ != State::kListening) return false;
  const auto narrow = [](const StreamSock& sock, const ip_addr_t& ip) {
    // An address of one family only.
    return sock.domain_ == AF_INET || !ip_addr_isany_val(ip) || sock.options_.number(IPPROTO_IPV6, IPV6_V6ONLY) != 0;
  };
  const bool any = ip_addr_isany_val(local_.ip) || ip_addr_isany_val(wanted.ip);
  if (IP_IS_V6_VAL(local_.ip) != IP_IS_V6_VAL(wanted.ip)) {
    if (narrow(*this, local_.ip) && narrow(other, wanted.ip)) return false;
  }
  if (!any && !ip_addr_cmp_zoneless(&local_.ip, &wanted.ip)) return false;
  const auto both = [&](int name) {
    return options_.number(SOL_SOCKET, name) != 0 && other.options_.number(SOL_SOCKET, name) != 0;
  };
  if (both(SO_REUSEPORT) || other_device(other)) return false;
  return !(both(SO_REUSEADDR) && state_ != State::kListening);
}

bool StreamSock::taken(const Endpoint& wanted, bool listening) {
  const std::set<Sock*> all = stack_->socks();
  for (Sock* sock : all) {
    auto* other = dynamic_cast<StreamSock*>(sock);
    if (other == nullptr || other == this || !other->conflicts(*this, wanted, listening)) continue;
    if (other->alive()) return true;
    other->abandon();
  }
  if (listening || options_.number(SOL_SOCKET, SO_REUSEADDR) != 0) return false;
  for (const tcp_pcb* pcb = tcp_tw_pcbs; pcb != nullptr; pcb = pcb->next) {
    if (pcb->local_port == wanted.port &&
        (ip_addr_isany_val(wanted.ip) || ip_addr_cmp_zoneless(&pcb->local_ip, &wanted.ip))) {
      return true;
    }
  }
  return false;
}

void StreamSock::apply_options() {
  tcp_pcb* pcb = pcb_;
  const int ttl = options_.number(IPPROTO_IP, IP_TTL, -1);
  pcb->ttl = static_cast<u8_t>(ttl < 0 ? IP_DEFAULT_TTL : ttl);
  if (IP_IS_V6_VAL(pcb->remote_ip)) {
    const int hops = options_.number(IPPROTO_IPV6, IPV6_UNICAST_HOPS, -1);
    pcb->ttl = static_cast<u8_t>(hops < 0 ? 64 : hops);
  }
  pcb->tos = static_cast<u8_t>(options_.number(IPPROTO_IP, IP_TOS));
  if (state_ == State::kListening) return;
  quick_ = options_.number(IPPROTO_TCP, TCP_QUICKACK) != 0;
  corked_ = options_.number(IPPROTO_TCP, TCP_CORK) != 0;
  if (options_.number(SOL_SOCKET, SO_KEEPALIVE) != 0) {
    ip_set_option(pcb, SOF_KEEPALIVE);
  } else {
    ip_reset_option(pcb, SOF_KEEPALIVE);
  }
  pcb->keep_idle = static_cast<u32_t>(options_.number(IPPROTO_TCP, TCP_KEEPIDLE, 7200)) * 1000;
  pcb->keep_intvl = static_cast<u32_t>(options_.number(IPPROTO_TCP, TCP_KEEPINTVL, 75)) * 1000;
  pcb->keep_cnt = static_cast<u32_t>(options_.number(IPPROTO_TCP, TCP_KEEPCNT, 9));
}

int StreamSock::option_changed(int guest, int level, int name) {
  if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY && state_ != State::kFresh) return -EINVAL;
  if (SocketFilter::concerns(level, name)) return filter_.changed(name, options_);
  if (const int result = interface_option(level, name); result != 0) return result;
  if (level == SOL_SOCKET && name == SO_RCVBUF && far_) {
    // The guest's receive buffer is what may wait on its way from here.
    const int size = options_.number(level, name);
    setsockopt(far_.get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  }
  if (level == SOL_SOCKET && name == SO_SNDBUF && filler_ == 0) {
    const int size = options_.number(level, name);
    setsockopt(guest, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  }
  if (pcb_ != nullptr) {
    if (state_ == State::kConnected) Connections::wake(pcb_);
    apply_options();
    if (level == IPPROTO_TCP) timing_changed(name);
    stack_->touch();
  }
  return 0;
}

int StreamSock::special_option(int level, int name, std::span<uint8_t> out) {
  const bool live = pcb_ != nullptr && state_ != State::kListening;
  if (level == SOL_SOCKET && name == SO_ERROR) return put(out, take_error());
  if (level == SOL_SOCKET && name == SO_ACCEPTCONN) return put(out, state_ == State::kListening);
  if ((level == IPPROTO_IP && name == IP_MTU) || (level == IPPROTO_IPV6 && name == IPV6_MTU)) {
    if (!live || state_ != State::kConnected) return -ENOTCONN;
    netif* place = ip_route(&pcb_->local_ip, &pcb_->remote_ip);
    return place == nullptr ? -ENOTCONN : put(out, Interface::of(place)->mtu());
  }
  if (level != IPPROTO_TCP) return -ENOPROTOOPT;
  const int mss = live && !stack_->interfaces().empty() ? std::min<int>(pcb_->mss, 65495) : 536;
  if (name == TCP_MAXSEG) {
    if (!live || state_ != State::kConnected) return put(out, options_.number(level, name, 536));
    return put(out, std::min(mss, segment_size()));
  }
  if (name != TCP_INFO) return -ENOPROTOOPT;
  tcp_info info = {};
  info.tcpi_state = pcb_ == nullptr ? 7 : linux_state(pcb_->state);
  if (live) {
    info.tcpi_options = TCPI_OPT_SACK | TCPI_OPT_WSCALE;
    info.tcpi_snd_wscale = pcb_->snd_scale & 15;
    info.tcpi_rcv_wscale = pcb_->rcv_scale & 15;
    info.tcpi_rto = static_cast<uint32_t>(pcb_->rto) * TCP_SLOW_INTERVAL * 1000;
    info.tcpi_ato = TCP_FAST_INTERVAL * 1000;
    info.tcpi_snd_mss = static_cast<uint32_t>(std::min<int>(mss, 1448));
    info.tcpi_rcv_mss = info.tcpi_advmss = info.tcpi_snd_mss;
    info.tcpi_retransmits = pcb_->nrtx;
    info.tcpi_rtt = static_cast<uint32_t>(pcb_->sa >> 3) * TCP_SLOW_INTERVAL * 1000;
    info.tcpi_rttvar = static_cast<uint32_t>(pcb_->sv >> 2) * TCP_SLOW_INTERVAL * 1000;
    info.tcpi_snd_cwnd = std::max(1u, pcb_->cwnd / std::max(1u, info.tcpi_snd_mss));
    info.tcpi_snd_ssthresh = pcb_->ssthresh / std::max(1u, info.tcpi_snd_mss);
    info.tcpi_rcv_space = pcb_->rcv_wnd;
    info.tcpi_pmtu = 1500;
  }
  return put(out, &info, sizeof info);
}

}  // namespace umvu::lwip
