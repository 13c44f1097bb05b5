/*
 * container_volumes.c - the volumes of one container: decided and made at its creation, held while it is made or runs,
 * dropped with it.
 *
 * At creation the mounts of the record become complete: those of --volumes-from and the image's VOLUMEs are added (what
 * was asked for by hand wins, then --volumes-from), anonymous volumes get their names, images their layers. Every later
 * start mounts exactly that. The record is also what keeps a volume from being removed, so the shared lock of each
 * volume is held from the lookup on (volume.h).
 *
 * Trust: a VOLUME of an image is a place where an empty volume may stand, filled with what the image has there; one on
 * or below a directory of ours (/proc, /sys, /dev) or on a file of ours would replace what the sandbox is made of, and
 * is left out.
 */
#include <errno.h>
#include <stdlib.h>

#include "container_int.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/svc/volume.h"

enum { ATTEMPTS = 10, IMAGE_VOLUMES_MAX = 256 };

static bool has_target(const struct run_opts *o, const char *target)
{
	for (size_t i = 0; i < o->nmounts; i++)
		if (str_eq(o->mounts[i].target, target))
			return true;
	return false;
}

/* ---- which mounts ---- */

static int add_mounts_of(struct container *c, const char *text, struct err *e)
{
	struct run_opts *o = &c->rec.config.o;
	autofree char *name = NULL;
	enum tristate read_only;
	autorec struct container_rec other = CONTAINER_REC_INIT;
	int r = run_opts_parse_volumes_from(text, &name, &read_only, e);
	if (r == 0)
		r = container_store_find(&c->store, name, &other, e);
	if (r < 0)
		return err_ctx(e, "--volumes-from");
	for (size_t i = 0; i < other.config.o.nmounts; i++) {
		const struct mount_opt *m = &other.config.o.mounts[i];
		if ((m->kind != MOUNT_KIND_BIND && m->kind != MOUNT_KIND_VOLUME) || has_target(o, m->target))
			continue;
		run_opts_add_mount_copy(o, m);
		if (read_only == YES)
			o->mounts[o->nmounts - 1].read_only = true;
	}
	return 0;
}

