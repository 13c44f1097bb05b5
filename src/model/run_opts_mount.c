/*
 * run_opts_mount.c - the grammars of -v, --mount, --tmpfs, --device, --shm-size and --rootfs.
 *
 * All three mount spellings end in the same struct mount_opt and share one table of flags (mount_flags): a flag sets
 * one property to one value, belongs to certain kinds of mounts, and may not be given together with a flag that sets
 * the same property to something else. --mount's "key=value" fields are a second table. Whatever is in neither is
 * refused by name, so that a mistyped "read-only" never gives a writable mount.
 */
#include <errno.h>
#include <limits.h>

#include "rl/base/fmt.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "run_opts_int.h"

/* Kinds a flag is meant for. */
enum {
	ON_BIND = 1 << MOUNT_KIND_BIND,
	ON_TMPFS = 1 << MOUNT_KIND_TMPFS,
	ON_VOLUME = 1 << MOUNT_KIND_VOLUME,
	ON_IMAGE = 1 << MOUNT_KIND_IMAGE,
	ON_DEVPTS = 1 << MOUNT_KIND_DEVPTS,
	ON_ALL = ON_BIND | ON_TMPFS | ON_VOLUME | ON_IMAGE | ON_DEVPTS,
};

enum mount_property {
	PROP_READ_ONLY,
	PROP_RELABEL,
	PROP_CHOWN,
	PROP_OVERLAY,
	PROP_COPY,
	PROP_EXEC,
	PROP_DEV,
	PROP_SUID,
	PROP_RECURSIVE,
	PROP_PROPAGATION,
	PROP_ATIME,
	PROP_NOTHING, /* states the default; accepted and without effect */
};

static const struct mount_flag {
	const char *name;
	enum mount_property property;
	int value;
	unsigned kinds;
} mount_flags[] = {
	{"ro", PROP_READ_ONLY, 1, ON_ALL},
	{"readonly", PROP_READ_ONLY, 1, ON_ALL},
	{"rw", PROP_READ_ONLY, 0, ON_ALL},
	{"z", PROP_RELABEL, 'z', ON_BIND | ON_VOLUME},
	{"Z", PROP_RELABEL, 'Z', ON_BIND | ON_VOLUME},
	{"U", PROP_CHOWN, 1, ON_BIND | ON_VOLUME},
	{"chown", PROP_CHOWN, 1, ON_BIND | ON_VOLUME},
	{"O", PROP_OVERLAY, 1, ON_BIND | ON_VOLUME},
	{"copy", PROP_COPY, 1, ON_VOLUME},
	{"nocopy", PROP_COPY, 0, ON_VOLUME},
	{"volume-nocopy", PROP_COPY, 0, ON_VOLUME},
	{"exec", PROP_EXEC, 1, ON_BIND | ON_VOLUME | ON_TMPFS},
	{"noexec", PROP_EXEC, 0, ON_BIND | ON_VOLUME | ON_TMPFS},
	{"dev", PROP_DEV, 1, ON_BIND | ON_VOLUME | ON_TMPFS},
	{"nodev", PROP_DEV, 0, ON_BIND | ON_VOLUME | ON_TMPFS},
	{"suid", PROP_SUID, 1, ON_BIND | ON_VOLUME | ON_TMPFS},
	{"nosuid", PROP_SUID, 0, ON_BIND | ON_VOLUME | ON_TMPFS},
	{"bind", PROP_RECURSIVE, 0, ON_BIND},
	{"rbind", PROP_RECURSIVE, 1, ON_BIND},
	{"bind-nonrecursive", PROP_RECURSIVE, 0, ON_BIND},
	{"private", PROP_PROPAGATION, PROPAGATION_PRIVATE, ON_BIND},
	{"rprivate", PROP_PROPAGATION, PROPAGATION_RPRIVATE, ON_BIND},
	{"slave", PROP_PROPAGATION, PROPAGATION_SLAVE, ON_BIND},
	{"rslave", PROP_PROPAGATION, PROPAGATION_RSLAVE, ON_BIND},
	{"shared", PROP_PROPAGATION, PROPAGATION_SHARED, ON_BIND},
	{"rshared", PROP_PROPAGATION, PROPAGATION_RSHARED, ON_BIND},
	{"noatime", PROP_ATIME, ATIME_NOATIME, ON_TMPFS},
	{"nodiratime", PROP_ATIME, ATIME_NODIRATIME, ON_TMPFS},
	{"relatime", PROP_ATIME, ATIME_RELATIME, ON_TMPFS},
	{"strictatime", PROP_ATIME, ATIME_STRICTATIME, ON_TMPFS},
	{"notmpcopyup", PROP_NOTHING, 0, ON_TMPFS},
};

