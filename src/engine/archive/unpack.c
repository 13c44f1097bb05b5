/*
 * unpack.c - the confined worker of archive_unpack: three threads around one ring.
 *
 *     source     blob -> SHA-256 of the blob, tee, inflate ->  ring
 *     hasher     ring -> SHA-256 of the tar (the DiffID)
 *     this one   ring -> libarchive's tar reader, from memory, without a copy -> place
 *
 * The kernel's scheduler balances the three over the cores there are; any fixed division of the two digests over two
 * threads would be wrong for either fast or slow inflating.
 *
 * libarchive decides where entries begin and end and what pax and GNU headers mean; nothing else is taken from it. It
 * is given no decompressors. It runs in the "C" locale: names are bytes, and its attempts to convert them fail and are
 * ignored, which leaves the bytes as they are (in a UTF-8 locale it would normalise them). Every other warning of it
 * is an error here, because a header that two readers may understand differently is not worth unpacking.
 *
 * What follows the end-of-archive marker belongs to the DiffID and is drained, up to TRAILER_MAX.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "place_int.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "source_int.h"
#include "tar_int.h"
#include "wire_int.h"

enum { READER_TAR, READER_HASH, READERS };

static int unpack_entries(struct tar *t, struct place *p, struct err *e)
{
	struct entry en;
	int r;
	while ((r = tar_next(t, &en, e)) > 0) {
		r = place_entry(p, &en, e);
		if (r < 0)
			return r;
		if (r == 0)
			continue;
		const void *data;
		size_t len;
		uint64_t offset;
		while ((r = tar_data(t, &data, &len, &offset, e)) > 0) {
			r = place_data(p, offset, data, len, e);
			if (r < 0)
				return r;
		}
		if (r == 0)
			r = place_file_end(p, e);
		if (r < 0)
			return r;
	}
	return r;
}

static int unpack_tar(struct ring *ring, struct place *p, int rootfd, struct err *e)
{
	int r = place_init(p, rootfd, e);
	if (r < 0)
		return r;
	struct tar *t;
	r = tar_open(ring, READER_TAR, &t, e);
	if (r < 0)
		return r;
	r = unpack_entries(t, p, e);
	if (r == -ENOSPC || r == -EDQUOT)
		r = place_no_space(p, e);
	if (r == 0)
		r = tar_drain(t, e);
	tar_close(t);
	return r < 0 ? r : place_finish(p, e);
}

int unpack_work(const struct archive_work *w, struct archive_unpacked *ret, struct err *e)
{
	/* On the heap: threads may outlive this function when it fails, see wire_int.h. */
	struct ring *ring = xcalloc(1, sizeof(*ring));
	struct source *source = xcalloc(1, sizeof(*source));
	struct ring_hasher *hasher = xcalloc(1, sizeof(*hasher));
	struct place *place = xcalloc(1, sizeof(*place));
	const char *inflate = getenv("RL_INFLATE");
	ring_init(ring, READERS);
	*source = (struct source){
		.blobfd = w->blobfd,
		.teefd = w->teefd,
		.feedfd = w->feedfd,
		.feed_size = w->wire->blob_size,
		.max_tar = w->wire->max_tar,
		.max_ratio = w->wire->max_ratio,
		.ring = ring,
		.use_zlib = inflate && str_eq(inflate, "zlib"),
	};
	*hasher = (struct ring_hasher){.ring = ring, .reader = READER_HASH};
	*place = (struct place){
		.sidecarfd = w->sidecarfd,
		.map = &w->wire->map,
		.plain = w->wire->plain,
		.lowerfds = w->lowerfds,
		.nlower = w->wire->nlower,
	};
	int r = source_start(source, e);
	if (r == 0)
		r = -pthread_create(&hasher->thread, NULL, ring_hash, hasher);
	if (r < 0)
		return err_sys(e, -r, "start a thread");
	r = unpack_tar(ring, place, w->rootfd, e);
	if (r < 0)
		return r;
	source_join(source);
	pthread_join(hasher->thread, NULL);
	if (!w->wire->no_sync && syncfs(w->rootfd) < 0)
		return err_sys(e, errno, "write the layer to disk");
	struct archive_unpacked result = place->result;
	result.compression = source->compression;
	result.blob_size = source->blob_size;
	result.tar_size = source->tar_size;
	memcpy(result.diffid, hasher->digest, sizeof(result.diffid));
	if (result.compression == ARCHIVE_PLAIN)
		memcpy(result.blob_digest, hasher->digest, sizeof(result.blob_digest));
	else
		memcpy(result.blob_digest, source->blob_digest, sizeof(result.blob_digest));
	*ret = result;
	ring_free(ring);
	free(place);
	free(hasher);
	free(source);
	free(ring);
	return 0;
}
