/* emu-datagram - connected and unconnected datagram sockets, multicast, broadcast, ports: udp(7), ip(7), ipv6(7). */
#define _GNU_SOURCE
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/epoll.h>
#include <sys/time.h>

#include "inet.h"

/* Address of the Ethernet interface, which is vde0 in stacks: in a plain namespace of the test too. */
#define OWN "10.0.0.1"

/*
 * Sending without an address fails with `wanted`. In umvu the kernel does send(2) on an object of its own: it
 * succeeds, and the error is told like one of the network, by poll(2) and the next call.
 */
static void is_send_error(const char *what, int fd, int wanted)
{
	ssize_t sent = send(fd, "x", 1, MSG_NOSIGNAL);

	if (sent == 1 && expect_vu()) {
		ok((events(fd, 0, 1000) & POLLERR) && number(fd, SOL_SOCKET, SO_ERROR) == wanted, "%s: told later", what);
		return;
	}
	is_error(what, sent, wanted);
}

static void test_connected(int family)
{
	struct address unspecified = { .any.sa_family = AF_UNSPEC, .length = sizeof(struct sockaddr_in6) };
	char text[64];
	int a = bound(family, SOCK_DGRAM), b = bound(family, SOCK_DGRAM), c = bound(family, SOCK_DGRAM);
	int fresh = socket(family, SOCK_DGRAM, 0);

	is_value("no port yet", port_of(fresh), 0);
	is_send_error("send without a peer", fresh, EDESTADDRREQ);
	is_error("sendmsg without a peer", sendmsg(fresh, &(struct msghdr){ 0 }, 0), EDESTADDRREQ);
	is_value("connect", connect(fresh, SA(name_of(a))), 0);
	ok(port_of(fresh) >= 1024, "connect chooses a port");
	is_value("address of the socket", name_of(fresh).any.sa_family, family);
	connect(a, SA(name_of(b)));
	sendto(c, "stranger", 8, 0, SA(name_of(a)));
	is_send_error("still none", b, EDESTADDRREQ);
	sendto(b, "friend", 6, 0, SA(name_of(a)));
	is_value("only the peer is heard", recv(a, text, sizeof(text), 0), 6);
	is_error("the stranger is not", recv(a, text, sizeof(text), MSG_DONTWAIT), EAGAIN);
	is_value("connect elsewhere", connect(a, SA(name_of(c))), 0);
	is_value("sendto elsewhere all the same", sendto(a, "b", 1, 0, SA(name_of(b))), 1);
	is_value("arrives", recv(b, text, sizeof(text), 0), 1);
	is_value("dissolve", connect(a, SA(unspecified)), 0);
	is_error("no peer", getpeername(a, &unspecified.any, &unspecified.length), ENOTCONN);
	is_send_error("no peer to send to", a, EDESTADDRREQ);
	is_value("the port stays", port_of(a) != 0, 1);
	sendto(c, "stranger", 8, 0, SA(name_of(a)));
	is_value("everyone is heard again", recv(a, text, sizeof(text), 0), 8);
	is_error("bind twice", bind(a, SA(loopback(family, 0))), EINVAL);
	close(a);
	close(b);
	close(c);
	close(fresh);
}

static void test_reading(int family)
{
	struct pollfd p = { .events = POLLIN | POLLOUT };
	struct timeval soon = { .tv_usec = 30000 };
	char text[64];
	int a = bound(family, SOCK_DGRAM), b = socket(family, SOCK_DGRAM, 0), size = -1, epoll = epoll_create1(0);
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };

	p.fd = a;
	is_value("writable at once", poll(&p, 1, 0) == 1 && p.revents == POLLOUT, 1);
	connect(b, SA(name_of(a)));
	epoll_ctl(epoll, EPOLL_CTL_ADD, a, &event);
	is_value("nothing yet", epoll_wait(epoll, &event, 1, 0), 0);
	send(b, "three", 5, 0);
	is_value("an edge", epoll_wait(epoll, &event, 1, 2000), 1);
	is_value("no second one", epoll_wait(epoll, &event, 1, 0), 0);
	send(b, "", 0, 0);
	is_value("an empty datagram is one", epoll_wait(epoll, &event, 1, 2000), 1);
	send(b, "x", 1, 0);
	events(a, POLLIN, 1000);
	is_value("FIONREAD", ioctl(a, FIONREAD, &size), 0);
	is_value("the next one's size", size, 5);
	is_value("peek", recv(a, text, 2, MSG_PEEK), 2);
	is_value("peek at its size", recvfrom(a, text, 2, MSG_PEEK | MSG_TRUNC, NULL, NULL), 5);
	is_value("read", read(a, text, sizeof(text)), 5);
	is_value("read the empty one", read(a, text, sizeof(text)), 0);
	is_value("and the last", read(a, text, sizeof(text)), 1);
	is_value("SIOCOUTQ", ioctl(b, SIOCOUTQ, &size), 0);
	setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
	is_error("SO_RCVTIMEO", recv(a, text, sizeof(text), 0), EAGAIN);
	is_error("in recvmsg", recvmsg(a, &(struct msghdr){ .msg_iov = &(struct iovec){ text, 1 }, .msg_iovlen = 1 }, 0), EAGAIN);
	close(epoll);
	close(a);
	close(b);
}

