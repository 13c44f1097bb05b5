/*
 * rtspec.c - the runtime spec as data: made with safe defaults, filled by growing its arrays, freed as a whole.
 *
 * Everything a spec points at is its own copy, which rtspec_free knows; the descriptors in it belong to the caller.
 */
#include "rl/model/rtspec.h"

#include <stdlib.h>
#include <string.h>

#include "rl/base/mem.h"

void rtspec_init(struct rtspec *s)
{
	*s = (struct rtspec){.umask = 0022, .personality = -1, .ioprio = -1, .time = {.fd = -1}, .no_new_privs = true};
	for (int i = 0; i < RT_NS_COUNT; i++)
		s->ns[i].fd = -1;
}

void rtspec_drop_secrets(struct rtspec *s)
{
	for (size_t i = 0; i < s->nsecrets; i++) {
		explicit_bzero(s->secrets[i].data, s->secrets[i].len);
		free(s->secrets[i].data);
		free(s->secrets[i].target);
	}
	free(s->secrets);
	s->secrets = NULL;
	s->nsecrets = 0;
	for (size_t i = 0; i < s->secret_env.count; i++)
		explicit_bzero(s->secret_env.items[i], strlen(s->secret_env.items[i]));
	strv_free(&s->secret_env);
}

void rtspec_free(struct rtspec *s)
{
	free(s->connect.policy);
	strv_free(&s->args);
	strv_free(&s->env);
	strv_free(&s->group_add);
	strv_free(&s->passwd);
	strv_free(&s->group);
	strv_free(&s->layers);
	strv_free(&s->masked);
	strv_free(&s->read_only_paths);
	strv_free(&s->sysctls);
	char *owned[] = {s->cwd,       s->user_text, s->rootfs,	    s->upper,	  s->work,
			 s->mount_dir, s->hostname,  s->domainname, s->exec_label};
	for (size_t i = 0; i < ARRAY_SIZE(owned); i++)
		free(owned[i]);
	for (size_t i = 0; i < s->nmounts; i++) {
		struct rt_mount *m = &s->mounts[i];
		free(m->source);
		free(m->target);
		free(m->options);
		free(m->upper);
		free(m->work);
		free(m->subpath);
		free(m->fstype);
		strv_free(&m->lowers);
	}
	free(s->mounts);
	for (size_t i = 0; i < s->ndevices; i++) {
		free(s->devices[i].source);
		free(s->devices[i].target);
	}
	free(s->devices);
	for (size_t i = 0; i < s->nentries; i++) {
		free(s->entries[i].path);
		free(s->entries[i].link);
	}
	free(s->entries);
	strv_free(&s->root_files);
	rtspec_drop_secrets(s);
	free(s->rlimits);
	free(s->ids.groups);
	rtspec_init(s);
}

struct rt_entry *rtspec_add_entry(struct rtspec *s, const char *path, const char *link, uint32_t mode)
{
	if ((s->nentries & (s->nentries - 1)) == 0)
		s->entries = xreallocarray(s->entries, s->nentries ? 2 * s->nentries : 16, sizeof(*s->entries));
	struct rt_entry *entry = &s->entries[s->nentries++];
	*entry = (struct rt_entry){.path = xstrdup(path), .link = link ? xstrdup(link) : NULL, .mode = mode};
	return entry;
}

struct rt_mount *rtspec_add_mount(struct rtspec *s, enum rt_mount_kind kind, const char *source, const char *target,
				  unsigned set)
{
	s->mounts = xreallocarray(s->mounts, s->nmounts + 1, sizeof(*s->mounts));
	struct rt_mount *m = &s->mounts[s->nmounts++];
	*m = (struct rt_mount){
		.kind = kind,
		.source = source ? xstrdup(source) : NULL,
		.target = xstrdup(target),
		.set = set,
		.is_dir = true,
	};
	return m;
}

void rtspec_add_secret(struct rtspec *s, const char *target, uint32_t uid, uint32_t gid, unsigned mode,
		       const void *data, size_t len)
{
	s->secrets = xreallocarray(s->secrets, s->nsecrets + 1, sizeof(*s->secrets));
	s->secrets[s->nsecrets++] = (struct rt_secret){.target = xstrdup(target),
						       .uid = uid,
						       .gid = gid,
						       .mode = mode,
						       .data = xmemdup(data, len),
						       .len = len};
}

struct rt_device *rtspec_add_device(struct rtspec *s, const char *source, const char *target, bool read_only)
{
	s->devices = xreallocarray(s->devices, s->ndevices + 1, sizeof(*s->devices));
	s->devices[s->ndevices++] = (struct rt_device){
		.source = xstrdup(source),
		.target = xstrdup(target),
		.read_only = read_only,
	};
	return &s->devices[s->ndevices - 1];
}

void rtspec_add_rlimit(struct rtspec *s, int resource, uint64_t soft, uint64_t hard, bool lower_to_hard)
{
	s->rlimits = xreallocarray(s->rlimits, s->nrlimits + 1, sizeof(*s->rlimits));
	s->rlimits[s->nrlimits++] = (struct rt_rlimit){resource, soft, hard, lower_to_hard};
}

void rtspec_default_paths(struct rtspec *s)
{
	static const char *const masked[] = {
		"/proc/acpi",
		"/proc/asound",
		"/proc/interrupts",
		"/proc/kcore",
		"/proc/keys",
		"/proc/latency_stats",
		"/proc/sched_debug",
		"/proc/scsi",
		"/proc/timer_list",
		"/proc/timer_stats",
		"/sys/devices/virtual/powercap",
		"/sys/firmware",
	};
	static const char *const read_only[] = {
		"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
	};
	for (size_t i = 0; i < ARRAY_SIZE(masked); i++)
		strv_add(&s->masked, masked[i]);
	for (size_t i = 0; i < ARRAY_SIZE(read_only); i++)
		strv_add(&s->read_only_paths, read_only[i]);
}

const char *rt_mount_kind_name(enum rt_mount_kind kind)
{
	static const char *const names[] = {
		[RT_BIND] = "bind",	  [RT_TMPFS] = "tmpfs",	       [RT_PROC] = "proc",	[RT_SYSFS] = "sysfs",
		[RT_DEVPTS] = "devpts",	  [RT_MQUEUE] = "mqueue",      [RT_CGROUP] = "cgroup2", [RT_DEV] = "dev",
		[RT_OVERLAY] = "overlay", [RT_LAYERS] = "layers",      [RT_FILE] = "file",	[RT_MADE] = "shared",
		[RT_FS] = "fs",		  [RT_REMOUNT] = "attributes",
	};
	_Static_assert(ARRAY_SIZE(names) == RT_REMOUNT + 1, "a name for every kind");
	return names[kind];
}

const char *rt_ns_name(enum rt_ns_kind kind)
{
	static const char *const names[] = {
		[RT_NS_USER] = "user", [RT_NS_MOUNT] = "mnt", [RT_NS_PID] = "pid",	 [RT_NS_NET] = "net",
		[RT_NS_IPC] = "ipc",   [RT_NS_UTS] = "uts",   [RT_NS_CGROUP] = "cgroup",
	};
	_Static_assert(ARRAY_SIZE(names) == RT_NS_COUNT, "a name for every namespace");
	return names[kind];
}
