// SPDX-License-Identifier: MIT
/*
 * Puts the netlink server of a test in the place of the kernel's for one program: AF_NETLINK sockets become
 * stream connections to $NETLINK_SERVER, on which frames travel: length (of what follows the five bytes), kind,
 * bytes. Kinds: D datagram, B bind, O socket option, I ioctl, C interface list, P text of a file.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <net/route.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_FD 1024
#define MAX_FRAME (256 * 1024)

struct frame {
	struct frame *next;
	uint32_t size;
	char kind;
	char bytes[];
};

static struct {
	int used;
	uint32_t port, groups;
	struct frame *waiting;
} peers[MAX_FD];

static int is_peer(int fd)
{
	return fd >= 0 && fd < MAX_FD && peers[fd].used;
}

static int dial(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *path = getenv("NETLINK_SERVER");
	int fd = syscall(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || fd >= MAX_FD || path == NULL)
		abort();
	strncpy(to.sun_path, path, sizeof(to.sun_path) - 1);
	if (connect(fd, (void *)&to, sizeof(to)) != 0) {
		perror("netlink server");
		abort();
	}
	return fd;
}

static void put(int fd, char kind, const void *bytes, uint32_t size)
{
	char head[5];

	memcpy(head, &size, 4);
	head[4] = kind;
	if (syscall(SYS_write, fd, head, 5) != 5 || syscall(SYS_write, fd, bytes, size) != (long)size)
		abort();
}

static int get_all(int fd, void *to, size_t size)
{
	size_t have = 0;

	while (have < size) {
		ssize_t n = syscall(SYS_read, fd, (char *)to + have, size - have);

		if (n <= 0)
			return -1;
		have += n;
	}
	return 0;
}

static struct frame *get(int fd)
{
	char head[5];
	uint32_t size;
	struct frame *frame;

	if (get_all(fd, head, 5) != 0)
		abort();
	memcpy(&size, head, 4);
	if (size > MAX_FRAME)
		abort();
	frame = malloc(sizeof(*frame) + size);
	frame->next = NULL;
	frame->size = size;
	frame->kind = head[4];
	if (get_all(fd, frame->bytes, size) != 0)
		abort();
	return frame;
}

static void enqueue(int fd, struct frame *frame)
{
	struct frame **end = &peers[fd].waiting;

	while (*end)
		end = &(*end)->next;
	*end = frame;
}

/* Sends a request and waits for its answer; datagrams that come in between are kept. */
static struct frame *ask(int fd, char kind, const void *bytes, uint32_t size)
{
	struct frame *frame;

	put(fd, kind, bytes, size);
	while ((frame = get(fd))->kind == 'D')
		enqueue(fd, frame);
	return frame;
}

/* The result in front of an answer: 0 or a negated errno. */
static int result_of(const struct frame *frame)
{
	int32_t result;

	memcpy(&result, frame->bytes, 4);
	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}

int socket(int domain, int type, int protocol)
{
	int fd;

	if (domain != AF_NETLINK)
		return syscall(SYS_socket, domain, type, protocol);
	fd = dial();
	memset(&peers[fd], 0, sizeof(peers[fd]));
	peers[fd].used = 1;
	return fd;
}

int close(int fd)
{
	if (is_peer(fd))
		peers[fd].used = 0;
	return syscall(SYS_close, fd);
}

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
	const struct sockaddr_nl *to = (const void *)address;
	uint32_t words[2];
	struct frame *answer;

	if (!is_peer(fd))
		return syscall(SYS_bind, fd, address, length);
	words[0] = to->nl_pid;
	words[1] = to->nl_groups;
	answer = ask(fd, 'B', words, 8);
	memcpy(&peers[fd].port, answer->bytes + 4, 4);
	memcpy(&peers[fd].groups, answer->bytes + 8, 4);
	return result_of(answer);
}

int getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
	struct sockaddr_nl own = { .nl_family = AF_NETLINK };

	if (!is_peer(fd))
		return syscall(SYS_getsockname, fd, address, length);
	own.nl_pid = peers[fd].port;
	own.nl_groups = peers[fd].groups;
	memcpy(address, &own, *length < sizeof(own) ? *length : sizeof(own));
	*length = sizeof(own);
	return 0;
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
	uint32_t words[2] = { option, 0 };

	if (!is_peer(fd))
		return syscall(SYS_setsockopt, fd, level, option, value, length);
	if (level != SOL_NETLINK)
		return 0;
	memcpy(&words[1], value, length < 4 ? length : 4);
	return result_of(ask(fd, 'O', words, 8));
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	char bytes[MAX_FRAME];
	size_t size = 0;

	if (!is_peer(fd))
		return syscall(SYS_sendmsg, fd, message, flags);
	for (size_t i = 0; i < message->msg_iovlen; i++) {
		memcpy(bytes + size, message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
		size += message->msg_iov[i].iov_len;
	}
	put(fd, 'D', bytes, size);
	return size;
}

ssize_t sendto(int fd, const void *bytes, size_t size, int flags, const struct sockaddr *to, socklen_t length)
{
	if (!is_peer(fd))
		return syscall(SYS_sendto, fd, bytes, size, flags, to, length);
	put(fd, 'D', bytes, size);
	return size;
}

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
	return sendto(fd, bytes, size, flags, NULL, 0);
}