/* Words that exist elsewhere and cannot be had here, with the reason. */
static const struct {
	const char *name;
	const char *why;
} refused_words[] = {
	{"idmap",
	 "the kernel allows id-mapped mounts of host file systems only to the host's root; ':U' changes owners"},
	{"tmpcopyup", "a tmpfs starts empty here; use a volume, which is filled from the image"},
	{"volume-driver", "volumes are directories of the store; there are no drivers"},
	{"volume-opt", "volume options belong to 'rl volume create'"},
	{"cached", "it has a meaning on macOS only"},
	{"delegated", "it has a meaning on macOS only"},
	{"mpol", "memory policies of a tmpfs are not supported"},
};

/* A mount being read: what it is, what was said, and the words for messages. */
struct mount_parse {
	const char *option; /* "--volume" */
	const char *text;   /* the whole value */
	struct mount_opt m;
	unsigned given; /* bits of enum mount_property */
};

static void mount_parse_init(struct mount_parse *p, const char *option, const char *text)
{
	*p = (struct mount_parse){
		.option = option,
		.text = text,
		.m = {.recursive_bind = true,
		      .exec = -1,
		      .dev = -1,
		      .suid = -1,
		      .copy = -1,
		      .tmpfs_size = -1,
		      .tmpfs_mode = -1},
	};
}

