/*
 * parked.c - calls that block, and what may happen to them: the guest's side of test/vm/parking.test.ts.
 *
 * Blocked are mount(2), whose source tells the test's handler what to do, and socket(2), which is answered
 * with a descriptor. Each line of output is about one call: result, error, calls of the signal handler,
 * milliseconds.
 */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

static volatile sig_atomic_t handled;
static const char *handler_calls;

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int call(const char *what)
{
	return mount(what, "/parked", "parked", 0, NULL);
}

static void on_signal(int sig)
{
	const int saved = errno;

	(void)sig;
	handled++;
	if (handler_calls)
		call(handler_calls);
	errno = saved;
}

static void handle(int sig, int flags)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };

	sigaction(sig, &action, NULL);
}

/* SIGALRM after `first` milliseconds, then every `interval`. */
static void alarm_ms(long first, long interval)
{
	const struct itimerval timer = {
		.it_value = { .tv_usec = first * 1000 },
		.it_interval = { .tv_usec = interval * 1000 },
	};

	setitimer(ITIMER_REAL, &timer, NULL);
}

static void report(const char *name, int result, int error, long start)
{
	printf("%s %d %s %d %ld\n", name, result, result < 0 ? errno_name(error) : "-", (int)handled, now() - start);
	fflush(stdout);
}

static void *block(void *what)
{
	const long start = now();
	const int result = call(what);

	report(what, result, errno, start);
	return NULL;
}

static void block_in_threads(int count)
{
	pthread_t threads[64];
	int i;

	for (i = 0; i < count; i++)
		pthread_create(&threads[i], NULL, block, "settle");
	for (i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

/* A descriptor comes as the answer; what can be read from it is printed. */
static void receive_descriptor(void)
{
	const long start = now();
	const int fd = socket(AF_INET, SOCK_STREAM, 0);
	char text[16] = "";

	report("socket", fd, errno, start);
	if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
		printf("read %s\n", text);
}

static void block_beside_child(void)
{
	const pid_t child = fork();

	if (child == 0) {
		usleep(60000);
		_exit(0);
	}
	block("settle");
	waitpid(child, NULL, 0);
}

static void *exec_soon(void *unused)
{
	usleep(60000);
	execlp("echo", "echo", "executed", NULL);
	return unused;
}

/* execve(2) while this thread, the main one, or another one is blocked. */
static void block_and_exec(int main_blocks)
{
	pthread_t thread;

	pthread_create(&thread, NULL, main_blocks ? exec_soon : block, "never");
	if (main_blocks)
		block("never");
	else
		exec_soon(NULL);
}

/* Dies should it ever call ppoll(2), as sandboxed programs may. */
static void forbid_ppoll(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ppoll, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { .len = sizeof(code) / sizeof(*code), .filter = code };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* What is to happen besides the call. */
static void prepare(const char *event)
{
	if (!strcmp(event, "alarm")) {
		handle(SIGALRM, 0);
		alarm_ms(100, 0);
	} else if (!strcmp(event, "alarm-restart")) {
		handle(SIGALRM, SA_RESTART);
		alarm_ms(100, 0);
	} else if (!strcmp(event, "alarm-calls")) {
		handler_calls = "other";
		handle(SIGALRM, SA_RESTART);
		alarm_ms(100, 0);
	} else if (!strcmp(event, "storm")) {
		handle(SIGALRM, SA_RESTART);
		alarm_ms(1, 1);
	} else if (!strcmp(event, "cont")) {
		handle(SIGCONT, 0);
	} else if (!strcmp(event, "own-filter")) {
		forbid_ppoll();
	}
}

/* parked EVENT CALL */
int main(int argc, char **argv)
{
	char *what;

	if (argc < 3) {
		puts("1..0 # SKIP run by test/vm/parking.test.ts");
		return 0;
	}
	prepare(argv[1]);
	what = argv[2];
	if (!strcmp(what, "threads"))
		block_in_threads(20);
	else if (!strcmp(what, "socket"))
		receive_descriptor();
	else if (!strcmp(what, "child"))
		block_beside_child();
	else if (!strcmp(what, "exec-main"))
		block_and_exec(1);
	else if (!strcmp(what, "exec-thread"))
		block_and_exec(0);
	else
		block(what);
	/* So that the supervisor hears of an interruption before it hears of our end. */
	usleep(30000);
	return 0;
}
