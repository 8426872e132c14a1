#include "net/socket_port.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>

#include "net/network.h"

namespace umvu::net {
namespace {

constexpr int kIgnoreOutgoing = 23;  // PACKET_IGNORE_OUTGOING, Linux 4.20
constexpr int kBufferBytes = 4 << 20;

// Where the kernel keeps the VLAN tag beside a frame of a packet socket (packet(7),
// PACKET_AUXDATA), puts it back.
void restore_tag(msghdr* message, Frame* frame) {
  const cmsghdr* part = CMSG_FIRSTHDR(message);
  if (part == nullptr || part->cmsg_type != PACKET_AUXDATA) return;
  tpacket_auxdata aux;
  std::memcpy(&aux, CMSG_DATA(part), sizeof aux);
  if ((aux.tp_status & TP_STATUS_VLAN_VALID) == 0 || frame->size < kEthernetHeader) return;
  VnetHeader header = frame->header();
  if ((header.flags & kNeedsCsum) != 0) header.csum_start += 4;
  if (header.hdr_len != 0) header.hdr_len += 4;
  uint8_t* raw = frame->raw - 4;
  std::memmove(raw + sizeof header, frame->data(), 2 * ETH_ALEN);
  const bool named = (aux.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0;
  const uint16_t tag[2] = {htons(named ? aux.tp_vlan_tpid : ETH_P_8021Q), htons(aux.tp_vlan_tci)};
  std::memcpy(raw + sizeof header + 2 * ETH_ALEN, tag, sizeof tag);
  *frame = {raw, frame->size + 4};
  frame->set_header(header);
}

}  // namespace

SocketPort::SocketPort(Network* network, int number, PortConfig config)
    : Port(network, number, std::move(config)), packet_(kind() == PortKind::kPacket) {
  for (std::size_t i = 0; i < kSendBatch; ++i) {
    messages_[i].msg_hdr.msg_iov = &parts_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
  }
}

int SocketPort::prepare() {
  // As much as the limits of the system allow (socket(7)); the default holds a few dozen frames
  // only.
  setsockopt(fd(), SOL_SOCKET, SO_SNDBUF, &kBufferBytes, sizeof kBufferBytes);
  setsockopt(fd(), SOL_SOCKET, SO_RCVBUF, &kBufferBytes, sizeof kBufferBytes);
  if (!packet_) return 0;
  const int on = 1;
  if (setsockopt(fd(), SOL_PACKET, PACKET_AUXDATA, &on, sizeof on) != 0) return -errno;
  // Frames that the far end's own kernel sends have reached the guest already.
  setsockopt(fd(), SOL_PACKET, kIgnoreOutgoing, &on, sizeof on);
  if (!vnet_header()) return 0;
  return setsockopt(fd(), SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) != 0 ? -errno : 0;
}

void SocketPort::prepare_batch() {
  ReceiveBatch& batch = network_->pump().batch();
  Buffers& buffers = network_->pump().buffers();
  for (std::size_t i = 0; i < kBatch; ++i) {
    uint8_t* slot = buffers.slot(i);
    batch.parts[i] = {slot + sizeof(VnetHeader) - header_bytes(), header_bytes() + max_frame()};
    msghdr& message = batch.messages[i].msg_hdr;
    message = {};
    message.msg_iov = &batch.parts[i];
    message.msg_iovlen = 1;
    if (packet_) {
      message.msg_control = batch.control[i];
      message.msg_controllen = sizeof batch.control[i];
    }
  }
}

bool SocketPort::take(std::size_t index, Frame* frame) {
  mmsghdr& message = network_->pump().batch().messages[index];
  const std::size_t size = message.msg_len;
  if ((message.msg_hdr.msg_flags & MSG_TRUNC) != 0 || size <= header_bytes()) return false;
  *frame = {network_->pump().buffers().slot(index), size - header_bytes()};
  if (!vnet_header()) frame->clear_header();
  if (packet_) restore_tag(&message.msg_hdr, frame);
  return true;
}

bool SocketPort::receive() {
  prepare_batch();
  const int got = recvmmsg(fd(), network_->pump().batch().messages, kBatch, MSG_DONTWAIT, nullptr);
  // Errors of the socket (ENETDOWN, ECONNREFUSED) come with EPOLLERR, which recover() judges.
  for (int i = 0; i < got; ++i) {
    Frame frame;
    if (take(static_cast<std::size_t>(i), &frame)) {
      network_->receive(this, frame);
    } else {
      ++counters().dropped;
    }
  }
  network_->finish();
  return true;
}

bool SocketPort::recover(uint32_t events) {
  if (!packet_) {
    // EPOLLERR alone is an error of one message; reading SO_ERROR clears it.
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(fd(), SOL_SOCKET, SO_ERROR, &error, &size);
    return (events & (EPOLLHUP | EPOLLRDHUP)) == 0;
  }
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(fd(), SOL_SOCKET, SO_ERROR, &error, &size);
  // The interface is down for now, or deleted: then the socket is bound to index -1.
  sockaddr_ll address = {};
  socklen_t length = sizeof address;
  const int result = getsockname(fd(), reinterpret_cast<sockaddr*>(&address), &length);
  return result == 0 && address.sll_ifindex > 0;
}

int SocketPort::write_now(const uint8_t* bytes, std::size_t size) {
  return ::send(fd(), bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

bool SocketPort::transmit(const uint8_t* bytes, std::size_t size) {
  if (gathered_ == kSendBatch) flush();
  if (!queue_.empty()) {
    enqueue(bytes, size);
    return false;
  }
  if (gathered_ == 0) network_->wants_flush(this);
  parts_[gathered_++] = {const_cast<uint8_t*>(bytes), size};
  return true;
}

void SocketPort::flush() {
  std::size_t done = 0;
  while (done < gathered_ && queue_.empty()) {
    const int sent = sendmmsg(fd(), messages_ + done, static_cast<unsigned>(gathered_ - done),
                              MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      for (int i = 0; i < sent; ++i) count_sent(parts_[done + static_cast<std::size_t>(i)].iov_len);
      done += static_cast<std::size_t>(sent);
    } else if (errno == EAGAIN) {
      break;
    } else if (errno != EINTR) {
      // This one frame cannot be sent (ENOBUFS, EMSGSIZE, ECONNREFUSED); the next ones may.
      // ENXIO: the interface of a packet socket was deleted, of which nothing else tells once it is
      // down.
      if (packet_ && errno == ENXIO) network_->broken(this);
      ++counters().dropped;
      ++done;
    }
  }
  for (; done < gathered_; ++done) {
    enqueue(static_cast<const uint8_t*>(parts_[done].iov_base), parts_[done].iov_len);
  }
  gathered_ = 0;
}

}  // namespace umvu::net
