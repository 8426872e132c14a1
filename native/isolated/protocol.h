// What the supervisor (runtime/ioth/lwip/isolated) and the process of an isolated stack tell each other.
//
// Descriptor 3 is a SOCK_SEQPACKET socket: one request, one reply, in turn; each may bring one descriptor (SCM_RIGHTS).
// Descriptor 4 is a stream on which struct Event comes at any time. Numbers are in host byte order. runtime/ioth/lwip/
// isolated/protocol.ts has the same structures.
#pragma once

#include <cstddef>
#include <cstdint>

namespace umvu::isolated {

inline constexpr int32_t kVersion = 1;
// Bytes after the head of a request or reply. As much as a datagram of IP and what goes with it; longer lists come in
// several replies.
inline constexpr std::size_t kMostBytes = 66000;

// `fd`: a descriptor that comes with it; `bytes`: what follows the head; `id`: of a socket.
enum class Op : uint32_t {
  // a: kVersion; id: bytes of memory that the stack may use, or 0. Result: id of the stack; bytes: what the names of its
  // sockets begin with (Host::name_of)
  kHello,
  kAddInterface,   // a: MTU; fd: of its frames; bytes: name. Result: index
  kSocket,         // a, b, c: as of socket(2). fd: the guest's; bytes: struct Kind
  kCountSockets,
  kMemory,         // result: KiB in use
  kFail,           // fails an assertion
  kClose,
  kSetLink,        // a: index, b: up, c: MTU; bytes: 6 of MAC, name
  kSetAddress,     // a: index, b: prefix or -1, c: tentative; bytes: address
  kSetRoute,       // a: add; bytes: struct PackedRoute
  kSetNeighbour,   // a: index, b: bytes of the address; bytes: address, MAC or none
  kSetForwarding,  // a: IPv4, b: IPv6
  kLinks,          // lists of the structures below
  kAddresses,
  kNeighbours,
  kRouters,
  kConnections,
  kMore,           // the next bytes of a list
  kIdentify,       // fd: a socket. Bytes: struct Kind
  kBind,           // id, fd; bytes: sockaddr
  kConnect,        // id, fd, a: wait; bytes: sockaddr
  kListen,         // id, fd, a: backlog
  kShutdown,       // id, fd, a: how
  kName,           // id, a: of the peer. Bytes: sockaddr
  kSetOption,      // id, fd, a: level, b: name; bytes: value
  kGetOption,      // id, a: level, b: name; bytes: as much as there is room for. Bytes: value
  kMap,            // id, fd, a: size. fd: memory
  kTakeQueued,     // id, a: room. Bytes: the error
  kLook,           // id
  kFinishReset,    // id
  kSend,           // id, a: whether struct Meta comes before the bytes
  kCount
};

struct Request {
  Op op;
  int32_t a, b, c;
  uint64_t id;
};
static_assert(sizeof(Request) == 24);

struct Reply {
  int32_t result;  // of the call: a negated errno below zero
  uint32_t more;   // bytes of a list that are to be asked for with kMore
};

struct Event {
  uint64_t id;  // of a socket or of the stack
  uint32_t event;
  int32_t value;
};
static_assert(sizeof(Event) == 16);

// A socket.
struct Kind {
  uint64_t id;
  int32_t domain, type, protocol, unused;
};

struct LinkEntry {
  int32_t index, mtu;
  uint8_t flags;  // 1: loopback, 2: up, 4: carrier
  uint8_t mac[6];
  uint8_t unused;
  char name[16];
  uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, tx_dropped;
};
static_assert(sizeof(LinkEntry) == 72);

// An address: 4 or 16 bytes are in use.
struct Bytes {
  uint8_t bytes[16];
};

struct AddressEntry {
  int32_t index;
  uint32_t valid, preferred;
  uint8_t flags;  // 1: tentative, 2: duplicated, 4: deprecated
  uint8_t size;
  uint8_t unused[2];
  Bytes address;
};
static_assert(sizeof(AddressEntry) == 32);

struct NeighbourEntry {
  int32_t index, state;
  uint8_t flags;  // 1: router, 2: has a MAC
  uint8_t size;
  uint8_t mac[6];
  Bytes address;
};
static_assert(sizeof(NeighbourEntry) == 32);

struct RouterEntry {
  int32_t index;
  uint32_t lifetime;
  uint8_t size;
  uint8_t unused[7];
  Bytes address;
};
static_assert(sizeof(RouterEntry) == 32);

struct ConnectionEntry {
  int32_t domain, type, protocol, state;
  uint8_t local_size, remote_size;
  uint16_t local_port, remote_port;
  uint8_t v6only;
  uint8_t unused;
  uint32_t unsent;
  uint32_t unused2;
  uint64_t inode;
  Bytes local, remote;
};
static_assert(sizeof(ConnectionEntry) == 72);

}  // namespace umvu::isolated
