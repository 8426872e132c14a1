/*
 * fs-guard FILE - tries everything to change FILE, or what is beside it, on a read-only mount (vufs -o ro, or one of the
 * kernel's), by name, through procfs, through descriptors, and by exchanging a path or a link while it is used.
 *
 * The working directory is writable. Whatever a try says, nothing may have changed at the end.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

#include "tap.h"

#define TRIES 10000

static const char *target;
static char directory[PATH_MAX], shm[64], shm_link[96], shm_file[96], own_fd[64];
/* A path that another thread exchanges all the time. */
static char text[PATH_MAX];
static char protected_socket[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static const char *_Atomic innocent;
static atomic_bool stop;
/* Whether the link in /dev/shm is exchanged too: that takes calls, and leaves the other thread less time for its tries. */
static int exchange_link;
static int written;

static void *exchange(void *unused)
{
	char fresh[128];

	(void)unused;
	snprintf(fresh, sizeof(fresh), "%s.new", shm_link);
	for (unsigned n = 0; !stop; n++) {
		const char *other = innocent;

		strcpy(text, n % 2 ? target : other);
		strcpy(address.sun_path, n % 2 ? protected_socket : "./sock");
		if (exchange_link && n % 1024 == 0) {
			unlink(fresh);
			if (symlink(n % 2048 ? target : other, fresh) == 0 && rename(fresh, shm_link) < 0)
				unlink(fresh);
		}
	}
	return NULL;
}

/* Writes, where it is a file that was opened and not a device. */
static void scribble(int fd)
{
	struct stat found;

	if (fd < 0)
		return;
	if (fstat(fd, &found) == 0 && S_ISREG(found.st_mode) && write(fd, "changed", 7) > 0)
		written++;
	close(fd);
}

/* A descriptor that was opened for reading is not a way to change the file. */
static void misuse(int fd)
{
	const struct timespec times[2] = { { 1, 0 }, { 1, 0 } };
	char path[64];

	if (fd < 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fchmod(fd, 0777);
	fchown(fd, 1, 1);
	futimens(fd, times);
	fsetxattr(fd, "user.guard", "x", 1, 0);
	chmod(path, 0777);
	chown(path, 1, 1);
	utimensat(AT_FDCWD, path, times, 0);
	setxattr(path, "user.guard", "x", 1, 0);
	truncate(path, 1);
	fchownat(fd, "", 1, 1, AT_EMPTY_PATH);
	syscall(SYS_utimensat, fd, "", times, AT_EMPTY_PATH);
	syscall(452 /* fchmodat2 */, fd, "", 0777, AT_EMPTY_PATH);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	scribble(open(path, O_WRONLY));
	scribble(open(path, O_RDWR | O_TRUNC));
	close(fd);
}

static void open_text(void)
{
	struct open_how how = { .flags = O_WRONLY };

	scribble(open(text, O_WRONLY));
	scribble(open(text, O_RDWR | O_CREAT, 0600));
	scribble((int)syscall(SYS_openat2, AT_FDCWD, text, &how, sizeof(how)));
}

static void open_link(void)
{
	scribble(open(shm_link, O_WRONLY));
	scribble(open(shm_link, O_WRONLY | O_APPEND | O_CREAT, 0600));
}

static void open_to_read(void)
{
	misuse(open(text, O_RDONLY));
	misuse(open(shm_link, O_RDONLY));
	misuse(open(text, O_PATH));
}

static void change_by_name(void)
{
	const struct timespec times[2] = { { 1, 0 }, { 1, 0 } };

	for (int i = 0; i < 2; i++) {
		const char *path = i ? text : shm_link;

		chmod(path, 0777);
		chown(path, 1, 1);
		truncate(path, 1);
		utimensat(AT_FDCWD, path, times, 0);
		setxattr(path, "user.guard", "x", 1, 0);
	}
}

static void move(void)
{
	char other[128];

	snprintf(other, sizeof(other), "%s.moved", shm_file);
	if (rename(text, other) == 0)
		rename(other, shm_file);
	if (link(text, other) == 0)
		unlink(other);
	unlink(text);
	close(open(shm_file, O_CREAT | O_WRONLY, 0600));
}

static void bind_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	bind(fd, (struct sockaddr *)&address, sizeof(address));
	close(fd);
	unlink("sock");
}

static void race(const char *what, const char *harmless, void (*act)(void), int tries)
{
	pthread_t thread;

	innocent = harmless;
	strcpy(text, harmless);
	stop = false;
	exchange_link = act == open_link;
	written = 0;
	pthread_create(&thread, NULL, exchange, NULL);
	for (int i = 0; i < tries; i++)
		act();
	stop = true;
	pthread_join(thread, NULL);
	/* The number of writes that reached the harmless file shows that the try was one. */
	ok(act != open_text || harmless[1] == 'd' || written > 0, "%s, exchanged with %s", what, harmless);
}

/* Ways that lead to the file without any race. */
static void ways(void)
{
	char path[PATH_MAX + 64], name[PATH_MAX];
	int dirfd = open(directory, O_RDONLY | O_DIRECTORY), pathfd = open(directory, O_PATH);

	strcpy(name, target);
	snprintf(path, sizeof(path), "/proc/self/root%s", target);
	is_error("through /proc/self/root", open(path, O_WRONLY), EROFS);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/root%s", getpid(), getpid(), target);
	is_error("through /proc/PID/task/TID/root", truncate(path, 0), EROFS);
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dirfd, basename(name));
	is_error("through /proc/self/fd/N/name", open(path, O_WRONLY), EROFS);
	snprintf(path, sizeof(path), "/proc/thread-self/fd/%d/%s", pathfd, "made");
	is_error("something new there", mkdir(path, 0700), EROFS);
	is_error("below a descriptor", openat(pathfd, basename(name), O_RDWR), EROFS);
	is_error("removed below one", unlinkat(dirfd, basename(name), 0), EROFS);
	succeeds("a working directory there", fchdir(dirfd));
	snprintf(path, sizeof(path), "/proc/%d/cwd/%s", getpid(), basename(name));
	is_error("through /proc/PID/cwd", chmod(path, 0777), EROFS);
	is_error("by a relative path", open(basename(name), O_WRONLY), EROFS);
	is_error("a file without a name", open(".", O_TMPFILE | O_WRONLY, 0600), EROFS);
	succeeds("back", chdir(shm));
	close(dirfd);
	close(pathfd);
}

