/* inet.h - what the test programs on internet sockets have in common. */
#ifndef INET_H
#define INET_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tap.h"

/* An address with its length, as bind(2) and connect(2) want it: bind(fd, SA(address)). */
struct address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_storage room;
	};
	socklen_t length;
};
#define SA(a) (&((struct address[]){ a })->any), ((a).length)

static inline struct address loopback(int family, int port)
{
	struct address a = { .length = sizeof(a.v4) };

	if (family == AF_INET) {
		a.v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port),
					     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	} else {
		a.v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port),
					      .sin6_addr = IN6ADDR_LOOPBACK_INIT };
		a.length = sizeof(a.v6);
	}
	return a;
}

static inline struct address ipv4(const char *text, int port)
{
	struct address a = loopback(AF_INET, port);

	inet_pton(AF_INET, text, &a.v4.sin_addr);
	return a;
}

static inline struct address ipv6(const char *text, int port, int scope)
{
	struct address a = loopback(AF_INET6, port);

	inet_pton(AF_INET6, text, &a.v6.sin6_addr);
	a.v6.sin6_scope_id = (unsigned)scope;
	return a;
}

static inline struct address name_of(int fd)
{
	struct address a = { .length = sizeof(a.room) };

	getsockname(fd, &a.any, &a.length);
	return a;
}

static inline int port_of(int fd)
{
	return ntohs(name_of(fd).v4.sin_port); /* at the same place in both families */
}

/* A socket bound to loopback. */
static inline int bound(int family, int type)
{
	int fd = socket(family, type, 0);

	bind(fd, SA(loopback(family, 0)));
	return fd;
}

static inline int listener(int family, int backlog)
{
	int fd = bound(family, SOCK_STREAM);

	listen(fd, backlog);
	return fd;
}

/* A connection: `pair[0]` called, `pair[1]` was accepted. */
static inline bool connection(int family, int pair[2])
{
	int server = listener(family, 5);
	bool made;

	pair[0] = socket(family, SOCK_STREAM, 0);
	made = connect(pair[0], SA(name_of(server))) == 0;
	pair[1] = made ? accept(server, NULL, NULL) : -1;
	close(server);
	return ok(made && pair[1] >= 0, "a connection");
}

static inline void close_both(int pair[2])
{
	close(pair[0]);
	close(pair[1]);
}

/* The value of an int option, or -errno. */
static inline int number(int fd, int level, int option)
{
	int value = 0;
	socklen_t length = sizeof(value);

	return getsockopt(fd, level, option, &value, &length) < 0 ? -errno : value;
}

static inline int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

/* What poll(2) says within `ms` of the events in `wanted`. */
static inline int events(int fd, int wanted, int ms)
{
	struct pollfd p = { .fd = fd, .events = (short)wanted };

	return poll(&p, 1, ms) < 0 ? -1 : p.revents;
}

/* The control message of that kind, or NULL. */
static inline void *control_of(struct msghdr *message, int level, int type)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
		if (c->cmsg_level == level && c->cmsg_type == type)
			return CMSG_DATA(c);
	return NULL;
}

#endif
