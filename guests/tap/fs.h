/* fs.h - what the programs about names have in common: looks at files, with names from the working directory. */
#ifndef FS_H
#define FS_H

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tap.h"

/** The working directory at the start. */
static char here[PATH_MAX];
static struct stat st;

/** A new, empty file. */
static inline int touch(const char *path)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);

	return fd < 0 ? -1 : close(fd);
}

/** open(2) and close(2). */
static inline int opens(const char *path, int flags)
{
	int fd = open(path, flags, 0600);

	return fd < 0 ? -1 : close(fd);
}

/** openat2(2) and close(2). */
static inline int opens2(int dirfd, const char *path, unsigned long long flags, unsigned long long resolve)
{
	struct open_how how = { .flags = flags, .resolve = resolve };
	int fd = (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));

	return fd < 0 ? -1 : close(fd);
}

/** Whether a file has the text `wanted`. */
static inline bool reads(const char *path, const char *wanted)
{
	char text[64] = "";
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	return n >= 0 && strcmp(text, wanted) == 0;
}

/** Makes the text of a file `text`. */
static inline bool writes(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text);
}

/** Whether a symbolic link leads to `wanted`. */
static inline bool link_is(const char *path, const char *wanted)
{
	char text[PATH_MAX];
	ssize_t n = readlink(path, text, sizeof(text) - 1);

	if (n < 0)
		return false;
	text[n] = '\0';
	if (strcmp(text, wanted) != 0)
		printf("# %s: %s, wanted %s\n", path, text, wanted);
	return strcmp(text, wanted) == 0;
}

/** Whether the working directory is empty. */
static inline bool nothing_left(void)
{
	DIR *dir = opendir(".");
	int left = 0;

	while (dir && readdir(dir))
		left++;
	closedir(dir);
	return left == 2;
}

#endif
