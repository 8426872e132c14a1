/*
 * fs-random - random file operations on two trees, which have to give the same results all the way.
 *
 *	fs-random TREE MODEL SEED COUNT [SKIP...]
 *
 * Each operation is done on TREE and then on MODEL, and results, errnos and what was read are compared; now and then,
 * and at the end, the trees are too. Operations whose numbers are in SKIP (N or N-M) are left out, so that a failing
 * sequence can be made shorter. What fails with EROFS in TREE is not done on MODEL: a merged tree is partly read-only.
 * Prints the operations that differ, and TAP.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tap.h"

#define ROOTS 2
#define TEXT 8192

static const char *roots[ROOTS];
static uint64_t state;

static unsigned random_below(unsigned limit)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 33) % limit;
}

/* Few names, so that operations meet. Some paths are written in other ways. */
static void random_path(char *path)
{
	static const char *const names[] = { "a", "b", "c", "dir", "e\xff" };
	unsigned depth = 1 + random_below(3), i;

	*path = '\0';
	for (i = 0; i < depth; i++) {
		strcat(path, "/");
		strcat(path, names[random_below(5)]);
		if (random_below(40) == 0)
			strcat(path, "/..");
		if (random_below(40) == 0)
			strcat(path, "//.");
	}
	if (random_below(25) == 0)
		strcat(path, "/");
}

/* What one operation does in one tree: a result or a negated errno, and a text that has to be the same too. */
struct operation {
	unsigned kind, flags, mode, size;
	char path[PATH_MAX / 8], other[PATH_MAX / 8];
};

enum { OPEN, MKDIR, RMDIR, UNLINK, RENAME, LINK, SYMLINK, CHMOD, TRUNCATE, TIMES, STAT, LSTAT, READLINK, ACCESS, LIST,
       SETXATTR, GETXATTR, REMOVEXATTR, MKNOD, CHDIR, AT, EXCHANGE, KINDS };
static const char *const kinds[] = { "open", "mkdir", "rmdir", "unlink", "rename", "link", "symlink", "chmod",
				     "truncate", "times", "stat", "lstat", "readlink", "access", "list", "setxattr",
				     "getxattr", "removexattr", "mknod", "chdir", "at", "exchange" };

static struct operation random_operation(void)
{
	static const unsigned weighted[] = { OPEN, OPEN, OPEN, OPEN, MKDIR, MKDIR, MKDIR, UNLINK, UNLINK, RENAME, RENAME,
					     RENAME, LINK, LIST, STAT };
	static const unsigned flags[] = { O_RDONLY, O_WRONLY, O_RDWR, O_WRONLY | O_CREAT, O_WRONLY | O_CREAT | O_TRUNC,
					  O_RDWR | O_CREAT | O_EXCL, O_WRONLY | O_CREAT | O_APPEND, O_RDONLY | O_DIRECTORY,
					  O_WRONLY | O_TRUNC, O_RDONLY | O_NOFOLLOW, O_RDWR | O_CREAT | O_NOFOLLOW,
					  O_PATH, O_PATH | O_NOFOLLOW, O_RDONLY | O_CREAT };
	struct operation op = { 0 };
	unsigned pick = random_below(30);

	op.kind = pick < 15 ? weighted[pick] : random_below(KINDS);
	op.flags = flags[random_below(sizeof(flags) / sizeof(*flags))];
	op.mode = (random_below(8) << 6) | 0600 | random_below(64);
	op.size = random_below(5) ? random_below(200) : random_below(70000);
	random_path(op.path);
	random_path(op.other);
	return op;
}

static void describe(const struct stat *st, char *text)
{
	snprintf(text, TEXT, "mode %o size %lld links %ld time %ld rdev %lx", st->st_mode,
		 S_ISREG(st->st_mode) ? (long long)st->st_size : 0LL, S_ISDIR(st->st_mode) ? 0L : (long)st->st_nlink,
		 st->st_mtime < 1000000 ? (long)st->st_mtime : 0L, (unsigned long)st->st_rdev);
}

