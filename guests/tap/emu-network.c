/*
 * emu-network - what the network does to sockets: ICMP errors, peers and neighbours that are silent; ip(7), tcp(7), icmp(7).
 * Addresses 10.0.0.1 and fd00::1 are its own, those that end in 8 have a neighbour entry and no host, and nobody has the others.
 */
#define _GNU_SOURCE
#include <time.h>
#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netpacket/packet.h>
#include <net/ethernet.h>

#include "filter.h"
#include "inet.h"

#ifndef TCP_USER_TIMEOUT
#define TCP_USER_TIMEOUT 18
#endif

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* An address of this network. */
static struct address host(int family, int number, int port)
{
	char text[32];

	snprintf(text, sizeof(text), family == AF_INET ? "10.0.0.%d" : "fd00::%d", number);
	return family == AF_INET ? ipv4(text, port) : ipv6(text, port, 0);
}

static int recverr(int fd, int family)
{
	return family == AF_INET ? set(fd, IPPROTO_IP, IP_RECVERR, 1) : set(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
}

/* -- ICMP errors of connections ---------------------------------------------------------------------------- */

static unsigned short sum_of(const void *bytes, size_t size, unsigned long sum)
{
	const unsigned char *at = bytes;

	for (; size > 1; size -= 2, at += 2)
		sum += (unsigned)(at[0] << 8 | at[1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((unsigned short)~sum);
}

/* The next segment to `port` that passes `packets`: its IP packet. */
static ssize_t caught(int packets, int family, int port, unsigned char *packet, size_t room)
{
	int header = family == AF_INET ? 20 : 40;

	while (events(packets, POLLIN, 2000) == POLLIN) {
		ssize_t got = recv(packets, packet, room, 0);

		if (got >= header + 20 && packet[0] >> 4 == (family == AF_INET ? 4 : 6) &&
		    packet[family == AF_INET ? 9 : 6] == IPPROTO_TCP && (packet[header + 2] << 8 | packet[header + 3]) == port)
			return got;
	}
	return -1;
}

/* An ICMP error about a packet, to who has sent it. `off` is added to its sequence number. */
static void report(int raw, int family, const unsigned char *packet, unsigned char type, unsigned char code, unsigned off)
{
	unsigned char message[8 + 60] = { type, code };
	int header = family == AF_INET ? 20 : 40;
	struct address to = loopback(family, 0);

	memcpy(message + 8, packet, (size_t)header + 20);
	message[8 + header + 4] ^= (unsigned char)off;
	if (family == AF_INET) {
		unsigned short sum = sum_of(message, 8 + 40, 0);

		memcpy(message + 2, &sum, 2);
		memcpy(&to.v4.sin_addr, packet + 12, 4);
	} else {
		memcpy(&to.v6.sin6_addr, packet + 8, 16);
	}
	sendto(raw, message, 8 + (size_t)header + 20, 0, SA(to));
}

static int sniffer(const char *device)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int fd = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL)), raw = socket(AF_INET, SOCK_DGRAM, 0);
	struct {
		char name[16];
		int index, rest[4];
	} request = { 0 };

	strcpy(request.name, device);
	ioctl(raw, 0x8933 /* SIOCGIFINDEX */, &request);
	at.sll_ifindex = request.index;
	bind(fd, (struct sockaddr *)&at, sizeof(at));
	close(raw);
	return fd;
}

/* A connection to a host that does not answer, and an ICMP error for its SYN: what becomes of it. */
static void test_icmp_connect(int family)
{
	static const struct {
		unsigned char type, code;
		int error;
	} errors[2][3] = {
		{ { ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, ECONNREFUSED }, { ICMP_DEST_UNREACH, ICMP_NET_UNREACH, ENETUNREACH },
		  { ICMP_TIME_EXCEEDED, 0, EHOSTUNREACH } },
		{ { ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOPORT, ECONNREFUSED },
		  { ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOROUTE, ENETUNREACH }, { ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADDR, EHOSTUNREACH } } };
	unsigned char packet[2000];
	int raw = socket(family, SOCK_RAW, family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6), packets = sniffer("vde0");

	for (int i = 0; i < 3; i++) {
		int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);

		connect(fd, SA(host(family, 8, 100 + i)));
		if (!ok(caught(packets, family, 100 + i, packet, sizeof(packet)) > 0, "a SYN"))
			continue;
		report(raw, family, packet, errors[family == AF_INET6][i].type, errors[family == AF_INET6][i].code, 1);
		is_value("another's sequence number", events(fd, POLLOUT, 50), 0);
		report(raw, family, packet, errors[family == AF_INET6][i].type, errors[family == AF_INET6][i].code, 0);
		ok((events(fd, POLLOUT, 1000) & POLLOUT) != 0, "its own ends it");
		is_value("SO_ERROR", number(fd, SOL_SOCKET, SO_ERROR), errors[family == AF_INET6][i].error);
		close(fd);
	}
	close(raw);
	close(packets);
}

