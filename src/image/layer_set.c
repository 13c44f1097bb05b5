/*
 * layer_set.c - all layers of an image, unpacked side by side, also while their blobs arrive; see image_int.h.
 *
 * Every layer is a slot:
 *
 *     MISSING -> (unpacker) -> UNPACKED -> published: PRESENT
 *                           -> NEEDS_LOWER (decision 7) -> unpacked once more, in order, after the others
 *     TWIN: an earlier slot has the same DiffID and does the work
 *
 * The unpackers are processes of their own; a window of them runs, in the order in which bytes for them are there. A
 * layer that is being downloaded is read from the very file the download goes to: an eventfd tells its unpacker how far
 * (rl/engine/archive.h), so the download never waits for the disk and nothing is copied. One epoll descriptor stands for
 * everything that can happen: sockets of unpackers, and `kick`, which says that a feed has its first bytes.
 *
 * Nothing is published before all of it is verified; what a failed or killed pull unpacked is thrown away with the
 * work directory, and the blobs, whole or in part, stay in cache/ for the next one.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "image_int.h"
#include "rl/base/json.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/kern/probe.h"

enum { JOBS_MAX = 4, PROGRESS_MS = 100, INFO_MAX = 64 << 10, KICK = UINT32_MAX };

enum layer_state { LAYER_MISSING, LAYER_PRESENT, LAYER_UNPACKED, LAYER_NEEDS_LOWER, LAYER_TWIN };

struct layer_feed {
	struct layer_set *set;
	size_t slot;
	int filefd;
	int eventfd;
};

struct slot {
	enum layer_state state;
	char chain[STORE_DIGEST_SIZE];
	size_t twin; /* LAYER_TWIN: an earlier layer with the same DiffID */
	struct layer_job job;
	struct layer_new fresh;	 /* LAYER_UNPACKED */
	struct layer_feed *feed; /* NULL: the store has the blob */
	int blobfd;
	bool ready;	/* there is something to read */
	bool dependent; /* cannot be unpacked without those below */
	char what[72];
};

struct layer_set {
	struct image_ctx *c;
	struct store_work *w;
	struct store_record *record;
	struct slot *slots;
	size_t running, window;
	int epollfd, kickfd;
	bool changed;
	struct layer_claims claims; /* nobody else unpacks what we do */
};

static void set_layer(struct layer_set *set, size_t i, const char *key, int64_t unpacked)
{
	struct store_layer *l = &set->record->layers[i];
	if (str_eq(l->key, key) && l->unpacked_size == unpacked)
		return;
	snprintf(l->key, sizeof(l->key), "%s", key);
	l->unpacked_size = unpacked;
	set->changed = true;
}

/* ---- what is there already ---- */

/* Is layers/KEY/HEX there and of use for layer i? */
static int look_at(struct layer_set *set, size_t i, const char *hex, struct err *e)
{
	int r = store_pin_layer(set->w, set->c->map.key, hex, e);
	if (r <= 0)
		return r;
	autofree char *path = store_layer_path(set->c->map.key, hex);
	autofree char *info_path = xasprintf("%s/info.json", path);
	autojson json_t *info = NULL;
	if (json_parse_file(set->c->store.rootfd, info_path, INFO_MAX, &info, NULL) < 0)
		return 0;
	bool needs_lower = json_bool_or(info, "needsLower", false);
	if (needs_lower && !str_eq(hex, set->slots[i].chain))
		return 0; /* unpacked as the bottom of another image */
	set_layer(set, i, hex, json_int_or(info, "unpacked", 0));
	set->slots[i].state = LAYER_PRESENT;
	return 1;
}

static int find_present(struct layer_set *set, struct err *e)
{
	const struct store_layer *layers = set->record->layers;
	for (size_t i = 0; i < set->record->nlayers; i++) {
		struct slot *s = &set->slots[i];
		const char *diff = layers[i].diff_id + 7;
		image_chain(i ? set->slots[i - 1].chain : "", diff, s->chain);
		snprintf(s->what, sizeof(s->what), "layer %zu/%zu %.12s", i + 1, set->record->nlayers,
			 layers[i].blob + 7);
		int r = look_at(set, i, diff, e);
		if (r == 0 && !str_eq(diff, s->chain))
			r = look_at(set, i, s->chain, e);
		if (r < 0)
			return r;
		for (size_t k = 0; k < i && s->state == LAYER_MISSING; k++) {
			bool same = str_eq(layers[k].diff_id + 7, diff);
			if (!same && str_eq(layers[k].blob, layers[i].blob))
				return err_set(e, EBADMSG,
					       "layers %zu and %zu are the same blob with different DiffIDs", k + 1,
					       i + 1);
			if (same && set->slots[k].state == LAYER_MISSING) {
				s->state = LAYER_TWIN;
				s->twin = k;
			}
		}
	}
	return 0;
}

