#pragma once

#include <sys/uio.h>

#include <list>
#include <span>
#include <string>
#include <unordered_map>

#include "lwip/endpoint.h"
#include "net/unique_fd.h"

namespace umvu::lwip {

// What goes with a datagram besides its bytes.
struct Meta {
  uint8_t peer[28] = {};   // sockaddr_in or sockaddr_in6: the sender, or where it is to go
  uint8_t local[16] = {};  // address that it was sent to, or is to come from (IPv4: the first 4 bytes)
  int32_t interface = 0;   // index
  uint8_t peer_size = 0;
  uint8_t local_size = 0;  // 0: not said
  uint8_t ttl = 0;         // 0: not said
  uint8_t tos = 0;
  int16_t reserved = 0;
};
static_assert(sizeof(Meta) == 56);

// Datagrams travel between guest and stack as datagrams of AF_UNIX. A native read(2) of the guest takes just the
// bytes; the supervisor, answering recvfrom(2) on a copy of the descriptor, wants to know the sender too. So each
// datagram carries, as SCM_RIGHTS, a sealed memfd that holds a Meta: read(2) drops it. In the same way the supervisor
// tells the stack where a datagram of sendto(2) is to go. There is one memfd for each Meta that was used lately.
class Markers {
 public:
  Markers();
  // Descriptor for `meta`, borrowed until the next call; or a negated errno.
  int get(const Meta& meta);
  // Reads and closes a descriptor that came with a datagram; false when it is no marker.
  static bool read(int fd, Meta* meta);

 private:
  struct Entry {
    std::string key;
    net::UniqueFd fd;
  };
  void drop_last();

  const std::size_t most_;
  std::list<Entry> entries_;  // last used first
  std::unordered_map<std::string, std::list<Entry>::iterator> index_;
};

// Sends a datagram into `fd`, without waiting, with a marker unless that is negative. False: errno tells why.
bool send_marked(int fd, std::span<const iovec> parts, int marker);

}  // namespace umvu::lwip
