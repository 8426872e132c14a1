/* x32 - numbers of other architectures do not lead round the filter. */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#define X32_BIT 0x40000000L
/* Numbers of i386 (asm/unistd_32.h). */
#define I386_GETPID 20
#define I386_SOCKET 359

/* What became of the call of a child. */
enum fate { REFUSED, KILLED, SERVED, OTHER };
static const char *const fates[] = { "refused", "killed", "served", "other" };

static int by_x32(long nr)
{
	long result = syscall(X32_BIT | nr, 2, 1, 0);

	return result == -1 && errno == ENOSYS ? REFUSED : result == -1 ? OTHER : SERVED;
}

static int by_int80(long nr)
{
#ifdef __x86_64__
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(nr), "b"(2L), "c"(1L), "d"(0L) : "memory", "r8", "r9", "r10", "r11");
	return result == -ENOSYS ? REFUSED : result < 0 ? OTHER : SERVED;
#else
	(void)nr;
	return REFUSED;
#endif
}

static enum fate in_child(int (*call)(long), long nr)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(call(nr));
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? (enum fate)WEXITSTATUS(status) : KILLED;
}

static void check(const char *name, int (*call)(long), long nr)
{
	enum fate fate = in_child(call, nr);

	/* The bare kernel may know these architectures, or not. */
	ok(fate == REFUSED || fate == KILLED || (fate == SERVED && !expect_vu()), "%s: %s", name, fates[fate]);
}

int main(void)
{
	check("x32 getpid", by_x32, SYS_getpid);
	check("x32 socket", by_x32, SYS_socket);
	check("int 0x80 getpid", by_int80, I386_GETPID);
	check("int 0x80 socket", by_int80, I386_SOCKET);
	return done();
}
