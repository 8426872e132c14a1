/*
 * block FILE SIZE - reads, writes and positions on something of SIZE bytes that keeps its size: natively a regular
 * file, in umvu a device. Only what both do alike.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

static const char *path;
static off_t size;

static void positions(int fd)
{
	char text[16] = "";
	int other = open(path, O_RDONLY | O_CLOEXEC), copy = dup(fd);

	is_value("write", write(fd, "0123456789", 10), 10);
	is_value("a copy shares the position", lseek(copy, 0, SEEK_CUR), 10);
	is_value("another opener has its own", lseek(other, 0, SEEK_CUR), 0);
	is_value("and reads what was written", read(other, text, 10), 10);
	ok(memcmp(text, "0123456789", 10) == 0, "the same bytes");
	is_value("the end", lseek(fd, 0, SEEK_END), size);
	is_value("no bytes there", read(fd, text, 4), 0);
	is_value("some before", (lseek(fd, -3, SEEK_END), read(fd, text, 8)), 3);
	is_error("before the start", lseek(fd, -1, SEEK_SET), EINVAL);
	is_error("writing without having asked to", write(other, "x", 1), EBADF);
	close(copy);
	close(other);
}

static void at_offsets(int fd)
{
	char a[8] = "", b[8] = "";
	struct iovec parts[2] = { { a, 3 }, { b, 4 } };

	is_value("pwrite", pwrite(fd, "abcdefg", 7, 5000), 7);
	is_value("pread", pread(fd, a, 7, 5000), 7);
	ok(memcmp(a, "abcdefg", 7) == 0, "the same bytes");
	is_value("preadv", preadv(fd, parts, 2, 5000), 7);
	ok(memcmp(a, "abc", 3) == 0 && memcmp(b, "defg", 4) == 0, "in parts");
	parts[0].iov_base = "12";
	parts[0].iov_len = 2;
	parts[1].iov_base = "345";
	parts[1].iov_len = 3;
	is_value("pwritev", pwritev(fd, parts, 2, 9000), 5);
	is_value("fsync", fsync(fd), 0);
	is_value("pread of that", pread(fd, b, 5, 9000), 5);
	ok(memcmp(b, "12345", 5) == 0, "the same bytes");
	is_error("bad address", syscall(SYS_pread64, fd, 8L, 4L, 0L), EFAULT);
	is_value("poll", poll(&(struct pollfd){ fd, POLLIN | POLLOUT, 0 }, 1, 0), 1);
}

/* All of it, in pieces that do not fit pages. */
static void everything(int fd)
{
	static unsigned char out[70001], in[70001];
	off_t done, wrong = 0;
	ssize_t n;

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = i * 7 + i / 251;
	lseek(fd, 0, SEEK_SET);
	for (done = 0; done < size; done += n) {
		off_t left = size - done, most = sizeof(out);
		size_t length = left < most ? left : most;

		n = write(fd, out, length);
		if (n <= 0)
			break;
	}
	is_value("filled", done, size);
	lseek(fd, 0, SEEK_SET);
	for (done = 0; done < size; done += n) {
		n = read(fd, in, sizeof(in));
		if (n <= 0)
			break;
		wrong += memcmp(in, out, n) != 0;
	}
	is_value("read back", done, size);
	is_value("without a difference", wrong, 0);
}

static void mapped(int fd)
{
	char *map = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, fd, 4096);
	char text[64];

	if (!ok(map != MAP_FAILED, "mmap"))
		return;
	is_value("pread of the same place", pread(fd, text, sizeof(text), 4096 + 100), sizeof(text));
	ok(memcmp(map + 100, text, sizeof(text)) == 0, "the same bytes");
	munmap(map, 8192);
}

static void *writer(void *argument)
{
	long number = (long)argument;
	char block[512];
	int fd = open(path, O_RDWR | O_CLOEXEC);
	long good = 0;

	memset(block, 'A' + number, sizeof(block));
	for (int i = 0; i < 50; i++)
		good += pwrite(fd, block, sizeof(block), (i * 8 + number) * 512) == sizeof(block);
	close(fd);
	return (void *)good;
}

static void together(int fd)
{
	pthread_t threads[8];
	long good = 0, bytes = 0;
	void *result;
	char block[512];

	for (long i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, writer, (void *)i);
	for (int i = 0; i < 8; i++) {
		pthread_join(threads[i], &result);
		good += (long)result;
	}
	is_value("eight threads write", good, 400);
	for (int i = 0; i < 400; i++) {
		if (pread(fd, block, sizeof(block), i * 512) == sizeof(block))
			bytes += block[0] == 'A' + i % 8 && block[511] == 'A' + i % 8;
	}
	is_value("and all of it is there", bytes, 400);
}

static void moved(int fd)
{
	int ends[2];
	char text[512];
	off_t from = 512;
	pid_t pid = fork();

	if (pid == 0)
		_exit(pread(fd, text, 8, 512) == 8 && text[0] == 'B' ? 0 : 1);
	waitpid(pid, ends, 0);
	is_value("a child has it too", ends[0], 0);
	if (pipe(ends))
		return;
	is_value("sendfile", sendfile(ends[1], fd, &from, 512), 512);
	is_value("to a pipe", read(ends[0], text, sizeof(text)), 512);
	ok(text[0] == 'B' && text[511] == 'B', "the same bytes");
	close(ends[0]);
	close(ends[1]);
}

int main(int argc, char **argv)
{
	int fd;

	if (argc < 3)
		return 2;
	path = argv[1];
	size = atol(argv[2]);
	fd = succeeds("open", open(path, O_RDWR | O_CLOEXEC));
	is_error("O_DIRECTORY", open(path, O_RDONLY | O_DIRECTORY), ENOTDIR);
	is_error("O_CREAT with O_EXCL", open(path, O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	positions(fd);
	at_offsets(fd);
	everything(fd);
	mapped(fd);
	together(fd);
	moved(fd);
	return done();
}
