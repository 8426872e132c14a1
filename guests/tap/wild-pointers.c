/*
 * wild-pointers - every call that may be trapped, with pointers and lengths that lead nowhere. Each must fail as
 * on the bare kernel, and at once: an alarm ends the program if one hangs.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/openat2.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

/* musl 1.2.3 lacks it. */
#ifndef STATX_BASIC_STATS
#define STATX_BASIC_STATS 0x7ff
#endif

#define HANG_SECONDS 60
#define LONG_PATH 5000

/* A call with one path, and nothing else that could go wrong before it. */
struct path_call {
	const char *name;
	long (*call)(const char *path);
};

#define PATH_CALL(name, expression) \
	static long do_##name(const char *path) { return (expression); }

/* Straight system calls: the C library must not look at the pointers. */
PATH_CALL(open, syscall(SYS_open, path, O_RDONLY))
PATH_CALL(creat, syscall(SYS_creat, path, 0600))
PATH_CALL(openat, syscall(SYS_openat, AT_FDCWD, path, O_RDONLY, 0))
PATH_CALL(openat2, syscall(SYS_openat2, AT_FDCWD, path, (&(struct open_how){ .flags = O_RDONLY }), sizeof(struct open_how)))
PATH_CALL(stat, syscall(SYS_stat, path, &(struct stat){ 0 }))
PATH_CALL(lstat, syscall(SYS_lstat, path, &(struct stat){ 0 }))
PATH_CALL(newfstatat, syscall(SYS_newfstatat, AT_FDCWD, path, &(struct stat){ 0 }, 0))
PATH_CALL(statx, syscall(SYS_statx, AT_FDCWD, path, 0, STATX_BASIC_STATS, (char[256]){ 0 }))
PATH_CALL(access, syscall(SYS_access, path, R_OK))
PATH_CALL(faccessat, syscall(SYS_faccessat, AT_FDCWD, path, R_OK))
PATH_CALL(faccessat2, syscall(SYS_faccessat2, AT_FDCWD, path, R_OK, 0))
PATH_CALL(readlink, syscall(SYS_readlink, path, (char[8]){ 0 }, 8))
PATH_CALL(readlinkat, syscall(SYS_readlinkat, AT_FDCWD, path, (char[8]){ 0 }, 8))
PATH_CALL(chmod, syscall(SYS_chmod, path, 0600))
PATH_CALL(fchmodat, syscall(SYS_fchmodat, AT_FDCWD, path, 0600))
PATH_CALL(chown, syscall(SYS_chown, path, 0, 0))
PATH_CALL(lchown, syscall(SYS_lchown, path, 0, 0))
PATH_CALL(fchownat, syscall(SYS_fchownat, AT_FDCWD, path, 0, 0, 0))
PATH_CALL(chdir, syscall(SYS_chdir, path))
PATH_CALL(unlink, syscall(SYS_unlink, path))
PATH_CALL(unlinkat, syscall(SYS_unlinkat, AT_FDCWD, path, 0))
PATH_CALL(rmdir, syscall(SYS_rmdir, path))
PATH_CALL(mkdir, syscall(SYS_mkdir, path, 0700))
PATH_CALL(mkdirat, syscall(SYS_mkdirat, AT_FDCWD, path, 0700))
PATH_CALL(mknod, syscall(SYS_mknod, path, S_IFREG | 0600, 0))
PATH_CALL(rename_from, syscall(SYS_rename, path, "/tmp/wild"))
PATH_CALL(rename_to, syscall(SYS_rename, "/tmp/wild-missing", path))
PATH_CALL(renameat2, syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, "/tmp/wild", 0))
PATH_CALL(link, syscall(SYS_link, path, "/tmp/wild"))
PATH_CALL(symlink, syscall(SYS_symlink, "target", path))
PATH_CALL(symlink_target, syscall(SYS_symlink, path, "/no/such/file"))
PATH_CALL(truncate, syscall(SYS_truncate, path, 0))
PATH_CALL(execve, syscall(SYS_execve, path, (char *[]){ "x", NULL }, (char *[]){ NULL }))

static const struct path_call path_calls[] = {
#define ROW(name) { #name, do_##name }
	ROW(open), ROW(creat), ROW(openat), ROW(openat2), ROW(stat), ROW(lstat), ROW(newfstatat), ROW(statx),
	ROW(access), ROW(faccessat), ROW(faccessat2), ROW(readlink), ROW(readlinkat), ROW(chmod), ROW(fchmodat),
	ROW(chown), ROW(lchown), ROW(fchownat), ROW(chdir), ROW(unlink), ROW(unlinkat), ROW(rmdir), ROW(mkdir),
	ROW(mkdirat), ROW(mknod), ROW(rename_from), ROW(rename_to), ROW(renameat2), ROW(link), ROW(symlink),
	ROW(symlink_target), ROW(truncate), ROW(execve),
};

