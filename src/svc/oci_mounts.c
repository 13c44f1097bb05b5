/*
 * oci_mounts.c - config.json's mounts and devices as mounts and devices of the runtime spec.
 *
 * Options are those of mount(8), with the meaning runc gives them: an attribute sets that attribute of the new mount
 * ("ro"), one with an r in front sets it throughout the tree ("rro"); a word that no row knows is the file system's.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "oci_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/base/sync.h"
#include "rl/kern/cgroup_tree.h"
#include "rl/kern/mnt.h"

/* ---- options ---- */

enum effect { SET, UNSET, REC_SET, REC_UNSET, PROPAGATION, BIND, RBIND, REMOUNT, COPY_UP, IDMAP, RIDMAP, NOTHING };

static const struct option {
	const char *name;
	enum effect effect;
	unsigned long value;
} options[] = {
	{"ro", SET, MNT_RDONLY},
	{"rw", UNSET, MNT_RDONLY},
	{"nosuid", SET, MNT_NOSUID},
	{"suid", UNSET, MNT_NOSUID},
	{"nodev", SET, MNT_NODEV},
	{"dev", UNSET, MNT_NODEV},
	{"noexec", SET, MNT_NOEXEC},
	{"exec", UNSET, MNT_NOEXEC},
	{"noatime", SET, MNT_NOATIME},
	{"atime", UNSET, MNT_NOATIME},
	{"nodiratime", SET, MNT_NODIRATIME},
	{"diratime", UNSET, MNT_NODIRATIME},
	{"strictatime", SET, MNT_STRICTATIME},
	{"nostrictatime", UNSET, MNT_STRICTATIME},
	{"nosymfollow", SET, MNT_NOSYMFOLLOW},
	{"symfollow", UNSET, MNT_NOSYMFOLLOW},
	{"relatime", NOTHING, 0}, /* what the kernel does anyway */
	{"norelatime", NOTHING, 0},
	{"defaults", NOTHING, 0},
	{"silent", NOTHING, 0},
	{"loud", NOTHING, 0},
	{"rro", REC_SET, MNT_RDONLY},
	{"rrw", REC_UNSET, MNT_RDONLY},
	{"rnosuid", REC_SET, MNT_NOSUID},
	{"rsuid", REC_UNSET, MNT_NOSUID},
	{"rnodev", REC_SET, MNT_NODEV},
	{"rdev", REC_UNSET, MNT_NODEV},
	{"rnoexec", REC_SET, MNT_NOEXEC},
	{"rexec", REC_UNSET, MNT_NOEXEC},
	{"rnoatime", REC_SET, MNT_NOATIME},
	{"ratime", REC_UNSET, MNT_NOATIME},
	{"rnodiratime", REC_SET, MNT_NODIRATIME},
	{"rdiratime", REC_UNSET, MNT_NODIRATIME},
	{"rstrictatime", REC_SET, MNT_STRICTATIME},
	{"rnostrictatime", REC_UNSET, MNT_STRICTATIME},
	{"rrelatime", REC_UNSET, MNT_NOATIME},
	{"rnorelatime", REC_SET, MNT_STRICTATIME},
	{"rnosymfollow", REC_SET, MNT_NOSYMFOLLOW},
	{"rsymfollow", REC_UNSET, MNT_NOSYMFOLLOW},
	{"private", PROPAGATION, MS_PRIVATE},
	{"rprivate", PROPAGATION, MS_PRIVATE | MS_REC},
	{"slave", PROPAGATION, MS_SLAVE},
	{"rslave", PROPAGATION, MS_SLAVE | MS_REC},
	{"shared", PROPAGATION, MS_SHARED},
	{"rshared", PROPAGATION, MS_SHARED | MS_REC},
	{"unbindable", PROPAGATION, MS_UNBINDABLE},
	{"runbindable", PROPAGATION, MS_UNBINDABLE | MS_REC},
	{"bind", BIND, 0},
	{"rbind", RBIND, 0},
	{"remount", REMOUNT, 0},
	{"tmpcopyup", COPY_UP, 0},
	{"idmap", IDMAP, 0},
	{"ridmap", RIDMAP, 0},
};

