#pragma once

#include <cstddef>

namespace umvu::lwip {

// What a stack uses, in bytes, and how much it may. All that lwIP allocates for it counts as it is; data of guests that
// waits to be sent and rings of packet sockets too; a socket, with what the kernel keeps for it, as kSocket. Under the lock
// of the pump.
//
// Who wants something new (a socket, a connection, a ring) is refused at the limit. What is there already goes on: lwIP
// gets half as much again, with which each connection makes slow progress (StreamSock::pull(), StreamSock::crowded()).
class Memory {
 public:
  static constexpr std::size_t kDefault = 256 << 20, kLeast = 1 << 20;
  static constexpr std::size_t kSocket = 4096;

  explicit Memory(std::size_t limit) : limit_(limit) {}
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  std::size_t used() const { return used_; }
  bool full() const { return used_ >= limit_; }
  // What waits for somebody else (fragments, packets to neighbours that do not answer yet) gets no more than half.
  bool half_full() const { return used_ >= limit_ / 2; }
  bool fits(std::size_t size) const { return size <= limit_ && used_ <= limit_ - size; }
  // Whether there are `size` bytes for what is there already.
  bool spare(std::size_t size) const { return used_ + size <= limit_ + limit_ / 2; }
  void take(std::size_t size) { used_ += size; }
  void give(std::size_t size) { used_ -= size; }

 private:
  const std::size_t limit_;
  std::size_t used_ = 0;
};

// While this exists, what this thread allocates for lwIP is for `memory`, whichever stack is entered.
class Charge {
 public:
  explicit Charge(Memory* memory);
  ~Charge();
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;

 private:
  Memory* const outer_;
};

}  // namespace umvu::lwip
