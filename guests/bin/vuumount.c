/* vuumount - unmounts in the view of the caller. */
#define _GNU_SOURCE
#include <sys/mount.h>
#include <unistd.h>

#include "common.h"

static const struct command command = {
	"vuumount",
	"[-fdl] TARGET...",
	"Unmounts what is mounted at each TARGET. Exit status 1 if one of them fails.\n"
	"\n"
	"  -f       force\n"
	"  -d, -l   detach now, clean up when it is no longer used\n"
	"  --help   this text\n",
};

int main(int argc, char **argv)
{
	int flags = 0, status = 0, option;

	while ((option = next_option(&command, argc, argv, "fdl")) != -1)
		flags |= option == 'f' ? MNT_FORCE : MNT_DETACH;
	if (optind == argc)
		usage_error(&command, "TARGET is needed");
	require_umvu(&command);
	for (; optind < argc; optind++)
		if (umount2(argv[optind], flags) < 0) {
			complain(&command, argv[optind]);
			status = EXIT_FAILED;
		}
	return status;
}
