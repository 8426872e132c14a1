/*
 * race - a thread changes a path while another one uses it. One byte changes, so each call sees one of two
 * paths; whatever it does, its result belongs to one of them.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tap.h"

#define ROUNDS 10000

static char path[64];
static atomic_bool stop;

/* "...a" is a file of one byte, "...b" does not exist. */
static void *flip(void *last)
{
	volatile char *byte = last;

	while (!atomic_load(&stop)) {
		*byte = 'b';
		*byte = 'a';
	}
	return NULL;
}

static void test_stat(void)
{
	int found = 0, missed = 0, i;
	struct stat st;

	for (i = 0; i < ROUNDS; i++) {
		if (stat(path, &st) == 0)
			found += st.st_size == 1 && S_ISREG(st.st_mode);
		else
			missed += errno == ENOENT;
	}
	ok(found + missed == ROUNDS, "stat: %d found, %d missed, %d else", found, missed, ROUNDS - found - missed);
}

static void test_open(void)
{
	int found = 0, missed = 0, i;

	for (i = 0; i < ROUNDS; i++) {
		struct stat st;
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		if (fd < 0) {
			missed += errno == ENOENT;
			continue;
		}
		found += fstat(fd, &st) == 0 && st.st_size == 1;
		close(fd);
	}
	ok(found + missed == ROUNDS, "open: %d found, %d missed, %d else", found, missed, ROUNDS - found - missed);
}

static void test_connect(struct sockaddr_un *address)
{
	int refused = 0, missed = 0, i;

	for (i = 0; i < ROUNDS / 10; i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (connect(fd, (struct sockaddr *)address, sizeof(*address)) < 0) {
			refused += errno == ECONNREFUSED;
			missed += errno == ENOENT;
		}
		close(fd);
	}
	ok(refused + missed == ROUNDS / 10, "connect: %d refused, %d missed", refused, missed);
}

/* Runs `test` while the last byte of `text` changes. */
#define while_flipping(text, test)                                                  \
	do {                                                                        \
		pthread_t thread;                                                   \
		atomic_store(&stop, false);                                         \
		pthread_create(&thread, NULL, flip, (text) + strlen(text) - 1);      \
		test;                                                               \
		atomic_store(&stop, true);                                          \
		pthread_join(thread, NULL);                                         \
		(text)[strlen(text) - 1] = 'a';                                     \
	} while (0)

int main(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char directory[] = "/tmp/race-XXXXXX";
	int fd;

	if (!succeeds("mkdtemp", mkdtemp(directory) ? 0 : -1)) {
		snprintf(path, sizeof(path), "%s/file-a", directory);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		is_value("file of one byte", write(fd, "x", 1), 1);
		close(fd);
		while_flipping(path, test_stat());
		while_flipping(path, test_open());
		unlink(path);

		/* A socket file without a listener: refused. */
		snprintf(address.sun_path, sizeof(address.sun_path), "%s/sock-a", directory);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		is_value("bind", bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
		close(fd);
		while_flipping(address.sun_path, test_connect(&address));
		unlink(address.sun_path);
		rmdir(directory);
	}
	return done();
}
