#include "lwip/datagram.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "lwip/host.h"
#include "lwip/place.h"

namespace umvu::lwip {
namespace {

constexpr int kTurns = 64;
constexpr std::size_t kLargest = 66000;
// What waits in the guest's buffer until it is given SO_RCVBUF: twice the default, as much as an ordinary user may.
constexpr int kBuffer = 212992;

}  // namespace

DatagramSock::DatagramSock(Stack* stack, int domain, int type, int protocol)
    : Sock(stack, domain, type, protocol), waiting_(&stack->waiting_bytes(), &stack->memory()) {}

int DatagramSock::open() {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) != 0) return -errno;
  far_.reset(pair[0]);
  net::UniqueFd guest(pair[1]);
  // An abstract name that the kernel chooses. Strangers cannot send to it: it is connected.
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  socklen_t size = sizeof name;
  if (::bind(guest.get(), reinterpret_cast<sockaddr*>(&name), sizeof name.sun_family) != 0 ||
      getsockname(guest.get(), reinterpret_cast<sockaddr*>(&name), &size) != 0) {
    return -errno;
  }
  guest_name_.assign(reinterpret_cast<const char*>(&name), size);
  setsockopt(far_.get(), SOL_SOCKET, SO_SNDBUF, &kBuffer, sizeof kBuffer);
  watch(EPOLLIN);
  return guest.release();
}

void DatagramSock::hold(std::span<const uint8_t> bytes) {
  stack_->memory().give(held_.size());
  held_.assign(bytes.begin(), bytes.end());
  stack_->memory().take(held_.size());
}

void DatagramSock::abandon() {
  hold({});
  waiting_.clear();
  if (!stack_->failed()) drop();
  retire();
}

bool DatagramSock::retry() {
  // Asked for when the guest had closed it. What it has written before is still to be sent.
  drain();
  if (!blocked_) abandon();
  return blocked_;
}

int DatagramSock::shutdown(int guest, int how) {
  if (how < SHUT_RD || how > SHUT_RDWR) return -EINVAL;
  return ::shutdown(guest, how) != 0 ? -errno : 0;
}

