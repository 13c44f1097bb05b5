/*
 * role_launch.c - see role_launch_int.h: the parent's side of the confined roles, and the public calls around it.
 *
 * The program is started with vfork semantics and three descriptors; everything else follows over the socket, so that
 * its command line and environment say nothing. A child that dies shows as the end of the socket, never as a hang.
 */
#include "role_launch_int.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/kern/probe.h"

enum { RATIO_DEFAULT = 4000, MEMBERS_DEFAULT = 65536 };

static const char peer[] = "the unpacker";

void archive_job_cancel(struct archive_job *job)
{
	proc_kill_wait(&job->child);
	close_fd(&job->sock);
}

/* The exchange failed. Where the program died without a word (and not with an error of its own that happens to be
 * EPIPE), its exit status knows better what happened. */
static int explain_death(struct archive_job *job, int r, const struct err *said, struct err *e)
{
	struct err death = ERR_INIT;
	close_fd(&job->sock);
	if (r == -EPIPE && str_ends(said->text, " died")) {
		int status = proc_wait_ok(&job->child, peer, &death);
		if (status < 0)
			said = &death;
	}
	archive_job_cancel(job);
	if (e)
		*e = *said;
	return -said->code;
}

/* Without user namespaces the role confines itself by other means. Asked once in a process, and never for maps that only
 * a user namespace can give. */
static bool is_plain(const struct idmap *map)
{
	static enum { UNKNOWN, NAMESPACES, NONE } known;
	if (known == UNKNOWN && idmap_is_plain(map))
		known = probe_userns() == 0 ? NAMESPACES : NONE;
	return known == NONE && idmap_is_plain(map);
}

static int send_request(int sock, const struct launch *l, struct err *e)
{
	struct archive_wire wire = *l->wire;
	int fds[SYNC_FDS_MAX];
	int n = 0;
	wire.has_tee = l->teefd > 0;
	wire.has_sidecar = l->sidecarfd > 0;
	wire.has_feed = l->feedfd > 0;
	wire.plain = is_plain(&wire.map);
	if (!wire.max_ratio)
		wire.max_ratio = RATIO_DEFAULT;
	if (!wire.max_members)
		wire.max_members = MEMBERS_DEFAULT;
	if (wire.has_tee)
		fds[n++] = l->teefd;
	if (wire.has_sidecar)
		fds[n++] = l->sidecarfd;
	if (wire.has_feed)
		fds[n++] = l->feedfd;
	int r = sync_send(sock, ARCHIVE_STEP_REQUEST, &wire, sizeof(wire), fds, n, e);
	for (size_t sent = 0; r == 0 && sent < wire.nlower;) {
		int count = (int)RL_MIN((size_t)SYNC_FDS_MAX, (size_t)wire.nlower - sent);
		r = sync_send(sock, ARCHIVE_STEP_LOWER, NULL, 0, l->lowerfds + sent, count, e);
		sent += (size_t)count;
	}
	return r;
}

/* From the namespaces it made to the ids in them. */
static int handshake(struct archive_job *job, struct err *e)
{
	int r = sync_expect(job->sock, peer, ARCHIVE_STEP_UNSHARED, NULL, e);
	if (r < 0)
		return r;
	struct idmap_job map_job = IDMAP_JOB_NONE;
	if (!is_plain(&job->map))
		r = idmap_start(&job->map, job->child.pid, &map_job, e);
	if (r == 0)
		r = idmap_finish(&map_job, e);
	if (r == 0)
		r = sync_send(job->sock, ARCHIVE_STEP_MAPPED, NULL, 0, NULL, 0, e);
	job->begun = r == 0;
	return r;
}

int archive_job_advance(struct archive_job *job, struct err *e)
{
	if (job->begun)
		return 1;
	struct err said = ERR_INIT;
	int r = handshake(job, &said);
	return r < 0 ? explain_death(job, r, &said, e) : 0;
}

