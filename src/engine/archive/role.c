/*
 * role.c - see archive_role.h: the confined side of the handshake.
 */
#include "rl/engine/archive_role.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "role_confine_int.h"
#include "wire_int.h"

static int receive_request(struct archive_wire *w, struct archive_work *work, struct err *e)
{
	autofree struct sync_msg *msg = xmalloc(sizeof(*msg));
	int r = sync_expect(ARCHIVE_FD_SOCK, "rl-image", ARCHIVE_STEP_REQUEST, msg, e);
	if (r < 0)
		return r;
	if (msg->len != sizeof(*w))
		return err_set(e, EPROTO, "malformed request");
	memcpy(w, msg->data, sizeof(*w));
	if (msg->nfds != w->has_tee + w->has_sidecar + w->has_feed || w->nlower > ARCHIVE_LOWERS_MAX)
		return err_set(e, EPROTO, "malformed request");
	int next = 0;
	if (w->has_tee)
		work->teefd = msg->fds[next++];
	if (w->has_sidecar)
		work->sidecarfd = msg->fds[next++];
	if (w->has_feed)
		work->feedfd = msg->fds[next];
	return 0;
}

static int receive_lowers(int *fds, size_t n, struct err *e)
{
	autofree struct sync_msg *msg = xmalloc(sizeof(*msg));
	for (size_t got = 0; got < n;) {
		int r = sync_expect(ARCHIVE_FD_SOCK, "rl-image", ARCHIVE_STEP_LOWER, msg, e);
		if (r < 0)
			return r;
		if (msg->nfds == 0 || (size_t)msg->nfds > n - got)
			return err_set(e, EPROTO, "malformed message of lower directories");
		for (int i = 0; i < msg->nfds; i++)
			fds[got++] = msg->fds[i];
	}
	return 0;
}

static int work_confined(enum archive_role role, struct archive_work *work, struct err *e)
{
	/* Modes are given exactly; a umask would only take bits away. */
	umask(0);
	if (role != ARCHIVE_ROLE_EXTRACT) {
		struct archive_unpacked result = {.records = 0};
		int r = role == ARCHIVE_ROLE_UNPACK ? unpack_work(work, &result, e) : inflate_work(work, &result, e);
		if (r < 0)
			return r;
		return sync_send(ARCHIVE_FD_SOCK, ARCHIVE_STEP_DONE, &result, sizeof(result), NULL, 0, e);
	}
	uint64_t count = 0;
	int r = extract_work(work, &count, e);
	if (r < 0)
		return r;
	return sync_send(ARCHIVE_FD_SOCK, ARCHIVE_STEP_DONE, &count, sizeof(count), NULL, 0, e);
}

static int run(enum archive_role role, struct err *e)
{
	struct archive_wire wire;
	int lowers[ARCHIVE_LOWERS_MAX];
	struct archive_work work = {.wire = &wire,
				    .blobfd = ARCHIVE_FD_BLOB,
				    .teefd = -1,
				    .feedfd = -1,
				    .sidecarfd = -1,
				    .lowerfds = lowers};
	int r = receive_request(&wire, &work, e);
	if (r == 0)
		r = receive_lowers(lowers, wire.nlower, e);
	if (r == 0 && !wire.plain)
		r = confine_unshare(ARCHIVE_FD_TARGET, e);
	if (r == 0)
		r = sync_send(ARCHIVE_FD_SOCK, ARCHIVE_STEP_UNSHARED, NULL, 0, NULL, 0, e);
	if (r == 0)
		r = sync_expect(ARCHIVE_FD_SOCK, "rl-image", ARCHIVE_STEP_MAPPED, NULL, e);
	if (r == 0)
		r = wire.plain ? confine_enter_plain(ARCHIVE_FD_TARGET, lowers, wire.nlower, &work.rootfd, e)
			       : confine_enter(&wire.map, lowers, wire.nlower, &work.rootfd, e);
	if (r < 0)
		return r;
	/* Names of the host's tree end here: this descriptor's ".." would still be the store. */
	close(ARCHIVE_FD_TARGET);
	r = confine_drop(wire.plain, e);
	if (r < 0)
		return r;
	return work_confined(role, &work, e);
}

int archive_role_main(enum archive_role role, struct err *e)
{
	struct stat st;
	static const char *const names[] = {[ARCHIVE_ROLE_UNPACK] = "unpack",
					    [ARCHIVE_ROLE_EXTRACT] = "extract",
					    [ARCHIVE_ROLE_INFLATE] = "inflate"};
	log_set_role(names[role]);
	if (fstat(ARCHIVE_FD_SOCK, &st) < 0 || !S_ISSOCK(st.st_mode))
		return err_set(e, EINVAL, "this verb is used by rl-image itself only");
	for (int fd = ARCHIVE_FD_SOCK; fd <= ARCHIVE_FD_TARGET; fd++) {
		int r = io_set_cloexec(fd, true, e);
		if (r < 0)
			return r;
	}
	struct err failure = ERR_INIT;
	int r = run(role, &failure);
	if (r < 0)
		sync_send_err(ARCHIVE_FD_SOCK, &failure);
	/* Not through exit handlers: threads may still be running, and the filter forbids what some of them do. */
	_exit(r < 0 ? EXIT_RL_FAILED : 0);
}
