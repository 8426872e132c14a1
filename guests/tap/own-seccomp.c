/* own-seccomp - guests may use seccomp themselves; a process can have one listener only. */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

/* Installs a filter that answers `nr` with `action`. As seccomp(2). */
static long install(unsigned nr, unsigned action, unsigned long flags)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(*code), code };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

/* Runs `work` in a child. Its exit status, 1000 + signal if killed. */
static int in_child(int (*work)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(work());
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int error_filter(void)
{
	struct stat st;

	if (install(SYS_getppid, SECCOMP_RET_ERRNO | EOWNERDEAD, 0) != 0)
		return 1;
	if (syscall(SYS_getppid) != -1 || errno != EOWNERDEAD)
		return 2;
	/* The calls that umvu traps go on working. */
	if (socket(AF_INET, SOCK_STREAM, 0) < 0 || stat("/", &st) < 0)
		return 3;
	return 0;
}

/* Of two filters the stricter answer wins. */
static int socket_filter(void)
{
	if (install(SYS_socket, SECCOMP_RET_ERRNO | EOWNERDEAD, 0) != 0)
		return 1;
	return socket(AF_INET, SOCK_STREAM, 0) == -1 && errno == EOWNERDEAD ? 0 : 2;
}

static int kill_filter(void)
{
	if (install(SYS_getppid, SECCOMP_RET_KILL_PROCESS, 0) != 0)
		return 1;
	syscall(SYS_getppid);
	return 2;
}

/* 0: a listener was made, or else errno. */
static int listener_filter(void)
{
	long fd = install(SYS_getppid, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);

	return fd >= 0 ? 0 : errno;
}

int main(void)
{
	is_value("a filter that answers an errno", in_child(error_filter), 0);
	is_value("a filter for a trapped call", in_child(socket_filter), 0);
	is_value("a filter that kills", in_child(kill_filter), 1000 + 31);
	is_value("a listener", in_child(listener_filter), expect_vu() ? EBUSY : 0);
	return done();
}
