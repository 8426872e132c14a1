/* guest.c - the child of umvu-launch, from fork(2) to execvp(3). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

/* Linux 5.19; headers of Debian 12 have it, older ones do not. */
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

#define EXIT_OWN_FAILURE 125
#define EXIT_CANNOT_RUN 126
#define EXIT_NOT_FOUND 127

/*
 * Node ignores SIGPIPE and SIGXFSZ and raises the soft limit of open files to the hard one; a guest has to
 * find what its user gave to umvu.
 */
static void restore_process(long long nofile)
{
	struct rlimit limit;
	sigset_t none;
	int sig;

	for (sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (nofile >= 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0 && (rlim_t)nofile <= limit.rlim_max) {
		limit.rlim_cur = (rlim_t)nofile;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* Keeps the descriptors below `control`, `control` and `gate`; the latter two end at exec. The new gate. */
static int close_others(int control, int gate)
{
	if (gate < control)
		gate = fcntl(gate, F_DUPFD_CLOEXEC, control + 1);
	fcntl(control, F_SETFD, FD_CLOEXEC);
	if (gate > control + 1)
		close_range((unsigned)control + 1, (unsigned)gate - 1, 0);
	close_range((unsigned)gate + 1, ~0U, 0);
	return gate;
}

/* Like seccomp(2) with the strongest flags that this kernel knows. The listener, or -1. */
static int install_with_flags(struct sock_fprog *program)
{
	const unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
	long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
			  program);

	if (fd < 0 && errno == EINVAL)
		fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);
	return (int)fd;
}

/*
 * The kernel takes a filter from a process with CAP_SYS_ADMIN, or from one that gave up gaining privileges by
 * exec. Those who have the capability keep setuid programs and file capabilities working.
 */
static int install_filter(const struct guest_plan *plan)
{
	struct sock_fprog program = {
		.len = (unsigned short)plan->setup.instructions,
		.filter = plan->filter,
	};
	int fd = install_with_flags(&program);

	if (fd < 0 && errno == EACCES) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
			return -1;
		fd = install_with_flags(&program);
	}
	return fd;
}

/* True when the keeper opened the gate, false when it is gone. */
static bool wait_for_go(int gate)
{
	ssize_t got;
	char byte;

	do
		got = read(gate, &byte, 1);
	while (got < 0 && errno == EINTR);
	return got == 1;
}

void run_guest(const struct guest_plan *plan)
{
	const int control = plan->control;
	int gate, listener, error;

	/* Descriptors first: a gate moved up must not meet the guest's own, perhaps low, limit. */
	gate = close_others(control, plan->gate);
	restore_process(plan->setup.nofile);
	listener = install_filter(plan);
	if (listener < 0) {
		send_event(control, LAUNCH_FAILED, LAUNCH_STEP_FILTER, errno);
		_exit(EXIT_OWN_FAILURE);
	}
	send_event(control, LAUNCH_LISTENER, listener, getpid());
	if (!wait_for_go(gate))
		_exit(EXIT_OWN_FAILURE);
	close(listener);
	close(gate);
	/* PATH is looked up in the environment of the guest. */
	environ = plan->envp;
	execvp(plan->command, plan->argv);

	error = errno;
	send_event(control, LAUNCH_EXEC_FAILED, error, 0);
	dprintf(STDERR_FILENO, "umvu: %s: %s\n", plan->command, strerror(error));
	_exit(error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN);
}
