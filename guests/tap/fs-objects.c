/*
 * fs-objects - what names are used for: working directories, listings, watches, sockets, links of procfs, programs. In the
 * working directory, which is empty at the start and at the end.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "fs.h"

static void *in_thread(void *unused)
{
	(void)unused;
	umask(027);
	return (void *)(long)chdir("dir");
}

static int unshared(void *unused)
{
	(void)unused;
	umask(0);
	return chdir("/") != 0;
}

static void directories(void)
{
	pthread_t thread;
	char got[PATH_MAX], wanted[PATH_MAX + 8];
	static char stack[65536];
	int fd = open("dir", O_RDONLY), status = -1;
	pid_t pid;

	is_error("chdir: a file", chdir("file"), ENOTDIR);
	is_error("chdir: nothing", chdir("none"), ENOENT);
	umask(022);
	pthread_create(&thread, NULL, in_thread, NULL);
	pthread_join(thread, NULL);
	snprintf(wanted, sizeof(wanted), "%s/dir", here);
	ok(getcwd(got, sizeof(got)) && strcmp(got, wanted) == 0, "the directory of a thread is ours");
	succeeds("a new file", touch("new"));
	is_value("with its umask", stat("new", &st) == 0 ? st.st_mode & 0777 : 0, 0640);
	pid = clone(unshared, stack + sizeof(stack), SIGCHLD, NULL);
	waitpid(pid, &status, 0);
	is_value("a child has its own", status, 0);
	ok(getcwd(got, sizeof(got)) && strcmp(got, wanted) == 0 && umask(022) == 027, "ours stays");
	pid = clone(unshared, stack + sizeof(stack), SIGCHLD | CLONE_FS, NULL);
	waitpid(pid, &status, 0);
	ok(getcwd(got, sizeof(got)) && strcmp(got, "/") == 0 && umask(022) == 0, "with CLONE_FS it is one");
	succeeds("fchdir", fchdir(fd));
	ok(link_is("/proc/self/cwd", wanted), "/proc/self/cwd");
	snprintf(got, sizeof(got), "/proc/self/fd/%d", fd);
	ok(link_is(got, wanted), "/proc/self/fd");
	ok(link_is("/proc/self/root", "/"), "/proc/self/root");
	ok(reads("/proc/self/cwd/../file", "text"), "through /proc/self/cwd");
	unlink("new");
	succeeds("a directory to be removed", mkdir("gone", 0700));
	succeeds("entered", chdir("gone"));
	succeeds("removed", rmdir("../gone"));
	is_error("getcwd", syscall(SYS_getcwd, got, sizeof(got)), ENOENT);
	is_error("nothing can be made in it", mkdir("x", 0700), ENOENT);
	succeeds("home", chdir(here));
	close(fd);
}

static void listing(void)
{
	char name[32];
	int count = 0, again = 0;
	DIR *dir;
	struct dirent *entry;
	long middle = -1;

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "dir/e%d", i);
		touch(name);
	}
	dir = opendir("dir");
	while (dir && (entry = readdir(dir))) {
		count += entry->d_name[0] == 'e' && entry->d_type == DT_REG;
		if (count == 150 && middle < 0)
			middle = telldir(dir);
	}
	is_value("entries", count, 300);
	seekdir(dir, middle);
	while ((entry = readdir(dir)))
		again += entry->d_name[0] == 'e';
	is_value("from the middle", again, 150);
	rewinddir(dir);
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "dir/e%d", i);
		unlink(name);
	}
	rewinddir(dir);
	for (count = 0; (entry = readdir(dir));)
		count++;
	is_value("after they are gone", count, 2);
	closedir(dir);
}

static void others(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "dir/socket" };
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} of = { .handle.handle_bytes = 0 };
	char event[sizeof(struct inotify_event) + NAME_MAX + 1];
	int watcher = inotify_init1(IN_NONBLOCK), id, fd = socket(AF_UNIX, SOCK_STREAM, 0),
	    peer = socket(AF_UNIX, SOCK_STREAM, 0), file;

	succeeds("a watch", inotify_add_watch(watcher, "file", IN_MODIFY | IN_ATTRIB));
	ok(writes("file", "text"), "written to");
	ok(read(watcher, event, sizeof(event)) > 0, "seen");
	is_error("nothing to watch", inotify_add_watch(watcher, "none", IN_MODIFY), ENOENT);
	is_error("IN_ONLYDIR", inotify_add_watch(watcher, "file", IN_MODIFY | IN_ONLYDIR), ENOTDIR);
	is_error("a handle that needs room", name_to_handle_at(AT_FDCWD, "file", &of.handle, &id, 0), EOVERFLOW);
	succeeds("bind", bind(fd, (struct sockaddr *)&address, sizeof(address)));
	is_error("bind: there", bind(peer, (struct sockaddr *)&address, sizeof(address)), EADDRINUSE);
	is_error("connect: nobody listens", connect(peer, (struct sockaddr *)&address, sizeof(address)), ECONNREFUSED);
	succeeds("listen", listen(fd, 1));
	succeeds("connect", connect(peer, (struct sockaddr *)&address, sizeof(address)));
	is_error("open of a socket", opens("dir/socket", O_RDWR), ENXIO);
	close(fd);
	close(peer);
	unlink("dir/socket");
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	is_error("connect: nothing", connect(fd, (struct sockaddr *)&address, sizeof(address)), ENOENT);
	close(fd);
	close(watcher);
	file = (int)succeeds("a file without a name", open(".", O_TMPFILE | O_RDWR, 0600));
	snprintf(event, sizeof(event), "/proc/self/fd/%d", file);
	succeeds("gets one", linkat(AT_FDCWD, event, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	is_value("is there", unlink("named"), 0);
	succeeds("and anew", opens(event, O_RDWR));
	close(file);
}

/* A link that leads to one of procfs means what the descriptor behind that is. */
static void to_procfs(void)
{
	char text[64], got[PATH_MAX];
	int file = open("file", O_RDONLY), dirfd = open("dir", O_RDONLY), watcher = inotify_init1(0);
	struct statfs file_system;
	struct statx sx = { 0 };

	snprintf(text, sizeof(text), "/proc/self/fd/%d", file);
	succeeds("a link", symlink(text, "to-file"));
	snprintf(text, sizeof(text), "/proc/self/fd/%d", dirfd);
	succeeds("another one", symlink(text, "to-dir"));
	ok(stat("to-file", &st) == 0 && S_ISREG(st.st_mode), "stat: the file");
	ok(statx(AT_FDCWD, "to-file", 0, STATX_BASIC_STATS, &sx) == 0 && S_ISREG(sx.stx_mode), "statx too");
	ok(sx.stx_ino == st.st_ino && sx.stx_nlink == st.st_nlink, "the same one");
	ok(lstat("to-file", &st) == 0 && S_ISLNK(st.st_mode), "lstat: the link");
	is_error("access: execute", access("to-file", X_OK), EACCES);
	is_value("access: read, write", access("to-file", R_OK | W_OK), 0);
	is_value("statfs", statfs("to-file", &file_system), 0);
	is_error("getxattr", getxattr("to-file", "user.none", text, sizeof(text)), ENODATA);
	is_value("listxattr", listxattr("to-file", text, sizeof(text)), 0);
	succeeds("a watch", inotify_add_watch(watcher, "to-dir", IN_CREATE | IN_ONLYDIR));
	is_error("chdir: the file", chdir("to-file"), ENOTDIR);
	succeeds("chdir", chdir("to-dir"));
	ok(getcwd(got, sizeof(got)) && strcmp(got + strlen(got) - 4, "/dir") == 0, "the directory");
	succeeds("back", chdir(here));
	unlink("to-file");
	unlink("to-dir");
	close(file);
	close(dirfd);
	close(watcher);
}

