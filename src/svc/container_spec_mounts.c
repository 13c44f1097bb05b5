/*
 * container_spec_mounts.c - the file systems of a container: docker's standard set, then what was asked for.
 *
 * A mount asked for replaces the standard one on the same target (so --tmpfs /dev/shm:... and -v x:/etc/hosts work). The
 * list is sorted by depth of the target, so that a mount never hides one made before it. As in docker, options
 * of the person come after everything of ours.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container_int.h"
#include "host_image.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/kern/mnt.h"

enum { NO_EXEC_SUID_DEV = MNT_NOSUID | MNT_NOEXEC | MNT_NODEV };

static bool is_asked_for(const struct container *c, const char *target)
{
	for (size_t i = 0; i < c->o->nmounts; i++)
		if (str_eq(c->o->mounts[i].target, target))
			return true;
	return false;
}

static void standard(struct container *c, enum rt_mount_kind kind, const char *source, const char *target, unsigned set,
		     const char *options)
{
	if (is_asked_for(c, target))
		return;
	struct rt_mount *m = rtspec_add_mount(&c->spec, kind, source, target, set);
	m->recursive = kind == RT_BIND;
	m->fd = -1;
	m->options = options ? xstrdup(options) : NULL;
}

static void standard_made(struct container *c, int fd, const char *target)
{
	if (!is_asked_for(c, target))
		rtspec_add_mount(&c->spec, RT_MADE, NULL, target, 0)->fd = fd;
}

/* It goes with the ipc namespace, wherever that is from. */
static void add_shm(struct container *c)
{
	if (c->o->no_shm)
		return;
	if (c->spec.ns[RT_NS_IPC].mode == RT_NS_HOST) {
		standard(c, RT_BIND, "/dev/shm", "/dev/shm", 0, NULL);
	} else if (c->shm_fd >= 0) {
		standard_made(c, c->shm_fd, "/dev/shm");
	} else {
		autofree char *options = xasprintf("mode=1777,size=%llu", (unsigned long long)c->o->shm_size);
		standard(c, RT_TMPFS, NULL, "/dev/shm", NO_EXEC_SUID_DEV, options);
	}
}

static void add_dev(struct container *c)
{
	standard(c, RT_DEV, NULL, "/dev", MNT_NOSUID, "mode=755,size=65536k");
	bool tty_group = !c->has_map || idmap_gid_to_host(&c->map, 5) != IDMAP_UNMAPPED;
	standard(c, RT_DEVPTS, NULL, "/dev/pts", MNT_NOSUID | MNT_NOEXEC,
		 tty_group ? "newinstance,ptmxmode=0666,mode=0620,gid=5" : "newinstance,ptmxmode=0666,mode=0620");
	add_shm(c);
	if (c->mqueue_fd >= 0)
		standard_made(c, c->mqueue_fd, "/dev/mqueue");
	else
		standard(c, RT_MQUEUE, NULL, "/dev/mqueue", NO_EXEC_SUID_DEV, NULL);
}

static void add_files(struct container *c)
{
	static const char *const names[] = {"resolv.conf", "hostname", "hosts"};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if ((str_eq(names[i], "hosts") && c->o->no_hosts) ||
		    (str_eq(names[i], "hostname") && c->o->no_hostname))
			continue;
		autofree char *target = path_join("/etc", names[i]);
		/* Addresses and name servers go with the network. */
		bool others = c->net_dir && !str_eq(names[i], "hostname");
		autofree char *source = path_join(others ? c->net_dir : c->dir, names[i]);
		standard(c, RT_BIND, source, target, 0, NULL);
	}
	if (c->o->sdnotify == SDNOTIFY_CONTAINER) {
		autofree char *source = path_join(c->dir, CONTAINER_NOTIFY_DIR);
		standard(c, RT_BIND, source, CONTAINER_NOTIFY_INSIDE, NO_EXEC_SUID_DEV, NULL);
	}
}

