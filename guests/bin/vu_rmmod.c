/* vu_rmmod - removes modules from the supervisor. */
#include <unistd.h>

#include "common.h"

static const struct command command = {
	"vu_rmmod",
	"MODULE...",
	"Removes modules. A module of which something is mounted is busy.\n"
	"\n"
	"  --help   this text\n",
};

int main(int argc, char **argv)
{
	int status = 0;

	while (next_option(&command, argc, argv, "") != -1)
		continue;
	if (optind == argc)
		usage_error(&command, "no module given");
	require_umvu(&command);
	for (; optind < argc; optind++)
		if (vu_call(VU_RMMOD, (long)argv[optind], 0, 0, 0) < 0) {
			complain(&command, argv[optind]);
			status = EXIT_FAILED;
		}
	return status;
}
