// Calls on sockets that are more than one member of theirs, for those who make them: the supervisor (sock_binding.cc) and
// the process of an isolated stack (native/isolated). Inside the image, under the lock of the pump; results below zero are
// negated errnos.
#pragma once

#include <cstdint>
#include <span>

#include "lwip/markers.h"

namespace umvu::lwip {

class Sock;

// Value of an option that was set, or that the stack knows: its length, or -ENOPROTOOPT.
int get_option(Sock* sock, int level, int name, std::span<uint8_t> out);
// A new descriptor of the memory of a packet socket's ring.
int map_ring(Sock* sock, int guest, std::size_t size);
// The next ICMP error of the queue (InternetSock::take_queued), or -EAGAIN.
int take_queued(Sock* sock, std::span<uint8_t> out);
// Looks whether the last descriptor of a datagram socket was closed.
int look(Sock* sock);
int finish_reset(Sock* sock);
int send_message(Sock* sock, std::span<const uint8_t> bytes, const Meta* meta);

}  // namespace umvu::lwip
