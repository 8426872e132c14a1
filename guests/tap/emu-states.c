/* emu-states - TCP sockets in every state, as poll(2), epoll(7) and the calls on them tell: tcp(7), socket(7). */
#define _GNU_SOURCE
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "inet.h"

static int epoll_of(int fd, unsigned events)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){ .events = events });
	return epoll;
}

static unsigned wait_for(int epoll, int ms)
{
	struct epoll_event event;

	return epoll_wait(epoll, &event, 1, ms) == 1 ? event.events : 0;
}

static void test_epoll(int family)
{
	char text[8];
	int pair[2], epoll, edge;

	connection(family, pair);
	epoll = epoll_of(pair[1], EPOLLIN | EPOLLRDHUP);
	edge = epoll_of(pair[1], EPOLLIN | EPOLLRDHUP | EPOLLET);
	is_value("nothing", wait_for(epoll, 0), 0);
	send(pair[0], "abc", 3, 0);
	is_value("EPOLLIN", wait_for(epoll, 2000), EPOLLIN);
	is_value("as edge", wait_for(edge, 2000), EPOLLIN);
	is_value("the level stays", wait_for(epoll, 0), EPOLLIN);
	is_value("the edge does not", wait_for(edge, 0), 0);
	read(pair[1], text, 3);
	is_value("empty again", wait_for(epoll, 0), 0);
	shutdown(pair[0], SHUT_WR);
	is_value("EPOLLRDHUP", wait_for(epoll, 2000), EPOLLIN | EPOLLRDHUP);
	is_value("as edge", wait_for(edge, 2000), EPOLLIN | EPOLLRDHUP);
	close(epoll);
	epoll = epoll_of(pair[1], EPOLLOUT);
	is_value("still writable", wait_for(epoll, 0), EPOLLOUT);
	shutdown(pair[1], SHUT_WR);
	ok((wait_for(epoll, 2000) & EPOLLHUP) != 0, "EPOLLHUP when both are shut");
	close(epoll);
	close(edge);
	close_both(pair);
}

