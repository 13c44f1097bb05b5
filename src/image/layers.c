/*
 * layers.c - unpacked layers: made, published, and all of an image made present; see image_int.h.
 *
 * A layer is unpacked by a confined program (rl/engine/archive.h) into WORK/NAME/diff, gets WORK/NAME/info.json and
 * is renamed to layers/KEY/HEX. HEX is the DiffID, so that images share it, unless the tar is not self-contained
 * (DECISIONS 7): the first attempt, made without looking at anything below, then says needs_lower, and a second one is
 * made on top of the layers below and published under the ChainID. The bottom layer of an image has nothing below
 * (an empty directory is given for it) and ChainID and DiffID are the same; its info.json keeps the mark, so that an
 * image which has the same tar further up does not take it.
 *
 *     info.json: {"version":1,"diffID":...,"needsLower":bool,"unpacked":bytes,"tar":bytes,"entries":n,"records":n,
 *                 "sidecar":bytes,"maxUid":n,"maxGid":n,"hasRoot":bool}
 *
 * Layers that need nothing are unpacked several at a time; the others follow in order.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image_int.h"
#include "rl/base/io.h"
#include "rl/base/json.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/kern/probe.h"

enum { JOBS_MAX = 4, PROGRESS_MS = 100, INFO_MAX = 64 << 10 };

/* ---- one layer ---- */

struct layer_job {
	struct archive_job job;
	int blobfd;
	char dir[32];
	bool active;
};

