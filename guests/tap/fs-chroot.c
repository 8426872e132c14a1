/*
 * fs-chroot - root directories, in the working directory, which is empty at the start and at the end. Natively it needs
 * CAP_SYS_CHROOT, which a user namespace gives. It has to be a static program, because it executes a copy of itself below a
 * root directory where there is nothing else: `PROGRAM child` exits with 42 if it finds /file there.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

static char here[PATH_MAX];
static struct stat st;
/* Descriptors of the directory outside and of /proc, opened before. */
static int outside, proc;

static bool writes(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text);
}

static bool reads_at(int dirfd, const char *path, const char *wanted)
{
	char text[64] = "";
	int fd = openat(dirfd, path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n >= 0 && strcmp(text, wanted) != 0)
		printf("# %s: %s\n", path, text);
	return n >= 0 && strcmp(text, wanted) == 0;
}

static bool reads(const char *path, const char *wanted)
{
	return reads_at(AT_FDCWD, path, wanted);
}

static bool cwd_is(const char *wanted)
{
	char text[PATH_MAX] = "";

	if (syscall(SYS_getcwd, text, sizeof(text)) < 0 || strcmp(text, wanted) != 0) {
		printf("# getcwd: %s, wanted %s\n", text, wanted);
		return false;
	}
	return true;
}

static bool link_is(int dirfd, const char *path, const char *wanted)
{
	char text[PATH_MAX] = "";
	ssize_t n = readlinkat(dirfd, path, text, sizeof(text) - 1);

	if (n < 0 || strcmp(text, wanted) != 0)
		printf("# %s: %s, wanted %s\n", path, n < 0 ? errno_name(errno) : text, wanted);
	return n >= 0 && strcmp(text, wanted) == 0;
}

static bool same(const struct stat *a, const char *path)
{
	return stat(path, &st) == 0 && st.st_ino == a->st_ino && st.st_dev == a->st_dev;
}

/* Copies ourselves to `path`. */
static bool copies(const char *path)
{
	char buffer[65536];
	int from = open("/proc/self/exe", O_RDONLY), to = open(path, O_WRONLY | O_CREAT, 0755);
	ssize_t n;

	while (from >= 0 && (n = read(from, buffer, sizeof(buffer))) > 0)
		if (write(to, buffer, (size_t)n) != n)
			return false;
	close(from);
	return close(to) == 0;
}

