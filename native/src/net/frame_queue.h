#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace umvu::net {

// A bounded first-in first-out queue of byte records in one ring buffer. The ring is allocated at
// the first push (most ports never need one) and given back when the queue is empty again.
class FrameQueue {
 public:
  FrameQueue(std::size_t max_bytes, std::size_t max_frames)
      : capacity_(max_bytes), max_frames_(max_frames) {}

  bool empty() const { return frames_ == 0; }
  // False when the bound is reached; nothing is stored then.
  bool push(const uint8_t* bytes, std::size_t size);
  // The oldest record, which must exist.
  const uint8_t* front(std::size_t* size) const;
  void pop();

 private:
  // Records are a 32-bit length and the bytes, padded to 8; kWrap says that the rest of the ring is
  // unused.
  static constexpr uint32_t kWrap = UINT32_MAX;
  static std::size_t record_bytes(std::size_t size) { return (size + 4 + 7) / 8 * 8; }
  uint32_t length_at(std::size_t at) const;
  void skip_wrap();

  std::size_t capacity_;
  std::size_t max_frames_;
  std::unique_ptr<uint8_t[]> ring_;
  std::size_t head_ = 0;  // where the oldest record begins
  std::size_t tail_ = 0;  // where the next record goes
  std::size_t frames_ = 0;
};

}  // namespace umvu::net
