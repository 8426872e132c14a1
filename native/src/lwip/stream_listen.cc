// TCP sockets that listen, and what comes to them.
#include <netinet/in.h>
#include <linux/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>

#include "lwip/host.h"
#include "lwip/place.h"
#include "lwip/stream.h"

namespace umvu::lwip {
namespace {

// TCP_DEFER_ACCEPT waits as long as the repetitions of a SYN-ACK take that its seconds cover.
int defer_seconds(int value) {
  int seconds = 0;
  for (int next = 1; seconds < value; next = std::min(2 * next, 120)) seconds += next;
  return seconds;
}

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
  child->adopt(listener, pcb);
  if (listener->admit(child) == 0) return ERR_OK;
  // lwIP aborts the connection.
  tcp_arg(pcb, nullptr);
  child->pcb_ = nullptr;
  child->abandon();
  return ERR_MEM;
}

void StreamSock::adopt(StreamSock* listener, tcp_pcb* pcb) {
  pcb_ = pcb;
  inherit(listener->options_);
  filter_ = listener->filter_;
  set_callbacks();
  apply_options();
  local_ = {pcb->local_ip, pcb->local_port};
  remote_ = {pcb->remote_ip, pcb->remote_port};
  state_ = State::kConnected;
  limit_buffers();
  boost();
  if (const int seconds = defer_seconds(options_.number(IPPROTO_TCP, TCP_DEFER_ACCEPT)); seconds > 0) {
    deferred_until_ = host().clock() + static_cast<uint64_t>(seconds) * 1000;
  }
}

int StreamSock::admit(StreamSock* child) {
  const int result = child->deferred_until_ > host().clock() ? -EAGAIN : child->offer(this);
  if (result == -EAGAIN) {
    if (child->queued_at_ == nullptr) waiting_.push_back(child);
    child->queued_at_ = this;
    stack_->retry_later(this);
    return 0;
  }
  child->leave_queue();
  if (result == 0) host().notify(id_, Event::kAcceptable, 0);
  return result;
}

void StreamSock::leave_queue() {
  if (queued_at_ != nullptr) std::erase(queued_at_->waiting_, this);
  queued_at_ = nullptr;
}

void StreamSock::come_forth() {
  deferred_until_ = 0;
  if (queued_at_ == nullptr || queued_at_->admit(this) == 0) return;
  state_ = State::kFailed;
  abandon();
}

// The guest's queue was full, or connections are deferred; or the guest's bytes are corked.
bool StreamSock::retry() {
  if (state_ != State::kListening) {
    pull();
    return corked_since_ != 0;
  }
  const std::deque<StreamSock*> all = waiting_;
  for (StreamSock* child : all) {
    if (child->state_ != State::kConnected || admit(child) != 0) child->abandon();
  }
  return !waiting_.empty();
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
  if (const int size = options_.number(SOL_SOCKET, SO_RCVBUF); size > 0) {
    setsockopt(far_.get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  }
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

}  // namespace umvu::lwip