/* What is missing is ours to unpack, or was unpacked by somebody else while we waited. */
static int claim_missing(struct layer_set *set, struct err *e)
{
	autostrv struct strv hexes = STRV_INIT;
	for (size_t i = 0; i < set->record->nlayers; i++)
		if (set->slots[i].state == LAYER_MISSING)
			strv_add(&hexes, set->record->layers[i].diff_id + 7);
	if (!hexes.count)
		return 0;
	int r = layer_claims_take(set->c, &hexes, &set->claims, e);
	for (size_t i = 0; i < set->record->nlayers; i++)
		set->slots[i].state = LAYER_MISSING;
	if (r >= 0)
		r = find_present(set, e);
	for (size_t i = 0; r >= 0 && i < set->record->nlayers; i++)
		if (set->slots[i].state == LAYER_MISSING)
			log_debug(LOG_STORE, "to unpack: %s", set->record->layers[i].diff_id);
	return r;
}

/* ---- feeds ---- */

int layer_set_feed(struct layer_set *set, const char *digest, int fd, struct layer_feed **ret_feed, struct err *e)
{
	autofd int filefd = fd;
	size_t i = 0;
	while (i < set->record->nlayers &&
	       (set->slots[i].state != LAYER_MISSING || !str_eq(set->record->layers[i].blob, digest)))
		i++;
	*ret_feed = NULL;
	if (i == set->record->nlayers)
		return 0;
	autofd int event = eventfd(0, EFD_CLOEXEC);
	if (event < 0)
		return err_sys(e, errno, "make an eventfd");
	struct layer_feed *feed = xcalloc(1, sizeof(*feed));
	*feed = (struct layer_feed){.set = set, .slot = i, .filefd = take_fd(&filefd), .eventfd = take_fd(&event)};
	set->slots[i].feed = *ret_feed = feed;
	return 0;
}

static void kick(struct layer_set *set)
{
	/* It can only fail when it is very full, and then it is readable already. */
	(void)!write(set->kickfd, &(uint64_t){1}, sizeof(uint64_t));
}

void layer_feed_add(struct layer_feed *feed, uint64_t bytes)
{
	struct slot *s = &feed->set->slots[feed->slot];
	/* Blocks never: the counter is wider than any file. */
	(void)!write(feed->eventfd, &bytes, sizeof(bytes));
	if (!s->ready) {
		s->ready = true;
		kick(feed->set);
	}
}

static void drop_job(struct layer_set *set, struct slot *s)
{
	if (!s->job.active)
		return;
	s->job.active = false;
	set->running--;
	epoll_ctl(set->epollfd, EPOLL_CTL_DEL, s->job.job.sock, NULL);
	archive_job_cancel(&s->job.job);
}

int layer_feed_restart(struct layer_feed *feed)
{
	struct slot *s = &feed->set->slots[feed->slot];
	/* An unpacker that is done with bytes that were not the blob's: its result goes, too. */
	drop_job(feed->set, s);
	int event = eventfd(0, EFD_CLOEXEC);
	if (event < 0 || lseek(feed->filefd, 0, SEEK_SET) < 0) {
		int r = -errno;
		if (event >= 0)
			close(event);
		return r;
	}
	close(feed->eventfd);
	feed->eventfd = event;
	s->state = LAYER_MISSING;
	s->dependent = s->ready = false;
	kick(feed->set);
	return 0;
}

/* ---- unpackers ---- */

static int begin_slot(struct layer_set *set, size_t i, struct err *e)
{
	struct slot *s = &set->slots[i];
	const struct store_layer *l = &set->record->layers[i];
	struct layer_input in = {.no_wait = true};
	if (s->feed) {
		in.blobfd = s->feed->filefd;
		in.feedfd = s->feed->eventfd;
		in.size = (uint64_t)l->blob_size;
	} else {
		in.blobfd = s->blobfd = store_open_blob(&set->c->store, l->blob, l->blob_size, e);
		if (s->blobfd < 0)
			return s->blobfd;
	}
	int r = layer_job_begin(set->c, set->w, &in, NULL, &s->job, e);
	if (r < 0)
		return r;
	set->running++;
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
	if (epoll_ctl(set->epollfd, EPOLL_CTL_ADD, s->job.job.sock, &ev) < 0)
		return err_sys(e, errno, "watch an unpacker");
	return 0;
}

static int start_ready(struct layer_set *set, struct err *e)
{
	for (size_t i = 0; i < set->record->nlayers && set->running < set->window; i++) {
		struct slot *s = &set->slots[i];
		if (s->state != LAYER_MISSING || !s->ready || s->job.active)
			continue;
		int r = begin_slot(set, i, e);
		if (r < 0)
			return err_ctx(e, "%s", s->what);
	}
	return 0;
}

