/*
 * interp.c - stands where an image has its dynamic loader, for one test: executed as /proc/self/exe, the runtime's own
 * binary would be loaded by it, inside the container, with the container's rights (CVE-2019-5736). It says what it got
 * hold of, on one line: "INODE seals=BITS writable=ERRNO". Freestanding: the kernel enters it with another program's
 * headers in the auxiliary vector, which no C library survives.
 */
#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static long call(long n, long a, long b, long c)
{
	long r;
	__asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return r;
}

static char *put(char *at, const char *text)
{
	while (*text)
		*at++ = *text++;
	return at;
}

static char *put_number(char *at, long value)
{
	char digits[24];
	size_t n = 0;
	if (value < 0) {
		*at++ = '-';
		value = -value;
	}
	do
		digits[n++] = (char)('0' + value % 10);
	while (value /= 10);
	while (n)
		*at++ = digits[--n];
	return at;
}

void _start(void);
__attribute__((force_align_arg_pointer)) void _start(void)
{
	char line[128];
	char *at = line;
	struct stat st = {.st_ino = 0};
	long fd = call(SYS_open, (long)"/proc/self/exe", O_RDONLY, 0);
	call(SYS_fstat, fd, (long)&st, 0);
	at = put_number(at, (long)st.st_ino);
	at = put(at, " seals=");
	at = put_number(at, call(SYS_fcntl, fd, F_GET_SEALS, 0));
	at = put(at, " writable=");
	at = put_number(at, -call(SYS_open, (long)"/proc/self/exe", O_WRONLY, 0));
	at = put(at, "\n");
	call(SYS_write, 1, (long)line, at - line);
	call(SYS_exit_group, fd < 0, 0, 0);
	__builtin_unreachable();
}
