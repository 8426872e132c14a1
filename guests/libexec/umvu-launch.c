/*
 * umvu-launch CTLFD
 *
 * Starts the root guest of a virtual machine. The supervisor runs it with the guest's standard streams and working
 * directory. It forks: the child installs the seccomp filter and becomes the guest
 * (guest.c), the parent stays behind as the keeper of the guest tree (keeper.c).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "internal.h"

#define EXIT_OWN_FAILURE 125

void send_event(int control, enum launch_event_type type, int a, int b)
{
	const struct launch_event event = { .type = type, .a = a, .b = b };

	/* write(2), not send(2): this runs under the filter too, which may trap calls of sockets. */
	while (write(control, &event, sizeof(event)) < 0 && errno == EINTR)
		continue;
}

/* Reads exactly `size` bytes. False at the end of the stream, with errno set. */
static bool read_all(int fd, void *buffer, size_t size)
{
	char *next = buffer;

	while (size > 0) {
		ssize_t got = read(fd, next, size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			if (got == 0)
				errno = EPIPE;
			return false;
		}
		next += got;
		size -= (size_t)got;
	}
	return true;
}

/* Splits `size` bytes at `words` into the command, argv and the environment. False, with errno set, where they are not that. */
static bool split_words(struct guest_plan *plan, char *words, size_t size)
{
	const size_t arguments = plan->setup.arguments;
	const char *end = words + size;
	size_t count = 0, i;
	char **list, *next;

	for (i = 0; i < size; i++)
		count += words[i] == '\0';
	if (size == 0 || end[-1] != '\0' || arguments == 0 || count < 1 + arguments) {
		errno = EINVAL;
		return false;
	}
	/* A null pointer after the arguments, and one after the environment. */
	list = calloc(count + 2, sizeof(*list));
	if (!list)
		return false;
	plan->command = words;
	plan->argv = list;
	plan->envp = list + arguments + 1;
	next = words + strlen(words) + 1;
	for (i = 0; next < end; next += strlen(next) + 1, i++)
		list[i < arguments ? i : i + 1] = next;
	return true;
}

static bool read_setup(struct guest_plan *plan)
{
	static struct sock_filter filter[BPF_MAXINSNS];
	struct launch_setup *setup = &plan->setup;
	char *words;

	if (!read_all(plan->control, setup, sizeof(*setup)))
		return false;
	if (setup->magic != LAUNCH_MAGIC || setup->instructions == 0 || setup->instructions > BPF_MAXINSNS ||
	    setup->words_size > LAUNCH_WORDS_MAX) {
		errno = EINVAL;
		return false;
	}
	plan->filter = filter;
	words = malloc(setup->words_size + 1);
	return words && read_all(plan->control, filter, setup->instructions * sizeof(*filter)) &&
	       read_all(plan->control, words, setup->words_size) && split_words(plan, words, setup->words_size);
}

static int fail(int control, enum launch_step step)
{
	send_event(control, LAUNCH_FAILED, step, errno);
	return EXIT_OWN_FAILURE;
}

/* The control socket from the command line, or -1 when we were not started by the supervisor. */
static int control_socket(int argc, char **argv)
{
	int type = 0;
	socklen_t length = sizeof(type);
	char *end;
	long fd;

	if (argc != 2)
		return -1;
	fd = strtol(argv[1], &end, 10);
	if (*end != '\0' || fd < 3 || fd > 65535)
		return -1;
	if (getsockopt((int)fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 || type != SOCK_STREAM)
		return -1;
	return (int)fd;
}

int main(int argc, char **argv)
{
	struct guest_plan plan = { .control = control_socket(argc, argv) };
	const pid_t supervisor = getppid();
	sigset_t blocked;
	int gate[2];
	pid_t guest;

	if (plan.control < 0) {
		fputs("umvu-launch: this program is started by umvu, not by hand\n", stderr);
		return 2;
	}
	if (!read_setup(&plan))
		return fail(plan.control, LAUNCH_STEP_SETUP);

	/* Before the fork, so that no end of a child and no signal for the group is missed. */
	keeper_signals(&blocked);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, gate) < 0)
		return fail(plan.control, LAUNCH_STEP_FORK);
	guest = fork();
	if (guest < 0)
		return fail(plan.control, LAUNCH_STEP_FORK);
	if (guest == 0) {
		close(gate[0]);
		plan.gate = gate[1];
		run_guest(&plan);
	}
	close(gate[1]);
	keep(plan.control, gate[0], guest, supervisor, plan.setup.flags & LAUNCH_WAIT_FOR_ALL);
}
