/*
 * fs-paths - what names mean: every call that takes a path, in the working directory, which is empty at the start and at
 * the end. What Linux says is what a view has to say, whatever is mounted there.
 */
#define _GNU_SOURCE
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <utime.h>

#include "fs.h"

static void opening(void)
{
	ok(writes("file", "text"), "a file");
	succeeds("a directory", mkdir("dir", 0755));
	is_error("O_EXCL", opens("file", O_CREAT | O_EXCL | O_RDWR), EEXIST);
	is_error("O_DIRECTORY on a file", opens("file", O_DIRECTORY), ENOTDIR);
	is_error("a directory to write", opens("dir", O_WRONLY), EISDIR);
	is_error("a directory to make", opens("dir", O_CREAT | O_RDONLY), EISDIR);
	is_error("nothing", opens("none", O_RDWR), ENOENT);
	is_error("an empty path", opens("", O_RDONLY), ENOENT);
	is_error("a bad address", opens((char *)8, O_RDONLY), EFAULT);
	is_error("below a file", opens("file/x", O_RDONLY), ENOTDIR);
	is_error("a file with a slash", opens("file/", O_RDONLY), ENOTDIR);
	is_error("a new file with a slash", opens("none/", O_CREAT | O_RDWR), EISDIR);
	is_error("in a directory that is not there", opens("none/x", O_CREAT | O_RDWR), ENOENT);
	succeeds("slashes and dots", opens("././/dir/..///file", O_RDONLY));
	is_error(".. of what is not there", opens("none/../file", O_RDONLY), ENOENT);
	is_error(".. of a file", opens("file/../file", O_RDONLY), ENOTDIR);
	is_error("a bad descriptor", openat(999, "file", O_RDONLY), EBADF);
	succeeds("a bad descriptor does not matter", close(openat(999, here, O_RDONLY)));
	is_error("creat of a directory", creat("dir", 0600), EISDIR);
	is_error("a descriptor of a file", openat(open("file", O_RDONLY), "x", O_RDONLY), ENOTDIR);
	is_error("openat2: unknown bits", opens2(AT_FDCWD, "file", 1ULL << 40, 0), EINVAL);
	is_error("openat2: unknown resolve", opens2(AT_FDCWD, "file", 0, 1 << 12), EINVAL);
	is_error("openat2: size", syscall(SYS_openat2, AT_FDCWD, "file", here, 3), EINVAL);
}

static void links(void)
{
	char name[32], path[PATH_MAX + 32];

	succeeds("a relative link", symlink("file", "rel"));
	snprintf(path, sizeof(path), "%s/file", here);
	succeeds("an absolute link", symlink(path, "abs"));
	succeeds("a link to a directory", symlink("dir", "dlink"));
	succeeds("a link to itself", symlink("loop", "loop"));
	succeeds("a link to nothing", symlink("none", "dangling"));
	succeeds("a link out", symlink("/dev/null", "out"));
	ok(reads("rel", "text") && reads("abs", "text"), "they lead to the file");
	ok(link_is("abs", path), "readlink");
	is_value("a short buffer", readlink("abs", path, 3), 3);
	is_error("no room", readlink("abs", path, 0), EINVAL);
	is_error("readlink of a file", readlink("file", path, 9), EINVAL);
	is_error("readlink with a slash", readlink("dlink/", path, 9), EINVAL);
	is_error("a loop", opens("loop", O_RDONLY), ELOOP);
	is_error("through a loop", stat("loop/x", &st), ELOOP);
	is_value("the loop itself", lstat("loop", &st), 0);
	is_error("O_NOFOLLOW", opens("rel", O_NOFOLLOW), ELOOP);
	is_error("O_NOFOLLOW, O_DIRECTORY", opens("dlink", O_NOFOLLOW | O_DIRECTORY), ENOTDIR);
	succeeds("O_NOFOLLOW with a slash", opens("dlink/", O_NOFOLLOW));
	succeeds("O_NOFOLLOW on the way", opens("dlink/../file", O_NOFOLLOW));
	succeeds("O_PATH of a link", opens("rel", O_NOFOLLOW | O_PATH));
	is_error("O_EXCL of a link", opens("dangling", O_CREAT | O_EXCL), EEXIST);
	succeeds("a file at the end of one", opens("dangling", O_CREAT | O_WRONLY));
	is_value("is where it leads", unlink("none"), 0);
	is_value("out of the tree", stat("out", &st) == 0 && S_ISCHR(st.st_mode), 1);
	is_error("mkdir at a link", mkdir("dangling", 0700), EEXIST);
	is_error("no text", symlink("", "x"), ENOENT);
	for (int i = 0; i <= 41; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		snprintf(path, sizeof(path), i ? "l%d" : "file", i - 1);
		if (symlink(path, name) < 0)
			break;
	}
	ok(reads("l39", "text"), "40 links");
	is_error("41 links", opens("l40", O_RDONLY), ELOOP);
	for (int i = 0; i <= 41; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		unlink(name);
	}
}

