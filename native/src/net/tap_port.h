#pragma once

#include "net/port.h"

namespace umvu::net {

// A TAP device (Documentation/networking/tuntap.rst): each read or write is one frame.
class TapPort : public Port {
 public:
  TapPort(Network* network, int number, PortConfig config)
      : Port(network, number, std::move(config)) {}

 private:
  bool receive() override;
  bool transmit(const uint8_t* bytes, std::size_t size) override;
  int write_now(const uint8_t* bytes, std::size_t size) override;
  bool recover(uint32_t events) override;
};

}  // namespace umvu::net
