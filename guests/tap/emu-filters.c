/*
 * emu-filters - what sockets let through: filters, interfaces, TCP_CORK, families; socket(7), ip(7), tcp(7). Address 10.0.0.1 is
 * their own.
 */
#define _GNU_SOURCE
#include <time.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <net/ethernet.h>
#include <netdb.h>

#include "filter.h"
#include "inet.h"

#define FILTER(...) (struct sock_filter[]){ __VA_ARGS__ }, sizeof((struct sock_filter[]){ __VA_ARGS__ }) / sizeof(struct sock_filter)
#define ALL BPF_STMT(BPF_RET | BPF_K, 0xffffffff)
#define NONE BPF_STMT(BPF_RET | BPF_K, 0)

/* -- Filters ----------------------------------------------------------------------------------------------- */

static void test_filter_options(int family, int type)
{
	int fd = socket(family, type, 0);

	is_error("no value", setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, NULL, 0), EINVAL);
	is_error("no filter", set(fd, SOL_SOCKET, SO_DETACH_FILTER, 0), ENOENT);
	is_error("no program", attach(fd, (struct sock_filter[]){ ALL }, 0), EINVAL);
	is_error("no end", attach(fd, FILTER(BPF_STMT(BPF_LD | BPF_IMM, 1))), EINVAL);
	is_error("a jump beyond it", attach(fd, FILTER(BPF_STMT(BPF_JMP | BPF_JA, 7), ALL)), EINVAL);
	is_value("a program", attach(fd, FILTER(ALL)), 0);
	is_value("another", attach(fd, FILTER(NONE)), 0);
	is_value("taken away", set(fd, SOL_SOCKET, SO_DETACH_FILTER, 0), 0);
	is_error("once", set(fd, SOL_SOCKET, SO_DETACH_FILTER, 0), ENOENT);
	attach(fd, FILTER(ALL));
	is_value("SO_LOCK_FILTER", set(fd, SOL_SOCKET, SO_LOCK_FILTER, 1), 0);
	is_value("is told", number(fd, SOL_SOCKET, SO_LOCK_FILTER), 1);
	is_error("locked", attach(fd, FILTER(ALL)), EPERM);
	is_error("locked", set(fd, SOL_SOCKET, SO_DETACH_FILTER, 0), EPERM);
	is_error("for ever", set(fd, SOL_SOCKET, SO_LOCK_FILTER, 0), EPERM);
	close(fd);
}

static void test_filter_udp(int family)
{
	char text[64];
	int in = bound(family, SOCK_DGRAM), out = socket(family, SOCK_DGRAM, 0), v4 = family == AF_INET;
	struct address to = name_of(in);

	/* The header of UDP comes first. */
	attach(in, FILTER(BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'y', 0, 1),
			  BPF_STMT(BPF_RET | BPF_K, 12), NONE));
	sendto(out, "no", 2, 0, SA(to));
	sendto(out, "yes, much", 9, 0, SA(to));
	is_value("the filter cuts", recv(in, text, sizeof(text), 0), 4);
	ok(!memcmp(text, "yes,", 4), "what it wants");
	attach(in, FILTER(BPF_STMT(BPF_RET | BPF_K, 1)));
	sendto(out, "abc", 3, 0, SA(to));
	is_value("not into the header", recv(in, text, sizeof(text), 0), 0);
	/* The port, the length of it all, and the header of IP by SKF_NET_OFF. */
	attach(in, FILTER(BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 2), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)port_of(in), 0, 5),
			  BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 12, 0, 3),
			  BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (unsigned)SKF_NET_OFF + (v4 ? 9 : 6)),
			  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 1), ALL, NONE));
	sendto(out, "abc", 3, 0, SA(to));
	sendto(out, "abcd", 4, 0, SA(to));
	is_value("what a program sees", recv(in, text, sizeof(text), 0), 4);
	attach(in, FILTER(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)(SKF_AD_OFF + SKF_AD_PROTOCOL)),
			  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, v4 ? ETH_P_IP : ETH_P_IPV6, 0, 1), ALL, NONE));
	sendto(out, "x", 1, 0, SA(to));
	is_value("and its protocol", recv(in, text, sizeof(text), 0), 1);
	set(in, SOL_SOCKET, SO_DETACH_FILTER, 0);
	sendto(out, "no", 2, 0, SA(to));
	is_value("without a filter", recv(in, text, sizeof(text), 0), 2);
	close(in);
	close(out);
}