static int make_target(const struct store_work *w, const char *dir, int *ret_sidecarfd, struct err *e)
{
	if (mkdirat(w->dirfd, dir, 0700) < 0)
		return err_sys(e, errno, "make %s", dir);
	autofd int dirfd = openat(w->dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return err_sys(e, errno, "open %s", dir);
	if (mkdirat(dirfd, "diff", 0755) < 0)
		return err_sys(e, errno, "make %s/diff", dir);
	autofd int sidecarfd = openat(dirfd, "sidecar", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (sidecarfd < 0)
		return err_sys(e, errno, "create %s/sidecar", dir);
	int fd = openat(dirfd, "diff", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "open %s/diff", dir);
	*ret_sidecarfd = take_fd(&sidecarfd);
	return fd;
}

/* Descriptors of the directories below, or of one empty directory: "there is nothing below". */
static int open_lowers(const struct image_ctx *c, struct store_work *w, const struct strv *lowers, int *fds, size_t *n,
		       struct err *e)
{
	*n = 0;
	if (lowers->count > ARCHIVE_LOWERS_MAX)
		return err_set(e, E2BIG, "a layer that needs the %zu layers below it; the limit is %d", lowers->count,
			       ARCHIVE_LOWERS_MAX);
	for (size_t i = 0; i < lowers->count; i++) {
		autofree char *path = xasprintf("%s/diff", lowers->items[i]);
		fds[*n] = openat(c->store.rootfd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fds[*n] < 0)
			return err_sys(e, errno, "open %s", path);
		(*n)++;
	}
	if (lowers->count)
		return 0;
	if (mkdirat(w->dirfd, "nothing", 0755) < 0 && errno != EEXIST)
		return err_sys(e, errno, "make an empty directory");
	fds[0] = openat(w->dirfd, "nothing", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fds[0] < 0)
		return err_sys(e, errno, "open an empty directory");
	*n = 1;
	return 0;
}

static int job_begin(struct image_ctx *c, struct store_work *w, int blobfd, int teefd, const struct strv *lowers,
		     struct layer_job *job, struct err *e)
{
	char random[17];
	io_random_hex(8, random);
	snprintf(job->dir, sizeof(job->dir), "layer-%s", random);
	autofd int sidecarfd = -1;
	autofd int targetfd = make_target(w, job->dir, &sidecarfd, e);
	if (targetfd < 0)
		return targetfd;
	autofree int *lowerfds = xcalloc(ARCHIVE_LOWERS_MAX, sizeof(*lowerfds));
	size_t nlower = 0;
	int r = lowers ? open_lowers(c, w, lowers, lowerfds, &nlower, e) : 0;
	if (r >= 0)
		r = archive_unpack_start(&(struct archive_unpack){.program = c->program,
								  .map = &c->map,
								  .blobfd = blobfd,
								  .teefd = teefd,
								  .targetfd = targetfd,
								  .sidecarfd = sidecarfd,
								  .lowerfds = lowerfds,
								  .nlower = nlower},
					 &job->job, e);
	for (size_t i = 0; i < nlower; i++)
		close(lowerfds[i]);
	if (r < 0)
		return r;
	job->blobfd = blobfd;
	job->active = true;
	return 0;
}

/* Wait for the end; the reader's position in the shared open file is the progress. */
static int job_end(struct image_ctx *c, struct layer_job *job, const char *what, uint64_t total,
		   struct archive_unpacked *ret, struct err *e)
{
	struct pollfd pfd = {.fd = job->job.sock, .events = POLLIN};
	while (poll(&pfd, 1, PROGRESS_MS) == 0) {
		off_t at = lseek(job->blobfd, 0, SEEK_CUR);
		image_tell_progress(c, what, at > 0 ? (uint64_t)at : 0, total);
	}
	job->active = false;
	return archive_unpack_finish(&job->job, ret, e);
}

static int write_info(struct store_work *w, const char *dir, const struct archive_unpacked *u, bool needs_lower,
		      struct err *e)
{
	autojson json_t *doc = json_object();
	json_put_int(doc, "version", 1);
	json_put_str(doc, "diffID", u->diffid);
	json_put_bool(doc, "needsLower", needs_lower);
	json_put_int(doc, "unpacked", (int64_t)u->unpacked_size);
	json_put_int(doc, "tar", (int64_t)u->tar_size);
	json_put_int(doc, "entries", (int64_t)u->entries);
	json_put_int(doc, "records", (int64_t)u->records);
	json_put_int(doc, "sidecar", (int64_t)u->sidecar_size);
	json_put_int(doc, "maxUid", u->max_uid);
	json_put_int(doc, "maxGid", u->max_gid);
	json_put_bool(doc, "hasRoot", u->has_root);
	autostr struct str text = STR_INIT;
	json_print(doc, false, &text);
	str_addc(&text, '\n');
	autofd int dirfd = openat(w->dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return err_sys(e, errno, "open %s", dir);
	if (u->sidecar_size == 0 && unlinkat(dirfd, "sidecar", 0) < 0)
		return err_sys(e, errno, "remove %s/sidecar", dir);
	int r = io_replace_file(dirfd, "info.json", text.buf, text.len, 0600, true, e);
	if (r >= 0 && fsync(dirfd) < 0 && errno != EINVAL && errno != ENOSYS)
		r = err_sys(e, errno, "sync %s", dir);
	return r;
}

/* One attempt, from the beginning of the blob. `lowers` NULL: without looking at what is below. */
static int unpack_once(struct image_ctx *c, struct store_work *w, const struct layer_source *source, int teefd,
		       const struct strv *lowers, struct layer_new *ret, struct err *e)
{
	struct layer_new n = {.dir = ""};
	struct layer_job job = {.job = ARCHIVE_JOB_NONE};
	autofd int blobfd = source->open(source->arg, e);
	if (blobfd < 0)
		return blobfd;
	int r = job_begin(c, w, blobfd, teefd, lowers, &job, e);
	if (r >= 0)
		r = job_end(c, &job, source->what, source->total, &n.result, e);
	if (r < 0)
		return r;
	memcpy(n.dir, job.dir, sizeof(n.dir));
	if (lowers)
		n.result.needs_lower = true; /* it was asked for because the first attempt said so */
	*ret = n;
	return 0;
}

int layer_unpack(struct image_ctx *c, struct store_work *w, const struct layer_source *source, struct layer_new *ret,
		 struct err *e)
{
	struct layer_new n;
	int r = unpack_once(c, w, source, source->teefd, NULL, &n, e);
	if (r >= 0 && n.result.needs_lower) {
		const struct strv nothing = STRV_INIT;
		struct layer_new again;
		log_debug(LOG_STORE, "the tar is not self-contained (%s): once more", n.result.missing);
		r = store_remove_tree(w->dirfd, n.dir, e);
		if (r >= 0)
			r = unpack_once(c, w, source, 0, &nothing, &again, e);
		if (r >= 0 && !str_eq(again.result.diffid, n.result.diffid))
			r = err_set(e, EBADMSG, "the archive changed while it was read");
		if (r >= 0)
			n = again;
	}
	if (r >= 0)
		r = write_info(w, n.dir, &n.result, n.result.needs_lower, e);
	if (r >= 0)
		*ret = n;
	return r;
}

int layer_publish(struct image_ctx *c, struct store_work *w, const struct layer_new *n, const char *chain_hex,
		  struct store_layer *layer, struct err *e)
{
	const char *hex = n->result.needs_lower ? chain_hex : n->result.diffid + 7;
	int r = store_publish_layer(w, n->dir, c->map.key, hex, e);
	if (r < 0)
		return r;
	snprintf(layer->key, sizeof(layer->key), "%s", hex);
	layer->unpacked_size = (int64_t)n->result.unpacked_size;
	return 0;
}

/* ---- all layers of an image ---- */

enum layer_state { LAYER_MISSING, LAYER_PRESENT, LAYER_NEEDS_LOWER, LAYER_TWIN };

struct image_layers {
	struct image_ctx *c;
	struct store_work *w;
	struct store_record *record;
	struct slot {
		enum layer_state state;
		char chain[STORE_DIGEST_SIZE];
		size_t twin; /* LAYER_TWIN: an earlier layer with the same DiffID */
		struct layer_job job;
		int blobfd;
		bool dependent; /* cannot be unpacked without those below */
		char what[80];
	} * slots;
	bool changed;
};

struct blob_arg {
	struct image_layers *all;
	size_t i;
};

static int open_layer_blob(void *arg, struct err *e)
{
	const struct blob_arg *b = arg;
	const struct store_layer *l = &b->all->record->layers[b->i];
	return store_open_blob(&b->all->c->store, l->blob, l->blob_size, e);
}

static void set_layer(struct image_layers *all, size_t i, const char *key, int64_t unpacked)
{
	struct store_layer *l = &all->record->layers[i];
	if (str_eq(l->key, key) && l->unpacked_size == unpacked)
		return;
	snprintf(l->key, sizeof(l->key), "%s", key);
	l->unpacked_size = unpacked;
	all->changed = true;
}

/* Is layers/KEY/HEX there and of use for layer i? */
static int look_at(struct image_layers *all, size_t i, const char *hex, struct err *e)
{
	int r = store_pin_layer(all->w, all->c->map.key, hex, e);
	if (r <= 0)
		return r;
	autofree char *path = store_layer_path(all->c->map.key, hex);
	autofree char *info_path = xasprintf("%s/info.json", path);
	autojson json_t *info = NULL;
	if (json_parse_file(all->c->store.rootfd, info_path, INFO_MAX, &info, NULL) < 0)
		return 0;
	bool needs_lower = json_bool_or(info, "needsLower", false);
	if (needs_lower && !str_eq(hex, all->slots[i].chain))
		return 0; /* unpacked as the bottom of another image */
	set_layer(all, i, hex, json_int_or(info, "unpacked", 0));
	all->slots[i].state = LAYER_PRESENT;
	return 1;
}

static int find_present(struct image_layers *all, struct err *e)
{
	for (size_t i = 0; i < all->record->nlayers; i++) {
		struct slot *s = &all->slots[i];
		const char *diff = all->record->layers[i].diff_id + 7;
		image_chain(i ? all->slots[i - 1].chain : "", diff, s->chain);
		int r = look_at(all, i, diff, e);
		if (r == 0 && !str_eq(diff, s->chain))
			r = look_at(all, i, s->chain, e);
		if (r < 0)
			return r;
		for (size_t k = 0; k < i && s->state == LAYER_MISSING; k++) {
			if (all->slots[k].state == LAYER_MISSING && str_eq(all->record->layers[k].diff_id + 7, diff)) {
				s->state = LAYER_TWIN;
				s->twin = k;
			}
		}
	}
	return 0;
}

static int check_result(const struct image_layers *all, size_t i, const struct archive_unpacked *u, struct err *e)
{
	const struct store_layer *l = &all->record->layers[i];
	if (!str_eq(u->blob_digest, l->blob))
		return err_set(e, EBADMSG, "blob %s is damaged: its digest is %s", l->blob, u->blob_digest);
	if (!str_eq(u->diffid, l->diff_id))
		return err_set(e, EBADMSG, "the image says DiffID %s for a layer that has %s", l->diff_id, u->diffid);
	return 0;
}

static void name_slot(const struct image_layers *all, size_t i, char ret[80])
{
	snprintf(ret, 80, "layer %zu/%zu %.19s", i + 1, all->record->nlayers, all->record->layers[i].blob);
}

static int begin_slot(struct image_layers *all, size_t i, struct err *e)
{
	struct slot *s = &all->slots[i];
	name_slot(all, i, s->what);
	s->blobfd = open_layer_blob(&(struct blob_arg){all, i}, e);
	if (s->blobfd < 0)
		return s->blobfd;
	return job_begin(all->c, all->w, s->blobfd, 0, NULL, &s->job, e);
}

static int end_slot(struct image_layers *all, size_t i, struct err *e)
{
	struct slot *s = &all->slots[i];
	struct layer_new n = {.dir = ""};
	int r = job_end(all->c, &s->job, s->what, (uint64_t)all->record->layers[i].blob_size, &n.result, e);
	close_fd(&s->blobfd);
	if (r >= 0)
		r = check_result(all, i, &n.result, e);
	if (r < 0)
		return err_ctx(e, "%s", s->what);
	memcpy(n.dir, s->job.dir, sizeof(n.dir));
	if (n.result.needs_lower) {
		s->state = LAYER_NEEDS_LOWER;
		s->dependent = true;
		return store_remove_tree(all->w->dirfd, n.dir, e);
	}
	r = write_info(all->w, n.dir, &n.result, false, e);
	struct store_layer published = {.key = ""};
	if (r >= 0)
		r = layer_publish(all->c, all->w, &n, s->chain, &published, e);
	if (r < 0)
		return err_ctx(e, "%s", s->what);
	set_layer(all, i, published.key, published.unpacked_size);
	s->state = LAYER_PRESENT;
	return 0;
}

/* First attempts: a window of jobs over the missing layers, finished in order. */
static int unpack_missing(struct image_layers *all, struct err *e)
{
	cpu_set_t cpus;
	CPU_ZERO(&cpus);
	size_t window = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? (size_t)CPU_COUNT(&cpus) : 1;
	window = RL_MAX((size_t)1, RL_MIN(window, (size_t)JOBS_MAX));
	size_t begun = 0;
	size_t running = 0;
	for (size_t i = 0; i < all->record->nlayers; i++) {
		for (; running < window && begun < all->record->nlayers; begun++) {
			if (all->slots[begun].state != LAYER_MISSING)
				continue;
			int r = begin_slot(all, begun, e);
			if (r < 0)
				return err_ctx(e, "%s", all->slots[begun].what);
			running++;
		}
		if (!all->slots[i].job.active)
			continue;
		int r = end_slot(all, i, e);
		if (r < 0)
			return r;
		running--;
	}
	return 0;
}

static int unpack_dependent(struct image_layers *all, size_t i, struct err *e)
{
	struct slot *s = &all->slots[i];
	autostrv struct strv lowers = STRV_INIT;
	for (size_t k = i; k-- > 0;)
		strv_add_owned(&lowers, store_layer_path(all->c->map.key, all->record->layers[k].key));
	struct blob_arg arg = {all, i};
	name_slot(all, i, s->what);
	const struct layer_source source = {.open = open_layer_blob,
					    .arg = &arg,
					    .what = s->what,
					    .total = (uint64_t)all->record->layers[i].blob_size};
	struct layer_new n;
	int r = unpack_once(all->c, all->w, &source, 0, &lowers, &n, e);
	if (r >= 0)
		r = check_result(all, i, &n.result, e);
	if (r >= 0)
		r = write_info(all->w, n.dir, &n.result, true, e);
	struct store_layer published = {.key = ""};
	if (r >= 0)
		r = layer_publish(all->c, all->w, &n, s->chain, &published, e);
	if (r < 0)
		return err_ctx(e, "%s", s->what);
	set_layer(all, i, published.key, published.unpacked_size);
	s->state = LAYER_PRESENT;
	return 0;
}

static int unpack_rest(struct image_layers *all, struct err *e)
{
	for (size_t i = 0; i < all->record->nlayers; i++) {
		struct slot *s = &all->slots[i];
		const struct slot *twin = &all->slots[s->twin];
		/* The twin is done by now. If it needed those below it, so do we, and ours are others. */
		if (s->state == LAYER_TWIN && twin->dependent)
			s->state = LAYER_NEEDS_LOWER;
		else if (s->state == LAYER_TWIN)
			set_layer(all, i, all->record->layers[s->twin].key, all->record->layers[s->twin].unpacked_size);
		if (s->state != LAYER_NEEDS_LOWER)
			continue;
		int r = unpack_dependent(all, i, e);
		if (r < 0)
			return r;
	}
	return 0;
}

int layers_ensure(struct image_ctx *c, struct store_work *w, struct store_record *r, struct err *e)
{
	struct image_layers all = {.c = c, .w = w, .record = r};
	all.slots = xcalloc(r->nlayers + 1, sizeof(*all.slots));
	for (size_t i = 0; i < r->nlayers; i++) {
		all.slots[i].blobfd = -1;
		all.slots[i].job.job = (struct archive_job)ARCHIVE_JOB_NONE;
	}
	int rc = find_present(&all, e);
	if (rc >= 0)
		rc = unpack_missing(&all, e);
	if (rc >= 0)
		rc = unpack_rest(&all, e);
	for (size_t i = 0; i < r->nlayers; i++) {
		if (all.slots[i].job.active)
			archive_job_cancel(&all.slots[i].job.job);
		close_fd(&all.slots[i].blobfd);
	}
	free(all.slots);
	return rc < 0 ? rc : all.changed;
}

int layers_ensure_or_defer(struct image_ctx *c, struct store_work *w, struct store_record *r, struct err *e)
{
	struct err why = ERR_INIT;
	int rc = layers_ensure(c, w, r, &why);
	if (rc >= 0)
		return rc;
	if (probe_userns() == 0) {
		*e = why;
		return rc;
	}
	image_note(c, "the layers are kept packed, because there are no user namespaces to unpack them in; whoever runs the "
		      "image will unpack them");
	return 0;
}
