/*
 * host_image.c - see host_image.h.
 */
#include "host_image.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host_walk.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/kern/mnt.h"

bool host_image_is(const struct run_opts *o)
{
	return o->image && !o->rootfs && str_eq(o->image, "host");
}

/* ---- defaults ---- */

static bool has_env(const struct run_opts *o, const char *key)
{
	for (size_t i = 0; i < o->nenv; i++)
		if (str_eq(o->env[i].key, key))
			return true;
	return false;
}

/* As the person's own shell has them: a command is found and looks as it does outside. */
static int default_env(struct run_opts *o, struct err *e)
{
	static const char *const names[] = {"PATH",   "HOME",	  "USER",    "LOGNAME",	    "SHELL",	  "LANG",
					    "LC_ALL", "LC_CTYPE", "LC_TIME", "LC_MESSAGES", "LC_NUMERIC", "LC_COLLATE"};
	int r = 0;
	for (size_t i = 0; i < ARRAY_SIZE(names) && r == 0; i++)
		if (getenv(names[i]) && !has_env(o, names[i]))
			r = run_opts_env(o, names[i], environ, e);
	return r;
}

int host_image_defaults(struct run_opts *o, struct err *e)
{
	if (!host_image_is(o)) {
		if (!o->hide_home)
			return 0;
		err_set(e, EINVAL, "--hide-home: the image's own home directory is not yours");
		return err_hint(e, "it belongs to `rl run host`");
	}
	if (o->userns == USERNS_NOMAP)
		return err_set(e, EINVAL, "--userns=nomap: files of this machine could not be read without you");
	bool own = !o->user && o->userns == USERNS_DEFAULT && geteuid() != 0;
	int r = own ? default_env(o, e) : 0;
	if (r < 0)
		return r;
	if (own) {
		o->userns = USERNS_KEEP_ID;
		o->keep_id_uid = getuid();
		o->keep_id_gid = getgid();
		o->single_map = true;
	}
	o->no_passwd = true; /* the machine's accounts are there */
	if (!o->workdir) {
		o->workdir = getcwd(NULL, 0);
		if (!o->workdir)
			return err_sys(e, errno, "current directory");
	}
	if (!o->command.count && !o->entrypoint_set) {
		const char *shell = getenv("SHELL");
		strv_add(&o->command, shell && *shell == '/' ? shell : "/bin/sh");
	}
	return 0;
}

/* ---- parts on disk ---- */

char *host_image_part_name(const char *path)
{
	autostr struct str out = STR_INIT;
	for (const char *p = path + 1; *p; p++) {
		if (*p == '/' || *p == '%')
			str_addf(&out, "%%%02X", (unsigned)*p);
		else
			str_addc(&out, *p);
	}
	return out.len > NAME_MAX ? NULL : str_take(&out);
}

char *host_image_part_path(const char *name)
{
	autostr struct str out = STR_INIT;
	str_addc(&out, '/');
	for (const char *p = name; *p; p++) {
		if (str_after(p, "%2F") || str_after(p, "%25")) {
			str_addc(&out, p[2] == 'F' ? '/' : '%');
			p += 2;
		} else {
			str_addc(&out, *p);
		}
	}
	return str_take(&out);
}

