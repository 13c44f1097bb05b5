/*
 * run_opts_mount.c - the words of mount options, and the grammar of -v.
 *
 * All three mount spellings end in the same struct mount_opt and share one table of flags (mount_flags): a flag sets
 * one property to one value, belongs to certain kinds of mounts, and may not be given together with a flag that sets
 * the same property to something else. --mount's "key=value" fields (run_opts_mount_field.c) are a second table.
 * Whatever is in neither is refused by name, so that a mistyped "read-only" never gives a writable mount.
 */
#include <errno.h>

#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "run_opts_int.h"
#include "run_opts_mount_int.h"

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

void mount_parse_init(struct mount_parse *p, const char *option, const char *text)
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

int mount_parse_bad(const struct mount_parse *p, struct err *e, const char *fmt, ...)
{
	char why[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return err_set(e, EINVAL, "%s '%s': %s", p->option, p->text, why);
}

const char *mount_kind_name(enum mount_kind kind)
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
		return mount_parse_bad(p, e, "'%s' contradicts an earlier option", word);
	p->given |= bit;
	store_property(&p->m, property, value);
	return 0;
}

int mount_parse_unknown(const struct mount_parse *p, const char *word, struct err *e)
{
	const char *names[ARRAY_SIZE(mount_flags) + 1];
	for (size_t i = 0; i < ARRAY_SIZE(refused_words); i++)
		if (str_eq(word, refused_words[i].name))
			return mount_parse_bad(p, e, "'%s' is not supported: %s", word, refused_words[i].why);
	size_t n = 0;
	for (size_t i = 0; i < ARRAY_SIZE(mount_flags); i++)
		if (mount_flags[i].kinds & (1u << p->m.kind))
			names[n++] = mount_flags[i].name;
	names[n] = NULL;
	const char *near = str_nearest(word, names);
	mount_parse_bad(p, e, "unknown option '%s'", word);
	return near && strlen(word) > 1 ? err_hint(e, "did you mean '%s'?", near) : -EINVAL;
}

/* A flag without a value, or with "=true"/"=false" (value not NULL). Returns 1 when the word is no flag. */
int mount_parse_flag(struct mount_parse *p, const char *word, const char *value, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(mount_flags); i++) {
		const struct mount_flag *f = &mount_flags[i];
		if (!str_eq(word, f->name))
			continue;
		if (!(f->kinds & (1u << p->m.kind)))
			return mount_parse_bad(p, e, "'%s' has no meaning for a %s mount", word,
					       mount_kind_name(p->m.kind));
		bool on = true;
		if (value && !run_opts_read_bool(value, &on))
			return mount_parse_bad(p, e, "'%s=%s': true or false is expected", word, value);
		if (on)
			return set_property(p, word, f->property, f->value, e);
		/* "=false" asks for the opposite, which only two-valued properties have. */
		if (f->property == PROP_RELABEL || f->property == PROP_PROPAGATION || f->property == PROP_ATIME ||
		    f->property == PROP_NOTHING)
			return mount_parse_bad(p, e, "'%s=%s' has no meaning", word, value);
		return set_property(p, word, f->property, !f->value, e);
	}
	return 1;
}

int mount_parse_target(struct mount_parse *p, const char *text, struct err *e)
{
	if (p->m.target)
		return mount_parse_bad(p, e, "the target is given twice");
	if (*text != '/')
		return mount_parse_bad(p, e, "the target '%s' is not an absolute path", text);
	p->m.target = path_clean(text);
	if (str_eq(p->m.target, "/"))
		return mount_parse_bad(p, e, "the root of the container cannot be a mount target (see --rootfs)");
	return 0;
}

/* What -v's first field names: a host path if it looks like one, else a volume. */
int mount_parse_volume_source(struct mount_parse *p, const char *text, struct err *e)
{
	if (!*text)
		return mount_parse_bad(p, e, "the source before ':' is empty");
	if (*text == '/' || *text == '.') {
		p->m.kind = MOUNT_KIND_BIND;
		p->m.create_source = true;
	} else if (path_is_plain_name(text)) {
		p->m.kind = MOUNT_KIND_VOLUME;
	} else {
		mount_parse_bad(p, e, "'%s' is neither a path nor a volume name", text);
		return strchr(text, '/') ? err_hint(e, "a relative path is written ./%s", text) : -EINVAL;
	}
	p->m.source = xstrdup(text);
	return 0;
}

