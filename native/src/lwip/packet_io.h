// Sockets of a stack, as the supervisor makes and uses them.
#pragma once

#include <span>

#include "lwip/markers.h"

namespace umvu::lwip {

class Stack;

// The guest's descriptor of a new socket; `type` without flags. Errors as socket(2).
int make_socket(Stack* stack, int domain, int type, int protocol);
// The next connection of a listening AF_UNIX socket, without waiting; -EAGAIN when there is none. `flags` as accept4(2).
int accept_now(int fd, int flags);
// A message out of a copy of a guest's descriptor, as recv(2) with `flags` and MSG_DONTWAIT | MSG_TRUNC. Its whole length, or a negated errno.
int receive_marked(int fd, std::span<uint8_t> bytes, int flags, Meta* meta);

}  // namespace umvu::lwip
