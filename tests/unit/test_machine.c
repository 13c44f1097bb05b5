/* Names of this machine. */
#include "tap.h"

#include <sys/utsname.h>

#include "src/cmd/machine.h"

int main(void)
{
	char arch[32];
	char kernel[80];
	struct utsname u;
	tap_plan_later();
	uname(&u);
	machine_arch(arch);
	machine_kernel(kernel);
	tap_ok(arch[0] && !strchr(arch, '_'), "the architecture is named as in images: %s", arch);
	tap_ok(strcmp(u.machine, "x86_64") != 0 || strcmp(arch, "amd64") == 0, "x86_64 is amd64");
	tap_is_str(kernel, u.release, "the kernel's version is the kernel's own");
	return tap_done();
}
