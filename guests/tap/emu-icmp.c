/* emu-icmp - ping and raw sockets, and what ICMP errors do to sockets: icmp(7), raw(7), ip(7). */
#define _GNU_SOURCE
#include <time.h>
#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>

#include "inet.h"

static void test_ping(int family)
{
	struct {
		struct icmphdr header;
		char data[24];
	} request = { .header.type = family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST, .header.un.echo.sequence = htons(7),
		      .data = "what comes back" }, reply;
	struct address from = { .length = sizeof(from.room) };
	int fd = socket(family, SOCK_DGRAM, family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);

	if (!ok(fd >= 0, "a ping socket"))
		return;
	is_value("sendto", sendto(fd, &request, sizeof(request), 0, SA(loopback(family, 0))), sizeof(request));
	is_value("recvfrom", recvfrom(fd, &reply, sizeof(reply), 0, &from.any, &from.length), sizeof(reply));
	ok(reply.header.type == (family == AF_INET ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY) &&
	   reply.header.un.echo.sequence == htons(7) && !strcmp(reply.data, request.data), "the reply");
	ok(ntohs(reply.header.un.echo.id) == port_of(fd), "its identifier is the port");
	ok(from.v4.sin_family == family, "from the address");
	is_error("too short", sendto(fd, &request, 4, 0, SA(loopback(family, 0))), EINVAL);
	request.header.type = 3;
	is_error("no echo", sendto(fd, &request, sizeof(request), 0, SA(loopback(family, 0))), EINVAL);
	is_value("connect", connect(fd, SA(loopback(family, 0))), 0);
	request.header.type = family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
	is_value("send", send(fd, &request, sizeof(request), 0), sizeof(request));
	is_value("recv", recv(fd, &reply, sizeof(reply), 0), sizeof(reply));
	close(fd);
}

static void test_raw(void)
{
	struct {
		struct iphdr ip;
		struct udphdr udp;
		char data[4];
	} packet = { 0 };
	char bytes[64];
	int raw = socket(AF_INET, SOCK_RAW, IPPROTO_UDP), udp = bound(AF_INET, SOCK_DGRAM);
	int own = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);

	if (!ok(raw >= 0 && own >= 0, "raw sockets"))
		return;
	is_error("no protocol", socket(AF_INET, SOCK_RAW, 0), EPROTONOSUPPORT);
	sendto(udp, "abcd", 4, 0, SA(name_of(udp)));
	is_value("a datagram with its header", recv(raw, bytes, sizeof(bytes), 0), sizeof(packet));
	memcpy(&packet, bytes, sizeof(packet));
	ok(packet.ip.protocol == IPPROTO_UDP && !memcmp(packet.data, "abcd", 4), "is whole");
	recv(udp, bytes, sizeof(bytes), MSG_DONTWAIT);
	memcpy(packet.data, "raw!", 4);
	packet.udp.check = 0;
	packet.ip.check = 0;
	is_value("a packet with its own header", sendto(own, &packet, sizeof(packet), 0, SA(loopback(AF_INET, 0))), sizeof(packet));
	ok(events(udp, POLLIN, 1000) == POLLIN && recv(udp, bytes, 8, 0) == 4 && !memcmp(bytes, "raw!", 4), "arrives");
	is_error("too large", sendto(raw, bytes, 70000, 0, SA(loopback(AF_INET, 0))), EMSGSIZE);
	close(raw);
	close(own);
	close(udp);
}

/* A port of loopback where nobody listens. */
static struct address nobody(int family)
{
	int fd = bound(family, SOCK_DGRAM);
	struct address a = name_of(fd);

	close(fd);
	return a;
}