/* --tz: the zone's file over the container's, which is often a link to a zone the image does not have. */
static int add_time_zone(struct container *c, struct err *e)
{
	const char *tz = c->o->tz;
	char magic[4] = "";
	if (!tz || is_asked_for(c, "/etc/localtime"))
		return 0;
	autofree char *zone = str_eq(tz, "local") ? xstrdup("/etc/localtime") : path_join("/usr/share/zoneinfo", tz);
	autofree char *source = realpath(zone, NULL);
	autofd int fd = source ? open(source, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
	if (fd < 0)
		return err_sys(e, errno, "--tz %s", tz);
	if (read(fd, magic, sizeof(magic)) != sizeof(magic) || memcmp(magic, "TZif", sizeof(magic)) != 0)
		return err_set(e, EINVAL, "--tz %s: %s is no time zone file", tz, source);
	struct rt_mount *m = rtspec_add_mount(&c->spec, RT_BIND, source, "/etc/localtime",
					      MNT_RDONLY | NO_EXEC_SUID_DEV);
	m->over_link = true;
	return 0;
}

static void add_standard(struct container *c)
{
	unsigned frozen = c->o->privileged ? 0u : (unsigned)MNT_RDONLY;
	if (c->proc_fd >= 0)
		standard_made(c, c->proc_fd, "/proc");
	else
		standard(c, RT_PROC, NULL, "/proc", NO_EXEC_SUID_DEV, NULL);
	add_dev(c);
	standard(c, RT_SYSFS, NULL, "/sys", NO_EXEC_SUID_DEV | frozen, NULL);
	if (c->spec.ns[RT_NS_NET].mode == RT_NS_NEW && access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0)
		standard(c, RT_CGROUP, NULL, "/sys/fs/cgroup", NO_EXEC_SUID_DEV | frozen, NULL);
	add_files(c);
}

static unsigned long propagation_flags(enum mount_propagation p)
{
	switch (p) {
	case PROPAGATION_DEFAULT:
	case PROPAGATION_RPRIVATE:
		return MS_PRIVATE | MS_REC;
	case PROPAGATION_PRIVATE:
		return MS_PRIVATE;
	case PROPAGATION_SLAVE:
		return MS_SLAVE;
	case PROPAGATION_RSLAVE:
		return MS_SLAVE | MS_REC;
	case PROPAGATION_SHARED:
		return MS_SHARED;
	case PROPAGATION_RSHARED:
		return MS_SHARED | MS_REC;
	}
	return MS_PRIVATE | MS_REC;
}

static void set_attrs(struct rt_mount *m, const struct mount_opt *o, unsigned defaults)
{
	unsigned set = defaults | (o->read_only ? MNT_RDONLY : 0u);
	const struct {
		int wanted;
		unsigned bit;
	} flags[] = {{o->exec, MNT_NOEXEC}, {o->dev, MNT_NODEV}, {o->suid, MNT_NOSUID}};
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		if (flags[i].wanted == 0)
			set |= flags[i].bit;
		else if (flags[i].wanted == 1)
			set &= ~flags[i].bit;
	}
	static const unsigned atimes[] = {
		[ATIME_NOATIME] = MNT_NOATIME,
		[ATIME_NODIRATIME] = MNT_NODIRATIME,
		[ATIME_STRICTATIME] = MNT_STRICTATIME,
	};
	m->set = set | (o->atime < ARRAY_SIZE(atimes) ? atimes[o->atime] : 0);
}

/* The throw-away upper directory of -v SRC:DST:O, inside the container's own directory. */
static int overlay_dirs(struct container *c, size_t index, struct rt_mount *m, const struct mount_opt *o, struct err *e)
{
	if (o->upperdir) {
		m->upper = xstrdup(o->upperdir);
		m->work = xstrdup(o->workdir);
		return 0;
	}
	autofree char *upper = xasprintf("overlay-%zu/upper", index);
	autofree char *work = xasprintf("overlay-%zu/work", index);
	int r = c->o->explain ? 0 : io_mkdirs(c->dirfd, upper, 0755, e);
	if (r == 0 && !c->o->explain)
		r = io_mkdirs(c->dirfd, work, 0700, e);
	if (r < 0)
		return r;
	m->upper = path_join(c->dir, upper);
	m->work = path_join(c->dir, work);
	return 0;
}

static int add_source(struct container *c, size_t index, const struct mount_opt *o, const char *source,
		      unsigned defaults, struct err *e)
{
	struct rt_mount *m = rtspec_add_mount(&c->spec, o->overlay ? RT_OVERLAY : RT_BIND, source, o->target, 0);
	m->recursive = o->recursive_bind;
	m->propagation = propagation_flags(o->propagation);
	m->chown = o->chown;
	m->subpath = o->subpath ? xstrdup(o->subpath) : NULL;
	set_attrs(m, o, defaults);
	return o->overlay ? overlay_dirs(c, index, m, o, e) : 0;
}

