/*
 * hostile-calls vuctl|all CALLS THREADS SEED - calls that the supervisor answers, with arguments drawn at random
 * from numbers and pointers of every bad kind. No result counts: what counts is that every call gets one and that
 * the supervisor is there afterwards, which the last lines check.
 *
 * The texts that are passed name nothing outside the working directory that could be changed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tap.h"

#define HANG_SECONDS 60
#define MOST_THREADS 64
#define BIG (1 << 20)
/* Operations up to one that does not exist; inserting modules by chance would be another test. */
#define OPERATIONS 13

static char *page_end; /* what follows this byte cannot be read */
static char *big;      /* a megabyte without a NUL */
static char *read_only;
static long calls;
static bool only_vuctl;

static const char *const texts[] = {
	"", "/", ".", "..", "/dev/net/default", "/dev/net/a", "/dev/net/a/", "/dev/net/a/..", "/dev/net/none",
	"/proc/self/net", "/proc/self/net/tcp", "/proc/1/net/tcp", "/proc/thread-self/net/../mounts", "/sys/class/net",
	"/etc/resolv.conf", "vunetioth", "null", "hub://", "no/such\nname", "/dev/net/\xff\xfe\x01", "//dev//net//a",
	"/proc/self/fd/0", "/proc/self/cwd/x", "%s%n",
};
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* xorshift64: the same seed gives the same calls, whatever the C library. */
static uint64_t draw(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static long number(uint64_t *state)
{
	static const long edges[] = { 0, 1, 2, -1, 10, 16, 17, 255, 4095, 4096, 65536, BIG, 0x7fffffff, 0x80000000,
				      0xffffffff, 1L << 53, 0x7fffffffffffffff, -0x7fffffffffffffff };

	return draw(state) % 3 ? edges[draw(state) % COUNT(edges)] : (long)draw(state);
}

static long pointer(uint64_t *state)
{
	static char scratch[MOST_THREADS * 4096];

	switch (draw(state) % 10) {
	case 0:
		return 0;
	case 1:
		return (long)page_end - (long)(draw(state) % 300);
	case 2:
		return (long)big;
	case 3:
		return (long)read_only;
	case 4:
		return number(state);
	case 5:
		return (long)0xffffffff81000000;
	case 6:
		return (long)scratch + (long)(draw(state) % (sizeof(scratch) - 4096));
	default:
		return (long)texts[draw(state) % COUNT(texts)];
	}
}

static long either(uint64_t *state)
{
	return draw(state) % 2 ? pointer(state) : number(state);
}

/* Looks only: whoever runs this as root wants his files afterwards. */
static const int lookers[] = {
	SYS_stat, SYS_lstat, SYS_newfstatat, SYS_statx, SYS_access, SYS_faccessat, SYS_faccessat2, SYS_readlink,
	SYS_readlinkat, SYS_statfs, SYS_getxattr, SYS_lgetxattr, SYS_listxattr, SYS_llistxattr, SYS_connect,
};

static void one(uint64_t *state)
{
	static const int families[] = { AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, 38, 12345, -1 };
	const long first = draw(state) % 2 ? AT_FDCWD : number(state);
	long result = -1;

	if (only_vuctl) {
		long op = draw(state) % 8 ? (long)(draw(state) % OPERATIONS) : number(state);

		if (op != VU_INSMOD)
			syscall(VU_SYSCALL, op, either(state), either(state), either(state), either(state), either(state));
		return;
	}
	switch (draw(state) % 8) {
	case 0:
		result = syscall(SYS_socket, families[draw(state) % COUNT(families)],
				 draw(state) % 2 ? (long)(draw(state) % 11) : number(state), draw(state) % 2 ? 0 : number(state));
		break;
	case 1:
		result = syscall(SYS_openat, first, pointer(state), O_RDONLY | O_NONBLOCK | O_NOCTTY | (draw(state) % 2 ? O_PATH : 0), 0);
		break;
	case 2:
		result = syscall(SYS_openat2, first, pointer(state), pointer(state), draw(state) % 2 ? 24 : number(state));
		break;
	case 3:
		syscall(SYS_umount2, "/dev/net/none", number(state));
		syscall(SYS_mount, pointer(state), "/dev/net/none", pointer(state), 0, pointer(state));
		syscall(SYS_ioctl, (long)(draw(state) % 20), 0x8900 + (long)(draw(state) % 0x80), pointer(state));
		return;
	case 4:
		result = syscall(VU_SYSCALL, VU_MSOCKET, pointer(state), families[draw(state) % COUNT(families)], draw(state) % 11, 0);
		break;
	default:
		syscall(lookers[draw(state) % COUNT(lookers)], draw(state) % 2 ? first : pointer(state), pointer(state), either(state),
			either(state), either(state), either(state));
		return;
	}
	if (result > 2)
		close((int)result);
}

static void *run(void *seed)
{
	uint64_t state = (uint64_t)(uintptr_t)seed * 0x9e3779b97f4a7c15u + 1;
	long i;

	for (i = 0; i < calls; i++)
		one(&state);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[MOST_THREADS];
	const long count = argc == 5 ? atol(argv[3]) : 0;
	const long page = sysconf(_SC_PAGESIZE);
	struct stat st;
	char text[512];
	long i, fd;

	if (count < 1 || count > MOST_THREADS) {
		fputs("usage: hostile-calls vuctl|all CALLS THREADS SEED\n", stderr);
		return 2;
	}
	only_vuctl = strcmp(argv[1], "vuctl") == 0;
	calls = atol(argv[2]) / count;
	alarm(HANG_SECONDS);
	page_end = mmap(NULL, 2 * (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(page_end, 'x', (size_t)page);
	page_end += page;
	mprotect(page_end, (size_t)page, PROT_NONE);
	big = malloc(BIG);
	memset(big, 'y', BIG);
	read_only = mmap(NULL, (size_t)page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (i = 0; i < count; i++)
		pthread_create(&threads[i], NULL, run, (void *)(uintptr_t)(atol(argv[4]) + i));
	for (i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	ok(true, "%ld calls in each of %ld threads", calls, count);
	ok(vu_call(VU_INFO, (long)text, sizeof(text), 0, 0) > 0 || !expect_vu(), "the supervisor is there");
	is_value("stat", stat("/", &st), 0);
	fd = syscall(SYS_openat, AT_FDCWD, "/", O_RDONLY | O_CLOEXEC, 0);
	ok(fd >= 0 && fd < 64, "no descriptor is left behind");
	return done();
}
