#include "rl/base/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "tap.h"

enum { STEP_ONE = 1, STEP_TWO };

static unsigned open_fds(void)
{
	autodir DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;
	while (d && readdir(d))
		n++;
	return n;
}

static void test_messages(struct sync_msg *m)
{
	int s[2];
	struct err e = ERR_INIT;
	tap_is_int(sync_pair(s, &e), 0, "a pair is made");
	tap_ok((fcntl(s[0], F_GETFD) & FD_CLOEXEC) && (fcntl(s[1], F_GETFD) & FD_CLOEXEC),
	       "both ends are close-on-exec");
	tap_is_int(sync_send(s[0], STEP_ONE, "data", 4, NULL, 0, &e), 0, "a message with data is sent");
	tap_is_int(sync_send(s[0], STEP_TWO, NULL, 0, NULL, 0, &e), 0, "and one without");
	tap_ok(sync_recv(s[1], "peer", m, &e) == 0 && m->step == STEP_ONE && m->len == 4 &&
		       !memcmp(m->data, "data", 4) && m->nfds == 0,
	       "messages keep their boundaries, step and data");
	tap_ok(sync_recv(s[1], "peer", m, &e) == 0 && m->step == STEP_TWO && m->len == 0, "and their order");

	autofree char *big = xcalloc(1, SYNC_DATA_MAX + 1);
	memset(big, 'b', SYNC_DATA_MAX);
	tap_is_int(sync_send(s[0], STEP_ONE, big, SYNC_DATA_MAX, NULL, 0, &e), 0, "the largest message is sent");
	tap_ok(sync_recv(s[1], "peer", m, &e) == 0 && m->len == SYNC_DATA_MAX && !memcmp(m->data, big, SYNC_DATA_MAX),
	       "and arrives whole");
	tap_is_int(sync_send(s[0], STEP_ONE, big, SYNC_DATA_MAX + 1, NULL, 0, &e), -EMSGSIZE,
		   "a larger one is refused");

	tap_must(sync_send(s[0], STEP_TWO, NULL, 0, NULL, 0, &e) == 0);
	tap_is_int(sync_expect(s[1], "the child", STEP_ONE, m, &e), -EPROTO, "a step out of order is an error");
	tap_is_str(e.text, "the child sent step 2 where 1 was due", "which names both");
	close(s[0]);
	tap_is_int(sync_recv(s[1], "the child", m, &e), -EPIPE, "a peer that is gone is an event");
	tap_is_str(e.text, "the child died", "that is said as what it is");
	signal(SIGPIPE, SIG_DFL);
	tap_ok(sync_send(s[1], STEP_ONE, NULL, 0, NULL, 0, &e) < 0, "sending to it is an error and no signal");
	close(s[1]);

	tap_must(sync_pair(s, &e) == 0);
	tap_must(sync_send(s[1], STEP_ONE, NULL, 0, NULL, 0, &e) == 0);
	tap_must(sync_send(s[0], STEP_TWO, "last", 4, NULL, 0, &e) == 0);
	close(s[0]);
	tap_ok(sync_recv(s[1], "the child", m, &e) == 0 && m->step == STEP_TWO && m->len == 4,
	       "what a peer said before it ended arrives, though it left a message of ours unread");
	tap_is_int(sync_next(s[1], "the child", m, &e), 0, "and then its end");
	close(s[1]);
}

static void test_fds(struct sync_msg *m)
{
	int s[2];
	struct err e = ERR_INIT;
	tap_must(sync_pair(s, &e) == 0);
	unsigned before = open_fds();
	int fds[SYNC_FDS_MAX + 1];
	for (int i = 0; i <= SYNC_FDS_MAX; i++)
		fds[i] = s[0];
	tap_is_int(sync_send(s[0], STEP_ONE, "x", 1, fds, SYNC_FDS_MAX, &e), 0, "eight descriptors are sent");
	tap_ok(sync_expect(s[1], "peer", STEP_ONE, m, &e) == 0 && m->nfds == SYNC_FDS_MAX, "and arrive");
	bool cloexec = true;
	for (int i = 0; i < m->nfds; i++)
		cloexec = cloexec && (fcntl(m->fds[i], F_GETFD) & FD_CLOEXEC);
	tap_ok(cloexec, "close-on-exec");
	sync_close_fds(m);
	tap_ok(m->nfds == 0 && open_fds() == before, "sync_close_fds closes them");
	tap_is_int(sync_send(s[0], STEP_ONE, NULL, 0, fds, SYNC_FDS_MAX + 1, &e), -EMSGSIZE, "nine are refused");

	tap_must(sync_send(s[0], STEP_TWO, NULL, 0, fds, 3, &e) == 0);
	tap_is_int(sync_expect(s[1], "peer", STEP_ONE, m, &e), -EPROTO, "descriptors of a step out of order");
	tap_is_int(open_fds(), before, "are closed");
	tap_must(sync_send(s[0], STEP_ONE, NULL, 0, fds, 3, &e) == 0);
	tap_is_int(sync_expect(s[1], "peer", STEP_ONE, NULL, &e), 0, "descriptors nobody wants");
	tap_is_int(open_fds(), before, "are closed too");
	tap_must(sync_send(s[0], STEP_ONE, NULL, 0, fds, 1, &e) == 0);
	int one = sync_expect_fd(s[1], "peer", STEP_ONE, &e);
	tap_ok(one >= 0 && open_fds() == before + 1, "the one that was due is given");
	close(one);
	tap_must(sync_send(s[0], STEP_ONE, NULL, 0, fds, 2, &e) == 0);
	tap_is_int(sync_expect_fd(s[1], "peer", STEP_ONE, &e), -EPROTO, "two where one was due are an error");
	tap_is_int(open_fds(), before, "and closed");
	close(s[0]);
	close(s[1]);
}

