#include "net/frame_queue.h"

#include <cstring>

namespace umvu::net {

uint32_t FrameQueue::length_at(std::size_t at) const {
  uint32_t length;
  std::memcpy(&length, ring_.get() + at, sizeof length);
  return length;
}

bool FrameQueue::push(const uint8_t* bytes, std::size_t size) {
  const std::size_t need = record_bytes(size);
  if (frames_ >= max_frames_ || need > capacity_) return false;
  if (!ring_) ring_.reset(new uint8_t[capacity_]);
  if (frames_ == 0) head_ = tail_ = 0;
  if (tail_ >= head_ && capacity_ - tail_ < need) {
    // No room at the end: go on at the beginning. Strictly less than head_, because equal means
    // empty.
    if (need >= head_) return false;
    if (tail_ < capacity_) std::memcpy(ring_.get() + tail_, &kWrap, sizeof kWrap);
    tail_ = 0;
  } else if (tail_ < head_ && head_ - tail_ <= need) {
    return false;
  }
  const auto length = static_cast<uint32_t>(size);
  std::memcpy(ring_.get() + tail_, &length, sizeof length);
  std::memcpy(ring_.get() + tail_ + sizeof length, bytes, size);
  tail_ += need;
  ++frames_;
  return true;
}

const uint8_t* FrameQueue::front(std::size_t* size) const {
  *size = length_at(head_);
  return ring_.get() + head_ + 4;
}

void FrameQueue::pop() {
  head_ += record_bytes(length_at(head_));
  if (--frames_ == 0) {
    ring_.reset();
    head_ = tail_ = 0;
    return;
  }
  skip_wrap();
}

void FrameQueue::skip_wrap() {
  if (head_ >= capacity_ || length_at(head_) == kWrap) head_ = 0;
}

}  // namespace umvu::net