RL_PRINTF(3, 4) static int bad(const struct mount_parse *p, struct err *e, const char *fmt, ...)
{
	char why[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return err_set(e, EINVAL, "%s '%s': %s", p->option, p->text, why);
}

static const char *kind_name(enum mount_kind kind)
{
	static const char *const names[] = {
		[MOUNT_KIND_BIND] = "bind",   [MOUNT_KIND_TMPFS] = "tmpfs",   [MOUNT_KIND_VOLUME] = "volume",
		[MOUNT_KIND_IMAGE] = "image", [MOUNT_KIND_DEVPTS] = "devpts",
	};
	return names[kind];
}

static void store_property(struct mount_opt *m, enum mount_property property, int value)
{
	switch (property) {
	case PROP_READ_ONLY:
		m->read_only = value;
		break;
	case PROP_RELABEL:
		m->relabel = value;
		break;
	case PROP_CHOWN:
		m->chown = value;
		break;
	case PROP_OVERLAY:
		m->overlay = value;
		break;
	case PROP_COPY:
		m->copy = value;
		break;
	case PROP_EXEC:
		m->exec = value;
		break;
	case PROP_DEV:
		m->dev = value;
		break;
	case PROP_SUID:
		m->suid = value;
		break;
	case PROP_RECURSIVE:
		m->recursive_bind = value;
		break;
	case PROP_PROPAGATION:
		m->propagation = (enum mount_propagation)value;
		break;
	case PROP_ATIME:
		m->atime = (enum mount_atime)value;
		break;
	case PROP_NOTHING:
		break;
	}
}

static int property_value(const struct mount_opt *m, enum mount_property property)
{
	switch (property) {
	case PROP_READ_ONLY:
		return m->read_only;
	case PROP_RELABEL:
		return m->relabel;
	case PROP_CHOWN:
		return m->chown;
	case PROP_OVERLAY:
		return m->overlay;
	case PROP_COPY:
		return m->copy;
	case PROP_EXEC:
		return m->exec;
	case PROP_DEV:
		return m->dev;
	case PROP_SUID:
		return m->suid;
	case PROP_RECURSIVE:
		return m->recursive_bind;
	case PROP_PROPAGATION:
		return (int)m->propagation;
	case PROP_ATIME:
		return (int)m->atime;
	case PROP_NOTHING:
		break;
	}
	return 0;
}

static int set_property(struct mount_parse *p, const char *word, enum mount_property property, int value, struct err *e)
{
	unsigned bit = 1u << property;
	if ((p->given & bit) && property_value(&p->m, property) != value)
		return bad(p, e, "'%s' contradicts an earlier option", word);
	p->given |= bit;
	store_property(&p->m, property, value);
	return 0;
}

static int unknown_word(const struct mount_parse *p, const char *word, struct err *e)
{
	const char *names[ARRAY_SIZE(mount_flags) + 1];
	for (size_t i = 0; i < ARRAY_SIZE(refused_words); i++)
		if (str_eq(word, refused_words[i].name))
			return bad(p, e, "'%s' is not supported: %s", word, refused_words[i].why);
	size_t n = 0;
	for (size_t i = 0; i < ARRAY_SIZE(mount_flags); i++)
		if (mount_flags[i].kinds & (1u << p->m.kind))
			names[n++] = mount_flags[i].name;
	names[n] = NULL;
	const char *near = str_nearest(word, names);
	bad(p, e, "unknown option '%s'", word);
	return near && strlen(word) > 1 ? err_hint(e, "did you mean '%s'?", near) : -EINVAL;
}

/* A flag without a value, or with "=true"/"=false" (value not NULL). Returns 1 when the word is no flag. */
static int read_flag(struct mount_parse *p, const char *word, const char *value, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(mount_flags); i++) {
		const struct mount_flag *f = &mount_flags[i];
		if (!str_eq(word, f->name))
			continue;
		if (!(f->kinds & (1u << p->m.kind)))
			return bad(p, e, "'%s' has no meaning for a %s mount", word, kind_name(p->m.kind));
		bool on = true;
		if (value && !run_opts_read_bool(value, &on))
			return bad(p, e, "'%s=%s': true or false is expected", word, value);
		if (on)
			return set_property(p, word, f->property, f->value, e);
		/* "=false" asks for the opposite, which only two-valued properties have. */
		if (f->property == PROP_RELABEL || f->property == PROP_PROPAGATION || f->property == PROP_ATIME ||
		    f->property == PROP_NOTHING)
			return bad(p, e, "'%s=%s' has no meaning", word, value);
		return set_property(p, word, f->property, !f->value, e);
	}
	return 1;
}

static int set_target(struct mount_parse *p, const char *text, struct err *e)
{
	if (p->m.target)
		return bad(p, e, "the target is given twice");
	if (*text != '/')
		return bad(p, e, "the target '%s' is not an absolute path", text);
	p->m.target = path_clean(text);
	if (str_eq(p->m.target, "/"))
		return bad(p, e, "the root of the container cannot be a mount target (see --rootfs)");
	return 0;
}

/* What -v's first field names: a host path if it looks like one, else a volume. */
static int set_volume_source(struct mount_parse *p, const char *text, struct err *e)
{
	if (!*text)
		return bad(p, e, "the source before ':' is empty");
	if (*text == '/' || *text == '.') {
		p->m.kind = MOUNT_KIND_BIND;
		p->m.create_source = true;
	} else if (path_is_plain_name(text)) {
		p->m.kind = MOUNT_KIND_VOLUME;
	} else {
		bad(p, e, "'%s' is neither a path nor a volume name", text);
		return strchr(text, '/') ? err_hint(e, "a relative path is written ./%s", text) : -EINVAL;
	}
	p->m.source = xstrdup(text);
	return 0;
}