static int add_bind(struct container *c, size_t index, const struct mount_opt *o, struct err *e)
{
	autofree char *source = realpath(o->source, NULL);
	if (!source && errno == ENOENT && o->create_source && !c->o->explain) {
		/* docker makes the directory; so do we, and say so, because a typo ends here too. */
		int r = io_mkdirs(AT_FDCWD, o->source, 0755, e);
		if (r < 0)
			return err_ctx(e, "-v %s:%s", o->source, o->target);
		log_warn("-v: made the missing directory %s", o->source);
		source = realpath(o->source, NULL);
	}
	if (!source) {
		int errnum = errno;
		err_sys(e, errnum, "mount %s on %s", o->source, o->target);
		return errnum == ENOENT ? err_hint(e, "the source of a bind mount must exist on this machine")
					: -errnum;
	}
	if (o->relabel)
		log_debug(LOG_MNT, ":%c has no meaning without SELinux labelling", o->relabel);
	return add_source(c, index, o, source, 0, e);
}

static void add_tmpfs(struct container *c, const struct mount_opt *o)
{
	autostr struct str options = STR_INIT;
	str_addf(&options, "mode=%o", o->tmpfs_mode >= 0 ? (unsigned)o->tmpfs_mode : 01777u);
	if (o->tmpfs_size >= 0)
		str_addf(&options, ",size=%lld", (long long)o->tmpfs_size);
	if (o->tmpfs_options)
		str_addf(&options, ",%s", o->tmpfs_options);
	struct rt_mount *m = rtspec_add_mount(&c->spec, RT_TMPFS, NULL, o->target, 0);
	set_attrs(m, o, o->exec == UNSET ? NO_EXEC_SUID_DEV : MNT_NOSUID | MNT_NODEV);
	m->options = str_take(&options);
}

static int add_volume(struct container *c, size_t index, const struct mount_opt *o, struct err *e)
{
	static const unsigned defaults = MNT_NOSUID | MNT_NODEV;
	const struct volume_lease *l = container_volume(c, o->source);
	if (!l) {
		/* Nothing is made for --explain. */
		autofree char *name = path_join(c->store.root, o->source ? "volumes" : "volumes/(new)");
		autofree char *source = o->source ? path_join(name, o->source) : xstrdup(name);
		return add_source(c, index, o, source, defaults, e);
	}
	if (!l->record.options.count)
		return add_source(c, index, o, l->data, defaults, e);
	/* A volume with options is what they say; the mount's own record stays as it is. */
	struct run_opts scratch;
	run_opts_init(&scratch);
	run_opts_add_mount_copy(&scratch, o);
	int r = volume_options_apply(&l->record.options, &scratch.mounts[0], e);
	if (r == 0 && scratch.mounts[0].kind == MOUNT_KIND_TMPFS)
		add_tmpfs(c, &scratch.mounts[0]);
	else if (r == 0)
		r = add_bind(c, index, &scratch.mounts[0], e);
	run_opts_free(&scratch);
	return r < 0 ? err_ctx(e, "volume %s", o->source) : 0;
}

/* Read-only a stack of the image's layers; otherwise with a layer to write to that goes with the container. */
static int add_image(struct container *c, size_t index, const struct mount_opt *o, struct err *e)
{
	bool one = o->read_only && o->image_layers.count == 1;
	struct rt_mount *m = rtspec_add_mount(&c->spec, one ? RT_BIND : RT_OVERLAY,
					      one ? o->image_layers.items[0] : NULL, o->target, 0);
	m->subpath = o->subpath ? xstrdup(o->subpath) : NULL;
	set_attrs(m, o, MNT_NOSUID | MNT_NODEV);
	if (!one)
		strv_add_all(&m->lowers, &o->image_layers);
	return o->read_only ? 0 : overlay_dirs(c, index, m, o, e);
}

static int add_asked_for(struct container *c, size_t index, const struct mount_opt *o, struct err *e)
{
	switch (o->kind) {
	case MOUNT_KIND_BIND:
		return add_bind(c, index, o, e);
	case MOUNT_KIND_TMPFS:
		add_tmpfs(c, o);
		return 0;
	case MOUNT_KIND_DEVPTS:
		rtspec_add_mount(&c->spec, RT_DEVPTS, NULL, o->target, MNT_NOSUID | MNT_NOEXEC);
		return 0;
	case MOUNT_KIND_VOLUME:
		return add_volume(c, index, o, e);
	case MOUNT_KIND_IMAGE:
		return add_image(c, index, o, e);
	}
	return err_set(e, EINVAL, "mount on %s is of no known kind", o->target);
}

static size_t depth_of(const char *path)
{
	size_t n = 0;
	for (; *path; path++)
		n += *path == '/' && path[1] != '\0' && path[1] != '/';
	return n;
}

