/*
 * container_dir.c - containers/ID: made, filled, found dead, removed.
 *
 * The directory's own descriptor is flock()ed exclusively for as long as the process that runs the container lives. A
 * directory whose lock is free belongs to nobody; if it also has the mark of --rm, its sticky bit, it is garbage of a run
 * that was killed. A directory being made is locked before it gets its name.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "container_int.h"
#include "container_snapshot.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/kern/mnt.h"
#include "rl/svc/events.h"

enum { HOSTS_FILE_MAX = 1 << 20 };

/* Of --rm: a bit of the directory that means nothing else there, so that a run makes and removes no file for it. */
enum { MODE_KEPT = 0700, MODE_EPHEMERAL = 0700 | S_ISVTX };

int container_dir_make(struct container *c, struct err *e)
{
	autofd int parent = store_dir(&c->store, "containers", e);
	if (parent < 0)
		return parent;
	char name[CONTAINER_ID_SIZE + 8];
	snprintf(name, sizeof(name), ".new-%s", c->id);
	if (mkdirat(parent, name, c->o->rm ? MODE_EPHEMERAL : MODE_KEPT) < 0)
		return err_sys(e, errno, "make the container's directory");
	autofd int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "open the container's directory");
	int r = io_try_lock(fd, true, e);
	if (r < 0)
		return r;
	if (mkdirat(fd, "upper", 0755) < 0 || mkdirat(fd, "work", 0700) < 0)
		return err_sys(e, errno, "make the writable layer");
	/* Its mode is that of the container's root, whatever our umask is. */
	if (fchmodat(fd, "upper", 0755, 0) < 0)
		return err_sys(e, errno, "mode of the writable layer");
	if (renameat(parent, name, parent, c->id) < 0)
		return err_sys(e, errno, "name the container's directory");
	c->dirfd = take_fd(&fd);
	c->parentfd = take_fd(&parent);
	return 0;
}

int container_dir_mark(const struct container *c, bool is_started, struct err *e)
{
	if (c->o->rm && fchmod(c->dirfd, is_started ? MODE_EPHEMERAL : MODE_KEPT) < 0)
		return err_sys(e, errno, "mark the container's directory");
	return 0;
}

static int own_upper(void *arg)
{
	const struct container *c = arg;
	/* The first subordinate id, container root of the map without the caller, is id 1 of the ordinary map. */
	return fchownat(c->dirfd, "upper", 1, 1, 0) == 0 && fchownat(c->dirfd, "work", 1, 1, 0) == 0 ? 0 : 1;
}

/* --userns=nomap: the caller is nobody inside, so the writable layer must belong to container root. */
int container_dir_give_away(struct container *c, const struct idmap *ranged, struct err *e)
{
	struct proc_child child = PROC_CHILD_NONE;
	int r = userns_spawn(ranged, 0, own_upper, c, &child, e);
	return r < 0 ? r : proc_wait_ok(&child, "change of the writable layer's owner", e);
}

static int write_text(struct container *c, const char *name, const struct str *text, struct err *e)
{
	return io_write_file(c->dirfd, name, text->buf, text->len, 0644, e);
}

/* The text of a host file, empty where it cannot be read. */
static void host_text(const char *path, struct str *out)
{
	struct err why = ERR_INIT;
	if (io_read_file(AT_FDCWD, path, 1 << 20, out, &why) < 0) {
		log_debug(LOG_NET, "%s", why.text);
		str_cut(out, 0);
	}
}

static int fill_resolv_conf(struct container *c, struct err *e)
{
	autostr struct str out = STR_INIT;
	autostrv struct strv endpoints = STRV_INIT;
	container_network_describe(c, &endpoints);
	int r = container_network_resolv_conf(c->o, &endpoints, &out, e);
	return r < 0 ? r : write_text(c, "resolv.conf", &out, e);
}

