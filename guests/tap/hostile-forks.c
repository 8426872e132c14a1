/*
 * hostile-forks crowd|pids|threads|views N - processes and threads of every kind, too many of them.
 *
 *	crowd    N children of each kind, all at once, each connects to a server of this process
 *	pids     N short processes one after the other: process ids come round (pid_max(5))
 *	threads  N short threads one after the other, each with a trapped call
 *	views    N views inside each other, and their end
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#define HANG_SECONDS 60
#define STACK_SIZE 65536

static struct sockaddr_in server;
static int results[2];

/* What each of a crowd does: one connection, and one byte to say that it was made. */
static void connect_once(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char good = fd >= 0 && connect(fd, (struct sockaddr *)&server, sizeof(server)) == 0 ? '+' : '-';

	(void)!write(results[1], &good, 1);
	if (fd >= 0)
		close(fd);
}

static int child(void *unused)
{
	(void)unused;
	connect_once();
	_exit(0);
}

static int thread_child(void *unused)
{
	(void)unused;
	connect_once();
	syscall(SYS_exit, 0);
	return 0;
}

static void *thread(void *unused)
{
	connect_once();
	return unused;
}

/* Each starts one of its kind that connects. False when there was none to start. */
static bool by_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		child(NULL);
	return pid > 0;
}

static bool by_vfork(void)
{
	pid_t pid = vfork();

	if (pid == 0)
		child(NULL);
	return pid > 0;
}

static bool by_double_fork(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (fork() == 0) {
			setsid();
			child(NULL);
		}
		_exit(0);
	}
	return pid > 0;
}

static bool by_clone(int flags, int (*start)(void *))
{
	/* Not given back: it is in use until the child ends. */
	char *stack = malloc(STACK_SIZE);

	return clone(start, stack + STACK_SIZE, flags, NULL) > 0;
}

/* A child of our parent, the bash or launcher that started us. */
static bool by_clone_parent(void)
{
	return by_clone(CLONE_PARENT | SIGCHLD, child);
}
static bool by_clone_files(void)
{
	return by_clone(CLONE_FILES | CLONE_FS | SIGCHLD, child);
}
static bool by_clone_vm(void)
{
	return by_clone(CLONE_VM | CLONE_FILES | SIGCHLD, child);
}
static bool by_clone_thread(void)
{
	return by_clone(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, thread_child);
}
static bool by_pthread(void)
{
	pthread_attr_t attributes;
	pthread_t id;
	bool started;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	started = pthread_create(&id, &attributes, thread, NULL) == 0;
	pthread_attr_destroy(&attributes);
	return started;
}

static void crowd(int count)
{
	static const struct {
		const char *name;
		bool (*start)(void);
	} kinds[] = {
		{ "fork", by_fork }, { "vfork", by_vfork }, { "double fork", by_double_fork },
		{ "CLONE_PARENT", by_clone_parent }, { "CLONE_FILES", by_clone_files }, { "CLONE_VM", by_clone_vm },
		{ "CLONE_THREAD", by_clone_thread }, { "pthread", by_pthread },
	};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t length = sizeof(server);
	size_t k;
	int i;

	server = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	is_value("bind", bind(listener, (struct sockaddr *)&server, sizeof(server)), 0);
	is_value("listen", listen(listener, 4096), 0);
	getsockname(listener, (struct sockaddr *)&server, &length);
	is_value("pipe", pipe2(results, O_CLOEXEC), 0);
	for (k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
		int started = 0, good = 0;

		for (i = 0; i < count; i++)
			started += kinds[k].start();
		for (i = 0; i < started; i++) {
			char result = '-';

			if (read(results[0], &result, 1) != 1)
				break;
			good += result == '+';
			/* The queue of the listener is shorter than the crowd (somaxconn). */
			if (result == '+')
				close(accept(listener, NULL, NULL));
		}
		ok(started == count && good == count, "%s: %d of %d started, %d connected", kinds[k].name, started, count, good);
		while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
			continue;
	}
	while (wait(NULL) > 0)
		continue;
}

/* True when a process that did nothing but make a socket ended well. */
static bool short_process(void)
{
	int status = -1;
	pid_t pid = vfork();

	if (pid == 0) {
		int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

		if (fd >= 0)
			close(fd);
		_exit(fd < 0);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static void pids(int count)
{
	int i, good = 0;

	for (i = 0; i < count; i++)
		good += short_process();
	ok(good == count, "%d of %d short processes had a socket", good, count);
}

static void *make_socket(void *good)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		close(fd);
	*(int *)good += fd >= 0;
	return NULL;
}

static void threads(int count)
{
	int i, good = 0;
	pthread_t id;

	for (i = 0; i < count; i++)
		if (pthread_create(&id, NULL, make_socket, &good) == 0)
			pthread_join(id, NULL);
	ok(good == count, "%d of %d short threads had a socket", good, count);
}

/* One view in the other, each with a process that stays until the innermost has ended. */
static int nest(int depth)
{
	char info[512] = "";
	int status = 1;
	pid_t pid;

	if (vu_call(VU_NEWVIEW, 0, 0, 0, 0) < 0)
		return 2;
	if (depth > 1) {
		pid = fork();
		if (pid == 0)
			_exit(nest(depth - 1));
		waitpid(pid, &status, 0);
		return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
	}
	vu_call(VU_INFO, (long)info, sizeof(info), 0, 0);
	printf("# %s\n", strstr(info, "depth="));
	return strstr(info, "depth=") == NULL;
}

static void views(int count)
{
	int i, good = 0;

	is_value("nested views", nest(count), 0);
	/* And the same number for one process, each of which replaces the one before. */
	for (i = 0; i < count; i++)
		good += vu_call(VU_NEWVIEW, 0, 0, 0, 0) > 0;
	ok(good == count, "%d of %d views of one process", good, count);
}

int main(int argc, char **argv)
{
	const int count = argc == 3 ? atoi(argv[2]) : 0;
	const struct rlimit most = { .rlim_cur = 20000, .rlim_max = 20000 };

	if (count <= 0) {
		fputs("usage: hostile-forks crowd|pids|threads|views N\n", stderr);
		return 2;
	}
	setrlimit(RLIMIT_NOFILE, &most);
	alarm(HANG_SECONDS);
	if (strcmp(argv[1], "crowd") == 0)
		crowd(count);
	else if (strcmp(argv[1], "pids") == 0)
		pids(count);
	else if (strcmp(argv[1], "threads") == 0)
		threads(count);
	else
		views(count);
	return done();
}