static void test_filter_raw(int family)
{
	char text[128];
	int raw = socket(family, SOCK_RAW, IPPROTO_UDP), udp = bound(family, SOCK_DGRAM), v4 = family == AF_INET;
	struct icmphdr request = { .type = v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST };
	int ping = socket(family, SOCK_DGRAM, v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);

	attach(raw, FILTER(BPF_STMT(BPF_LD | BPF_B | BPF_ABS, v4 ? 28 : 8), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'y', 0, 1),
			   BPF_STMT(BPF_RET | BPF_K, v4 ? 30 : 10), NONE));
	sendto(udp, "no", 2, 0, SA(name_of(udp)));
	sendto(udp, "yes", 3, 0, SA(name_of(udp)));
	is_value("a raw socket filters", recv(raw, text, sizeof(text), 0), v4 ? 30 : 10);
	attach(ping, FILTER(BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
			    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, v4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY, 0, 1),
			    BPF_STMT(BPF_RET | BPF_K, 6), NONE));
	sendto(ping, &request, sizeof(request), 0, SA(loopback(family, 0)));
	is_value("a ping socket, too", recv(ping, text, sizeof(text), 0), 6);
	attach(ping, FILTER(NONE));
	sendto(ping, &request, sizeof(request), 0, SA(loopback(family, 0)));
	is_value("nothing", events(ping, POLLIN, 50), 0);
	close(raw);
	close(udp);
	close(ping);
}

/* Segments with the byte '!' are lost, and sent again. */
static void test_filter_tcp(int family)
{
	char text[16];
	int pair[2], server = listener(family, 1), fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);

	/* Data begins where the header says: its length in words is in the upper half of byte 12. */
	static struct sock_filter steps[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 12), BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4),
		BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, 4), BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 3, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_IND, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, '!', 0, 1), NONE, ALL };

	connection(family, pair);
	attach(pair[1], steps, sizeof(steps) / sizeof(*steps));
	send(pair[0], "good", 4, 0);
	is_value("segments", recv(pair[1], text, sizeof(text), 0), 4);
	send(pair[0], "!bad", 4, 0);
	is_value("filtered ones", events(pair[1], POLLIN, 100), 0);
	set(pair[1], SOL_SOCKET, SO_DETACH_FILTER, 0);
	is_value("come later", recv(pair[1], text, sizeof(text), 0), 4);
	close_both(pair);
	attach(server, FILTER(NONE));
	connect(fd, SA(name_of(server)));
	is_value("a listener that filters all", events(fd, POLLOUT, 100), 0);
	close(fd);
	close(server);
}

/* -- Interfaces -------------------------------------------------------------------------------------------- */

static int on_device(int fd, const char *name)
{
	return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name) + 1);
}

/* connect(2) from a socket that is bound to `device`: 0, an errno, or -1 when it takes longer than 0.1 s. */
static int try_connect(const char *device, struct address to)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), error = -1;

	if (device)
		on_device(fd, device);
	connect(fd, SA(to));
	if (events(fd, POLLOUT, 100) != 0)
		error = number(fd, SOL_SOCKET, SO_ERROR);
	close(fd);
	return error;
}

