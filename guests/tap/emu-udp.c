/* emu-udp - datagram sockets on loopback: what Linux does, a stack in user space does too. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tap.h"

static int bound(int family, struct sockaddr_storage *address)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	socklen_t length = sizeof(*address);
	int fd = socket(family, SOCK_DGRAM, 0);

	if (family == AF_INET)
		is_value("bind", bind(fd, (struct sockaddr *)&v4, sizeof(v4)), 0);
	else
		is_value("bind", bind(fd, (struct sockaddr *)&v6, sizeof(v6)), 0);
	getsockname(fd, (struct sockaddr *)address, &length);
	return fd;
}

static void test_names(int family)
{
	struct sockaddr_storage a, b, from;
	socklen_t size = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6), length = sizeof(from);
	char text[64];
	int one = bound(family, &a), two = bound(family, &b);

	is_value("sendto", sendto(two, "hello", 5, 0, (struct sockaddr *)&a, size), 5);
	is_value("recvfrom", recvfrom(one, text, sizeof(text), 0, (struct sockaddr *)&from, &length), 5);
	ok(length == size && !memcmp(&from, &b, size), "the sender's address");
	is_value("answer", sendto(one, "", 0, 0, (struct sockaddr *)&from, length), 0);
	length = sizeof(from);
	is_value("a datagram without bytes", recvfrom(two, text, sizeof(text), 0, (struct sockaddr *)&from, &length), 0);
	ok(!memcmp(&from, &a, size), "has a sender too");
	is_value("connect", connect(two, (struct sockaddr *)&a, size), 0);
	is_value("send", send(two, "plain", 5, 0), 5);
	is_value("read takes the bytes alone", read(one, text, sizeof(text)), 5);
	is_value("send again", send(two, "longer than that", 16, 0), 16);
	is_value("a cut datagram", recv(one, text, 4, MSG_TRUNC), 16);
	is_error("the rest is gone", recv(one, text, 4, MSG_DONTWAIT), EAGAIN);
	length = sizeof(from);
	is_value("getpeername", getpeername(two, (struct sockaddr *)&from, &length), 0);
	ok(!memcmp(&from, &a, size), "is the address connected to");
	close(one);
	close(two);
}

/* Control messages and vectors of recvmsg and sendmsg. */
static void test_messages(void)
{
	struct sockaddr_storage a, b;
	struct sockaddr_in from;
	char first[3], second[8], control[128];
	struct iovec out[2] = { { "abc", 3 }, { "defgh", 5 } }, in[2] = { { first, 3 }, { second, 8 } };
	struct msghdr sent = { .msg_name = &a, .msg_namelen = sizeof(struct sockaddr_in), .msg_iov = out, .msg_iovlen = 2 };
	struct msghdr got = { .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = in, .msg_iovlen = 2,
			      .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *header;
	int one = bound(AF_INET, &a), two = bound(AF_INET, &b), on = 1, seen = 0;

	is_value("IP_PKTINFO", setsockopt(one, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)), 0);
	is_value("IP_RECVTTL", setsockopt(one, IPPROTO_IP, IP_RECVTTL, &on, sizeof(on)), 0);
	is_value("sendmsg", sendmsg(two, &sent, 0), 8);
	is_value("recvmsg", recvmsg(one, &got, 0), 8);
	ok(!memcmp(first, "abc", 3) && !memcmp(second, "defgh", 5), "spread over the vector");
	ok(got.msg_namelen == sizeof(from) && from.sin_port == ((struct sockaddr_in *)&b)->sin_port, "with the sender");
	for (header = CMSG_FIRSTHDR(&got); header; header = CMSG_NXTHDR(&got, header)) {
		struct in_pktinfo info;
		int ttl;

		if (header->cmsg_type == IP_PKTINFO) {
			memcpy(&info, CMSG_DATA(header), sizeof(info));
			seen |= info.ipi_addr.s_addr == htonl(INADDR_LOOPBACK) && info.ipi_ifindex == 1 ? 1 : 0;
		} else if (header->cmsg_type == IP_TTL) {
			memcpy(&ttl, CMSG_DATA(header), sizeof(ttl));
			seen |= ttl == 64 ? 2 : 0;
		}
	}
	is_value("address, interface and TTL", seen, 3);
	close(one);
	close(two);
}

static void test_many(void)
{
	struct sockaddr_storage a;
	char bytes[4][16];
	struct iovec parts[4];
	struct mmsghdr messages[4] = { 0 };
	int one = bound(AF_INET, &a), two = socket(AF_INET, SOCK_DGRAM, 0), i;

	for (i = 0; i < 4; i++) {
		parts[i] = (struct iovec){ bytes[i], (size_t)(i + 1) };
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1, .msg_name = &a,
						       .msg_namelen = sizeof(struct sockaddr_in) };
	}
	is_value("sendmmsg", sendmmsg(two, messages, 4, 0), 4);
	for (i = 0; i < 4; i++) {
		parts[i].iov_len = sizeof(bytes[i]);
		messages[i].msg_hdr.msg_name = NULL;
		messages[i].msg_hdr.msg_namelen = 0;
	}
	is_value("recvmmsg", recvmmsg(one, messages, 4, 0, NULL), 4);
	ok(messages[0].msg_len == 1 && messages[3].msg_len == 4, "their lengths");
	is_error("no more", recvmmsg(one, messages, 4, MSG_DONTWAIT, NULL), EAGAIN);
	close(one);
	close(two);
}

static void test_dual(void)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6 }, from;
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(any);
	char text[8];
	int six = socket(AF_INET6, SOCK_DGRAM, 0), four = socket(AF_INET, SOCK_DGRAM, 0);

	is_value("bind to ::", bind(six, (struct sockaddr *)&any, sizeof(any)), 0);
	getsockname(six, (struct sockaddr *)&any, &length);
	to.sin_port = any.sin6_port;
	is_value("IPv4 to it", sendto(four, "four", 4, 0, (struct sockaddr *)&to, sizeof(to)), 4);
	length = sizeof(from);
	is_value("arrives", recvfrom(six, text, sizeof(text), 0, (struct sockaddr *)&from, &length), 4);
	ok(IN6_IS_ADDR_V4MAPPED(&from.sin6_addr), "from a mapped address");
	is_value("and back", sendto(six, "six", 3, 0, (struct sockaddr *)&from, sizeof(from)), 3);
	is_value("arrives too", recv(four, text, sizeof(text), 0), 3);
	close(six);
	close(four);
}

static void test_errors(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0xffffffff) };
	static char large[66000];
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	is_error("broadcast without SO_BROADCAST", sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), EACCES);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	is_error("too large", sendto(fd, large, sizeof(large), 0, (struct sockaddr *)&to, sizeof(to)), EMSGSIZE);
	is_error("short address", sendto(fd, "x", 1, 0, (struct sockaddr *)&to, 4), EINVAL);
	is_error("wild address", sendto(fd, "x", 1, 0, (struct sockaddr *)1, sizeof(to)), EFAULT);
	is_error("wild bytes", sendto(fd, (void *)1, 1, 0, (struct sockaddr *)&to, sizeof(to)), EFAULT);
	to.sin_family = AF_INET6;
	is_error("another family", sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), EAFNOSUPPORT);
	is_error("listen", listen(fd, 1), EOPNOTSUPP);
	is_error("accept", accept(fd, (struct sockaddr *)&to, &(socklen_t){ sizeof(to) }), EOPNOTSUPP);
	close(fd);
}

int main(void)
{
	test_names(AF_INET);
	test_names(AF_INET6);
	test_messages();
	test_many();
	test_dual();
	test_errors();
	return done();
}
