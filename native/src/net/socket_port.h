#pragma once

#include "net/port.h"

namespace umvu::net {

// A socket whose messages are frames: AF_PACKET, an AF_UNIX datagram (or seqpacket) socket of
// the VDE protocol, or one to an isolated stack.
class SocketPort : public Port {
 public:
  SocketPort(Network* network, int number, PortConfig config);
  void flush() override;

 private:
  static constexpr std::size_t kSendBatch = 64;
  int prepare() override;
  bool receive() override;
  bool transmit(const uint8_t* bytes, std::size_t size) override;
  int write_now(const uint8_t* bytes, std::size_t size) override;
  bool recover(uint32_t events) override;
  void prepare_batch();
  // Turns message `index` of the batch into a frame; false when it was cut.
  bool take(std::size_t index, Frame* frame);

  const bool packet_;
  std::size_t gathered_ = 0;
  mmsghdr messages_[kSendBatch] = {};
  iovec parts_[kSendBatch];
};

}  // namespace umvu::net
