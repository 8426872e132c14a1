/* io_uring - would go round the filter, so umvu answers that there is none. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>

#include "tap.h"

#ifndef __NR_io_uring_setup
#define __NR_io_uring_setup 425
#define __NR_io_uring_enter 426
#define __NR_io_uring_register 427
#endif

int main(void)
{
	char parameters[120] = { 0 };
	long fd = syscall(__NR_io_uring_setup, 4, parameters);

	if (expect_vu()) {
		is_error("io_uring_setup", fd, ENOSYS);
		is_error("io_uring_setup, no parameters", syscall(__NR_io_uring_setup, 4, NULL), ENOSYS);
	} else {
		ok(fd >= 0 || errno == ENOSYS || errno == EPERM, "io_uring_setup is made, or not known, or forbidden");
	}
	/* Without a ring these two can do nothing, whoever answers. */
	ok(syscall(__NR_io_uring_enter, -1, 0, 0, 0, NULL, 0) == -1, "io_uring_enter without a ring");
	ok(syscall(__NR_io_uring_register, -1, 0, NULL, 0) == -1, "io_uring_register without a ring");
	if (fd >= 0)
		close((int)fd);
	return done();
}
