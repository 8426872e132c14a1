/*
 * msocket.h - sockets of more than one network stack. Link with -lmsocket.
 *
 * In umvu a network stack is a special file. A process uses one default stack for each address family;
 * msocket() makes sockets of any other stack, and chooses the default.
 */
#ifndef MSOCKET_H
#define MSOCKET_H

#include <sys/socket.h>

/** Type for msocket(): make no socket, change the default stack of the family. */
#ifndef SOCK_DEFAULT
#define SOCK_DEFAULT 0
#endif

/** File type of stacks, in st_mode of stat(2). */
#define S_IFSTACK 0160000
#define S_ISSTACK(mode) (((mode) & 0170000) == S_IFSTACK)

/** Where the stack of processes that chose none is mounted. */
#define DEFAULT_STACK_PATH "/dev/net/default"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * msocket - create a socket of the stack at `path`
 *
 * `domain`, `type` (with SOCK_CLOEXEC and SOCK_NONBLOCK) and `protocol` are those of socket(2). `path` NULL
 * means the default stack of the calling process for `domain`: msocket(NULL, d, t, p) is socket(d, t, p).
 *
 * With `type` SOCK_DEFAULT no socket is made. The stack at `path` becomes the default of the calling process for
 * `domain`, or for all families if `domain` is AF_UNSPEC. Threads share the default; children inherit it,
 * and execve(2) keeps it. `protocol` is ignored.
 *
 * Returns a file descriptor, or 0 for SOCK_DEFAULT. On failure -1, with errno set:
 *
 *   ENOSYS        the program does not run in umvu, and `path` is not NULL
 *   ENOENT        nothing is mounted at `path`
 *   ENOTSOCK      what is mounted at `path` is no stack
 *   EACCES        the mode of `path` does not let this process use the stack
 *   EAFNOSUPPORT  the stack lacks the family `domain`
 *   ENETDOWN      the stack is gone
 *   EINVAL        SOCK_DEFAULT and `path` NULL
 *
 * and those of socket(2).
 */
int msocket(const char *path, int domain, int type, int protocol);

#ifdef __cplusplus
}
#endif

#endif
