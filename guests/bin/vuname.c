/* vuname - like uname(1), and the name of the view. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common.h"

static const struct command command = {
	"vuname",
	"[-asnrvmpioUVPqx]\n       vuname NAME",
	"Prints names of the system and of the view; with NAME: gives the view that name.\n"
	"\n"
	"  -s  name of the kernel (the default)  -n  name of the host\n"
	"  -r  release of the kernel             -v  version of the kernel\n"
	"  -m, -p, -i  machine                   -o  operating system\n"
	"  -U  process id of the supervisor      -V  name of the view\n"
	"  -P  for prompts: name of the view, or host[supervisor]; outside umvu the host\n"
	"  -a  all of it\n"
	"  -x  fail outside umvu, where otherwise the names of the system are printed\n"
	"  -q  do not say why it fails\n"
	"  --help   this text\n",
};

/* What the supervisor says about itself; empty outside umvu. */
static struct {
	bool inside;
	char server[32];
	char view[256];
} vu;

/* Copies the value of "key=value" in the lines of `info`. */
static void copy_value(const char *info, const char *key, char *value, size_t size)
{
	const size_t length = strlen(key);
	const char *line = info;

	while (line && *line) {
		if (strncmp(line, key, length) == 0 && line[length] == '=') {
			line += length + 1;
			snprintf(value, size, "%.*s", (int)strcspn(line, "\n"), line);
			return;
		}
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
}

static void ask_supervisor(void)
{
	char *info = vu_text(VU_INFO);

	if (!info)
		return;
	vu.inside = true;
	copy_value(info, "server", vu.server, sizeof(vu.server));
	copy_value(info, "view", vu.view, sizeof(vu.view));
	free(info);
}

static void print_word(const char *word)
{
	static bool first = true;

	printf("%s%s", first ? "" : " ", word);
	first = false;
}

static void print_prompt(const struct utsname *system)
{
	char prompt[512];

	if (!vu.inside)
		print_word(system->nodename);
	else if (*vu.view)
		print_word(vu.view);
	else {
		snprintf(prompt, sizeof(prompt), "%s[%s]", system->nodename, vu.server);
		print_word(prompt);
	}
}

static int print_names(const char *wanted)
{
	struct utsname system;

	uname(&system);
	if (strchr(wanted, 's')) print_word(system.sysname);
	if (strchr(wanted, 'n')) print_word(system.nodename);
	if (strchr(wanted, 'r')) print_word(system.release);
	if (strchr(wanted, 'v')) print_word(system.version);
	if (strchr(wanted, 'm')) print_word(system.machine);
	if (strchr(wanted, 'p')) print_word(system.machine);
	if (strchr(wanted, 'i')) print_word(system.machine);
	if (strchr(wanted, 'o')) print_word("GNU/Linux");
	if (strchr(wanted, 'U')) print_word(vu.server);
	if (strchr(wanted, 'V')) print_word(vu.view);
	if (strchr(wanted, 'P')) print_prompt(&system);
	return print_text(&command, "\n");
}

static int set_name(const char *name)
{
	require_umvu(&command);
	if (vu_call(VU_SETNAME, (long)name, 0, 0, 0) == 0)
		return 0;
	complain(&command, name);
	return EXIT_FAILED;
}

int main(int argc, char **argv)
{
	/* 'x' and 'q' may be repeated, names are collected once. */
	char wanted[16] = "";
	bool quiet = false, strict = false;
	int option;

	while ((option = next_option(&command, argc, argv, "asnrvmpioUVPqx")) != -1) {
		if (option == 'q')
			quiet = true;
		else if (option == 'x')
			strict = true;
		else if (!strchr(wanted, option))
			wanted[strlen(wanted)] = (char)option;
	}
	if (optind < argc) {
		if (argc - optind > 1 || optind > 1)
			usage_error(&command, "NAME stands alone");
		return set_name(argv[optind]);
	}
	ask_supervisor();
	if (!vu.inside && (strict || strpbrk(wanted, "UV"))) {
		if (!quiet)
			fprintf(stderr, "%s: not inside umvu\n", command.name);
		return EXIT_USAGE;
	}
	if (strchr(wanted, 'a'))
		return print_names(!vu.inside ? "snrvmo" : *vu.view ? "snrvmoUV" : "snrvmoU");
	return print_names(*wanted ? wanted : "s");
}