/* Pointers that cannot be read. The last is text that ends, without a NUL, with its page. */
static struct bad_pointer {
	const char *name;
	char *pointer;
} bad[] = {
	{ "NULL", NULL },
	{ "1", (char *)1 },
	{ "no access", NULL },
	{ "kernel", (char *)0xffffffff81000000 },
	{ "not canonical", (char *)0x8000000000000000 },
	{ "-1", (char *)-1 },
	{ "end of page", NULL },
};
#define BAD_COUNT (sizeof(bad) / sizeof(*bad))
#define NO_ACCESS 2
#define EDGE 6

static char long_path[LONG_PATH + 1];

static void make_pointers(void)
{
	long page = sysconf(_SC_PAGESIZE);
	char *pages = mmap(NULL, 2 * (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	/* Not unmapped: something else might be mapped there later. */
	mprotect(pages + page, (size_t)page, PROT_NONE);
	memset(pages, 'x', (size_t)page);
	bad[NO_ACCESS].pointer = pages + page;
	bad[EDGE].pointer = pages + page - 5;
	/* Short components: only the whole is too long. */
	memset(long_path, '/', LONG_PATH);
}

/* Number `k` of the bad pointers. A call may have written to the end of the page before it failed. */
static char *bad_pointer(size_t k)
{
	if (k == EDGE)
		memset(bad[k].pointer, 'x', 5);
	return bad[k].pointer;
}

static void test_paths(void)
{
	size_t i, k;

	for (i = 0; i < sizeof(path_calls) / sizeof(*path_calls); i++) {
		const struct path_call *row = &path_calls[i];

		for (k = 0; k < BAD_COUNT; k++) {
			long result = row->call(bad_pointer(k));
			int error = errno;

			ok(result == -1 && error == EFAULT, "%s(%s): %s", row->name, bad[k].name,
			   result == -1 ? errno_name(error) : "success");
		}
		is_error(row->name, row->call(long_path), ENAMETOOLONG);
	}
}

/* Results that are written where nothing can be written. */
static void test_results(void)
{
	size_t k;

	for (k = 0; k < BAD_COUNT; k++) {
		char *p = bad_pointer(k);
		const char *name = bad[k].name;

		printf("# results to %s\n", name);
		/* The end of the page takes five bytes, and no structure. */
		is_error("stat", syscall(SYS_stat, "/", p), EFAULT);
		is_error("newfstatat", syscall(SYS_newfstatat, AT_FDCWD, "/", p, 0), EFAULT);
		is_error("statx", syscall(SYS_statx, AT_FDCWD, "/", 0, STATX_BASIC_STATS, p), EFAULT);
		is_error("readlink", syscall(SYS_readlink, "/proc/self/exe", p, 4000), EFAULT);
		is_error("openat2", syscall(SYS_openat2, AT_FDCWD, "/", p, sizeof(struct open_how)), EFAULT);
		is_error("socketpair", syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, p), EFAULT);
	}
	is_error("readlink, size 0", syscall(SYS_readlink, "/proc/self/exe", long_path, 0), EINVAL);
	is_error("readlink, size -1", syscall(SYS_readlink, "/proc/self/exe", long_path, -1), EINVAL);
	is_error("openat2, size 0", syscall(SYS_openat2, AT_FDCWD, "/", &(struct open_how){ 0 }, 0), EINVAL);
	is_error("openat2, size 8", syscall(SYS_openat2, AT_FDCWD, "/", &(struct open_how){ 0 }, 8), EINVAL);
	is_error("openat2, size 1 GiB", syscall(SYS_openat2, AT_FDCWD, "/", &(struct open_how){ 0 }, 1 << 30), E2BIG);
}

/* connect(2) and bind(2): an address of any length from anywhere. */
static void test_addresses(int family, const char *name)
{
	const int fd = socket(family, SOCK_DGRAM, 0), file = open("/dev/null", O_RDONLY);
	char text[256] = { (char)family };
	static const int calls[] = { SYS_connect, SYS_bind };
	size_t i, k;

	for (i = 0; i < 2; i++) {
		const int call = calls[i];

		printf("# %s of %s\n", call == SYS_bind ? "bind" : "connect", name);
		for (k = 0; k < BAD_COUNT; k++)
			is_error(bad[k].name, syscall(call, fd, bad_pointer(k), 16), EFAULT);
		is_error("length -1", syscall(call, fd, text, -1), EINVAL);
		is_error("length INT_MIN", syscall(call, fd, text, 1 << 31), EINVAL);
		is_error("length 129", syscall(call, fd, text, 129), EINVAL);
		is_error("length 4096", syscall(call, fd, text, 4096), EINVAL);
		is_error("length 0", syscall(call, fd, text, 0), EINVAL);
		is_error("length 1", syscall(call, fd, text, 1), EINVAL);
		is_error("no descriptor", syscall(call, -1, text, 16), EBADF);
		is_error("no socket", syscall(call, file, text, 16), ENOTSOCK);
	}
	close(file);
	close(fd);
}

static void test_socket_calls(void)
{
	const int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq request = { .ifr_name = "no such if" };
	socklen_t negative = (socklen_t)-1;
	char text[16];
	size_t k;

	for (k = 0; k < BAD_COUNT; k++) {
		char *p = bad_pointer(k);

		printf("# socket calls with %s\n", bad[k].name);
		is_error("ioctl SIOCGIFINDEX", syscall(SYS_ioctl, fd, SIOCGIFINDEX, p), EFAULT);
		is_error("ioctl SIOCGIFCONF", syscall(SYS_ioctl, fd, SIOCGIFCONF, p), EFAULT);
		is_error("getsockname, length", syscall(SYS_getsockname, fd, text, k == EDGE ? NULL : p), EFAULT);
		is_error("setsockopt", syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDBUF, k == EDGE ? NULL : p, 4), EFAULT);
		is_error("sendto", syscall(SYS_sendto, fd, "x", 1, 0, p ? p : (char *)2, 16), EFAULT);
		is_error("sendmsg", syscall(SYS_sendmsg, fd, p, 0), EFAULT);
		is_error("recvmsg", syscall(SYS_recvmsg, fd, p, MSG_DONTWAIT), EFAULT);
	}
	is_error("getsockname, negative length", syscall(SYS_getsockname, fd, text, &negative), EINVAL);
	is_error("setsockopt, negative length", syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDBUF, text, -1), EINVAL);
	is_error("ioctl of an interface that does not exist", ioctl(fd, SIOCGIFINDEX, &request), ENODEV);
	close(fd);
}

