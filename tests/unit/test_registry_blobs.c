/* links: engine/registry model base */
/* Fetching blobs: receivers of every temper, partial files, several jobs, and what is told about them. */
#include "registry_server.h"

#include <errno.h>
#include <fcntl.h>

#include "rl/base/mem.h"

enum { N = 600000, JOBS = 12 };

static unsigned char data[JOBS][N];
static char digests[JOBS][IMGREF_DIGEST_SIZE], targets[JOBS][12 + IMGREF_DIGEST_SIZE];
static struct client c;

/* ---- a receiver that records, refuses, takes little, or fails ---- */

struct taker {
	unsigned char *got;
	size_t n;
	unsigned calls, refusals, restarts, dones;
	int result;
	bool moody;	/* every other call is refused, at most 1,000 bytes are taken */
	int fail_after; /* bytes; 0: never */
	int pipe[2];	/* what the loop waits on: always writable */
};

static ssize_t taker_write(void *arg, const void *p, size_t len)
{
	struct taker *t = arg;
	t->calls++;
	if (t->moody && t->calls % 2) {
		t->refusals++;
		return -EAGAIN;
	}
	if (t->fail_after && t->n >= (size_t)t->fail_after)
		return -EPIPE;
	if (t->moody)
		len = RL_MIN(len, (size_t)1000);
	if (t->n + len > N)
		return -E2BIG;
	memcpy(t->got + t->n, p, len);
	t->n += len;
	return (ssize_t)len;
}

static int taker_restart(void *arg)
{
	struct taker *t = arg;
	t->restarts++;
	t->n = 0;
	return 0;
}

static void taker_done(void *arg, int result)
{
	struct taker *t = arg;
	t->dones++;
	t->result = result;
}

static void taker_init(struct taker *t, struct registry_sink *s)
{
	memset(t, 0, sizeof(*t));
	t->got = xmalloc(N);
	t->result = 1;
	if (pipe2(t->pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		tap_diag("pipe");
	*s = (struct registry_sink){
		.write = taker_write, .restart = taker_restart, .done = taker_done, .arg = t, .wait_fd = t->pipe[1]};
}

static void taker_free(struct taker *t)
{
	free(t->got);
	close(t->pipe[0]);
	close(t->pipe[1]);
}

static struct registry_blob blob_of(int i, int fd, const struct registry_sink *sink)
{
	return (struct registry_blob){.digest = digests[i], .size = N, .partial_fd = fd, .sink = sink};
}

static int fetch(struct registry_blob *b, size_t n, struct registry_transfer *t)
{
	struct registry_transfer plain = {.parallel = 4};
	err_clear(&c.e);
	return registry_fetch_all(c.repo, b, n, t ? t : &plain, &c.e);
}

static int temp_file(const void *p, size_t n)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, p, n) != (ssize_t)n)
		tap_diag("temporary file");
	return fd;
}

static bool file_is(int fd, const void *p, size_t n)
{
	unsigned char *buf = xmalloc(n + 1);
	bool same = pread(fd, buf, n + 1, 0) == (ssize_t)n && memcmp(buf, p, n) == 0;
	free(buf);
	return same;
}

static void test_sinks(void)
{
	struct taker t;
	struct registry_sink s;
	taker_init(&t, &s);
	struct registry_blob b = blob_of(0, -1, &s);
	tap_is_int(fetch(&b, 1, NULL), 0, "a willing receiver gets a blob");
	tap_ok(t.n == N && memcmp(t.got, data[0], N) == 0, "every byte, in order");
	tap_ok(t.dones == 1 && t.result == 0, "and is told once that it is right");
	taker_free(&t);

	taker_init(&t, &s);
	t.moody = true;
	b = blob_of(0, -1, &s);
	tap_is_int(fetch(&b, 1, NULL), 0, "one that takes 1,000 bytes every other time");
	tap_ok(t.n == N && memcmp(t.got, data[0], N) == 0 && t.refusals >= N / 1000,
	       "gets every byte once all the same");
	taker_free(&t);

	taker_init(&t, &s);
	t.moody = true;
	int fd = temp_file(data[0], 250001);
	b = blob_of(0, fd, &s);
	tap_is_int(fetch(&b, 1, NULL), 0, "and so with a partial file");
	tap_ok(t.n == N && memcmp(t.got, data[0], N) == 0 && b.resumed == 250001,
	       "the file's bytes first, then the rest");
	tap_ok(file_is(fd, data[0], N), "the file is completed");
	close(fd);
	taker_free(&t);

	taker_init(&t, &s);
	t.fail_after = 100000;
	fd = temp_file("", 0);
	b = blob_of(0, fd, &s);
	tap_is_int(fetch(&b, 1, NULL), -EPIPE, "a receiver's error ends the job with that error");
	tap_ok(t.dones == 1 && t.result == -EPIPE, "it is told once");
	close(fd);
	taker_free(&t);

	taker_init(&t, &s);
	s.wait_fd = -1;
	t.moody = true;
	b = blob_of(0, -1, &s);
	tap_is_int(fetch(&b, 1, NULL), -EAGAIN,
		   "one that refuses without saying what to wait for is an error, not a hang");
	taker_free(&t);
}

