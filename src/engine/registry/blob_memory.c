/*
 * blob_memory.c - one small blob into memory.
 */
#include "registry_int.h"

#include <errno.h>
#include <inttypes.h>

struct memory {
	struct str *out;
	size_t start;
};

static ssize_t memory_write(void *arg, const void *data, size_t len)
{
	struct memory *m = arg;
	str_add(m->out, data, len);
	return (ssize_t)len;
}

static int memory_restart(void *arg)
{
	struct memory *m = arg;
	str_cut(m->out, m->start);
	return 0;
}

int registry_get_blob(struct registry_repo *repo, const char *digest, uint64_t size, uint64_t max, struct str *out,
		      struct err *e)
{
	struct memory m = {.out = out, .start = out->len};
	const struct registry_sink sink = {.write = memory_write, .restart = memory_restart, .arg = &m, .wait_fd = -1};
	struct registry_blob b = {.digest = digest, .size = size, .partial_fd = -1, .sink = &sink};
	const struct registry_transfer t = {.parallel = 1};
	if (size > max)
		return err_set(e, EFBIG, "%s: blob %.19s of %" PRIu64 " bytes, at most %" PRIu64 " are taken",
			       repo->name, digest, size, max);
	int r = registry_fetch_all(repo, &b, 1, &t, e);
	if (r < 0)
		str_cut(out, m.start);
	return r;
}
