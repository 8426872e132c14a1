/* vustack - runs a command with a network stack as its default. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"
#include "msocket.h"

#ifndef AF_IRDA
#define AF_IRDA 23
#endif

static const struct command command = {
	"vustack",
	"[-sv] [-f FAMILY[,FAMILY]...] STACK [--] [COMMAND [ARGUMENT]...]\n"
	"       vustack [-v] [-f FAMILY[,FAMILY]...] -H [--] [COMMAND [ARGUMENT]...]",
	"Runs COMMAND, or else $SHELL, with the network stack at path STACK as the default of all families.\n"
	"\n"
	"  -f, --families LIST   of these families only, names or numbers: ip (that is inet, inet6,\n"
	"                        netlink, packet), inet (ip4, ipv4), inet6 (ip6, ipv6), netlink,\n"
	"                        packet, bluetooth (bt), irda (ir), all\n"
	"  -s, --supported       only of those families that the stack has\n"
	"  -H, --host            the network of the host in place of a STACK\n"
	"  -v, --verbose         say what is done\n"
	"      --help            this text\n"
	"\n"
	"Exit status: that of COMMAND; 127 if it is not found, 126 if it cannot be run, 125 if the stack cannot\n"
	"be used, 2 for wrong arguments.\n",
};

static const struct option words[] = {
	{ "families", required_argument, NULL, 'f' },
	{ "family", required_argument, NULL, 'f' },
	{ "supported", no_argument, NULL, 's' },
	{ "host", no_argument, NULL, 'H' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, HELP_OPTION },
	{ 0 },
};

/* Names of families; the first name of a number is the one that is printed. */
static const struct {
	const char *name;
	int number;
} names[] = {
	{ "all", AF_UNSPEC }, { "inet", AF_INET }, { "ip4", AF_INET }, { "ipv4", AF_INET },
	{ "inet6", AF_INET6 }, { "ip6", AF_INET6 }, { "ipv6", AF_INET6 }, { "netlink", AF_NETLINK },
	{ "packet", AF_PACKET }, { "bluetooth", AF_BLUETOOTH }, { "bt", AF_BLUETOOTH }, { "irda", AF_IRDA },
	{ "ir", AF_IRDA },
};

#define FAMILY_LIMIT 64

/* A set of families. */
struct families {
	bool has[FAMILY_LIMIT];
};

static const char *name_of(int family)
{
	static char number[16];
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i].number == family)
			return names[i].name;
	snprintf(number, sizeof(number), "%d", family);
	return number;
}

static int number_of(const char *name)
{
	size_t i;
	char *end;
	long number;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(name, names[i].name) == 0)
			return names[i].number;
	number = strtol(name, &end, 10);
	if (end == name || *end != '\0' || number < 0 || number >= FAMILY_LIMIT)
		usage_error(&command, "unknown address family %s", name);
	return (int)number;
}

static void add_families(struct families *set, char *list)
{
	char *name;

	while ((name = strsep(&list, ","))) {
		if (strcmp(name, "ip") == 0)
			set->has[AF_INET] = set->has[AF_INET6] = set->has[AF_NETLINK] = set->has[AF_PACKET] = true;
		else
			set->has[number_of(name)] = true;
	}
}

_Noreturn static void fail(const char *what)
{
	complain(&command, what);
	exit(EXIT_NO_STACK);
}

/* Keeps in `set` what the stack has; AF_UNSPEC stands for all that it has. */
static void keep_supported(struct families *set, const char *stack)
{
	struct families supported = { 0 };
	char text[1024], *next = text, *word;
	int family;

	if (vu_call(VU_FAMILIES, (long)stack, (long)text, sizeof(text), 0) < 0)
		fail(stack);
	while ((word = strsep(&next, " \n"))) {
		long number = strtol(word, NULL, 10);

		if (number > 0 && number < FAMILY_LIMIT)
			supported.has[number] = true;
	}
	for (family = 1; family < FAMILY_LIMIT; family++)
		set->has[family] = supported.has[family] && (set->has[AF_UNSPEC] || set->has[family]);
	set->has[AF_UNSPEC] = false;
}

/* `stack` NULL is the host. */
static void set_defaults(const struct families *set, const char *stack, bool verbose)
{
	int family;

	for (family = 0; family < FAMILY_LIMIT; family++) {
		long result;

		if (!set->has[family])
			continue;
		if (verbose)
			fprintf(stderr, "%s: %s: %s\n", command.name, name_of(family), stack ? stack : "host");
		result = stack ? vu_call(VU_MSOCKET, (long)stack, family, SOCK_DEFAULT, 0)
			       : vu_call(VU_HOSTNET, family, 0, 0, 0);
		if (result < 0)
			fail(stack ? stack : name_of(family));
		/* AF_UNSPEC said it all. */
		if (family == AF_UNSPEC)
			return;
	}
}

static int run(char **argv, bool verbose)
{
	char *shell[] = { getenv("SHELL"), NULL };
	int error;

	if (!*argv) {
		if (!shell[0] || !*shell[0])
			shell[0] = "/bin/sh";
		argv = shell;
	}
	if (verbose)
		fprintf(stderr, "%s: running %s\n", command.name, argv[0]);
	execvp(argv[0], argv);
	error = errno;
	fprintf(stderr, "%s: %s: %s\n", command.name, argv[0], strerror(error));
	return error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}

int main(int argc, char **argv)
{
	struct families set = { 0 };
	bool supported = false, verbose = false, host = false, chosen = false;
	const char *stack = NULL;
	int option;

	/* "+": the first word that is no option ends them, so that those of COMMAND stay its own. */
	while ((option = next_long_option(&command, argc, argv, "+f:sHv", words)) != -1) {
		switch (option) {
		case 'f': add_families(&set, optarg); chosen = true; break;
		case 's': supported = true; break;
		case 'H': host = true; break;
		case 'v': verbose = true; break;
		}
	}
	if (!host) {
		if (optind == argc)
			usage_error(&command, "STACK is needed");
		stack = argv[optind++];
		if (optind < argc && strcmp(argv[optind], "--") == 0)
			optind++;
	} else if (supported) {
		usage_error(&command, "options -s and -H exclude each other");
	}
	require_umvu(&command);
	if (!chosen)
		set.has[AF_UNSPEC] = true;
	if (supported)
		keep_supported(&set, stack);
	set_defaults(&set, stack, verbose);
	return run(argv + optind, verbose);
}
