/*
 * import.c - `rl-image import`: the tar of a root file system becomes an image of one layer; see image_int.h.
 *
 * One pass over the input: the confined unpacker reads it, hashes it, inflates and writes the files, and at the same
 * time passes every byte on to the file that becomes the layer's blob. So the input may be a pipe, and the blob in the
 * store is the input as it was, compression included. Only a tar that leaves out parent directories is read a second
 * time, from that blob. What an address has is fetched into a pipe, so that it is unpacked while it arrives.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <linux/fs.h>

#include "image_int.h"
#include "rl/base/io.h"
#include "rl/base/json.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/kern/probe.h"
#include "rl/model/imgref.h"
#include "rl/model/imgspec.h"

static const char blob_name[] = "blob";

struct import {
	struct image_ctx *c;
	struct store_work *w;
	int sourcefd; /* given away with the first opening; -1 for an address */
	bool cloned;  /* the blob is there already, by shared extents */
};

static int open_input(const char *path, uint64_t *ret_size, struct err *e)
{
	autofd int fd = str_eq(path, "-") ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
					  : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return err_sys(e, errno, "open %s", path);
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "stat %s", path);
	if (S_ISDIR(st.st_mode))
		return err_set(e, EISDIR, "%s is a directory; a tar archive is expected", path);
	if (isatty(fd)) {
		int r = err_set(e, EINVAL, "the archive would be read from the terminal");
		err_hint(e, "name a file, or pipe one in: rl import - < root.tar");
		return r;
	}
	*ret_size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	return take_fd(&fd);
}

/* The input itself the first time, our copy of it afterwards. */
static int open_source(void *arg, struct err *e)
{
	struct import *i = arg;
	if (i->sourcefd >= 0)
		return take_fd(&i->sourcefd);
	int fd = openat(i->w->dirfd, blob_name, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "open the copied archive") : fd;
}

static void tell_fetched(void *arg, uint64_t done, uint64_t total)
{
	const struct import *i = arg;
	image_tell_progress(i->c, "import", IMAGE_DOWNLOADING, done, total);
}

static int fetch_source(void *arg, int outfd, struct err *e)
{
	struct import *i = arg;
	struct registry_download d = {
		.url = i->c->args.items[0], .fd = outfd, .progress = tell_fetched, .progress_arg = i};
	return image_download(i->c, &d, e);
}