/* Who sends to a closed port hears of it at the next call, if connected. */
static void test_refused(int family)
{
	char text[8];
	struct iovec part = { text, sizeof(text) };
	struct msghdr got = { .msg_iov = &part, .msg_iovlen = 1 };
	int fd = socket(family, SOCK_DGRAM, 0), peer;

	connect(fd, SA(nobody(family)));
	is_value("send to a closed port", send(fd, "x", 1, 0), 1);
	ok((events(fd, POLLIN, 1000) & POLLERR) != 0, "POLLERR");
	is_value("SO_ERROR", number(fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
	is_value("once", number(fd, SOL_SOCKET, SO_ERROR), 0);
	ok((events(fd, POLLIN, 0) & POLLERR) == 0, "POLLERR is gone");
	send(fd, "x", 1, 0);
	events(fd, POLLIN, 1000);
	is_error("in recvmsg", recvmsg(fd, &got, 0), ECONNREFUSED);
	is_error("once", recvmsg(fd, &got, MSG_DONTWAIT), EAGAIN);
	send(fd, "x", 1, 0);
	is_error("recvmsg waits for it", recvmsg(fd, &got, 0), ECONNREFUSED);
	send(fd, "x", 1, 0);
	events(fd, POLLIN, 1000);
	ok(recv(fd, text, sizeof(text), 0) == -1 && (errno == ECONNREFUSED || (expect_vu() && errno == ECONNRESET)),
	   "in recv: %s", errno_name(errno));
	number(fd, SOL_SOCKET, SO_ERROR);
	peer = bound(family, SOCK_DGRAM);
	connect(fd, SA(name_of(peer)));
	send(fd, "still", 5, 0);
	is_value("the socket goes on", recv(peer, text, sizeof(text), 0), 5);
	sendto(peer, "back", 4, 0, SA(name_of(fd)));
	is_value("both ways", recv(fd, text, sizeof(text), 0), 4);
	close(peer);
	close(fd);
	fd = socket(family, SOCK_DGRAM, 0);
	sendto(fd, "x", 1, 0, SA(nobody(family)));
	ok(events(fd, POLLIN, 100) == 0, "not if unconnected");
	close(fd);
}

/* The queue of errors, with what was sent, and where it came from. */
static void test_queue(int family)
{
	struct address to = nobody(family), name;
	char text[64], control[512];
	struct iovec part = { text, sizeof(text) };
	struct msghdr got = { .msg_name = &name.any, .msg_namelen = sizeof(name.room), .msg_iov = &part, .msg_iovlen = 1,
			      .msg_control = control, .msg_controllen = sizeof(control) };
	struct sock_extended_err *error;
	int v4 = family == AF_INET, level = v4 ? IPPROTO_IP : IPPROTO_IPV6, fd = socket(family, SOCK_DGRAM, 0);

	set(fd, level, v4 ? IP_RECVERR : IPV6_RECVERR, 1);
	is_error("an empty queue", recvmsg(fd, &got, MSG_ERRQUEUE), EAGAIN);
	sendto(fd, "lost", 4, 0, SA(to));
	ok((events(fd, POLLIN, 1000) & POLLERR) != 0, "POLLERR, unconnected too");
	is_value("MSG_ERRQUEUE", recvmsg(fd, &got, MSG_ERRQUEUE), 4);
	ok(!memcmp(text, "lost", 4) && (got.msg_flags & MSG_ERRQUEUE), "what was sent");
	ok(got.msg_namelen == to.length && name.v4.sin_port == to.v4.sin_port, "and where to");
	error = control_of(&got, level, v4 ? IP_RECVERR : IPV6_RECVERR);
	ok(error && error->ee_errno == ECONNREFUSED && error->ee_origin == (v4 ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6),
	   "the error");
	ok(error && error->ee_type == (v4 ? ICMP_DEST_UNREACH : ICMP6_DST_UNREACH) &&
	   error->ee_code == (v4 ? ICMP_PORT_UNREACH : ICMP6_DST_UNREACH_NOPORT), "type and code");
	ok(error && SO_EE_OFFENDER(error)->sa_family == family, "who reported it");
	is_error("no more", recvmsg(fd, &got, MSG_ERRQUEUE), EAGAIN);
	ok((events(fd, POLLIN, 0) & POLLERR) == 0, "POLLERR is gone");
	close(fd);
}

static void test_sizes(void)
{
	static char large[70000];
	int fd = socket(AF_INET, SOCK_DGRAM, 0), six = socket(AF_INET6, SOCK_DGRAM, 0);

	is_error("more than a datagram holds", sendto(fd, large, 65508, 0, SA(loopback(AF_INET, 9))), EMSGSIZE);
	is_error("over IPv6", sendto(six, large, 65528, 0, SA(loopback(AF_INET6, 9))), EMSGSIZE);
	is_value("in fragments", sendto(fd, large, 4000, 0, SA(ipv4("10.0.0.2", 9))), 4000);
	set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
	is_error("without fragments", sendto(fd, large, 4000, 0, SA(ipv4("10.0.0.2", 9))), EMSGSIZE);
	is_value("that fits", sendto(fd, large, 1472, 0, SA(ipv4("10.0.0.2", 9))), 1472);
	connect(fd, SA(ipv4("10.0.0.2", 9)));
	is_value("IP_MTU", number(fd, IPPROTO_IP, IP_MTU), 1500);
	is_error("no route", connect(fd, SA(ipv4("192.0.2.1", 9))), ENETUNREACH);
	is_error("nor to send", sendto(fd, "x", 1, 0, SA(ipv4("192.0.2.1", 9))), ENETUNREACH);
	is_error("in IPv6", sendto(six, "x", 1, 0, SA(ipv6("2001:db8::1", 9, 0))), ENETUNREACH);
	close(fd);
	close(six);
}

int main(void)
{
	test_ping(AF_INET);
	test_ping(AF_INET6);
	test_raw();
	test_refused(AF_INET);
	test_refused(AF_INET6);
	test_queue(AF_INET);
	test_queue(AF_INET6);
	test_sizes();
	return done();
}