int DatagramSock::option_changed(int guest, int level, int name) {
  if (SocketFilter::concerns(level, name)) return filter_.changed(name, options_);
  if (level != SOL_SOCKET || (name != SO_RCVBUF && name != SO_SNDBUF)) return 0;
  const int size = options_.number(level, name);
  setsockopt(name == SO_SNDBUF ? guest : far_.get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  if (name == SO_RCVBUF) waiting_.limit(size < kBuffer);
  return 0;
}

int DatagramSock::special_option(int level, int name, std::span<uint8_t> out) {
  if (level != SOL_SOCKET || name != SO_ERROR || out.size() < sizeof(int)) return -ENOPROTOOPT;
  const int error = take_error();
  std::memcpy(out.data(), &error, sizeof error);
  return sizeof error;
}

void DatagramSock::on_events(uint32_t events) {
  stack_->run([&] {
    if ((events & EPOLLOUT) != 0) send_waiting();
    happened();
    return 0;
  });
}

void DatagramSock::happened() {
  for (int turn = 0; turn < kTurns && !blocked_ && far_; ++turn) {
    if (!take()) break;
  }
  stack_->finish();
  stack_->touch();
  show_error();
}

void DatagramSock::drain() {
  draining_ = true;
  while (!blocked_ && take()) continue;
  draining_ = false;
}

// One message that the guest has written itself; false when there is none.
bool DatagramSock::take() {
  static thread_local std::unique_ptr<uint8_t[]> buffer(new uint8_t[kLargest]);
  const ssize_t got = recv(far_.get(), buffer.get(), kLargest, MSG_DONTWAIT);
  if (got < 0) return false;
  const std::span<const uint8_t> bytes(buffer.get(), static_cast<std::size_t>(got));
  const int result = outgoing(bytes, nullptr);
  if (result == -EAGAIN) {
    hold(bytes);
    blocked_ = true;
    update_interest();
    return false;
  }
  // The guest has its result already; the next call will tell.
  if (result < 0) raise(-result);
  return true;
}

int DatagramSock::send_message(std::span<const uint8_t> bytes, const Meta* meta) {
  drain();
  if (blocked_) return -EAGAIN;
  const int result = outgoing(bytes, meta);
  stack_->finish();
  stack_->touch();
  show_error();
  return result < 0 ? result : static_cast<int>(bytes.size());
}

void DatagramSock::network_writable() {
  if (!blocked_ || outgoing(held_, nullptr) == -EAGAIN) return;
  blocked_ = false;
  hold({});
  update_interest();
  show_error();
}

void DatagramSock::raise(int error) {
  error_ = error;
  raised_ = true;
  if (!draining_) show_error();
}

void DatagramSock::show_error() {
  if (!raised_ || draining_ || !far_) return;
  drain();  // what is unread gets lost
  if (blocked_) return;
  raised_ = false;
  if (provoke()) return;
  closed_ = true;
  stack_->retry_later(this);
}

// AF_UNIX has one error that does not end a datagram socket: ECONNRESET, when a peer with unread messages turns to
// another socket. So our end gets a message from itself, turns away from the guest's end, and comes back. What calls
// of the guest come here with that error tell it which one it is. False: the guest has closed its end.
bool DatagramSock::provoke() {
  if (!place_ && bind_place(far_.get(), &place_) != 0) return true;
  const sockaddr nothing = {.sa_family = AF_UNSPEC, .sa_data = {}};
  const auto* guest = reinterpret_cast<const sockaddr*>(guest_name_.data());
  const auto size = static_cast<socklen_t>(guest_name_.size());
  const int far = far_.get();
  const bool lost = ::connect(far, &nothing, sizeof nothing) == 0 && send_place(far, place_.get()) == 0 &&
                    ::connect(far, guest, size) == 0;
  if (lost) ::connect(far, &nothing, sizeof nothing);
  return lost && ::connect(far, guest, size) == 0;
}

// To connect to the same peer again changes nothing, where it is still there.
void DatagramSock::look() {
  const auto* guest = reinterpret_cast<const sockaddr*>(guest_name_.data());
  if (!far_ || ::connect(far_.get(), guest, static_cast<socklen_t>(guest_name_.size())) == 0 || errno != ECONNREFUSED) return;
  closed_ = true;
  if (retry()) stack_->retry_later(this);
}

void DatagramSock::cut() {
  provoke();
  Sock::cut();
}

void DatagramSock::update_interest() {
  if (!far_) return;
  uint32_t events = 0;
  if (!blocked_) events |= EPOLLIN;
  if (!waiting_.empty()) events |= EPOLLOUT;
  watch(events);
}

int DatagramSock::hand(std::span<const iovec> parts, const Meta* meta) {
  return send_marked(far_.get(), parts, meta == nullptr ? -1 : host().markers().get(*meta)) ? 0 : -errno;
}

bool DatagramSock::send(std::span<const iovec> parts, const Meta* meta) {
  if (closed_ || !far_) return false;
  const int result = waiting_.empty() ? hand(parts, meta) : -EAGAIN;
  if (result == 0) return true;
  if (result == -EAGAIN) {
    const bool kept = waiting_.push(parts, meta);
    update_interest();
    return kept;
  }
  if (result == -ECONNREFUSED || result == -ENOTCONN) {
    closed_ = true;
    stack_->retry_later(this);
  }
  return false;
}

void DatagramSock::send_waiting() {
  while (!waiting_.empty() && far_) {
    const Waiting::Message& first = waiting_.front();
    const iovec part{const_cast<uint8_t*>(first.bytes.data()), first.bytes.size()};
    const int result = hand({&part, 1}, first.meta ? &*first.meta : nullptr);
    if (result == -EAGAIN) break;
    waiting_.pop();
    if (result != -ECONNREFUSED && result != -ENOTCONN) continue;
    waiting_.clear();
    closed_ = true;
    stack_->retry_later(this);
  }
  update_interest();
}

bool DatagramSock::incoming(const pbuf* packet, std::size_t skip, const Meta* meta, std::size_t most) {
  iovec parts[64];
  std::size_t count = 0;
  for (const pbuf* part = packet; part != nullptr && count < 64; part = part->next) {
    const std::size_t off = std::min<std::size_t>(skip, part->len);
    skip -= off;
    const std::size_t size = std::min<std::size_t>(part->len - off, most);
    most -= size;
    parts[count++] = {static_cast<uint8_t*>(part->payload) + off, size};
  }
  return send({parts, count}, meta);
}

bool DatagramSock::incoming(std::span<const uint8_t> bytes, const Meta* meta) {
  const iovec part{const_cast<uint8_t*>(bytes.data()), bytes.size()};
  return send({&part, 1}, meta);
}

}  // namespace umvu::lwip
