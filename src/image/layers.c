/*
 * layers.c - unpacked layers: made, published, and all of an image made present; see image_int.h.
 *
 * A layer is unpacked by a confined program (rl/engine/archive.h) into WORK/NAME/diff, gets WORK/NAME/info.json and
 * is renamed to layers/KEY/HEX. HEX is the DiffID, so that images share it, unless the tar is not self-contained
 * (decision 7): the first attempt, made without looking at anything below, then says needs_lower, and a second one is
 * made on top of the layers below and published under the ChainID. The bottom layer of an image has nothing below
 * (an empty directory is given for it) and ChainID and DiffID are the same; its info.json keeps the mark, so that an
 * image which has the same tar further up does not take it.
 *
 *     info.json: {"version":1,"diffID":...,"needsLower":bool,"unpacked":bytes,"tar":bytes,"entries":n,"records":n,
 *                 "sidecar":bytes,"maxUid":n,"maxGid":n,"hasRoot":bool}
 *
 * All layers of an image together are layer_set.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image_int.h"
#include "rl/base/io.h"
#include "rl/base/json.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"

enum { PROGRESS_MS = 100 };

/* ---- one layer ---- */

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

int layer_job_begin(struct image_ctx *c, struct store_work *w, const struct layer_input *in, const struct strv *lowers,
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
								  .blobfd = in->blobfd,
								  .feedfd = in->feedfd,
								  .blob_size = in->size,
								  .no_wait = in->no_wait,
								  .teefd = in->teefd,
								  .targetfd = targetfd,
								  .sidecarfd = sidecarfd,
								  .lowerfds = lowerfds,
								  .nlower = nlower},
					 &job->job, e);
	for (size_t i = 0; i < nlower; i++)
		close(lowerfds[i]);
	if (r < 0)
		return r;
	job->blobfd = in->blobfd;
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
		image_tell_progress(c, what, IMAGE_UNPACKING, at > 0 ? (uint64_t)at : 0, total);
	}
	job->active = false;
	return archive_unpack_finish(&job->job, ret, e);
}

int layer_write_info(struct store_work *w, const char *dir, const struct archive_unpacked *u, bool needs_lower,
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
	if (u->sidecar_size == 0 && unlinkat(dirfd, "sidecar", 0) < 0 && errno != ENOENT)
		return err_sys(e, errno, "remove %s/sidecar", dir);
	int r = io_replace_file(dirfd, "info.json", text.buf, text.len, 0600, true, e);
	if (r >= 0 && fsync(dirfd) < 0 && errno != EINVAL && errno != ENOSYS)
		r = err_sys(e, errno, "sync %s", dir);
	return r;
}

/* One attempt, from the beginning of the blob. `lowers` NULL: without looking at what is below. */
int layer_unpack_once(struct image_ctx *c, struct store_work *w, const struct layer_source *source, int teefd,
		      const struct strv *lowers, struct layer_new *ret, struct err *e)
{
	struct layer_new n = {.dir = ""};
	struct layer_job job = {.job = ARCHIVE_JOB_NONE};
	autofd int blobfd = source->open(source->arg, e);
	if (blobfd < 0)
		return blobfd;
	int r = layer_job_begin(c, w, &(struct layer_input){.blobfd = blobfd, .teefd = teefd}, lowers, &job, e);
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

/* The first attempt, on a blob that is made meanwhile. */
static int unpack_made(struct image_ctx *c, struct store_work *w, const struct layer_source *source,
		       struct layer_new *ret, struct err *e)
{
	struct layer_new n = {.dir = ""};
	struct layer_job job = {.job = ARCHIVE_JOB_NONE};
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	autofd int from = ends[0];
	autofd int to = ends[1];
	int r = layer_job_begin(c, w, &(struct layer_input){.blobfd = from, .teefd = source->teefd}, NULL, &job, e);
	if (r < 0)
		return r;
	job.blobfd = -1;
	/* If the unpacker dies the maker must see a broken pipe, so nobody else may hold this end. */
	close_fd(&from);
	struct err why = ERR_INIT;
	r = source->make(source->arg, to, &why);
	close_fd(&to);
	if (r < 0 && r != -EPIPE) {
		archive_job_cancel(&job.job);
		if (e)
			*e = why;
		return r;
	}
	int ended = job_end(c, &job, source->what, 0, &n.result, e);
	if (ended >= 0 && r < 0) {
		if (e)
			*e = why;
		return r;
	}
	memcpy(n.dir, job.dir, sizeof(n.dir));
	if (ended >= 0)
		*ret = n;
	return ended;
}

/* The second attempt, for a tar that is not self-contained. */
static int unpack_again(struct image_ctx *c, struct store_work *w, const struct layer_source *source,
			struct layer_new *n, struct err *e)
{
	const struct strv nothing = STRV_INIT;
	struct layer_new again;
	log_debug(LOG_STORE, "the tar is not self-contained (%s): once more", n->result.missing);
	if (!source->open)
		return err_set(e, EBADMSG, "the tar has no entry for %s", n->result.missing);
	int r = store_remove_tree(w->dirfd, n->dir, e);
	if (r >= 0)
		r = layer_unpack_once(c, w, source, 0, &nothing, &again, e);
	if (r >= 0 && !str_eq(again.result.diffid, n->result.diffid))
		r = err_set(e, EBADMSG, "the archive changed while it was read");
	if (r >= 0)
		*n = again;
	return r;
}

int layer_unpack(struct image_ctx *c, struct store_work *w, const struct layer_source *source, struct layer_new *ret,
		 struct err *e)
{
	struct layer_new n;
	int r = source->make ? unpack_made(c, w, source, &n, e)
			     : layer_unpack_once(c, w, source, source->teefd, NULL, &n, e);
	if (r >= 0 && n.result.needs_lower)
		r = unpack_again(c, w, source, &n, e);
	if (r >= 0)
		r = layer_write_info(w, n.dir, &n.result, n.result.needs_lower, e);
	if (r >= 0)
		*ret = n;
	return r;
}

int layer_take(struct store_work *w, const char *path, const struct archive_unpacked *found, struct layer_new *ret,
	       struct err *e)
{
	struct layer_new n = {.result = *found};
	char random[17];
	io_random_hex(8, random);
	snprintf(n.dir, sizeof(n.dir), "layer-%s", random);
	autofree char *to = xasprintf("%s/diff", n.dir);
	if (mkdirat(w->dirfd, n.dir, 0700) < 0)
		return err_sys(e, errno, "make %s", n.dir);
	if (renameat(AT_FDCWD, path, w->dirfd, to) < 0) {
		/* Another file system, or a payload that gave its root directory to somebody else. */
		int errnum = errno;
		unlinkat(w->dirfd, n.dir, AT_REMOVEDIR);
		return errnum == EXDEV || errnum == EACCES || errnum == EPERM ? 0 : err_sys(e, errnum, "take %s", path);
	}
	autofd int fd = openat(w->dirfd, n.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || syncfs(fd) < 0)
		return err_sys(e, errno, "sync the layer");
	int r = layer_write_info(w, n.dir, &n.result, false, e);
	if (r < 0)
		return r;
	*ret = n;
	return 1;
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