static int fill_hosts(struct container *c, struct err *e)
{
	const struct run_opts *o = c->o;
	autostr struct str base = STR_INIT;
	autostr struct str out = STR_INIT;
	char address[INET_ADDRSTRLEN];
	char gateway[INET_ADDRSTRLEN];
	struct net_hosts_opts opts = {
		.hostname = c->spec.hostname,
		.domainname = c->spec.domainname,
		.add_hosts = &o->add_hosts,
	};
	if (c->uses_slirp) {
		net_addr4_text(c->slirp_opts.address, address);
		net_addr4_text(c->slirp_opts.gateway, gateway);
		opts.address = address;
		opts.gateway = gateway;
	} else if (c->nleases && c->leases[0].direct) {
		net_addr4_text(c->leases[0].host.address, address);
		opts.address = address; /* the gateway is a router, not the host */
	} else if (c->nleases) {
		net_addr4_text(c->leases[0].host.address, address);
		net_addr4_text(c->leases[0].on_host.s_addr ? c->leases[0].on_host : c->leases[0].gateway, gateway);
		opts.address = address;
		opts.gateway = gateway;
	} else if (o->network.kind == NETWORK_HOST) {
		host_text("/etc/hosts", &base);
		opts.base_text = base.buf;
		opts.gateway = "127.0.0.1";
	}
	if (o->hosts_file) {
		str_cut(&base, 0);
		int r = io_read_file(AT_FDCWD, o->hosts_file, HOSTS_FILE_MAX, &base, e);
		if (r < 0)
			return err_ctx(e, "--hosts-file");
		opts.base_text = base.buf;
	}
	int r = net_hosts_file(&opts, &out, e);
	return r < 0 ? r : write_text(c, "hosts", &out, e);
}

/* One line per layer: garbage collection keeps what is listed here (rl/engine/store.h). */
static int fill_layers(struct container *c, struct err *e)
{
	autostr struct str out = STR_INIT;
	for (size_t i = 0; i < c->image.lowers.count; i++)
		str_addf(&out, "%s\n", c->image.lowers.items[i]);
	for (size_t i = 0; i < c->o->nmounts; i++)
		for (size_t k = 0; k < c->o->mounts[i].image_layers.count; k++)
			str_addf(&out, "%s\n", c->o->mounts[i].image_layers.items[k]);
	int r = write_text(c, "layers", &out, e);
	if (r == 0)
		image_run_release_lease(&c->image);
	return r;
}

int container_dir_record(struct container *c, struct err *e)
{
	if (c->is_recorded)
		return 0;
	int r = fill_layers(c, e);
	if (r == 0)
		r = container_rec_write_config(&c->rec, e);
	c->is_recorded = r == 0;
	if (r == 0)
		events_container(&c->rec, "create", NULL);
	return r;
}

int container_dir_fill(struct container *c, struct err *e)
{
	autostr struct str name = STR_INIT;
	str_addf(&name, "%s\n", c->spec.hostname);
	int r = write_text(c, "hostname", &name, e);
	if (r == 0)
		r = fill_resolv_conf(c, e);
	if (r == 0 && !c->o->no_hosts)
		r = fill_hosts(c, e);
	return r;
}

/* config.json goes first: without it there is no container; then the name. 1: there was one. */
static int end_existence(const struct store *s, int fd, const char *id, const char *name, struct err *e)
{
	bool existed = unlinkat(fd, "config.json", 0) == 0;
	if (!existed && errno != ENOENT)
		return err_sys(e, errno, "remove container %.12s", id);
	if (name)
		container_name_release(s, name, id);
	else
		container_names_release_id(s, id);
	return existed;
}

static void note_removed(const struct store *s, const char *id, const char *name)
{
	events_note(s, "container", "remove", id, name ? name : "");
}

/* The tree, which may take long, last, under a name that no reader takes for a container. What a crash leaves is swept. */
int container_dir_unmake(const struct store *s, const char *id, const char *name, struct err *e)
{
	autofd int parent = store_dir(s, "containers", e);
	if (parent < 0)
		return parent;
	autofree char *doomed = xasprintf(".del-%s", id);
	autofd int fd = openat(parent, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "container %.12s", id);
	int existed = end_existence(s, fd, id, name, e);
	if (existed < 0)
		return existed;
	if (renameat(parent, id, parent, doomed) < 0)
		return err_sys(e, errno, "remove container %.12s", id);
	if (existed)
		note_removed(s, id, name);
	mnt_overlay_clear_work(fd, "work");
	int r = store_remove_tree(parent, doomed, e);
	container_snapshots_sweep(s);
	return r;
}