static void confined(void)
{
	int dir = open("dir", O_RDONLY | O_DIRECTORY), top = open(".", O_PATH | O_DIRECTORY);

	is_error("RESOLVE_BENEATH: ..", opens2(dir, "../file", O_RDONLY, RESOLVE_BENEATH), EXDEV);
	is_error("RESOLVE_BENEATH: /", opens2(dir, "/", O_RDONLY, RESOLVE_BENEATH), EXDEV);
	is_error("RESOLVE_BENEATH: an absolute link", opens2(top, "abs", O_RDONLY, RESOLVE_BENEATH), EXDEV);
	succeeds("RESOLVE_BENEATH: a link", opens2(top, "dlink/../rel", O_RDONLY, RESOLVE_BENEATH));
	succeeds("RESOLVE_IN_ROOT: ..", opens2(top, "../../file", O_RDONLY, RESOLVE_IN_ROOT));
	succeeds("RESOLVE_IN_ROOT: /", opens2(top, "/dir", O_RDONLY, RESOLVE_IN_ROOT));
	is_error("RESOLVE_IN_ROOT: out", opens2(top, "out", O_RDONLY, RESOLVE_IN_ROOT), ENOENT);
	is_error("RESOLVE_NO_SYMLINKS", opens2(top, "dlink/.", O_RDONLY, RESOLVE_NO_SYMLINKS), ELOOP);
	succeeds("no links there", opens2(top, "dir", O_RDONLY, RESOLVE_NO_SYMLINKS));
	is_error("RESOLVE_NO_XDEV", opens2(AT_FDCWD, "/proc/self", O_RDONLY, RESOLVE_NO_XDEV), EXDEV);
	is_error("both", opens2(top, "file", O_RDONLY, RESOLVE_BENEATH | RESOLVE_IN_ROOT), EINVAL);
	close(dir);
	close(top);
}

static void looking(void)
{
	int fd = open("file", O_PATH), dirfd = open("dlink", O_PATH);
	struct statx sx;
	struct statfs fs;

	is_value("O_PATH: fstat", fstat(fd, &st), 0);
	is_error("O_PATH: read", read(fd, here + PATH_MAX - 8, 1), EBADF);
	is_value("AT_EMPTY_PATH", fstatat(fd, "", &st, AT_EMPTY_PATH), 0);
	is_error("without it", fstatat(fd, "", &st, 0), ENOENT);
	is_value("statx", statx(dirfd, "../file", 0, STATX_SIZE, &sx) == 0 && sx.stx_size == 4, 1);
	is_value("statx of a link", statx(AT_FDCWD, "rel", AT_SYMLINK_NOFOLLOW, STATX_MODE, &sx) == 0 &&
					   S_ISLNK(sx.stx_mode), 1);
	is_error("statx: flags", statx(AT_FDCWD, "rel", 0x40000000, STATX_MODE, &sx), EINVAL);
	is_error("fstatat: flags", fstatat(AT_FDCWD, "rel", &st, 0x40000000), EINVAL);
	is_error("stat to nowhere", syscall(SYS_stat, "file", (void *)8), EFAULT);
	is_value("access", access("file", R_OK | W_OK), 0);
	is_error("access: mode", access("file", 64), EINVAL);
	is_error("access: nothing", access("none", F_OK), ENOENT);
	is_error("access: x", access("file", X_OK), EACCES);
	is_value("faccessat of a link", faccessat(AT_FDCWD, "dangling", F_OK, AT_SYMLINK_NOFOLLOW), 0);
	is_value("statfs", statfs("file", &fs), 0);
	is_error("statfs: nothing", statfs("none", &fs), ENOENT);
	close(fd);
	close(dirfd);
}