static void add_mount(struct run_opts *o, struct mount_parse *p)
{
	o->mounts = xreallocarray(o->mounts, o->nmounts + 1, sizeof(*o->mounts));
	o->mounts[o->nmounts++] = p->m;
	p->m = (struct mount_opt){.source = NULL};
}

/* Rules that hold for every spelling. */
static int check_mount(const struct mount_parse *p, struct err *e)
{
	const struct mount_opt *m = &p->m;
	if (!m->upperdir != !m->workdir)
		return bad(p, e, "upperdir= and workdir= go together");
	if (m->upperdir && !m->overlay)
		return bad(p, e, "upperdir= and workdir= need 'O'");
	if (m->overlay && m->read_only)
		return bad(p, e, "'O' is a writable layer and contradicts 'ro'");
	if (m->overlay && m->chown)
		return bad(p, e, "'O' leaves the source as it is and contradicts 'U'");
	return 0;
}

static int read_volume_option(struct mount_parse *p, const char *word, struct err *e)
{
	const char *path;
	bool upper = (path = str_after(word, "upperdir=")) != NULL;
	if (upper || (path = str_after(word, "workdir="))) {
		if (p->m.kind != MOUNT_KIND_BIND && p->m.kind != MOUNT_KIND_VOLUME)
			return bad(p, e, "'%s' needs a path or a volume", word);
		if (*path != '/')
			return bad(p, e, "'%s' is not an absolute path", path);
		run_opts_set_str(upper ? &p->m.upperdir : &p->m.workdir, path);
		return 0;
	}
	if (str_after(word, "idmap="))
		word = "idmap";
	int r = read_flag(p, word, NULL, e);
	return r == 1 ? unknown_word(p, word, e) : r;
}

static int parse_volume(struct mount_parse *p, struct err *e)
{
	autostrv struct strv parts = STRV_INIT;
	strv_split(&parts, p->text, ':');
	if (parts.count > 3) {
		bad(p, e, "too many ':' (SOURCE:TARGET[:OPTIONS])");
		return err_hint(e, "a path with ':' in it can be given to --mount");
	}
	p->m.kind = MOUNT_KIND_VOLUME;
	int r = parts.count > 1 ? set_volume_source(p, parts.items[0], e) : 0;
	if (r < 0)
		return r;
	r = set_target(p, parts.items[parts.count > 1], e);
	if (r < 0 || parts.count < 3)
		return r;
	autostrv struct strv words = STRV_INIT;
	strv_split(&words, parts.items[2], ',');
	for (size_t i = 0; i < words.count && r >= 0; i++)
		if (*words.items[i])
			r = read_volume_option(p, words.items[i], e);
	return r < 0 ? r : check_mount(p, e);
}

int run_opts_volume(struct run_opts *o, const char *value, struct err *e)
{
	struct mount_parse p;
	mount_parse_init(&p, "--volume", value);
	int r = parse_volume(&p, e);
	if (r >= 0)
		add_mount(o, &p);
	run_opts_free_mount(&p.m);
	return r < 0 ? r : 0;
}

static void add_tmpfs_option(struct mount_opt *m, const char *key, const char *value)
{
	char *joined = m->tmpfs_options ? xasprintf("%s,%s=%s", m->tmpfs_options, key, value)
					: xasprintf("%s=%s", key, value);
	free(m->tmpfs_options);
	m->tmpfs_options = joined;
}