/* -- Silence ----------------------------------------------------------------------------------------------- */

/* What takes seconds, so that all of it goes on at the same time. */
static struct {
	double start;
	int lost[2], queue[2], plain[2], ping[2]; /* to neighbours that do not answer */
	int syncnt;
	int silent[2], soft[2], recverr[2]; /* connections whose peer has gone deaf */
} wait;

/* A connection that loses all segments from now on, and, if `code` is not negative, gets an ICMP error for one. */
static void deaf(int pair[2], int timeout, int code, bool reports)
{
	unsigned char packet[2000];
	int raw = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), packets = sniffer("lo");

	connection(AF_INET, pair);
	if (timeout > 0)
		is_value("TCP_USER_TIMEOUT", set(pair[0], IPPROTO_TCP, TCP_USER_TIMEOUT, timeout), 0);
	if (reports)
		recverr(pair[0], AF_INET);
	attach(pair[1], &(struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0), 1);
	while (events(packets, POLLIN, 0) == POLLIN)
		recv(packets, packet, sizeof(packet), 0);
	send(pair[0], "lost", 4, 0);
	if (code >= 0 && ok(caught(packets, AF_INET, port_of(pair[1]), packet, sizeof(packet)) > 0, "a segment"))
		report(raw, AF_INET, packet, ICMP_DEST_UNREACH, (unsigned char)code, 0);
	close(raw);
	close(packets);
}

