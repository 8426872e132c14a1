/* emu-options - socket options take, refuse and give what Linux's do: socket(7), ip(7), ipv6(7), tcp(7), udp(7). */
#define _GNU_SOURCE
#include <linux/tcp.h>
#include <string.h>
#include <sys/time.h>

#include "inet.h"

#ifndef IP_UNICAST_IF
#define IP_UNICAST_IF 50
#endif

/* One option: what getsockopt(2) gives before, and after each value that is set, or the error of setting it. */
struct option {
	const char *name;
	int level, option, initial;
	struct {
		int set, error, get;
	} steps[6];
	int count;
};
#define ANY (-12345)
#define STEPS(...) { __VA_ARGS__ }, sizeof((int[][3]){ __VA_ARGS__ }) / sizeof(int[3])

static void walk(const char *kind, int fd, const struct option *list, size_t count)
{
	for (; count > 0; count--, list++) {
		if (list->initial != ANY)
			is_value(list->name, number(fd, list->level, list->option), list->initial);
		for (int i = 0; i < list->count; i++) {
			int result = set(fd, list->level, list->option, list->steps[i].set);
			int error = result < 0 ? errno : 0;

			ok(error == list->steps[i].error, "%s: set %s to %d: %s", kind, list->name, list->steps[i].set,
			   error ? errno_name(error) : "done");
			if (list->steps[i].get != ANY)
				is_value(list->name, number(fd, list->level, list->option), list->steps[i].get);
		}
	}
}
#define WALK(kind, fd, list) walk(kind, fd, list, sizeof(list) / sizeof(*(list)))