/* What a container has that has written nothing and has nothing special, without looking for it. */
static bool remove_plain(const struct container *c)
{
	static const char *const files[] = {"state.json", "layers", "hosts", "resolv.conf", "hostname"};
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		(void)unlinkat(c->dirfd, files[i], 0);
	mnt_overlay_clear_work(c->dirfd, "work");
	return unlinkat(c->dirfd, "work", AT_REMOVEDIR) == 0 && unlinkat(c->dirfd, "upper", AT_REMOVEDIR) == 0 &&
	       unlinkat(c->parentfd, c->id, AT_REMOVEDIR) == 0;
}

int container_dir_remove(struct container *c, struct err *e)
{
	const char *name = c->is_named ? c->rec.config.name : NULL;
	if (c->dirfd < 0)
		return 0;
	int existed = c->parentfd >= 0 && c->is_named ? end_existence(&c->store, c->dirfd, c->id, name, NULL) : -1;
	bool gone = existed >= 0 && remove_plain(c);
	if (existed > 0)
		note_removed(&c->store, c->id, name);
	if (!gone)
		return container_dir_unmake(&c->store, c->id, name, e);
	container_snapshots_sweep(&c->store);
	return 0;
}

/* 1: garbage; its lock is then in *ret_lock. */
static int is_garbage(const struct store *s, int parent, const char *name, int *ret_lock)
{
	autofd int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return 0;
	/* Between mkdir and flock a directory being made looks abandoned; nobody takes a minute for that. It gets its final
	 * name locked. */
	bool recorded = faccessat(fd, "config.json", F_OK, 0) == 0;
	if (str_after(name, ".new-") && st.st_mtime > time(NULL) - 60)
		return 0;
	if (recorded && !(st.st_mode & S_ISVTX))
		return 0;
	if (io_try_lock(fd, true, NULL) != 1)
		return 0;
	if (recorded) {
		/* --rm, and nobody looks after it; a detached one may go on by itself. */
		autorec struct container_rec rec = CONTAINER_REC_INIT;
		if (container_store_find(s, name, &rec, NULL) < 0 || container_rec_is_alive(&rec))
			return 0;
	}
	*ret_lock = take_fd(&fd);
	return 1;
}

static void sweep_one(const struct store *s, int parent, const char *name)
{
	autofd int lock = -1;
	struct err e = ERR_INIT;
	int r = 0;
	if (str_after(name, ".new-") || str_after(name, ".del-")) {
		if (is_garbage(s, parent, name, &lock))
			r = store_remove_tree(parent, name, &e);
	} else if (is_garbage(s, parent, name, &lock)) {
		autorec struct container_rec rec = CONTAINER_REC_INIT;
		bool named = container_store_find(s, name, &rec, NULL) == 0;
		if (named)
			container_volumes_drop(&rec);
		if (named && rec.state.cgroups.count && cgroup_kill(&rec.state.cgroups, NULL) == 0)
			(void)!cgroup_remove(&rec.state.cgroups, NULL);
		r = container_dir_unmake(s, name, named ? rec.config.name : NULL, &e);
	}
	if (r < 0)
		log_debug(LOG_STORE, "sweep of %s: %s", name, e.text);
}

void container_sweep(const struct store *s)
{
	autofd int parent = store_dir(s, "containers", NULL);
	if (parent < 0 || !io_can_lock(parent))
		return; /* without locks nobody can be told from the dead */
	int scan = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autodir DIR *d = scan < 0 ? NULL : fdopendir(scan);
	if (!d)
		return;
	struct dirent *entry;
	while ((entry = readdir(d)))
		if (!str_eq(entry->d_name, ".") && !str_eq(entry->d_name, ".."))
			sweep_one(s, parent, entry->d_name);
}