static void test_errors(struct sync_msg *m)
{
	int s[2];
	struct err e = ERR_INIT;
	struct err cause = ERR_INIT;
	tap_must(sync_pair(s, &e) == 0);
	err_sys(&cause, ENOSPC, "mount overlay");
	err_hint(&cause, "make room");
	err_status(&cause, EXIT_CANNOT_INVOKE);
	sync_send_err(s[0], &cause);
	tap_is_int(sync_expect(s[1], "the child", STEP_ONE, m, &e), -ENOSPC, "the peer's failure is a failure here");
	tap_is_str(e.text, "mount overlay: No space left on device", "with its text");
	tap_is_str(e.hint, "make room", "its hint");
	tap_is_int(err_exit_status(&e), 126, "and its exit status");

	/* A peer that went bad must not be able to make a failure look like success or run off the end of a text. */
	struct err evil = ERR_INIT;
	memset(evil.text, 'A', sizeof(evil.text));
	memset(evil.hint, 'B', sizeof(evil.hint));
	evil.code = -5;
	sync_send_err(s[0], &evil);
	tap_is_int(sync_recv(s[1], "the child", m, &e), -EIO, "an error with a code that makes no sense is an error");
	tap_ok(strlen(e.text) == ERR_TEXT_SIZE - 1 && strlen(e.hint) == ERR_HINT_SIZE - 1,
	       "texts without an end get one");
	tap_must(sync_send(s[0], SYNC_STEP_ERROR, "short", 5, NULL, 0, &e) == 0);
	tap_is_int(sync_recv(s[1], "the child", m, &e), -EPROTO, "an error of the wrong size is refused");
	tap_is_int(sync_send(s[0], SYNC_STEP_ERROR, &cause, sizeof(cause), NULL, 0, &e), 0, "another error");
	tap_is_int(sync_recv(s[1], "the child", m, NULL), -ENOSPC, "is returned also to who wants no text");
	close(s[0]);
	close(s[1]);
}

static void test_malformed(struct sync_msg *m)
{
	static const struct {
		uint32_t words[3];
		size_t size;
		const char *sentence;
	} bad[] = {
		{{1}, 4, "a message shorter than its header is refused"},
		{{1, 100, 0}, 12, "a length above the data is refused"},
		{{1, 0, 7}, 12, "a length below the data is refused"},
		{{1, 0xfffffff8, 0}, 12, "a length that would wrap is refused"},
	};
	int s[2];
	struct err e = ERR_INIT;
	tap_must(sync_pair(s, &e) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		tap_must(send(s[0], bad[i].words, bad[i].size, 0) == (ssize_t)bad[i].size);
		tap_is_int(sync_recv(s[1], "peer", m, &e), -EPROTO, bad[i].sentence);
	}
	size_t size = SYNC_DATA_MAX + 100;
	autofree char *big = xcalloc(1, size);
	tap_must(send(s[0], big, size, 0) == (ssize_t)size);
	tap_is_int(sync_recv(s[1], "peer", m, &e), -EPROTO, "a message that is too long is refused");
	tap_must(sync_send(s[0], STEP_ONE, "ok", 2, NULL, 0, &e) == 0);
	tap_is_int(sync_expect(s[1], "peer", STEP_ONE, m, &e), 0, "and the next good one is read");
	close(s[0]);
	close(s[1]);
}

static int dying_child(void *arg)
{
	close(((int *)arg)[0]);
	raise(SIGKILL);
	return 0;
}

static void test_death(struct sync_msg *m)
{
	int s[2];
	struct err e = ERR_INIT;
	tap_must(sync_pair(s, &e) == 0);
	tap_is_int(tap_child_status(dying_child, s), 137, "a child is killed in the middle of a handshake");
	close(s[1]);
	tap_is_int(sync_expect(s[0], "the child", STEP_ONE, m, &e), -EPIPE, "and the parent does not hang");
	close(s[0]);
}

int main(void)
{
	tap_plan_later();
	autofree struct sync_msg *m = xcalloc(1, sizeof(*m));
	test_messages(m);
	test_fds(m);
	test_errors(m);
	test_malformed(m);
	test_death(m);
	return tap_done();
}
