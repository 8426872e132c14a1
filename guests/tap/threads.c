/* threads - eight threads that open sockets and stat files at the same time. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

#define THREADS 8
#define ROUNDS 500

struct result {
	pthread_t thread;
	int sockets, stats, misses;
	int error;
};

static void *work(void *argument)
{
	struct result *result = argument;
	struct stat st;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		int fd = socket(AF_INET, i % 2 ? SOCK_STREAM : SOCK_DGRAM, 0);

		if (fd < 0)
			result->error = errno;
		else if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) && close(fd) == 0)
			result->sockets++;
		if (stat("/", &st) == 0 && S_ISDIR(st.st_mode))
			result->stats++;
		if (stat("/no/such/file", &st) == -1 && errno == ENOENT)
			result->misses++;
	}
	return NULL;
}

int main(void)
{
	static struct result results[THREADS];
	int i;

	for (i = 0; i < THREADS; i++)
		pthread_create(&results[i].thread, NULL, work, &results[i]);
	for (i = 0; i < THREADS; i++) {
		pthread_join(results[i].thread, NULL);
		ok(results[i].sockets == ROUNDS, "thread %d: %d sockets (%s)", i, results[i].sockets,
		   results[i].error ? errno_name(results[i].error) : "no error");
		ok(results[i].stats == ROUNDS, "thread %d: %d times /", i, results[i].stats);
		ok(results[i].misses == ROUNDS, "thread %d: %d times ENOENT", i, results[i].misses);
	}
	return done();
}