ssize_t write(int fd, const void *bytes, size_t size)
{
	if (!is_peer(fd))
		return syscall(SYS_write, fd, bytes, size);
	return sendto(fd, bytes, size, 0, NULL, 0);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	struct sockaddr_nl from = { .nl_family = AF_NETLINK };
	struct frame *frame;
	uint32_t group;
	size_t size, done = 0;

	if (!is_peer(fd))
		return syscall(SYS_recvmsg, fd, message, flags);
	/* What the server has to say is on its way by now, or there is nothing: ip asks so after each request. */
	if (!peers[fd].waiting && (flags & MSG_DONTWAIT)) {
		put(fd, 'N', NULL, 0);
		while ((frame = get(fd))->kind == 'D')
			enqueue(fd, frame);
		if (!peers[fd].waiting) {
			errno = EAGAIN;
			return -1;
		}
	}
	if (!peers[fd].waiting)
		enqueue(fd, get(fd));
	frame = peers[fd].waiting;
	memcpy(&group, frame->bytes, 4);
	size = frame->size - 4;
	for (size_t i = 0; i < message->msg_iovlen && done < size; i++) {
		size_t part = message->msg_iov[i].iov_len;

		if (part > size - done)
			part = size - done;
		memcpy(message->msg_iov[i].iov_base, frame->bytes + 4 + done, part);
		done += part;
	}
	from.nl_groups = group ? 1u << (group - 1) : 0;
	if (message->msg_name) {
		memcpy(message->msg_name, &from, sizeof(from));
		message->msg_namelen = sizeof(from);
	}
	message->msg_controllen = 0;
	message->msg_flags = done < size ? MSG_TRUNC : 0;
	if (!(flags & MSG_PEEK)) {
		peers[fd].waiting = frame->next;
		free(frame);
	}
	return flags & MSG_TRUNC ? size : done;
}

ssize_t recvfrom(int fd, void *bytes, size_t size, int flags, struct sockaddr *from, socklen_t *length)
{
	struct iovec part = { bytes, size };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	if (!is_peer(fd))
		return syscall(SYS_recvfrom, fd, bytes, size, flags, from, length);
	return recvmsg(fd, &message, flags);
}

ssize_t recv(int fd, void *bytes, size_t size, int flags)
{
	return recvfrom(fd, bytes, size, flags, NULL, NULL);
}

ssize_t read(int fd, void *bytes, size_t size)
{
	if (!is_peer(fd))
		return syscall(SYS_read, fd, bytes, size);
	return recvfrom(fd, bytes, size, 0, NULL, NULL);
}

/* One request on a connection of its own. */
static struct frame *once(char kind, const void *bytes, uint32_t size)
{
	int fd = dial();
	struct frame *answer;

	put(fd, kind, bytes, size);
	answer = get(fd);
	syscall(SYS_close, fd);
	return answer;
}

static int interface_list(struct ifconf *conf)
{
	uint32_t size = conf->ifc_buf ? (uint32_t)conf->ifc_len : UINT32_MAX;
	struct frame *answer = once('C', &size, 4);

	if (conf->ifc_buf)
		memcpy(conf->ifc_buf, answer->bytes, answer->size);
	conf->ifc_len = answer->size;
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	/* Request, family of the socket, size of the structure, the structure, the name of a device. */
	char bytes[512] = { 0 };
	uint32_t words[3] = { request, AF_INET, sizeof(struct ifreq) };
	socklen_t length = 4;
	struct frame *answer;
	va_list list;
	char *argument;

	va_start(list, request);
	argument = va_arg(list, char *);
	va_end(list);
	if (request < 0x8900 || request > 0x89ff)
		return syscall(SYS_ioctl, fd, request, argument);
	if (request == SIOCGIFCONF)
		return interface_list((void *)argument);
	syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &words[1], &length);
	if (request == SIOCADDRT || request == SIOCDELRT)
		words[2] = words[1] == AF_INET6 ? 80 : sizeof(struct rtentry);
	if (request >= SIOCDARP && request <= SIOCSARP)
		words[2] = 68;
	memcpy(bytes, words, 12);
	memcpy(bytes + 12, argument, words[2]);
	if (words[2] == sizeof(struct rtentry) && ((struct rtentry *)argument)->rt_dev)
		strncpy(bytes + 12 + words[2], ((struct rtentry *)argument)->rt_dev, 15);
	answer = once('I', bytes, 12 + words[2] + 16);
	memcpy(argument, answer->bytes + 4, words[2]);
	return result_of(answer);
}

/* glibc's own use of ioctl cannot be replaced. */
unsigned int if_nametoindex(const char *name)
{
	struct ifreq request = { 0 };

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	return ioctl(-1, SIOCGIFINDEX, &request) == 0 ? request.ifr_ifindex : 0;
}

char *if_indextoname(unsigned int index, char name[IFNAMSIZ])
{
	struct ifreq request = { .ifr_ifindex = index };

	if (ioctl(-1, SIOCGIFNAME, &request) != 0)
		return NULL;
	return memcpy(name, request.ifr_name, IFNAMSIZ);
}

FILE *fopen(const char *path, const char *mode)
{
	FILE *(*real)(const char *, const char *) = dlsym(RTLD_NEXT, "fopen");
	struct frame *answer;
	int fd;

	if (strncmp(path, "/proc/net/", 10) != 0)
		return real(path, mode);
	answer = once('P', path, strlen(path));
	if (answer->size == 0)
		return real(path, mode);
	fd = memfd_create("text", 0);
	if (fd < 0 || write(fd, answer->bytes, answer->size) != (ssize_t)answer->size)
		abort();
	lseek(fd, 0, SEEK_SET);
	return fdopen(fd, "r");
}

FILE *fopen64(const char *path, const char *mode)
{
	return fopen(path, mode);
}
