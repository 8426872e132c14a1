#include "lwip_changes.h"

#include <algorithm>
#include <cstring>
#include <iterator>

std::mt19937_64 generator;

unsigned pick(unsigned most) { return std::uniform_int_distribution<unsigned>(0, most)(generator); }
bool chance(unsigned percent) { return pick(99) < percent; }

namespace {

constexpr std::size_t kEthernet = 14;

void put16(uint8_t* at, std::size_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}
unsigned get16(const uint8_t* at) { return static_cast<unsigned>(at[0] << 8 | at[1]); }

void add32(uint8_t* at, uint32_t more) {
  const uint32_t sum = (get16(at) << 16 | get16(at + 2)) + more;
  put16(at, sum >> 16);
  put16(at + 2, sum & 0xffff);
}

// Where the header of TCP begins; 0: there is none.
std::size_t tcp_at(const Bytes& frame) {
  if (frame.size() < kEthernet + 20) return 0;
  const unsigned type = get16(frame.data() + 12);
  const uint8_t* ip = frame.data() + kEthernet;
  const std::size_t header = type == 0x0800 && ip[9] == 6 ? (ip[0] & 15) * 4u : type == 0x86dd && ip[6] == 6 ? 40 : 0;
  return header == 0 || frame.size() < kEthernet + header + 20 ? 0 : kEthernet + header;
}

uint32_t step() {
  static constexpr uint32_t kSteps[] = {1, 2, 100, 1460, 0xffff, 0x10000, 1u << 20, 1u << 30, 1u << 31};
  const uint32_t size = chance(50) ? pick(3000) : kSteps[pick(std::size(kSteps) - 1)];
  return chance(50) ? size : 0 - size;
}

}  // namespace

void change(Bytes* frame) {
  static constexpr uint8_t kInteresting[] = {0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 20, 39, 40, 58, 63, 64, 127, 128, 254, 255};
  for (unsigned i = pick(4); i > 0 && !frame->empty(); --i) {
    const std::size_t at = pick(static_cast<unsigned>(std::min<std::size_t>(frame->size() - 1, chance(85) ? 90 : 9000)));
    switch (pick(6)) {
      case 0: (*frame)[at] ^= static_cast<uint8_t>(1u << pick(7)); break;
      case 1: (*frame)[at] = kInteresting[pick(sizeof kInteresting - 1)]; break;
      case 2: (*frame)[at] = static_cast<uint8_t>(pick(255)); break;
      case 3: frame->resize(at); break;
      case 4: frame->insert(frame->end(), pick(chance(5) ? 9000 : 80), static_cast<uint8_t>(pick(255))); break;
      case 5: frame->insert(frame->begin() + static_cast<long>(at), pick(12), static_cast<uint8_t>(pick(255))); break;
      default: {
        const auto end = frame->begin() + static_cast<long>(std::min<std::size_t>(frame->size(), at + pick(12)));
        frame->erase(frame->begin() + static_cast<long>(at), end);
      }
    }
  }
}

void mend(Bytes* frame) {
  if (frame->size() < kEthernet + 20) return;
  uint8_t* ip = frame->data() + kEthernet;
  const std::size_t size = frame->size() - kEthernet;
  if (get16(frame->data() + 12) == 0x0800) {
    put16(ip + 2, size);
    const std::size_t header = std::min<std::size_t>(size, (ip[0] & 15) * 4u);
    put16(ip + 10, 0);
    uint32_t sum = 0;
    for (std::size_t i = 0; i + 1 < header; i += 2) sum += get16(ip + i);
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    put16(ip + 10, ~sum);
  } else if ((*frame)[12] == 0x86 && size >= 40) {
    put16(ip + 4, size - 40);
  }
}

void play(Bytes* frame) {
  static constexpr uint8_t kFlags[] = {0x02, 0x10, 0x11, 0x12, 0x14, 0x18, 0x19, 0x04, 0x38, 0x01, 0x00, 0x3f};
  // Kinds 1 to 8: MSS, window scale, SACK, time stamps, right and wrong.
  static constexpr uint8_t kOptions[] = {2, 4, 0, 1, 3, 3, 14, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 9, 8, 10, 0, 0, 0, 5, 0, 0, 0, 0, 2, 4};
  const std::size_t at = tcp_at(*frame);
  if (at == 0) return;
  for (unsigned i = pick(3); i > 0; --i) {
    uint8_t* tcp = frame->data() + at;
    switch (pick(5)) {
      case 0: add32(tcp + 4, step()); break;
      case 1: add32(tcp + 8, step()); break;
      case 2: tcp[13] = kFlags[pick(sizeof kFlags - 1)]; break;
      case 3: put16(tcp + 14, chance(40) ? 0 : pick(0xffff)); break;
      case 4: {
        const std::size_t words = std::min<std::size_t>(pick(7), 15u - std::min(15, tcp[12] >> 4));
        tcp[12] = static_cast<uint8_t>(tcp[12] + (words << 4));
        const std::size_t from = pick(12);
        const auto* options = kOptions + std::min(from, sizeof kOptions - 4);
        Bytes more(options, options + std::min(words * 4, sizeof kOptions - std::min(from, sizeof kOptions - 4)));
        more.resize(words * 4);
        frame->insert(frame->begin() + static_cast<long>(at + 20), more.begin(), more.end());
        break;
      }
      default: frame->insert(frame->end(), pick(1500), 'd'); break;
    }
  }
}

