#include "lwip/stream.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lwip/host.h"
#include "lwip/place.h"

namespace umvu::lwip {
namespace {

constexpr int kUnset = 0;

tcp_pcb_listen* as_listener(tcp_pcb* pcb) { return reinterpret_cast<tcp_pcb_listen*>(pcb); }

}  // namespace

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
  if (state_ == State::kListening) {
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
  return !unseen || !place_ || place_alive(place_.get());
}

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
  err_t error = ERR_OK;
  tcp_pcb* listener = tcp_listen_with_backlog_and_err(pcb_, 0xff, &error);
  if (listener == nullptr) return errno_of(error);
  pcb_ = listener;
  tcp_arg(pcb_, this);
  tcp_accept(pcb_, on_accept);
  if (::listen(guest, backlog) != 0) return -errno;
  state_ = State::kListening;
  return 0;
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

int StreamSock::choose_local(const Endpoint& remote) {
  if (!ip_addr_isany_val(local_.ip)) {
    if (IP_IS_V6_VAL(local_.ip) != IP_IS_V6_VAL(remote.ip)) return -ENETUNREACH;
  } else if (!choose_source(stack_, remote.ip, &local_.ip)) {
    ip_addr_set_any(domain_ == AF_INET6, &local_.ip);
    return -ENETUNREACH;
  }
  pcb_->local_ip = local_.ip;
  return 0;
}

int StreamSock::connect(int guest, std::span<const uint8_t> address, bool wait) {
  if (state_ == State::kConnecting) return -EALREADY;
  if (state_ == State::kConnected) {
    // The first call after a connection that was made meanwhile succeeds.
    const int result = told_connected_ ? -EISCONN : 0;
    told_connected_ = true;
    return result;
  }
  if (state_ == State::kListening) return -EISCONN;
  if (state_ == State::kFailed) return error_ != 0 ? -take_error() : -ECONNABORTED;
  Endpoint remote;
  if (const int result = read_endpoint(domain_, address, stack_, &remote); result != 0) return result;
  if (ip_addr_isany_val(remote.ip)) ip_addr_set_loopback(IP_IS_V6_VAL(remote.ip), &remote.ip);
  if (IP_IS_V4_VAL(remote.ip) && domain_ == AF_INET6 && options_.number(IPPROTO_IPV6, IPV6_V6ONLY) != 0) {
    return -ENETUNREACH;
  }
  if (ip_addr_ismulticast(&remote.ip)) return -ENETUNREACH;
  const State before = state_;
  if (const int result = make_pcb(); result != 0) return result;
  if (const int result = choose_local(remote); result != 0) return result;
  pcb_->rto = pcb_->sv = 1000 / TCP_SLOW_INTERVAL;
  const err_t error = tcp_connect(pcb_, &remote.ip, remote.port, on_connected);
  if (error != ERR_OK) {
    if (before == State::kFresh) ip_addr_set_any(domain_ == AF_INET6, &local_.ip);
    return error == ERR_BUF || error == ERR_USE ? -EADDRNOTAVAIL : errno_of(error);
  }
  local_.port = pcb_->local_port;
  remote_ = remote;
  state_ = State::kConnecting;
  guest_.reset(fcntl(guest, F_DUPFD_CLOEXEC, 0));
  if (!guest_) return -errno;
  told_connected_ = wait;
  if (!wait) {
    if (const int result = hold_back(guest); result != 0) {
      drop_pcb();
      state_ = State::kFailed;
      return result;
    }
  }
  stack_->touch();
  return -EINPROGRESS;
}

// Connects the guest's end already, but so that it is not writable before the connection is there.
int StreamSock::hold_back(int guest) {
  const int far = host().attach(guest);
  if (far < 0) return far;
  far_.reset(far);
  socklen_t size = sizeof guest_buffer_;
  getsockopt(guest, SOL_SOCKET, SO_SNDBUF, &guest_buffer_, &size);
  setsockopt(guest, SOL_SOCKET, SO_SNDBUF, &kUnset, sizeof kUnset);
  // One message that takes more than a quarter of the least buffer (unix_writable() of the kernel).
  constexpr std::size_t kFiller = 2048;
  static constexpr uint8_t kNothing[kFiller] = {};
  const ssize_t sent = send(guest, kNothing, sizeof kNothing, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) return -errno;
  filler_ = static_cast<std::size_t>(sent);
  return 0;
}

// lwIP knows no urgent data; what a guest sends as such arrives among the rest.
void StreamSock::keep_urgent() {
  const int on = 1;
  setsockopt(far_.get(), SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
}

void StreamSock::established() {
  state_ = State::kConnected;
  if (!far_) {
    const int far = host().attach(guest_.get());
    if (far < 0) return failed(-far);
    far_.reset(far);
  } else if (filler_ > 0) {
    const int half = guest_buffer_ / 2;  // the kernel doubles what it is given
    setsockopt(guest_.get(), SOL_SOCKET, SO_SNDBUF, &half, sizeof half);
    uint8_t filler[4096];
    const ssize_t got = recv(far_.get(), filler, std::min(filler_, sizeof filler), MSG_DONTWAIT);
    if (got > 0) filler_ -= static_cast<std::size_t>(got);
  }
  guest_.reset();
  keep_urgent();
  limit_buffers();
  boost();
  update_interest();
  host().notify(id_, Event::kConnected, 0);
}

void StreamSock::failed(int error) {
  drop_pcb();
  if (far_) {
    // The filler has not been read, so the guest's end sees a reset.
    state_ = State::kFailed;
    error_ = error;
    unwatch();
    far_.reset();
  } else {
    // Nobody has seen anything of it: the guest may try again.
    state_ = State::kFresh;
    local_ = {};
    ip_addr_set_any(domain_ == AF_INET6, &local_.ip);
  }
  guest_.reset();
  host().notify(id_, Event::kFailed, error);
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
  const int receive = std::max(options_.number(SOL_SOCKET, SO_RCVBUF) * 2, kLeast);
  if (options_.find(SOL_SOCKET, SO_RCVBUF) == nullptr || static_cast<unsigned>(receive) >= pcb_->rcv_wnd) return;
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
  for (StreamSock* child : waiting_) child->abandon();
  waiting_.clear();
  drop_received();
  chunks_.clear();
  retire();
}

bool StreamSock::still_listens() { return !place_ || place_alive(place_.get()); }

err_t StreamSock::on_connected(void* self, tcp_pcb*, err_t) {
  auto* sock = static_cast<StreamSock*>(self);
  if (sock != nullptr) sock->established();
  return sock != nullptr && sock->pcb_ == nullptr ? ERR_ABRT : ERR_OK;
}

void StreamSock::on_error(void* self, err_t error) {
  auto* sock = static_cast<StreamSock*>(self);
  if (sock == nullptr) return;
  sock->pcb_ = nullptr;  // lwIP has freed it
  if (sock->state_ == State::kConnecting) {
    sock->failed(error == ERR_RST ? ECONNREFUSED : ETIMEDOUT);
  } else {
    sock->reset(error == ERR_RST ? ECONNRESET : error == ERR_CLSD ? 0 : ETIMEDOUT);
  }
}

// -- Listening ------------------------------------------------------------------------------------------

err_t StreamSock::on_accept(void* self, tcp_pcb* pcb, err_t error) {
  auto* listener = static_cast<StreamSock*>(self);
  if (listener == nullptr || error != ERR_OK || pcb == nullptr) return ERR_VAL;
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
  options_ = listener->options_;
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

err_t tcp_admits(tcp_pcb* pcb, tcp_hdr* header) {
  if (pcb->state != LISTEN || (TCPH_FLAGS(header) & TCP_SYN) == 0) return ERR_OK;
  auto* sock = static_cast<StreamSock*>(pcb->callback_arg);
  if (sock == nullptr || sock->still_listens()) return ERR_OK;
  // The guest has closed it, which nothing tells: the port is closed now.
  const u32_t next = header->seqno + 1;
  const u16_t port = as_listener(pcb)->local_port;
  sock->abandon();
  tcp_rst(nullptr, 0, next, ip_current_dest_addr(), ip_current_src_addr(), port, header->src);
  return ERR_ABRT;
}

}  // namespace umvu::lwip
