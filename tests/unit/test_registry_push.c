/* links: engine/registry model base */
/* Uploading blobs: what is sent when, from files and from producers. Resuming is tried with tests/cli/51. */
#include "registry_server.h"

#include <errno.h>
#include <fcntl.h>

#include "rl/base/mem.h"
#include "src/engine/registry/push_int.h"

enum { SMALL = 1000, LARGE = REGISTRY_CHUNK + 100000 };

static char small_digest[IMGREF_DIGEST_SIZE], large_digest[IMGREF_DIGEST_SIZE], there_digest[IMGREF_DIGEST_SIZE];
static char put_small[200], put_large[200], head_there[120], mount_there[300];
static unsigned char *large;
static char small[SMALL + 1];

static const struct reply script[] = {
	{.method = "HEAD", .target = head_there, .body = "there"},
	{.method = "POST", .target = mount_there, .status = "201 Created"},
	{.method = "POST",
	 .target = "/v2/x/blobs/uploads/*",
	 .status = "202 Accepted",
	 .headers = "Location: /up?s=1\r\n"},
	{.method = "PATCH", .target = "/up?s=1", .status = "202 Accepted", .headers = "Location: /up?s=2\r\n"},
	{.method = "PATCH", .target = "/up?s=2", .status = "202 Accepted", .headers = "Location: /up?s=3\r\n"},
	{.method = "PUT", .target = put_small, .status = "201 Created"},
	{.method = "PUT", .target = put_large, .status = "201 Created"},
	{.method = NULL},
};

static struct server *server;
static struct client c;

static void start(void)
{
	server = server_start(script);
	client_open(&c, server, NULL, REGISTRY_PUSH);
	client_insecure(&c);
}

static void stop(void)
{
	client_close(&c);
	server_stop(server);
}

static int push(struct registry_upload *u, size_t n)
{
	struct registry_transfer t = {.parallel = 2};
	err_clear(&c.e);
	return registry_push_all(c.repo, u, n, &t, &c.e);
}

static int temp_file(const void *p, size_t n)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, p, n) != (ssize_t)n)
		tap_diag("temporary file");
	return fd;
}

/* A producer of pieces of odd size, which says "not yet" every other time. */
struct producer {
	const unsigned char *p;
	size_t left;
	unsigned calls;
	int fail;
	int pipe[2]; /* always readable */
};

static ssize_t produce(void *arg, void *buf, size_t len)
{
	struct producer *s = arg;
	if (s->calls++ % 2)
		return -EAGAIN;
	if (s->fail && s->calls > 5)
		return -s->fail;
	size_t n = RL_MIN(RL_MIN(s->left, len), (size_t)77777);
	memcpy(buf, s->p, n);
	s->p += n;
	s->left -= n;
	return (ssize_t)n;
}

static struct producer producer_of(const void *p, size_t n)
{
	struct producer s = {.p = p, .left = n};
	if (pipe2(s.pipe, O_CLOEXEC) < 0 || write(s.pipe[1], "x", 1) != 1)
		tap_diag("pipe");
	return s;
}

static void test_files(void)
{
	int fd = temp_file(small, SMALL), big = temp_file(large, LARGE);
	struct registry_upload u = {.digest = small_digest, .size = SMALL, .fd = fd};
	start();
	tap_is_int(push(&u, 1), 0, "a small file is uploaded");
	tap_is_int(server_asked(server, "HEAD /v2/x/blobs/"), 1, "after asking whether it is there");
	tap_is_int(server_asked(server, "PATCH"), 0, "without PATCH");
	autofree char *put = xasprintf("PUT %s - - %d\n", put_small, SMALL);
	tap_is_int(server_asked(server, put), 1, "its bytes come with the PUT, the state of the Location is kept");
	tap_ok(!u.existed && str_eq(u.ret_digest, small_digest) && u.ret_size == SMALL, "digest and size are told");
	stop();
	start();
	u = (struct registry_upload){.digest = large_digest, .size = LARGE, .fd = big};
	tap_is_int(push(&u, 1), 0, "a large file is uploaded");
	autofree char *patch = xasprintf("PATCH /up?s=1 - - %d\n", LARGE);
	tap_is_int(server_asked(server, patch), 1, "in one PATCH");
	stop();
	start();
	struct registry_upload two[] = {{.digest = there_digest, .size = 5, .fd = fd},
					{.digest = small_digest, .size = SMALL, .fd = fd}};
	tap_is_int(push(two, 2), -EBADMSG, "a file of another size than its descriptor says is refused");
	stop();
	start();
	u = (struct registry_upload){.digest = large_digest, .size = SMALL, .fd = fd};
	tap_is_int(push(&u, 1), -EBADMSG, "so is one of other contents");
	tap_is_int(server_asked(server, "PUT"), 0, "which is never committed");
	int there = temp_file("there", 5);
	u = (struct registry_upload){.digest = there_digest, .size = 5, .fd = there};
	tap_is_int(push(&u, 1), 0, "what the registry has");
	tap_ok(u.existed, "is not sent");
	char gone[IMGREF_DIGEST_SIZE];
	digest_of("mount", 5, gone);
	close(there);
	stop();
	close(fd);
	close(big);
}

