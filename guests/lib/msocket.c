/* msocket.c - libmsocket; see msocket.h. */
#define _GNU_SOURCE
#include "msocket.h"
#include "vu.h"

int msocket(const char *path, int domain, int type, int protocol)
{
	if (path == NULL) {
		if ((type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) == SOCK_DEFAULT) {
			errno = EINVAL;
			return -1;
		}
		return socket(domain, type, protocol);
	}
	return (int)vu_call(VU_MSOCKET, (long)path, domain, type, protocol);
}
