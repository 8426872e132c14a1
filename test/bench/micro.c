/*
 * micro.c - what single operations cost, in nanoseconds (medians), one line "NAME NS" each.
 *
 *   micro [NAME...]           the operations below, in whatever surroundings it runs
 *   micro filtered [NAME...]  the same under a seccomp filter that allows everything: what the kernel itself
 *                             takes for having a filter
 *   MICRO_PATH=PATH micro …   stat, open and so on of PATH
 *   micro unotify             round trip of a bare seccomp notification between two C processes: the yardstick
 *                             for everything that a supervisor answers
 *
 * Samples are shorter than a time slice of the scheduler, so that on a busy machine most of them are undisturbed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES 101
#define SAMPLE_NS 1000000ull
#define VU_SYSCALL 0x5655

static int fd_null, fd_zero, fd_epoll, fd_tcp, fd_file;
/* What stat and open_close are done to; read_file, write_file and mmap_file write to it. */
static const char *path = "/usr/bin/env";
static char block[65536];

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "micro: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void op_getpid(void) { syscall(SYS_getpid); }
static void op_read(void) { char c[64]; if (read(fd_zero, c, sizeof c) != sizeof c) die("read"); }
static void op_write(void) { char c[64] = { 0 }; if (write(fd_null, c, sizeof c) != sizeof c) die("write"); }
static void op_epoll(void) { struct epoll_event e; if (epoll_wait(fd_epoll, &e, 1, 0) < 0) die("epoll_wait"); }
static void op_vuctl(void) { syscall(VU_SYSCALL, 9999L); }
static void op_stat(void) { struct stat s; if (stat(path, &s)) die("stat"); }
static void op_open(void) { int f = open(path, O_RDONLY); if (f < 0) die("open"); close(f); }
static void prep_file(void)
{
	memset(block, 'x', sizeof block);
	fd_file = open(path, O_RDWR);
	if (fd_file < 0 || pwrite(fd_file, block, sizeof block, 0) != sizeof block)
		die(path);
}
static void op_pread(void) { if (pread(fd_file, block, sizeof block, 0) != sizeof block) die("pread"); }
static void op_pwrite(void) { if (pwrite(fd_file, block, sizeof block, 0) != sizeof block) die("pwrite"); }
static void op_mmap(void)
{
	volatile char *m = mmap(NULL, sizeof block, PROT_READ, MAP_SHARED, fd_file, 0);

	if (m == MAP_FAILED)
		die("mmap");
	for (size_t i = 0; i < sizeof block; i += 4096)
		(void)m[i];
	munmap((void *)m, sizeof block);
}
static void op_socket(void) { int s = socket(AF_INET, SOCK_STREAM, 0); if (s < 0) die("socket"); close(s); }
static void op_ping(void)
{
	char c = 'x';

	if (write(fd_tcp, &c, 1) != 1 || read(fd_tcp, &c, 1) != 1)
		die("tcp ping-pong");
}
static void op_bulk(void)
{
	size_t done = 0;

	while (done < 1 << 20) {
		ssize_t n = write(fd_tcp, block, sizeof block);
		if (n <= 0)
			die("tcp bulk");
		done += n;
	}
}

/* A peer on the loopback of the stack in use: echoes bytes, or swallows them. */
static void tcp_peer(int echo)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;
	int one = 1, l = socket(AF_INET, SOCK_STREAM, 0);

	if (l < 0 || bind(l, (struct sockaddr *)&a, len) || listen(l, 1) || getsockname(l, (struct sockaddr *)&a, &len))
		die("listen");
	if (fork() == 0) {
		int s = accept(l, NULL, NULL);
		ssize_t n;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		while ((n = read(s, block, sizeof block)) > 0)
			if (echo && write(s, block, n) != n)
				break;
		_exit(0);
	}
	fd_tcp = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd_tcp, (struct sockaddr *)&a, len))
		die("connect");
	setsockopt(fd_tcp, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	close(l);
}
static void prep_ping(void) { tcp_peer(1); }
static void prep_bulk(void) { tcp_peer(0); }

static const struct op {
	const char *name;
	void (*run)(void);
	void (*prepare)(void);
} ops[] = {
	{ "getpid", op_getpid, NULL }, { "read", op_read, NULL },	{ "write", op_write, NULL },
	{ "epoll", op_epoll, NULL },   { "vuctl", op_vuctl, NULL },	{ "stat", op_stat, NULL },
	{ "open_close", op_open, NULL }, { "socket_close", op_socket, NULL },
	{ "read_file", op_pread, prep_file }, { "write_file", op_pwrite, prep_file },
	{ "mmap_file", op_mmap, prep_file },
	{ "tcp_pingpong", op_ping, prep_ping }, { "tcp_bulk_mib", op_bulk, prep_bulk },
};

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(const char *name, void (*run)(void))
{
	double sample[SAMPLES];
	uint64_t n = 1, t;

	for (;; n *= 2) {
		t = now();
		for (uint64_t i = 0; i < n; i++)
			run();
		t = now() - t;
		if (t > SAMPLE_NS / 2)
			break;
	}
	for (int s = 0; s < SAMPLES; s++) {
		t = now();
		for (uint64_t i = 0; i < n; i++)
			run();
		sample[s] = (double)(now() - t) / n;
	}
	qsort(sample, SAMPLES, sizeof *sample, by_value);
	printf("%s %.1f\n", name, sample[SAMPLES / 2]);
	fflush(stdout);
}

static void allow_all(void)
{
	struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	struct sock_fprog prog = { 1, code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
		die("seccomp");
}

/* The child's VU_SYSCALL notifies; the parent, in C and nothing else, answers 0. */
static void unotify(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, VU_SYSCALL, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof code / sizeof *code, code };
	int tell[2];
	pid_t child;
	int number, listener;

	if (pipe(tell))
		die("pipe");
	child = fork();
	if (child == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		int l = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);
		if (l < 0 || write(tell[1], &l, sizeof l) != sizeof l)
			_exit(1);
		usleep(50000);	/* the parent is in its loop by then */
		close(l);
		measure("unotify", op_vuctl);
		_exit(0);
	}
	if (read(tell[0], &number, sizeof number) != sizeof number)
		die("listener");
	listener = syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, child, 0), number, 0);
	if (listener < 0)
		die("pidfd_getfd");
	ioctl(listener, SECCOMP_IOW(4, uint64_t), 1UL);	/* synchronous wake-up, Linux 6.6 */
	for (;;) {
		char room[512] = { 0 };
		struct seccomp_notif *n = (void *)room;
		struct seccomp_notif_resp answer = { 0 };

		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, n)) {
			if (errno == ENOENT && waitpid(child, NULL, WNOHANG) == child)
				return;
			continue;
		}
		answer.id = n->id;
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	}
}

static int wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return 1;
	return argc == 1;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "unotify")) {
		unotify();
		return 0;
	}
	if (argc > 1 && !strcmp(argv[1], "filtered")) {
		allow_all();
		argc--, argv++;
	}
	if (getenv("MICRO_PATH"))
		path = getenv("MICRO_PATH");
	fd_null = open("/dev/null", O_WRONLY);
	fd_zero = open("/dev/zero", O_RDONLY);
	fd_epoll = epoll_create1(0);
	for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
		if (!wanted(ops[i].name, argc, argv))
			continue;
		if (ops[i].prepare)
			ops[i].prepare();
		measure(ops[i].name, ops[i].run);
	}
	return 0;
}