void mount_parse_done(struct run_opts *o, struct mount_parse *p)
{
	o->mounts = xreallocarray(o->mounts, o->nmounts + 1, sizeof(*o->mounts));
	o->mounts[o->nmounts++] = p->m;
	p->m = (struct mount_opt){.source = NULL};
}

int mount_parse_check(const struct mount_parse *p, struct err *e)
{
	const struct mount_opt *m = &p->m;
	if (!m->upperdir != !m->workdir)
		return mount_parse_bad(p, e, "upperdir= and workdir= go together");
	if (m->upperdir && !m->overlay)
		return mount_parse_bad(p, e, "upperdir= and workdir= need 'O'");
	if (m->overlay && m->read_only)
		return mount_parse_bad(p, e, "'O' is a writable layer and contradicts 'ro'");
	if (m->overlay && m->chown)
		return mount_parse_bad(p, e, "'O' leaves the source as it is and contradicts 'U'");
	return 0;
}

static int read_volume_option(struct mount_parse *p, const char *word, struct err *e)
{
	const char *path;
	bool upper = (path = str_after(word, "upperdir=")) != NULL;
	if (upper || (path = str_after(word, "workdir="))) {
		if (p->m.kind != MOUNT_KIND_BIND && p->m.kind != MOUNT_KIND_VOLUME)
			return mount_parse_bad(p, e, "'%s' needs a path or a volume", word);
		if (*path != '/')
			return mount_parse_bad(p, e, "'%s' is not an absolute path", path);
		run_opts_set_str(upper ? &p->m.upperdir : &p->m.workdir, path);
		return 0;
	}
	if (str_after(word, "idmap="))
		word = "idmap";
	int r = mount_parse_flag(p, word, NULL, e);
	return r == 1 ? mount_parse_unknown(p, word, e) : r;
}

static int parse_volume(struct mount_parse *p, struct err *e)
{
	autostrv struct strv parts = STRV_INIT;
	strv_split(&parts, p->text, ':');
	if (parts.count > 3) {
		mount_parse_bad(p, e, "too many ':' (SOURCE:TARGET[:OPTIONS])");
		return err_hint(e, "a path with ':' in it can be given to --mount");
	}
	p->m.kind = MOUNT_KIND_VOLUME;
	int r = parts.count > 1 ? mount_parse_volume_source(p, parts.items[0], e) : 0;
	if (r < 0)
		return r;
	r = mount_parse_target(p, parts.items[parts.count > 1], e);
	if (r < 0 || parts.count < 3)
		return r;
	autostrv struct strv words = STRV_INIT;
	strv_split(&words, parts.items[2], ',');
	for (size_t i = 0; i < words.count && r >= 0; i++)
		if (*words.items[i])
			r = read_volume_option(p, words.items[i], e);
	return r < 0 ? r : mount_parse_check(p, e);
}

int run_opts_volume(struct run_opts *o, const char *value, struct err *e)
{
	struct mount_parse p;
	mount_parse_init(&p, "--volume", value);
	int r = parse_volume(&p, e);
	if (r >= 0)
		mount_parse_done(o, &p);
	run_opts_free_mount(&p.m);
	return r < 0 ? r : 0;
}

int mount_parse_propagation(struct mount_parse *p, const char *value, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(mount_flags); i++)
		if (mount_flags[i].property == PROP_PROPAGATION && str_eq(value, mount_flags[i].name))
			return mount_parse_flag(p, value, NULL, e);
	return mount_parse_bad(
		p, e, "bind-propagation=%s: private, slave or shared is expected, with or without 'r' in front", value);
}

bool mount_parse_says_read_only(const struct mount_parse *p)
{
	return (p->given & (1U << PROP_READ_ONLY)) != 0;
}
