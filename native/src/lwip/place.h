// Listening AF_UNIX sockets that only this process can reach.
//
// Abstract names and paths can be connected to by others. So a socket is bound to a path in a folder that is made for
// the purpose, its inode is opened, and path and folder are removed at once: what is left is reached through
// /proc/self/fd only.
#pragma once

#include "net/unique_fd.h"

namespace umvu::lwip {

// Binds `fd`; 0 or a negated errno.
int bind_place(int fd, net::UniqueFd* place);
// Connects `fd`, an AF_UNIX stream socket, to what listens at `place`. 0 or a negated errno.
int connect_place(int fd, int place);
// Sends one byte from `fd`, a datagram socket that is connected to nothing, to the one at `place`. 0 or a negated errno.
int send_place(int fd, int place);
// A socket for place_alive(), or a negated errno.
int make_probe();
// Whether the socket that was bound there still exists.
bool place_alive(int place, int probe);

}  // namespace umvu::lwip
