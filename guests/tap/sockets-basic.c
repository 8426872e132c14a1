/* sockets-basic - socket(2) and what can be done with its result: like the bare kernel in every respect. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

static const struct {
	const char *name;
	int domain, type, protocol;
	int actual_protocol; /* what SO_PROTOCOL says */
} kinds[] = {
	{ "tcp", AF_INET, SOCK_STREAM, 0, IPPROTO_TCP },
	{ "tcp, named", AF_INET, SOCK_STREAM, IPPROTO_TCP, IPPROTO_TCP },
	{ "udp", AF_INET, SOCK_DGRAM, 0, IPPROTO_UDP },
	{ "tcp6", AF_INET6, SOCK_STREAM, 0, IPPROTO_TCP },
	{ "udp6", AF_INET6, SOCK_DGRAM, 0, IPPROTO_UDP },
	{ "unix stream", AF_UNIX, SOCK_STREAM, 0, 0 },
	{ "unix seqpacket", AF_UNIX, SOCK_SEQPACKET, 0, 0 },
	{ "netlink route", AF_NETLINK, SOCK_RAW, 0, 0 },
};

static int option_of(int fd, int option)
{
	int value = -1;
	socklen_t length = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &length) < 0 ? -1 : value;
}

static void test_kinds(void)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		const char *name = kinds[i].name;
		int fd = (int)succeeds(name, socket(kinds[i].domain, kinds[i].type, kinds[i].protocol));
		struct stat st;

		if (fd < 0)
			continue;
		ok(option_of(fd, SO_DOMAIN) == kinds[i].domain, "%s: SO_DOMAIN", name);
		ok(option_of(fd, SO_TYPE) == kinds[i].type, "%s: SO_TYPE", name);
		ok(option_of(fd, SO_PROTOCOL) == kinds[i].actual_protocol, "%s: SO_PROTOCOL", name);
		ok(option_of(fd, SO_ERROR) == 0, "%s: SO_ERROR", name);
		ok(fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode), "%s: fstat says socket", name);
		ok(fcntl(fd, F_GETFD) == 0, "%s: not close-on-exec", name);
		ok(fcntl(fd, F_GETFL) == O_RDWR, "%s: blocking", name);
		is_value("close", close(fd), 0);
		is_error("closed", fcntl(fd, F_GETFD), EBADF);
	}
}

static void test_flags(void)
{
	static const struct { const char *name; int type, fd_flags, status; } cases[] = {
		{ "SOCK_CLOEXEC", SOCK_STREAM | SOCK_CLOEXEC, FD_CLOEXEC, O_RDWR },
		{ "SOCK_NONBLOCK", SOCK_STREAM | SOCK_NONBLOCK, 0, O_RDWR | O_NONBLOCK },
		{ "both", SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, FD_CLOEXEC, O_RDWR | O_NONBLOCK },
	};
	char byte;
	size_t i;
	int fd;

	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		fd = (int)succeeds(cases[i].name, socket(AF_INET, cases[i].type, 0));
		ok(fcntl(fd, F_GETFD) == cases[i].fd_flags, "%s: F_GETFD", cases[i].name);
		ok(fcntl(fd, F_GETFL) == cases[i].status, "%s: F_GETFL", cases[i].name);
		close(fd);
	}
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	is_error("nothing to receive", recv(fd, &byte, 1, 0), EAGAIN);
	close(fd);
}

static void test_bad_arguments(void)
{
	is_error("unknown family", socket(9999, SOCK_STREAM, 0), EAFNOSUPPORT);
	is_error("negative family", socket(-1, SOCK_STREAM, 0), EAFNOSUPPORT);
	is_error("family 0", socket(AF_UNSPEC, SOCK_STREAM, 0), EAFNOSUPPORT);
	is_error("type 0", socket(AF_INET, 0, 0), ESOCKTNOSUPPORT);
	is_error("type 15", socket(AF_INET, 15, 0), EINVAL);
	is_error("unknown flag of type", socket(AF_INET, SOCK_STREAM | 0x100, 0), EINVAL);
	is_error("negative type", socket(AF_INET, -1, 0), EINVAL);
	is_error("seqpacket of inet", socket(AF_INET, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT);
	is_error("stream over udp", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
	is_error("datagrams over tcp", socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP), EPROTONOSUPPORT);
	is_error("negative protocol", socket(AF_INET, SOCK_STREAM, -1), EINVAL);
	is_error("protocol out of range", socket(AF_INET, SOCK_RAW, 100000), EINVAL);
	is_error("socketpair of inet", socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){ 0 }), EOPNOTSUPP);
}

