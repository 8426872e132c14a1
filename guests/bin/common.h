/* common.h - what the commands for guests share. */
#ifndef COMMON_H
#define COMMON_H

#include <getopt.h>
#include <stdbool.h>

#include "vu.h"

/* What getopt_long(3) returns for --help. */
#define HELP_OPTION 256

/* Exit codes. */
enum {
	EXIT_FAILED = 1,       /* the operation failed */
	EXIT_USAGE = 2,        /* wrong arguments, or not inside umvu */
	EXIT_NO_STACK = 125,   /* vustack: failed before it could run the command */
	EXIT_CANNOT_RUN = 126, /* the command was found but cannot be run */
	EXIT_NOT_FOUND = 127   /* the command was not found */
};

/** A command for --help and usage errors. */
struct command {
	const char *name;
	const char *usage; /* arguments, without the name */
	const char *help;  /* what it does and its options; lines that end with \n */
};

/** Prints "NAME: message" and the usage on standard error; exits with EXIT_USAGE. */
_Noreturn void usage_error(const struct command *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** Prints the help on standard output and exits with 0. */
_Noreturn void print_help(const struct command *command);

/** getopt_long(3) that also serves --help (in `words` under HELP_OPTION) and unknown options. */
int next_long_option(const struct command *command, int argc, char **argv, const char *letters,
		     const struct option *words);

/** The same with no long option but --help. */
int next_option(const struct command *command, int argc, char **argv, const char *letters);

/** True inside umvu. */
bool inside_umvu(void);

/** Exits with EXIT_USAGE and a line outside umvu. */
void require_umvu(const struct command *command);

/** Why the last operation failed: what the supervisor says about it, or else the text of `error`. */
const char *reason(int error);

/** Prints "NAME: what: reason" on standard error. Keeps errno. */
void complain(const struct command *command, const char *what);

/** The text that VU_INFO, VU_LSMOD or VU_MOUNTS answers (malloc(3)ed), or NULL and errno. */
char *vu_text(enum vu_operation op);

/** Prints text on standard output. EXIT_FAILED, with a message, if it cannot be written. */
int print_text(const struct command *command, const char *text);

#endif
