/* emu-hostile - calls that no decent program makes. Whoever answers them survives, and goes on working. */
#define _GNU_SOURCE
#include <limits.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "inet.h"

static unsigned state = 12345;
static unsigned any(unsigned below)
{
	state = state * 1103515245 + 12345;
	return (state >> 8) % below;
}

static int kind(int i)
{
	static const int KINDS[][3] = {
		{ AF_INET, SOCK_STREAM, 0 },	    { AF_INET, SOCK_DGRAM, 0 },		 { AF_INET6, SOCK_STREAM, 0 },
		{ AF_INET6, SOCK_DGRAM, 0 },	    { AF_INET, SOCK_DGRAM, IPPROTO_ICMP }, { AF_INET, SOCK_RAW, IPPROTO_UDP },
		{ AF_INET6, SOCK_RAW, IPPROTO_UDP },
	};
	int n = sizeof(KINDS) / sizeof(*KINDS);

	return socket(KINDS[i % n][0], KINDS[i % n][1] | SOCK_NONBLOCK, KINDS[i % n][2]);
}
#define KINDS 7

/* Every option to every value, of every length. */
static void test_options(void)
{
	static const int LEVELS[] = { SOL_SOCKET, IPPROTO_IP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_IPV6, IPPROTO_ICMPV6, 136, 255, 270 };
	static const int VALUES[] = { 0, 1, -1, INT_MAX, INT_MIN };
	int answered = 0;

	for (int i = 0; i < KINDS; i++) {
		int fd = kind(i);

		for (unsigned l = 0; l < sizeof(LEVELS) / sizeof(*LEVELS); l++) {
			for (int name = -1; name < 80; name++) {
				int value[64];
				socklen_t length = any(sizeof(value));

				for (unsigned v = 0; v < 64; v++)
					value[v] = VALUES[any(5)];
				setsockopt(fd, LEVELS[l], name, value, length);
				set(fd, LEVELS[l], name, VALUES[any(5)]);
				setsockopt(fd, LEVELS[l], name, value, INT_MAX);
				setsockopt(fd, LEVELS[l], name, NULL, 4);
				getsockopt(fd, LEVELS[l], name, value, &length);
				length = UINT_MAX;
				getsockopt(fd, LEVELS[l], name, value, &length);
				getsockopt(fd, LEVELS[l], name, (void *)1, NULL);
				answered++;
			}
		}
		close(fd);
	}
	is_value("every option", answered, KINDS * 9 * 81);
}

static void test_messages(void)
{
	static char bytes[4096], control[4096];
	struct address to = loopback(AF_INET, 9), from;
	struct iovec parts[8];
	struct mmsghdr many[4];
	int answered = 0, i;

	for (i = 0; i < 3000; i++) {
		int fd = kind(i);

		for (unsigned p = 0; p < 8; p++)
			parts[p] = (struct iovec){ any(9) ? bytes : NULL, any(9) ? any(sizeof(bytes)) : (size_t)any(3) - 1 };
		for (unsigned c = 0; c < sizeof(control); c += 4)
			*(unsigned *)(control + c) = any(4) ? any(60) : any(UINT_MAX);
		for (unsigned m = 0; m < 4; m++) {
			many[m].msg_hdr = (struct msghdr){ any(2) ? (void *)&to : (void *)&from, any(6) ? to.length : any(UINT_MAX),
				parts, any(9) ? any(8) : (size_t)any(UINT_MAX) << any(32), control, any(9) ? any(200) : any(UINT_MAX), 0 };
		}
		sendmsg(fd, &many[0].msg_hdr, MSG_NOSIGNAL | MSG_DONTWAIT | (int)any(INT_MAX));
		recvmsg(fd, &many[1].msg_hdr, MSG_DONTWAIT | (int)any(INT_MAX));
		sendmmsg(fd, many, any(5), MSG_NOSIGNAL | MSG_DONTWAIT);
		recvmmsg(fd, many, any(5), MSG_DONTWAIT, NULL);
		sendto(fd, bytes, any(9) ? any(4096) : (size_t)-1, MSG_NOSIGNAL, any(9) ? &to.any : (void *)1, any(200));
		recvfrom(fd, bytes, any(4096), MSG_DONTWAIT, &from.any, any(2) ? &from.length : (void *)1);
		bind(fd, &to.any, any(200));
		connect(fd, any(3) ? &to.any : (void *)bytes, any(200));
		getsockname(fd, &from.any, any(2) ? &from.length : NULL);
		close(fd);
		answered++;
	}
	is_value("messages and addresses at random", answered, 3000);
}

/* Closed, or given up by a dying process, in every state. */
static void leave(int how)
{
	char byte;
	int server = listener(AF_INET, 2), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), accepted = -1;

	fcntl(server, F_SETFL, O_NONBLOCK);
	if (how & 1)
		connect(fd, SA(name_of(server)));
	if (how & 2)
		events(fd, POLLOUT, 1);
	if (how & 4)
		events(server, POLLIN, 1);
	if (how & 8)
		accepted = accept4(server, NULL, NULL, SOCK_NONBLOCK);
	if (how & 16)
		send(fd, "unread", 6, MSG_NOSIGNAL);
	if (how & 32)
		shutdown(fd, SHUT_WR);
	if (how & 64)
		shutdown(accepted, SHUT_RDWR);
	if (how & 128)
		recv(accepted, &byte, 1, 0);
	if (how & 256)
		close(server);
	if (how & 512)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
	close(fd);
	close(accepted);
	if (!(how & 256))
		close(server);
}

static void test_closing(void)
{
	int how, fd, left = 0;

	for (how = 0; how < 1024; how++)
		leave(how);
	is_value("closed in every state", how, 1024);
	for (int i = 0; i < 20; i++) {
		if (fork() == 0) {
			signal(SIGALRM, SIG_DFL);
			ualarm(1000 + any(20000), 0);
			for (;;)
				leave((int)any(1024));
		}
		state += 7;
	}
	while (wait(NULL) > 0)
		left++;
	is_value("killed in every state", left, 20);
	for (int i = 0; i < 20; i++) {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fd, SA(ipv4("10.0.0.99", 9)));
		close(fd);
	}
	ok(true, "closed while connecting to nobody");
}

/* More sockets than anybody has descriptors for, one after the other. */
static void test_many(void)
{
	char byte;
	int i, fd, other;

	for (i = 0; i < 7 * 600; i++) {
		fd = kind(i);
		if (fd < 0)
			break;
		close(fd);
	}
	is_value("sockets that are never used", i, 7 * 600);
	for (i = 0; i < 2000; i++) {
		fd = bound(AF_INET, SOCK_DGRAM);
		other = socket(AF_INET, SOCK_DGRAM, 0);
		if (sendto(other, "x", 1, 0, SA(name_of(fd))) != 1 || recv(fd, &byte, 1, 0) != 1)
			break;
		close(fd);
		close(other);
	}
	ok(i == 2000, "and that are used once: %d, %s", i, i < 2000 ? errno_name(errno) : "done");
}

int main(void)
{
	char text[8];
	int pair[2];

	signal(SIGPIPE, SIG_IGN);
	test_options();
	test_messages();
	test_closing();
	test_many();
	connection(AF_INET6, pair);
	is_value("and all goes on", write(pair[0], "well", 4), 4);
	is_value("as ever", recv(pair[1], text, 4, MSG_WAITALL), 4);
	close_both(pair);
	return done();
}