static int tmpfs_size(struct mount_parse *p, const char *value, struct err *e)
{
	size_t n = strlen(value);
	/* A share of memory is the kernel's own grammar. */
	if (n >= 2 && n <= 4 && value[n - 1] == '%' && strspn(value, "0123456789") == n - 1) {
		add_tmpfs_option(&p->m, "size", value);
		return 0;
	}
	uint64_t bytes;
	int r = fmt_parse_size(value, p->option, &bytes, e);
	if (r < 0)
		return r;
	if (bytes > INT64_MAX)
		return bad(p, e, "the size '%s' is too large", value);
	p->m.tmpfs_size = (int64_t)bytes;
	return 0;
}

static int tmpfs_mode(struct mount_parse *p, const char *value, struct err *e)
{
	char *end;
	unsigned long mode = strtoul(value, &end, 8);
	if (*end || *value < '0' || *value > '7' || mode > 07777)
		return bad(p, e, "the mode '%s' is not an octal number up to 7777", value);
	p->m.tmpfs_mode = (int32_t)mode;
	return 0;
}

/* "key=value" options of a tmpfs. Returns 1 when the key is none of them. */
static int read_tmpfs_value(struct mount_parse *p, const char *key, const char *value, struct err *e)
{
	static const char *const huge[] = {"never", "always", "within_size", "advise"};
	if (str_eq(key, "size") || str_eq(key, "tmpfs-size"))
		return tmpfs_size(p, value, e);
	if (str_eq(key, "mode") || str_eq(key, "tmpfs-mode"))
		return tmpfs_mode(p, value, e);
	if (str_eq(key, "uid") || str_eq(key, "gid")) {
		uint64_t id;
		if (str_to_u64(value, UINT32_MAX - 1, key, &id, NULL) < 0)
			return bad(p, e, "%s=%s is not an id", key, value);
		add_tmpfs_option(&p->m, key, value);
		return 0;
	}
	if (str_eq(key, "nr_inodes") || str_eq(key, "nr_blocks")) {
		size_t n = strspn(value, "0123456789");
		if (n == 0 || n > 19 || (value[n] && (value[n + 1] || !strchr("kmgKMG", value[n]))))
			return bad(p, e, "%s=%s is not a number", key, value);
		add_tmpfs_option(&p->m, key, value);
		return 0;
	}
	if (str_eq(key, "huge")) {
		for (size_t i = 0; i < ARRAY_SIZE(huge); i++) {
			if (!str_eq(value, huge[i]))
				continue;
			add_tmpfs_option(&p->m, key, value);
			return 0;
		}
		return bad(p, e, "huge=%s: never, always, within_size or advise is expected", value);
	}
	return 1;
}

static int read_tmpfs_option(struct mount_parse *p, char *word, struct err *e)
{
	char *eq = strchr(word, '=');
	int r;
	if (eq) {
		*eq = '\0';
		r = read_tmpfs_value(p, word, eq + 1, e);
	} else {
		r = read_flag(p, word, NULL, e);
	}
	return r == 1 ? unknown_word(p, word, e) : r;
}

static int parse_tmpfs(struct mount_parse *p, struct err *e)
{
	p->m.kind = MOUNT_KIND_TMPFS;
	const char *colon = strchr(p->text, ':');
	autofree char *target = colon ? xstrndup(p->text, (size_t)(colon - p->text)) : xstrdup(p->text);
	int r = set_target(p, target, e);
	if (r < 0 || !colon)
		return r;
	autostrv struct strv words = STRV_INIT;
	strv_split(&words, colon + 1, ',');
	for (size_t i = 0; i < words.count && r >= 0; i++)
		if (*words.items[i])
			r = read_tmpfs_option(p, words.items[i], e);
	return r;
}

int run_opts_tmpfs(struct run_opts *o, const char *value, struct err *e)
{
	struct mount_parse p;
	mount_parse_init(&p, "--tmpfs", value);
	int r = parse_tmpfs(&p, e);
	if (r >= 0)
		add_mount(o, &p);
	run_opts_free_mount(&p.m);
	return r < 0 ? r : 0;
}