static const struct option EVERY[] = {
	{ "SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, 0, STEPS({ 2, 0, 1 }, { 0, 0, 0 }) },
	{ "SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT, 0, STEPS({ 5, 0, 1 }, { 0, 0, 0 }) },
	{ "SO_BROADCAST", SOL_SOCKET, SO_BROADCAST, 0, STEPS({ -1, 0, 1 }, { 0, 0, 0 }) },
	{ "SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE, 0, STEPS({ 1, 0, 1 }, { 0, 0, 0 }) },
	{ "SO_DONTROUTE", SOL_SOCKET, SO_DONTROUTE, 0, STEPS({ 1, 0, 1 }, { 0, 0, 0 }) },
	{ "SO_TIMESTAMP", SOL_SOCKET, SO_TIMESTAMP, 0, STEPS({ 1, 0, 1 }, { 0, 0, 0 }) },
	{ "SO_TIMESTAMPNS", SOL_SOCKET, SO_TIMESTAMPNS, 0, STEPS({ 1, 0, 1 }, { 0, 0, 0 }) },
	{ "SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, ANY, STEPS({ 20000, 0, 40000 }, { 1, 0, 2304 }) },
	{ "SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, ANY, STEPS({ 20000, 0, 40000 }, { 1, 0, 4608 }) },
	{ "SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, 1, STEPS({ 7, 0, 7 }, { 0, 0, 1 }) },
	{ "SO_SNDLOWAT", SOL_SOCKET, SO_SNDLOWAT, 1, STEPS({ 7, ENOPROTOOPT, 1 }) },
	{ "SO_PRIORITY", SOL_SOCKET, SO_PRIORITY, 0, STEPS({ 6, 0, 6 }, { 0, 0, 0 }) },
	{ "SO_ERROR", SOL_SOCKET, SO_ERROR, 0, STEPS({ 1, ENOPROTOOPT, 0 }) },
	{ "SO_ACCEPTCONN", SOL_SOCKET, SO_ACCEPTCONN, 0, STEPS({ 1, ENOPROTOOPT, 0 }) },
	{ "SO_TYPE", SOL_SOCKET, SO_TYPE, ANY, STEPS({ 1, ENOPROTOOPT, ANY }) },
	{ "SO_DOMAIN", SOL_SOCKET, SO_DOMAIN, ANY, STEPS({ 1, ENOPROTOOPT, ANY }) },
	{ "SO_PROTOCOL", SOL_SOCKET, SO_PROTOCOL, ANY, STEPS({ 1, ENOPROTOOPT, ANY }) },
	{ "SO_MARK", SOL_SOCKET, SO_MARK, 0, STEPS({ 0, 0, 0 }) },
	{ "unknown", SOL_SOCKET, 9999, -ENOPROTOOPT, STEPS({ 1, ENOPROTOOPT, ANY }) },
	{ "unknown level", 9999, 1, ANY, STEPS({ 1, ENOPROTOOPT, ANY }) },
};

static const struct option V4[] = {
	{ "IP_TTL", IPPROTO_IP, IP_TTL, 64,
	  STEPS({ 7, 0, 7 }, { 0, EINVAL, 7 }, { 256, EINVAL, 7 }, { -1, 0, 64 }, { -2, EINVAL, 64 }) },
	{ "IP_MTU", IPPROTO_IP, IP_MTU, -ENOTCONN, STEPS({ 1, ENOPROTOOPT, ANY }) },
	{ "IP_MTU_DISCOVER", IPPROTO_IP, IP_MTU_DISCOVER, 1,
	  STEPS({ 2, 0, 2 }, { 6, EINVAL, 2 }, { -1, EINVAL, 2 }, { 0, 0, 0 }, { 1, 0, 1 }) },
	{ "IP_RECVTTL", IPPROTO_IP, IP_RECVTTL, 0, STEPS({ 3, 0, 1 }, { 0, 0, 0 }) },
	{ "IP_PKTINFO", IPPROTO_IP, IP_PKTINFO, 0, STEPS({ 3, 0, 1 }, { 0, 0, 0 }) },
	{ "IP_RECVTOS", IPPROTO_IP, IP_RECVTOS, 0, STEPS({ 3, 0, 1 }, { 0, 0, 0 }) },
	{ "IP_RECVERR", IPPROTO_IP, IP_RECVERR, 0, STEPS({ 3, 0, 1 }, { 0, 0, 0 }) },
	{ "IP_FREEBIND", IPPROTO_IP, IP_FREEBIND, 0, STEPS({ 3, 0, 1 }, { 0, 0, 0 }) },
	{ "IP_MINTTL", IPPROTO_IP, IP_MINTTL, 0, STEPS({ 255, 0, 255 }, { 256, EINVAL, 255 }, { 0, 0, 0 }) },
	{ "IP_UNICAST_IF", IPPROTO_IP, IP_UNICAST_IF, 0, STEPS({ 1 << 24, 0, 1 << 24 }, { 99 << 24, EADDRNOTAVAIL, 1 << 24 }, { 0, 0, 0 }) },
};

static const struct option V4_DGRAM[] = {
	{ "IP_TOS", IPPROTO_IP, IP_TOS, 0, STEPS({ 0x13, 0, 0x13 }, { 0x110, 0, 0x10 }, { 0, 0, 0 }) },
	{ "IP_MULTICAST_TTL", IPPROTO_IP, IP_MULTICAST_TTL, 1, STEPS({ 0, 0, 0 }, { 255, 0, 255 }, { 256, EINVAL, 255 }, { -1, 0, 1 }) },
	{ "IP_MULTICAST_LOOP", IPPROTO_IP, IP_MULTICAST_LOOP, 1, STEPS({ 0, 0, 0 }, { 7, 0, 1 }) },
	{ "IP_MULTICAST_ALL", IPPROTO_IP, 49, 1, STEPS({ 0, 0, 0 }, { 2, EINVAL, 0 }, { 1, 0, 1 }) },
	{ "IP_HDRINCL", IPPROTO_IP, IP_HDRINCL, 0, STEPS({ 1, ENOPROTOOPT, ANY }) },
	{ "TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, ANY, STEPS({ 1, ENOPROTOOPT, ANY }) },
	{ "IPV6_V6ONLY", IPPROTO_IPV6, IPV6_V6ONLY, -EOPNOTSUPP, STEPS({ 1, ENOPROTOOPT, ANY }) },
};

static const struct option V6[] = {
	{ "IPV6_V6ONLY", IPPROTO_IPV6, IPV6_V6ONLY, 0, STEPS({ 1, 0, 1 }, { 0, 0, 0 }) },
	{ "IPV6_UNICAST_HOPS", IPPROTO_IPV6, IPV6_UNICAST_HOPS, 64, STEPS({ 9, 0, 9 }, { 256, EINVAL, 9 }, { -1, 0, 64 }) },
	{ "IPV6_TCLASS", IPPROTO_IPV6, IPV6_TCLASS, 0, STEPS({ 0x20, 0, 0x20 }, { 256, EINVAL, 0x20 }, { -1, 0, 0 }) },
	{ "IPV6_RECVPKTINFO", IPPROTO_IPV6, IPV6_RECVPKTINFO, 0, STEPS({ 3, 0, 1 }, { 0, 0, 0 }) },
	{ "IPV6_RECVHOPLIMIT", IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 0, STEPS({ 3, 0, 1 }, { 0, 0, 0 }) },
	{ "IPV6_RECVTCLASS", IPPROTO_IPV6, IPV6_RECVTCLASS, 0, STEPS({ 3, 0, 1 }, { 0, 0, 0 }) },
	{ "IPV6_RECVERR", IPPROTO_IPV6, IPV6_RECVERR, 0, STEPS({ 3, 0, 1 }, { 0, 0, 0 }) },
	{ "IPV6_MTU_DISCOVER", IPPROTO_IPV6, IPV6_MTU_DISCOVER, 1, STEPS({ 2, 0, 2 }, { 6, EINVAL, 2 }, { 1, 0, 1 }) },
	{ "IPV6_MTU", IPPROTO_IPV6, IPV6_MTU, -ENOTCONN, STEPS({ 100, EINVAL, ANY }) },
	{ "IPV6_MULTICAST_LOOP", IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 1, STEPS({ 0, 0, 0 }, { 2, EINVAL, 0 }, { 1, 0, 1 }) },
	{ "IPV6_DONTFRAG", IPPROTO_IPV6, IPV6_DONTFRAG, 0, STEPS({ 3, 0, 1 }, { 0, 0, 0 }) },
};

static const struct option V6_DGRAM[] = {
	{ "IPV6_MULTICAST_HOPS", IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 1, STEPS({ 5, 0, 5 }, { 256, EINVAL, 5 }, { -1, 0, 1 }) },
	{ "IPV6_MULTICAST_IF", IPPROTO_IPV6, IPV6_MULTICAST_IF, 0, STEPS({ 1, 0, 1 }, { 99, ENODEV, 1 }, { 0, 0, 0 }) },
};

static const struct option STREAM[] = {
	{ "TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 0, STEPS({ 9, 0, 1 }, { 0, 0, 0 }) },
	{ "TCP_CORK", IPPROTO_TCP, TCP_CORK, 0, STEPS({ 9, 0, 1 }, { 0, 0, 0 }) },
	{ "TCP_MAXSEG", IPPROTO_TCP, TCP_MAXSEG, 536, STEPS({ 1000, 0, 1000 }, { 87, EINVAL, 1000 }, { 32768, EINVAL, 1000 }) },
	{ "TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, 7200, STEPS({ 7, 0, 7 }, { 0, EINVAL, 7 }, { 32768, EINVAL, 7 }) },
	{ "TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL, 75, STEPS({ 7, 0, 7 }, { 0, EINVAL, 7 }, { 32768, EINVAL, 7 }) },
	{ "TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, 9, STEPS({ 7, 0, 7 }, { 0, EINVAL, 7 }, { 128, EINVAL, 7 }) },
	{ "TCP_SYNCNT", IPPROTO_TCP, TCP_SYNCNT, 6, STEPS({ 3, 0, 3 }, { 0, EINVAL, 3 }, { 128, EINVAL, 3 }) },
	{ "TCP_DEFER_ACCEPT", IPPROTO_TCP, TCP_DEFER_ACCEPT, 0, STEPS({ 1, 0, 1 }, { 5, 0, 7 }, { 0, 0, 0 }) },
	{ "TCP_QUICKACK", IPPROTO_TCP, TCP_QUICKACK, 1, STEPS({ 0, 0, 0 }, { 1, 0, 1 }) },
	{ "TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, 0, STEPS({ 700, 0, 700 }, { -1, EINVAL, 700 }) },
	{ "TCP_LINGER2", IPPROTO_TCP, TCP_LINGER2, 60, STEPS({ 5, 0, 5 }, { -5, 0, -1 }) },
	{ "TCP_NOTSENT_LOWAT", IPPROTO_TCP, TCP_NOTSENT_LOWAT, 0, STEPS({ 1000, 0, 1000 }) },
	{ "SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 0, STEPS({ 9, 0, 1 }, { 0, 0, 0 }) },
	{ "IP_MULTICAST_TTL", IPPROTO_IP, IP_MULTICAST_TTL, ANY, STEPS({ 1, EINVAL, ANY }) },
	{ "unknown", IPPROTO_TCP, 9999, -ENOPROTOOPT, STEPS({ 1, ENOPROTOOPT, ANY }) },
};

static void test_kinds(void)
{
	int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);
	int tcp6 = socket(AF_INET6, SOCK_STREAM, 0), udp6 = socket(AF_INET6, SOCK_DGRAM, 0);

	WALK("TCP", tcp, EVERY);
	WALK("UDP", udp, EVERY);
	WALK("TCP", tcp, V4);
	WALK("UDP", udp, V4);
	WALK("UDP", udp, V4_DGRAM);
	WALK("TCP over IPv6", tcp6, V6);
	WALK("UDP over IPv6", udp6, V6);
	WALK("UDP over IPv6", udp6, V6_DGRAM);
	WALK("TCP", tcp, STREAM);
	WALK("TCP over IPv6", tcp6, STREAM);
	is_value("SO_TYPE", number(udp6, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
	is_value("SO_DOMAIN", number(udp6, SOL_SOCKET, SO_DOMAIN), AF_INET6);
	is_value("SO_PROTOCOL", number(udp6, SOL_SOCKET, SO_PROTOCOL), IPPROTO_UDP);
	is_value("initial SO_RCVBUF of TCP", number(tcp6, SOL_SOCKET, SO_RCVBUF), 131072);
	is_value("initial SO_SNDBUF of TCP", number(tcp6, SOL_SOCKET, SO_SNDBUF), 16384);
	is_value("initial SO_RCVBUF of UDP", number(udp6, SOL_SOCKET, SO_RCVBUF), 212992);
	set(udp, SOL_SOCKET, SO_RCVBUF, -1);
	ok(number(udp, SOL_SOCKET, SO_RCVBUF) >= 2 * 212992, "a negative SO_RCVBUF is the most");
	is_value("listen", listen(tcp, 1), 0);
	is_value("SO_ACCEPTCONN", number(tcp, SOL_SOCKET, SO_ACCEPTCONN), 1);
	close(tcp);
	close(udp);
	close(tcp6);
	close(udp6);
}

/* Values that are no int, and lengths. */
static void test_structures(void)
{
	struct linger linger = { .l_onoff = 5, .l_linger = 3 };
	struct timeval time = { .tv_sec = 1, .tv_usec = 500000 };
	struct tcp_info info;
	unsigned char byte = 9;
	char name[32] = "";
	socklen_t length = sizeof(linger);
	int fd = socket(AF_INET, SOCK_STREAM, 0), pair[2];

	is_value("SO_LINGER", setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, length), 0);
	getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length);
	ok(linger.l_onoff == 1 && linger.l_linger == 3, "SO_LINGER: %d, %d", linger.l_onoff, linger.l_linger);
	is_error("short SO_LINGER", setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, 4), EINVAL);
	is_value("SO_RCVTIMEO", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)), 0);
	memset(&time, 0, sizeof(time));
	length = sizeof(time);
	getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, &length);
	ok(time.tv_sec == 1 && time.tv_usec == 500000 && length == sizeof(time), "SO_RCVTIMEO");
	time.tv_usec = 1000000;
	is_error("not a time", setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time)), EDOM);
	is_value("IP_TTL of one byte", setsockopt(fd, IPPROTO_IP, IP_TTL, &byte, 1), 0);
	length = 1;
	is_value("and back", getsockopt(fd, IPPROTO_IP, IP_TTL, &byte, &length), 0);
	ok(byte == 9 && length == 1, "in one byte");
	length = (socklen_t)-1;
	is_error("a negative length", getsockopt(fd, IPPROTO_IP, IP_TTL, &byte, &length), EINVAL);
	is_error("negative in setsockopt", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &byte, (socklen_t)-1), EINVAL);
	is_error("a null value", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, NULL, 4), EFAULT);
	length = sizeof(name);
	is_value("TCP_CONGESTION", getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length), 0);
	ok(length == 16 && name[0], "is %s", name);
	is_value("reno is always there", setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4), 0);
	is_error("one that is not", setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nosuch", 6), ENOENT);
	length = sizeof(info);
	is_value("TCP_INFO", getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
	ok(info.tcpi_state == 7, "closed");
	close(fd);
	connection(AF_INET6, pair);
	ok(number(pair[0], IPPROTO_TCP, TCP_MAXSEG) > 1000, "TCP_MAXSEG of a connection");
	is_error("IPV6_V6ONLY, too late", set(pair[0], IPPROTO_IPV6, IPV6_V6ONLY, 1), EINVAL);
	ok(number(pair[0], IPPROTO_IPV6, IPV6_MTU) >= 1280, "IPV6_MTU of a connection");
	close_both(pair);
}

static void test_device(void)
{
	char name[16] = "";
	socklen_t length = sizeof(name);
	struct address to;
	int one = bound(AF_INET, SOCK_DGRAM), two = socket(AF_INET, SOCK_DGRAM, 0);

	is_value("no device at first", getsockopt(two, SOL_SOCKET, SO_BINDTODEVICE, name, &length), 0);
	ok(length == 0, "an empty name");
	is_error("no such device", setsockopt(two, SOL_SOCKET, SO_BINDTODEVICE, "nosuch", 7), ENODEV);
	is_value("SO_BINDTODEVICE", setsockopt(two, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0);
	length = sizeof(name);
	is_value("and back", getsockopt(two, SOL_SOCKET, SO_BINDTODEVICE, name, &length), 0);
	ok(length == 3 && !strcmp(name, "lo"), "lo");
	length = 2;
	is_error("too little room", getsockopt(two, SOL_SOCKET, SO_BINDTODEVICE, name, &length), EINVAL);
	to = name_of(one);
	is_value("sendto", sendto(two, "x", 1, 0, SA(to)), 1);
	is_value("arrives", recv(one, name, sizeof(name), 0), 1);
	is_value("no device again", setsockopt(two, SOL_SOCKET, SO_BINDTODEVICE, "", 0), 0);
	close(one);
	close(two);
}

int main(void)
{
	test_kinds();
	test_structures();
	test_device();
	return done();
}