struct parsed {
	unsigned set, rec_set, rec_clear;
	unsigned long propagation;
	bool bind, recursive, remount, copy_up, idmap, idmap_recursive;
	struct str data; /* for the file system */
};

static const struct option *find_option(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (str_eq(options[i].name, name))
			return &options[i];
	return NULL;
}

json_t *oci_mount_options(void)
{
	json_t *doc = json_array();
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		json_array_append_new(doc, json_string(options[i].name));
	return doc;
}

static void take_option(struct parsed *p, const struct option *o)
{
	const unsigned value = (unsigned)o->value;
	switch (o->effect) {
	case SET:
		p->set |= value;
		break;
	case UNSET:
		p->set &= ~value;
		break;
	case REC_SET:
		p->rec_set |= value;
		p->rec_clear &= ~value;
		break;
	case REC_UNSET:
		p->rec_clear |= value;
		p->rec_set &= ~value;
		break;
	case PROPAGATION:
		p->propagation = o->value;
		break;
	case RBIND:
		p->recursive = true;
		p->bind = true;
		break;
	case BIND:
		p->bind = true;
		break;
	case REMOUNT:
		p->remount = true;
		break;
	case COPY_UP:
		p->copy_up = true;
		break;
	case RIDMAP:
		p->idmap_recursive = true;
		p->idmap = true;
		break;
	case IDMAP:
		p->idmap = true;
		break;
	case NOTHING:
		break;
	}
}

/* A group that is not mapped cannot own terminals; the kernel would refuse the whole mount. */
static bool is_unmapped_gid(const struct oci_plan *p, const char *word)
{
	const char *gid = str_after(word, "gid=");
	uint64_t value = 0;
	return gid && p->has_map && str_to_u64(gid, UINT32_MAX, "gid", &value, NULL) == 0 &&
	       idmap_gid_to_host(&p->map, (uint32_t)value) == IDMAP_UNMAPPED;
}

static void parse_options(const struct oci_mount *m, const struct oci_plan *plan, struct parsed *p)
{
	bool devpts = m->type && str_eq(m->type, "devpts");
	for (size_t i = 0; i < m->options.count; i++) {
		const char *word = m->options.items[i];
		const struct option *o = find_option(word);
		if (o)
			take_option(p, o);
		else if (!devpts || !is_unmapped_gid(plan, word))
			str_addf(&p->data, "%s%s", p->data.len ? "," : "", word);
	}
	if (m->type && (str_eq(m->type, "bind") || str_eq(m->type, "rbind")))
		p->bind = true;
	if (m->type && str_eq(m->type, "rbind"))
		p->recursive = true;
}

static void finish(struct rt_mount *rm, const struct parsed *p)
{
	rm->rec_set = p->rec_set;
	rm->rec_clear = p->rec_clear;
	rm->propagation = p->propagation;
	if (p->data.len)
		rm->options = xstrdup(p->data.buf);
}

/* ---- mapped mounts ---- */

/* The namespace lives as long as its descriptor; the process in it only until that is open. */
RL_NORETURN static void sit_in_userns(int sync)
{
	char byte = 0;
	if (unshare(CLONE_NEWUSER) == 0 && write(sync, &byte, 1) == 1)
		(void)!read(sync, &byte, 1);
	_exit(0);
}

