/*
 * pack_layers.c - `rl-image pack-layers`: the layers of a build are packed while it goes on; rl/model/build_proto.h.
 *
 * One child does everything, as root in the user namespace of the map (where there are none, as the caller). It holds directories and files that rl opened,
 * and one socket; it opens nothing by name.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image_int.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/proc.h"
#include "rl/base/sync.h"
#include "rl/model/build_proto.h"

enum { DEPTH_MAX = 4096 };

struct session {
	struct image_ctx *c;
	bool plain; /* no user namespace: ids are the host's */
	int *dirs;
	size_t ndirs;
};

/* ---- times: the tree must say what the blob says ---- */

static int fix_times(int dirfd, const struct build_pack_order *o, unsigned depth, struct err *e);

static int fix_entry(int dirfd, const char *name, const struct build_pack_order *o, unsigned depth, struct err *e)
{
	struct stat st;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "stat %s", name);
	if (S_ISDIR(st.st_mode)) {
		autofd int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int r = fd < 0 ? err_sys(e, errno, "open %s", name) : fix_times(fd, o, depth + 1, e);
		if (r < 0)
			return r;
	}
	bool late = st.st_mtim.tv_sec > o->epoch || (st.st_mtim.tv_sec == o->epoch && st.st_mtim.tv_nsec);
	if (o->times != BUILD_TIMES_SET && !late)
		return 0;
	const struct timespec both[2] = {{.tv_sec = o->epoch}, {.tv_sec = o->epoch}};
	/* Devices among them are whiteouts; their times are in no blob. */
	if (utimensat(dirfd, name, both, AT_SYMLINK_NOFOLLOW) < 0 && !S_ISCHR(st.st_mode))
		return err_sys(e, errno, "set the time of %s", name);
	return 0;
}

static int fix_times(int dirfd, const struct build_pack_order *o, unsigned depth, struct err *e)
{
	int scan = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autodir DIR *d = scan < 0 ? NULL : fdopendir(scan);
	if (!d) {
		int errnum = errno;
		close_fd(&scan);
		return err_sys(e, errnum, "read a directory");
	}
	if (depth > DEPTH_MAX)
		return err_set(e, ELOOP, "directories more than %d deep", DEPTH_MAX);
	struct dirent *entry;
	int r = 0;
	while (r >= 0 && (entry = readdir(d)))
		if (!str_eq(entry->d_name, ".") && !str_eq(entry->d_name, ".."))
			r = fix_entry(dirfd, entry->d_name, o, depth, e);
	return r;
}

/* ---- packing ---- */

static int pack_one(struct session *s, const struct build_pack_order *o, int outfd, struct err *e)
{
	if (o->dir >= s->ndirs || o->nlowers > BUILD_PROTO_LOWERS_MAX)
		return err_set(e, EPROTO, "a layer that is not known");
	autofree int *fds = xcalloc(o->nlowers + 1, sizeof(*fds));
	fds[0] = s->dirs[o->dir];
	for (size_t i = 0; i < o->nlowers; i++) {
		if (o->lowers[i] >= s->ndirs)
			return err_set(e, EPROTO, "a layer that is not known");
		fds[i + 1] = s->dirs[o->lowers[i]];
	}
	int r = 0;
	if (o->times != BUILD_TIMES_KEEP) {
		const struct timespec both[2] = {{.tv_sec = o->epoch}, {.tv_sec = o->epoch}};
		r = fix_times(fds[0], o, 0, e);
		if (r >= 0 && futimens(fds[0], both) < 0)
			r = err_sys(e, errno, "set the time of the root");
	}
	struct archive_packed p;
	if (r >= 0)
		r = archive_pack(
			&(struct archive_pack){.map = &s->c->map,
					       .kind = ARCHIVE_PACK_LAYER,
					       .trust = o->trust_records ? ARCHIVE_TRUST_UPPER : ARCHIVE_TRUST_LOWER,
					       .dirfds = fds,
					       .ndirs = o->nlowers + 1,
					       .outfd = outfd,
					       .compression = ARCHIVE_PLAIN,
					       .scrub = true,
					       .in_map = true,
					       .host_ids = s->plain},
			&p, e);
	if (r < 0)
		return r;
	struct build_packed answer = {.dir = o->dir,
				      .max_uid = p.max_uid,
				      .max_gid = p.max_gid,
				      .blob_size = (int64_t)p.blob_size,
				      .tar_size = (int64_t)p.tar_size,
				      .unpacked_size = (int64_t)p.content,
				      .entries = (int64_t)p.entries,
				      .only_root = p.entries <= 1};
	memcpy(answer.blob, p.blob_digest, sizeof(answer.blob));
	memcpy(answer.diff_id, p.diffid, sizeof(answer.diff_id));
	return sync_send(s->c->sock, BUILD_STEP_PACKED, &answer, sizeof(answer), NULL, 0, e);
}

static int on_message(struct session *s, struct sync_msg *m, struct err *e)
{
	if (m->step == BUILD_STEP_DIR && m->nfds == 1) {
		s->dirs = xreallocarray(s->dirs, s->ndirs + 1, sizeof(*s->dirs));
		s->dirs[s->ndirs++] = m->fds[0];
		m->nfds = 0;
		return 0;
	}
	struct build_pack_order o;
	if (m->step != BUILD_STEP_PACK || m->nfds != 1 || m->len != sizeof(o))
		return err_set(e, EPROTO, "rl sent step %u", m->step);
	memcpy(&o, m->data, sizeof(o));
	return pack_one(s, &o, m->fds[0], e);
}

static int session_child(void *arg)
{
	struct session *s = arg;
	struct err e = ERR_INIT;
	autofree struct sync_msg *m = xmalloc(sizeof(*m));
	int r;
	log_set_role("pack");
	while ((r = sync_next(s->c->sock, "rl", m, &e)) > 0) {
		r = on_message(s, m, &e);
		sync_close_fds(m);
		if (r < 0)
			break;
	}
	if (r < 0)
		sync_send_err(s->c->sock, &e);
	return r < 0;
}

int pack_layers_verb(struct image_ctx *c, struct err *e)
{
	struct proc_child child = PROC_CHILD_NONE;
	struct session s = {.c = c};
	int r = userns_spawn_or_plain(&c->map, 0, session_child, &s, &s.plain, &child, e);
	if (r < 0)
		return r;
	/* It has told rl what went wrong. */
	r = proc_wait(&child, "the packer", e);
	if (r > EXIT_SIGNAL_BASE)
		return err_set(e, EPIPE, "the packer was ended by signal %d", r - EXIT_SIGNAL_BASE);
	return r < 0 ? r : 0;
}