int host_image_measure(int dirfd, struct tree_stats *ret_stats, struct err *e)
{
	struct tree_stats one;
	autostrv struct strv names = STRV_INIT;
	autofd int host = openat(dirfd, "host", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*ret_stats = (struct tree_stats){.entries = 0};
	int r = host < 0 ? err_sys(e, errno, "open host") : io_list_dir(host, &names, e);
	for (size_t i = 0; i < names.count && r == 0; i++) {
		autofree char *upper = path_join(names.items[i], "upper");
		autofd int fd = openat(host, upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		/* A directory that the machine closes to the caller was closed to him inside. */
		if (fd < 0 && errno == EACCES)
			continue;
		r = fd < 0 ? err_sys(e, errno, "open %s", upper) : tree_measure(fd, 0, &one, e);
		if (r < 0)
			return r;
		ret_stats->entries += one.entries;
		ret_stats->bytes += one.bytes;
	}
	return r;
}

/* Whoever looks at the directory sees the machine's, as far as that can be had. */
static int dress(int fd, const struct host_part *p, struct err *e)
{
	const struct timespec times[2] = {p->st.st_atim, p->st.st_mtim};
	if (geteuid() == 0 && fchown(fd, p->st.st_uid, p->st.st_gid) < 0)
		log_debug(LOG_STORE, "owner of %s is not shown", p->path);
	if (fchmod(fd, host_mode(p->path, &p->st)) < 0)
		return err_sys(e, errno, "set the mode of %s", p->path);
	(void)!futimens(fd, times);
	return 0;
}

static int make_upper(int host, const char *name, bool overlay, const struct host_part *p, struct err *e)
{
	autofree char *upper = path_join(name, "upper");
	autofree char *work = path_join(name, "work");
	if (mkdirat(host, name, 0700) < 0) {
		if (errno == EEXIST && faccessat(host, overlay ? work : upper, F_OK, 0) == 0)
			return 0;
		if (errno != EEXIST)
			return err_sys(e, errno, "make a place for changes of %s", p->path);
	}
	if (mkdirat(host, upper, 0700) < 0 && errno != EEXIST)
		return err_sys(e, errno, "make a place for changes of %s", p->path);
	autofd int fd = openat(host, upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "make a place for changes of %s", p->path);
	int r = dress(fd, p, e);
	/* Made last: with it the part is complete. */
	if (r == 0 && overlay && mkdirat(host, work, 0700) < 0 && errno != EEXIST)
		r = err_sys(e, errno, "make a place for changes of %s", p->path);
	return r;
}

/* ---- the spec ---- */

struct build {
	struct container *c;
	int host;	     /* `host` of the container's directory; -1 with --explain */
	struct str places;   /* what stands in written directories for what the machine has there, each with a NUL */
	struct strv written; /* directories of ours that the caller may write to */
};

/* A mount that was asked for shows something else there. */
static bool is_covered(const struct container *c, const char *path)
{
	for (size_t i = 0; i < c->o->nmounts; i++)
		if (path_is_below(path, c->o->mounts[i].target))
			return true;
	return false;
}

static int add_overlay(struct build *b, const struct host_part *p, struct err *e)
{
	autofree char *name = host_image_part_name(p->path);
	unsigned set = MNT_NODEV | (b->c->o->read_only ? MNT_RDONLY : 0u);
	if (!name) {
		struct rt_mount *tree = rtspec_add_mount(&b->c->spec, RT_BIND, p->path, p->path, MNT_RDONLY);
		tree->recursive = true;
		tree->may_vanish = true;
		return 0;
	}
	int r = b->host < 0 ? 0 : make_upper(b->host, name, true, p, e);
	if (r < 0)
		return r;
	struct rt_mount *m = rtspec_add_mount(&b->c->spec, RT_OVERLAY, p->path, p->path, set);
	m->upper = xasprintf("%s/host/%s/upper", b->c->dir, name);
	m->work = xasprintf("%s/host/%s/work", b->c->dir, name);
	m->is_volatile = b->c->o->rm;
	m->may_bind = true;
	m->may_vanish = true;
	return 0;
}

/* What a directory that was taken apart has itself is written to a plain directory of the container; one that the caller
 * may not write to, outside, is not worth one. */
static bool is_written(const struct build *b, const struct host_part *p)
{
	autofree char *parent = path_dir(p->path);
	return strv_has(&b->written, parent) || (!str_eq(p->path, "/") && (host_mode(p->path, &p->st) & S_IWUSR));
}

static int add_dir(struct build *b, const struct host_part *p, struct err *e)
{
	struct rtspec *s = &b->c->spec;
	autofree char *name = is_written(b, p) ? host_image_part_name(p->path) : NULL;
	struct rt_entry *entry = rtspec_add_entry(s, p->path, NULL, host_mode(p->path, &p->st));
	if (geteuid() == 0) {
		entry->uid = p->st.st_uid;
		entry->gid = p->st.st_gid;
	}
	if (!name)
		return 0;
	autofree char *source = xasprintf("%s/host/%s/upper", b->c->dir, name);
	strv_add(&b->written, p->path);
	rtspec_add_mount(s, RT_BIND, source, p->path, MNT_NODEV);
	return b->host < 0 ? 0 : make_upper(b->host, name, false, p, e);
}

static int add_link(struct build *b, const struct host_part *p, struct err *e)
{
	char text[PATH_MAX];
	autofree char *parent = path_dir(p->path);
	ssize_t n = readlink(p->path, text, sizeof(text) - 1);
	if (n < 0)
		return 0; /* gone meanwhile */
	text[n] = '\0';
	if (!strv_has(&b->written, parent)) {
		rtspec_add_entry(&b->c->spec, p->path, text, 0777);
		return 0;
	}
	autofree char *name = host_image_part_name(parent);
	autofree char *upper = path_join(name, "upper");
	autofd int fd = b->host < 0 ? -1 : openat(b->host, upper, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && symlinkat(text, fd, path_base(p->path)) < 0 && errno != EEXIST)
		return err_sys(e, errno, "make link %s", p->path);
	return 0;
}

static int add_part(struct build *b, const struct host_part *p, struct err *e)
{
	struct rt_mount *m;
	autofree char *parent = path_dir(p->path);
	if (is_covered(b->c, p->path))
		return 0;
	if (strv_has(&b->written, parent))
		str_add(&b->places, p->path, strlen(p->path) + 1);
	switch (p->kind) {
	case HOST_OVERLAY:
		return add_overlay(b, p, e);
	case HOST_DIR:
		return add_dir(b, p, e);
	case HOST_LINK:
		return add_link(b, p, e);
	case HOST_FILE:
	case HOST_TREE:
		m = rtspec_add_mount(&b->c->spec, RT_BIND, p->path, p->path, MNT_RDONLY | MNT_NODEV);
		m->recursive = true;
		m->may_vanish = true;
		return 0;
	}
	return 0;
}

/* A fresh /run, with what programs take for granted there. A file of /etc that is a link into the machine's (resolv.conf
 * of systemd-resolved) is one of the container's own, mounted where the link leads. */
static void add_run(struct build *b)
{
	static const char *const files[] = {"/etc/resolv.conf", "/etc/hosts", "/etc/hostname"};
	struct rtspec *s = &b->c->spec;
	rtspec_add_entry(s, "/run", NULL, 0755);
	rtspec_add_entry(s, "/run/lock", NULL, 01777);
	rtspec_add_entry(s, "/run/user", NULL, 0755);
	autofree char *user = xasprintf("/run/user/%u", (unsigned)geteuid());
	rtspec_add_entry(s, user, NULL, 0700);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char *real = realpath(files[i], NULL);
		if (real && path_is_below(real, "/run"))
			strv_add(&s->root_files, real);
		free(real);
	}
}

static const char *home_of(const struct container *c)
{
	const char *home = strv_env_get(&c->rec.config.env, "HOME");
	home = home ? home : getenv("HOME");
	return home && *home == '/' && home[1] ? home : NULL;
}

/* Where the caller wants to write, as the kernel names it; not what is hidden with the home directory. */
static void own_places(const struct container *c, struct strv *out)
{
	const char *places[] = {home_of(c), c->rec.config.cwd, "/var/tmp", getenv("TMPDIR")};
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		char *real = places[i] ? realpath(places[i], NULL) : NULL;
		if (real)
			strv_add_owned(out, real);
	}
}

