// What lwIP asks of its platform (arch/cc.h): random numbers, checksums, failed assertions, time.
#include <sys/random.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "lwip/engine.h"
#include "lwip/hooks.h"
#include "net/offload.h"

namespace {

// SplitMix64, seeded by the kernel: for ports, identifiers and sequence numbers.
uint64_t mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15u;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
  return value ^ (value >> 31);
}

uint64_t secret() {
  static const uint64_t value = [] {
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed) seed = static_cast<uint64_t>(time(nullptr));
    return seed;
  }();
  return value;
}

uint64_t microseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000 + static_cast<uint64_t>(now.tv_nsec) / 1000;
}

}  // namespace

extern "C" {

uint32_t umvu_random(void) {
  static thread_local uint64_t state = secret() ^ microseconds();
  state = mix(state);
  return static_cast<uint32_t>(state);
}

uint16_t umvu_checksum(const void* bytes, int size) {
  using namespace umvu::net;
  return checksum_fold(checksum_add(0, static_cast<const uint8_t*>(bytes), static_cast<std::size_t>(size)));
}

void umvu_lwip_assert(const char* text, const char* file, int line) {
  throw umvu::lwip::AssertionFailed{text, file, line};
}

u32_t sys_now(void) { return static_cast<u32_t>(microseconds() / 1000); }

uint64_t umvu_hash(uint64_t hash, uint64_t value) { return mix(hash ^ mix(value ^ secret())); }

u32_t umvu_tcp_isn(const ip_addr_t* local, u16_t local_port, const ip_addr_t* remote, u16_t remote_port) {
  uint64_t words[4] = {};
  std::memcpy(words, local, 16);
  std::memcpy(words + 2, remote, 16);
  uint64_t hash = 0;
  for (const uint64_t word : words) hash = umvu_hash(hash, word);
  hash = umvu_hash(hash, local_port ^ static_cast<uint64_t>(remote_port) << 16);
  return static_cast<u32_t>(hash + microseconds() / 4);
}

}  // extern "C"