int launch_start(const struct launch *l, struct archive_job *ret_job, struct err *e)
{
	autofree char *own = l->program ? NULL : xasprintf("%s/rl-image", proc_libexec_dir());
	const char *program = own ? own : l->program;
	int pair[2];
	int r = sync_pair(pair, e);
	if (r < 0)
		return r;
	struct archive_job job = {.child = PROC_CHILD_NONE, .sock = pair[0], .map = l->wire->map};
	autofd int theirs = pair[1];
	const int fds[] = {theirs, l->blobfd, l->targetfd};
	char name[] = "rl-image";
	char *verb = xstrdup(l->verb);
	autofree char *verb_owner = verb;
	char *argv[] = {name, verb, NULL};
	log_export();
	r = proc_spawn(&(struct proc_spawn){.path = program,
					    .argv = argv,
					    .fds = fds,
					    .nfds = ARRAY_SIZE(fds),
					    .parent_death_signal = SIGKILL},
		       &job.child, e);
	close_fd(&theirs);
	if (r < 0) {
		archive_job_cancel(&job);
		return r;
	}
	struct err said = ERR_INIT;
	r = send_request(job.sock, l, &said);
	/* A child that failed meanwhile says why; that is worth more than our broken pipe. */
	if ((r == 0 || r == -EPIPE) && !l->no_wait) {
		err_clear(&said);
		r = handshake(&job, &said);
	}
	if (r < 0 && (r != -EPIPE || !l->no_wait))
		return explain_death(&job, r, &said, e);
	*ret_job = job;
	return 0;
}

int launch_finish(struct archive_job *job, void *ret, size_t size, struct err *e)
{
	autofree struct sync_msg *msg = xmalloc(sizeof(*msg));
	struct err said = ERR_INIT;
	int r = job->begun ? 0 : handshake(job, &said);
	if (r == 0)
		r = sync_expect(job->sock, peer, ARCHIVE_STEP_DONE, msg, &said);
	if (r < 0)
		return explain_death(job, r, &said, e);
	if (msg->len != size) {
		archive_job_cancel(job);
		return err_set(e, EPROTO, "malformed result of %s", peer);
	}
	close_fd(&job->sock);
	r = proc_wait_ok(&job->child, peer, e);
	if (r < 0)
		return r;
	memcpy(ret, msg->data, size);
	return 0;
}

/* ---- public: layers ---- */

int archive_unpack_start(const struct archive_unpack *req, struct archive_job *ret_job, struct err *e)
{
	if (req->nlower > ARCHIVE_LOWERS_MAX)
		return err_set(e, E2BIG, "%zu lower layers; the limit is %d", req->nlower, ARCHIVE_LOWERS_MAX);
	const struct archive_wire wire = {
		.map = *req->map,
		.max_tar = req->max_tar,
		.max_ratio = req->max_ratio,
		.nlower = (uint32_t)req->nlower,
		.no_sync = req->no_sync,
		.blob_size = req->blob_size,
	};
	return launch_start(&(struct launch){.program = req->program,
					     .verb = "unpack",
					     .wire = &wire,
					     .blobfd = req->blobfd,
					     .targetfd = req->targetfd,
					     .teefd = req->teefd,
					     .feedfd = req->feedfd,
					     .no_wait = req->no_wait,
					     .sidecarfd = req->sidecarfd,
					     .lowerfds = req->lowerfds},
			    ret_job, e);
}

int archive_unpack_finish(struct archive_job *job, struct archive_unpacked *ret, struct err *e)
{
	return launch_finish(job, ret, sizeof(*ret), e);
}

int archive_unpack(const struct archive_unpack *req, struct archive_unpacked *ret, struct err *e)
{
	struct archive_job job = ARCHIVE_JOB_NONE;
	int r = archive_unpack_start(req, &job, e);
	if (r == 0)
		r = archive_unpack_finish(&job, ret, e);
	return r;
}

/* ---- public: names of compressions ---- */

static const char *const compression_names[] = {
	[ARCHIVE_PLAIN] = "none",
	[ARCHIVE_GZIP] = "gzip",
	[ARCHIVE_ZSTD] = "zstd",
};
static_assert(ARRAY_SIZE(compression_names) == ARCHIVE_COMPRESSION_N, "a name for every compression");

const char *archive_compressor_name(enum archive_compression c)
{
	return (unsigned)c < ARCHIVE_COMPRESSION_N ? compression_names[c] : "unknown";
}

int archive_compressor_parse(const char *name, enum archive_compression *ret, struct err *e)
{
	for (unsigned i = 0; i < ARCHIVE_COMPRESSION_N; i++) {
		if (str_eq(name, compression_names[i])) {
			*ret = (enum archive_compression)i;
			return 0;
		}
	}
	if (str_eq(name, "uncompressed")) {
		*ret = ARCHIVE_PLAIN;
		return 0;
	}
	err_set(e, EINVAL, "unknown compression '%s'", name);
	return err_hint(e, "it can be gzip, zstd or none");
}