static int listener_on(const char *device, int port)
{
	struct address any = ipv4("0.0.0.0", port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (device)
		on_device(fd, device);
	if (bind(fd, SA(any)) < 0 || listen(fd, 8) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void test_devices(void)
{
	char text[8];
	int any = listener_on(NULL, 0), own = listener_on("vde0", 0), lo, one, two, out = socket(AF_INET, SOCK_DGRAM, 0);
	struct address here = ipv4("127.0.0.1", port_of(any)), there = ipv4("10.0.0.1", port_of(any));

	is_value("from vde0 to its address", try_connect("vde0", there), 0);
	is_value("from lo to lo", try_connect("lo", here), 0);
	is_value("from vde0 to lo", try_connect("vde0", here), -1);
	is_value("from lo to vde0", try_connect("lo", there), -1);
	here = ipv4("127.0.0.1", port_of(own));
	there = ipv4("10.0.0.1", port_of(own));
	is_value("to a listener on vde0", try_connect(NULL, there), 0);
	is_value("not by lo", try_connect(NULL, here), ECONNREFUSED);
	is_value("nobody else at its port", listener_on(NULL, port_of(own)), -1);
	lo = listener_on("lo", port_of(own));
	ok(lo >= 0, "except on another interface");
	is_value("who is found", try_connect(NULL, here), 0);
	is_value("by where one comes from", try_connect(NULL, there), 0);
	set(lo, SOL_SOCKET, SO_RCVTIMEO, 0);
	one = accept4(lo, NULL, NULL, SOCK_NONBLOCK);
	ok(one >= 0 && name_of(one).v4.sin_addr.s_addr == htonl(INADDR_LOOPBACK), "that of lo");
	close(one);
	close(lo);
	is_value("and closed", try_connect(NULL, here), ECONNREFUSED);
	close(any);
	close(own);
	one = socket(AF_INET, SOCK_DGRAM, 0);
	two = socket(AF_INET, SOCK_DGRAM, 0);
	on_device(one, "vde0");
	on_device(two, "lo");
	bind(one, SA(ipv4("0.0.0.0", 0)));
	is_value("datagram sockets", bind(two, SA(ipv4("0.0.0.0", port_of(one)))), 0);
	sendto(out, "lo", 2, 0, SA(ipv4("127.0.0.1", port_of(one))));
	sendto(out, "vde", 3, 0, SA(ipv4("10.0.0.1", port_of(one))));
	is_value("of lo", recv(two, text, sizeof(text), 0), 2);
	is_value("of vde0", recv(one, text, sizeof(text), 0), 3);
	ok(events(one, POLLIN, 0) == 0 && events(two, POLLIN, 0) == 0, "no more");
	close(one);
	close(two);
	close(out);
}

/* -- Options of TCP that are about time -------------------------------------------------------------------- */

static void test_cork(int family)
{
	char text[16];
	int pair[2];

	connection(family, pair);
	set(pair[0], IPPROTO_TCP, TCP_CORK, 1);
	send(pair[0], "ab", 2, 0);
	is_value("corked", events(pair[1], POLLIN, 60), 0);
	send(pair[0], "cd", 2, 0);
	set(pair[0], IPPROTO_TCP, TCP_CORK, 0);
	is_value("sent together", events(pair[1], POLLIN, 1000), POLLIN);
	is_value("as one", recv(pair[1], text, sizeof(text), 0), 4);
	set(pair[0], IPPROTO_TCP, TCP_CORK, 1);
	send(pair[0], "ef", 2, 0);
	is_value("for a while only", events(pair[1], POLLIN, 1000), POLLIN);
	recv(pair[1], text, sizeof(text), 0);
	send(pair[0], "gh", 2, 0);
	shutdown(pair[0], SHUT_WR);
	is_value("or until the end", recv(pair[1], text, sizeof(text), MSG_WAITALL), 2);
	close_both(pair);
	connection(family, pair);
	set(pair[0], IPPROTO_TCP, TCP_CORK, 1);
	send(pair[0], "ij", 2, 0);
	close(pair[0]);
	is_value("or the socket", recv(pair[1], text, sizeof(text), MSG_WAITALL), 2);
	close(pair[1]);
}

static void test_passive(void)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM }, *list = NULL;
	int udp = socket(AF_INET6, SOCK_DGRAM, 0), tcp = socket(AF_INET6, SOCK_STREAM, 0), in = bound(AF_INET, SOCK_DGRAM);
	struct address name;
	char text[4];

	getaddrinfo(NULL, "80", &hints, &list);
	ok(list && list->ai_family == AF_INET && list->ai_next && list->ai_next->ai_family == AF_INET6, "0.0.0.0 before ::");
	freeaddrinfo(list);
	is_value("an IPv4 address for UDP over IPv6", connect(udp, SA(name_of(in))), 0);
	name = name_of(udp);
	ok(IN6_IS_ADDR_V4MAPPED(&name.v6.sin6_addr), "is mapped");
	send(udp, "x", 1, 0);
	is_value("it arrives", recv(in, text, sizeof(text), 0), 1);
	close(udp);
	udp = socket(AF_INET6, SOCK_DGRAM, 0);
	is_value("in sendto, too", sendto(udp, "xy", 2, 0, SA(name_of(in))), 2);
	is_value("it arrives", recv(in, text, sizeof(text), 0), 2);
	close(udp);
	udp = socket(AF_INET6, SOCK_DGRAM, 0);
	set(udp, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	is_error("not with IPV6_V6ONLY", sendto(udp, "x", 1, 0, SA(name_of(in))), ENETUNREACH);
	is_error("nor to connect", connect(udp, SA(name_of(in))), EAFNOSUPPORT);
	is_error("nor for TCP", connect(tcp, SA(name_of(in))), EINVAL);
	close(udp);
	close(tcp);
	close(in);
}

int main(void)
{
	for (int i = 0; i < 2; i++) {
		int family = i ? AF_INET6 : AF_INET;

		test_filter_options(family, SOCK_DGRAM);
		test_filter_options(family, SOCK_STREAM);
		test_filter_udp(family);
		test_filter_raw(family);
		test_filter_tcp(family);
		test_cork(family);
	}
	test_devices();
	test_passive();
	return done();
}
