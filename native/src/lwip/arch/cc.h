/* What lwIP wants to know of the compiler and the platform. */
#ifndef UMVU_LWIP_CC_H
#define UMVU_LWIP_CC_H

#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>

#ifdef __cplusplus
extern "C" {
#endif

uint32_t umvu_random(void);
uint16_t umvu_checksum(const void *bytes, int size);
/* memory.h */
void *umvu_lwip_malloc(size_t size);
void *umvu_lwip_calloc(size_t count, size_t size);
void umvu_lwip_free(void *bytes);
void umvu_lwip_assert(const char *text, const char *file, int line) __attribute__((noreturn));

#ifdef __cplusplus
}
#endif

#define mem_clib_malloc umvu_lwip_malloc
#define mem_clib_calloc umvu_lwip_calloc
#define mem_clib_free umvu_lwip_free
#define LWIP_RAND() umvu_random()
#define LWIP_CHKSUM umvu_checksum
#define LWIP_PLATFORM_DIAG(x) do { } while (0)
#define LWIP_PLATFORM_ASSERT(x) umvu_lwip_assert(x, __FILE__, __LINE__)
#define LWIP_ERRNO_STDINCLUDE 1
#define LWIP_TIMEVAL_PRIVATE 0

#endif