Bytes complaint(const Bytes& frame) {
  static constexpr uint8_t kErrors4[][2] = {{3, 0}, {3, 1}, {3, 2}, {3, 3}, {3, 4}, {3, 13}, {4, 0}, {5, 1}, {11, 0}, {12, 0}};
  static constexpr uint8_t kErrors6[][2] = {{1, 0}, {1, 1}, {1, 3}, {1, 4}, {2, 0}, {3, 0}, {4, 0}, {4, 1}};
  if (frame.size() < kEthernet + 40) return frame;
  const unsigned type = get16(frame.data() + 12);
  if (type != 0x0800 && type != 0x86dd) return frame;
  const bool v6 = type == 0x86dd;
  const uint8_t* ip = frame.data() + kEthernet;
  Bytes out(frame.begin() + 6, frame.begin() + 12);
  out.insert(out.end(), frame.begin(), frame.begin() + 6);
  out.insert(out.end(), frame.begin() + 12, frame.begin() + 14);
  if (v6) {
    const uint8_t head[8] = {0x60, 0, 0, 0, 0, 0, 58, 255};
    out.insert(out.end(), head, head + 8);
    out.insert(out.end(), ip + 24, ip + 40);
    out.insert(out.end(), ip + 8, ip + 24);
  } else {
    const uint8_t head[12] = {0x45, 0, 0, 0, 0, 1, 0, 0, 64, 1, 0, 0};
    out.insert(out.end(), head, head + 12);
    out.insert(out.end(), ip + 16, ip + 20);
    out.insert(out.end(), ip + 12, ip + 16);
  }
  const uint8_t* error = v6 ? kErrors6[pick(std::size(kErrors6) - 1)] : kErrors4[pick(std::size(kErrors4) - 1)];
  const uint8_t head[8] = {error[0], error[1], 0, 0, 0, 0, static_cast<uint8_t>(pick(5)), static_cast<uint8_t>(pick(255))};
  out.insert(out.end(), head, head + 8);
  const std::size_t quoted = std::min<std::size_t>(frame.size() - kEthernet, chance(50) ? 1232 : 20 + pick(60));
  out.insert(out.end(), ip, ip + quoted);
  return out;
}

void wrap(Bytes* frame) {
  if (frame->size() <= kEthernet) return;
  if (chance(1)) {
    const uint8_t tag[4] = {0x81, static_cast<uint8_t>(chance(20) ? 0xa8 : 0), 0, static_cast<uint8_t>(pick(9))};
    frame->insert(frame->begin() + 12, tag, tag + 4);
  } else if (chance(1)) {
    frame->resize(pick(60));
  } else if (chance(1)) {
    frame->insert(frame->end(), 1500 + pick(7500), 'j');
  }
}

const char* layer_of(const Bytes& frame) {
  if (frame.size() <= kEthernet + 20) return "short frames";
  const unsigned type = get16(frame.data() + 12);
  const uint8_t* ip = frame.data() + kEthernet;
  if (type == 0x8100) return "VLAN";
  if (type == 0x0806) return "ARP";
  if (type != 0x0800 && type != 0x86dd) return "other types";
  if (frame.size() > kEthernet + 1500) return "jumbo frames";
  const bool v6 = type == 0x86dd;
  if (!v6 && (get16(ip + 6) & 0x3fff) != 0) return "IPv4 fragments";
  if (!v6 && (ip[0] & 15) > 5) return "IPv4 options";
  const std::size_t header = v6 ? 40 : 20;
  const uint8_t what = frame.size() > kEthernet + header ? ip[header] : 0;
  switch (ip[v6 ? 6 : 9]) {
    case 1: return what == 0 || what == 8 ? "ICMP" : "ICMP errors";
    case 2: return "IGMP";
    case 6: return v6 ? "TCP over IPv6" : "TCP";
    case 17: return v6 ? "UDP over IPv6" : "UDP";
    case 44: return v6 ? "IPv6 fragments" : "other protocols";
    case 0: case 43: case 60: return v6 ? "IPv6 extension headers" : "other protocols";
    case 58: return what < 128 ? "ICMPv6 errors" : what < 130 ? "ICMPv6" : what < 133 || what == 143 ? "MLD" : "ND";
    default: return "other protocols";
  }
}
