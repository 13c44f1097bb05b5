#include "rl/kern/caps.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/kern/idmap.h"
#include "rl/kern/probe.h"
#include "tap.h"

static void test_names(void)
{
	struct err e = ERR_INIT;
	tap_is_int(caps_from_name("CAP_CHOWN", &e), CAP_CHOWN, "a name with CAP_");
	tap_is_int(caps_from_name("sys_admin", &e), CAP_SYS_ADMIN, "a name without it, in small letters");
	tap_is_int(caps_from_name("cap_Net_Raw", &e), CAP_NET_RAW, "a name in mixed letters");
	tap_is_int(caps_from_name("NET_ADMN", &e), -EINVAL, "a mistyped name is an error");
	tap_has(e.hint, "net_admin", "which suggests the nearest");
	tap_is_int(caps_from_name("CAP_CAP_CHOWN", &e), -EINVAL, "CAP_ counts once");
	tap_is_int(caps_from_name("", &e), -EINVAL, "an empty name is an error");
	bool round = true;
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++) {
		char name[CAPS_NAME_SIZE];
		caps_name(cap, name);
		round &= caps_from_name(name, &e) == cap;
	}
	tap_ok(round, "every capability's name leads back to it");
	char name[CAPS_NAME_SIZE];
	caps_name(63, name);
	tap_is_str(name, "CAP_63", "a number without a name has its number");

	static const char docker[] = "CAP_CHOWN,CAP_DAC_OVERRIDE,CAP_FOWNER,CAP_FSETID,CAP_KILL,CAP_SETGID,CAP_SETUID,"
				     "CAP_SETPCAP,CAP_NET_BIND_SERVICE,CAP_NET_RAW,CAP_SYS_CHROOT,CAP_MKNOD,"
				     "CAP_AUDIT_WRITE,CAP_SETFCAP";
	autostr struct str text = STR_INIT;
	caps_describe(CAPS_DOCKER_DEFAULT, &text);
	tap_is_str(text.buf, docker, "the default set is docker's 14");
	tap_ok((caps_all_kernel() & CAPS_DOCKER_DEFAULT) == CAPS_DOCKER_DEFAULT, "the kernel has all of them");
	autostr struct str last = STR_INIT;
	if (io_read_file(AT_FDCWD, "/proc/sys/kernel/cap_last_cap", 16, &last, &e) == 0)
		tap_is_int((long long)caps_all_kernel(), (long long)((2ull << strtol(last.buf, NULL, 10)) - 1),
			   "the last capability of the kernel is found without /proc");
}

static void test_adjust(void)
{
	static const struct {
		const char *add;
		const char *drop;
		uint64_t want;
		const char *sentence;
	} cases[] = {
		{"", "", CAPS_DOCKER_DEFAULT, "nothing asked for is the default"},
		{"SYS_ADMIN", "", CAPS_DOCKER_DEFAULT | 1ull << CAP_SYS_ADMIN, "one added"},
		{"", "cap_chown,KILL", CAPS_DOCKER_DEFAULT & ~(1ull << CAP_CHOWN | 1ull << CAP_KILL), "two dropped"},
		{"", "ALL", 0, "all dropped"},
		{"chown", "all", 1ull << CAP_CHOWN, "all dropped and one added"},
		{"KILL", "KILL", CAPS_DOCKER_DEFAULT, "one dropped and added is there"},
	};
	struct err e = ERR_INIT;
	uint64_t set;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		autostrv struct strv add = STRV_INIT;
		autostrv struct strv drop = STRV_INIT;
		if (*cases[i].add)
			strv_split(&add, cases[i].add, ',');
		if (*cases[i].drop)
			strv_split(&drop, cases[i].drop, ',');
		tap_ok(caps_adjust(CAPS_DOCKER_DEFAULT, &add, &drop, &set, &e) == 0 && set == cases[i].want,
		       "--cap-add and --cap-drop: %s", cases[i].sentence);
	}
	autostrv struct strv all = STRV_INIT;
	autostrv struct strv none = STRV_INIT;
	autostrv struct strv one = STRV_INIT;
	strv_add(&all, "ALL");
	strv_add(&one, "SYS_MODULE");
	tap_ok(caps_adjust(0, &all, &one, &set, &e) == 0 && set == (caps_all_kernel() & ~(1ull << CAP_SYS_MODULE)),
	       "--cap-add ALL is the kernel's whole set without the drops");
	strv_add(&none, "NO_SUCH");
	tap_ok(caps_adjust(0, &none, &all, &set, &e) == -EINVAL && strstr(e.text, "--cap-add"),
	       "an unknown name is an error that names the option");

	struct caps_sets root = caps_for_user(5, 0);
	struct caps_sets user = caps_for_user(5, 1000);
	tap_ok(root.bounding == 5 && root.permitted == 5 && root.effective == 5, "root has the set");
	tap_ok(user.bounding == 5 && user.permitted == 0 && user.effective == 0, "another user only its bound");
	tap_ok(!root.inheritable && !root.ambient && !user.inheritable && !user.ambient,
	       "inheritable and ambient are empty (CVE-2022-24769)");
}