static void test_files(void)
{
	unsigned char *wrong = xmalloc(N);
	memset(wrong, 'w', N);
	int fd = temp_file(wrong, 1000);
	struct registry_blob b = blob_of(1, fd, NULL);
	tap_is_int(fetch(&b, 1, NULL), 0, "a wrong beginning is found out and fetched again");
	tap_ok(file_is(fd, data[1], N) && b.resumed == 0, "and counts for nothing");
	close(fd);

	struct taker t;
	struct registry_sink s;
	taker_init(&t, &s);
	fd = temp_file(wrong, 1000);
	b = blob_of(1, fd, &s);
	tap_is_int(fetch(&b, 1, NULL), 0, "with a receiver that can start over as well");
	tap_ok(t.restarts == 1 && t.n == N && memcmp(t.got, data[1], N) == 0,
	       "which got the right bytes the second time");
	close(fd);
	taker_free(&t);

	taker_init(&t, &s);
	s.restart = NULL;
	fd = temp_file(wrong, 1000);
	b = blob_of(1, fd, &s);
	tap_is_int(fetch(&b, 1, NULL), -EBADMSG, "one that cannot ends the job");
	tap_is_int(lseek(fd, 0, SEEK_END), 0, "and the file is emptied");
	close(fd);
	taker_free(&t);

	fd = temp_file(data[2], N);
	b = blob_of(2, fd, NULL);
	tap_is_int(fetch(&b, 1, NULL), 0, "a complete file is only verified");
	tap_is_int(b.resumed, N, "nothing is fetched");
	close(fd);
	free(wrong);
	int p[2];
	if (pipe2(p, O_CLOEXEC) < 0)
		tap_diag("pipe");
	b = blob_of(2, p[0], NULL);
	tap_is_int(fetch(&b, 1, NULL), -EINVAL, "a partial file that is no file is refused");
	close(p[0]);
	close(p[1]);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(fd);
	struct registry_blob empty = {
		.digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", .partial_fd = -1};
	tap_is_int(fetch(&empty, 1, NULL), 0, "the empty blob needs no registry");
}

struct told {
	unsigned n[REGISTRY_STATE_N];
	unsigned active, most;
	bool backwards;
	uint64_t done[JOBS];
	bool running[JOBS];
};

static void tell(void *arg, size_t job, enum registry_state state, uint64_t done, uint64_t size)
{
	struct told *t = arg;
	t->n[state]++;
	t->backwards = t->backwards || done < t->done[job] || done > size;
	t->done[job] = done;
	if (state == REGISTRY_RUNNING && !t->running[job]) {
		t->running[job] = true;
		t->active++;
		t->most = RL_MAX(t->most, t->active);
	}
	if (state == REGISTRY_DONE || state == REGISTRY_FAILED)
		t->active--;
}

static void test_many(struct server *s)
{
	struct registry_blob b[JOBS];
	struct told told = {.active = 0};
	struct registry_transfer t = {.parallel = 3, .progress = tell, .progress_arg = &told};
	int fds[JOBS];
	bool same = true;
	for (int i = 0; i < JOBS; i++)
		b[i] = blob_of(i, fds[i] = temp_file("", 0), NULL);
	tap_is_int(fetch(b, JOBS - 2, &t), 0, "ten blobs, three at once");
	for (int i = 0; i < JOBS - 2; i++)
		same = same && b[i].result == 0 && file_is(fds[i], data[i], N);
	tap_ok(same, "all of them right");
	tap_is_int(told.n[REGISTRY_DONE], JOBS - 2, "each is told to be done once");
	if (!tap_ok(told.most <= 3 && told.most > 1, "never more than three run"))
		tap_diag("%u at once", told.most);
	tap_ok(!told.backwards, "progress never goes backwards");
	/* Job 10 is 404, job 11 is wrong. */
	struct registry_blob two[] = {blob_of(10, -1, NULL), blob_of(0, -1, NULL)};
	t = (struct registry_transfer){.parallel = 1};
	tap_is_int(fetch(two, 2, &t), -ENOENT, "the first failure is the result");
	tap_ok(two[0].result == -ENOENT && two[1].result == -ECANCELED, "and the rest is not done");
	t.keep_going = true;
	tap_is_int(fetch(two, 2, &t), -ENOENT, "with keep_going it is the result as well");
	tap_ok(two[1].result == 0, "but the rest is done");
	struct registry_blob bad = blob_of(11, fds[11], NULL);
	tap_is_int(fetch(&bad, 1, NULL), -EBADMSG, "wrong bytes are refused");
	tap_is_int(lseek(fds[11], 0, SEEK_END), 0, "and not left behind");
	struct registry_blob odd = {.digest = "sha256:x", .size = 1, .partial_fd = -1};
	tap_is_int(fetch(&odd, 1, NULL), -EINVAL, "what is no digest is not asked for");
	tap_is_int(fetch(NULL, 0, NULL), 0, "nothing to fetch is no error");
	for (int i = 0; i < JOBS; i++)
		close(fds[i]);

	autostr struct str text = STR_INIT;
	str_adds(&text, "before");
	tap_is_int(registry_get_blob(c.repo, digests[3], N, N, &text, &c.e), 0, "one blob into memory");
	tap_ok(text.len == N + 6 && memcmp(text.buf + 6, data[3], N) == 0, "is appended");
	tap_is_int(registry_get_blob(c.repo, digests[3], N, N - 1, &text, &c.e), -EFBIG,
		   "one above the bound is not fetched");
	tap_is_int(registry_get_blob(c.repo, digests[11], N, N, &text, &c.e), -EBADMSG, "a wrong one");
	tap_is_int(text.len, N + 6, "leaves nothing");
	tap_ok(server_asked(s, "GET /v2/x/blobs/sha256:") > 0, "the server was asked");
}

/* Several requests find out at the same time that an insecure registry speaks only http. */
static void test_first_contact(const struct server *s)
{
	bool all = true;
	for (int round = 0; round < 40; round++) {
		struct registry_blob b[8];
		struct registry_transfer t = {.parallel = 8};
		client_open(&c, s, NULL, REGISTRY_PULL);
		client_insecure(&c);
		for (int i = 0; i < 8; i++)
			b[i] = blob_of(i, -1, NULL);
		if (fetch(b, 8, &t) < 0) {
			all = false;
			tap_diag("round %d: %s", round, c.e.text);
		}
		client_close(&c);
	}
	tap_ok(all, "eight first requests at once all fall back to http, whichever answer comes first");
}

int main(void)
{
	static struct reply script[JOBS + 3];
	static unsigned char wrong[N];
	tap_plan_later();
	for (int i = 0; i < JOBS; i++) {
		for (size_t k = 0; k < N; k++)
			data[i][k] = (unsigned char)((k * 2654435761u >> 13) + (unsigned)i);
		digest_of(data[i], N, digests[i]);
		snprintf(targets[i], sizeof(targets[i]), "/v2/x/blobs/%.71s", digests[i]);
		script[i] = (struct reply){
			.method = "GET", .target = targets[i], .body = (char *)data[i], .len = N, .ranges = true};
	}
	memcpy(wrong, data[11], N);
	wrong[N / 2] ^= 1;
	script[10] = (struct reply){.method = "GET", .target = "/nowhere"};
	script[11].body = (char *)wrong;
	struct server *s = server_start(script);
	client_open(&c, s, NULL, REGISTRY_PULL);
	client_insecure(&c);
	test_sinks();
	test_files();
	test_many(s);
	client_close(&c);
	test_first_contact(s);
	server_stop(s);
	return tap_done();
}
