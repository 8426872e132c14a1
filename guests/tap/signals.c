/*
 * signals - trapped calls under a storm of signals: none fails, none hangs, every one is done once.
 *
 * One thing no supervisor can help: a signal that comes in the microseconds before a notification is received
 * interrupts the call (seccomp(2), SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV). The kernel then restarts it, but for a
 * handler without SA_RESTART it fails with EINTR. Nothing has been done then, and a second try succeeds.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

#define PERIOD_US 1000
#define SECONDS 1.0

static volatile sig_atomic_t alarms;

static void count_alarm(int sig)
{
	(void)sig;
	alarms++;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* True where a call may be tried again: it failed with EINTR where that cannot be helped. */
static bool excused(int flags)
{
	return errno == EINTR && !(flags & SA_RESTART) && expect_vu();
}

static void storm(const char *name, int flags)
{
	struct sigaction action = { .sa_handler = count_alarm, .sa_flags = flags };
	const struct itimerval every = { { 0, PERIOD_US }, { 0, PERIOD_US } }, off = { 0 };
	int sockets = 0, stats = 0, calls = 0, error = 0, first, last;
	double end = now() + SECONDS;
	struct stat st;

	sigaction(SIGALRM, &action, NULL);
	first = dup(0);
	close(first);
	alarms = 0;
	setitimer(ITIMER_REAL, &every, NULL);
	while (now() < end) {
		int fd, result;

		calls++;
		do
			fd = socket(AF_INET, SOCK_DGRAM, 0);
		while (fd < 0 && excused(flags));
		if (fd < 0)
			error = errno;
		else if (close(fd) == 0)
			sockets++;
		do
			result = stat("/etc/passwd", &st);
		while (result < 0 && excused(flags));
		if (result == 0)
			stats++;
		else
			error = errno;
	}
	setitimer(ITIMER_REAL, &off, NULL);
	last = dup(0);
	close(last);
	ok(sockets == calls && stats == calls, "%s: all calls succeed%s%s", name, error ? ": " : "", error ? errno_name(error) : "");
	ok(alarms > 100, "%s: signals arrived meanwhile", name);
	ok(first == last, "%s: no descriptor leaked", name);
}

int main(void)
{
	storm("SA_RESTART", SA_RESTART);
	storm("without SA_RESTART", 0);
	return done();
}
