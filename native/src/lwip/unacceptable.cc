// Segments that are not acceptable (RFC 9293, 3.10.7.4) are answered with an ACK, which tells the sender what was
// expected. Two ends that have lost their common idea of the sequence numbers, which a third host can bring about with one
// frame, would answer each other's answers for ever. So each connection answers one in half a second (RFC 5961, 10), as
// Linux does with net.ipv4.tcp_invalid_ratelimit.
#include "lwip/hooks.h"
#include "lwip/host.h"
#include "lwip/stack.h"

namespace umvu::lwip {
namespace {

constexpr uint64_t kInterval = 500;  // ms

// Only what carries nothing: data that is out of order has its own limits, the sender's timers.
bool bare(const tcp_hdr* header, const pbuf* data) {
  return data->tot_len == 0 && (TCPH_FLAGS(header) & (TCP_SYN | TCP_FIN | TCP_RST)) == 0;
}

bool acceptable(const tcp_pcb* pcb, const tcp_hdr* header) {
  return TCP_SEQ_BETWEEN(header->seqno, pcb->rcv_nxt, pcb->rcv_nxt + pcb->rcv_wnd) &&
         TCP_SEQ_LEQ(header->ackno, pcb->snd_nxt);
}

// Half of the sequence space away, a number is before and behind at once, which ends in a failed assertion of lwIP.
bool absurd(const tcp_pcb* pcb, const tcp_hdr* header) {
  constexpr u32_t kFar = 1u << 30;
  const bool acknowledges = (TCPH_FLAGS(header) & TCP_ACK) != 0;
  return header->seqno - pcb->rcv_nxt + kFar > 2 * kFar ||
         (acknowledges && header->ackno - pcb->snd_nxt + kFar > 2 * kFar);
}

}  // namespace

err_t answers(tcp_pcb* pcb, const tcp_hdr* header, const pbuf* data) {
  if (pcb->state < ESTABLISHED || pcb->state == TIME_WAIT) return ERR_OK;
  if (absurd(pcb, header)) return ERR_ABRT;
  if (!bare(header, data) || acceptable(pcb, header)) return ERR_OK;
  const uint64_t now = Stack::current()->host().clock();
  auto last = reinterpret_cast<uintptr_t>(pcb->ext_args[UMVU_TCP_ANSWERED].data);
  if (last != 0 && now - last < kInterval) return ERR_ABRT;
  pcb->ext_args[UMVU_TCP_ANSWERED].data = reinterpret_cast<void*>(static_cast<uintptr_t>(now));
  return ERR_OK;
}

}  // namespace umvu::lwip
