/* group_signals.c - tells signals for the supervisor alone from those for the whole process group. */
#define _GNU_SOURCE
#include <signal.h>
#include <stddef.h>
#include <time.h>

#include "internal.h"

/* A signal for our process group and its copy that the supervisor relays are no further apart. */
#define GROUP_SIGNAL_MS 1000

/* Signals that a person sends to umvu and means for the guest. */
static const int relayed[] = { SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTSTP };

/* Signals that we received and that the supervisor has not relayed yet. */
static struct {
	unsigned count;
	long long last_ms;
} pending[NSIG];

void keeper_signals(sigset_t *set)
{
	size_t i;

	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	sigaddset(set, PARENT_DIED);
	for (i = 0; i < sizeof(relayed) / sizeof(*relayed); i++)
		sigaddset(set, relayed[i]);
}

long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

void note_group_signal(int sig)
{
	pending[sig].count++;
	pending[sig].last_ms = now_ms();
}

bool take_group_signal(int sig)
{
	if (pending[sig].count == 0)
		return false;
	if (now_ms() - pending[sig].last_ms >= GROUP_SIGNAL_MS) {
		pending[sig].count = 0;
		return false;
	}
	pending[sig].count--;
	return true;
}
