#pragma once

#include <cstdint>
#include <string>

#include "net/pump.h"

namespace umvu::isolated {

// Tells the supervisor of events, in order. It never waits, because the supervisor may be waiting for a reply: what the
// stream does not take is kept. Under the lock of the pump.
class Events : public net::Pollable {
 public:
  Events(net::Pump* pump, int fd) : pump_(pump), fd_(fd) {}
  void tell(uint64_t id, uint32_t event, int value);
  void on_events(uint32_t) override { flush(); }
  void shut();

 private:
  void flush();

  net::Pump* const pump_;
  const int fd_;
  std::string kept_;
  bool waits_ = false;
};

}  // namespace umvu::isolated