static uint32_t hash_of(int fd)
{
	unsigned char buffer[4096];
	uint32_t hash = 2166136261u;
	ssize_t n, i;

	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		for (i = 0; i < n; i++)
			hash = (hash ^ buffer[i]) * 16777619u;
	return hash;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names and types in a directory, in the order of the names. */
static int list_names(int fd, char **names)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	int count = 0;

	if (!dir) {
		close(fd);
		return -1;
	}
	while ((entry = readdir(dir)) && count < 250) {
		struct stat st;
		unsigned type = entry->d_type;

		if (type == DT_UNKNOWN && fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			type = IFTODT(st.st_mode);
		if (asprintf(&names[count], "%s:%u", entry->d_name, type) > 0)
			count++;
	}
	closedir(dir);
	qsort(names, (size_t)count, sizeof(*names), by_name);
	return count;
}

static long list_directory(const char *path, char *text)
{
	char *names[256];
	int fd = open(path, O_RDONLY | O_DIRECTORY), count, i;
	size_t used = 0;

	if (fd < 0 || (count = list_names(fd, names)) < 0)
		return -errno;
	for (i = 0; i < count; i++) {
		used += (size_t)snprintf(text + used, TEXT - used, "%s ", names[i]);
		free(names[i]);
	}
	return count;
}

static long open_and_use(const struct operation *op, const char *path, char *text)
{
	int fd = open(path, op->flags | O_NONBLOCK, op->mode);
	char buffer[70000];
	struct stat st;

	if (fd < 0)
		return -errno;
	memset(buffer, 'a' + (int)(op->size % 26), op->size);
	if ((op->flags & O_ACCMODE) != O_RDONLY && !(op->flags & O_PATH) && write(fd, buffer, op->size) < 0)
		snprintf(text, TEXT, "write: %s", errno_name(errno));
	else if (fstat(fd, &st) == 0)
		describe(&st, text);
	if (S_ISREG(st.st_mode) && !(op->flags & O_PATH) && (op->flags & O_ACCMODE) != O_WRONLY) {
		lseek(fd, 0, SEEK_SET);
		snprintf(text + strlen(text), 32, " hash %x", hash_of(fd));
	}
	close(fd);
	return 0;
}

/* Working directories: where a path leads when it starts from there. */
static long enter(const char *root, const char *path, const char *other, char *text)
{
	char *cwd;
	struct stat st;
	long result;

	if (chdir(path) < 0)
		return -errno;
	cwd = getcwd(NULL, 0);
	if (!cwd || strncmp(cwd, root, strlen(root)) != 0)
		snprintf(text, TEXT, "getcwd %s", cwd ? cwd : errno_name(errno));
	else
		snprintf(text, TEXT, "getcwd %s", cwd + strlen(root));
	free(cwd);
	result = stat(other + 1, &st) < 0 ? -errno : 0;
	if (result == 0)
		describe(&st, text + strlen(text));
	if (chdir("/") < 0)
		return -errno;
	return result;
}

static long from_descriptor(const char *path, const char *other, unsigned mode)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY), made;
	long result;

	if (fd < 0)
		return -errno;
	made = openat(fd, other + 1, O_WRONLY | O_CREAT | O_NONBLOCK, mode);
	result = made < 0 ? -errno : fchmod(made, mode) < 0 ? -errno : 0;
	if (made >= 0)
		close(made);
	close(fd);
	return result;
}

#define RESULT(call) ((call) < 0 ? -errno : 0)

static long apply(const struct operation *op, const char *root, char *text)
{
	char path[PATH_MAX], other[PATH_MAX], value[256];
	struct timespec times[2] = { { op->size, 5 }, { op->size + 1, 7 } };
	struct stat st;
	long result;

	snprintf(path, sizeof(path), "%s%s", root, op->path);
	snprintf(other, sizeof(other), "%s%s", root, op->other);
	*text = '\0';
	switch (op->kind) {
	case OPEN: return open_and_use(op, path, text);
	case MKDIR: return RESULT(mkdir(path, op->mode));
	case RMDIR: return RESULT(rmdir(path));
	case UNLINK: return RESULT(unlink(path));
	case RENAME: return RESULT(rename(path, other));
	case EXCHANGE: return RESULT(renameat2(AT_FDCWD, path, AT_FDCWD, other, op->mode % 2 ? RENAME_EXCHANGE : RENAME_NOREPLACE));
	case LINK: return RESULT(linkat(AT_FDCWD, path, AT_FDCWD, other, op->mode % 2 ? AT_SYMLINK_FOLLOW : 0));
	case SYMLINK: return RESULT(symlink(op->mode % 3 ? op->other + 1 : other, path));
	case CHMOD: return RESULT(chmod(path, op->mode));
	case TRUNCATE: return RESULT(truncate(path, op->size));
	case TIMES: return RESULT(utimensat(AT_FDCWD, path, times, op->mode % 2 ? AT_SYMLINK_NOFOLLOW : 0));
	case STAT:
	case LSTAT:
		result = RESULT(op->kind == STAT ? stat(path, &st) : lstat(path, &st));
		if (result == 0 && !S_ISLNK(st.st_mode))
			describe(&st, text);
		return result;
	case READLINK:
		result = readlink(path, text, TEXT - 1);
		if (result < 0)
			return -errno;
		text[result] = '\0';
		if (strncmp(text, root, strlen(root)) == 0)
			memmove(text, text + strlen(root), strlen(text + strlen(root)) + 1);
		return 0;
	case ACCESS: return RESULT(access(path, (int)(op->mode % 8)));
	case LIST: return list_directory(path, text);
	case SETXATTR: return RESULT(lsetxattr(path, "user.test", op->path, strlen(op->path), (int)(op->mode % 3)));
	case GETXATTR:
		result = getxattr(path, "user.test", value, sizeof(value));
		if (result > 0)
			snprintf(text, TEXT, "%.*s", (int)result, value);
		return result < 0 ? -errno : result;
	case REMOVEXATTR: return RESULT(removexattr(path, "user.test"));
	case MKNOD: return RESULT(mknod(path, (op->mode % 2 ? S_IFIFO : S_IFREG) | op->mode, 0));
	case CHDIR: return enter(root, path, op->other, text);
	case AT: return from_descriptor(path, op->other, op->mode);
	}
	return 0;
}

