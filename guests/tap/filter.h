/* filter.h - socket filters for programs that attach them; socket(7). */
#ifndef FILTER_H
#define FILTER_H

#include <linux/filter.h>
#include <sys/socket.h>

/* SO_ATTACH_FILTER. */
static inline int attach(int fd, const struct sock_filter *steps, size_t count)
{
	struct sock_fprog program = { .len = (unsigned short)count, .filter = (struct sock_filter *)steps };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

#endif
