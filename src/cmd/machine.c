/*
 * machine.c - what images and docker call this machine.
 */
#include "machine.h"

#include <sys/utsname.h>

#include "rl/base/str.h"

void machine_arch(char ret[32])
{
	static const struct {
		const char *machine;
		const char *name;
	} names[] = {
		{"x86_64", "amd64"}, {"aarch64", "arm64"}, {"i686", "386"}, {"i386", "386"}, {"armv7l", "arm"},
	};
	struct utsname u = {.machine = ""};
	uname(&u);
	const char *name = u.machine;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_eq(u.machine, names[i].machine))
			name = names[i].name;
	snprintf(ret, 32, "%.31s", name);
}

void machine_kernel(char ret[80])
{
	struct utsname u = {.release = ""};
	uname(&u);
	snprintf(ret, 80, "%.79s", u.release);
}
