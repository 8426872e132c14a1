#include "lwip/connections.h"

#include <cstring>

#include "lwip/hooks.h"
#include "lwip/stack.h"
#include "lwip/tcp_lists.h"

namespace umvu::lwip {
namespace {

// Whether `pcb` needs timers. Half closed, it may last for ever.
bool waits(const tcp_pcb* pcb) {
  const bool half = pcb->state == FIN_WAIT_2 && (pcb->flags & TF_RXCLOSED) == 0;
  return (pcb->state != ESTABLISHED && pcb->state != CLOSE_WAIT && !half) || pcb->unacked != nullptr ||
         pcb->unsent != nullptr || pcb->ooseq != nullptr || pcb->refused_data != nullptr ||
         (pcb->flags & (TF_ACK_DELAY | TF_ACK_NOW | TF_CLOSEPEND)) != 0 || (pcb->so_options & SOF_KEEPALIVE) != 0 ||
         pcb->persist_backoff != 0;
}

}  // namespace

const tcp_ext_arg_callbacks Connections::kCallbacks = {on_freed, on_passive_open};

// Peers choose half of what is hashed, so the hash has a secret.
std::size_t Connections::Hash::operator()(const Ends& ends) const {
  uint64_t hash = 0;
  for (const uint64_t word : ends) hash = umvu_hash(hash, word);
  return hash;
}

Connections::Ends Connections::ends_of(const ip_addr_t& local, u16_t local_port, const ip_addr_t& remote,
                                       u16_t remote_port) {
  Ends ends = {};
  const auto put = [&](std::size_t at, const ip_addr_t& ip) -> uint64_t {
    if (IP_IS_V4_VAL(ip)) {
      ends[at] = ip_2_ip4(&ip)->addr;
      return 0;
    }
    std::memcpy(&ends[at], ip_2_ip6(&ip)->addr, 16);
    return 0x100u | ip6_addr_zone(ip_2_ip6(&ip));
  };
  const uint64_t local_kind = put(0, local);
  const uint64_t remote_kind = put(2, remote);
  ends[4] = local_port | static_cast<uint64_t>(remote_port) << 16;
  ends[5] = local_kind | remote_kind << 16;
  return ends;
}

void Connections::add(tcp_pcb* pcb) {
  const Ends ends = ends_of(pcb->local_ip, pcb->local_port, pcb->remote_ip, pcb->remote_port);
  const auto [at, fresh] = table_.try_emplace(ends, pcb);
  // lwIP refuses a second connection between the same ends, so this is the first.
  if (!fresh) return;
  ++ports_[pcb->local_port];
  pcb->ext_args[UMVU_TCP_ENTRY] = {&kCallbacks, &*at};
}

void Connections::add_accepted(tcp_pcb* listener) { listener->ext_args[UMVU_TCP_ENTRY] = {&kCallbacks, nullptr}; }

tcp_pcb* Connections::find(const ip_addr_t& local, u16_t local_port, const ip_addr_t& remote,
                           u16_t remote_port) const {
  const auto at = table_.find(ends_of(local, local_port, remote, remote_port));
  return at == table_.end() ? nullptr : at->second;
}

void Connections::park() {
  for (tcp_pcb *pcb = tcp_active_pcbs, *next; pcb != nullptr; pcb = next) {
    next = pcb->next;
    if (waits(pcb)) continue;
    umvu_tcp_unlink(pcb);
    // Needed until it is established only; lwIP would not find it here when the listener goes.
    pcb->listener = nullptr;
  }
}

void Connections::wake(tcp_pcb* pcb) {
  if (*umvu_tcp_back(pcb) == nullptr) umvu_tcp_link(&tcp_active_pcbs, pcb);
}

void Connections::remove(const Table::value_type& entry) {
  const Ends ends = entry.first;
  const auto port = ports_.find(local_port_of(ends));
  if (--port->second == 0) ports_.erase(port);
  table_.erase(ends);
}

// The entry is null for listeners, and for what became one.
void Connections::on_freed(u8_t, void* entry) {
  if (entry != nullptr) Stack::current()->connections().remove(*static_cast<Table::value_type*>(entry));
}

tcp_pcb* Connections::half_open(const Ends& ends) const {
  const auto at = table_.find(ends);
  return at == table_.end() || at->second->state != SYN_RCVD ? nullptr : at->second;
}

bool Connections::make_room(const Memory& memory) {
  while (!half_open_.empty()) {
    tcp_pcb* oldest = half_open(half_open_.front());
    if (oldest != nullptr && half_open_.size() < kMostHalfOpen && !memory.full()) return true;
    half_open_.pop_front();
    if (oldest != nullptr) tcp_abandon(oldest, 0);
  }
  return !memory.full();
}

err_t Connections::on_passive_open(u8_t, tcp_pcb_listen*, tcp_pcb* pcb) {
  Connections& all = Stack::current()->connections();
  all.add(pcb);
  all.half_open_.push_back(ends_of(pcb->local_ip, pcb->local_port, pcb->remote_ip, pcb->remote_port));
  // There are other limits than lwIP's 255.
  tcp_backlog_accepted(pcb);
  return ERR_OK;
}

}  // namespace umvu::lwip

using umvu::lwip::Stack;

namespace {

tcp_pcb* find(const tcp_hdr* header) {
  return Stack::current()->connections().find(*ip_current_dest_addr(), header->dest, *ip_current_src_addr(),
                                              header->src);
}

}  // namespace

extern "C" {

struct tcp_pcb* umvu_tcp_active(const struct tcp_hdr* header) {
  tcp_pcb* pcb = find(header);
  if (pcb == nullptr || pcb->state == CLOSED || pcb->state == TIME_WAIT) return nullptr;
  umvu::lwip::Connections::wake(pcb);
  return pcb;
}

struct tcp_pcb* umvu_tcp_waiting(const struct tcp_hdr* header) {
  tcp_pcb* pcb = find(header);
  if (pcb == nullptr || pcb->state != TIME_WAIT) return nullptr;
  const bool fresh = (TCPH_FLAGS(header) & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN &&
                     static_cast<s32_t>(header->seqno - pcb->rcv_nxt) > 0;
  if (!fresh) return pcb;
  // The peer begins anew, beyond all it sent before: RFC 9293, 3.6.1.
  tcp_abort(pcb);
  return nullptr;
}

struct tcp_pcb* umvu_tcp_twin(const struct tcp_pcb* pcb) {
  return Stack::current()->connections().find(pcb->local_ip, pcb->local_port, pcb->remote_ip, pcb->remote_port);
}

int umvu_tcp_port_used(u16_t port) {
  if (Stack::current()->connections().uses(port)) return 1;
  for (const tcp_pcb* list : {tcp_bound_pcbs, tcp_listen_pcbs.pcbs}) {
    for (; list != nullptr; list = list->next) {
      if (list->local_port == port) return 1;
    }
  }
  return 0;
}

}  // extern "C"
