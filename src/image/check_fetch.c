/* check_fetch.c - a damaged or missing blob again, from the registries its image may have come from; see check_int.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check_int.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/model/imgref.h"

static int fetch_manifest(struct check *k, struct registry_repo *repo, const char *digest, struct err *e)
{
	struct registry_manifest m = REGISTRY_MANIFEST_INIT;
	int r = registry_get_manifest(repo, digest, &m, e);
	if (r >= 0)
		r = store_put_blob(&k->w, m.body.buf, m.body.len, digest, e);
	registry_manifest_free(&m);
	return r;
}

static int fetch_blob(struct check *k, struct registry_repo *repo, const char *digest, int64_t size, struct err *e)
{
	const char *file = digest + strlen("sha256:");
	autofd int fd = openat(k->w.dirfd, file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, errno, "create blob %s", digest);
	struct registry_blob blob = {.digest = digest, .size = (uint64_t)size, .partial_fd = fd};
	const struct registry_transfer t = {.parallel = 1};
	int r = registry_fetch_all(repo, &blob, 1, &t, e);
	if (r >= 0 && fsync(fd) < 0 && errno != EINVAL && errno != ENOSYS)
		r = err_sys(e, errno, "sync blob %s", digest);
	if (r >= 0)
		r = store_publish_blob(&k->w, file, digest, e);
	return r;
}

static int fetch_from(struct check *k, const char *origin, const char *digest, int64_t size, bool is_manifest,
		      struct err *e)
{
	struct imgref ref;
	struct registry_repo *repo = NULL;
	int r = imgref_parse(origin, &ref, e);
	if (r < 0)
		return r;
	r = registry_repo_open(k->registry, ref.domain, ref.path, REGISTRY_PULL, &repo, e);
	if (r >= 0) {
		r = is_manifest ? fetch_manifest(k, repo, digest, e) : fetch_blob(k, repo, digest, size, e);
		registry_repo_close(repo);
	}
	imgref_free(&ref);
	return r;
}

static void add_origins(const struct check_image *image, struct strv *out)
{
	for (size_t i = 0; i < image->origins.count; i++)
		if (!strv_has(out, image->origins.items[i]))
			strv_add(out, image->origins.items[i]);
}

int check_fetch(struct check *k, const struct check_image *image, const char *digest, int64_t size, bool is_manifest,
		struct err *e)
{
	int r = k->registry || k->local ? 0 : registry_open(&k->c->registry, &k->registry, e);
	if (r < 0)
		return r;
	autostrv struct strv origins = STRV_INIT;
	add_origins(image, &origins);
	for (size_t i = 0; i < k->nimages; i++)
		if (check_image_has(&k->images[i], digest))
			add_origins(&k->images[i], &origins);
	r = err_set(e, ENOENT, "%s",
		    k->local ? "no registry may be asked" : "it was not pulled from a registry that is known");
	for (size_t i = 0; !k->local && r < 0 && i < origins.count; i++) {
		err_clear(e);
		r = size < 0 && !is_manifest ? err_set(e, EBADMSG, "its size is not known")
					     : fetch_from(k, origins.items[i], digest, size, is_manifest, e);
	}
	return r;
}