static bool is_ours(const char *target)
{
	static const char *const below[] = {"/proc", "/sys", "/dev"};
	static const char *const files[] = {"/", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"};
	for (size_t i = 0; i < ARRAY_SIZE(below); i++)
		if (path_is_below(target, below[i]))
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (str_eq(target, files[i]))
			return true;
	return false;
}

static int add_image_volume(struct container *c, const char *key, struct err *e)
{
	struct run_opts *o = &c->rec.config.o;
	autofree char *absolute = path_join("/", key);
	autofree char *target = path_clean(absolute);
	if (is_ours(target)) {
		log_warn("the image's VOLUME %s is left out: rl mounts something of its own there", target);
		return 0;
	}
	if (has_target(o, target))
		return 0;
	if (o->image_volumes == IMAGE_VOLUMES_TMPFS)
		return run_opts_tmpfs(o, target, e);
	return run_opts_volume(o, target, e);
}

static int add_image_volumes(struct container *c, const json_t *config, struct err *e)
{
	struct run_opts *o = &c->rec.config.o;
	json_t *volumes = NULL;
	const char *key;
	json_t *value;
	if (!config || o->image_volumes == IMAGE_VOLUMES_IGNORE)
		return 0;
	int r = json_get_obj(config, "Volumes", &volumes, e);
	if (r < 0)
		return err_ctx(e, "image %s", o->image);
	if (json_object_size(volumes) > IMAGE_VOLUMES_MAX)
		return err_set(e, EINVAL, "image %s has %zu volumes, more than %d", o->image, json_object_size(volumes),
			       IMAGE_VOLUMES_MAX);
	json_object_foreach (volumes, key, value) {
		/* A ':' would be read as the end of the path. */
		if (!*key || strchr(key, ':'))
			log_warn("the image's VOLUME '%s' is left out: it is not a path", key);
		else
			r = add_image_volume(c, key, e);
		if (r < 0)
			return err_ctx(e, "VOLUME %s of the image", key);
	}
	return 0;
}

/* type=image: its layers, unpacked for our map and kept from now on by the container's list of layers. */
static int find_image(struct container *c, struct mount_opt *m, struct err *e)
{
	const struct idmap identity = CONTAINER_MAP_IDENTITY;
	struct image_run run = IMAGE_RUN_INIT;
	if (m->image_layers.count)
		return 0;
	int r = image_ensure(&c->store, m->source, c->o->pull, c->has_map ? &c->map : &identity, NULL, &run, e);
	if (r < 0)
		return err_ctx(e, "mount on %s", m->target);
	strv_add_all(&m->image_layers, &run.lowers);
	if (c->image.leasefd < 0)
		c->image.leasefd = take_fd(&run.leasefd);
	image_run_free(&run);
	return 0;
}

/* ---- making and holding ---- */

static int hold(struct container *c, struct mount_opt *m, bool create, struct err *e)
{
	struct volume_lease l = VOLUME_LEASE_NONE;
	const bool fills = create && m->copy != NO && !m->subpath && !m->overlay;
	const enum volume_want want = fills ? VOLUME_FILL : create ? VOLUME_MAKE : VOLUME_FIND;
	int r = -EAGAIN;
	for (int attempt = 0; r == -EAGAIN && attempt < ATTEMPTS; attempt++) {
		r = volume_ensure(&c->store, m->source, want, &l, e);
		/* From here on the container's removal finds it. */
		if (r == 0 && !m->source)
			m->source = xstrdup(l.record.name);
		if (r == 0 && fills)
			r = volume_fill(&c->store, &l, c->has_map ? &c->map : NULL, &c->rec.config.layers, m->target,
					e);
		if (r == -EAGAIN) {
			volume_release(&l);
			if (e)
				err_clear(e);
		}
	}
	if (r == -EAGAIN)
		return err_set(e, EAGAIN, "volume %s is removed as fast as it is made", m->source);
	if (r < 0) {
		volume_release(&l);
		return err_ctx(e, "mount on %s", m->target);
	}
	c->volumes = xreallocarray(c->volumes, c->nvolumes + 1, sizeof(*c->volumes));
	c->volumes[c->nvolumes++] = l;
	return 0;
}

const struct volume_lease *container_volume(const struct container *c, const char *name)
{
	for (size_t i = 0; name && i < c->nvolumes; i++)
		if (str_eq(c->volumes[i].record.name, name))
			return &c->volumes[i];
	return NULL;
}

int container_volumes_hold(struct container *c, bool create, struct err *e)
{
	struct run_opts *o = &c->rec.config.o;
	int r = 0;
	for (size_t i = 0; i < o->nmounts && r >= 0; i++)
		if (o->mounts[i].kind == MOUNT_KIND_VOLUME && !container_volume(c, o->mounts[i].source))
			r = hold(c, &o->mounts[i], create, e);
	return r < 0 ? r : 0;
}

int container_volumes_resolve(struct container *c, const json_t *config, struct err *e)
{
	struct run_opts *o = &c->rec.config.o;
	int r = 0;
	for (size_t i = 0; i < o->volumes_from.count && r == 0; i++)
		r = add_mounts_of(c, o->volumes_from.items[i], e);
	if (r == 0)
		r = add_image_volumes(c, config, e);
	for (size_t i = 0; i < o->nmounts && r == 0; i++)
		if (o->mounts[i].kind == MOUNT_KIND_IMAGE)
			r = find_image(c, &o->mounts[i], e);
	return r < 0 || o->explain ? r : container_volumes_hold(c, true, e);
}

/* ---- letting go ---- */

void container_volumes_release(struct container *c)
{
	for (size_t i = 0; i < c->nvolumes; i++)
		volume_release(&c->volumes[i]);
	free(c->volumes);
	c->volumes = NULL;
	c->nvolumes = 0;
}

void container_volumes_drop(const struct container_rec *rec)
{
	autostrv struct strv names = STRV_INIT;
	for (size_t i = 0; i < rec->config.o.nmounts; i++) {
		const struct mount_opt *m = &rec->config.o.mounts[i];
		if (m->kind == MOUNT_KIND_VOLUME && m->source)
			strv_add(&names, m->source);
	}
	volume_drop_anonymous(rec->store, &names, rec->config.id);
}