static int check_result(const struct layer_set *set, size_t i, const struct archive_unpacked *u, struct err *e)
{
	const struct store_layer *l = &set->record->layers[i];
	/* A fed blob is hashed by whoever writes it. */
	if (*u->blob_digest && !str_eq(u->blob_digest, l->blob))
		return err_set(e, EBADMSG, "blob %s is damaged: its digest is %s", l->blob, u->blob_digest);
	if (!str_eq(u->diffid, l->diff_id))
		return err_set(e, EBADMSG, "the image says DiffID %s for a layer that has %s", l->diff_id, u->diffid);
	return 0;
}

static int end_slot(struct layer_set *set, size_t i, struct err *e)
{
	struct slot *s = &set->slots[i];
	struct layer_new n = {.dir = ""};
	epoll_ctl(set->epollfd, EPOLL_CTL_DEL, s->job.job.sock, NULL);
	s->job.active = false;
	set->running--;
	int r = archive_unpack_finish(&s->job.job, &n.result, e);
	close_fd(&s->blobfd);
	if (r >= 0)
		r = check_result(set, i, &n.result, e);
	memcpy(n.dir, s->job.dir, sizeof(n.dir));
	if (r >= 0 && n.result.needs_lower) {
		s->state = LAYER_NEEDS_LOWER;
		s->dependent = true;
		r = store_remove_tree(set->w->dirfd, n.dir, e);
	} else if (r >= 0) {
		r = layer_write_info(set->w, n.dir, &n.result, false, e);
		s->fresh = n;
		s->state = LAYER_UNPACKED;
		uint64_t size = (uint64_t)set->record->layers[i].blob_size;
		image_tell_progress(set->c, s->what, IMAGE_DONE, size, size);
	}
	return r < 0 ? err_ctx(e, "%s", s->what) : 0;
}

int layer_set_fd(const struct layer_set *set)
{
	return set->epollfd;
}

int layer_set_step(struct layer_set *set, struct err *e)
{
	struct epoll_event events[JOBS_MAX + 1];
	int n = epoll_wait(set->epollfd, events, ARRAY_SIZE(events), 0);
	for (int k = 0; k < n; k++) {
		uint32_t i = events[k].data.u32;
		if (i == KICK) {
			(void)!read(set->kickfd, &(uint64_t){0}, sizeof(uint64_t));
			continue;
		}
		struct slot *s = &set->slots[i];
		if (!s->job.active)
			continue;
		int r = archive_job_advance(&s->job.job, e);
		if (r < 0)
			return err_ctx(e, "%s", s->what);
		r = r > 0 ? end_slot(set, i, e) : 0;
		if (r < 0)
			return r;
	}
	return start_ready(set, e);
}

static void tell_positions(const struct layer_set *set)
{
	for (size_t i = 0; i < set->record->nlayers; i++) {
		const struct slot *s = &set->slots[i];
		off_t at = s->job.active ? lseek(s->job.blobfd, 0, SEEK_CUR) : -1;
		if (at >= 0)
			image_tell_progress(set->c, s->what, IMAGE_UNPACKING, (uint64_t)at,
					    (uint64_t)set->record->layers[i].blob_size);
	}
}

int layer_set_finish(struct layer_set *set, struct err *e)
{
	for (size_t i = 0; i < set->record->nlayers; i++)
		set->slots[i].ready = true;
	int r = start_ready(set, e);
	tell_positions(set);
	while (r >= 0 && set->running) {
		struct pollfd pfd = {.fd = set->epollfd, .events = POLLIN};
		if (poll(&pfd, 1, PROGRESS_MS) == 0)
			tell_positions(set);
		else
			r = layer_set_step(set, e);
	}
	return r < 0 ? r : 0;
}

/* ---- publishing ---- */

static int publish_slot(struct layer_set *set, size_t i, const struct layer_new *n, struct err *e)
{
	struct slot *s = &set->slots[i];
	struct store_layer published = {.key = ""};
	int r = layer_publish(set->c, set->w, n, s->chain, &published, e);
	if (r < 0)
		return err_ctx(e, "%s", s->what);
	set_layer(set, i, published.key, published.unpacked_size);
	s->state = LAYER_PRESENT;
	return 0;
}

struct blob_arg {
	const struct store *store;
	const struct store_layer *layer;
};

static int open_layer_blob(void *arg, struct err *e)
{
	const struct blob_arg *b = arg;
	return store_open_blob(b->store, b->layer->blob, b->layer->blob_size, e);
}

