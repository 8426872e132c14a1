// When what a guest has written goes out, and what it has read is acknowledged: TCP_CORK and TCP_QUICKACK of tcp(7).
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>

#include "lwip/host.h"
#include "lwip/stream.h"

namespace umvu::lwip {

// Bytes of the largest segment that the network takes.
int StreamSock::segment_size() const {
  netif* place = ip_route(&pcb_->local_ip, &pcb_->remote_ip);
  const int mss = pcb_->mss;
  return place == nullptr ? mss : std::min(mss, Interface::of(place)->mtu() - (IP_IS_V6_VAL(pcb_->remote_ip) ? 60 : 40));
}

// How many bytes of the guest may be taken: whole segments while it is corked, for at most 200 ms; what is not taken
// stays in its AF_UNIX socket.
std::size_t StreamSock::uncorked() {
  constexpr uint64_t kLongest = 200;
  const uint64_t since = corked_since_;
  corked_since_ = 0;
  if (guest_gone_ || !corked_) return SIZE_MAX;
  const uint64_t now = host().clock();
  int unread = 0;
  pollfd end{far_.get(), POLLRDHUP, 0};
  if (ioctl(far_.get(), FIONREAD, &unread) != 0 || unread == 0 || poll(&end, 1, 0) > 0) return SIZE_MAX;
  const auto size = static_cast<std::size_t>(unread);
  const auto segment = static_cast<std::size_t>(std::max(1, segment_size()));
  if (size >= segment) return size - size % segment;
  if (since != 0 && now - since >= kLongest) return SIZE_MAX;
  corked_since_ = since != 0 ? since : now;
  stack_->retry_later(this);
  return 0;
}

void StreamSock::pull_now() {
  pull();
  stack_->finish();
  stack_->touch();
}

void StreamSock::timing_changed(int name) {
  if (state_ != State::kConnected || pcb_ == nullptr) return;
  if (name == TCP_CORK) pull_now();
  if (name != TCP_QUICKACK || !quick_ || (pcb_->flags & TF_ACK_DELAY) == 0) return;
  tcp_ack_now(pcb_);
  tcp_output(pcb_);
}

}  // namespace umvu::lwip