static void executing(void)
{
	char *const args[] = { "x", NULL };
	int dirfd = open("dir", O_PATH), status = -1;

	is_error("exec: nothing", execve("none", args, environ), ENOENT);
	is_error("exec: not executable", execve("file", args, environ), EACCES);
	is_error("exec: a directory", execve("dir", args, environ), EACCES);
	is_error("exec: below a file", execve("file/x", args, environ), ENOTDIR);
	is_error("exec: a loop", execve("loop", args, environ), ELOOP);
	chmod("file", 0755);
	is_error("exec: not a program", execve("file", args, environ), ENOEXEC);
	is_error("execveat: the same", syscall(SYS_execveat, dirfd, "../rel", args, environ, 0), ENOEXEC);
	is_error("execveat: a link", syscall(SYS_execveat, AT_FDCWD, "rel", args, environ, AT_SYMLINK_NOFOLLOW), ELOOP);
	ok(writes("file", "#!/none/such\n"), "a script");
	is_error("exec: no interpreter", execve("file", args, environ), ENOENT);
	ok(writes("file", "#!/bin/sh\nexit 7\n"), "another");
	if (fork() == 0)
		_exit(execve("./file", args, environ) != 0);
	wait(&status);
	is_value("runs", WEXITSTATUS(status), 7);
	close(dirfd);
}

int main(void)
{
	if (!getcwd(here, sizeof(here)))
		return 2;
	umask(022);
	ok(writes("file", "text"), "a file");
	succeeds("a directory", mkdir("dir", 0755));
	succeeds("a link", symlink("file", "rel"));
	succeeds("a link to itself", symlink("loop", "loop"));
	directories();
	listing();
	others();
	to_procfs();
	executing();
	succeeds("file", unlink("file"));
	succeeds("rel", unlink("rel"));
	succeeds("loop", unlink("loop"));
	succeeds("dir", rmdir("dir"));
	ok(nothing_left(), "nothing is left");
	return done();
}
