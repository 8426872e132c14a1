/* vu_insmod - inserts modules into the supervisor. */
#include <stdbool.h>
#include <unistd.h>

#include "common.h"

static const struct command command = {
	"vu_insmod",
	"[-p] MODULE...",
	"Inserts modules: names of modules that come with umvu, or paths of .js or .ts files.\n"
	"\n"
	"  -p       permanent: vu_rmmod cannot remove them\n"
	"  --help   this text\n",
};

int main(int argc, char **argv)
{
	bool permanent = false;
	int status = 0, option;

	while ((option = next_option(&command, argc, argv, "p")) != -1)
		permanent = option == 'p';
	if (optind == argc)
		usage_error(&command, "no module given");
	require_umvu(&command);
	for (; optind < argc; optind++)
		if (vu_call(VU_INSMOD, (long)argv[optind], permanent, 0, 0) < 0) {
			complain(&command, argv[optind]);
			status = EXIT_FAILED;
		}
	return status;
}