static int hide_home(struct build *b, struct err *e)
{
	struct container *c = b->c;
	autofree char *home = home_of(c) ? realpath(home_of(c), NULL) : NULL;
	autofree char *cwd = realpath(c->rec.config.cwd, NULL);
	struct host_part p = {.kind = HOST_OVERLAY, .path = cwd};
	if (!home)
		return err_set(e, ENOENT, "--hide-home: HOME names no directory");
	struct rt_mount *m = rtspec_add_mount(&c->spec, RT_TMPFS, NULL, home, MNT_NOSUID | MNT_NODEV);
	m->options = xasprintf("mode=700,uid=%u,gid=%u",
			       c->has_map ? idmap_uid_from_host(&c->map, geteuid()) : geteuid(),
			       c->has_map ? idmap_gid_from_host(&c->map, getegid()) : getegid());
	/* The directory the person works in stays. */
	if (!cwd || str_eq(cwd, home) || !path_is_below(cwd, home) || stat(cwd, &p.st) < 0)
		return 0;
	return add_overlay(b, &p, e);
}

/* What is below a hidden home directory would be mounted over what hides it. */
static bool is_hidden(const struct container *c, const char *path)
{
	autofree char *home = c->o->hide_home && home_of(c) ? realpath(home_of(c), NULL) : NULL;
	return home && path_is_below(path, home) && !str_eq(path, home);
}