static int unpack_dependent(struct layer_set *set, size_t i, struct err *e)
{
	struct slot *s = &set->slots[i];
	const struct store_layer *l = &set->record->layers[i];
	autostrv struct strv lowers = STRV_INIT;
	for (size_t k = i; k-- > 0;)
		strv_add_owned(&lowers, store_layer_path(set->c->map.key, set->record->layers[k].key));
	struct blob_arg arg = {&set->c->store, l};
	const struct layer_source source = {
		.open = open_layer_blob, .arg = &arg, .what = s->what, .total = (uint64_t)l->blob_size};
	struct layer_new n;
	int r = layer_unpack_once(set->c, set->w, &source, 0, &lowers, &n, e);
	if (r >= 0)
		r = check_result(set, i, &n.result, e);
	if (r >= 0)
		r = layer_write_info(set->w, n.dir, &n.result, true, e);
	if (r < 0)
		return err_ctx(e, "%s", s->what);
	image_tell_progress(set->c, s->what, IMAGE_DONE, source.total, source.total);
	return publish_slot(set, i, &n, e);
}

int layer_set_publish(struct layer_set *set, struct err *e)
{
	const struct store_layer *layers = set->record->layers;
	int r = 0;
	for (size_t i = 0; i < set->record->nlayers && r >= 0; i++)
		if (set->slots[i].state == LAYER_UNPACKED)
			r = publish_slot(set, i, &set->slots[i].fresh, e);
	for (size_t i = 0; i < set->record->nlayers && r >= 0; i++) {
		struct slot *s = &set->slots[i];
		const struct slot *twin = &set->slots[s->twin];
		/* The twin is done by now. If it needed those below it, so do we, and ours are others. */
		if (s->state == LAYER_TWIN && twin->dependent)
			s->state = LAYER_NEEDS_LOWER;
		else if (s->state == LAYER_TWIN)
			set_layer(set, i, layers[s->twin].key, layers[s->twin].unpacked_size);
		if (s->state == LAYER_NEEDS_LOWER)
			r = unpack_dependent(set, i, e);
	}
	if (r >= 0 && store_record_note_map(set->record, set->c->map.key))
		set->changed = true;
	return r < 0 ? r : set->changed;
}

/* ---- life ---- */

static size_t window_size(void)
{
	cpu_set_t cpus;
	CPU_ZERO(&cpus);
	size_t n = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? (size_t)CPU_COUNT(&cpus) : 1;
	/* One more than there are processors: they wait for bytes and for the disk. */
	return RL_MIN(n + 1, (size_t)JOBS_MAX);
}

int layer_set_open(struct image_ctx *c, struct store_work *w, struct store_record *record, struct layer_set **ret_set,
		   struct err *e)
{
	struct layer_set *set = xcalloc(1, sizeof(*set));
	*set = (struct layer_set){.c = c,
				  .w = w,
				  .record = record,
				  .window = window_size(),
				  .epollfd = -1,
				  .kickfd = -1,
				  .claims = {.cachefd = -1}};
	set->slots = xcalloc(record->nlayers + 1, sizeof(*set->slots));
	for (size_t i = 0; i < record->nlayers; i++) {
		set->slots[i].blobfd = -1;
		set->slots[i].job.job = (struct archive_job)ARCHIVE_JOB_NONE;
	}
	int r = 0;
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = KICK};
	set->epollfd = epoll_create1(EPOLL_CLOEXEC);
	set->kickfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (set->epollfd < 0 || set->kickfd < 0 || epoll_ctl(set->epollfd, EPOLL_CTL_ADD, set->kickfd, &ev) < 0)
		r = err_sys(e, errno, "epoll");
	if (r == 0)
		r = find_present(set, e);
	if (r == 0)
		r = claim_missing(set, e);
	if (r < 0) {
		layer_set_close(set);
		return r;
	}
	*ret_set = set;
	return 0;
}

void layer_set_close(struct layer_set *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < set->record->nlayers; i++) {
		struct slot *s = &set->slots[i];
		drop_job(set, s);
		close_fd(&s->blobfd);
		if (s->feed) {
			close_fd(&s->feed->filefd);
			close_fd(&s->feed->eventfd);
			free(s->feed);
		}
	}
	layer_claims_drop(&set->claims);
	close_fd(&set->epollfd);
	close_fd(&set->kickfd);
	free(set->slots);
	free(set);
}

bool layers_may_stay_packed(struct image_ctx *c)
{
	if (probe_userns() == 0)
		return false;
	image_note(c,
		   "the layers are kept packed, because there are no user namespaces to unpack them in; whoever runs "
		   "the image will unpack them");
	return true;
}

int layers_ensure(struct image_ctx *c, struct store_work *w, struct store_record *r, struct err *e)
{
	struct layer_set *set = NULL;
	int rc = layer_set_open(c, w, r, &set, e);
	if (rc >= 0)
		rc = layer_set_finish(set, e);
	if (rc >= 0)
		rc = layer_set_publish(set, e);
	layer_set_close(set);
	return rc;
}