void run_opts_add_read_only_tmpfs(struct run_opts *o)
{
	static const char *const places[] = {"/run", "/tmp", "/var/tmp"};
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		bool taken = false;
		for (size_t k = 0; k < o->nmounts && !taken; k++)
			taken = str_eq(o->mounts[k].target, places[i]);
		if (taken)
			continue;
		struct mount_parse p;
		mount_parse_init(&p, "--read-only-tmpfs", places[i]);
		p.m.kind = MOUNT_KIND_TMPFS;
		p.m.target = xstrdup(places[i]);
		p.m.tmpfs_mode = str_eq(places[i], "/run") ? 0755 : 01777;
		add_mount(o, &p);
	}
}

/*
 * --mount is one CSV record: fields are separated by commas, a field that begins with '"' ends at the next single '"'
 * and stands for a comma or a doubled quote inside.
 */
static int split_csv(const struct mount_parse *p, struct strv *fields, struct err *e)
{
	const char *c = p->text;
	for (;;) {
		autostr struct str field = STR_INIT;
		if (*c == '"') {
			c++;
			for (; *c && (*c != '"' || c[1] == '"'); c++) {
				str_addc(&field, *c);
				c += *c == '"';
			}
			if (*c++ != '"')
				return bad(p, e, "a '\"' is not closed");
			if (*c && *c != ',')
				return bad(p, e, "text after a closing '\"'");
		} else {
			for (; *c && *c != ','; c++) {
				if (*c == '"')
					return bad(p, e, "a '\"' in the middle of a field (quote the whole field)");
				str_addc(&field, *c);
			}
		}
		strv_add_owned(fields, str_take(&field));
		if (!*c)
			return 0;
		c++;
	}
}

