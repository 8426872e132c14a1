/* emu-tcp - TCP sockets in every state, on loopback: what Linux does, a stack in user space does too. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#define BULK (8 << 20)

static struct sockaddr_in loopback(int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int number(int fd, int level, int option)
{
	int value = -1;
	socklen_t length = sizeof(value);

	return getsockopt(fd, level, option, &value, &length) < 0 ? -1 : value;
}

/* What poll(2) says within `ms` of the events in `wanted`. */
static int events(int fd, int wanted, int ms)
{
	struct pollfd p = { .fd = fd, .events = wanted };

	return poll(&p, 1, ms) < 0 ? -1 : p.revents;
}

static int listener(struct sockaddr_in *address, int backlog)
{
	socklen_t length = sizeof(*address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	*address = loopback(0);
	bind(fd, (struct sockaddr *)address, sizeof(*address));
	listen(fd, backlog);
	getsockname(fd, (struct sockaddr *)address, &length);
	return fd;
}

/* A connection: `pair[0]` called, `pair[1]` was accepted. */
static void connection(int pair[2])
{
	struct sockaddr_in address;
	int server = listener(&address, 5);

	pair[0] = socket(AF_INET, SOCK_STREAM, 0);
	is_value("connect", connect(pair[0], (struct sockaddr *)&address, sizeof(address)), 0);
	pair[1] = accept(server, NULL, NULL);
	close(server);
}

static void test_names(void)
{
	struct sockaddr_in a, b;
	socklen_t length = sizeof(a);
	int pair[2], fresh = socket(AF_INET, SOCK_STREAM, 0);

	is_error("peer of a fresh socket", getpeername(fresh, (struct sockaddr *)&a, &length), ENOTCONN);
	length = sizeof(a);
	is_value("name of a fresh socket", getsockname(fresh, (struct sockaddr *)&a, &length), 0);
	ok(a.sin_family == AF_INET && a.sin_port == 0 && a.sin_addr.s_addr == 0, "it is 0.0.0.0:0");
	is_error("shutdown of a fresh socket", shutdown(fresh, SHUT_RDWR), ENOTCONN);
	is_error("accept on it", accept(fresh, (struct sockaddr *)&a, &length), EINVAL);
	ok((events(fresh, POLLIN | POLLOUT, 0) & POLLHUP) != 0, "it polls as hung up");
	close(fresh);
	connection(pair);
	length = sizeof(a);
	getsockname(pair[0], (struct sockaddr *)&a, &length);
	length = sizeof(b);
	is_value("getpeername of an accepted socket", getpeername(pair[1], (struct sockaddr *)&b, &length), 0);
	ok(a.sin_port == b.sin_port && a.sin_addr.s_addr == b.sin_addr.s_addr, "each names the other");
	length = 4;
	is_value("short buffer", getsockname(pair[0], (struct sockaddr *)&a, &length), 0);
	ok(length == sizeof(a), "the true length");
	is_error("bind of a connected socket", bind(pair[0], (struct sockaddr *)&a, sizeof(a)), EINVAL);
	is_error("listen on it", listen(pair[0], 1), EINVAL);
	close(pair[0]);
	close(pair[1]);
}

static void test_refused(void)
{
	struct sockaddr_in address;
	int fd, server = listener(&address, 1);

	close(server);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	is_error("closed port", connect(fd, (struct sockaddr *)&address, sizeof(address)), ECONNREFUSED);
	is_error("once more on the same socket", connect(fd, (struct sockaddr *)&address, sizeof(address)), ECONNREFUSED);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	is_error("without waiting", connect(fd, (struct sockaddr *)&address, sizeof(address)), EINPROGRESS);
	ok((events(fd, POLLOUT, 2000) & POLLERR) != 0, "poll tells of the error");
	is_value("SO_ERROR", number(fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
	is_value("SO_ERROR once only", number(fd, SOL_SOCKET, SO_ERROR), 0);
	close(fd);
	server = listener(&address, 1);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	is_value("a new listener", connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	close(server);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	server = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &server, sizeof(server));
	is_value("its port is free again", bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

static void test_in_progress(void)
{
	struct sockaddr_in address;
	int server = listener(&address, 5), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	is_error("nothing to accept", (fcntl(server, F_SETFL, O_NONBLOCK), accept4(server, NULL, NULL, 0)), EAGAIN);
	ok(events(server, POLLIN, 0) == 0, "a listener without connections is not readable");
	is_error("connect", connect(fd, (struct sockaddr *)&address, sizeof(address)), EINPROGRESS);
	ok(events(fd, POLLOUT, 2000) == POLLOUT, "writable when connected");
	is_value("SO_ERROR", number(fd, SOL_SOCKET, SO_ERROR), 0);
	ok(events(server, POLLIN, 2000) == POLLIN, "the listener is readable");
	is_value("connect again", connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	is_error("and again", connect(fd, (struct sockaddr *)&address, sizeof(address)), EISCONN);
	is_error("nothing to read", read(fd, &address, 1), EAGAIN);
	close(fd);
	close(server);
}

static void test_half_close(void)
{
	char text[8];
	int pair[2], unread = 0;

	connection(pair);
	is_value("write", write(pair[0], "abc", 3), 3);
	ok((events(pair[1], POLLIN, 2000) & POLLIN) != 0, "readable");
	ok(ioctl(pair[1], FIONREAD, &unread) == 0 && unread == 3, "FIONREAD");
	is_value("peek", recv(pair[1], text, 8, MSG_PEEK), 3);
	is_value("shutdown", shutdown(pair[0], SHUT_WR), 0);
	is_value("read", read(pair[1], text, 8), 3);
	is_value("end of file", read(pair[1], text, 8), 0);
	ok((events(pair[1], POLLIN | POLLRDHUP, 2000) & POLLRDHUP) != 0, "POLLRDHUP");
	is_error("write after shutdown", send(pair[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	is_value("the other way", write(pair[1], "def", 3), 3);
	is_value("is open", read(pair[0], text, 8), 3);
	close(pair[0]);
	close(pair[1]);
}

static void test_reset(void)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };
	char byte;
	int pair[2];

	connection(pair);
	setsockopt(pair[0], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(pair[0]);
	is_error("reset by SO_LINGER", read(pair[1], &byte, 1), ECONNRESET);
	close(pair[1]);
	connection(pair);
	write(pair[0], "unread", 6);
	events(pair[1], POLLIN, 2000);
	close(pair[1]);
	is_error("reset by unread bytes", read(pair[0], &byte, 1), ECONNRESET);
	close(pair[0]);
}

static void *sink(void *arg)
{
	static char buffer[100000];
	long *sum = arg, fd = *sum;
	ssize_t got;
	unsigned long hash = 5381, total = 0;

	while ((got = read((int)fd, buffer, sizeof(buffer))) > 0) {
		total += (unsigned long)got;
		for (ssize_t i = 0; i < got; i++)
			hash = hash * 33 + (unsigned char)buffer[i];
	}
	sum[1] = (long)total;
	sum[2] = (long)hash;
	return NULL;
}

/* Many bytes through small buffers, a file by sendfile(2), and a close with all of it still on its way. */
static void test_bulk(int buffer)
{
	unsigned char *bytes = malloc(BULK);
	unsigned long hash = 5381;
	char path[] = "/tmp/emu-tcp.XXXXXX";
	long result[3];
	size_t done = 0;
	off_t offset = 0;
	pthread_t thread;
	struct sockaddr_in address;
	int server = listener(&address, 5), fd = socket(AF_INET, SOCK_STREAM, 0), file = mkstemp(path), accepted;

	unlink(path);
	for (size_t i = 0; i < BULK; i++)
		bytes[i] = (unsigned char)(i * 2654435761u >> 13);
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < BULK; i++)
			hash = hash * 33 + bytes[i];
	if (buffer) {
		setsockopt(server, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	}
	connect(fd, (struct sockaddr *)&address, sizeof(address));
	accepted = accept(server, NULL, NULL);
	result[0] = accepted;
	pthread_create(&thread, NULL, sink, result);
	while (done < BULK) {
		ssize_t sent = write(fd, bytes + done, BULK - done);
		if (sent < 0)
			break;
		done += (size_t)sent;
	}
	is_value("all written", done, BULK);
	is_value("file", write(file, bytes, BULK), BULK);
	while (offset < BULK && sendfile(fd, file, &offset, BULK) > 0)
		;
	is_value("sendfile", offset, BULK);
	close(fd);
	pthread_join(thread, NULL);
	is_value("all arrived", result[1], 2L * BULK);
	ok((unsigned long)result[2] == hash, "unchanged");
	close(accepted);
	close(server);
	close(file);
	free(bytes);
}

static volatile sig_atomic_t alarms;
static void on_alarm(int signal)
{
	(void)signal;
	alarms++;
}

static void test_interrupted(void)
{
	struct sockaddr_in address, peer;
	socklen_t length = sizeof(peer);
	struct sigaction action = { .sa_handler = on_alarm };
	struct timeval short_time = { .tv_usec = 50000 };
	int server = listener(&address, 5);

	sigaction(SIGALRM, &action, NULL);
	alarm(1);
	is_error("accept and a signal", accept(server, (struct sockaddr *)&peer, &length), EINTR);
	ok(alarms == 1, "the handler ran");
	setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &short_time, sizeof(short_time));
	is_error("accept with SO_RCVTIMEO", accept(server, (struct sockaddr *)&peer, &length), EAGAIN);
	close(server);
}

static void test_options(void)
{
	struct tcp_info info;
	socklen_t length = sizeof(info);
	int pair[2], one = 1, seven = 7;

	connection(pair);
	is_value("SO_TYPE", number(pair[1], SOL_SOCKET, SO_TYPE), SOCK_STREAM);
	is_value("SO_DOMAIN", number(pair[1], SOL_SOCKET, SO_DOMAIN), AF_INET);
	is_value("SO_PROTOCOL", number(pair[1], SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
	is_value("SO_ACCEPTCONN", number(pair[1], SOL_SOCKET, SO_ACCEPTCONN), 0);
	is_value("set TCP_NODELAY", setsockopt(pair[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
	is_value("get TCP_NODELAY", number(pair[0], IPPROTO_TCP, TCP_NODELAY), 1);
	is_value("set TCP_KEEPIDLE", setsockopt(pair[0], IPPROTO_TCP, TCP_KEEPIDLE, &seven, sizeof(seven)), 0);
	is_value("get TCP_KEEPIDLE", number(pair[0], IPPROTO_TCP, TCP_KEEPIDLE), 7);
	is_value("TCP_INFO", getsockopt(pair[0], IPPROTO_TCP, TCP_INFO, &info, &length), 0);
	ok(info.tcpi_state == TCP_ESTABLISHED, "established");
	is_error("short value", setsockopt(pair[0], SOL_SOCKET, SO_KEEPALIVE, &one, 1), EINVAL);
	is_error("wild pointer", setsockopt(pair[0], SOL_SOCKET, SO_KEEPALIVE, (void *)1, 4), EFAULT);
	is_error("unknown option", setsockopt(pair[0], IPPROTO_TCP, 9999, &one, sizeof(one)), ENOPROTOOPT);
	is_error("unknown level", setsockopt(pair[0], 9999, 1, &one, sizeof(one)), ENOPROTOOPT);
	close(pair[0]);
	close(pair[1]);
}

/* The descriptor outlives fork, dup and exec of others like any other. */
static void test_shared(void)
{
	char text[8] = "";
	int pair[2], copy, status = -1;
	pid_t child;

	connection(pair);
	copy = dup(pair[1]);
	close(pair[1]);
	child = fork();
	if (child == 0) {
		struct sockaddr_in peer;
		socklen_t length = sizeof(peer);

		_exit(getpeername(copy, (struct sockaddr *)&peer, &length) != 0 || write(copy, "child", 5) != 5);
	}
	close(copy);
	waitpid(child, &status, 0);
	is_value("the child", status, 0);
	is_value("read", read(pair[0], text, sizeof(text)), 5);
	is_value("end when the last copy is closed", read(pair[0], text, sizeof(text)), 0);
	close(pair[0]);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	test_names();
	test_refused();
	test_in_progress();
	test_half_close();
	test_reset();
	test_bulk(0);
	test_bulk(2000);
	test_interrupted();
	test_options();
	test_shared();
	return done();
}