static void test_mount(void)
{
	int fd = temp_file(small, SMALL);
	char wanted[IMGREF_DIGEST_SIZE];
	digest_of(small, SMALL, wanted);
	start();
	struct registry_upload u = {.digest = small_digest, .size = SMALL, .fd = fd, .mount_from = "other/repo"};
	tap_is_int(push(&u, 1), 0, "a blob that can be mounted");
	tap_ok(u.existed, "is not sent either");
	autofree char *mount = xasprintf("POST %s", mount_there);
	tap_is_int(server_asked(server, mount), 1, "the mount was asked for with digest and repository");
	u.mount_from = "third/repo";
	tap_is_int(push(&u, 1), 0, "where it cannot be");
	tap_ok(!u.existed, "it is sent, in the same upload");
	stop();
	close(fd);
}

static void test_producers(void)
{
	struct producer s = producer_of(small, SMALL), l = producer_of(large, LARGE);
	struct registry_upload u = {.read = produce, .arg = &s, .wait_fd = s.pipe[0]};
	start();
	tap_is_int(push(&u, 1), 0, "a small blob is uploaded as it is produced");
	tap_ok(str_eq(u.ret_digest, small_digest) && u.ret_size == SMALL, "its digest and size are found out");
	tap_is_int(server_asked(server, "HEAD") + server_asked(server, "PATCH"), 0, "in one PUT");
	u = (struct registry_upload){.read = produce, .arg = &l, .wait_fd = l.pipe[0]};
	tap_is_int(push(&u, 1), 0, "a large one as well");
	tap_ok(str_eq(u.ret_digest, large_digest) && u.ret_size == LARGE, "with its digest");
	autofree char *first = xasprintf("PATCH /up?s=1 - - %d\n", REGISTRY_CHUNK);
	tap_is_int(server_asked(server, first), 1, "chunk by chunk");
	tap_is_int(server_asked(server, "PATCH /up?s=2 - - 100000\n"), 1, "each to where the one before said");
	stop();
	start();
	struct producer bad = producer_of(large, LARGE);
	bad.fail = EIO;
	u = (struct registry_upload){.read = produce, .arg = &bad, .wait_fd = bad.pipe[0]};
	tap_is_int(push(&u, 1), -EIO, "a producer's error ends the job");
	tap_is_int(server_asked(server, "PUT"), 0, "and nothing is committed");
	u = (struct registry_upload){.digest = small_digest, .size = SMALL};
	tap_is_int(push(&u, 1), -EINVAL, "an upload without a source is refused");
	bad = producer_of(large, LARGE);
	u = (struct registry_upload){.read = produce, .arg = &bad, .wait_fd = -1};
	tap_is_int(push(&u, 1), -EAGAIN,
		   "a producer that says \"not yet\" without a descriptor is an error, not a hang");
	stop();
}

/* What was read is compared with the descriptor, whatever way it was read. */
static void test_check(void)
{
	struct registry_upload u = {.digest = small_digest, .size = SMALL};
	struct push j = {.u = &u, .total = SMALL};
	digest_begin(&j.hash);
	digest_add(&j.hash, small, SMALL);
	tap_is_int(push_check_read(&j), 0, "the bytes of the descriptor");
	tap_is_str(j.digest, small_digest, "have its digest");
	digest_begin(&j.hash);
	digest_add(&j.hash, small, SMALL - 1);
	j.digest[0] = '\0';
	tap_is_int(push_check_read(&j), -EBADMSG, "others are refused");
	digest_free(&j.hash);
}

/* A guess saves producing, and is nothing more. */
static void test_known(void)
{
	struct producer s = producer_of(small, SMALL);
	struct registry_upload u = {.read = produce, .arg = &s, .wait_fd = s.pipe[0]};
	start();
	u.known_digest = there_digest;
	u.known_size = 5;
	tap_is_int(push(&u, 1), 0, "a blob that will be what the registry has");
	tap_ok(u.existed && str_eq(u.ret_digest, there_digest) && u.ret_size == 5, "is that one");
	tap_is_int((int)s.calls, 0, "and is not produced");
	u.known_size = 6;
	tap_is_int(push(&u, 1), 0, "where the registry has one of another size");
	tap_ok(!u.existed && str_eq(u.ret_digest, small_digest) && u.ret_size == SMALL, "it is produced and sent");
	s = producer_of(small, SMALL);
	u.known_digest = large_digest;
	tap_is_int(push(&u, 1), 0, "where the registry has none");
	tap_ok(!u.existed && str_eq(u.ret_digest, small_digest), "the digest is that of what came");
	u.known_digest = "sha256:x";
	tap_is_int(push(&u, 1), -EINVAL, "a guess that is no digest is refused");
	stop();
}

int main(void)
{
	tap_plan_later();
	large = xmalloc(LARGE);
	for (size_t i = 0; i < LARGE; i++)
		large[i] = (unsigned char)(i * 2654435761u >> 11);
	memset(small, 's', SMALL);
	digest_of(small, SMALL, small_digest);
	digest_of(large, LARGE, large_digest);
	digest_of("there", 5, there_digest);
	/* The server sees the digest percent-encoded. */
	snprintf(put_small, sizeof(put_small), "/up?s=1&digest=sha256%%3A%s", small_digest + 7);
	snprintf(put_large, sizeof(put_large), "/up?s=*");
	snprintf(head_there, sizeof(head_there), "/v2/x/blobs/%s", there_digest);
	snprintf(mount_there, sizeof(mount_there), "/v2/x/blobs/uploads/?mount=sha256%%3A%s&from=other%%2Frepo",
		 small_digest + 7);
	test_files();
	test_mount();
	test_producers();
	test_known();
	test_check();
	free(large);
	return tap_done();
}
