/* The grammars of --volumes-from and --image-volume, and mounts taken from another container. */
#include <errno.h>

#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "run_opts_int.h"

static char *copy_of(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

void run_opts_add_mount_copy(struct run_opts *o, const struct mount_opt *m)
{
	struct mount_opt c = *m;
	c.source = copy_of(m->source);
	c.target = copy_of(m->target);
	c.subpath = copy_of(m->subpath);
	c.tmpfs_options = copy_of(m->tmpfs_options);
	c.upperdir = copy_of(m->upperdir);
	c.workdir = copy_of(m->workdir);
	c.image_layers = (struct strv)STRV_INIT;
	strv_add_all(&c.image_layers, &m->image_layers);
	o->mounts = xreallocarray(o->mounts, o->nmounts + 1, sizeof(*o->mounts));
	o->mounts[o->nmounts++] = c;
}

int run_opts_parse_volumes_from(const char *text, char **ret_name, enum tristate *ret_read_only, struct err *e)
{
	autostrv struct strv parts = STRV_INIT;
	autostrv struct strv words = STRV_INIT;
	enum tristate read_only = UNSET;
	strv_split(&parts, text, ':');
	if (parts.count > 2 || !path_is_plain_name(parts.items[0]))
		return err_set(e, EINVAL, "--volumes-from '%s': CONTAINER[:ro] is expected", text);
	if (parts.count == 2)
		strv_split(&words, parts.items[1], ',');
	for (size_t i = 0; i < words.count; i++) {
		if (str_eq(words.items[i], "ro"))
			read_only = YES;
		else if (str_eq(words.items[i], "rw"))
			read_only = NO;
		else if (!str_eq(words.items[i], "z") && !str_eq(words.items[i], "Z"))
			return err_set(e, EINVAL, "--volumes-from '%s': unknown option '%s' (ro, rw, z)", text,
				       words.items[i]);
	}
	*ret_name = xstrdup(parts.items[0]);
	*ret_read_only = read_only;
	return 0;
}

int run_opts_volumes_from(struct run_opts *o, const char *value, struct err *e)
{
	char *name = NULL;
	enum tristate read_only;
	int r = run_opts_parse_volumes_from(value, &name, &read_only, e);
	free(name);
	if (r == 0)
		strv_add(&o->volumes_from, value);
	return r;
}

int run_opts_image_volume(struct run_opts *o, const char *value, struct err *e)
{
	static const struct {
		const char *name;
		enum image_volumes kind;
	} kinds[] = {
		{"anonymous", IMAGE_VOLUMES_ANONYMOUS},
		{"bind", IMAGE_VOLUMES_ANONYMOUS}, /* podman's older word for it */
		{"tmpfs", IMAGE_VOLUMES_TMPFS},
		{"ignore", IMAGE_VOLUMES_IGNORE},
	};
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!str_eq(value, kinds[i].name))
			continue;
		o->image_volumes = kinds[i].kind;
		return 0;
	}
	return err_set(e, EINVAL, "--image-volume '%s': anonymous, tmpfs or ignore is expected", value);
}