/* Compares directories `path` of both trees, and what is in them. */
static bool same_trees(const char *path)
{
	char full[ROOTS][PATH_MAX], text[ROOTS][TEXT] = { "", "" };
	char *names[256];
	struct stat st;
	int count, i, fd;
	bool same = true;

	for (i = 0; i < ROOTS; i++) {
		snprintf(full[i], sizeof(full[i]), "%s%s", roots[i], path);
		list_directory(full[i], text[i]);
	}
	if (strcmp(text[0], text[1]) != 0) {
		printf("# directory %s: %s| %s\n", path, text[0], text[1]);
		return false;
	}
	fd = open(full[1], O_RDONLY | O_DIRECTORY);
	count = fd < 0 ? 0 : list_names(fd, names);
	for (i = 0; i < count; i++) {
		static const struct operation looks[] = { { .kind = LSTAT }, { .kind = READLINK },
							  { .kind = OPEN, .flags = O_RDONLY | O_NOFOLLOW },
							  { .kind = GETXATTR } };
		struct operation look;
		size_t j;

		*strrchr(names[i], ':') = '\0';
		if (strcmp(names[i], ".") == 0 || strcmp(names[i], "..") == 0)
			continue;
		for (j = 0; j < sizeof(looks) / sizeof(*looks); j++) {
			long result[ROOTS];
			int k;

			look = looks[j];
			snprintf(look.path, sizeof(look.path), "%s/%s", path, names[i]);
			for (k = 0; k < ROOTS; k++)
				result[k] = apply(&look, roots[k], text[k]);
			if (result[0] != result[1] || strcmp(text[0], text[1]) != 0) {
				printf("# %s %s: %ld %s| %ld %s\n", kinds[look.kind], look.path, result[0], text[0],
				       result[1], text[1]);
				same = false;
			}
		}
		snprintf(full[1], sizeof(full[1]), "%s%s", roots[1], look.path);
		if (lstat(full[1], &st) == 0 && S_ISDIR(st.st_mode) && !same_trees(look.path))
			same = false;
		free(names[i]);
	}
	return same;
}

static bool skipped(int number, int argc, char **argv)
{
	int i;

	for (i = 5; i < argc; i++) {
		char *end;
		long from = strtol(argv[i], &end, 10), to = *end == '-' ? strtol(end + 1, NULL, 10) : from;

		if (number >= from && number <= to)
			return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	bool verbose = getenv("VERBOSE") != NULL;
	int count, number;

	if (argc < 5)
		return 2;
	roots[0] = argv[1];
	roots[1] = argv[2];
	state = strtoull(argv[3], NULL, 10) * 0x9e3779b97f4a7c15u + 1;
	count = atoi(argv[4]);
	umask(getenv("TEST_UMASK") ? (mode_t)strtol(getenv("TEST_UMASK"), NULL, 8) : 022);
	for (number = 0; number < count; number++) {
		struct operation op = random_operation();
		char text[ROOTS][TEXT];
		long result[ROOTS];

		if (skipped(number, argc, argv))
			continue;
		if (verbose)
			printf("# %d: %s %s %s flags %o mode %o size %u\n", number, kinds[op.kind], op.path, op.other, op.flags,
			       op.mode, op.size);
		result[0] = apply(&op, roots[0], text[0]);
		if (result[0] == -EROFS)
			continue;
		result[1] = apply(&op, roots[1], text[1]);
		if (result[0] == result[1] && strcmp(text[0], text[1]) == 0)
			continue;
		ok(false, "operation %d: %s %s %s flags %o mode %o size %u: %s %s; model %s %s", number, kinds[op.kind],
		   op.path, op.other, op.flags, op.mode, op.size, result[0] < 0 ? errno_name((int)-result[0]) : "done",
		   text[0], result[1] < 0 ? errno_name((int)-result[1]) : "done", text[1]);
		return done();
	}
	ok(same_trees(""), "the trees are the same after %d operations", count);
	return done();
}
