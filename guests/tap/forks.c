/* forks - sockets and exec in children of every kind: fork, vfork, posix_spawn, double fork, a fork in a thread. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

extern char **environ;

/* What children do: 0 if a socket can be had. */
static int child_work(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0 ? 1 : close(fd) < 0 ? 2 : 0;
}

/* Exit status of `pid`; 1000 + signal if one killed it. */
static int status_of(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int by_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(child_work());
	return status_of(pid);
}

static int by_vfork(const char *path)
{
	char *const argv[] = { "sh", "-c", "exit 42", NULL };
	pid_t pid = vfork();

	if (pid == 0) {
		execve(path, argv, environ);
		_exit(errno == ENOENT ? 43 : 44);
	}
	return status_of(pid);
}

static int by_spawn(const char *path)
{
	char *const argv[] = { "sh", "-c", "exit 42", NULL };
	pid_t pid;
	int error = posix_spawn(&pid, path, NULL, NULL, argv, environ);

	return error ? 2000 + error : status_of(pid);
}

/* The grandchild is an orphan when it works; it reports through a pipe. */
static int by_double_fork(void)
{
	int ends[2], answer = -1;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		const pid_t parent = getpid();

		if (fork() == 0) {
			setsid();
			while (getppid() == parent)
				usleep(1000);
			answer = child_work();
			_exit(write(ends[1], &answer, sizeof(answer)) != sizeof(answer));
		}
		_exit(0);
	}
	close(ends[1]);
	status_of(pid);
	if (read(ends[0], &answer, sizeof(answer)) != sizeof(answer))
		answer = -2;
	close(ends[0]);
	return answer;
}

static void *fork_in_thread(void *result)
{
	*(int *)result = by_fork();
	return NULL;
}

/* Children that open a socket at once, many of them together. */
static int crowd(int count)
{
	int i, good = 0;

	for (i = 0; i < count; i++)
		if (fork() == 0)
			_exit(child_work());
	for (i = 0; i < count; i++) {
		int status;

		if (wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
			good++;
	}
	return good;
}

int main(void)
{
	pthread_t thread;
	int result = -1;

	is_value("fork", by_fork(), 0);
	is_value("vfork and exec", by_vfork("/bin/sh"), 42);
	is_value("vfork and failed exec", by_vfork("/no/such/program"), 43);
	is_value("posix_spawn", by_spawn("/bin/sh"), 42);
	is_value("posix_spawn, failed", by_spawn("/no/such/program"), 2000 + ENOENT);
	is_value("double fork", by_double_fork(), 0);
	pthread_create(&thread, NULL, fork_in_thread, &result);
	pthread_join(thread, NULL);
	is_value("fork in a thread", result, 0);
	is_value("forty children at once", crowd(40), 40);
	is_error("no child is left", wait(NULL), ECHILD);
	return done();
}
