/*
 * keeper.c - the parent of the root guest.
 *
 * Adopts and reaps every orphan of the tree, tells the supervisor of stops and of the end, and sees to it that
 * nothing of the tree outlives the root guest or the supervisor. It shares the process group of the supervisor
 * and, at first, of the guest: signals of the terminal reach the guest directly and are ignored here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "internal.h"

#define EXIT_OWN_FAILURE 125
/* How long leftovers may take to end after SIGTERM. */
#define GRACE_MS 1000
/* How often leftovers are looked for while they are being killed. */
#define KILL_INTERVAL_MS 20
static struct {
	int control;
	int gate;
	int signals; /* signalfd(2) */
	int tty;     /* controlling terminal, opened when the guest stops first; -1: none */
	pid_t guest;
	pid_t supervisor;
	bool alone;      /* the supervisor is gone */
	bool impatient;  /* asked to end while waiting for all */
	bool ended;      /* the root guest has ended ... */
	int status;      /* ... with this wait status */
	bool stopped;    /* the root guest is stopped ... */
	pid_t foreground; /* ... and this process group had the terminal then */
} keeper;

/* Makes this process invisible: no stream is kept open, no signal of the terminal counts. */
static void withdraw(int control, int gate)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int low = control < gate ? control : gate, high = control < gate ? gate : control, fd;

	for (fd = 0; fd < 3; fd++)
		if (null >= 0)
			dup2(null, fd);
	if (low > 3)
		close_range(3, (unsigned)low - 1, 0);
	if (high > low + 1)
		close_range((unsigned)low + 1, (unsigned)high - 1, 0);
	close_range((unsigned)high + 1, ~0U, 0);
	signal(SIGTTIN, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_NAME, "umvu-keeper");
	/* A guest of the same user must not ptrace its way out of the filter through us. */
	prctl(PR_SET_DUMPABLE, 0);
}

/* Whether the terminal was given to the guest's own process group, which will need it back. */
static void note_stop(int sig)
{
	keeper.stopped = true;
	if (keeper.tty < 0)
		keeper.tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	keeper.foreground = keeper.tty < 0 ? -1 : tcgetpgrp(keeper.tty);
	send_event(keeper.control, LAUNCH_STOPPED, sig, 0);
}

/* Collects what wait(2) has to tell. False when there are no children, hence no descendants, any more. */
static bool reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
		if (pid != keeper.guest || keeper.ended)
			continue;
		if (WIFSTOPPED(status)) {
			note_stop(WSTOPSIG(status));
		} else if (WIFCONTINUED(status)) {
			keeper.stopped = false;
		} else {
			keeper.ended = true;
			keeper.status = status;
			send_event(keeper.control, LAUNCH_ENDED, status, 0);
		}
	}
	return pid == 0;
}

/* Reads the signals that arrived. Only the supervisor's copy of a signal is acted upon; see relay(). */
static void drain_signals(void)
{
	struct signalfd_siginfo info;

	while (read(keeper.signals, &info, sizeof(info)) == sizeof(info)) {
		if ((int)info.ssi_signo == PARENT_DIED)
			/* Also sent when only the thread that started us ends. */
			keeper.alone = keeper.alone || getppid() != keeper.supervisor;
		else if (info.ssi_signo != SIGCHLD)
			note_group_signal((int)info.ssi_signo);
	}
}

/* `kill %1` and Ctrl-C reach the supervisor, us and the guest: then the guest has had its signal. */
static void relay(int sig)
{
	drain_signals();
	if (take_group_signal(sig) && getpgid(keeper.guest) == getpgrp())
		return;
	kill(keeper.guest, sig);
}

static void continue_guest(void)
{
	pid_t group = getpgid(keeper.guest);

	reap();
	if (keeper.ended || !keeper.stopped)
		return;
	if (group == getpgrp()) {
		kill(keeper.guest, SIGCONT);
		return;
	}
	/* A shell in a group of its own had the terminal; the outer shell gave it to our group by `fg`. */
	if (keeper.tty >= 0 && keeper.foreground == group && tcgetpgrp(keeper.tty) == getpgrp())
		tcsetpgrp(keeper.tty, group);
	kill(-group, SIGCONT);
}

static void obey(const struct launch_command *command)
{
	const int sig = command->value;
	const bool valid = sig > 0 && sig < NSIG;

	if (command->type == LAUNCH_GO) {
		/* A guest that is gone shows by its wait status. */
		(void)!write(keeper.gate, "", 1);
	} else if (keeper.ended) {
		keeper.impatient = true;
	} else if (command->type == LAUNCH_SIGNAL && valid) {
		kill(keeper.guest, sig);
	} else if (command->type == LAUNCH_RELAY && valid) {
		relay(sig);
	} else if (command->type == LAUNCH_CONTINUE) {
		continue_guest();
	}
}

static void read_commands(void)
{
	static union {
		struct launch_command command;
		char bytes[sizeof(struct launch_command)];
	} input;
	static size_t length;
	ssize_t got = recv(keeper.control, input.bytes + length, sizeof(input) - length, MSG_DONTWAIT);

	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
		keeper.alone = true;
	if (got <= 0)
		return;
	length += (size_t)got;
	if (length < sizeof(input))
		return;
	length = 0;
	obey(&input.command);
}

/* Waits for something to happen, at most `timeout_ms` (-1: for ever), and reacts. As reap(). */
static bool step(int timeout_ms)
{
	struct pollfd fds[] = {
		{ .fd = keeper.signals, .events = POLLIN },
		{ .fd = keeper.alone ? -1 : keeper.control, .events = POLLIN },
	};

	poll(fds, 2, timeout_ms);
	drain_signals();
	if (fds[1].revents)
		read_commands();
	return reap();
}

/* Ends all that is left of the tree: politely first, unless the supervisor, without which no call is answered, is gone. */
static void end_leftovers(void)
{
	const long long deadline = now_ms() + GRACE_MS;
	long long left;

	if (!reap())
		return;
	if (!keeper.alone) {
		signal_descendants(SIGTERM);
		signal_descendants(SIGCONT);
		while (!keeper.alone && (left = deadline - now_ms()) > 0)
			if (!step((int)left))
				return;
	}
	/* Children of the killed become ours: go on until no one is left whom we may kill. */
	while (signal_descendants(SIGKILL) > 0)
		if (!step(KILL_INTERVAL_MS))
			return;
	reap();
}

_Noreturn static void end_as(int status)
{
	const struct rlimit no_core = { 0, 0 };
	sigset_t set;
	int sig;

	if (WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	sig = WTERMSIG(status);
	setrlimit(RLIMIT_CORE, &no_core);
	signal(sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(sig);
	_exit(128 + sig);
}

void keep(int control, int gate, pid_t guest, pid_t supervisor, bool wait_for_all)
{
	sigset_t set;

	keeper.control = control;
	keeper.gate = gate;
	keeper.guest = guest;
	keeper.supervisor = supervisor;
	keeper.tty = -1;
	withdraw(control, gate);
	keeper_signals(&set);
	keeper.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	prctl(PR_SET_PDEATHSIG, PARENT_DIED);
	keeper.alone = keeper.signals < 0 || getppid() != supervisor;

	while (!keeper.ended && !keeper.alone)
		step(-1);
	while (wait_for_all && !keeper.alone && !keeper.impatient)
		if (!step(-1))
			break;
	end_leftovers();
	if (!keeper.ended)
		_exit(EXIT_OWN_FAILURE);
	end_as(keeper.status);
}
