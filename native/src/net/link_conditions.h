#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <vector>

#include "net/pump.h"
#include "net/unique_fd.h"

namespace umvu::net {

class Network;
class Port;

// What a bad link does to frames; names and meaning as in tc-netem(8).
struct LinkConditions {
  uint64_t delay = 0;      // ns
  uint64_t jitter = 0;     // ns, at most; each frame waits delay ± jitter, so frames may overtake each other
  double loss = 0;         // probability that a frame is dropped
  uint64_t rate = 0;       // bits per second that all frames of the network share; 0: any
  std::size_t limit = 1000;  // frames on their way; more are dropped

  bool any() const { return delay > 0 || jitter > 0 || loss > 0 || rate > 0; }
};

// The frames of a network with conditions, between the port they came from and the others. There is no segmentation
// offload: what is lost or delayed are frames as a wire carries them. Under the lock of the pump.
class Link : public Pollable {
 public:
  Link(Network* network, const LinkConditions& conditions);
  ~Link() override;

  // Idempotent; 0 or a negated errno.
  int open();
  // Takes a copy of a frame that came from `from`.
  void take(Port* from, const uint8_t* raw, std::size_t size);
  // The network takes frames again (Network::paused).
  void resume() { arm(); }
  void shut();

  void on_events(uint32_t) override;

 private:
  struct Held {
    int from;                    // number of the port
    std::vector<uint8_t> bytes;  // headroom, virtio header and frame
  };

  bool lost();
  void hold(Port* from, const uint8_t* raw, std::size_t size);
  // When a frame of `size` bytes that comes now arrives: ns of CLOCK_MONOTONIC.
  uint64_t arrival(std::size_t size);
  void arm();

  Network* const network_;
  const LinkConditions conditions_;
  std::mt19937_64 random_;
  UniqueFd timer_;
  uint64_t armed_ = 0;
  uint64_t sent_ = 0;  // when the last frame has left, with a rate
  std::multimap<uint64_t, Held> held_;
};

}  // namespace umvu::net
