/*
 * rewrite COUNT - calls chdir("/umvu-real") COUNT times while signals come, in one thread and then in four, and tells
 * about it: directory, descriptors before and after, alarms handled, registers and signal mask kept. The test makes
 * another call of each (test/vm/rewrite.test.ts).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

static volatile int alarms;
static int count;

static void on_alarm(int signal)
{
	(void)signal;
	alarms++;
}

static int descriptors(void)
{
	DIR *list = opendir("/proc/self/fd");
	int number = 0;

	while (readdir(list))
		number++;
	closedir(list);
	return number;
}

/* chdir(2) with known values in all registers that a system call keeps; false when one of them changed. */
static int kept(const char *path, long *result)
{
	register long r8 asm("r8") = 0x1111, r9 asm("r9") = 0x2222, r10 asm("r10") = 0x3333, r12 asm("r12") = 0x4444;
	long rdi = (long)path, rsi = 0x5555, rdx = 0x6666, rax = SYS_chdir;

	asm volatile("syscall"
		     : "+a"(rax), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+r"(r8), "+r"(r9), "+r"(r10), "+r"(r12)
		     :
		     : "rcx", "r11", "memory");
	*result = rax;
	return r8 == 0x1111 && r9 == 0x2222 && r10 == 0x3333 && r12 == 0x4444 && rdi == (long)path && rsi == 0x5555 &&
	       rdx == 0x6666;
}

static void *loop(void *unused)
{
	long result, good = 0;

	(void)unused;
	for (int i = 0; i < count; i++)
		good += kept("/umvu-real", &result) && result == 0;
	return (void *)good;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	struct itimerval often = { { 0, 300 }, { 0, 300 } };
	pthread_t threads[4];
	sigset_t before, after;
	char directory[PATH_MAX];
	int open_before = descriptors();
	long good, total = 0, result;
	void *each;

	count = argc > 1 ? atoi(argv[1]) : 1;
	sigprocmask(SIG_BLOCK, NULL, &before);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	good = (long)loop(NULL);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, loop, NULL);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &each);
		total += (long)each;
	}
	memset(&often, 0, sizeof(often));
	setitimer(ITIMER_REAL, &often, NULL);
	sigprocmask(SIG_BLOCK, NULL, &after);
	printf("%ld %ld %s\n", good, total, getcwd(directory, sizeof(directory)));
	printf("descriptors %d mask %d alarms %d\n", descriptors() - open_before, memcmp(&before, &after, _NSIG / 8),
	       alarms > 0);
	for (int i = 0; i < 2; i++) {
		const char *path = i ? "/umvu-missing" : "/umvu-file";

		kept(path, &result);
		printf("%s %ld %d\n", path, result, descriptors() - open_before);
	}
	return 0;
}
