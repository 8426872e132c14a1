/*
 * exec DIR - executes programs of DIR, where the test has put: `program` (this one), `script` and `second` (a script
 * for a script), `plain` (executable, no program), `forbidden` (not executable), `lost` (a script whose interpreter
 * is missing), `endless` (a script that is its own interpreter). Natively DIR is a real directory; in umvu only the
 * view has it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

extern char **environ;

static const char *dir;
static char self[PATH_MAX];

static const char *in_dir(const char *name)
{
	static char paths[8][PATH_MAX];
	static int next;
	char *path = paths[next++ % 8];

	snprintf(path, PATH_MAX, "%s/%s", dir, name);
	return path;
}

static int descriptors(void)
{
	DIR *list = opendir("/proc/self/fd");
	int count = 0;

	while (list && readdir(list))
		count++;
	if (list)
		closedir(list);
	return count;
}

/* What the executed program does: says its arguments, or checks what it inherited. */
static int executed(int argc, char **argv)
{
	sigset_t mask, pending;

	if (argc > 1 && strcmp(argv[1], "descriptors") == 0)
		return descriptors();
	if (argc > 1 && strcmp(argv[1], "mask") == 0) {
		sigprocmask(SIG_BLOCK, NULL, &mask);
		sigpending(&pending);
		return sigismember(&mask, SIGUSR1) && sigismember(&pending, SIGUSR1) &&
		       !sigismember(&mask, SIGUSR2) ? 42 : 1;
	}
	for (int i = 0; i < argc; i++)
		printf("[%s]", argv[i]);
	fflush(stdout);
	return 42;
}

static int status_of(pid_t pid)
{
	int status = -1;

	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int forked(const char *path, char *const argv[])
{
	pid_t pid = fork();

	if (pid == 0) {
		execve(path, argv, environ);
		_exit(errno);
	}
	return status_of(pid);
}

static int vforked(const char *path, char *const argv[])
{
	pid_t pid = vfork();

	if (pid == 0) {
		execve(path, argv, environ);
		_exit(errno);
	}
	return status_of(pid);
}

static int spawned(const char *path, char *const argv[])
{
	pid_t pid;

	return posix_spawn(&pid, path, NULL, NULL, argv, environ) ? -1 : status_of(pid);
}

/* The output of a program. */
static const char *output(const char *path, char *const argv[])
{
	static char text[4 * PATH_MAX];
	int ends[2];
	size_t length = 0;
	ssize_t n;
	pid_t pid;

	if (pipe(ends))
		return "";
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], 1);
		execve(path, argv, environ);
		_exit(errno);
	}
	close(ends[1]);
	while ((n = read(ends[0], text + length, sizeof(text) - 1 - length)) > 0)
		length += n;
	text[length] = '\0';
	close(ends[0]);
	return status_of(pid) == 42 ? text : "failed";
}

static void *exec_in_thread(void *path)
{
	execve(path, (char *[]){ "thread", "quiet", NULL }, environ);
	_exit(errno);
}

static int from_thread(const char *path)
{
	pid_t pid = fork();

	if (pid == 0) {
		pthread_t thread;

		if (!freopen("/dev/null", "w", stdout) || pthread_create(&thread, NULL, exec_in_thread, (void *)path))
			_exit(1);
		pause();
	}
	return status_of(pid);
}

static int with_mask(const char *path)
{
	pid_t pid = fork();

	if (pid == 0) {
		sigset_t mask;

		sigemptyset(&mask);
		sigaddset(&mask, SIGUSR1);
		sigprocmask(SIG_BLOCK, &mask, NULL);
		raise(SIGUSR1);
		execve(path, (char *[]){ "program", "mask", NULL }, environ);
		_exit(1);
	}
	return status_of(pid);
}

static void fails(const char *what, const char *name, int error)
{
	int before = descriptors();
	sigset_t mask, after;

	sigprocmask(SIG_BLOCK, NULL, &mask);
	is_error(what, execve(in_dir(name), (char *[]){ "x", NULL }, environ), error);
	sigprocmask(SIG_BLOCK, NULL, &after);
	ok(memcmp(&mask, &after, _NSIG / 8) == 0, "%s: the signal mask stays", what);
	is_value("no descriptor is left", descriptors(), before);
}

static void too_long(void)
{
	static char long_text[200 * 1024];
	char *argv[] = { "x", long_text, NULL };

	memset(long_text, 'x', sizeof(long_text) - 1);
	is_error("an argument that is too long", execve(in_dir("program"), argv, environ), E2BIG);
	is_error("the same for a script", execve(in_dir("script"), argv, environ), E2BIG);
}

static volatile int alarms;
static void on_alarm(int signal)
{
	(void)signal;
	alarms++;
}

static void storm(void)
{
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	struct itimerval often = { { 0, 500 }, { 0, 500 } }, never = { { 0, 0 }, { 0, 0 } };
	int good = 0;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < 50; i++) {
		if (execve(in_dir("forbidden"), (char *[]){ "x", NULL }, environ) == 0 || errno != EACCES)
			break;
		good += spawned(in_dir(i % 2 ? "program" : "counting"), (char *[]){ "x", "descriptors", NULL }) > 0;
	}
	setitimer(ITIMER_REAL, &never, NULL);
	is_value("programs under a storm of signals", good, 50);
}

int main(int argc, char **argv)
{
	char expected[4 * PATH_MAX];
	char *arguments[] = { "zero", "one", "t w o", "", NULL };
	char *quiet[] = { "program", "descriptors", NULL };
	int inherited;

	if (argc < 2 || !strstr(argv[0], "tap/exec"))
		return executed(argc, argv);
	dir = argv[1];
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 1;
	inherited = forked(self, quiet);

	is_value("fork and execve", forked(in_dir("program"), quiet), inherited);
	is_value("vfork and execve", vforked(in_dir("program"), quiet), inherited);
	is_value("posix_spawn", spawned(in_dir("program"), quiet), inherited);
	ok(strcmp(output(in_dir("program"), arguments), "[zero][one][t w o][]") == 0, "arguments of a program");
	snprintf(expected, sizeof(expected), "[%s/program][an argument][%s/script][one][t w o][]", dir, dir);
	ok(strcmp(output(in_dir("script"), arguments), expected) == 0, "arguments of a script");
	snprintf(expected, sizeof(expected), "[%s/program][an argument][%s/script][more][%s/second][one][t w o][]", dir,
		 dir, dir);
	ok(strcmp(output(in_dir("second"), arguments), expected) == 0, "a script whose interpreter is a script");
	is_value("vfork and a script", vforked(in_dir("counting"), quiet), inherited);
	is_value("posix_spawn of a script", spawned(in_dir("counting"), quiet), inherited);
	is_value("execve in a thread", from_thread(in_dir("program")), 42);
	is_value("execve of a script in a thread", from_thread(in_dir("script")), 42);
	is_value("blocked and pending signals are inherited", with_mask(in_dir("program")), 42);

	fails("what does not exist", "none", ENOENT);
	fails("what is no program", "plain", ENOEXEC);
	fails("what is not executable", "forbidden", EACCES);
	fails("a directory", ".", EACCES);
	fails("a file as a directory", "program/", ENOTDIR);
	fails("below a file", "program/x", ENOTDIR);
	fails("a script without its interpreter", "lost", ENOENT);
	fails("a script that is its interpreter", "endless", ELOOP);
	is_error("bad address", syscall(SYS_execve, 8L, quiet, environ), EFAULT);
	too_long();
	storm();
	return done();
}