int oci_idmap_userns(const struct oci_list *uids, const struct oci_list *gids, struct err *e)
{
	struct idmap map = {.form = IDMAP_IDENTITY, .key = "mount"};
	struct idmap_job job = IDMAP_JOB_NONE;
	int pair[2] = {-1, -1};
	int r = oci_extents(uids, "mounts.uidMappings", map.uid, &map.nuid, e);
	if (r == 0)
		r = oci_extents(gids, "mounts.gidMappings", map.gid, &map.ngid, e);
	if (r == 0)
		r = sync_pair(pair, e);
	if (r < 0)
		return r;
	pid_t pid = fork();
	if (pid == 0) {
		close(pair[0]);
		sit_in_userns(pair[1]);
	}
	int errnum = errno;
	close(pair[1]);
	char byte;
	char path[40];
	if (pid < 0)
		r = err_sys(e, errnum, "fork");
	else if (read(pair[0], &byte, 1) != 1)
		r = err_set(e, EPERM, "no user namespace can be made for a mapped mount");
	if (r == 0)
		r = idmap_start(&map, pid, &job, e);
	if (r == 0)
		r = idmap_finish(&job, e);
	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	if (r == 0 && (r = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		r = err_sys(e, errno, "open %s", path);
	close(pair[0]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}

static int mount_mapped(const struct oci_context *ctx, const struct oci_mount *m, const struct parsed *p,
			const char *source, struct oci_plan *plan, struct err *e)
{
	const struct oci_list *uids = m->uid_mappings.count ? &m->uid_mappings : &ctx->config->uid_mappings;
	const struct oci_list *gids = m->gid_mappings.count ? &m->gid_mappings : &ctx->config->gid_mappings;
	if (!uids->count || !gids->count)
		return err_set(e, EINVAL, "no uid or gid mappings found for it");
	autofd int userns = oci_idmap_userns(uids, gids, e);
	if (userns < 0)
		return userns;
	const struct mnt_detached d = {
		.source = source,
		.recursive = p->recursive,
		.set = p->set,
		.usernsfd = userns,
		.map_recursive = p->idmap_recursive,
	};
	int tree = mnt_detached(&d, e);
	if (tree >= 0)
		tree = oci_plan_keep_fd(plan, tree, e);
	if (tree < 0)
		return tree;
	struct rt_mount *rm = rtspec_add_mount(&plan->spec, RT_MADE, NULL, m->destination, 0);
	rm->fd = tree;
	finish(rm, p);
	return 0;
}

/* ---- one mount ---- */

static int mount_bind(const struct oci_context *ctx, const struct oci_mount *m, const struct parsed *p,
		      struct oci_plan *plan, struct err *e)
{
	if (!m->source || !*m->source)
		return err_set(e, EINVAL, "a bind mount needs a source");
	autofree char *source = m->source[0] == '/' ? xstrdup(m->source) : path_join(ctx->bundle, m->source);
	if (p->idmap || m->uid_mappings.count || m->gid_mappings.count)
		return mount_mapped(ctx, m, p, source, plan, e);
	struct rt_mount *rm = rtspec_add_mount(&plan->spec, RT_BIND, source, m->destination, p->set);
	rm->recursive = p->recursive;
	rm->top_only = true;
	finish(rm, p);
	/* What is bound is no file system that could read them. */
	free(rm->options);
	rm->options = NULL;
	if (p->propagation & MS_SHARED && plan->spec.ns[RT_NS_USER].mode == RT_NS_HOST)
		plan->spec.keep_shared = true;
	return 0;
}

/* v1: a tmpfs with one directory for each controller. */
static int mount_cgroup_v1(const struct oci_context *ctx, const struct oci_mount *m, const struct parsed *p,
			   const struct strv *mounts, struct oci_plan *plan)
{
	struct rtspec *s = &plan->spec;
	struct rt_mount *top = rtspec_add_mount(s, RT_TMPFS, NULL, m->destination, p->set & ~(unsigned)MNT_RDONLY);
	top->options = xstrdup("mode=755");
	top->late_set = p->set & MNT_RDONLY;
	for (size_t i = 0; i < mounts->count; i++) {
		const char *point = strchr(mounts->items[i], ':') + 1;
		autofree char *controller = xstrndup(mounts->items[i], (size_t)(point - 1 - mounts->items[i]));
		const char *name = str_after(controller, "name=");
		name = name ? name : *controller ? controller : path_base(point);
		autofree char *target = path_join(m->destination, name);
		const char *own = cgroup_tree_dir(ctx->cgroups, controller);
		if (s->ns[RT_NS_CGROUP].mode == RT_NS_NEW) {
			struct rt_mount *rm = rtspec_add_mount(s, RT_FS, NULL, target, p->set);
			rm->fstype = xstrdup(*controller ? "cgroup" : "cgroup2");
			rm->options = *controller ? str_after(controller, "name=") ? xasprintf("none,%s", controller)
										   : xstrdup(controller)
						  : NULL;
		} else if (own) {
			rtspec_add_mount(s, RT_BIND, own, target, p->set);
		}
	}
	return 0;
}

static int mount_cgroup(const struct oci_context *ctx, const struct oci_mount *m, const struct parsed *p,
			struct oci_plan *plan, struct err *e)
{
	struct rtspec *s = &plan->spec;
	autostrv struct strv mounts = STRV_INIT;
	int r = cgroup_tree_read(&mounts, e);
	if (r < 0)
		return r;
	bool fresh = s->ns[RT_NS_CGROUP].mode == RT_NS_NEW;
	if (!cgroup_tree_is_unified(&mounts) && mounts.count && !str_eq(m->type, "cgroup2") &&
	    (fresh || ctx->cgroups->count))
		return mount_cgroup_v1(ctx, m, p, &mounts, plan);
	const char *own = cgroup_tree_dir(ctx->cgroups, NULL);
	if (fresh) {
		rtspec_add_mount(s, RT_CGROUP, NULL, m->destination, p->set);
	} else if (own) {
		rtspec_add_mount(s, RT_BIND, own, m->destination, p->set);
	} else if (mounts.count) {
		/* No cgroup of its own: the host's, to look at. */
		struct rt_mount *rm = rtspec_add_mount(s, RT_BIND, "/sys/fs/cgroup", m->destination,
						       p->set | MNT_RDONLY);
		rm->recursive = true;
	}
	return 0;
}

static void mount_by_type(const struct oci_mount *m, const struct parsed *p, struct rtspec *s)
{
	static const struct {
		const char *type;
		enum rt_mount_kind kind;
	} known[] = {{"proc", RT_PROC}, {"sysfs", RT_SYSFS}, {"devpts", RT_DEVPTS}, {"tmpfs", RT_TMPFS}};
	unsigned set = p->set;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (!str_eq(known[i].type, m->type))
			continue;
		/* Mount points are still made in it. */
		bool late = known[i].kind == RT_TMPFS;
		struct rt_mount *rm = rtspec_add_mount(s, known[i].kind, late ? m->source : NULL, m->destination,
						       late ? set & ~(unsigned)MNT_RDONLY : set);
		rm->late_set = late ? set & MNT_RDONLY : 0;
		rm->copy_up = p->copy_up && late;
		finish(rm, p);
		return;
	}
	struct rt_mount *rm = rtspec_add_mount(s, RT_FS, m->source, m->destination, set);
	rm->fstype = xstrdup(m->type);
	finish(rm, p);
}

static int plan_mount(const struct oci_context *ctx, const struct oci_mount *m, struct oci_plan *plan, struct err *e)
{
	struct parsed p = {.data = STR_INIT};
	struct rtspec *s = &plan->spec;
	int r = 0;
	parse_options(m, plan, &p);
	if (m->destination[0] != '/')
		r = err_set(e, EINVAL, "mount destination %s not absolute", m->destination);
	else if (p.remount)
		finish(rtspec_add_mount(s, RT_REMOUNT, NULL, m->destination, p.set), &p);
	else if (p.bind)
		r = mount_bind(ctx, m, &p, plan, e);
	else if (!m->type || !*m->type || str_eq(m->type, "none"))
		r = err_set(e, EINVAL, "it has no type, and is no bind mount");
	else if (p.idmap || m->uid_mappings.count || m->gid_mappings.count)
		r = err_set(e, EOPNOTSUPP, "uidMappings and gidMappings are supported for bind mounts only");
	else if (str_eq(m->type, "cgroup") || str_eq(m->type, "cgroup2"))
		r = mount_cgroup(ctx, m, &p, plan, e);
	else
		mount_by_type(m, &p, s);
	str_free(&p.data);
	return r;
}

static bool binds_dev(const struct oci_config *c)
{
	for (size_t i = 0; i < c->mounts.count; i++) {
		const struct oci_mount *m = oci_item(c->mounts, struct oci_mount, i);
		autofree char *clean = path_clean(m->destination);
		bool bind = (m->type && str_eq(m->type, "bind")) || strv_has(&m->options, "bind") ||
			    strv_has(&m->options, "rbind");
		if (bind && str_eq(clean, "/dev"))
			return true;
	}
	return false;
}

int oci_plan_mounts(const struct oci_context *ctx, struct oci_plan *p, struct err *e)
{
	const struct oci_config *c = ctx->config;
	for (size_t i = 0; i < c->mounts.count; i++) {
		const struct oci_mount *m = oci_item(c->mounts, struct oci_mount, i);
		int r = plan_mount(ctx, m, p, e);
		if (r < 0)
			return err_ctx(e, "mounts[%zu] (%s)", i, m->destination);
	}
	p->spec.standard_dev = !binds_dev(c);
	return 0;
}

/* ---- devices ---- */

static bool is_host_node(const char *path, mode_t type, unsigned major, unsigned minor)
{
	struct stat st;
	return stat(path, &st) == 0 && (st.st_mode & S_IFMT) == type && st.st_rdev == makedev(major, minor);
}

/* Where the host has a device: for binding, where none can be made. Its own path is the best guess. */
static char *find_host_node(const char *path, const struct rt_device *d)
{
	static const struct {
		unsigned minor;
		const char *path;
	} memory[] = {{3, "/dev/null"}, {5, "/dev/zero"}, {7, "/dev/full"}, {8, "/dev/random"}, {9, "/dev/urandom"}};
	mode_t type = d->type == 'b' ? S_IFBLK : S_IFCHR;
	if (d->type == 'p' || is_host_node(path, type, d->major, d->minor))
		return xstrdup(path);
	for (size_t i = 0; i < ARRAY_SIZE(memory); i++)
		if (d->type == 'c' && d->major == 1 && d->minor == memory[i].minor)
			return xstrdup(memory[i].path);
	autofree char *by_number = xasprintf("/dev/%s/%u:%u", d->type == 'b' ? "block" : "char", d->major, d->minor);
	return xstrdup(is_host_node(by_number, type, d->major, d->minor) ? by_number : path);
}

static int check_twice(const struct rtspec *s, struct err *e)
{
	autostrv struct strv paths = STRV_INIT;
	for (size_t i = 0; i < s->ndevices; i++)
		strv_add(&paths, s->devices[i].target);
	strv_sort(&paths);
	for (size_t i = 1; i < paths.count; i++)
		if (str_eq(paths.items[i - 1], paths.items[i]))
			return err_set(e, EINVAL, "linux.devices has %s twice", paths.items[i]);
	return 0;
}

int oci_plan_devices(const struct oci_context *ctx, struct oci_plan *p, struct err *e)
{
	const struct oci_list *list = &ctx->config->devices;
	for (size_t i = 0; i < list->count; i++) {
		const struct oci_device *d = oci_item(*list, struct oci_device, i);
		char type = strlen(d->type) == 1 ? d->type[0] : '?';
		if (d->path[0] != '/')
			return err_set(e, EINVAL, "linux.devices[%zu].path is not absolute", i);
		if (!strchr("cbup", type))
			return err_set(e, EINVAL, "linux.devices[%zu].type '%s' is none of c, b, u, p", i, d->type);
		if (type != 'p' && (!d->major.given || !d->minor.given))
			return err_set(e, EINVAL, "linux.devices[%zu] has no major and minor number", i);
		const int64_t ids[] = {d->major.value, d->minor.value, d->uid.value, d->gid.value, d->file_mode.value};
		for (size_t k = 0; k < ARRAY_SIZE(ids); k++)
			if (ids[k] < 0 || ids[k] > UINT32_MAX)
				return err_set(e, EINVAL, "linux.devices[%zu] has a number out of range", i);
		autofree char *clean = path_clean(d->path);
		struct rt_device *rd = rtspec_add_device(&p->spec, clean, clean, false);
		rd->node = true;
		rd->type = type == 'u' ? 'c' : type;
		rd->major = (unsigned)d->major.value;
		rd->minor = (unsigned)d->minor.value;
		rd->mode = d->file_mode.given ? (unsigned)d->file_mode.value & 07777 : 0666;
		rd->uid = (uint32_t)d->uid.value;
		rd->gid = (uint32_t)d->gid.value;
		free(rd->source);
		rd->source = find_host_node(clean, rd);
	}
	return check_twice(&p->spec, e);
}