static void test_failed(int family)
{
	fd_set set;
	int server = listener(family, 1), fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll;
	struct address to = name_of(server);

	close(server);
	connect(fd, SA(to));
	epoll = epoll_of(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
	is_value("refused", wait_for(epoll, 2000), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLERR | EPOLLHUP);
	FD_ZERO(&set);
	FD_SET(fd, &set);
	is_value("select says writable", select(fd + 1, NULL, &set, NULL, &(struct timeval){ 0 }), 1);
	is_error("read says why", read(fd, &set, 1), expect_vu() ? ECONNRESET : ECONNREFUSED);
	is_value("then end of file", read(fd, &set, 1), 0);
	close(epoll);
	close(fd);
	fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	connect(fd, SA(to));
	events(fd, POLLOUT, 2000);
	is_value("SO_ERROR", number(fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
	is_error("no peer", getpeername(fd, &to.any, &to.length), ENOTCONN);
	close(fd);
}

static void test_self(int family)
{
	char text[8] = "";
	int fd = bound(family, SOCK_STREAM);

	is_value("connect to itself", connect(fd, SA(name_of(fd))), 0);
	is_value("write", write(fd, "me", 2), 2);
	is_value("read", read(fd, text, sizeof(text)), 2);
	shutdown(fd, SHUT_WR);
	is_value("end", read(fd, text, sizeof(text)), 0);
	close(fd);
}

static void test_reuseport(int family)
{
	struct address to;
	int one = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0), two = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int hits[2] = { 0 }, i, fds[64], three = socket(family, SOCK_STREAM, 0);

	set(one, SOL_SOCKET, SO_REUSEPORT, 1);
	set(two, SOL_SOCKET, SO_REUSEPORT, 1);
	bind(one, SA(loopback(family, 0)));
	to = name_of(one);
	is_value("bind with SO_REUSEPORT", bind(two, SA(to)), 0);
	is_error("not without", bind(three, SA(to)), EADDRINUSE);
	is_value("listen", listen(one, 64), 0);
	is_value("both", listen(two, 64), 0);
	for (i = 0; i < 64; i++) {
		fds[i] = socket(family, SOCK_STREAM, 0);
		connect(fds[i], SA(to));
	}
	for (i = 0; i < 64; i++) {
		int a = accept(one, NULL, NULL), b = accept(two, NULL, NULL);

		hits[0] += a >= 0;
		hits[1] += b >= 0;
		close(a);
		close(b);
		close(fds[i]);
	}
	ok(hits[0] > 0 && hits[1] > 0 && hits[0] + hits[1] == 64, "both get some: %d and %d", hits[0], hits[1]);
	close(one);
	i = socket(family, SOCK_STREAM, 0);
	is_value("one closes, the other listens on", connect(i, SA(to)), 0);
	ok(events(two, POLLIN, 1000) == POLLIN, "and hears");
	close(i);
	close(two);
	is_error("until it closes too", connect(three, SA(to)), ECONNREFUSED);
	close(three);
}

static void test_backlog(void)
{
	struct address to;
	int server = listener(AF_INET, 1), fds[4], i, in_time = 0;

	to = name_of(server);
	for (i = 0; i < 4; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fds[i], SA(to));
	}
	usleep(50000);
	for (i = 0; i < 4; i++)
		in_time += (events(fds[i], POLLOUT, 0) & POLLOUT) != 0;
	ok(in_time >= 2, "the queue has room for two: %d", in_time);
	for (i = 0; i < 4; i++) {
		if (events(server, POLLIN, 3000) != POLLIN)
			break;
		close(accept(server, NULL, NULL));
	}
	is_value("all come in the end", i, 4);
	for (i = 0; i < 4; i++)
		close(fds[i]);
	close(server);
}

static void test_transfer(void)
{
	char text[16], control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec part = { text, 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct address peer = { .length = sizeof(peer.room) };
	int pair[2], local[2], pipes[2], passed, unread = -1;

	connection(AF_INET, pair);
	socketpair(AF_UNIX, SOCK_STREAM, 0, local);
	*CMSG_FIRSTHDR(&message) = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &pair[1], sizeof(int));
	is_value("pass it on", sendmsg(local[0], &message, 0), 1);
	close(pair[1]);
	is_value("receive it", recvmsg(local[1], &message, 0), 1);
	memcpy(&passed, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	is_value("it has its peer", getpeername(passed, &peer.any, &peer.length), 0);
	is_value("peer's port", ntohs(peer.v4.sin_port), port_of(pair[0]));
	pipe(pipes);
	write(pipes[1], "through a pipe", 14);
	is_value("splice into it", splice(pipes[0], NULL, passed, NULL, 14, 0), 14);
	is_value("MSG_WAITALL", recv(pair[0], text, 14, MSG_WAITALL), 14);
	ok(!memcmp(text, "through a pipe", 14), "the bytes");
	is_value("SIOCOUTQ", ioctl(passed, SIOCOUTQ, &unread), 0);
	write(pair[0], "back", 4);
	events(passed, POLLIN, 1000);
	is_value("splice out of it", splice(passed, NULL, pipes[1], NULL, 16, 0), 4);
	is_value("send with MSG_MORE", send(pair[0], "a", 1, MSG_MORE) + send(pair[0], "b", 1, 0), 2);
	is_value("arrives whole", recv(passed, text, 2, MSG_WAITALL), 2);
	fcntl(passed, F_SETFD, FD_CLOEXEC);
	if (fork() == 0)
		execl("/bin/sh", "sh", "-c", "exit 0", NULL);
	is_value("not closed by a child's exec", wait(NULL) > 0 && write(passed, "z", 1) == 1, 1);
	close(pair[0]);
	close(passed);
	close_both(local);
	close_both(pipes);
}

static volatile sig_atomic_t alarms;
static void on_alarm(int signal)
{
	(void)signal;
	alarms++;
}

static void after_ms(int ms)
{
	struct itimerval timer = { .it_value.tv_usec = ms * 1000 };

	setitimer(ITIMER_REAL, &timer, NULL);
}

static void test_signals(void)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct address peer = { .length = sizeof(peer.room) };
	struct timeval soon = { .tv_usec = 50000 };
	char text[8], *large = calloc(1, 8 << 20);
	int server = listener(AF_INET, 5), pair[2], fd;
	ssize_t sent;

	sigaction(SIGALRM, &action, NULL);
	connection(AF_INET, pair);
	after_ms(50);
	is_error("EINTR in recv", recv(pair[0], text, 1, 0), EINTR);
	after_ms(50);
	is_error("EINTR in recvfrom", recvfrom(pair[0], text, 1, 0, &peer.any, &peer.length), EINTR);
	action.sa_flags = SA_RESTART;
	sigaction(SIGALRM, &action, NULL);
	if (fork() == 0) {
		usleep(150000);
		fd = socket(AF_INET, SOCK_STREAM, 0);
		_exit(connect(fd, SA(name_of(server))));
	}
	after_ms(50);
	fd = accept(server, &peer.any, &peer.length);
	ok(fd >= 0 && alarms == 3, "SA_RESTART goes on in accept");
	wait(NULL);
	setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon));
	setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
	for (sent = 1; sent > 0;)
		sent = send(pair[0], large, 8 << 20, 0);
	ok(sent < 0 && errno == EAGAIN, "SO_SNDTIMEO with a full peer");
	is_error("SO_RCVTIMEO", recv(pair[0], text, 1, 0), EAGAIN);
	close(fd);
	close_both(pair);
	close(server);
	free(large);
}