static void names(void)
{
	char other[64];

	snprintf(other, sizeof(other), "/dev/shm/fs-paths.%d", getpid());
	is_error("mkdir: there", mkdir("dir", 0700), EEXIST);
	is_error("mkdir: .", mkdir("dir/.", 0700), EEXIST);
	succeeds("mkdir with a slash", mkdir("dir/sub/", 0700));
	is_error("rmdir: full", rmdir("dir"), ENOTEMPTY);
	is_error("rmdir: .", rmdir("dir/sub/."), EINVAL);
	is_error("rmdir: ..", rmdir("dir/sub/.."), ENOTEMPTY);
	is_error("rmdir: a file", rmdir("file"), ENOTDIR);
	is_error("rmdir: a link", rmdir("dlink"), ENOTDIR);
	is_error("unlink: a directory", unlink("dir"), EISDIR);
	is_error("unlink: a slash", unlink("file/"), ENOTDIR);
	is_error("unlink: nothing", unlink("none"), ENOENT);
	is_error("unlinkat: flags", unlinkat(AT_FDCWD, "file", 1), EINVAL);
	succeeds("a fifo", mknod("fifo", S_IFIFO | 0600, 0));
	is_error("a directory by mknod", mknod("x", S_IFDIR | 0700, 0), EPERM);
	is_error("there already", mknod("fifo", S_IFREG | 0600, 0), EEXIST);
	succeeds("rename", rename("fifo", "dir/fifo"));
	is_value("onto itself", rename("dir/fifo", "dir/fifo"), 0);
	is_error("rename: into itself", rename("dir", "dir/sub/x"), EINVAL);
	is_error("rename: over what it is in", rename("dir/sub", "dir"), ENOTEMPTY);
	is_error("rename: a file over a directory", rename("file", "dir/sub"), EISDIR);
	is_error("rename: a directory over a file", rename("dir", "file"), ENOTDIR);
	is_error("rename: dots", rename("dir/.", "x"), EBUSY);
	is_error("rename: to a slash", rename("file", "x/"), ENOTDIR);
	is_error("RENAME_NOREPLACE", renameat2(AT_FDCWD, "file", AT_FDCWD, "dir/fifo", RENAME_NOREPLACE), EEXIST);
	is_error("RENAME_EXCHANGE", renameat2(AT_FDCWD, "file", AT_FDCWD, "none", RENAME_EXCHANGE), ENOENT);
	succeeds("exchanged", renameat2(AT_FDCWD, "file", AT_FDCWD, "dir/sub", RENAME_EXCHANGE));
	ok(reads("dir/sub", "text") && opens("file", O_DIRECTORY) == 0, "what was one is the other");
	succeeds("and back", renameat2(AT_FDCWD, "file", AT_FDCWD, "dir/sub", RENAME_EXCHANGE));
	is_error("both flags", renameat2(AT_FDCWD, "file", AT_FDCWD, "x", RENAME_EXCHANGE | RENAME_NOREPLACE), EINVAL);
	is_error("rename to another mount", rename("file", other), EXDEV);
	is_error("link to another mount", link("file", other), EXDEV);
	succeeds("link", link("file", "hard"));
	is_value("two names", stat("file", &st) == 0 ? st.st_nlink : 0, 2);
	is_error("link: there", link("file", "hard"), EEXIST);
	is_error("link: a directory", link("dir", "x"), EPERM);
	is_error("link: a slash", link("file", "x/"), ENOENT);
	succeeds("a link of a link", link("rel", "rel2"));
	is_value("is one", lstat("rel2", &st) == 0 && S_ISLNK(st.st_mode), 1);
	succeeds("followed", linkat(AT_FDCWD, "rel2", AT_FDCWD, "hard2", AT_SYMLINK_FOLLOW));
	is_value("three names", stat("hard", &st) == 0 ? st.st_nlink : 0, 3);
	is_error("linkat: flags", linkat(AT_FDCWD, "file", AT_FDCWD, "x", 1), EINVAL);
	for (const char *const *each = (const char *const[]){ "hard", "hard2", "rel2", "dir/fifo", NULL }; *each; each++)
		unlink(*each);
	is_value("rmdir", rmdir("dir/sub/"), 0);
}