static void test_shutdown(void)
{
	char text[8];
	int a = bound(AF_INET, SOCK_DGRAM), b = socket(AF_INET, SOCK_DGRAM, 0);

	is_error("without a peer", shutdown(b, SHUT_RD), ENOTCONN);
	connect(b, SA(name_of(a)));
	is_error("no direction", shutdown(b, 3), EINVAL);
	is_value("shutdown for writing", shutdown(b, SHUT_WR), 0);
	is_error("no more writing", send(b, "x", 1, MSG_NOSIGNAL), EPIPE);
	sendto(a, "y", 1, 0, SA(name_of(b)));
	is_value("but reading", recv(b, text, sizeof(text), 0), 1);
	is_value("shutdown for reading", shutdown(b, SHUT_RD), 0);
	is_value("is the end", recv(b, text, sizeof(text), 0), 0);
	close(a);
	close(b);
}

static void test_ports(void)
{
	struct address a, any = { .v4 = { .sin_family = AF_INET }, .length = sizeof(struct sockaddr_in) };
	char text[8];
	int one = bound(AF_INET, SOCK_DGRAM), two = socket(AF_INET, SOCK_DGRAM, 0), hits[2] = { 0 }, i;

	a = name_of(one);
	is_error("a port in use", bind(two, SA(a)), EADDRINUSE);
	any.v4.sin_port = a.v4.sin_port;
	is_error("of any address", bind(two, SA(any)), EADDRINUSE);
	is_error("not our address", bind(two, SA(ipv4("192.0.2.1", 0))), EADDRNOTAVAIL);
	close(one);
	is_value("free when closed", bind(two, SA(a)), 0);
	close(two);
	one = socket(AF_INET, SOCK_DGRAM, 0);
	two = socket(AF_INET, SOCK_DGRAM, 0);
	set(one, SOL_SOCKET, SO_REUSEPORT, 1);
	set(two, SOL_SOCKET, SO_REUSEPORT, 1);
	bind(one, SA(a));
	is_value("SO_REUSEPORT", bind(two, SA(a)), 0);
	for (i = 0; i < 64; i++) {
		int from = socket(AF_INET, SOCK_DGRAM, 0);

		sendto(from, "x", 1, 0, SA(a));
		close(from);
	}
	for (i = 0; i < 64; i++) {
		hits[0] += recv(one, text, sizeof(text), MSG_DONTWAIT) == 1;
		hits[1] += recv(two, text, sizeof(text), MSG_DONTWAIT) == 1;
	}
	ok(hits[0] > 0 && hits[1] > 0 && hits[0] + hits[1] == 64, "both get some: %d and %d", hits[0], hits[1]);
	close(one);
	close(two);
}

