/*
 * inflate.c - archive_recompress: a blob in one compression becomes a blob in another.
 *
 * What inflates is a confined program (archive_role.h) with the blob, a pipe and an empty directory as its root; what
 * compresses is this process, which reads nothing but the pipe and parses nothing. The digests of both ends come out:
 * of the blob, so that the caller knows it was the right one, and of the tar, which is the DiffID.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "ring_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "role_launch_int.h"
#include "source_int.h"

int inflate_work(const struct archive_work *w, struct archive_unpacked *ret, struct err *e)
{
	struct ring *ring = xcalloc(1, sizeof(*ring));
	struct source *source = xcalloc(1, sizeof(*source));
	const unsigned char *data;
	size_t len;
	int r;
	ring_init(ring, 1);
	*source = (struct source){
		.blobfd = w->blobfd,
		.teefd = -1,
		.feedfd = -1,
		.max_tar = w->wire->max_tar,
		.max_ratio = w->wire->max_ratio,
		.ring = ring,
	};
	r = source_start(source, e);
	if (r < 0)
		return r;
	struct digest d = DIGEST_INIT;
	digest_begin(&d);
	while ((r = ring_next(ring, 0, &data, &len, e)) > 0) {
		digest_add(&d, data, len);
		r = io_write_all(w->teefd, data, len, e);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	source_join(source);
	digest_end(&d, ret->diffid);
	digest_free(&d);
	memcpy(ret->blob_digest, *source->blob_digest ? source->blob_digest : ret->diffid, sizeof(ret->blob_digest));
	ret->compression = source->compression;
	ret->blob_size = source->blob_size;
	ret->tar_size = source->tar_size;
	ring_free(ring);
	free(source);
	free(ring);
	return 0;
}

static int start(const struct archive_recompress *req, int pipefd, struct archive_job *ret_job, struct err *e)
{
	const struct archive_wire wire = {.map = *req->map};
	return launch_start(&(struct launch){.program = req->program,
					     .verb = "inflate",
					     .wire = &wire,
					     .blobfd = req->blobfd,
					     .targetfd = req->emptyfd,
					     .teefd = pipefd},
			    ret_job, e);
}

int archive_recompress(const struct archive_recompress *req, struct archive_recompressed *ret, struct err *e)
{
	struct archive_job job = ARCHIVE_JOB_NONE;
	struct archive_unpacked inflated;
	struct archive_compressed compressed;
	struct err said = ERR_INIT;
	int fds[2];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	autofd int reader = fds[0];
	autofd int writer = fds[1];
	int r = start(req, writer, &job, e);
	if (r < 0)
		return r;
	close_fd(&writer);
	r = archive_compress(reader, req->outfd, req->compression, req->level, &compressed, e);
	close_fd(&reader);
	if (r < 0) {
		archive_job_cancel(&job);
		return r;
	}
	/* A pipe that ended early looks like the end; the program that died is the cause. */
	r = launch_finish(&job, &inflated, sizeof(inflated), &said);
	if (r < 0) {
		if (e)
			*e = said;
		return r;
	}
	memcpy(ret->blob_digest, inflated.blob_digest, sizeof(ret->blob_digest));
	memcpy(ret->diffid, inflated.diffid, sizeof(ret->diffid));
	memcpy(ret->digest, compressed.digest, sizeof(ret->digest));
	ret->size = compressed.size;
	if (!str_eq(compressed.in_digest, inflated.diffid))
		return err_set(e, EIO, "bytes were lost between inflating and compressing");
	return 0;
}
