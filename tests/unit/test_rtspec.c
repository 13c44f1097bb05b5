/* The spec as a container of decisions: defaults, copies, names. */
#include "rl/model/rtspec.h"

#include "tap.h"

static bool has(const struct strv *v, const char *text)
{
	for (size_t i = 0; i < v->count; i++)
		if (strcmp(v->items[i], text) == 0)
			return true;
	return false;
}

int main(void)
{
	struct rtspec s;
	tap_plan_later();
	rtspec_init(&s);
	tap_ok(s.no_new_privs, "no_new_privs is the default");
	tap_is_int(s.umask, 0022, "the umask is 0022");
	bool isolated = true;
	for (int i = 0; i < RT_NS_COUNT; i++)
		isolated = isolated && s.ns[i].mode == RT_NS_NEW && s.ns[i].fd == -1;
	tap_ok(isolated, "every namespace is new and none has a descriptor");

	char source[] = "/host/a";
	struct rt_mount *m = rtspec_add_mount(&s, RT_BIND, source, "/a", 5);
	source[1] = 'X';
	tap_is_str(m->source, "/host/a", "a mount has its own copy of the source");
	tap_is_int(m->set, 5, "and the attributes it was given");
	tap_ok(rtspec_add_mount(&s, RT_TMPFS, NULL, "/tmp", 0)->source == NULL, "a mount may have no source");
	tap_is_str(s.mounts[0].target, "/a", "earlier mounts survive the growth of the array");
	tap_is_int((long long)s.nmounts, 2, "two mounts are counted");

	rtspec_add_device(&s, "/dev/fuse", "/dev/fuse", true);
	tap_ok(s.ndevices == 1 && s.devices[0].read_only, "a device is added with its mode");
	rtspec_add_rlimit(&s, 7, 10, UINT64_MAX, true);
	tap_ok(s.nrlimits == 1 && s.rlimits[0].soft == 10 && s.rlimits[0].hard == UINT64_MAX,
	       "a resource limit keeps the number that means unlimited");

	rtspec_default_paths(&s);
	tap_ok(has(&s.masked, "/proc/kcore") && has(&s.masked, "/sys/firmware"), "memory and firmware are masked");
	tap_ok(has(&s.masked, "/proc/keys"), "so are the keys of the user");
	tap_ok(has(&s.read_only_paths, "/proc/sys") && has(&s.read_only_paths, "/proc/sysrq-trigger"),
	       "sysctls and sysrq are read-only");

	tap_is_str(rt_mount_kind_name(RT_CGROUP), "cgroup2", "a kind is named as mount(8) names it");
	tap_is_str(rt_mount_kind_name(RT_OVERLAY), "overlay", "the last kind has a name");
	tap_is_str(rt_ns_name(RT_NS_MOUNT), "mnt", "a namespace is named as in /proc/PID/ns");

	rtspec_free(&s);
	tap_ok(!s.mounts && !s.nmounts && !s.devices && !s.masked.count, "a freed spec is empty");
	tap_ok(s.no_new_privs, "and as safe as a new one");
	rtspec_free(&s);
	return tap_done();
}