static void test_stamps(void)
{
	char text[8], control[256];
	struct iovec part = { text, sizeof(text) };
	struct msghdr got = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct timespec *stamp;
	struct in6_pktinfo *info;
	int a = bound(AF_INET6, SOCK_DGRAM), b = socket(AF_INET6, SOCK_DGRAM, 0), *value;

	set(a, SOL_SOCKET, SO_TIMESTAMPNS, 1);
	set(a, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	set(a, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	set(a, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	set(b, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 33);
	set(b, IPPROTO_IPV6, IPV6_TCLASS, 0x28);
	sendto(b, "x", 1, 0, SA(name_of(a)));
	is_value("recvmsg", recvmsg(a, &got, 0), 1);
	stamp = control_of(&got, SOL_SOCKET, SCM_TIMESTAMPNS);
	ok(stamp && stamp->tv_sec > 1600000000 && stamp->tv_nsec < 1000000000, "SO_TIMESTAMPNS");
	info = control_of(&got, IPPROTO_IPV6, IPV6_PKTINFO);
	ok(info && info->ipi6_ifindex == 1 && IN6_IS_ADDR_LOOPBACK(&info->ipi6_addr), "IPV6_PKTINFO");
	value = control_of(&got, IPPROTO_IPV6, IPV6_HOPLIMIT);
	ok(value && *value == 33, "IPV6_HOPLIMIT");
	value = control_of(&got, IPPROTO_IPV6, IPV6_TCLASS);
	ok(value && *value == 0x28, "IPV6_TCLASS");
	sendto(b, "longer than eight", 17, 0, SA(name_of(a)));
	got.msg_controllen = 20;
	is_value("little room", recvmsg(a, &got, 0), 8);
	ok((got.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == (MSG_TRUNC | MSG_CTRUNC), "MSG_TRUNC and MSG_CTRUNC");
	close(a);
	close(b);
}

/* A hop limit and a source for one message. */
static void test_sources(void)
{
	char text[8], control[256], out[CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec part = { text, 1 };
	struct address from = { .length = sizeof(from.room) }, to;
	struct msghdr got = { .msg_name = &from.any, .msg_namelen = sizeof(from.room), .msg_iov = &part, .msg_iovlen = 1,
			      .msg_control = control, .msg_controllen = sizeof(control) };
	struct msghdr sent = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = out, .msg_controllen = sizeof(out) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&sent);
	struct in_pktinfo info = { .ipi_spec_dst.s_addr = inet_addr("127.0.0.9") };
	int a = bound(AF_INET, SOCK_DGRAM), b = socket(AF_INET, SOCK_DGRAM, 0), hops = 5, *value;

	set(a, IPPROTO_IP, IP_RECVTTL, 1);
	set(a, IPPROTO_IP, IP_RECVTOS, 1);
	set(b, IPPROTO_IP, IP_TOS, 0x10);
	*header = (struct cmsghdr){ CMSG_LEN(sizeof(info)), IPPROTO_IP, IP_PKTINFO };
	memcpy(CMSG_DATA(header), &info, sizeof(info));
	header = CMSG_NXTHDR(&sent, header);
	*header = (struct cmsghdr){ CMSG_LEN(sizeof(hops)), IPPROTO_IP, IP_TTL };
	memcpy(CMSG_DATA(header), &hops, sizeof(hops));
	to = name_of(a);
	sent.msg_name = &to.any;
	sent.msg_namelen = to.length;
	is_value("sendmsg", sendmsg(b, &sent, 0), 1);
	is_value("recvmsg", recvmsg(a, &got, 0), 1);
	is_value("from the wanted source", from.v4.sin_addr.s_addr, info.ipi_spec_dst.s_addr);
	value = control_of(&got, IPPROTO_IP, IP_TTL);
	ok(value && *value == 5, "with the wanted TTL");
	value = control_of(&got, IPPROTO_IP, IP_TOS);
	ok(value && *(unsigned char *)value == 0x10, "and IP_TOS");
	header = CMSG_FIRSTHDR(&sent);
	info.ipi_spec_dst.s_addr = inet_addr("192.0.2.7");
	memcpy(CMSG_DATA(header), &info, sizeof(info));
	ok(sendmsg(b, &sent, 0) < 0 && (errno == ENETUNREACH || errno == EINVAL), "a source that is not ours");
	header->cmsg_len = 3;
	is_error("a broken control message", sendmsg(b, &sent, 0), EINVAL);
	close(a);
	close(b);
}

static void test_multicast(void)
{
	struct ip_mreqn join = { .imr_multiaddr.s_addr = inet_addr("224.1.2.3"), .imr_address.s_addr = inet_addr(OWN) };
	struct in_addr own = { inet_addr(OWN) }, shown;
	struct address any = { .v4 = { .sin_family = AF_INET }, .length = sizeof(struct sockaddr_in) }, to;
	socklen_t length = sizeof(shown);
	char text[8];
	int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);

	bind(a, SA(any));
	to = ipv4("224.1.2.3", port_of(a));
	is_value("join", setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof(join)), 0);
	is_error("twice", setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof(join)), EADDRINUSE);
	is_value("IP_MULTICAST_IF", setsockopt(b, IPPROTO_IP, IP_MULTICAST_IF, &own, sizeof(own)), 0);
	is_value("and back", getsockopt(b, IPPROTO_IP, IP_MULTICAST_IF, &shown, &length), 0);
	is_value("the address", shown.s_addr, own.s_addr);
	own.s_addr = inet_addr("192.0.2.1");
	is_error("not one of ours", setsockopt(b, IPPROTO_IP, IP_MULTICAST_IF, &own, sizeof(own)), EADDRNOTAVAIL);
	is_value("send to the group", sendto(b, "group", 5, 0, SA(to)), 5);
	ok(events(a, POLLIN, 1000) == POLLIN, "the sender's own host hears it");
	recv(a, text, sizeof(text), MSG_DONTWAIT);
	set(b, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
	sendto(b, "group", 5, 0, SA(to));
	ok(events(a, POLLIN, 100) == 0, "not without IP_MULTICAST_LOOP");
	is_value("leave", setsockopt(a, IPPROTO_IP, IP_DROP_MEMBERSHIP, &join, sizeof(join)), 0);
	is_error("twice", setsockopt(a, IPPROTO_IP, IP_DROP_MEMBERSHIP, &join, sizeof(join)), EADDRNOTAVAIL);
	join.imr_multiaddr.s_addr = inet_addr("10.1.2.3");
	is_error("no group", setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof(join)), EINVAL);
	join = (struct ip_mreqn){ .imr_multiaddr.s_addr = inet_addr("224.1.2.3"), .imr_ifindex = 99 };
	is_error("no interface", setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof(join)), ENODEV);
	close(a);
	close(b);
}

