// What the supervisor and the broker say to each other on one SOCK_SEQPACKET socket: one request,
// one reply, in turn. All words are 32-bit little endian. runtime/ioth/vdestack/protocol.ts is the
// other half of this file.
#ifndef UMVU_BROKER_PROTOCOL_H_
#define UMVU_BROKER_PROTOCOL_H_

#include <cstddef>
#include <cstdint>

namespace umvu::broker {

// The reply to kPing: a runtime of another version is told apart from ours at its first word.
inline constexpr int32_t kProtocolVersion = 1;

enum class Op : uint32_t {
  // The protocol's version.
  kPing = 1,
  // Makes the network namespace of stack `stack` (a number that the caller chose and does not use
  // yet).
  // The thread that lives in it: /proc/<broker>/task/<result>/net is the stack's /proc/net.
  kAddStack = 2,
  // Adds an Ethernet interface named `text` with MTU `a` to `stack`; `b` is a Carrier (kAny: the
  // best
  // that works). The Carrier used, and the descriptor that carries the frames, each behind a
  // struct virtio_net_hdr of 10 bytes.
  kAddInterface = 3,
  // `count` sockets of domain `a`, type `b`, protocol `c` in `stack`, close-on-exec. How many were
  // made
  // (at least one), and their descriptors.
  kSocket = 4,
  // A detached mount of a sysfs that shows the devices of `stack`: its root.
  kSysfs = 5,
  // Takes `stack` down.
  kDelStack = 6,
  // From now on the broker removes `text`, an absolute path of a directory of sockets or of a
  // socket,
  // when the supervisor ends.
  kOwnPath = 7,
  // The path was removed, or is somebody else's business again.
  kDisownPath = 8,
};

// What carries the frames of an interface.
enum class Carrier : uint32_t {
  kAny = 0,
  // A TAP character device.
  kTap = 1,
  // An AF_PACKET socket on the far end of a veth pair (where /dev/net/tun may not be opened).
  kVeth = 2,
};

struct RequestHeader {
  uint32_t op;
  uint32_t stack;
  uint32_t a;
  uint32_t b;
  uint32_t c;
  uint32_t count;
  uint32_t text_length;  // bytes that follow, not terminated
};
static_assert(sizeof(RequestHeader) == 28);

struct ReplyHeader {
  int32_t result;        // a value, or a negated errno
  uint32_t fds;          // descriptors that come along (SCM_RIGHTS)
  uint32_t text_length;  // bytes that follow: the reason of an error, or a warning, for people
};
static_assert(sizeof(ReplyHeader) == 12);

inline constexpr size_t kMaxText = 4096;
inline constexpr size_t kMaxRequest = sizeof(RequestHeader) + kMaxText;
inline constexpr size_t kMaxReason = 512;
// Below the kernel's SCM_MAX_FD (253).
inline constexpr size_t kMaxFds = 128;

}  // namespace umvu::broker

#endif  // UMVU_BROKER_PROTOCOL_H_
