/* vumount - mounts in the view of the caller: mount(2), nothing in between. */
#define _GNU_SOURCE
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "common.h"

static const struct command command = {
	"vumount",
	"[-rwBMR] [-t TYPE] [-o OPTION[,OPTION]...] SOURCE TARGET",
	"Mounts SOURCE at TARGET. Without arguments: lists what is mounted in this view, as in fstab(5).\n"
	"\n"
	"  -t TYPE   file system type: a module such as vunetioth, or a type that it serves\n"
	"  -o LIST   options; those of mount(8) such as ro become flags, the module gets the others\n"
	"  -r, -w    read-only, read-write (as -o ro, -o rw)\n"
	"  -B, -R    bind, recursively with -R (as -o bind, -o rbind)\n"
	"  -M        move (as -o move)\n"
	"  --help    this text\n",
};

/* mount(2) takes a page, with its NUL. */
#define DATA_MAX 4096

static const struct {
	const char *word;
	unsigned long set;
	unsigned long clear;
} flag_words[] = {
	{ "defaults", 0, 0 },
	{ "ro", MS_RDONLY, 0 },
	{ "rw", 0, MS_RDONLY },
	{ "bind", MS_BIND, 0 },
	{ "rbind", MS_BIND | MS_REC, 0 },
	{ "move", MS_MOVE, 0 },
	{ "remount", MS_REMOUNT, 0 },
	{ "suid", 0, MS_NOSUID },
	{ "nosuid", MS_NOSUID, 0 },
	{ "dev", 0, MS_NODEV },
	{ "nodev", MS_NODEV, 0 },
	{ "exec", 0, MS_NOEXEC },
	{ "noexec", MS_NOEXEC, 0 },
	{ "async", 0, MS_SYNCHRONOUS },
	{ "sync", MS_SYNCHRONOUS, 0 },
	{ "dirsync", MS_DIRSYNC, 0 },
	{ "mand", MS_MANDLOCK, 0 },
	{ "nomand", 0, MS_MANDLOCK },
	{ "atime", 0, MS_NOATIME },
	{ "noatime", MS_NOATIME, 0 },
	{ "diratime", 0, MS_NODIRATIME },
	{ "nodiratime", MS_NODIRATIME, 0 },
	{ "relatime", MS_RELATIME, 0 },
	{ "norelatime", 0, MS_RELATIME },
	{ "strictatime", MS_STRICTATIME, 0 },
	{ "silent", MS_SILENT, 0 },
	{ "loud", 0, MS_SILENT },
};

static bool apply_flag(const char *word, unsigned long *flags)
{
	size_t i;

	for (i = 0; i < sizeof(flag_words) / sizeof(*flag_words); i++)
		if (strcmp(word, flag_words[i].word) == 0) {
			*flags = (*flags & ~flag_words[i].clear) | flag_words[i].set;
			return true;
		}
	return false;
}

/* Turns known words of `list` into flags and appends the others to `data`, with commas between. */
static void take_options(char *list, unsigned long *flags, char data[DATA_MAX])
{
	size_t length = strlen(data);
	char *word;

	while ((word = strsep(&list, ","))) {
		int written;

		if (*word == '\0' || apply_flag(word, flags))
			continue;
		written = snprintf(data + length, DATA_MAX - length, "%s%s", length ? "," : "", word);
		if ((size_t)written >= DATA_MAX - length)
			usage_error(&command, "options are longer than %d bytes", DATA_MAX - 1);
		length += (size_t)written;
	}
}

/* Types whose source is a file; of others, "vdestack" is a word even if a file of that name exists. */
static bool source_is_path(const char *source, const char *type, unsigned long flags)
{
	static const char *const families[] = { "vufs", "vufuse", "vudev" };
	size_t i;

	if (flags & (MS_BIND | MS_MOVE))
		return true;
	for (i = 0; type && i < sizeof(families) / sizeof(*families); i++)
		if (strncmp(type, families[i], strlen(families[i])) == 0)
			return true;
	return strchr(source, '/') && !strstr(source, "://");
}

/* The supervisor has another working directory than we: a relative path that exists is made absolute. */
static const char *absolute(const char *source)
{
	char *directory, *path;

	if (*source == '/' || access(source, F_OK) < 0)
		return source;
	directory = getcwd(NULL, 0);
	if (!directory || asprintf(&path, "%s/%s", directory, source) < 0)
		return source;
	free(directory);
	return path;
}

static int list_mounts(void)
{
	char *text = vu_text(VU_MOUNTS);

	if (text)
		return print_text(&command, text);
	complain(&command, "mounts");
	return EXIT_FAILED;
}

int main(int argc, char **argv)
{
	char data[DATA_MAX] = "";
	const char *type = NULL, *source, *target;
	unsigned long flags = 0;
	int option;

	while ((option = next_option(&command, argc, argv, "t:o:rwBMR")) != -1) {
		switch (option) {
		case 't': type = optarg; break;
		case 'o': take_options(optarg, &flags, data); break;
		case 'r': flags |= MS_RDONLY; break;
		case 'w': flags &= ~(unsigned long)MS_RDONLY; break;
		case 'B': flags |= MS_BIND; break;
		case 'R': flags |= MS_BIND | MS_REC; break;
		case 'M': flags |= MS_MOVE; break;
		}
	}
	if (argc > 1 && argc - optind != 2)
		usage_error(&command, argc - optind < 2 ? "SOURCE and TARGET are needed" : "too many arguments");
	require_umvu(&command);
	if (argc == 1)
		return list_mounts();
	source = argv[optind];
	target = argv[optind + 1];
	if (!type && !(flags & (MS_BIND | MS_MOVE | MS_REMOUNT)))
		usage_error(&command, "option -t TYPE is needed");
	if (source_is_path(source, type, flags))
		source = absolute(source);
	if (mount(source, target, type, flags, data) == 0)
		return 0;
	complain(&command, target);
	return EXIT_FAILED;
}