static void test_multicast6(void)
{
	struct ipv6_mreq join = { .ipv6mr_interface = if_nametoindex("vde0") };
	struct address any = { .v6 = { .sin6_family = AF_INET6 }, .length = sizeof(struct sockaddr_in6) }, to;
	char text[8];
	int a = socket(AF_INET6, SOCK_DGRAM, 0), b = socket(AF_INET6, SOCK_DGRAM, 0), i;
	ssize_t sent = -1;

	bind(a, SA(any));
	to = ipv6("ff02::4321", port_of(a), 0);
	join.ipv6mr_multiaddr = to.v6.sin6_addr;
	is_value("join", setsockopt(a, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &join, sizeof(join)), 0);
	is_error("twice", setsockopt(a, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &join, sizeof(join)), EADDRINUSE);
	is_value("IPV6_MULTICAST_IF", set(b, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)join.ipv6mr_interface), 0);
	/* The link-local address may still be under duplicate address detection. */
	for (i = 0; i < 50 && (sent = sendto(b, "group", 5, 0, SA(to))) < 0 && errno == EADDRNOTAVAIL; i++)
		usleep(100000);
	is_value("send to the group", sent, 5);
	ok(events(a, POLLIN, 1000) == POLLIN, "the sender's own host hears it");
	recv(a, text, sizeof(text), MSG_DONTWAIT);
	set(b, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0);
	sendto(b, "group", 5, 0, SA(to));
	ok(events(a, POLLIN, 100) == 0, "not without IPV6_MULTICAST_LOOP");
	is_value("leave", setsockopt(a, IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, &join, sizeof(join)), 0);
	is_error("twice", setsockopt(a, IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, &join, sizeof(join)), EADDRNOTAVAIL);
	close(a);
	close(b);
}

static void test_broadcast(void)
{
	struct address any = { .v4 = { .sin_family = AF_INET }, .length = sizeof(struct sockaddr_in) };
	int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);

	bind(a, SA(any));
	is_error("not allowed", sendto(b, "x", 1, 0, SA(ipv4("10.0.0.255", port_of(a)))), EACCES);
	is_error("nor to connect", connect(b, SA(ipv4("10.0.0.255", port_of(a)))), EACCES);
	set(b, SOL_SOCKET, SO_BROADCAST, 1);
	is_value("SO_BROADCAST", sendto(b, "x", 1, 0, SA(ipv4("10.0.0.255", port_of(a)))), 1);
	ok(events(a, POLLIN, 1000) == POLLIN, "the sender's own host hears it");
	close(a);
	close(b);
}

int main(void)
{
	for (int i = 0; i < 2; i++) {
		test_connected(i ? AF_INET6 : AF_INET);
		test_reading(i ? AF_INET6 : AF_INET);
	}
	test_shutdown();
	test_ports();
	test_stamps();
	test_sources();
	test_multicast();
	test_multicast6();
	test_broadcast();
	return done();
}
