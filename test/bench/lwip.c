/*
 * Both ends of what test/bench/lwip.ts measures. Times are of CLOCK_MONOTONIC.
 *
 *	lwip echo PORT			serves for ever: gives back what it gets, and closes with the peer
 *	lwip connect HOST PORT SECONDS	connects and closes; prints how often in a second
 *	lwip requests HOST PORT N COUNT	opens N connections, sends COUNT requests of one byte, each over the next
 *					connection; prints microseconds for a request and its answer
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static struct sockaddr_in address_of(const char *host, const char *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };

	if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
		errx(1, "%s: not an address", host);
	return address;
}

static int connected(const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		err(1, "socket");
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0)
		err(1, "connect");
	return fd;
}

static void watch(int poll, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) != 0)
		err(1, "epoll_ctl");
}

static void answer(int fd)
{
	char bytes[65536];
	ssize_t got = read(fd, bytes, sizeof(bytes));

	if (got <= 0 || write(fd, bytes, got) != got)
		close(fd);
}

static void echo(const char *port)
{
	struct sockaddr_in address = address_of("0.0.0.0", port);
	struct epoll_event events[64];
	int poll = epoll_create1(0), listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(listener, 1024) != 0)
		err(1, "port %s", port);
	watch(poll, listener);
	puts("ready");
	fflush(stdout);
	for (;;) {
		int count = epoll_wait(poll, events, 64, -1);

		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;

			if (fd != listener) {
				answer(fd);
				continue;
			}
			while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0)
				watch(poll, fd);
		}
	}
}

static void connects(const struct sockaddr_in *address, double seconds)
{
	double start = now(), end = start + seconds;
	long count = 0;

	for (; now() < end; count++)
		close(connected(address));
	printf("%.0f\n", count / (now() - start));
}

static void requests(const struct sockaddr_in *address, int connections, int count)
{
	int *fds = calloc(connections, sizeof(*fds)), one = 1;
	double start;

	for (int i = 0; i < connections; i++) {
		fds[i] = connected(address);
		setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	}
	start = now();
	for (int i = 0; i < count; i++) {
		/* A step that is coprime to the usual numbers: no neighbours in a row. */
		int fd = fds[(i * 7919L) % connections];
		char byte = (char)i, back;

		if (write(fd, &byte, 1) != 1 || read(fd, &back, 1) != 1 || back != byte)
			err(1, "request %d", i);
	}
	printf("%.2f\n", (now() - start) / count * 1e6);
}

int main(int argc, char *argv[])
{
	struct rlimit files;
	struct sockaddr_in address;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (argc == 3 && !strcmp(argv[1], "echo"))
		echo(argv[2]);
	if (argc < 5)
		errx(2, "see the source");
	address = address_of(argv[2], argv[3]);
	if (!strcmp(argv[1], "connect"))
		connects(&address, atof(argv[4]));
	else if (argc == 6 && !strcmp(argv[1], "requests"))
		requests(&address, atoi(argv[4]), atoi(argv[5]));
	else
		errx(2, "see the source");
	return 0;
}