/* Ordinary users may be refused before the arguments are looked at. */
#define refused(what, call)                                                                            \
	({                                                                                             \
		long got_ = (call);                                                                    \
		int error_ = errno;                                                                    \
		ok(got_ == -1 && (error_ == EFAULT || error_ == EPERM || error_ == ENAMETOOLONG), "%s: %s", what, \
		   got_ == -1 ? errno_name(error_) : "success");                                       \
	})

static void test_mounts(void)
{
	size_t k;

	for (k = 0; k < BAD_COUNT; k++) {
		char *p = bad_pointer(k);

		printf("# mounts with %s\n", bad[k].name);
		refused("mount, target", syscall(SYS_mount, "none", p, "tmpfs", 0, NULL));
		refused("umount2", syscall(SYS_umount2, p, 0));
		if (!p)
			continue;
		refused("mount, type", syscall(SYS_mount, "none", "/no/such/directory", p, 0, NULL));
		refused("mount, source", syscall(SYS_mount, p, "/no/such/directory", "tmpfs", 0, NULL));
	}
	refused("mount, long target", syscall(SYS_mount, "none", long_path, "tmpfs", 0, NULL));
	refused("umount2, long", syscall(SYS_umount2, long_path, 0));
}

/* Outside umvu the kernel does not know the call. */
static void vu_error(const char *what, long result, int wanted)
{
	int error = result == -1 ? errno : 0;

	ok(result == -1 && (error == wanted || (error == ENOSYS && !expect_vu())), "%s: %s, wanted %s", what,
	   error ? errno_name(error) : "success", errno_name(wanted));
}

static void test_vu_operations(void)
{
	static const enum vu_operation texts[] = { VU_INFO, VU_LSMOD };
	size_t i, k;

	for (k = 0; k < BAD_COUNT; k++) {
		long p = (long)bad_pointer(k);

		printf("# VU_SYSCALL with %s\n", bad[k].name);
		vu_error("VU_RMMOD", vu_call(VU_RMMOD, p, 0, 0, 0), EFAULT);
		vu_error("VU_SETNAME", vu_call(VU_SETNAME, p, 0, 0, 0), EFAULT);
		vu_error("VU_FAMILIES", vu_call(VU_FAMILIES, p, p, 100, 0), EFAULT);
		if (p)
			vu_error("VU_MSOCKET", vu_call(VU_MSOCKET, p, AF_INET, SOCK_STREAM, 0), EFAULT);
		for (i = 0; i < sizeof(texts) / sizeof(*texts); i++)
			vu_error("text", vu_call(texts[i], p, 4096, 0, 0), EFAULT);
	}
	vu_error("VU_INFO, size 0", vu_call(VU_INFO, (long)long_path, 0, 0, 0), ERANGE);
	vu_error("VU_INFO, size 1", vu_call(VU_INFO, (long)(char[1]){ 0 }, 1, 0, 0), ERANGE);
	vu_error("VU_FAMILIES, long path", vu_call(VU_FAMILIES, (long)long_path, (long)(char[64]){ 0 }, 64, 0), ENAMETOOLONG);
	vu_error("unknown operation", vu_call((enum vu_operation)9999, 0, 0, 0, 0), EINVAL);
	vu_error("negative operation", vu_call((enum vu_operation)-1, 0, 0, 0, 0), EINVAL);
}

int main(void)
{
	alarm(HANG_SECONDS);
	make_pointers();
	test_paths();
	test_results();
	test_addresses(AF_INET, "inet");
	test_socket_calls();
	test_mounts();
	test_vu_operations();
	return done();
}
