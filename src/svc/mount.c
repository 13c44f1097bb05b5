/*
 * mount.c - see rl/svc/mount.h.
 */
#include "rl/svc/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container_stack.h"
#include "image_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/kern/mnt.h"
#include "stack_mount.h"

/* What is to be shown: its layers, TOP first, and what its directory is called. */
struct shown {
	struct strv dirs;
	char *id;
};

static void shown_free(struct shown *x)
{
	strv_free(&x->dirs);
	free(x->id);
}

/* ---- what a name means ---- */

/* The key of the layers that are to be seen here; rl unshare says it. */
static int layers_key(char **ret_key, struct err *e)
{
	const char *layers = getenv("RL_LAYERS");
	struct idmap map;
	if (geteuid() != 0) {
		err_set(e, EPERM, "mounting needs root of the user's namespace");
		return err_hint(e, "rl unshare, and then rl mount in its shell");
	}
	if (layers && *layers) {
		*ret_key = xstrdup(path_base(layers));
		return 0;
	}
	int r = idmap_detect(false, &map, e);
	if (r >= 0)
		*ret_key = xstrdup(map.key);
	return r;
}

static int find_container(const char *root, const char *name, struct shown *x, struct err *e)
{
	struct container_stack k;
	int r = container_stack_open(root, name, STACK_READ, &k, e);
	if (r < 0)
		return r;
	r = container_stack_need_layers(&k, "mount", e);
	strv_add_all(&x->dirs, &k.mine);
	strv_add_all(&x->dirs, &k.image);
	x->id = xstrdup(path_base(k.rec.dir));
	container_stack_close(&k);
	return r;
}

static int find_image(const char *root, const char *name, const char *key, struct shown *x, struct err *e)
{
	struct store s;
	struct store_image image;
	size_t missing;
	autofree char *ref = NULL;
	int r = image_bring_default(root, name, &ref, e);
	if (r >= 0)
		r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	r = store_find_image(&s, ref, &image, e);
	if (r >= 0) {
		x->id = xstrdup(image.config_digest + strlen("sha256:"));
		r = store_layer_dirs(&s, &image, key, &x->dirs, &missing, e);
		store_image_free(&image);
	}
	if (r > 0) {
		err_set(e, ENOENT, "layer %zu of image %s is not unpacked for these ids", missing + 1, name);
		r = err_hint(e, "outside of rl unshare, rl create %s unpacks it", name);
	}
	store_close(&s);
	return r;
}

static int find_shown(const char *root, const char *name, struct shown *x, struct err *e)
{
	autofree char *key = NULL;
	struct err why = ERR_INIT;
	int r = layers_key(&key, e);
	if (r < 0)
		return r;
	r = find_container(root, name, x, &why);
	if (r == -ENOENT && !x->id) {
		err_clear(&why);
		r = find_image(root, name, key, x, &why);
	}
	if (r < 0)
		*e = why;
	return r;
}

/* ---- mounting ---- */

static bool is_mounted(int dirfd, const char *name)
{
	struct statx st;
	return statx(dirfd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &st) == 0 &&
	       (st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static int open_mounts(const char *root, char **ret_path, struct err *e)
{
	struct store s;
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	r = store_dir(&s, "mounts", e);
	*ret_path = xasprintf("%s/mounts", s.root);
	store_close(&s);
	return r;
}

static int attach(const struct shown *x, int mounts, const char *path, struct err *e)
{
	if (mkdirat(mounts, x->id, 0700) < 0 && errno != EEXIST)
		return err_sys(e, errno, "make %s", path);
	autofd int fd = stack_mount(&x->dirs, path, e);
	return fd < 0 ? fd : 0;
}

int mount_show(const char *root, const char *name, char **ret_path, struct err *e)
{
	struct shown x = {.id = NULL};
	autofree char *dir = NULL;
	autofree char *path = NULL;
	int r = find_shown(root, name, &x, e);
	autofd int mounts = r < 0 ? -1 : open_mounts(root, &dir, e);
	if (r >= 0 && mounts < 0)
		r = mounts;
	if (r >= 0) {
		path = xasprintf("%s/%s", dir, x.id);
		r = is_mounted(mounts, x.id) ? 0 : attach(&x, mounts, path, e);
	}
	shown_free(&x);
	if (r < 0)
		return err_ctx(e, "mount %s", name);
	*ret_path = take_ptr(&path);
	return 0;
}

int mount_list(const char *root, struct strv *ret_lines, struct err *e)
{
	autofree char *dir = NULL;
	autostrv struct strv names = STRV_INIT;
	autofd int mounts = open_mounts(root, &dir, e);
	int r = mounts < 0 ? mounts : io_list_dir(mounts, &names, e);
	strv_sort(&names);
	for (size_t i = 0; r >= 0 && i < names.count; i++)
		if (is_mounted(mounts, names.items[i]))
			strv_addf(ret_lines, "%.12s %s/%s", names.items[i], dir, names.items[i]);
	return r < 0 ? r : 0;
}

/* The directory goes too, unless something is mounted on it in another namespace. */
static int detach(int mounts, const char *dir, const char *id, struct err *e)
{
	autofree char *path = xasprintf("%s/%s", dir, id);
	if (umount2(path, UMOUNT_NOFOLLOW) < 0)
		return err_sys(e, errno, "unmount %s", path);
	unlinkat(mounts, id, AT_REMOVEDIR);
	return 0;
}

int mount_drop(const char *root, const char *name, struct err *e)
{
	struct shown x = {.id = NULL};
	autofree char *dir = NULL;
	int r = find_shown(root, name, &x, e);
	autofd int mounts = r < 0 ? -1 : open_mounts(root, &dir, e);
	if (r >= 0 && mounts < 0)
		r = mounts;
	if (r >= 0 && !is_mounted(mounts, x.id))
		r = err_set(e, ENOENT, "%s is not mounted here", name);
	if (r >= 0)
		r = detach(mounts, dir, x.id, e);
	shown_free(&x);
	return r;
}

int mount_drop_all(const char *root, struct err *e)
{
	autofree char *dir = NULL;
	autostrv struct strv names = STRV_INIT;
	autofd int mounts = open_mounts(root, &dir, e);
	int r = mounts < 0 ? mounts : io_list_dir(mounts, &names, e);
	for (size_t i = 0; r >= 0 && i < names.count; i++)
		if (is_mounted(mounts, names.items[i]))
			r = detach(mounts, dir, names.items[i], e);
	return r < 0 ? r : 0;
}
