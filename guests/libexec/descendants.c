/* descendants.c - finds and signals all processes below this one. */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

struct entry {
	pid_t pid;
	pid_t parent;
	bool below; /* a descendant of ours */
};

struct table {
	struct entry *entries;
	size_t count;
	size_t room;
};

/* Parent of `pid` from proc(5), or -1 when the process is gone, or a zombie without a living thread. */
static pid_t parent_of(pid_t pid)
{
	char path[32], text[512];
	char state, *end;
	ssize_t got;
	int fd, parent, threads;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (got <= 0)
		return -1;
	text[got] = '\0';
	/* The name may hold blanks and parentheses: the last one closes it. Then come fields 3 to 20. */
	end = strrchr(text, ')');
	if (!end || sscanf(end + 1, " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %d",
			   &state, &parent, &threads) != 3)
		return -1;
	return state == 'X' || (state == 'Z' && threads <= 1) ? -1 : parent;
}

static bool add(struct table *table, pid_t pid, pid_t parent)
{
	if (table->count == table->room) {
		size_t room = table->room ? 2 * table->room : 512;
		struct entry *entries = realloc(table->entries, room * sizeof(*entries));

		if (!entries)
			return false;
		table->entries = entries;
		table->room = room;
	}
	table->entries[table->count++] = (struct entry){ .pid = pid, .parent = parent };
	return true;
}

/* All processes that /proc shows. False when it cannot be read. */
static bool read_processes(struct table *table)
{
	DIR *proc = opendir("/proc");
	struct dirent *item;

	if (!proc)
		return false;
	while ((item = readdir(proc))) {
		pid_t pid, parent;

		if (!isdigit((unsigned char)item->d_name[0]))
			continue;
		pid = atoi(item->d_name);
		parent = parent_of(pid);
		if (parent >= 0 && !add(table, pid, parent))
			break;
	}
	closedir(proc);
	return true;
}

static bool is_below(const struct table *table, pid_t pid, pid_t self)
{
	size_t i;

	if (pid == self)
		return true;
	for (i = 0; i < table->count; i++)
		if (table->entries[i].pid == pid)
			return table->entries[i].below;
	return false;
}

/* Marks descendants. Process ids wrap around, so one pass in their order may not be enough. */
static void mark(struct table *table, pid_t self)
{
	bool changed = true;

	while (changed) {
		size_t i;

		changed = false;
		for (i = 0; i < table->count; i++) {
			struct entry *entry = &table->entries[i];

			if (!entry->below && is_below(table, entry->parent, self)) {
				entry->below = true;
				changed = true;
			}
		}
	}
}

/* Signals one process, unless its number went to another one since we looked. False if it cannot be signalled. */
static bool signal_one(const struct entry *entry, int sig)
{
	int fd = (int)syscall(SYS_pidfd_open, entry->pid, 0);
	bool sent = true;

	if (fd < 0)
		return true;
	/* Its parent may have ended meanwhile; then it is a child of ours. */
	if (parent_of(entry->pid) == entry->parent || parent_of(entry->pid) == getpid())
		sent = syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0) == 0 || errno != EPERM;
	close(fd);
	return sent;
}

int signal_descendants(int sig)
{
	struct table table = { 0 };
	size_t i;
	int count = 0;

	if (!read_processes(&table))
		return -1;
	mark(&table, getpid());
	for (i = 0; i < table.count; i++)
		if (table.entries[i].below && signal_one(&table.entries[i], sig))
			count++;
	free(table.entries);
	return count;
}
