/* run_opts_mount_field.c - the grammar of --mount. */
#include <errno.h>

#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "run_opts_int.h"
#include "run_opts_mount_int.h"

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
				return mount_parse_bad(p, e, "a '\"' is not closed");
			if (*c && *c != ',')
				return mount_parse_bad(p, e, "text after a closing '\"'");
		} else {
			for (; *c && *c != ','; c++) {
				if (*c == '"')
					return mount_parse_bad(
						p, e, "a '\"' in the middle of a field (quote the whole field)");
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
		if (str_eq(type, mount_kind_name(kinds[i]))) {
			p->m.kind = kinds[i];
			return 0;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (str_eq(type, refused[i].name))
			return mount_parse_bad(p, e, "type=%s is not supported: %s", type, refused[i].why);
	return mount_parse_bad(p, e, "unknown type '%s' (bind, volume, tmpfs, image, devpts)", type);
}

static int set_relabel(struct mount_parse *p, const char *value, struct err *e)
{
	if (str_eq(value, "shared"))
		return mount_parse_flag(p, "z", NULL, e);
	if (str_eq(value, "private"))
		return mount_parse_flag(p, "Z", NULL, e);
	return mount_parse_bad(p, e, "relabel=%s: shared or private is expected", value);
}

static int set_bind_recursive(struct mount_parse *p, const char *value, struct err *e)
{
	if (str_eq(value, "enabled") || str_eq(value, "writable"))
		return mount_parse_flag(p, "rbind", NULL, e);
	if (str_eq(value, "disabled"))
		return mount_parse_flag(p, "bind", NULL, e);
	/* Read-only mounts are made read-only recursively here, so this only has to be consistent with 'ro'. */
	if (str_eq(value, "readonly")) {
		int r = mount_parse_flag(p, "rbind", NULL, e);
		return r < 0 ? r : mount_parse_flag(p, "ro", NULL, e);
	}
	return mount_parse_bad(p, e, "bind-recursive=%s: enabled, disabled or readonly is expected", value);
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
		return mount_parse_bad(p, e, "the source is given twice");
	if (!*value)
		return mount_parse_bad(p, e, "the source is empty");
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
		return mount_parse_target(p, value ? value : "", e);
	if (value && is_one_of(key, subpaths)) {
		if (p->m.kind != MOUNT_KIND_VOLUME && p->m.kind != MOUNT_KIND_IMAGE)
			return mount_parse_bad(p, e, "'%s' has no meaning for a %s mount", key,
					       mount_kind_name(p->m.kind));
		if (*value == '/' || !*value || path_has_dotdot(value))
			return mount_parse_bad(p, e, "'%s=%s' must be a relative path without '..'", key, value);
		run_opts_set_str(&p->m.subpath, value);
		return 0;
	}
	if (value && str_eq(key, "bind-propagation"))
		return mount_parse_propagation(p, value, e);
	if (value && str_eq(key, "relabel"))
		return set_relabel(p, value, e);
	if (value && str_eq(key, "bind-recursive"))
		return set_bind_recursive(p, value, e);
	if (value && p->m.kind == MOUNT_KIND_TMPFS) {
		int r = mount_parse_tmpfs_value(p, key, value, e);
		if (r != 1)
			return r;
	}
	/* docker accepts it on Linux too, where every value means the same */
	if (value && str_eq(key, "consistency") &&
	    (str_eq(value, "consistent") || str_eq(value, "default") || str_eq(value, "cached") ||
	     str_eq(value, "delegated")))
		return 0;
	int r = mount_parse_flag(p, key, value, e);
	return r == 1 ? mount_parse_unknown(p, key, e) : r;
}

static int check_mount_source(struct mount_parse *p, struct err *e)
{
	struct mount_opt *m = &p->m;
	switch (m->kind) {
	case MOUNT_KIND_BIND:
		if (!m->source)
			return mount_parse_bad(p, e, "a bind mount needs source=");
		return *m->source == '/' || *m->source == '.'
			       ? 0
			       : mount_parse_bad(p, e, "the source '%s' is not a path", m->source);
	case MOUNT_KIND_IMAGE:
		if (!m->source)
			return mount_parse_bad(p, e, "an image mount needs source=");
		/* An image is read-only unless somebody says otherwise. */
		if (!mount_parse_says_read_only(p))
			m->read_only = true;
		return 0;
	case MOUNT_KIND_VOLUME:
		if (m->source && !path_is_plain_name(m->source)) {
			mount_parse_bad(p, e, "'%s' is not a volume name", m->source);
			return strchr(m->source, '/') ? err_hint(e, "a host directory needs type=bind") : -EINVAL;
		}
		return 0;
	case MOUNT_KIND_TMPFS:
	case MOUNT_KIND_DEVPTS:
		return m->source ? mount_parse_bad(p, e, "a %s mount has no source", mount_kind_name(m->kind)) : 0;
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
		r = typed ? mount_parse_bad(p, e, "the type is given twice") : set_mount_type(p, type, e);
		typed = true;
	}
	for (size_t i = 0; i < fields.count && r >= 0; i++) {
		char *eq = strchr(fields.items[i], '=');
		if (eq)
			*eq = '\0';
		if (eq && str_eq(fields.items[i], "type"))
			continue;
		r = *fields.items[i] ? read_mount_field(p, fields.items[i], eq ? eq + 1 : NULL, e)
				     : mount_parse_bad(p, e, "an empty field");
	}
	if (r < 0)
		return r;
	if (!p->m.target)
		return mount_parse_bad(p, e, "target= is missing");
	r = check_mount_source(p, e);
	return r < 0 ? r : mount_parse_check(p, e);
}

int run_opts_mount(struct run_opts *o, const char *value, struct err *e)
{
	struct mount_parse p;
	mount_parse_init(&p, "--mount", value);
	int r = parse_mount(&p, e);
	if (r >= 0)
		mount_parse_done(o, &p);
	run_opts_free_mount(&p.m);
	return r < 0 ? r : 0;
}