/* Exit status of a child that does `act`. */
static int in_child(int (*act)(void *), void *argument, int flags)
{
	static char stack[256 * 1024];
	int status = -1;
	pid_t pid;

	fflush(stdout);
	if (flags == 0) {
		pid = fork();
		if (pid == 0)
			_exit(act(argument));
	} else {
		pid = clone(act, stack + sizeof(stack), flags | SIGCHLD, argument);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int executes(void *path)
{
	execl(path, path, "child", NULL);
	return errno;
}

static int finds_file(void *unused)
{
	return unused == NULL && reads("/file", "inside") && cwd_is("/sub") ? 0 : 1;
}

static int leaves(void *path)
{
	return chroot(path) == 0 ? 0 : errno;
}

static void errors(void)
{
	char name[PATH_MAX + 2];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	is_error("nothing", chroot("none"), ENOENT);
	is_error("nothing at all", chroot(""), ENOENT);
	is_error("a file", chroot("outside"), ENOTDIR);
	is_error("a file with a slash", chroot("outside/"), ENOTDIR);
	is_error("below a file", chroot("outside/x"), ENOTDIR);
	is_error("a loop", chroot("loop"), ELOOP);
	is_error("a bad address", chroot((char *)8), EFAULT);
	is_error("a long path", chroot(name), ENAMETOOLONG);
	name[300] = '\0';
	is_error("a long name", chroot(name), ENAMETOOLONG);
	ok(reads("outside", "out") && cwd_is(here), "nothing has changed");
}

static void looking(void)
{
	struct stat root;

	ok(cwd_is("/"), "getcwd");
	ok(reads("/file", "inside") && reads("file", "inside"), "absolute and relative paths");
	ok(reads("../file", "inside") && reads("/../../file", "inside"), ".. of the root is the root");
	ok(reads("absolute", "inside"), "an absolute link");
	ok(reads("up", "inside"), "a link of dots");
	ok(reads("/sub/../sub/./../file", "inside"), "dots on the way");
	is_error("what is outside", stat("/outside", &st), ENOENT);
	is_error("its old path", stat(here, &st), ENOENT);
	ok(stat("/", &root) == 0 && same(&root, ".") && same(&root, ".."), "/ is . and ..");
	is_value("chdir", chdir("/sub"), 0);
	ok(cwd_is("/sub") && reads("inner", "inner") && reads("../file", "inside"), "in a directory of it");
	ok(same(&root, "../../../.."), "up to the root");
	ok(link_is(proc, "self/root", "/"), "/proc/self/root");
	ok(link_is(proc, "self/cwd", "/sub"), "/proc/self/cwd");
	ok(reads_at(proc, "self/root/file", "inside"), "through /proc/self/root");
	ok(reads_at(proc, "self/cwd/inner", "inner"), "through /proc/self/cwd");
}

static void escaping(void)
{
	struct open_how how = { .flags = O_RDONLY, .resolve = RESOLVE_IN_ROOT };

	ok(reads_at(outside, "outside", "out"), "a descriptor of what is outside leads there");
	ok(reads_at(outside, "jail/../file", "inside"), "but not up again from the root");
	ok(reads_at(outside, "absolute", "inside"), "an absolute link there starts from the root");
	ok(syscall(SYS_openat2, outside, "/outside", &how, sizeof(how)) >= 0, "RESOLVE_IN_ROOT of what is outside");
	how.resolve = RESOLVE_BENEATH;
	is_error("RESOLVE_BENEATH", syscall(SYS_openat2, outside, "absolute", &how, sizeof(how)), EXDEV);
	is_value("fchdir to what is outside", fchdir(outside), 0);
	ok(reads("outside", "out") && reads("/file", "inside"), "relative paths are there, absolute ones are not");
	is_value("back", chdir("/sub"), 0);
}

static bool pivot_root_fails(void)
{
	return syscall(SYS_pivot_root, "/", "/") < 0 && (errno == EINVAL || errno == EPERM || errno == EBUSY);
}

static void changing(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/socket" };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);

	ok(writes("/new", "new", 0644) && reads("../new", "new"), "a new file");
	is_value("rename", rename("/new", "/sub/new"), 0);
	is_value("link", link("/sub/new", "/linked"), 0);
	is_value("chmod", chmod("/linked", 0600), 0);
	ok(stat("/linked", &st) == 0 && (st.st_mode & 07777) == 0600 && st.st_nlink == 2, "is done");
	is_value("truncate", truncate("/linked", 1), 0);
	is_value("unlink", unlink("/linked") + unlink("/sub/../sub/new"), 0);
	is_value("mkdir", mkdir("/dir", 0755), 0);
	is_value("symlink", symlink("/file", "/dir/link"), 0);
	ok(reads("/dir/link", "inside"), "it leads there");
	is_value("unlinkat", unlinkat(open("/dir", O_RDONLY), "link", 0), 0);
	is_value("rmdir", rmdir("/dir"), 0);
	is_value("bind", bind(listener, (void *)&address, sizeof(address)) + listen(listener, 1), 0);
	is_value("connect", connect(client, (void *)&address, sizeof(address)), 0);
	is_value("unlink of the socket", unlink("/socket"), 0);
	ok(pivot_root_fails(), "pivot_root");
	close(client);
	close(listener);
}

static void executing(void)
{
	is_value("a program", in_child(executes, "/program", 0), 42);
	is_value("a relative path", in_child(executes, "../program", 0), 42);
	is_value("a script", in_child(executes, "/script", 0), 42);
	is_value("what is not there", in_child(executes, here, 0), ENOENT);
}

static void *enter_sub(void *unused)
{
	(void)unused;
	return chroot("/sub") == 0 ? NULL : "failed";
}

static void inheriting(void)
{
	pthread_t thread;
	void *result = "";

	is_value("fork", in_child(finds_file, NULL, 0), 0);
	is_value("a child that leaves", in_child(leaves, "/sub", 0), 0);
	ok(reads("/file", "inside"), "leaves alone");
	pthread_create(&thread, NULL, enter_sub, NULL);
	pthread_join(thread, &result);
	ok(result == NULL, "chroot of a thread");
	ok(reads("/inner", "inner") && cwd_is("/"), "all threads have it");
	is_value("back, by a descriptor", fchdir(outside) + in_child(leaves, ".", CLONE_FS), 0);
	ok(reads("/outside", "out") && cwd_is("/"), "chroot of a process that shares it (CLONE_FS)");
}

/* What others see of a process that has another root directory. */
static void watching(void)
{
	int to_parent[2], to_child[2];
	char path[PATH_MAX + 32], byte;
	pid_t pid;

	if (pipe(to_parent) < 0 || pipe(to_child) < 0 || (pid = fork()) < 0)
		return;
	if (pid == 0) {
		close(to_child[1]);
		byte = chroot("jail") == 0 && chdir("/sub") == 0;
		_exit(write(to_parent[1], &byte, 1) != 1 || read(to_child[0], &byte, 1) != 0);
	}
	ok(read(to_parent[0], &byte, 1) == 1 && byte, "chroot of a child");
	snprintf(path, sizeof(path), "%s/jail", here);
	ok(reads("outside", "out") && stat(path, &st) == 0, "is not ours");
	snprintf(path, sizeof(path), "/proc/%d/root/file", pid);
	ok(reads(path, "inside"), "its root directory, through procfs");
	snprintf(path, sizeof(path), "/proc/%d/cwd/../file", pid);
	ok(reads(path, "inside"), "its working directory");
	close(to_child[1]);
	waitpid(pid, NULL, 0);
}

static void clean(void)
{
	static const char *const names[] = { "absolute", "loop", "outside", "jail/absolute", "jail/file", "jail/program",
					     "jail/script", "jail/up", "jail/sub/inner" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		unlinkat(outside, names[i], 0);
	unlinkat(outside, "jail/sub", AT_REMOVEDIR);
	is_value("nothing is left", unlinkat(outside, "jail", AT_REMOVEDIR), 0);
}

int main(int argc, char *argv[])
{
	if (argc > 1 && strcmp(argv[argc - 1], "child") == 0)
		return reads("/file", "inside") ? 42 : 1;
	if (!getcwd(here, sizeof(here)))
		return 1;
	outside = open(".", O_RDONLY);
	proc = open("/proc", O_RDONLY);
	mkdir("jail", 0755);
	mkdir("jail/sub", 0755);
	ok(writes("outside", "out", 0644) && writes("jail/file", "inside", 0644) &&
	   writes("jail/sub/inner", "inner", 0644) && writes("jail/script", "#!/program child\n", 0755) &&
	   copies("jail/program") && symlink("/file", "jail/absolute") == 0 && symlink("/file", "absolute") == 0 &&
	   symlink("loop", "loop") == 0 && symlink("../.././../file", "jail/up") == 0, "files");
	errors();
	watching();
	ok(chroot("jail") == 0 && chdir("/") == 0, "chroot");
	looking();
	escaping();
	changing();
	executing();
	inheriting();
	clean();
	return done();
}