static int open_host(struct build *b, struct err *e)
{
	if (b->c->o->explain)
		return 0;
	if (mkdirat(b->c->dirfd, "host", 0700) < 0 && errno != EEXIST)
		return err_sys(e, errno, "make a place for changes");
	b->host = openat(b->c->dirfd, "host", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return b->host < 0 ? err_sys(e, errno, "open the place for changes") : 0;
}

/* The store holds upper and work directories of these very overlays, and everybody's images. */
void host_image_hide_store(struct container *c)
{
	char *real = realpath(c->store.root, NULL);
	if (real && host_image_is(c->o))
		strv_add_owned(&c->spec.masked, take_ptr(&real));
	free(real);
}

/* Mount points and links are made in the directories that are written to. They are nobody's changes, also when what they
 * stood for has gone from the machine; those of earlier starts are there still. */
static int note_places(const struct build *b, struct err *e)
{
	autostr struct str text = STR_INIT;
	if (b->host < 0 || !b->places.len)
		return 0;
	int r = io_read_file(b->c->dirfd, HOST_IMAGE_PLACES, HOST_IMAGE_PLACES_MAX, &text, NULL);
	if (r == 0 && text.len == b->places.len && memcmp(text.buf, b->places.buf, text.len) == 0)
		return 0;
	str_add(&text, b->places.buf, b->places.len);
	return io_replace_file(b->c->dirfd, HOST_IMAGE_PLACES, text.buf, text.len, 0600, false, e);
}

int host_image_build(struct container *c, struct err *e)
{
	struct build b = {.c = c, .host = -1, .places = STR_INIT};
	struct host_parts parts = {.items = NULL};
	autostrv struct strv own = STRV_INIT;
	c->spec.root_memory = true;
	own_places(c, &own);
	int r = open_host(&b, e);
	if (r == 0)
		r = host_walk(&own, &parts, e);
	for (size_t i = 0; i < parts.count && r == 0; i++)
		if (!is_hidden(c, parts.items[i].path))
			r = add_part(&b, &parts.items[i], e);
	if (r == 0)
		r = note_places(&b, e);
	if (r == 0)
		add_run(&b);
	if (r == 0 && c->o->hide_home)
		r = hide_home(&b, e);
	host_parts_free(&parts);
	strv_free(&b.written);
	str_free(&b.places);
	close_fd(&b.host);
	return r < 0 ? err_ctx(e, "this machine as an image") : 0;
}