static int unpack_source(struct import *i, uint64_t total, struct layer_new *ret_layer, struct err *e)
{
	autofd int blobfd = openat(i->w->dirfd, blob_name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (blobfd < 0)
		return err_sys(e, errno, "create the copy of the archive");
	/* A regular file on a file system with shared extents: the copy is there without writing anything, and what is
	 * read is the copy, which nobody else can change. */
	if (total && lseek(i->sourcefd, 0, SEEK_CUR) == 0 && ioctl(blobfd, FICLONE, i->sourcefd) == 0) {
		i->cloned = true;
		close_fd(&i->sourcefd);
	}
	const struct layer_source source = {.open = open_source,
					    .make = path_is_address(i->c->args.items[0]) ? fetch_source : NULL,
					    .arg = i,
					    .teefd = i->cloned ? 0 : blobfd,
					    .what = "import",
					    .total = total};
	int r = layer_unpack(i->c, i->w, &source, ret_layer, e);
	if (r < 0)
		return r;
	/* The unpacker has synced the file system; this catches what was still on its way here. */
	if (fdatasync(blobfd) < 0)
		return err_sys(e, errno, "sync the blob");
	return 0;
}

static void now_text(char ret[40])
{
	struct timespec ts;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	size_t n = strftime(ret, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(ret + n, 40 - n, ".%03ldZ", ts.tv_nsec / 1000000);
}

/* Bad instructions are found before anything is read. */
static int make_config(const struct image_ctx *c, json_t **ret_config, struct err *e)
{
	char created[40];
	now_text(created);
	const char *os, *architecture, *variant;
	imgspec_host_platform(&os, &architecture, &variant);
	autojson json_t *config = imgspec_config_new(architecture, variant, created);
	for (size_t i = 0; i < c->changes.count; i++) {
		int r = imgspec_change(config, c->changes.items[i], e);
		if (r < 0)
			return r;
	}
	*ret_config = take_ptr(&config);
	return 0;
}

static int put_document(struct store_work *w, const json_t *doc, char ret_digest[STORE_DIGEST_SIZE], int64_t *ret_size,
			struct err *e)
{
	autostr struct str text = STR_INIT;
	json_print(doc, false, &text);
	image_digest(text.buf, text.len, ret_digest);
	*ret_size = (int64_t)text.len;
	return store_put_blob(w, text.buf, text.len, ret_digest, e);
}

static char *created_by(const char *source)
{
	autofree char *shown = path_shown(source);
	return xasprintf("rl import %s", str_eq(source, "-")	   ? "standard input"
					 : path_is_address(source) ? shown
								   : path_base(source));
}

static int publish(struct import *i, json_t *config, const struct layer_new *layer, struct store_record *record,
		   struct err *e)
{
	const struct archive_unpacked *u = &layer->result;
	struct store_layer *l = record->layers = xcalloc(1, sizeof(*l));
	record->nlayers = 1;
	const enum imgspec_compression compression = u->compression == ARCHIVE_GZIP   ? IMGSPEC_GZIP
						     : u->compression == ARCHIVE_ZSTD ? IMGSPEC_ZSTD
										      : IMGSPEC_PLAIN;
	l->media_type = xstrdup(imgspec_layer_media_type(compression));
	l->blob_size = (int64_t)u->blob_size;
	memcpy(l->blob, u->blob_digest, sizeof(l->blob));
	memcpy(l->diff_id, u->diffid, sizeof(l->diff_id));
	int r = store_publish_blob(i->w, blob_name, l->blob, e);
	if (r >= 0)
		r = layer_publish(i->c, i->w, layer, l->diff_id + 7, l, e);
	if (r < 0)
		return r;
	const char *created = json_str_or_null(config, "created");
	autofree char *by = created_by(i->c->args.items[0]);
	imgspec_config_add_layer(config, l->diff_id, created, by, i->c->message);
	r = put_document(i->w, config, record->config, &record->config_size, e);
	if (r < 0)
		return r;
	autojson json_t *manifest = imgspec_manifest_new(record->config, record->config_size);
	imgspec_manifest_add_layer(manifest, l->media_type, l->blob, l->blob_size);
	r = put_document(i->w, manifest, record->manifest, &record->manifest_size, e);
	if (r < 0)
		return r;
	record->media_type = xstrdup(IMGSPEC_OCI_MANIFEST);
	record->created = xstrdup(created);
	return store_publish_image(i->w, record, e);
}

static int import_into(struct image_ctx *c, struct store_work *w, const char *name, struct err *e)
{
	autojson json_t *config = NULL;
	struct import i = {.c = c, .w = w, .sourcefd = -1};
	struct layer_new layer;
	uint64_t total = 0;
	int r = make_config(c, &config, e);
	if (r < 0)
		return r;
	if (!path_is_address(c->args.items[0])) {
		i.sourcefd = open_input(c->args.items[0], &total, e);
		if (i.sourcefd < 0)
			return i.sourcefd;
	}
	r = unpack_source(&i, total, &layer, e);
	close_fd(&i.sourcefd);
	if (r < 0) {
		autofree char *shown = path_shown(c->args.items[0]);
		return err_ctx(e, "import %s", shown);
	}
	struct store_record record = {0};
	r = publish(&i, config, &layer, &record, e);
	if (r >= 0 && name)
		r = store_tag(&c->store, name, record.manifest, e);
	if (r >= 0)
		image_tell_added(c, &record, name ? name : "");
	store_record_free(&record);
	return r;
}

int import_verb(struct image_ctx *c, struct err *e)
{
	autofree char *name = NULL;
	if (c->name) {
		struct imgref ref;
		int r = imgref_parse(c->name, &ref, e);
		if (r < 0)
			return r;
		name = *ref.digest ? NULL : imgref_format(&ref);
		imgref_free(&ref);
		if (!name)
			return err_set(e, EINVAL, "import %s: an imported image cannot be given a digest", c->name);
	}
	struct store_work w;
	int r = store_work_begin(&c->store, &w, e);
	/* It is unpacked here and now: without user namespaces for the caller alone. */
	if (r >= 0 && !idmap_is_plain(&c->map) && probe_userns() != 0)
		r = idmap_detect(true, &c->map, e);
	if (r < 0)
		return r;
	r = import_into(c, &w, name, e);
	store_work_end(&w);
	return r;
}
