/*
 * vu.h - what a guest can ask of the supervisor that runs it.
 *
 * There is one extra system call, VU_SYSCALL. Outside umvu the kernel answers it with ENOSYS, so a program can
 * tell where it is. Its first argument is one of the operations below; the result is that of a system call
 * (a value, or -1 and errno). After a failure VU_ERROR gives the reason in words.
 */
#ifndef VU_H
#define VU_H

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/** Number of the system call: far above Linux's own, below the x32 bit. */
#define VU_SYSCALL 0x5655

/** Operations of VU_SYSCALL, with their arguments. All texts end with a NUL that the result does not count. */
enum vu_operation {
	VU_INFO = 0,     /* (char *buf, size_t size): lines "key=value": version, server (pid), view, viewid, depth */
	VU_INSMOD = 1,   /* (const char *name, long permanent): insert a module */
	VU_RMMOD = 2,    /* (const char *name): EBUSY while something of it is mounted */
	VU_LSMOD = 3,    /* (char *buf, size_t size): lines "name: description" */
	VU_MSOCKET = 4,  /* (const char *path, int domain, int type, int protocol): see msocket.h */
	VU_MOUNTS = 5,   /* (char *buf, size_t size): lines as in fstab(5), blanks escaped as \040 */
	VU_SETNAME = 6,  /* (const char *name): name of the view */
	VU_NEWVIEW = 7,  /* (): the caller and its future children get a copy of its view; its id */
	VU_ERROR = 8,    /* (char *buf, size_t size): why the last operation or mount of the caller failed */
	VU_HOSTNET = 9,  /* (int domain): back to the host's network for this family (0: all families) */
	VU_FAMILIES = 10 /* (const char *path, char *buf, size_t size): numbers of the families of a stack */
};

/** One call of the supervisor; -1 and errno on failure, ENOSYS outside umvu. */
static inline long vu_call(enum vu_operation op, long a, long b, long c, long d)
{
	return syscall(VU_SYSCALL, (long)op, a, b, c, d);
}

#endif
