/*
 * tap.h - test programs that check themselves: TAP on standard output, exit status 1 if a check failed.
 *
 *	int main(void)
 *	{
 *		is_value("getpid", getpid(), getpid());
 *		is_error("bad descriptor", close(-1), EBADF);
 *		return done();
 *	}
 *
 * A few results differ in umvu; expect_vu() tells.
 */
#ifndef TAP_H
#define TAP_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vu.h"

static int tap_count, tap_failed;

/* True in umvu. With EXPECT_VU in the environment a supervisor that does not answer is no excuse. Keeps errno. */
static inline bool expect_vu(void)
{
	char text[1];
	int error = errno;
	bool inside = getenv("EXPECT_VU") != NULL || vu_call(VU_INFO, (long)text, sizeof(text), 0, 0) >= 0 ||
		      errno != ENOSYS;

	errno = error;
	return inside;
}

/* Name of an error number, as in errno(3). musl has no strerrorname_np(3). */
static inline const char *errno_name(int error)
{
	static char number[16];

	switch (error) {
#define NAME(e) case e: return #e
	NAME(EPERM); NAME(ENOENT); NAME(ESRCH); NAME(EINTR); NAME(EIO); NAME(ENXIO); NAME(E2BIG); NAME(ENOEXEC);
	NAME(EBADF); NAME(ECHILD); NAME(EAGAIN); NAME(ENOMEM); NAME(EACCES); NAME(EFAULT); NAME(EBUSY);
	NAME(EEXIST); NAME(EXDEV); NAME(ENODEV); NAME(ENOTDIR); NAME(EISDIR); NAME(EINVAL); NAME(ENFILE);
	NAME(EMFILE); NAME(ENOTTY); NAME(EFBIG); NAME(ENOSPC); NAME(ESPIPE); NAME(EROFS); NAME(EPIPE);
	NAME(ERANGE); NAME(ENAMETOOLONG); NAME(ENOSYS); NAME(ENOTEMPTY); NAME(ELOOP); NAME(ENODATA);
	NAME(EOVERFLOW); NAME(ENOTSOCK); NAME(EDESTADDRREQ); NAME(EMSGSIZE); NAME(EPROTOTYPE);
	NAME(ENOPROTOOPT); NAME(EPROTONOSUPPORT); NAME(ESOCKTNOSUPPORT); NAME(EOPNOTSUPP); NAME(EAFNOSUPPORT);
	NAME(EADDRINUSE); NAME(EADDRNOTAVAIL); NAME(ENETDOWN); NAME(ENETUNREACH); NAME(ECONNABORTED);
	NAME(ECONNRESET); NAME(ENOBUFS); NAME(EISCONN); NAME(ENOTCONN); NAME(ETIMEDOUT); NAME(ECONNREFUSED);
	NAME(EHOSTUNREACH); NAME(EALREADY); NAME(EINPROGRESS); NAME(ECANCELED);
#undef NAME
	}
	snprintf(number, sizeof(number), "E%d", error);
	return number;
}

/* One check. The words after `ok` or `not ok` are formatted like printf(3). */
__attribute__((format(printf, 2, 3))) static inline bool ok(bool passed, const char *format, ...)
{
	va_list args;

	printf("%sok %d - ", passed ? "" : "not ", ++tap_count);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
	tap_failed += !passed;
	return passed;
}

/* Checks the result of a call that must succeed, or give `wanted` exactly. Evaluates `call` once. */
#define is_value(what, call, wanted)                                                                   \
	({                                                                                             \
		long got_ = (long)(call);                                                              \
		int error_ = errno;                                                                    \
		ok(got_ == (long)(wanted), "%s%s%s", what, got_ == -1 ? ": " : "",                     \
		   got_ == -1 ? errno_name(error_) : "");                                              \
	})

/* Checks that a call succeeds (is not -1). Its result. */
#define succeeds(what, call)                                                                           \
	({                                                                                             \
		long got_ = (long)(call);                                                              \
		int error_ = errno;                                                                    \
		ok(got_ != -1, "%s%s%s", what, got_ == -1 ? ": " : "", got_ == -1 ? errno_name(error_) : ""); \
		got_;                                                                                  \
	})

/* Checks that a call fails with errno `wanted`. */
#define is_error(what, call, wanted)                                                                   \
	({                                                                                             \
		long got_ = (long)(call);                                                              \
		int error_ = got_ == -1 ? errno : 0;                                                   \
		ok(got_ == -1 && error_ == (wanted), "%s: %s, wanted %s", what,                        \
		   error_ ? errno_name(error_) : "success", #wanted);                                  \
	})

/* Prints the plan. The exit status of the program. */
static inline int done(void)
{
	printf("1..%d\n", tap_count);
	fflush(stdout);
	return tap_failed > 0;
}

#endif
