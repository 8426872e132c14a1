/*
 * hostile-kill MS WORKERS SEED - processes that are killed in the middle of calls. Each worker does nothing but
 * trapped calls of one kind, from several threads; it is killed, or exits by itself, after a time that is drawn at
 * random, and another takes its place. A worker that is left over cannot be killed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

#define MOST_WORKERS 64
/* Most of a round trip is shorter than this. */
#define LONGEST_LIFE_US 3000

static const char *mount_point;

static void sockets(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		close(fd);
}

static void stats(void)
{
	struct stat st;

	stat("/proc/self/net/tcp", &st);
	stat("/dev/net/a", &st);
}

static void opens(void)
{
	int fd = open("/proc/net/dev", O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	fd = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
}

static void mounts(void)
{
	if (mount("vdestack", mount_point, "vunetioth", 0, "null://") == 0)
		umount2(mount_point, 0);
}

static void views(void)
{
	char text[512];

	vu_call(VU_NEWVIEW, 0, 0, 0, 0);
	vu_call(VU_MOUNTS, (long)text, sizeof(text), 0, 0);
	vu_call(VU_MSOCKET, (long)"/dev/net/a", AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void (*const kinds[])(void) = { sockets, stats, opens, mounts, views };
#define KINDS (int)(sizeof(kinds) / sizeof(*kinds))

static void *repeat(void *kind)
{
	for (;;)
		((void (*)(void))kind)();
	return NULL;
}

static _Noreturn void work(int kind, bool exits, long life)
{
	pthread_t thread;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pthread_create(&thread, NULL, repeat, (void *)kinds[kind]);
	if (!exits)
		repeat((void *)kinds[kind]);
	usleep((useconds_t)life);
	_exit(0);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
	const int workers = argc == 4 ? atoi(argv[2]) : 0;
	pid_t pids[MOST_WORKERS] = { 0 };
	char text[512], target[64];
	long killed = 0, exited = 0, other = 0;
	double end;

	if (workers < 1 || workers > MOST_WORKERS) {
		fputs("usage: hostile-kill MS WORKERS SEED\n", stderr);
		return 2;
	}
	snprintf(target, sizeof(target), "/dev/net/kill%d", (int)getpid());
	mount_point = target;
	srandom((unsigned)atoi(argv[3]));
	for (end = now() + atoi(argv[1]); now() < end;) {
		const int i = (int)(random() % workers);
		const bool exits = random() % 4 == 0;
		int status;

		if (pids[i] > 0) {
			usleep((useconds_t)(random() % LONGEST_LIFE_US) / (useconds_t)workers);
			kill(pids[i], SIGKILL);
			if (waitpid(pids[i], &status, 0) != pids[i])
				other++;
			else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
				killed++;
			else
				exited++;
		}
		pids[i] = fork();
		if (pids[i] == 0)
			work((int)(random() % KINDS), exits, random() % LONGEST_LIFE_US);
	}
	for (int i = 0; i < workers; i++) {
		if (pids[i] <= 0)
			continue;
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	printf("# %ld killed, %ld exited\n", killed, exited);
	ok(killed > 0 && other == 0, "workers end when they are killed");
	/* The last worker may have left it mounted. */
	while (umount2(mount_point, MNT_DETACH) == 0)
		continue;
	ok(vu_call(VU_INFO, (long)text, sizeof(text), 0, 0) > 0 || !expect_vu(), "the supervisor is there");
	return done();
}
