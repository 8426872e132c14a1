#include "lwip/bpf.h"

#include <arpa/inet.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "lwip/engine.h"

namespace umvu::lwip {
namespace {

constexpr std::size_t kEthernet = 14;

// What a load of `width` bytes at `offset` gives; nothing where the packet is too short.
std::optional<uint32_t> load_at(std::span<const uint8_t> from, uint64_t offset, unsigned width) {
  if (offset + width > from.size()) return std::nullopt;
  uint32_t value = 0;
  for (unsigned i = 0; i < width; ++i) value = value << 8 | from[offset + i];
  return value;
}

// Loads at SKF_AD_OFF: what is known of the packet besides its bytes.
std::optional<uint32_t> ancillary(const FilterInput& input, uint32_t what) {
  switch (what) {
    case SKF_AD_PROTOCOL: return input.protocol;
    case SKF_AD_PKTTYPE: return input.packet_type;
    case SKF_AD_IFINDEX: return static_cast<uint32_t>(input.interface);
    case SKF_AD_HATYPE: return input.hardware;
    case SKF_AD_RANDOM: return umvu_random();
    // Tags stay in the frame, marks and queues do not exist.
    case SKF_AD_MARK:
    case SKF_AD_QUEUE:
    case SKF_AD_RXHASH:
    case SKF_AD_CPU:
    case SKF_AD_VLAN_TAG:
    case SKF_AD_VLAN_TAG_PRESENT:
    case SKF_AD_VLAN_TPID: return 0;
    default: return std::nullopt;
  }
}

std::optional<uint32_t> load(const FilterInput& input, uint32_t index, uint32_t k, unsigned width) {
  const uint32_t place = k + index;
  const auto offset = static_cast<int32_t>(place);
  if (offset >= 0) return load_at(input.bytes, place, width);
  if (static_cast<int32_t>(k) >= SKF_AD_OFF && index == 0) {
    return ancillary(input, k - static_cast<uint32_t>(SKF_AD_OFF));
  }
  if (offset >= SKF_NET_OFF) {
    return load_at(input.frame, kEthernet + static_cast<uint64_t>(int64_t{offset} - SKF_NET_OFF), width);
  }
  if (offset >= SKF_LL_OFF) {
    return load_at(input.frame, static_cast<uint64_t>(int64_t{offset} - SKF_LL_OFF), width);
  }
  return std::nullopt;
}

unsigned width_of(uint16_t code) { return BPF_SIZE(code) == BPF_W ? 4 : BPF_SIZE(code) == BPF_H ? 2 : 1; }

uint32_t compute(uint16_t operation, uint32_t a, uint32_t b) {
  switch (operation) {
    case BPF_ADD: return a + b;
    case BPF_SUB: return a - b;
    case BPF_MUL: return a * b;
    case BPF_DIV: return a / b;
    case BPF_MOD: return a % b;
    case BPF_OR: return a | b;
    case BPF_AND: return a & b;
    case BPF_XOR: return a ^ b;
    case BPF_LSH: return a << (b & 31);
    case BPF_RSH: return a >> (b & 31);
    default: return 0 - a;  // BPF_NEG
  }
}

bool holds(uint16_t condition, uint32_t a, uint32_t b) {
  switch (condition) {
    case BPF_JEQ: return a == b;
    case BPF_JGT: return a > b;
    case BPF_JGE: return a >= b;
    default: return (a & b) != 0;  // BPF_JSET
  }
}

bool known_load(const sock_filter& step) {
  switch (step.code) {
    case BPF_LD | BPF_W | BPF_ABS:
    case BPF_LD | BPF_H | BPF_ABS:
    case BPF_LD | BPF_B | BPF_ABS:
      // Of what lies beyond the packet, only what the kernel knows, too.
      return static_cast<int32_t>(step.k) < SKF_AD_OFF || static_cast<int32_t>(step.k) >= 0 ||
             step.k - static_cast<uint32_t>(SKF_AD_OFF) < SKF_AD_MAX;
    case BPF_LD | BPF_W | BPF_IND:
    case BPF_LD | BPF_H | BPF_IND:
    case BPF_LD | BPF_B | BPF_IND:
    case BPF_LD | BPF_W | BPF_LEN:
    case BPF_LD | BPF_IMM:
    case BPF_LDX | BPF_W | BPF_LEN:
    case BPF_LDX | BPF_B | BPF_MSH:
    case BPF_LDX | BPF_IMM: return true;
    case BPF_LD | BPF_MEM:
    case BPF_LDX | BPF_MEM:
    case BPF_ST:
    case BPF_STX: return step.k < BPF_MEMWORDS;
    default: return false;
  }
}

bool known_alu(const sock_filter& step) {
  const uint16_t operation = BPF_OP(step.code);
  if ((step.code & ~(0xf0 | BPF_X)) != BPF_ALU || operation > BPF_XOR) return false;
  if (step.code == (BPF_ALU | BPF_NEG)) return true;
  if (operation == BPF_NEG) return false;
  const bool constant = BPF_SRC(step.code) == BPF_K;
  if ((operation == BPF_DIV || operation == BPF_MOD) && constant) return step.k != 0;
  if ((operation == BPF_LSH || operation == BPF_RSH) && constant) return step.k < 32;
  return true;
}

// Whether the instruction is one, and where it jumps is inside; `left`: instructions after it.
bool known(const sock_filter& step, std::size_t left) {
  switch (BPF_CLASS(step.code)) {
    case BPF_ALU: return known_alu(step);
    case BPF_JMP: {
      if (step.code == (BPF_JMP | BPF_JA)) return step.k < left;
      const uint16_t condition = BPF_OP(step.code);
      if ((step.code & ~(0xf0 | BPF_X)) != BPF_JMP || condition < BPF_JEQ || condition > BPF_JSET) return false;
      return step.jt < left && step.jf < left;
    }
    case BPF_RET: return step.code == (BPF_RET | BPF_K) || step.code == (BPF_RET | BPF_A);
    case BPF_MISC: return step.code == (BPF_MISC | BPF_TAX) || step.code == (BPF_MISC | BPF_TXA);
    default: return known_load(step);
  }
}

// Whether no way through the program reads a scratch word that was not written on it. One bit for each word; jumps go
// forward, so one pass does it.
bool scratch_is_written(const std::vector<sock_filter>& program) {
  std::vector<uint16_t> reached(program.size() + 256, UINT16_MAX);
  uint16_t valid = 0;
  for (std::size_t at = 0; at < program.size(); ++at) {
    const sock_filter& step = program[at];
    valid &= reached[at];
    switch (BPF_CLASS(step.code)) {
      case BPF_ST:
      case BPF_STX: valid = static_cast<uint16_t>(valid | 1u << step.k); break;
      case BPF_LD:
      case BPF_LDX:
        if (BPF_MODE(step.code) == BPF_MEM && (valid >> step.k & 1) == 0) return false;
        break;
      case BPF_JMP:
        if (BPF_OP(step.code) == BPF_JA) {
          reached[at + 1 + step.k] &= valid;
        } else {
          reached[at + 1 + step.jt] &= valid;
          reached[at + 1 + step.jf] &= valid;
        }
        valid = UINT16_MAX;
        break;
      case BPF_RET: valid = UINT16_MAX; break;
      default: break;
    }
  }
  return true;
}

}  // namespace

int PacketFilter::load(std::span<const uint8_t> bytes) {
  const std::size_t count = bytes.size() / sizeof(sock_filter);
  if (count == 0 || count > BPF_MAXINSNS || bytes.size() % sizeof(sock_filter) != 0) return -EINVAL;
  std::vector<sock_filter> program(count);
  std::memcpy(program.data(), bytes.data(), bytes.size());
  for (std::size_t at = 0; at < count; ++at) {
    if (!known(program[at], count - at - 1)) return -EINVAL;
  }
  if (BPF_CLASS(program.back().code) != BPF_RET || !scratch_is_written(program)) return -EINVAL;
  program_ = std::move(program);
  return 0;
}

uint32_t PacketFilter::run(const FilterInput& input) const {
  if (program_.empty()) return UINT32_MAX;
  uint32_t a = 0, x = 0, scratch[BPF_MEMWORDS] = {};
  for (std::size_t at = 0;; ++at) {
    const sock_filter& step = program_[at];
    const uint32_t operand = BPF_SRC(step.code) == BPF_X ? x : step.k;
    std::optional<uint32_t> loaded;
    switch (BPF_CLASS(step.code)) {
      case BPF_LD:
        switch (BPF_MODE(step.code)) {
          case BPF_ABS: loaded = lwip::load(input, 0, step.k, width_of(step.code)); break;
          case BPF_IND: loaded = lwip::load(input, x, step.k, width_of(step.code)); break;
          case BPF_LEN: loaded = static_cast<uint32_t>(input.bytes.size()); break;
          case BPF_MEM: loaded = scratch[step.k]; break;
          default: loaded = step.k;
        }
        if (!loaded) return 0;
        a = *loaded;
        break;
      case BPF_LDX:
        switch (BPF_MODE(step.code)) {
          case BPF_MSH:
            loaded = lwip::load(input, 0, step.k, 1);
            if (loaded) loaded = (*loaded & 15) * 4;
            break;
          case BPF_LEN: loaded = static_cast<uint32_t>(input.bytes.size()); break;
          case BPF_MEM: loaded = scratch[step.k]; break;
          default: loaded = step.k;
        }
        if (!loaded) return 0;
        x = *loaded;
        break;
      case BPF_ST: scratch[step.k] = a; break;
      case BPF_STX: scratch[step.k] = x; break;
      case BPF_ALU:
        if ((BPF_OP(step.code) == BPF_DIV || BPF_OP(step.code) == BPF_MOD) && operand == 0) return 0;
        a = compute(BPF_OP(step.code), a, operand);
        break;
      case BPF_JMP:
        if (BPF_OP(step.code) == BPF_JA) {
          at += step.k;
        } else {
          at += holds(BPF_OP(step.code), a, operand) ? step.jt : step.jf;
        }
        break;
      case BPF_RET: return step.code == (BPF_RET | BPF_A) ? a : step.k;
      default:
        if (step.code == (BPF_MISC | BPF_TAX)) {
          x = a;
        } else {
          a = x;
        }
    }
  }
}

}  // namespace umvu::lwip
