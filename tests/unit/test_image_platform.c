/* Images of other platforms: what is the same, what runs here, what binfmt_misc's entries mean. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/model/imgspec.h"
#include "rl/svc/image_platform.h"

static json_t *config_of(const char *os, const char *architecture, const char *variant)
{
	json_t *c = json_object();
	json_put_str(c, "os", os);
	json_put_str(c, "architecture", architecture);
	if (variant)
		json_put_str(c, "variant", variant);
	return c;
}

static void test_matches(void)
{
	static const struct {
		const char *variant, *wanted;
		bool same;
	} cases[] = {
		{"v7", "linux/arm", true},    {"v7", "linux/arm/v7", true}, {"v7", "linux/arm/v6", false},
		{NULL, "linux/arm/v7", true}, {"v7", "linux/arm64", false}, {"v7", "windows/arm", false},
		{"v7", NULL, true},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		autojson json_t *c = config_of("linux", "arm", cases[i].variant);
		tap_ok(image_platform_matches(c, cases[i].wanted) == cases[i].same, "linux/arm %s %s --platform %s",
		       cases[i].variant ? cases[i].variant : "", cases[i].same ? "is" : "is not",
		       cases[i].wanted ? cases[i].wanted : "nothing");
	}
}

/* qemu-s390x's entry: a big-endian machine, which no machine of ours is. */
static const char entry[] = "%s\ninterpreter /usr/bin/qemu\nflags: %s\noffset 0\nmagic "
			    "7f454c4602020100000000000000000000020016\nmask ffffffffffffff00fffffffffffffffffffeffff\n";

static int check_with(const char *dir, const char *state, const char *flags, const char *arch, struct err *e)
{
	autostr struct str text = STR_INIT;
	autofree char *path = xasprintf("%s/any-name", dir);
	autojson json_t *c = config_of("linux", arch, NULL);
	unlink(path);
	if (state) {
		str_addf(&text, entry, state, flags);
		(void)!io_write_file(AT_FDCWD, path, text.buf, text.len, 0644, NULL);
	}
	err_clear(e);
	return image_platform_check(c, "img", dir, e);
}

int main(void)
{
	tap_plan_later();
	test_matches();
	const char *os, *architecture, *variant;
	char dir[] = "/tmp/test_platformXXXXXX";
	struct err e = ERR_INIT;
	imgspec_host_platform(&os, &architecture, &variant);
	if (!mkdtemp(dir))
		return 1;
	tap_is_int(check_with(dir, NULL, NULL, architecture, &e), 0, "this machine's images run");
	tap_is_int(check_with(dir, NULL, NULL, "", &e), 0, "an image that says nothing is taken for one of them");
	tap_ok(check_with(dir, NULL, NULL, "s390x", &e) == -ENOEXEC && strstr(e.text, "no interpreter") &&
		       strstr(e.hint, "--platform"),
	       "another machine's do not where there is no interpreter, and the hint says what to do");
	tap_is_int(err_exit_status(&e), EXIT_CANNOT_INVOKE, "with the status of what cannot be invoked");
	tap_is_int(check_with(dir, "enabled", "OCF", "s390x", &e), 0, "an interpreter the kernel holds open will do");
	tap_ok(check_with(dir, "enabled", "OC", "s390x", &e) < 0 && strstr(e.text, "inside the image"),
	       "one that is looked up by its path will not, and the text says so");
	tap_ok(check_with(dir, "disabled", "F", "s390x", &e) < 0, "nor one that is switched off");
	tap_ok(check_with(dir, "enabled", "F", "riscv64", &e) < 0, "nor one for another machine");
	tap_ok(check_with(dir, "enabled", "F", "vax", &e) < 0, "an architecture nobody knows is refused");
	if (strcmp(architecture, "amd64") == 0)
		tap_is_int(check_with(dir, NULL, NULL, "386", &e), 0, "the processor runs 386 itself");
	autojson json_t *windows = config_of("windows", architecture, NULL);
	err_clear(&e);
	tap_ok(image_platform_check(windows, "img", dir, &e) == -ENOEXEC && !*e.hint,
	       "another system's are refused, and nothing is promised");
	tap_ok(image_platform_check(windows, "img", "/nonexistent", &e) < 0,
	       "a kernel without binfmt_misc is no error");
	(void)!io_remove_tree(AT_FDCWD, dir, NULL);
	return tap_done();
}
