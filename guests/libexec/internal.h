/* internal.h - shared by the source files of umvu-launch. */
#ifndef INTERNAL_H
#define INTERNAL_H

#include <linux/filter.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "launch.h"

/** All that the guest's process needs to know. */
struct guest_plan {
	struct launch_setup setup;
	struct sock_filter *filter;
	int control; /* control socket; descriptors below it belong to the guest */
	int gate;    /* one byte read from here means: run */
	const char *command;
	char **argv;
	char **envp;
};

/** Sends one event; failures show as the end of the stream on the other side. */
void send_event(int control, enum launch_event_type type, int a, int b);

/** Becomes the guest; never returns. */
_Noreturn void run_guest(const struct guest_plan *plan);

/**
 * Watches over the guest tree until it is gone, then ends as the root guest did.
 * `gate` is our end of the guest's gate, `supervisor` the process id of our parent.
 */
_Noreturn void keep(int control, int gate, pid_t guest, pid_t supervisor, bool wait_for_all);

/** Sends `sig` to every living descendant of this process. How many there are, or -1 when that is unknown. */
int signal_descendants(int sig);

/**
 * Sent to the keeper when the supervisor, or the thread of it that started us, has ended. It also wakes a keeper
 * that a guest has stopped.
 */
#define PARENT_DIED SIGCONT

/** Signals that the keeper blocks and reads from a signalfd(2). */
void keeper_signals(sigset_t *set);

/** Remembers that this process received `sig`, as a member of its group. */
void note_group_signal(int sig);

/** True when `sig`, which the supervisor relays, came to this process too; forgets it. */
bool take_group_signal(int sig);

/** Milliseconds of CLOCK_MONOTONIC. */
long long now_ms(void);

#endif
