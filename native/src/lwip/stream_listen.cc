// TCP sockets that listen, and what comes to them.
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>

#include "lwip/host.h"
#include "lwip/place.h"
#include "lwip/stream.h"

namespace umvu::lwip {
namespace {

tcp_pcb_listen* as_listener(tcp_pcb* pcb) { return reinterpret_cast<tcp_pcb_listen*>(pcb); }

}  // namespace

int StreamSock::listen(int guest, int backlog) {
  if (state_ == State::kListening) return ::listen(guest, backlog) != 0 ? -errno : 0;
  if (state_ == State::kConnecting || state_ == State::kConnected) return -EINVAL;
  if (state_ != State::kBound) {
    uint8_t any[kLongestAddress];
    Endpoint none;
    ip_addr_set_any(domain_ == AF_INET6, &none.ip);
    const std::size_t size = write_endpoint(domain_, none, any);
    state_ = State::kFresh;
    if (const int result = bind(guest, {any, size}); result != 0) return result;
  }
  if (taken(local_, true)) return -EADDRINUSE;
  if (share_listener()) {
    if (::listen(guest, backlog) != 0) return -errno;
    state_ = State::kListening;
    return 0;
  }
  err_t error = ERR_OK;
  tcp_pcb* listener = tcp_listen_with_backlog_and_err(pcb_, 0xff, &error);
  if (listener == nullptr) return errno_of(error);
  pcb_ = listener;
  tcp_arg(pcb_, this);
  tcp_accept(pcb_, on_accept);
  Connections::add_accepted(pcb_);
  if (::listen(guest, backlog) != 0) return -errno;
  state_ = State::kListening;
  return 0;
}

bool StreamSock::still_listens() { return !place_ || host().alive(place_.get()); }

err_t StreamSock::on_accept(void* self, tcp_pcb* pcb, err_t error) {
  auto* listener = static_cast<StreamSock*>(self);
  if (listener == nullptr || error != ERR_OK || pcb == nullptr) return ERR_VAL;
  listener = listener->choose_listener(pcb);
  auto* child = new StreamSock(listener->stack_, listener->domain_, listener->protocol_);
  const int result = child->adopt(listener, pcb);
  if (result == 0) {
    listener->host().notify(listener->id_, Event::kAcceptable, 0);
    return ERR_OK;
  }
  if (result == -EAGAIN) {
    listener->waiting_.push_back(child);
    listener->stack_->retry_later(listener);
    return ERR_OK;
  }
  // lwIP aborts the connection.
  tcp_arg(pcb, nullptr);
  child->pcb_ = nullptr;
  child->abandon();
  return ERR_MEM;
}

int StreamSock::adopt(StreamSock* listener, tcp_pcb* pcb) {
  pcb_ = pcb;
  inherit(listener->options_);
  set_callbacks();
  apply_options();
  local_ = {pcb->local_ip, pcb->local_port};
  remote_ = {pcb->remote_ip, pcb->remote_port};
  state_ = State::kConnected;
  limit_buffers();
  boost();
  const int size = options_.number(SOL_SOCKET, SO_RCVBUF);
  const int result = offer(listener);
  if (result == 0 && size > 0) setsockopt(far_.get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  return result;
}

// The guest's queue was full.
bool StreamSock::retry() {
  if (send_full_) pull();
  while (!waiting_.empty()) {
    StreamSock* child = waiting_.front();
    const int result = child->state_ == State::kConnected ? child->offer(this) : -ECONNABORTED;
    if (result == -EAGAIN) return true;
    waiting_.pop_front();
    if (result != 0) child->abandon();
  }
  return false;
}

// Puts the connection into the guest's queue.
int StreamSock::offer(StreamSock* listener) {
  net::UniqueFd far(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!far) return -errno;
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string name = host().name_of(id_);
  name.copy(address.sun_path, sizeof address.sun_path);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  if (::bind(far.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) return -errno;
  if (const int result = connect_place(far.get(), listener->place_.get()); result != 0) return result;
  far_ = std::move(far);
  keep_urgent();
  update_interest();
  push();
  return 0;
}

bool StreamSock::succeeded() {
  const bool others = !sharers().empty();
  abandon();
  return others;
}

bool StreamSock::crowded() const {
  // Whoever reads gets what comes, which needs no memory then.
  pollfd state{far_.get(), POLLOUT, 0};
  return !received_.empty() || !far_ || poll(&state, 1, 0) != 1;
}

err_t tcp_admits(tcp_pcb* pcb, tcp_hdr* header, const pbuf* data) {
  const Memory& memory = Stack::current()->memory();
  if (pcb->state >= ESTABLISHED && pcb->state != TIME_WAIT && data->tot_len > 0 && memory.full()) {
    const auto* sock = static_cast<const StreamSock*>(pcb->callback_arg);
    const bool taken = header->seqno == pcb->rcv_nxt && (sock == nullptr || !sock->crowded());
    return taken ? ERR_OK : ERR_ABRT;
  }
  if (pcb->state != LISTEN || (TCPH_FLAGS(header) & TCP_SYN) == 0) return ERR_OK;
  const u32_t next = header->seqno + 1;
  const u16_t port = as_listener(pcb)->local_port;
  for (;;) {
    auto* sock = static_cast<StreamSock*>(pcb->callback_arg);
    if (sock == nullptr) return ERR_OK;
    if (sock->still_listens()) {
      return sock->takes_more() && sock->stack().connections().make_room(memory) ? ERR_OK : ERR_ABRT;
    }
    // The guest has closed it, which nothing tells: the port is closed now, or belongs to one that shares it.
    if (!sock->succeeded()) break;
  }
  tcp_rst(nullptr, 0, next, ip_current_dest_addr(), ip_current_src_addr(), port, header->src);
  return ERR_ABRT;
}

}  // namespace umvu::lwip
