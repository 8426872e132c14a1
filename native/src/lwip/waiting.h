#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "lwip/markers.h"
#include "lwip/memory.h"

namespace umvu::lwip {

// Messages for a guest whose buffer has no room for them, the oldest first. An ordinary user may not make the buffer of
// an AF_UNIX socket larger than net.core.wmem_max, where a burst of datagrams that the kernel would keep gets lost.
class Waiting {
 public:
  struct Message {
    std::vector<uint8_t> bytes;
    std::optional<Meta> meta;
  };

  // `of_stack`: what the messages of one stack take, in bytes; all of its sockets together wait with at most kMostOfStack.
  Waiting(std::size_t* of_stack, Memory* memory) : of_stack_(of_stack), memory_(memory) {}
  ~Waiting() { clear(); }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

  bool empty() const { return messages_.empty(); }
  const Message& front() const { return messages_.front(); }
  // False: there is no room here either.
  bool push(std::span<const iovec> parts, const Meta* meta) {
    std::size_t size = 0;
    for (const iovec& part : parts) size += part.iov_len;
    if (bytes_ + cost(size) > limit_ || *of_stack_ + cost(size) > kMostOfStack) return false;
    if (!memory_->fits(cost(size))) return false;
    Message& message = messages_.emplace_back();
    message.bytes.reserve(size);
    for (const iovec& part : parts) {
      const auto* from = static_cast<const uint8_t*>(part.iov_base);
      message.bytes.insert(message.bytes.end(), from, from + part.iov_len);
    }
    if (meta != nullptr) message.meta = *meta;
    account(cost(size));
    return true;
  }
  void pop() {
    account(0 - cost(messages_.front().bytes.size()));
    messages_.pop_front();
  }
  void clear() {
    while (!empty()) pop();
  }
  // No more waits here than what a guest asked for with SO_RCVBUF: less than the default means that it wants little.
  void limit(bool little) { limit_ = little ? 0 : kMost; }

 private:
  static constexpr std::size_t kMost = 1 << 20;
  static constexpr std::size_t kMostOfStack = 16 << 20;
  static std::size_t cost(std::size_t size) { return size + sizeof(Message); }
  void account(std::size_t change) {
    bytes_ += change;
    *of_stack_ += change;
    memory_->take(change);
  }

  std::size_t* const of_stack_;
  Memory* const memory_;
  std::deque<Message> messages_;
  std::size_t bytes_ = 0;
  std::size_t limit_ = kMost;
};

}  // namespace umvu::lwip
