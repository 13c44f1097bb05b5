/*
 * oci_features.c - two documents: what this runtime can (runtime-spec features.md), and a config.json to start from.
 */
#include "oci_int.h"
#include "rl/base/mem.h"
#include "rl/kern/caps.h"

#include <unistd.h>

static json_t *words(const char *const *list)
{
	json_t *doc = json_array();
	for (; *list; list++)
		json_array_append_new(doc, json_string(*list));
	return doc;
}

static json_t *capabilities(void)
{
	json_t *doc = json_array();
	const uint64_t known = caps_all_kernel();
	for (int i = 0; i < 64; i++) {
		char name[CAPS_NAME_SIZE];
		if (!(known & (1ULL << i)))
			continue;
		caps_name(i, name);
		json_array_append_new(doc, json_string(name));
	}
	return doc;
}

static json_t *enabled(bool on)
{
	json_t *doc = json_object();
	json_put_bool(doc, "enabled", on);
	return doc;
}

static json_t *seccomp(void)
{
	static const char *const actions[] = {
		"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO",  "SCMP_ACT_KILL",  "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
		"SCMP_ACT_LOG",	  "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP",		NULL};
	static const char *const operators[] = {"SCMP_CMP_EQ", "SCMP_CMP_GE",	     "SCMP_CMP_GT", "SCMP_CMP_LE",
						"SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE", NULL};
	static const char *const archs[] = {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM",    "SCMP_ARCH_X32",
					    "SCMP_ARCH_X86",	 "SCMP_ARCH_X86_64", NULL};
	static const char *const flags[] = {"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
					    "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
					    NULL};
	json_t *doc = enabled(true);
	json_put(doc, "actions", words(actions));
	json_put(doc, "operators", words(operators));
	json_put(doc, "archs", words(archs));
	json_put(doc, "knownFlags", words(flags));
	json_put(doc, "supportedFlags", words(flags));
	return doc;
}

static json_t *linux_features(void)
{
	static const char *const namespaces[] = {"cgroup", "ipc",  "mount", "network", "pid",
						 "time",   "user", "uts",   NULL};
	json_t *doc = json_object();
	json_t *cgroup = json_object();
	json_t *mounts = json_object();
	json_put(doc, "namespaces", words(namespaces));
	json_put(doc, "capabilities", capabilities());
	json_put_bool(cgroup, "v1", true);
	json_put_bool(cgroup, "v2", true);
	json_put_bool(cgroup, "systemd", true);
	json_put_bool(cgroup, "systemdUser", true);
	json_put_bool(cgroup, "rdma", true);
	json_put(doc, "cgroup", cgroup);
	json_put(doc, "seccomp", seccomp());
	json_put(doc, "apparmor", enabled(true));
	json_put(doc, "selinux", enabled(true));
	json_put(doc, "intelRdt", enabled(false));
	json_put(mounts, "idmap", enabled(true));
	json_put(doc, "mountExtensions", mounts);
	return doc;
}

json_t *oci_features(void)
{
	json_t *doc = json_object();
	json_t *hooks = json_array();
	json_t *annotations = json_object();
	json_put_str(doc, "ociVersionMin", "1.0.0");
	json_put_str(doc, "ociVersionMax", "1.2.1");
	for (int i = 0; i < OCI_HOOK_KINDS; i++)
		json_array_append_new(hooks, json_string(oci_hook_kind_name((enum oci_hook_kind)i)));
	json_put(doc, "hooks", hooks);
	json_put(doc, "mountOptions", oci_mount_options());
	json_put(doc, "linux", linux_features());
	json_put_str(annotations, "org.opencontainers.runc.checkpoint.enabled", "false");
	json_put(doc, "annotations", annotations);
	json_put(doc, "potentiallyUnsafeConfigAnnotations", json_array());
	return doc;
}

void oci_fields(struct str *out)
{
	oci_config_fields(out);
}

/* ---- spec ---- */

static void add_mount(json_t *mounts, const char *destination, const char *type, const char *source,
		      const char *const *options)
{
	json_t *m = json_object();
	json_put_str(m, "destination", destination);
	json_put_str(m, "type", type);
	json_put_str(m, "source", source);
	if (options)
		json_put(m, "options", words(options));
	json_array_append_new(mounts, m);
}

