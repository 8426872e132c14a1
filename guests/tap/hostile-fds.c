/*
 * hostile-fds sockets N | table - descriptors without measure.
 *
 *	sockets  opens N sockets (and then until EMFILE), closes them, and does so again
 *	table    closes all descriptors, copies one over all of them, and goes on
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

#define HANG_SECONDS 60
/* Those of standard streams and of whoever started us. */
#define FEW 16

static int fill(int most)
{
	int count = 0;

	while (count < most && socket(AF_INET, count % 2 ? SOCK_STREAM : SOCK_DGRAM, 0) >= 0)
		count++;
	return count;
}

static void sockets(int count)
{
	struct rlimit limit;
	int got, round;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if ((rlim_t)count + FEW > limit.rlim_max)
		count = (int)limit.rlim_max - FEW;
	for (round = 0; round < 2; round++) {
		got = fill(count);
		ok(got == count, "%d of %d sockets", got, count);
		close_range(3, ~0U, 0);
	}
	limit.rlim_cur = 200;
	setrlimit(RLIMIT_NOFILE, &limit);
	got = fill(1000);
	is_error("one more", socket(AF_INET, SOCK_STREAM, 0), EMFILE);
	ok(got == 197, "%d of 197 sockets", got);
	close_range(3, ~0U, 0);
	is_value("the next", socket(AF_INET, SOCK_STREAM, 0), 3);
	limit.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &limit);
	is_error("none at all", socket(AF_INET, SOCK_STREAM, 0), EMFILE);
	is_error("none, by path", open("/proc/net/dev", O_RDONLY), EMFILE);
}

static void table(void)
{
	const int out = fcntl(1, F_DUPFD, 1500);
	struct sockaddr_in any = { .sin_family = AF_INET };
	struct stat st;
	int fd, last;

	for (fd = 0; fd <= 1000; fd++)
		close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	for (last = 0; last < 1024; last++)
		dup2(fd, last);
	fd = open("/proc/net/dev", O_RDONLY);
	for (last = 0; last < 1000; last++)
		bind(last, (struct sockaddr *)&any, sizeof(any));
	close_range(0, 1000, 0);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	last = open("/etc/resolv.conf", O_RDONLY);
	close_range(0, 2, 0);
	dup2(out, 0);
	dup2(out, 1);
	dup2(out, 2);
	is_value("the first free one", fd, 0);
	is_value("the next", last, 1);
	ok(fstat(fd, &st) == 0, "one above them is kept");
}

int main(int argc, char **argv)
{
	alarm(HANG_SECONDS);
	if (argc == 3 && strcmp(argv[1], "sockets") == 0) {
		sockets(atoi(argv[2]));
	} else if (argc == 2 && strcmp(argv[1], "table") == 0) {
		table();
	} else {
		fputs("usage: hostile-fds sockets N | table\n", stderr);
		return 2;
	}
	return done();
}
