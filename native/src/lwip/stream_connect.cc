// TCP sockets that connect.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "lwip/host.h"
#include "lwip/stream.h"

namespace umvu::lwip {
namespace {

constexpr int kUnset = 0;

}  // namespace

int StreamSock::choose_local(const Endpoint& remote) {
  // What goes to this host itself goes as always; whether it is heard, hears_current() decides.
  Interface* device = stack_->is_local(remote.ip) ? nullptr : chosen_interface(SOL_SOCKET, SO_BINDTODEVICE);
  if (!ip_addr_isany_val(local_.ip)) {
    if (IP_IS_V6_VAL(local_.ip) != IP_IS_V6_VAL(remote.ip)) return -ENETUNREACH;
  } else if (!choose_source(stack_, remote.ip, &local_.ip, device)) {
    ip_addr_set_any(domain_ == AF_INET6, &local_.ip);
    return -ENETUNREACH;
  }
  if (device != nullptr) pcb_->netif_idx = netif_get_index(device->base());
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
  if (local_.port != 0 && remote.port == local_.port && ip_addr_cmp(&remote.ip, &local_.ip)) return connect_self(guest);
  if (const int result = make_pcb(); result != 0) return result;
  if (const int result = choose_local(remote); result != 0) return result;
  pcb_->rto = pcb_->sv = 1000 / TCP_SLOW_INTERVAL;
  const err_t error = tcp_connect(pcb_, &remote.ip, remote.port, on_connected);
  if (error != ERR_OK) {
    if (before == State::kFresh) ip_addr_set_any(domain_ == AF_INET6, &local_.ip);
    return error == ERR_BUF || error == ERR_USE ? -EADDRNOTAVAIL : errno_of(error);
  }
  stack_->connections().add(pcb_);
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

err_t StreamSock::on_connected(void* self, tcp_pcb*, err_t) {
  auto* sock = static_cast<StreamSock*>(self);
  if (sock != nullptr) sock->established();
  return sock != nullptr && sock->pcb_ == nullptr ? ERR_ABRT : ERR_OK;
}

}  // namespace umvu::lwip
