// The bytes of a TCP socket, between the guest's end and lwIP.
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

#include "lwip/host.h"
#include "lwip/stream.h"

namespace umvu::lwip {
namespace {

// What is read from a guest at a time: one segment for networks that cut segments themselves.
constexpr std::size_t kRead = 65160;
// Smaller pieces are copied into lwIP's own memory; larger ones stay where they were read.
constexpr std::size_t kCopied = 4096;
// Reads of one socket in a row, so that others get their turn.
constexpr int kTurns = 8;
constexpr std::size_t kParts = 32;

}  // namespace

void StreamSock::update_interest() {
  if (!far_ || guest_gone_) return;
  uint32_t events = 0;
  if (!guest_finished_ && !send_full_) events |= corked_since_ != 0 ? EPOLLRDHUP : EPOLLIN | EPOLLRDHUP;
  if (!received_.empty() && !reads_off_) events |= EPOLLOUT;
  watch(events);
}

void StreamSock::on_events(uint32_t events) {
  stack_->run([&] {
    happened(events);
    return 0;
  });
}

void StreamSock::happened(uint32_t events) {
  if (state_ != State::kConnected || !far_) return;
  if (self_) return on_own_events(events);
  if ((events & EPOLLOUT) != 0) push();
  if (!far_) return;
  if ((events & (EPOLLHUP | EPOLLERR)) != 0 && !guest_gone_) {
    // This condition cannot be masked out; from now on what is left is read as lwIP takes it.
    guest_gone_ = true;
    unwatch();
  }
  if (guest_gone_ && guest_finished_) {
    char byte;
    guest_closed(recv(far_.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == ECONNRESET);
  } else {
    pull();
  }
  stack_->finish();
  stack_->touch();
}

void StreamSock::pull() {
  if (state_ != State::kConnected || !far_ || guest_finished_ || pcb_ == nullptr) return;
  Connections::wake(pcb_);
  bool wrote = false;
  const bool was_full = send_full_, was_corked = corked_since_ != 0;
  send_full_ = false;
  for (int turn = 0; turn < kTurns || guest_gone_; ++turn) {
    std::size_t most = room();
    if (most == 0) {
      send_full_ = true;
      // Otherwise an acknowledgement goes on with it.
      if (chunks_.empty()) stack_->retry_later(this);
      break;
    }
    most = std::min(most, uncorked());
    if (most == 0) break;
    static thread_local std::unique_ptr<uint8_t[]> scratch;
    if (!scratch) scratch.reset(new uint8_t[kRead]);
    const ssize_t got = recv(far_.get(), scratch.get(), most, MSG_DONTWAIT);
    if (got < 0) {
      if (errno == EAGAIN || errno == EINTR) break;
      return guest_closed(true);
    }
    if (got == 0) {
      if (wrote) tcp_output(pcb_);
      return guest_gone_ ? guest_closed(false) : guest_finished();
    }
    if (!read(&scratch, static_cast<std::size_t>(got))) return;
    wrote = true;
  }
  if (wrote) tcp_output(pcb_);
  if (send_full_ != was_full || (corked_since_ != 0) != was_corked) update_interest();
}

// How much is taken from the guest now. Where memory is scarce, each connection has a little on its way at a time.
std::size_t StreamSock::room() const {
  if (pcb_->snd_queuelen > TCP_SND_QUEUELEN / 2) return 0;
  const std::size_t room = std::min<std::size_t>(tcp_sndbuf(pcb_), kRead);
  const Memory& memory = stack_->memory();
  if (!memory.full()) return room;
  return chunks_.empty() && memory.spare(4 * kCopied) ? std::min(room, kCopied - 1) : 0;
}

// `size` bytes of the guest are in `scratch`, which is given away where they fill it. False: the connection is lost.
bool StreamSock::read(std::unique_ptr<uint8_t[]>* scratch, std::size_t size) {
  if (size < kCopied) {
    if (!write(scratch->get(), size)) return false;
    chunks_.push_back({nullptr, size});
    return true;
  }
  std::unique_ptr<uint8_t[]> bytes;
  const std::size_t kept = size < kRead / 2 ? size : kRead;
  if (kept < kRead) {
    bytes.reset(new uint8_t[size]);
    std::copy_n(scratch->get(), size, bytes.get());
  } else {
    bytes = std::move(*scratch);
  }
  stack_->memory().take(kept);
  chunks_.push_back({std::move(bytes), size, kept});
  return write(chunks_.back().bytes.get(), size);
}

void StreamSock::forget_chunks() {
  for (const Chunk& chunk : chunks_) stack_->memory().give(chunk.charged);
  chunks_.clear();
}

bool StreamSock::write(const uint8_t* bytes, std::size_t size) {
  const u8_t flags = size < kCopied ? TCP_WRITE_FLAG_COPY : 0;
  if (tcp_write(pcb_, bytes, static_cast<u16_t>(size), flags) == ERR_OK) return true;
  // There was room for it, so there is no memory: the bytes are lost, and the connection with them.
  tcp_pcb* pcb = pcb_;
  pcb_ = nullptr;
  tcp_arg(pcb, nullptr);
  tcp_abort(pcb);
  reset(ENOBUFS);
  return false;
}

void StreamSock::acknowledged(std::size_t size) {
  soft_error_ = 0;
  while (size > 0 && !chunks_.empty()) {
    Chunk& first = chunks_.front();
    const std::size_t now = std::min(size, first.left);
    first.left -= now;
    size -= now;
    if (first.left != 0) break;
    stack_->memory().give(first.charged);
    chunks_.pop_front();
  }
  if (guest_gone_ && guest_finished_) {
    if (chunks_.empty()) finish_close();
    return;
  }
  if (send_full_) pull();
}

err_t StreamSock::on_sent(void* self, tcp_pcb* pcb, u16_t size) {
  auto* sock = static_cast<StreamSock*>(self);
  if (sock == nullptr) return ERR_OK;
  sock->acknowledged(size);
  return sock->pcb_ != pcb && sock->state_ == State::kFailed ? ERR_ABRT : ERR_OK;
}

// The guest has shut down its sending side.
void StreamSock::guest_finished() {
  guest_finished_ = true;
  Connections::wake(pcb_);
  tcp_shutdown(pcb_, 0, 1);
  update_interest();
}

// The guest has closed its descriptor; with `reset`, without having read all.
void StreamSock::guest_closed(bool reset) {
  guest_gone_ = guest_finished_ = true;
  unwatch();
  far_.reset();
  host().remove(this);
  const auto* linger = options_.find(SOL_SOCKET, SO_LINGER);
  const bool abort = linger != nullptr && linger->size() >= 8 && (*linger)[0] != 0 && (*linger)[4] == 0;
  tcp_pcb* pcb = pcb_;
  Connections::wake(pcb);
  restore_window();
  // With unread bytes lwIP would send RST all the same, and free the PCB.
  if (reset || abort || !received_.empty() || pcb->rcv_wnd != TCP_WND_MAX(pcb)) {
    pcb_ = nullptr;
    state_ = State::kFailed;
    tcp_arg(pcb, nullptr);
    tcp_abort(pcb);
    return abandon();
  }
  tcp_recv(pcb, nullptr);
  if (tcp_close(pcb) != ERR_OK) {
    pcb_ = nullptr;
    state_ = State::kFailed;
    tcp_arg(pcb, nullptr);
    tcp_abort(pcb);
    return abandon();
  }
  if (chunks_.empty()) finish_close();
}

// All is acknowledged: lwIP does not need us any more.
void StreamSock::finish_close() {
  if (pcb_ != nullptr) {
    tcp_arg(pcb_, nullptr);
    tcp_sent(pcb_, nullptr);
    tcp_err(pcb_, nullptr);
  }
  pcb_ = nullptr;
  abandon();
}

// -- Network to guest -------------------------------------------------------------------------------------

err_t StreamSock::on_received(void* self, tcp_pcb* pcb, pbuf* data, err_t) {
  auto* sock = static_cast<StreamSock*>(self);
  if (sock == nullptr) {
    if (data != nullptr) {
      tcp_recved(pcb, data->tot_len);
      pbuf_free(data);
    }
    return ERR_OK;
  }
  if (data == nullptr) {
    sock->peer_finished_ = true;
  } else {
    sock->received_.push_back(data);
    if (sock->quick_) tcp_ack_now(pcb);
  }
  sock->push();
  if (sock->deferred_until_ != 0) sock->come_forth();
  return sock->state_ == State::kFailed ? ERR_ABRT : ERR_OK;
}

void StreamSock::drop_received() {
  if (!stack_->failed()) {
    for (pbuf* part : received_) pbuf_free(part);
  }
  received_.clear();
}

// Bytes that the guest has got, or that nobody wants.
void StreamSock::consumed(std::size_t size) {
  if (pcb_ != nullptr) Connections::wake(pcb_);
  while (size > 0) {
    pbuf*& first = received_.front();
    const auto now = static_cast<u16_t>(std::min<std::size_t>(size, first->tot_len));
    first = pbuf_free_header(first, now);
    if (first == nullptr) received_.pop_front();
    if (pcb_ != nullptr) tcp_recved(pcb_, now);
    size -= now;
  }
  // lwIP tells of a window that opens by a quarter of the full one; where most of that is withheld, it never would.
  if (pcb_ == nullptr || withheld_ == 0) return;
  const u32_t opened = pcb_->rcv_nxt + pcb_->rcv_wnd - pcb_->rcv_ann_right_edge;
  if (opened < (TCP_WND - withheld_) / 4) return;
  pcb_->rcv_ann_wnd = pcb_->rcv_wnd;
  tcp_ack_now(pcb_);
  tcp_output(pcb_);
}

void StreamSock::push() {
  while (!received_.empty() && far_) {
    iovec parts[kParts];
    std::size_t count = 0;
    std::size_t size = 0;
    for (pbuf* chain : received_) {
      for (pbuf* part = chain; part != nullptr && count < kParts; part = part->next) {
        parts[count++] = {part->payload, part->len};
        size += part->len;
      }
    }
    msghdr message = {};
    message.msg_iov = parts;
    message.msg_iovlen = count;
    const ssize_t sent = reads_off_ ? static_cast<ssize_t>(size)
                                    : sendmsg(far_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EAGAIN || errno == EINTR) break;
      // EPIPE: the guest has shut down this direction (or closed, which its own event tells).
      reads_off_ = true;
      continue;
    }
    consumed(static_cast<std::size_t>(sent));
  }
  if (received_.empty() && peer_finished_ && !told_finished_ && far_) {
    told_finished_ = true;
    ::shutdown(far_.get(), SHUT_WR);
  }
  update_interest();
}

// The connection is gone; `error` 0: in an orderly way.
void StreamSock::reset(int error) {
  state_ = State::kFailed;
  error_ = error;
  if (guest_gone_) return abandon();
  unwatch();
  drop_received();
  int unread = 0;
  // Closing an AF_UNIX socket with unread data gives ECONNRESET at the other end. Without any, the guest's end is
  // wanted: who is told of kReset writes a byte there and calls finish_reset().
  if (far_ && error != 0 && ioctl(far_.get(), FIONREAD, &unread) == 0 && unread == 0) {
    host().notify(id_, Event::kReset, error);
  } else {
    far_.reset();
  }
}

void StreamSock::finish_reset() { far_.reset(); }

}  // namespace umvu::lwip
