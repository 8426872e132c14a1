/*
 * launch.h - what umvu-launch and the supervisor say to each other.
 *
 * The control socket is an AF_UNIX stream, so every record has a fixed size. All numbers are in host order.
 * Mirrored in runtime/vm/launch.ts.
 *
 *   supervisor -> launcher    struct launch_setup, then its filter and its words
 *   guest      -> supervisor  LAUNCH_LISTENER, or LAUNCH_FAILED
 *   supervisor -> keeper      LAUNCH_GO, when it holds the listener
 *   guest      -> supervisor  LAUNCH_EXEC_FAILED, if execvp(3) fails
 *   supervisor -> keeper      LAUNCH_SIGNAL, LAUNCH_RELAY, LAUNCH_CONTINUE at any time
 *   keeper     -> supervisor  LAUNCH_STOPPED and LAUNCH_ENDED
 *
 * The keeper takes the end of the stream for the death of the supervisor.
 */
#ifndef LAUNCH_H
#define LAUNCH_H

#include <stdint.h>

/** "umvu" in memory: tells a supervisor of another version, or a curious user, apart. */
#define LAUNCH_MAGIC 0x75766d75u

/** Wait for all processes of the tree instead of ending those that the root guest left behind. */
#define LAUNCH_WAIT_FOR_ALL 1u

/**
 * First record from the supervisor. After it come `instructions` structs sock_filter, then `words_size` bytes of strings,
 * each with its NUL: the command, `arguments` of them from argv[0] on, and the environment. They do not come by exec,
 * because Node would not leave bytes alone that are not UTF-8.
 */
struct launch_setup {
	uint32_t magic;
	uint32_t flags;        /* LAUNCH_WAIT_FOR_ALL */
	int64_t nofile;        /* soft RLIMIT_NOFILE of the guest, -1: leave it */
	uint32_t instructions; /* 1 to BPF_MAXINSNS */
	uint32_t arguments;    /* at least 1 */
	uint32_t words_size;   /* up to LAUNCH_WORDS_MAX */
	uint32_t reserved;
};

/** More than the kernel takes at exec (6 MiB), so that it is the one that says E2BIG. */
#define LAUNCH_WORDS_MAX (16u << 20)

enum launch_event_type {
	LAUNCH_LISTENER = 1,    /* a: number of the listener in process b, which waits for LAUNCH_GO */
	LAUNCH_FAILED = 2,      /* a: enum launch_step, b: errno; the guest never ran */
	LAUNCH_EXEC_FAILED = 3, /* a: errno of execvp(3) */
	LAUNCH_STOPPED = 4,     /* a: signal that stopped the root guest */
	LAUNCH_ENDED = 5        /* a: wait status of the root guest, as in wait(2) */
};

/** What the launcher was doing when it failed. */
enum launch_step {
	LAUNCH_STEP_SETUP = 1,  /* reading struct launch_setup */
	LAUNCH_STEP_FORK = 2,   /* making the guest's process */
	LAUNCH_STEP_FILTER = 3  /* installing the seccomp filter */
};

/** A record to the supervisor. */
struct launch_event {
	uint32_t type;
	int32_t a;
	int32_t b;
	int32_t reserved;
};

enum launch_command_type {
	LAUNCH_GO = 1,      /* run the command */
	LAUNCH_SIGNAL = 2,  /* send signal `value` to the root guest */
	LAUNCH_RELAY = 3,   /* the same, unless the guest got it already as a member of our process group */
	LAUNCH_CONTINUE = 4 /* continue the root guest if it is stopped, and give it back the terminal */
};

/** A record from the supervisor. */
struct launch_command {
	uint32_t type;
	int32_t value;
};

#endif