/* SO_LINGER waits in close(2) until the peer has all; keepalive and a user timeout do no harm. */
static void test_linger(void)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 5 };
	struct tcp_info info;
	socklen_t length = sizeof(info);
	char text[4];
	int pair[2];

	connection(AF_INET, pair);
	set(pair[0], SOL_SOCKET, SO_KEEPALIVE, 1);
	set(pair[0], IPPROTO_TCP, TCP_KEEPIDLE, 1);
	set(pair[0], IPPROTO_TCP, TCP_USER_TIMEOUT, 2000);
	setsockopt(pair[0], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	write(pair[0], "last", 4);
	is_value("close", close(pair[0]), 0);
	is_value("all arrives", recv(pair[1], text, 4, MSG_WAITALL), 4);
	is_value("and the end", recv(pair[1], text, 4, 0), 0);
	is_value("TCP_INFO", getsockopt(pair[1], IPPROTO_TCP, TCP_INFO, &info, &length), 0);
	is_value("CLOSE_WAIT", info.tcpi_state, TCP_CLOSE_WAIT);
	write(pair[1], "x", 1);
	usleep(50000);
	is_error("a write to a closed peer", send(pair[1], "x", 1, MSG_NOSIGNAL), EPIPE);
	close(pair[1]);
}

static void test_dual(void)
{
	struct address any = { .v6 = { .sin6_family = AF_INET6 }, .length = sizeof(struct sockaddr_in6) }, peer;
	int server = socket(AF_INET6, SOCK_STREAM, 0), four = socket(AF_INET, SOCK_STREAM, 0), only, fd;

	bind(server, SA(any));
	listen(server, 5);
	any = name_of(server);
	is_value("IPv4 to an IPv6 listener", connect(four, SA(loopback(AF_INET, port_of(server)))), 0);
	peer.length = sizeof(peer.room);
	fd = accept(server, &peer.any, &peer.length);
	ok(fd >= 0 && IN6_IS_ADDR_V4MAPPED(&peer.v6.sin6_addr), "from a mapped address");
	close(fd);
	close(four);
	four = socket(AF_INET, SOCK_STREAM, 0);
	is_error("its port is taken for IPv4 too", bind(four, SA(ipv4("0.0.0.0", port_of(server)))), EADDRINUSE);
	close(server);
	only = socket(AF_INET6, SOCK_STREAM, 0);
	set(only, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	set(only, SOL_SOCKET, SO_REUSEADDR, 1);
	is_value("bind with IPV6_V6ONLY", bind(only, SA(any)), 0);
	listen(only, 5);
	is_error("is not there for IPv4", connect(four, SA(loopback(AF_INET, port_of(only)))), ECONNREFUSED);
	is_error("nor goes to IPv4", connect(only, SA(ipv6("::ffff:127.0.0.1", 9, 0))), EISCONN);
	close(only);
	close(four);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < 2; i++) {
		int family = i ? AF_INET6 : AF_INET;

		test_epoll(family);
		test_failed(family);
		test_self(family);
		test_reuseport(family);
	}
	test_backlog();
	test_transfer();
	test_signals();
	test_linger();
	test_dual();
	return done();
}
