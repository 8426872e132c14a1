#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "net/unique_fd.h"
#include "protocol.h"

namespace umvu::isolated {

// A request while it is answered, and what the reply is to bring.
struct Call {
  Request head = {};
  std::span<const uint8_t> bytes;
  net::UniqueFd fd;
  std::vector<uint8_t> out;
  uint32_t more = 0;
  net::UniqueFd out_fd;
};

// The socket of requests and replies.
class Channel {
 public:
  explicit Channel(int fd) : fd_(fd), buffer_(sizeof(Request) + kMostBytes) {}
  // The next request, whose bytes are valid until the one after it; false when there are no more.
  bool receive(Call* call);
  // False when nobody hears it.
  bool reply(int result, const Call& call);

 private:
  const int fd_;
  std::vector<uint8_t> buffer_;
};

}  // namespace umvu::isolated