/* Stable insertion sort: few mounts, and equal depth keeps the order given. */
static void sort_by_depth(struct rtspec *s)
{
	for (size_t i = 1; i < s->nmounts; i++) {
		struct rt_mount m = s->mounts[i];
		size_t j = i;
		for (; j > 0 && depth_of(s->mounts[j - 1].target) > depth_of(m.target); j--)
			s->mounts[j] = s->mounts[j - 1];
		s->mounts[j] = m;
	}
}

void container_sort_mounts(struct container *c)
{
	sort_by_depth(&c->spec);
}

/* Those that every container has, or that belong to an instance of a file system of the container's own. */
static bool is_private_device(const char *name)
{
	static const char *const names[] = {"null",    "zero", "full",	"random", "urandom", "tty",
					    "console", "ptmx", "pts",	"shm",	  "mqueue",  "hugepages",
					    "fd",      "core", "stdin", "stdout", "stderr"};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_eq(name, names[i]))
			return true;
	return false;
}

/* --privileged: every device of the host that the caller may open, by the same path. What a node allows is still
 * decided by its owner and mode on the host. */
static void add_host_devices(struct container *c, const char *dir, int depth)
{
	enum { DEPTH_MAX = 3 };
	autodir DIR *d = opendir(dir);
	if (!d)
		return;
	struct dirent *entry;
	while ((entry = readdir(d))) {
		struct stat st;
		if (entry->d_name[0] == '.' || (depth == 0 && is_private_device(entry->d_name)))
			continue;
		autofree char *path = path_join(dir, entry->d_name);
		if (lstat(path, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
			add_host_devices(c, path, depth + 1);
		else if ((S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) && access(path, R_OK | W_OK) == 0)
			rtspec_add_device(&c->spec, path, path, false);
	}
}

static void build_paths(struct container *c)
{
	struct rtspec *s = &c->spec;
	if (c->o->privileged)
		return;
	rtspec_default_paths(s);
	for (size_t i = 0; i < c->o->mask.count; i++)
		strv_add(&s->masked, c->o->mask.items[i]);
	struct strv *lists[] = {&s->masked, &s->read_only_paths};
	for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
		for (size_t i = lists[l]->count; i-- > 0;)
			if (strv_has(&c->o->unmask, "ALL") || strv_has(&c->o->unmask, lists[l]->items[i]))
				strv_remove(lists[l], i);
}

static int build_root(struct container *c, struct err *e)
{
	struct rtspec *s = &c->spec;
	const struct run_opts *o = c->o;
	s->root_read_only = o->read_only;
	/* Any directory that surely exists will do; over the upper one nothing is hidden that is needed by name later. In a map
	 * without the caller, container root cannot even search the caller's directories: there it is /tmp. */
	s->mount_dir = c->o->userns == USERNS_NOMAP ? xstrdup("/tmp") : path_join(c->dir, "upper");
	if (o->holder) {
		s->rootfs = path_join(c->dir, "upper");
		s->root_read_only = true;
		return 0;
	}
	if (o->rootfs && !o->rootfs_overlay) {
		s->rootfs = realpath(o->rootfs, NULL);
		if (!s->rootfs)
			return err_sys(e, errno, "--rootfs %s", o->rootfs);
		return 0;
	}
	if (o->rootfs) {
		char *lower = realpath(o->rootfs, NULL);
		if (!lower)
			return err_sys(e, errno, "--rootfs %s", o->rootfs);
		strv_add_owned(&s->layers, lower);
	} else {
		strv_add_all(&s->layers, &c->rec.config.layers);
	}
	if (host_image_is(o))
		return host_image_build(c, e);
	s->upper = path_join(c->dir, "upper");
	s->work = path_join(c->dir, "work");
	s->is_volatile = o->rm;
	return 0;
}

int container_build_mounts(struct container *c, struct err *e)
{
	int r = build_root(c, e);
	if (r == 0 && c->o->holder)
		add_shm(c); /* for those that come to share it */
	if (r < 0 || c->o->holder)
		return r;
	add_standard(c);
	r = add_time_zone(c, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < c->o->nmounts; i++) {
		r = add_asked_for(c, i, &c->o->mounts[i], e);
		if (r < 0)
			return r;
	}
	sort_by_depth(&c->spec);
	if (c->o->privileged)
		add_host_devices(c, "/dev", 0);
	for (size_t i = 0; i < c->o->ndevices; i++) {
		const struct device_opt *d = &c->o->devices[i];
		rtspec_add_device(&c->spec, d->source, d->target, !d->write);
	}
	build_paths(c);
	host_image_hide_store(c);
	return 0;
}
