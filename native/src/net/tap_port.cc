#include "net/tap_port.h"

#include <sys/epoll.h>

#include <cerrno>

#include "net/network.h"

namespace umvu::net {

bool TapPort::receive() {
  Buffers& buffers = network_->pump().buffers();
  const std::size_t room = header_bytes() + max_frame();
  std::size_t held = 0;
  bool healthy = true;
  for (std::size_t turn = 0; turn < kBatch && !network_->paused(); ++turn) {
    // A slot is taken for good only when some port refers to it: the same warm memory serves most
    // frames.
    const Frame frame{buffers.slot(held), 0};
    uint8_t* into = vnet_header() ? frame.raw : frame.data();
    const ssize_t got = read(fd(), into, room);
    if (got < 0) {
      healthy = errno == EAGAIN || errno == EINTR;  // EBADFD: the device was deleted
      break;
    }
    const auto size = static_cast<std::size_t>(got);
    // A frame that fills the buffer was cut.
    if (size <= header_bytes() || size >= room) {
      ++counters().dropped;
      continue;
    }
    if (!vnet_header()) frame.clear_header();
    if (network_->receive(this, {frame.raw, size - header_bytes()})) ++held;
  }
  network_->finish();
  return healthy;
}

int TapPort::write_now(const uint8_t* bytes, std::size_t size) {
  // EIO: the interface is down; EINVAL: the kernel refuses the virtio header.
  return write(fd(), bytes, size) < 0 ? -errno : 0;
}

bool TapPort::transmit(const uint8_t* bytes, std::size_t size) {
  const int result = write_now(bytes, size);
  if (result == 0) {
    count_sent(size);
  } else if (result == -EAGAIN) {
    enqueue(bytes, size);
  } else {
    ++counters().dropped;
  }
  return false;
}

bool TapPort::recover(uint32_t events) {
  // The driver reports EPOLLERR only when the device is detached or deleted.
  return (events & EPOLLERR) == 0;
}

}  // namespace umvu::net
