// What the network does to a TCP socket besides carrying its bytes: segments that it does not want, ICMP errors, silence.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lwip/hooks.h"
#include "lwip/host.h"
#include "lwip/stream.h"

namespace umvu::lwip {

StreamSock* StreamSock::of(const tcp_pcb* pcb) {
  if (pcb->state != SYN_RCVD) return static_cast<StreamSock*>(pcb->callback_arg);
  // Its own pointer may be to a listener that is gone.
  return pcb->listener == nullptr ? nullptr : static_cast<StreamSock*>(pcb->listener->callback_arg);
}

// The segment as it was on the network, with its IP header, and room for one of Ethernet.
static std::span<const uint8_t> rebuild(const Segment& segment, std::size_t ip) {
  static thread_local std::vector<uint8_t> frame;
  tcp_hdr header = *segment.header;
  header.src = htons(header.src);
  header.dest = htons(header.dest);
  header.seqno = htonl(header.seqno);
  header.ackno = htonl(header.ackno);
  header.wnd = htons(header.wnd);
  const auto* bytes = reinterpret_cast<const uint8_t*>(segment.header);
  frame.assign(ETH_HLEN, 0);
  const auto add = [](const void* from, std::size_t size) {
    const auto* start = static_cast<const uint8_t*>(from);
    frame.insert(frame.end(), start, start + size);
  };
  add(bytes - ip, ip);
  add(&header, sizeof header);
  add(bytes + sizeof header, segment.first_options_size);
  if (segment.more_options != nullptr) {
    add(segment.more_options, std::size_t{segment.options_size} - segment.first_options_size);
  }
  for (const pbuf* part = segment.data; part != nullptr; part = part->next) add(part->payload, part->len);
  return frame;
}

// Linux would cut a segment of which a filter wants only a part; here it is dropped.
bool StreamSock::passes(const Segment& segment) const {
  if (filter_.empty()) return true;
  const std::size_t ip = ip_current_header_tot_len();
  const std::span<const uint8_t> frame = rebuild(segment, ip);
  const std::size_t whole = frame.size() - ETH_HLEN - ip, headers = whole - segment.data->tot_len;
  const std::size_t kept = filter_.run_current(frame, ip);
  return kept > 0 && std::max(kept, headers) >= whole;
}

bool StreamSock::somebody_hears() const {
  if (hears_current()) return true;
  const std::vector<StreamSock*> others = sharers();
  return std::any_of(others.begin(), others.end(),
                     [](StreamSock* other) { return other->hears_current() && other->still_listens(); });
}

// Whether a listener takes a SYN; false: the port is closed, or its guest has closed it, which nothing tells.
bool StreamSock::takes_connections(const tcp_pcb* listener) {
  for (;;) {
    auto* sock = static_cast<StreamSock*>(listener->callback_arg);
    if (sock == nullptr) return true;
    if (sock->still_listens()) return sock->somebody_hears();
    if (!sock->succeeded()) return false;
  }
}

bool StreamSock::crowded() const {
  // Whoever reads gets what comes, which needs no memory then.
  pollfd state{far_.get(), POLLOUT, 0};
  return !received_.empty() || !far_ || poll(&state, 1, 0) != 1;
}

// Whether the memory of the stack is full, and this segment would take some for long.
static bool burdens(const tcp_pcb* pcb, const Segment& segment) {
  const bool carries = pcb->state >= ESTABLISHED && pcb->state != TIME_WAIT && segment.data->tot_len > 0;
  if (!carries || !Stack::current()->memory().full()) return false;
  const auto* sock = static_cast<const StreamSock*>(pcb->callback_arg);
  return segment.header->seqno != pcb->rcv_nxt || (sock != nullptr && sock->crowded());
}

err_t tcp_admits(tcp_pcb* pcb, const Segment& segment) {
  if (burdens(pcb, segment)) return ERR_ABRT;
  tcp_hdr* header = segment.header;
  if (pcb->state == LISTEN && (TCPH_FLAGS(header) & TCP_SYN) != 0) {
    const u32_t next = header->seqno + 1;
    const u16_t port = reinterpret_cast<tcp_pcb_listen*>(pcb)->local_port;
    if (!StreamSock::takes_connections(pcb)) {
      tcp_rst(nullptr, 0, next, ip_current_dest_addr(), ip_current_src_addr(), port, header->src);
      return ERR_ABRT;
    }
    StreamSock* listener = StreamSock::of(pcb);
    if (listener != nullptr && !listener->takes_more()) return ERR_ABRT;
    if (Stack& stack = *Stack::current(); !stack.connections().make_room(stack.memory())) return ERR_ABRT;
  }
  const StreamSock* sock = pcb->state == TIME_WAIT ? nullptr : StreamSock::of(pcb);
  if (sock == nullptr) return ERR_OK;
  // What comes to a listener was looked at already.
  const bool heard = pcb->state == LISTEN || pcb->state == SYN_RCVD || sock->hears_current();
  return heard && sock->passes(segment) ? ERR_OK : ERR_ABRT;
}

// RFC 1122, 4.2.3.9, as Linux does it: while it connects, any error ends it. Later none does, but it may be why.
void StreamSock::icmp_error(const IcmpError& error) {
  const auto code = static_cast<int>(error.what.ee_errno);
  if (pcb_ == nullptr || code == EMSGSIZE) return;
  if (state_ == State::kConnecting) {
    tcp_pcb* pcb = pcb_;
    pcb_ = nullptr;
    tcp_arg(pcb, nullptr);
    tcp_err(pcb, nullptr);
    tcp_abandon(pcb, 0);
    return failed(code);
  }
  const bool wanted = IP_IS_V6_VAL(remote_.ip) ? options_.number(IPPROTO_IPV6, IPV6_RECVERR) != 0
                                               : options_.number(IPPROTO_IP, IP_RECVERR) != 0;
  (wanted ? error_ : soft_error_) = code;
}

// TCP_SYNCNT and TCP_USER_TIMEOUT (RFC 5482).
bool StreamSock::gives_up(const tcp_pcb* pcb) {
  if (pcb->state == SYN_SENT && pcb->nrtx >= options_.number(IPPROTO_TCP, TCP_SYNCNT, TCP_SYNMAXRTX)) return true;
  const auto limit = static_cast<uint64_t>(std::max(0, options_.number(IPPROTO_TCP, TCP_USER_TIMEOUT)));
  if (limit == 0) return false;
  // Nobody looks while the connection needs no timer.
  constexpr uint64_t kGap = 1000;
  const uint64_t now = host().clock();
  const bool waits = pcb->unacked != nullptr || pcb->unsent != nullptr;
  if (!waits || pcb->lastack != stalled_at_ || now - looked_ > kGap) {
    stalled_at_ = pcb->lastack;
    stalled_since_ = now;
  }
  looked_ = now;
  const uint64_t quiet = uint64_t{tcp_ticks - pcb->tmr} * TCP_SLOW_INTERVAL;
  return (waits && now - stalled_since_ >= limit) || (pcb->keep_cnt_sent > 0 && quiet >= limit);
}

}  // namespace umvu::lwip

extern "C" int umvu_tcp_gives_up(struct tcp_pcb* pcb) {
  using umvu::lwip::StreamSock;
  StreamSock* sock = pcb->state == SYN_RCVD ? nullptr : StreamSock::of(pcb);
  return sock != nullptr && sock->gives_up(pcb) ? 1 : 0;
}