/* Descriptors for reading that the view itself gives, by each way several times: answers may come from elsewhere then. */
static void through_the_view(void)
{
	char name[PATH_MAX];
	int dirfd = open(directory, O_RDONLY | O_DIRECTORY);

	strcpy(name, target);
	for (int i = 0; i < 3; i++) {
		misuse(open(target, O_RDONLY));
		misuse(openat(dirfd, basename(name), O_RDONLY | O_NOFOLLOW));
		misuse(openat(dirfd, ".", O_RDONLY | O_DIRECTORY));
		misuse(open(directory, O_RDONLY));
	}
	is_value("nothing was written through descriptors for reading", written, 0);
	is_error("written to", write((int)succeeds("one for reading", open(target, O_RDONLY)), "x", 1), EBADF);
	close(dirfd);
}

/* The lower file by its handle, where we may open such. */
static void by_handle(void)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} of = { .handle.handle_bytes = MAX_HANDLE_SZ };
	int mount, root = open(".", O_RDONLY);

	if (name_to_handle_at(AT_FDCWD, target, &of.handle, &mount, 0) == 0)
		scribble(open_by_handle_at(root, &of.handle, O_WRONLY));
	close(root);
}

/* Removes what a directory has; texts that are exchanged while they are read make some strange names. */
static void empty(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
}

static int names_in(const char *path)
{
	DIR *dir = opendir(path);
	int count = 0;

	while (dir && readdir(dir))
		count++;
	if (dir)
		closedir(dir);
	return count;
}

int main(int argc, char **argv)
{
	char work[PATH_MAX];
	struct stat before, after;
	int names, harmless, tries = argc > 2 ? atoi(argv[2]) : TRIES;

	if (argc < 2 || !getcwd(work, sizeof(work)))
		return 2;
	target = argv[1];
	strcpy(directory, target);
	dirname(directory);
	if (snprintf(protected_socket, sizeof(protected_socket), "%s/sock", directory) >= (int)sizeof(protected_socket))
		return 2;
	snprintf(shm, sizeof(shm), "/dev/shm/fs-guard.%d", getpid());
	snprintf(shm_link, sizeof(shm_link), "%s/link", shm);
	snprintf(shm_file, sizeof(shm_file), "%s/file", shm);
	succeeds("a folder in /dev/shm", mkdir(shm, 0700));
	harmless = (int)succeeds("a harmless file", open(shm_file, O_CREAT | O_RDWR, 0600));
	snprintf(own_fd, sizeof(own_fd), "/proc/self/fd/%d", harmless);
	names = names_in(directory);
	succeeds("the file", stat(target, &before));
	ways();
	through_the_view();
	succeeds("the working directory", chdir(work));
	/* Natively a handle is opened through any mount of the file system. */
	if (expect_vu())
		by_handle();
	close(open("harmless", O_CREAT | O_WRONLY, 0600));
	race("open to write", "/dev/null", open_text, tries / 3);
	race("open to write", shm_file, open_text, tries / 6);
	race("open to write", own_fd, open_text, tries / 6);
	race("open to write", "harmless", open_text, tries / 6);
	race("a link in /dev/shm", shm_file, open_link, tries / 4);
	race("a descriptor for reading", "harmless", open_to_read, tries / 40);
	race("a descriptor for reading", "/dev/zero", open_to_read, tries / 40);
	race("attributes", shm_file, change_by_name, tries / 10);
	race("attributes", own_fd, change_by_name, tries / 10);
	race("names", shm_file, move, tries / 10);
	race("a socket", ".", bind_socket, tries / 10);
	succeeds("the file is there", stat(target, &after));
	ok(before.st_size == after.st_size && before.st_mode == after.st_mode && before.st_uid == after.st_uid &&
		   before.st_mtim.tv_sec == after.st_mtim.tv_sec && before.st_ctim.tv_sec == after.st_ctim.tv_sec &&
		   before.st_ctim.tv_nsec == after.st_ctim.tv_nsec && before.st_ino == after.st_ino &&
		   before.st_nlink == after.st_nlink,
	   "and as it was");
	is_value("nothing new beside it", names_in(directory), names);
	empty(shm);
	unlink("harmless");
	is_value("nothing is left", rmdir(shm), 0);
	return done();
}
