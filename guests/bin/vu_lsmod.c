/* vu_lsmod - lists the modules of the supervisor. */
#include <unistd.h>

#include "common.h"

static const struct command command = {
	"vu_lsmod",
	"",
	"Lists the inserted modules, one `name: description` a line.\n"
	"\n"
	"  --help   this text\n",
};

int main(int argc, char **argv)
{
	char *text;

	while (next_option(&command, argc, argv, "") != -1)
		continue;
	if (optind < argc)
		usage_error(&command, "unexpected argument %s", argv[optind]);
	require_umvu(&command);
	text = vu_text(VU_LSMOD);
	if (!text) {
		complain(&command, "modules");
		return EXIT_FAILED;
	}
	return print_text(&command, text);
}
