/*
 * pack.c - archive_pack: the threads of packing, in a child that is root in the id map's user namespace.
 *
 *     walker (this thread)    tree -> tar -> ring
 *     hasher                  ring -> SHA-256 of the tar, if somebody wants to know it
 *     sink                    ring -> compressed, by more threads -> SHA-256 of the blob, written
 *
 * Only the child can read every file (mode 0000, other subordinate ids) and see container ids; the result comes back
 * over a socket, so that a child that died is an error. Packing parses nothing that an attacker can have malformed:
 * it sees directory entries, xattrs that are copied, and records that are parsed by rl/kern/xattr.h.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "pack_int.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"

enum { READER_SINK, READER_HASH, READERS, STEP_PACKED = 1, THREADS_MAX = 8 };

struct pack_job {
	struct archive_pack req;
	int sock;
};

static int thread_count(const struct archive_pack *req)
{
	if (req->threads > 0)
		return RL_MIN(req->threads, (int)THREADS_MAX);
	cpu_set_t set;
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return RL_MAX(1, RL_MIN(CPU_COUNT(&set), (int)THREADS_MAX));
}

static int walk(const struct archive_pack *req, struct ring *ring, struct archive_packed *ret, struct err *e)
{
	struct pack_tar tar = {.ring = ring};
	struct pack_walk *w = xcalloc(1, sizeof(*w));
	w->req = req;
	w->tar = &tar;
	int r = pack_walk_all(w, e);
	if (r == 0)
		r = pack_tar_end(&tar, e);
	ret->tar_size = tar.total;
	ret->entries = tar.entries;
	ret->skipped = w->skipped;
	ret->content = w->content;
	ret->max_uid = w->max_uid;
	ret->max_gid = w->max_gid;
	pack_walk_free(w);
	free(w);
	return r;
}

static int pack(const struct archive_pack *req, struct archive_packed *ret, struct err *e)
{
	struct ring ring;
	struct ring_hasher hasher = {.ring = &ring, .reader = READER_HASH};
	struct pack_sink sink = {
		.ring = &ring,
		.reader = READER_SINK,
		.outfd = req->outfd,
		.compression = req->compression,
		.level = req->level,
		.threads = thread_count(req),
	};
	ring_init(&ring, req->no_diffid ? 1 : READERS);
	int r = req->no_diffid ? 0 : pthread_create(&hasher.thread, NULL, ring_hash, &hasher);
	if (r)
		return err_sys(e, r, "start a thread");
	r = pack_sink_start(&sink, e);
	if (r < 0)
		return r; /* the process ends now */
	r = walk(req, &ring, ret, e);
	if (r < 0)
		ring_fail(&ring, e);
	if (!req->no_diffid)
		pthread_join(hasher.thread, NULL);
	pack_sink_join(&sink);
	/* The sink's failure is the cause where the walker was only told to stop. */
	if (ring_error(&ring, e) < 0)
		r = ring_error(&ring, e);
	ring_free(&ring);
	if (r < 0)
		return r;
	ret->blob_size = sink.blob_size;
	memcpy(ret->diffid, hasher.digest, sizeof(ret->diffid));
	memcpy(ret->blob_digest, *sink.blob_digest ? sink.blob_digest : hasher.digest, sizeof(ret->blob_digest));
	return 0;
}

/* Merging many layers holds one descriptor per layer and level. */
static void prepare_process(void)
{
	struct rlimit lim;
	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
		lim.rlim_cur = lim.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &lim);
	}
}

/* Runs as the map's root; see userns_spawn. */
static int pack_child(void *arg)
{
	const struct pack_job *job = arg;
	struct archive_packed result = {.entries = 0};
	struct err e = ERR_INIT;
	log_set_role("pack");
	prepare_process();
	int r = pack(&job->req, &result, &e);
	if (r == 0)
		r = sync_send(job->sock, STEP_PACKED, &result, sizeof(result), NULL, 0, &e);
	if (r < 0) {
		sync_send_err(job->sock, &e);
		return 1;
	}
	return 0;
}

int pack_check_level(enum archive_compression compression, int level, struct err *e)
{
	int max = compression == ARCHIVE_ZSTD ? 19 : compression == ARCHIVE_GZIP ? 9 : 0;
	if (level >= 0 && level <= max)
		return 0;
	err_set(e, EINVAL, "compression level %d is not possible with %s", level, archive_compressor_name(compression));
	return err_hint(e, "gzip has levels 1 to 9, zstd 1 to 19, none has no level");
}

static int check_request(const struct archive_pack *req, struct err *e)
{
	if (!req->ndirs || req->ndirs > ARCHIVE_LOWERS_MAX + 1)
		return err_set(e, EINVAL, "%zu layers to pack", req->ndirs);
	if (req->scrub && (req->kind != ARCHIVE_PACK_LAYER || req->trust == ARCHIVE_TRUST_RECORDS))
		return err_set(e, EINVAL, "only a writable layer can be scrubbed");
	return pack_check_level(req->compression, req->level, e);
}

int archive_pack(const struct archive_pack *req, struct archive_packed *ret, struct err *e)
{
	int r = check_request(req, e);
	if (r < 0)
		return r;
	if (req->in_map) {
		prepare_process();
		*ret = (struct archive_packed){.entries = 0};
		return pack(req, ret, e);
	}
	int pair[2];
	r = sync_pair(pair, e);
	if (r < 0)
		return r;
	autofd int ours = pair[0];
	autofd int theirs = pair[1];
	struct pack_job job = {.req = *req, .sock = theirs};
	struct proc_child child = PROC_CHILD_NONE;
	r = userns_spawn_or_plain(req->map, 0, pack_child, &job, &job.req.host_ids, &child, e);
	if (r < 0)
		return r;
	close_fd(&theirs);
	autofree struct sync_msg *msg = xmalloc(sizeof(*msg));
	struct err said = ERR_INIT;
	r = sync_expect(ours, "the packer", STEP_PACKED, msg, &said);
	if (r == 0 && msg->len != sizeof(*ret))
		r = err_set(&said, EPROTO, "malformed result of the packer");
	if (r < 0) {
		/* Died without a word, or with an error of its own that happens to be EPIPE? */
		struct err death = ERR_INIT;
		if (str_ends(said.text, " died") && proc_wait_ok(&child, "the packer", &death) < 0)
			said = death;
		proc_kill_wait(&child);
		if (e)
			*e = said;
		return -said.code;
	}
	r = proc_wait_ok(&child, "the packer", e);
	if (r < 0)
		return r;
	memcpy(ret, msg->data, sizeof(*ret));
	return 0;
}
