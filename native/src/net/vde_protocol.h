// The control protocol of a VDE switch directory: one request of a client, one reply
// (IOTH-FACTS 11.5). Pure functions; every byte they read is hostile.
#pragma once

#include <sys/un.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace umvu::net {

// A server reads no more than this of a request.
inline constexpr std::size_t kMaxRequest = 256;
// A reply is exactly a struct sockaddr_un.
inline constexpr std::size_t kReplySize = sizeof(sockaddr_un);
static_assert(kReplySize == 110);

struct VdeRequest {
  uint32_t port = 0;        // the port asked for; 0 = any
  std::string path;         // absolute path of the client's datagram socket
  std::string description;  // who it is, for people
};

// Reads a request of version 3 or 1. Nothing when it is short, of another kind, or names no
// absolute, terminated path.
std::optional<VdeRequest> parse_request(const uint8_t* bytes, std::size_t size);
// A request of version 3; `path` fits a sockaddr_un, a description that is too long is cut.
std::vector<uint8_t> encode_request(const VdeRequest& request);
// The path in a sockaddr_un received from a peer; nothing when it is empty, abstract or not
// terminated.
std::optional<std::string> parse_address(const uint8_t* bytes, std::size_t size);
// False when `path` is too long for a sockaddr_un.
bool make_address(const std::string& path, sockaddr_un* address);

}  // namespace umvu::net
