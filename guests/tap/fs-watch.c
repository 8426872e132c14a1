/*
 * fs-watch - inotify(7) of what is in the working directory: changes are told, whoever has the files. `PROGRAM prepare` makes
 * the files, which other names and events than those that are asked for may belong to.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

#define CHANGES (IN_ALL_EVENTS & ~(IN_OPEN | IN_ACCESS | IN_CLOSE_NOWRITE))

static int instance;
static char events[65536];
static ssize_t length;

/* Forgets what has been told before. */
static void forget(void)
{
	length = 0;
}

static const struct inotify_event *find(int wd, uint32_t mask, const char *name)
{
	for (ssize_t at = 0; at < length;) {
		const struct inotify_event *event = (void *)(events + at);

		if (event->wd == wd && event->mask == mask && strcmp(event->len ? event->name : "", name) == 0)
			return event;
		at += (ssize_t)(sizeof(*event) + event->len);
	}
	return NULL;
}

/* Waits for an event: that a file has been closed is told when the last who has it open does. */
static const struct inotify_event *told(int wd, uint32_t mask, const char *name)
{
	struct pollfd poll_fd = { .fd = instance, .events = POLLIN };
	const struct inotify_event *event;

	while (!(event = find(wd, mask, name)) && poll(&poll_fd, 1, 2000) > 0) {
		ssize_t n = read(instance, events + length, sizeof(events) - (size_t)length);

		if (n <= 0)
			break;
		length += n;
	}
	if (!event)
		printf("# %x %s was not told\n", mask, name);
	return event;
}

static int touch(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_APPEND, 0644);

	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -1 : close(fd);
}

static int prepare(void)
{
	return mkdir("dir", 0755) || mkdir("dir/old-dir", 0755) || mkdir("dir/full", 0755) || touch("dir/full/x", "x") ||
	       touch("dir/old", "x") || touch("dir/gone", "x") || touch("dir/moved", "x") || touch("dir/mode", "x") ||
	       touch("file", "x");
}

static void in_directory(int dir)
{
	const struct inotify_event *from, *to;

	is_value("creating a file", touch("dir/new", "x"), 0);
	forget();
	ok(told(dir, IN_CREATE, "new") && told(dir, IN_CLOSE_WRITE, "new"), "is told");
	is_value("writing to one that was there", touch("dir/old", "more"), 0);
	forget();
	ok(told(dir, IN_MODIFY, "old") && told(dir, IN_CLOSE_WRITE, "old"), "is told");
	is_value("chmod", chmod("dir/mode", 0600), 0);
	forget();
	ok(told(dir, IN_ATTRIB, "mode"), "is told");
	is_value("unlink", unlink("dir/gone"), 0);
	forget();
	ok(told(dir, IN_DELETE, "gone"), "is told");
	is_value("rmdir", rmdir("dir/old-dir"), 0);
	forget();
	ok(told(dir, IN_DELETE | IN_ISDIR, "old-dir"), "is told");
	is_value("rename", rename("dir/moved", "dir/to"), 0);
	forget();
	from = told(dir, IN_MOVED_FROM, "moved");
	to = told(dir, IN_MOVED_TO, "to");
	ok(from && to && from->cookie == to->cookie, "is told");
	is_value("mkdir", mkdir("dir/sub", 0755), 0);
	forget();
	ok(told(dir, IN_CREATE | IN_ISDIR, "sub"), "is told");
	is_value("link", link("file", "dir/linked"), 0);
	forget();
	ok(told(dir, IN_CREATE, "linked"), "is told");
}

int main(int argc, char *argv[])
{
	int dir, file;

	if (argc > 1 && strcmp(argv[1], "prepare") == 0)
		return prepare();
	instance = inotify_init1(IN_NONBLOCK);
	is_error("what is not there", inotify_add_watch(instance, "none", CHANGES), ENOENT);
	is_error("IN_ONLYDIR", inotify_add_watch(instance, "file", CHANGES | IN_ONLYDIR), ENOTDIR);
	is_error("no event", inotify_add_watch(instance, "dir", 0), EINVAL);
	is_error("no instance", inotify_add_watch(0, "dir", CHANGES), EINVAL);
	is_error("a bad descriptor", inotify_add_watch(999, "dir", CHANGES), EBADF);
	dir = (int)succeeds("a directory", inotify_add_watch(instance, "dir", CHANGES));
	is_value("once more", inotify_add_watch(instance, "./dir/.", CHANGES), dir);
	file = (int)succeeds("a file", inotify_add_watch(instance, "file", CHANGES));
	in_directory(dir);
	is_value("writing to the file", touch("file", "more"), 0);
	forget();
	ok(told(file, IN_MODIFY, "") && told(file, IN_CLOSE_WRITE, ""), "is told");
	is_value("no more", inotify_rm_watch(instance, dir), 0);
	forget();
	ok(told(dir, IN_IGNORED, ""), "is told");
	touch("dir/later", "x");
	touch("file", "x");
	ok(told(file, IN_CLOSE_WRITE, "") && !find(dir, IN_CREATE, "later"), "and then nothing of it");
	return done();
}