struct
try {
	struct caps_sets sets;
	uid_t uid;
	bool keep;
};

static bool status_is(const char *field, uint64_t want)
{
	return (uint64_t)probe_status(field) == want;
}

/* Exit status: the number of the first check that failed. */
static int apply_in_child(void *arg)
{
	const struct try *t = arg;
	struct err e = ERR_INIT;
	if (caps_before_setid(&t->sets, t->keep, &e) < 0)
		return 1;
	if (t->uid && setresuid(t->uid, t->uid, t->uid) < 0)
		return 2;
	if (caps_after_setid(&t->sets, &e) < 0)
		return 3;
	prctl(PR_SET_DUMPABLE, 1);
	if (!status_is("CapBnd", t->sets.bounding & caps_all_kernel()))
		return 4;
	if (!status_is("CapPrm", t->sets.permitted & caps_all_kernel()))
		return 5;
	if (!status_is("CapEff", t->sets.effective & caps_all_kernel()))
		return 6;
	if (!status_is("CapInh", t->sets.inheritable))
		return 7;
	if (!status_is("CapAmb", t->sets.ambient))
		return 8;
	uint64_t effective;
	if (caps_effective(&effective, &e) < 0 || effective != (t->sets.effective & caps_all_kernel()))
		return 9;
	return 0;
}

static void try_in_userns(const struct idmap *map, struct try t, const char *sentence)
{
	struct err e = ERR_INIT;
	struct proc_child c;
	int r = userns_spawn(map, 0, apply_in_child, &t, &c, &e);
	int status = r < 0 ? r : proc_wait(&c, "child", &e);
	if (!tap_ok(status == 0, "%s", sentence))
		tap_diag("step %d %s", status, e.text);
}

static void test_apply(void)
{
	struct err e = ERR_INIT;
	struct idmap map;
	if (idmap_detect(false, &map, &e) < 0) {
		tap_skip(e.text, "capabilities are given up");
		return;
	}
	const uint64_t set = CAPS_DOCKER_DEFAULT;
	try_in_userns(&map, (struct try){.sets = caps_for_user(set, 0)},
		      "root keeps docker's default set in all three sets");
	try_in_userns(&map, (struct try){.sets = caps_for_user(0, 0)}, "root keeps nothing when all is dropped");
	try_in_userns(&map, (struct try){.sets = caps_for_user(UINT64_MAX, 0)},
		      "privileged root keeps what the kernel has");
	if (idmap_uid_to_host(&map, 1) == IDMAP_UNMAPPED) {
		tap_skip("only one id is mapped here", "other users keep their bound");
		return;
	}
	try_in_userns(&map, (struct try){.sets = caps_for_user(set, 1), .uid = 1},
		      "another user has nothing permitted, and the bound");
	struct caps_sets ambient = {.bounding = set, .permitted = 3, .effective = 1, .inheritable = 3, .ambient = 2};
	try_in_userns(&map, (struct try){.sets = ambient, .uid = 1, .keep = true},
		      "a spec's own sets survive the change of user when they are kept");
}

int main(void)
{
	tap_plan_later();
	test_names();
	test_adjust();
	test_apply();
	return tap_done();
}