static json_t *example_mounts(bool rootless)
{
	static const char *const dev[] = {"nosuid", "strictatime", "mode=755", "size=65536k", NULL};
	static const char *const pts[] = {"nosuid",    "noexec", "newinstance", "ptmxmode=0666",
					  "mode=0620", "gid=5",	 NULL};
	static const char *const pts_rootless[] = {"nosuid",	    "noexec",	 "newinstance",
						   "ptmxmode=0666", "mode=0620", NULL};
	static const char *const shm[] = {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k", NULL};
	static const char *const plain[] = {"nosuid", "noexec", "nodev", NULL};
	static const char *const sys[] = {"nosuid", "noexec", "nodev", "ro", NULL};
	static const char *const sys_rootless[] = {"rbind", "nosuid", "noexec", "nodev", "ro", NULL};
	static const char *const cgroup[] = {"nosuid", "noexec", "nodev", "relatime", "ro", NULL};
	json_t *mounts = json_array();
	add_mount(mounts, "/proc", "proc", "proc", NULL);
	add_mount(mounts, "/dev", "tmpfs", "tmpfs", dev);
	add_mount(mounts, "/dev/pts", "devpts", "devpts", rootless ? pts_rootless : pts);
	add_mount(mounts, "/dev/shm", "tmpfs", "shm", shm);
	add_mount(mounts, "/dev/mqueue", "mqueue", "mqueue", plain);
	add_mount(mounts, "/sys", rootless ? "none" : "sysfs", rootless ? "/sys" : "sysfs",
		  rootless ? sys_rootless : sys);
	add_mount(mounts, "/sys/fs/cgroup", "cgroup", "cgroup", cgroup);
	return mounts;
}

static json_t *example_process(void)
{
	static const char *const args[] = {"sh", NULL};
	static const char *const env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
					  "TERM=xterm", NULL};
	static const char *const caps[] = {"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE", NULL};
	static const char *const sets[] = {"bounding", "effective", "permitted"};
	json_t *doc = json_object();
	json_t *capabilities = json_object();
	json_put_bool(doc, "terminal", true);
	json_put(doc, "user", json_pack("{s:i,s:i}", "uid", 0, "gid", 0));
	json_put(doc, "args", words(args));
	json_put(doc, "env", words(env));
	json_put_str(doc, "cwd", "/");
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		json_put(capabilities, sets[i], words(caps));
	json_put(doc, "capabilities", capabilities);
	json_put(doc, "rlimits", json_pack("[{s:s,s:i,s:i}]", "type", "RLIMIT_NOFILE", "hard", 1024, "soft", 1024));
	json_put_bool(doc, "noNewPrivileges", true);
	return doc;
}

static json_t *example_linux(bool rootless)
{
	static const char *const namespaces[] = {"pid", "network", "ipc", "uts", "mount", "cgroup"};
	static const char *const masked[] = {"/proc/acpi",
					     "/proc/asound",
					     "/proc/kcore",
					     "/proc/keys",
					     "/proc/latency_stats",
					     "/proc/timer_list",
					     "/proc/timer_stats",
					     "/proc/sched_debug",
					     "/sys/firmware",
					     "/proc/scsi",
					     NULL};
	static const char *const read_only[] = {"/proc/bus",	       "/proc/fs", "/proc/irq", "/proc/sys",
						"/proc/sysrq-trigger", NULL};
	json_t *doc = json_object();
	json_t *list = json_array();
	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++)
		if (!rootless || !str_eq(namespaces[i], "network"))
			json_array_append_new(list, json_pack("{s:s}", "type", namespaces[i]));
	if (rootless) {
		json_array_append_new(list, json_pack("{s:s}", "type", "user"));
		json_put(doc, "uidMappings",
			 json_pack("[{s:i,s:I,s:i}]", "containerID", 0, "hostID", (json_int_t)geteuid(), "size", 1));
		json_put(doc, "gidMappings",
			 json_pack("[{s:i,s:I,s:i}]", "containerID", 0, "hostID", (json_int_t)getegid(), "size", 1));
	} else {
		json_put(doc, "resources", json_pack("{s:[{s:b,s:s}]}", "devices", "allow", 0, "access", "rwm"));
	}
	json_put(doc, "namespaces", list);
	json_put(doc, "maskedPaths", words(masked));
	json_put(doc, "readonlyPaths", words(read_only));
	return doc;
}

json_t *oci_example_config(bool rootless)
{
	json_t *doc = json_object();
	json_put_str(doc, "ociVersion", "1.2.0");
	json_put(doc, "process", example_process());
	json_put(doc, "root", json_pack("{s:s,s:b}", "path", "rootfs", "readonly", 1));
	json_put_str(doc, "hostname", "rl");
	json_put(doc, "mounts", example_mounts(rootless));
	json_put(doc, "linux", example_linux(rootless));
	return doc;
}
