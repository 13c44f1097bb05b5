/*
 * apply_overlay.c - the root from image layers, on the first rung that holds (decision 14).
 *
 *   overlay   upper and work in the container's directory
 *   memory    the same lower layers, upper and work on a tmpfs of this mount namespace: where the store lies on an
 *             overlay or a network file system. What is written is lost at the end, so for --rm only
 *   copy      the layers are put on top of each other into the container's own directory, by reflink where the file
 *             system can, and that directory is the root (rl/engine/root_copy.h). Done once
 *
 * Of a step of a build the writable layer becomes a layer of the image: who started it takes it from memory
 * (spec->layer_in_memory), or from the copy (root_copy_settle).
 *
 * Each is chosen by trying it with the very directories. The parent is told, and tells the person.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apply.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"
#include "rl/engine/root_copy.h"
#include "rl/kern/mnt.h"
#include "steps.h"

int apply_say(struct apply *a, const char *text, struct err *e)
{
	return sync_send(a->sync, STEP_NOTE, text, strlen(text), NULL, 0, e);
}

/* ---- memory ---- */

static int make_in(int dir, const char *name)
{
	if (mkdirat(dir, name, 0755) < 0)
		return -1;
	return openat(dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int apply_overlay_in_memory(const struct mnt_overlay *o, unsigned attrs, int place, int targetfd, int *ret_upper,
			    struct err *e)
{
	/* A quarter of the machine's memory at most. */
	autofd int tmpfs = mnt_new("tmpfs", "size=25%,mode=755", 0, place, e);
	if (tmpfs < 0)
		return tmpfs;
	autofd int upper = make_in(tmpfs, "upper");
	autofd int work = make_in(tmpfs, "work");
	if (upper < 0 || work < 0)
		return err_sys(e, errno, "make a writable layer in memory");
	struct mnt_overlay in = *o;
	in.upper = upper;
	in.work = work;
	if (ret_upper && (*ret_upper = openat(upper, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_sys(e, errno, "open the writable layer in memory");
	return mnt_overlay(&in, attrs, targetfd, e);
}

/* ---- copy ---- */

static int mount_copy(struct apply *a, struct err *e)
{
	autofd int root = root_copy_make(a->workfd, a->upperfd, a->layerfds, a->plan->spec->layers.count, e);
	return root < 0 ? root : mnt_bind(root, "", false, MNT_NODEV, 0, a->mountfd, e);
}

/* ---- the rungs ---- */

/* Its owner reads it when we are gone, through the descriptor. 1: not in memory either. */
static int layer_in_memory(struct apply *a, const struct mnt_overlay *o, struct err *e)
{
	autofd int upper = -1;
	int fd = a->plan->spec->layer_in_memory
			 ? apply_overlay_in_memory(o, MNT_NODEV, a->workfd, a->mountfd, &upper, NULL)
			 : -1;
	if (fd < 0)
		return 1;
	a->rootfd = fd;
	int r = sync_send(a->sync, STEP_LAYER, NULL, 0, &upper, 1, e);
	if (r >= 0)
		r = apply_say(
			a,
			"the store cannot hold a layer that is written: what this step writes is in memory until it "
			"is done",
			e);
	return r < 0 ? r : 0;
}

/* What the container writes is lost at the end. 1: not in memory either. */
static int root_in_memory(struct apply *a, const struct mnt_overlay *o, struct err *e)
{
	/* On the work directory, which this overlay does not use. */
	int fd = apply_overlay_in_memory(o, MNT_NODEV, a->workfd, a->mountfd, NULL, NULL);
	if (fd < 0)
		return 1;
	a->rootfd = fd;
	int r = apply_say(a,
			  "the store cannot hold a writable layer of an overlay: what the container writes is kept in "
			  "memory",
			  e);
	return r < 0 ? r : 0;
}

static int root_copied(struct apply *a, bool is_new, struct err *first, struct err *e)
{
	struct err why = ERR_INIT;
	int r = is_new ? apply_say(a, "overlays are refused here: the image is copied for this container", e) : 0;
	if (r < 0)
		return r;
	int fd = mount_copy(a, &why);
	if (fd >= 0) {
		a->rootfd = fd;
		return 0;
	}
	if (e)
		*e = is_new ? *first : why;
	if (is_new)
		err_hint(e, "copying the image failed too: %.200s", why.text);
	return e ? -e->code : fd;
}

int apply_root_overlay(struct apply *a, struct err *e)
{
	const struct rtspec *s = a->plan->spec;
	struct err first = ERR_INIT;
	struct mnt_overlay o = {
		.lower = a->layerfds,
		.nlower = s->layers.count,
		.upper = a->upperfd,
		.work = a->workfd,
		.is_volatile = s->is_volatile,
	};
	if (root_copy_is_there(a->workfd))
		return root_copied(a, false, &first, e);
	a->rootfd = mnt_overlay(&o, MNT_NODEV, a->mountfd, &first);
	if (a->rootfd >= 0)
		return 0;
	if (!mnt_overlay_is_refused(first.code) || a->upperfd < 0 || o.nlower > OVL_LOWER_MAX) {
		if (e)
			*e = first;
		return -first.code;
	}
	int r = s->is_layer ? layer_in_memory(a, &o, e) : s->is_volatile ? root_in_memory(a, &o, e) : 1;
	return r > 0 ? root_copied(a, true, &first, e) : r;
}