static int set_mount_type(struct mount_parse *p, const char *type, struct err *e)
{
	static const enum mount_kind kinds[] = {MOUNT_KIND_BIND, MOUNT_KIND_TMPFS, MOUNT_KIND_VOLUME, MOUNT_KIND_IMAGE,
						MOUNT_KIND_DEVPTS};
	static const struct {
		const char *name;
		const char *why;
	} refused[] = {
		{"ramfs", "its pages cannot be limited; use type=tmpfs"},
		{"glob", "give one type=bind for each path"},
		{"artifact", "artifacts are not supported"},
		{"npipe", "it exists on Windows only"},
		{"cluster", "there is no swarm"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (str_eq(type, kind_name(kinds[i]))) {
			p->m.kind = kinds[i];
			return 0;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (str_eq(type, refused[i].name))
			return bad(p, e, "type=%s is not supported: %s", type, refused[i].why);
	return bad(p, e, "unknown type '%s' (bind, volume, tmpfs, image, devpts)", type);
}

static int set_propagation(struct mount_parse *p, const char *value, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(mount_flags); i++)
		if (mount_flags[i].property == PROP_PROPAGATION && str_eq(value, mount_flags[i].name))
			return read_flag(p, value, NULL, e);
	return bad(p, e, "bind-propagation=%s: private, slave or shared is expected, with or without 'r' in front",
		   value);
}

static int set_relabel(struct mount_parse *p, const char *value, struct err *e)
{
	if (str_eq(value, "shared"))
		return read_flag(p, "z", NULL, e);
	if (str_eq(value, "private"))
		return read_flag(p, "Z", NULL, e);
	return bad(p, e, "relabel=%s: shared or private is expected", value);
}

static int set_bind_recursive(struct mount_parse *p, const char *value, struct err *e)
{
	if (str_eq(value, "enabled") || str_eq(value, "writable"))
		return read_flag(p, "rbind", NULL, e);
	if (str_eq(value, "disabled"))
		return read_flag(p, "bind", NULL, e);
	/* Read-only mounts are made read-only recursively here, so this only has to be consistent with 'ro'. */
	if (str_eq(value, "readonly")) {
		int r = read_flag(p, "rbind", NULL, e);
		return r < 0 ? r : read_flag(p, "ro", NULL, e);
	}
	return bad(p, e, "bind-recursive=%s: enabled, disabled or readonly is expected", value);
}

static bool is_one_of(const char *text, const char *const *names)
{
	for (; *names; names++)
		if (str_eq(text, *names))
			return true;
	return false;
}

static int set_mount_source(struct mount_parse *p, const char *value, struct err *e)
{
	if (p->m.source)
		return bad(p, e, "the source is given twice");
	if (!*value)
		return bad(p, e, "the source is empty");
	p->m.source = xstrdup(value);
	return 0;
}

static int read_mount_field(struct mount_parse *p, const char *key, const char *value, struct err *e)
{
	static const char *const sources[] = {"source", "src", NULL};
	static const char *const targets[] = {"target", "dst", "dest", "destination", NULL};
	static const char *const subpaths[] = {"subpath", "volume-subpath", "image-subpath", NULL};
	if (is_one_of(key, sources))
		return set_mount_source(p, value ? value : "", e);
	if (is_one_of(key, targets))
		return set_target(p, value ? value : "", e);
	if (value && is_one_of(key, subpaths)) {
		if (p->m.kind != MOUNT_KIND_VOLUME && p->m.kind != MOUNT_KIND_IMAGE)
			return bad(p, e, "'%s' has no meaning for a %s mount", key, kind_name(p->m.kind));
		if (*value == '/' || !*value || path_has_dotdot(value))
			return bad(p, e, "'%s=%s' must be a relative path without '..'", key, value);
		run_opts_set_str(&p->m.subpath, value);
		return 0;
	}
	if (value && str_eq(key, "bind-propagation"))
		return set_propagation(p, value, e);
	if (value && str_eq(key, "relabel"))
		return set_relabel(p, value, e);
	if (value && str_eq(key, "bind-recursive"))
		return set_bind_recursive(p, value, e);
	if (value && p->m.kind == MOUNT_KIND_TMPFS) {
		int r = read_tmpfs_value(p, key, value, e);
		if (r != 1)
			return r;
	}
	/* docker accepts it on Linux too, where every value means the same */
	if (value && str_eq(key, "consistency") &&
	    (str_eq(value, "consistent") || str_eq(value, "default") || str_eq(value, "cached") ||
	     str_eq(value, "delegated")))
		return 0;
	int r = read_flag(p, key, value, e);
	return r == 1 ? unknown_word(p, key, e) : r;
}

static int check_mount_source(struct mount_parse *p, struct err *e)
{
	struct mount_opt *m = &p->m;
	switch (m->kind) {
	case MOUNT_KIND_BIND:
		if (!m->source)
			return bad(p, e, "a bind mount needs source=");
		return *m->source == '/' || *m->source == '.' ? 0
							      : bad(p, e, "the source '%s' is not a path", m->source);
	case MOUNT_KIND_IMAGE:
		if (!m->source)
			return bad(p, e, "an image mount needs source=");
		/* An image is read-only unless somebody says otherwise. */
		if (!(p->given & (1u << PROP_READ_ONLY)))
			m->read_only = true;
		return 0;
	case MOUNT_KIND_VOLUME:
		if (m->source && !path_is_plain_name(m->source)) {
			bad(p, e, "'%s' is not a volume name", m->source);
			return strchr(m->source, '/') ? err_hint(e, "a host directory needs type=bind") : -EINVAL;
		}
		return 0;
	case MOUNT_KIND_TMPFS:
	case MOUNT_KIND_DEVPTS:
		return m->source ? bad(p, e, "a %s mount has no source", kind_name(m->kind)) : 0;
	}
	return 0;
}

static int parse_mount(struct mount_parse *p, struct err *e)
{
	autostrv struct strv fields = STRV_INIT;
	int r = split_csv(p, &fields, e);
	if (r < 0)
		return r;
	p->m.kind = MOUNT_KIND_VOLUME;
	/* The type decides what the other fields may be, wherever it stands. */
	bool typed = false;
	for (size_t i = 0; i < fields.count && r >= 0; i++) {
		const char *type = str_after(fields.items[i], "type=");
		if (!type)
			continue;
		r = typed ? bad(p, e, "the type is given twice") : set_mount_type(p, type, e);
		typed = true;
	}
	for (size_t i = 0; i < fields.count && r >= 0; i++) {
		char *eq = strchr(fields.items[i], '=');
		if (eq)
			*eq = '\0';
		if (eq && str_eq(fields.items[i], "type"))
			continue;
		r = *fields.items[i] ? read_mount_field(p, fields.items[i], eq ? eq + 1 : NULL, e)
				     : bad(p, e, "an empty field");
	}
	if (r < 0)
		return r;
	if (!p->m.target)
		return bad(p, e, "target= is missing");
	r = check_mount_source(p, e);
	return r < 0 ? r : check_mount(p, e);
}

int run_opts_mount(struct run_opts *o, const char *value, struct err *e)
{
	struct mount_parse p;
	mount_parse_init(&p, "--mount", value);
	int r = parse_mount(&p, e);
	if (r >= 0)
		add_mount(o, &p);
	run_opts_free_mount(&p.m);
	return r < 0 ? r : 0;
}

static bool read_device_rights(const char *text, struct device_opt *d)
{
	if (!*text || text[strspn(text, "rwm")])
		return false;
	d->read = strchr(text, 'r');
	d->write = strchr(text, 'w');
	d->mknod = strchr(text, 'm');
	return true;
}

int run_opts_device(struct run_opts *o, const char *value, struct err *e)
{
	autostrv struct strv parts = STRV_INIT;
	strv_split(&parts, value, ':');
	if (*value != '/') {
		/* vendor.com/class=name */
		bool cdi = strchr(value, '/') && strchr(value, '=');
		return err_set(e, EINVAL, "--device '%s': %s", value,
			       cdi ? "CDI devices are not supported" : "the device must be an absolute path");
	}
	struct device_opt d = {.read = true, .write = true, .mknod = true};
	const char *target = parts.items[0];
	const char *rights = parts.count == 3 ? parts.items[2] : NULL;
	if (parts.count == 2 && *parts.items[1] != '/')
		rights = parts.items[1];
	else if (parts.count >= 2)
		target = parts.items[1];
	if (parts.count > 3 || *target != '/')
		return err_set(e, EINVAL, "--device '%s': PATH[:PATH-INSIDE][:rwm] is expected", value);
	if (rights && !read_device_rights(rights, &d))
		return err_set(e, EINVAL, "--device '%s': the rights '%s' are not a combination of r, w and m", value,
			       rights);
	d.source = path_clean(parts.items[0]);
	d.target = path_clean(target);
	o->devices = xreallocarray(o->devices, o->ndevices + 1, sizeof(*o->devices));
	o->devices[o->ndevices++] = d;
	return 0;
}

int run_opts_shm_size(struct run_opts *o, const char *value, struct err *e)
{
	uint64_t bytes;
	int r = fmt_parse_size(value, "--shm-size", &bytes, e);
	if (r < 0)
		return r;
	if (bytes == 0 || bytes > INT64_MAX)
		return err_set(e, EINVAL, "--shm-size '%s': must be larger than nothing and fit the machine", value);
	o->shm_size = bytes;
	return 0;
}

int run_opts_rootfs(struct run_opts *o, const char *value, struct err *e)
{
	size_t n = strlen(value);
	bool overlay = str_ends(value, ":O");
	if (overlay)
		n -= 2;
	if (n == 0)
		return err_set(e, EINVAL, "--rootfs: the directory is missing");
	free(o->rootfs);
	o->rootfs = xstrndup(value, n);
	o->rootfs_overlay = overlay;
	return 0;
}