static void attributes(void)
{
	const struct timespec times[2] = { { 5, 6 }, { 0, UTIME_OMIT } }, wrong[2] = { { 5, -6 }, { 5, 6 } };
	char value[16];
	int fd = open("file", O_RDWR);

	succeeds("chmod", chmod("rel", 0604));
	is_value("the mode", stat("file", &st) == 0 ? st.st_mode & 07777 : 0, 0604);
	is_error("chmod: nothing", chmod("none", 0600), ENOENT);
	is_error("fchmodat of a link", fchmodat(AT_FDCWD, "rel", 0600, AT_SYMLINK_NOFOLLOW), EOPNOTSUPP);
	succeeds("fchmod", fchmod(fd, 0640));
	succeeds("chown to nobody new", chown("file", -1, getgid()));
	succeeds("of a link", lchown("dangling", getuid(), -1));
	succeeds("of a descriptor", fchownat(fd, "", -1, -1, AT_EMPTY_PATH));
	is_error("chown: nothing", chown("dangling", -1, -1), ENOENT);
	succeeds("utimensat", utimensat(AT_FDCWD, "rel", times, 0));
	is_value("the time", stat("file", &st) == 0 && st.st_atim.tv_sec == 5 && st.st_atim.tv_nsec == 6, 1);
	is_error("wrong times", utimensat(AT_FDCWD, "file", wrong, 0), EINVAL);
	succeeds("of a link itself", utimensat(AT_FDCWD, "dangling", times, AT_SYMLINK_NOFOLLOW));
	succeeds("futimens", futimens(fd, times));
	succeeds("utime", utime("file", NULL));
	succeeds("truncate", truncate("file", 2));
	ok(reads("file", "te"), "is shorter");
	is_error("truncate: less than nothing", truncate("file", -1), EINVAL);
	is_error("truncate: a directory", truncate("dir", 0), EISDIR);
	succeeds("setxattr", setxattr("file", "user.a", "12345", 5, XATTR_CREATE));
	is_error("again", setxattr("file", "user.a", "1", 1, XATTR_CREATE), EEXIST);
	is_value("its size", getxattr("rel", "user.a", NULL, 0), 5);
	is_error("no room", getxattr("file", "user.a", value, 2), ERANGE);
	is_value("its value", getxattr("file", "user.a", value, sizeof(value)) == 5 && !memcmp(value, "12345", 5), 1);
	is_error("another", getxattr("file", "user.b", value, 5), ENODATA);
	is_error("none on links", lsetxattr("dangling", "user.a", "1", 1, 0), EPERM);
	is_value("of a descriptor", fgetxattr(fd, "user.a", value, sizeof(value)), 5);
	succeeds("fsetxattr", fsetxattr(fd, "user.b", "1", 1, 0));
	is_value("listxattr", listxattr("file", value, sizeof(value)), 14);
	succeeds("removexattr", removexattr("file", "user.a"));
	succeeds("fremovexattr", fremovexattr(fd, "user.b"));
	close(fd);
	ok(writes("file", "text"), "as before");
}

static void lengths(void)
{
	static char path[PATH_MAX + 2], name[NAME_MAX + 2], got[PATH_MAX * 2];
	int depth = 0;

	memset(path, '/', PATH_MAX);
	memcpy(path, ".", 1);
	strcpy(path + PATH_MAX - 5, "file");
	ok(reads(path, "text"), "4095 bytes");
	memmove(path + 1, path, PATH_MAX - 1);
	path[1] = '/';
	is_error("4096 bytes", opens(path, O_RDONLY), ENAMETOOLONG);
	memset(name, 'n', NAME_MAX + 1);
	is_error("a name of 256 bytes", mkdir(name, 0700), ENAMETOOLONG);
	is_error("looked for", stat(name, &st), ENAMETOOLONG);
	name[NAME_MAX] = '\0';
	for (depth = 0; depth < 14; depth++)
		if (mkdir(name, 0700) < 0 || chdir(name) < 0)
			break;
	is_value("14 directories deep", depth, 14);
	ok(getcwd(got, sizeof(got)) && strlen(got) == strlen(here) + 14 * (NAME_MAX + 1), "its path");
	for (; depth > 0; depth--)
		if (chdir("..") < 0 || rmdir(name) < 0)
			break;
	is_value("and back", depth, 0);
	ok(getcwd(got, sizeof(got)) && strcmp(got, here) == 0, "here");
	is_error("getcwd: short", syscall(SYS_getcwd, got, 2), ERANGE);
	succeeds("not UTF-8", mkdir("\xff\xfe\n\x80", 0700));
	succeeds("in it", chdir("\xff\xfe\n\x80"));
	ok(getcwd(got, sizeof(got)) && strcmp(got + strlen(here), "/\xff\xfe\n\x80") == 0, "getcwd");
	succeeds("out of it", chdir(".."));
	succeeds("gone", rmdir("\xff\xfe\n\x80"));
}

int main(void)
{
	if (!getcwd(here, sizeof(here)))
		return 2;
	umask(022);
	opening();
	links();
	confined();
	looking();
	names();
	attributes();
	lengths();
	for (const char *const *each = (const char *const[]){ "file", "rel", "abs", "dlink", "loop", "dangling", "out", NULL };
	     *each; each++)
		succeeds(*each, unlink(*each));
	succeeds("dir", rmdir("dir"));
	ok(nothing_left(), "nothing is left");
	return done();
}
