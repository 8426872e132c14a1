// Frames of every protocol that the stack in user space hears.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

using Bytes = std::vector<uint8_t>;

struct Station {
  std::array<uint8_t, 6> mac;
  uint8_t host;  // 10.0.0.host, fc00::host
};

// One frame of each kind; lengths and checksums are left to mend().
std::vector<Bytes> seeds(const Station& to, const Station& from);
