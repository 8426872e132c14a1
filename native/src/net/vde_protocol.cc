#include "net/vde_protocol.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace umvu::net {
namespace {

constexpr uint32_t kMagic = 0xfeedface;
constexpr uint32_t kVersion = 3;
// Offsets of the sockaddr_un: magic, version and type come before it; in version 1 magic, type and
// a MAC.
constexpr std::size_t kAddress3 = 12, kAddress1 = 14;
constexpr std::size_t kMaxDescription = 127;

uint32_t word(const uint8_t* at) {
  uint32_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

}  // namespace

bool make_address(const std::string& path, sockaddr_un* address) {
  std::memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address->sun_path) return false;
  std::memcpy(address->sun_path, path.data(), path.size());
  return true;
}

std::optional<std::string> parse_address(const uint8_t* bytes, std::size_t size) {
  if (size < kReplySize) return std::nullopt;
  sockaddr_un address;
  std::memcpy(&address, bytes, sizeof address);
  const std::size_t length = strnlen(address.sun_path, sizeof address.sun_path);
  if (address.sun_family != AF_UNIX || length == 0 || length == sizeof address.sun_path) {
    return std::nullopt;
  }
  return std::string(address.sun_path, length);
}

std::optional<VdeRequest> parse_request(const uint8_t* bytes, std::size_t size) {
  if (size > kMaxRequest || size < kAddress3 || word(bytes) != kMagic) return std::nullopt;
  const bool modern = word(bytes + 4) == kVersion;
  const uint32_t type = word(bytes + (modern ? 8 : 4));
  // NEW_CONTROL is 0 and NEW_PORT0 is 1; the port lies above them.
  if ((type & 0xff) > 1) return std::nullopt;
  const std::size_t at = modern ? kAddress3 : kAddress1;
  if (size < at + kReplySize) return std::nullopt;
  const auto path = parse_address(bytes + at, size - at);
  if (!path || path->front() != '/') return std::nullopt;
  VdeRequest request;
  request.port = type >> 8;
  request.path = *path;
  const auto* text = reinterpret_cast<const char*>(bytes + at + kReplySize);
  request.description.assign(text, strnlen(text, size - at - kReplySize));
  return request;
}

std::vector<uint8_t> encode_request(const VdeRequest& request) {
  const std::size_t length = std::min(request.description.size(), kMaxDescription);
  std::vector<uint8_t> out(kAddress3 + kReplySize + length);
  const uint32_t head[3] = {kMagic, kVersion, request.port << 8};
  std::memcpy(out.data(), head, sizeof head);
  sockaddr_un address;
  make_address(request.path, &address);
  std::memcpy(out.data() + kAddress3, &address, sizeof address);
  std::memcpy(out.data() + kAddress3 + kReplySize, request.description.data(), length);
  return out;
}

}  // namespace umvu::net