static void begin_waiting(void)
{
	struct icmphdr request = { .type = ICMP_ECHO };
	struct icmphdr request6 = { .type = ICMP6_ECHO_REQUEST };

	wait.start = now();
	for (int i = 0; i < 2; i++) {
		int family = i ? AF_INET6 : AF_INET;

		wait.lost[i] = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
		is_error("connect", connect(wait.lost[i], SA(host(family, 9, 80))), EINPROGRESS);
		wait.queue[i] = socket(family, SOCK_DGRAM, 0);
		recverr(wait.queue[i], family);
		is_value("sendto", sendto(wait.queue[i], "lost", 4, 0, SA(host(family, 7, 7))), 4);
		wait.plain[i] = socket(family, SOCK_DGRAM, 0);
		connect(wait.plain[i], SA(host(family, 6, 7)));
		is_value("send", send(wait.plain[i], "lost", 4, 0), 4);
		wait.ping[i] = socket(family, SOCK_DGRAM, i ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
		recverr(wait.ping[i], family);
		is_value("ping", sendto(wait.ping[i], i ? &request6 : &request, 8, 0, SA(host(family, 5, 0))), 8);
	}
	wait.syncnt = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	set(wait.syncnt, IPPROTO_TCP, TCP_SYNCNT, 1);
	connect(wait.syncnt, SA(host(AF_INET, 8, 80)));
	deaf(wait.silent, 1000, -1, false);
	deaf(wait.soft, 1000, ICMP_HOST_UNREACH, false);
	deaf(wait.recverr, 0, ICMP_NET_UNREACH, true);
}

static void test_defer(void)
{
	char text[8];
	int server = listener(AF_INET, 8), idle = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0), got;

	set(server, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
	is_value("connect to who defers", connect(idle, SA(name_of(server))), 0);
	is_value("nothing is accepted yet", events(server, POLLIN, 50), 0);
	connect(fd, SA(name_of(server)));
	send(fd, "data", 4, 0);
	is_value("until there is data", events(server, POLLIN, 500), POLLIN);
	got = accept(server, NULL, NULL);
	is_value("of that one", recv(got, text, sizeof(text), 0), 4);
	close(got);
	close(fd);
	is_value("or time has passed", events(server, POLLIN, 4000), POLLIN);
	got = accept(server, NULL, NULL);
	is_error("without data", recv(got, text, sizeof(text), MSG_DONTWAIT), EAGAIN);
	close(got);
	close(idle);
	close(server);
}

/* The error of a connection, and when it came. */
static void ends(const char *what, int fd, int error, double from, double to)
{
	double at;

	ok((events(fd, POLLIN, 6000) & POLLERR) != 0, "%s: POLLERR", what);
	at = now() - wait.start;
	is_value(what, number(fd, SOL_SOCKET, SO_ERROR), error);
	ok(at >= from && at <= to, "%s: after %.1f s", what, at);
	close(fd);
}

static void test_queued(const char *what, int fd, int family, int number_of, ssize_t size)
{
	struct address name;
	char text[64], control[512];
	struct iovec part = { text, sizeof(text) };
	struct msghdr got = { .msg_name = &name.any, .msg_namelen = sizeof(name.room), .msg_iov = &part, .msg_iovlen = 1,
			      .msg_control = control, .msg_controllen = sizeof(control) };
	struct sock_extended_err *error;
	struct address *offender, own = host(family, 1, 0);
	bool v4 = family == AF_INET;

	ok((events(fd, POLLIN, 6000) & POLLERR) != 0, "%s: POLLERR", what);
	is_value(what, recvmsg(fd, &got, MSG_ERRQUEUE), size);
	error = control_of(&got, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_RECVERR : IPV6_RECVERR);
	ok(error && error->ee_errno == EHOSTUNREACH && error->ee_type == (v4 ? ICMP_DEST_UNREACH : ICMP6_DST_UNREACH) &&
	   error->ee_code == (v4 ? ICMP_HOST_UNREACH : ICMP6_DST_UNREACH_ADDR), "%s: unreachable", what);
	offender = error ? (struct address *)(void *)SO_EE_OFFENDER(error) : &own;
	ok(v4 ? offender->v4.sin_addr.s_addr == own.v4.sin_addr.s_addr :
		!memcmp(&offender->v6.sin6_addr, &own.v6.sin6_addr, 16), "%s: told by this host", what);
	own = host(family, number_of, 0);
	ok(v4 ? name.v4.sin_addr.s_addr == own.v4.sin_addr.s_addr : !memcmp(&name.v6.sin6_addr, &own.v6.sin6_addr, 16),
	   "%s: of where it went", what);
	close(fd);
}

static void end_waiting(void)
{
	ends("TCP_USER_TIMEOUT", wait.silent[0], ETIMEDOUT, 0.9, 5);
	close(wait.silent[1]);
	ends("with an ICMP error", wait.soft[0], EHOSTUNREACH, 0.9, 5);
	close(wait.soft[1]);
	is_value("IP_RECVERR tells at once", number(wait.recverr[0], SOL_SOCKET, SO_ERROR), ENETUNREACH);
	set(wait.recverr[1], SOL_SOCKET, SO_DETACH_FILTER, 0);
	ok((events(wait.recverr[1], POLLIN, 6000) & POLLIN) != 0, "and the connection goes on");
	close_both(wait.recverr);
	for (int i = 0; i < 2; i++) {
		int family = i ? AF_INET6 : AF_INET;

		ends("a neighbour that does not answer", wait.lost[i], EHOSTUNREACH, 1.9, 5.5);
		test_queued("a datagram", wait.queue[i], family, 7, 4);
		test_queued("an echo request", wait.ping[i], family, 5, 8);
		ok((events(wait.plain[i], POLLIN, 100) & POLLERR) == 0, "not without IP_RECVERR");
		close(wait.plain[i]);
	}
	ends("TCP_SYNCNT", wait.syncnt, ETIMEDOUT, 2.5, 6);
}

int main(void)
{
	begin_waiting();
	test_defer();
	test_icmp_connect(AF_INET);
	test_icmp_connect(AF_INET6);
	end_waiting();
	return done();
}
