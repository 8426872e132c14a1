/* common.c - what the commands for guests share. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

/* A supervisor that has more to tell than this is not to be believed. */
#define TEXT_MAX (16L << 20)

void usage_error(const struct command *command, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", command->name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\nusage: %s %s\n", command->name, command->usage);
	exit(EXIT_USAGE);
}

void print_help(const struct command *command)
{
	printf("usage: %s %s\n\n%s", command->name, command->usage, command->help);
	exit(fflush(stdout) == 0 ? 0 : EXIT_FAILED);
}

int next_long_option(const struct command *command, int argc, char **argv, const char *letters,
		     const struct option *words)
{
	int option;

	opterr = 0;
	option = getopt_long(argc, argv, letters, words, NULL);
	if (option == HELP_OPTION)
		print_help(command);
	if (option != '?')
		return option;
	/* optopt is a letter, 0 for an unknown word, or the value of a known word that is used wrongly. */
	if (optopt > 0 && optopt < HELP_OPTION && strchr(letters, optopt))
		usage_error(command, "option %s needs an argument", argv[optind - 1]);
	if (optopt > 0 && optopt < HELP_OPTION)
		usage_error(command, "unknown option -%c", optopt);
	usage_error(command, "%s option %s", optopt ? "wrong" : "unknown", argv[optind - 1]);
}

int next_option(const struct command *command, int argc, char **argv, const char *letters)
{
	static const struct option words[] = { { "help", no_argument, NULL, HELP_OPTION }, { 0 } };

	return next_long_option(command, argc, argv, letters, words);
}

bool inside_umvu(void)
{
	char info[1];

	/* Any other answer, even that the buffer is too small, comes from a supervisor. */
	return vu_call(VU_INFO, (long)info, sizeof(info), 0, 0) >= 0 || errno != ENOSYS;
}

void require_umvu(const struct command *command)
{
	if (inside_umvu())
		return;
	fprintf(stderr, "%s: not inside umvu\n", command->name);
	exit(EXIT_USAGE);
}

const char *reason(int error)
{
	static char text[4096];

	if (vu_call(VU_ERROR, (long)text, sizeof(text), 0, 0) > 0)
		return text;
	return strerror(error);
}

void complain(const struct command *command, const char *what)
{
	int error = errno;

	fprintf(stderr, "%s: %s: %s\n", command->name, what, reason(error));
	errno = error;
}

char *vu_text(enum vu_operation op)
{
	long size;

	for (size = 4096; size <= TEXT_MAX; size *= 4) {
		char *text = malloc((size_t)size);

		if (!text)
			return NULL;
		if (vu_call(op, (long)text, size, 0, 0) >= 0)
			return text;
		free(text);
		if (errno != ERANGE)
			return NULL;
	}
	return NULL;
}

int print_text(const struct command *command, const char *text)
{
	if (fputs(text, stdout) >= 0 && fflush(stdout) == 0)
		return 0;
	fprintf(stderr, "%s: standard output: %s\n", command->name, strerror(errno));
	return EXIT_FAILED;
}