/* A listener on a free port of loopback; `address` is set to its address. */
static int listener(struct sockaddr_in *address)
{
	socklen_t length = sizeof(*address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	is_value("bind to loopback", bind(fd, (struct sockaddr *)address, sizeof(*address)), 0);
	is_value("listen", listen(fd, 5), 0);
	is_value("getsockname", getsockname(fd, (struct sockaddr *)address, &length), 0);
	ok(address->sin_port != 0, "a port was chosen");
	return fd;
}

static void test_tcp(void)
{
	struct sockaddr_in address, peer;
	socklen_t length = sizeof(peer);
	int server = listener(&address), client = socket(AF_INET, SOCK_STREAM, 0), accepted, one = 1;
	char text[8] = "";

	is_error("second bind to the port", bind(client, (struct sockaddr *)&address, sizeof(address)), EADDRINUSE);
	is_value("TCP_NODELAY", setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
	is_value("connect", connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	is_error("connect again", connect(client, (struct sockaddr *)&address, sizeof(address)), EISCONN);
	accepted = (int)succeeds("accept4", accept4(server, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC));
	ok(length == sizeof(peer) && peer.sin_addr.s_addr == htonl(INADDR_LOOPBACK), "address of the peer");
	ok(fcntl(accepted, F_GETFD) == FD_CLOEXEC, "accepted close-on-exec");
	is_value("write", write(client, "ping", 4), 4);
	is_value("read", read(accepted, text, sizeof(text)), 4);
	is_value("shutdown", shutdown(client, SHUT_WR), 0);
	is_value("end of stream", read(accepted, text, sizeof(text)), 0);
	is_value("other direction is open", write(accepted, "pong", 4), 4);
	is_value("read it", read(client, text, sizeof(text)), 4);
	close(accepted);
	close(client);
	close(server);
	client = socket(AF_INET, SOCK_STREAM, 0);
	is_error("nobody listens", connect(client, (struct sockaddr *)&address, sizeof(address)), ECONNREFUSED);
	close(client);
}

static void test_epoll(void)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 0x1122334455667788 }, got = { 0 };
	struct sockaddr_in address;
	int server = listener(&address), client = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0);

	is_value("epoll_ctl", epoll_ctl(epoll, EPOLL_CTL_ADD, server, &event), 0);
	is_value("nothing yet", epoll_wait(epoll, &got, 1, 0), 0);
	connect(client, (struct sockaddr *)&address, sizeof(address));
	is_value("epoll_wait", epoll_wait(epoll, &got, 1, 2000), 1);
	ok(got.data.u64 == 0x1122334455667788, "all 64 bits of epoll_event.data");
	close(epoll);
	close(client);
	close(server);
}

/* Sends `fd` through `via`, or receives one where `fd` is -1. The descriptor, or -1. */
static int pass(int via, int fd)
{
	char byte = 'x', control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	if (fd < 0) {
		if (recvmsg(via, &message, 0) != 1 || !(header = CMSG_FIRSTHDR(&message)))
			return -1;
		memcpy(&fd, CMSG_DATA(header), sizeof(fd));
		return fd;
	}
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	return sendmsg(via, &message, 0) == 1 ? fd : -1;
}

static void test_descriptors(void)
{
	struct rlimit limit, low;
	int pair[2], fd = socket(AF_INET, SOCK_DGRAM, 0), copy;

	is_value("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ok(pass(pair[0], fd) == fd, "SCM_RIGHTS: sent");
	copy = pass(pair[1], -1);
	ok(copy >= 0 && option_of(copy, SO_TYPE) == SOCK_DGRAM, "SCM_RIGHTS: the same kind of socket arrives");
	close(copy);
	is_value("lowest free number", copy = socket(AF_INET, SOCK_DGRAM, 0), pair[1] + 1);
	close(copy);
	getrlimit(RLIMIT_NOFILE, &limit);
	low = (struct rlimit){ .rlim_cur = (rlim_t)pair[1] + 1, .rlim_max = limit.rlim_max };
	setrlimit(RLIMIT_NOFILE, &low);
	is_error("no descriptor left", socket(AF_INET, SOCK_STREAM, 0), EMFILE);
	setrlimit(RLIMIT_NOFILE, &limit);
	close(pair[0]);
	close(pair[1]);
	close(fd);
}

int main(void)
{
	test_kinds();
	test_flags();
	test_bad_arguments();
	test_tcp();
	test_epoll();
	test_descriptors();
	return done();
}
