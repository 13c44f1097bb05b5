/*
 * store_fixture.h - a store of its own for each test, and images in it whose digests are just numbers.
 *
 * The store engine never computes a digest, so any 64 hex digits will do: fixture_digest(n) names object n.
 *     fixture_open(&f);  fixture_image(&f, "docker.io/library/a:1", 10, 20, 2);  ...  fixture_close(&f);
 */
#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/engine/store.h"
#include "rl/model/imgspec.h"
#include "tap.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"

struct fixture {
	char dir[64];
	struct store s;
};

static void fixture_must(int r, const struct err *e)
{
	if (r >= 0)
		return;
	printf("Bail out! %s\n", e->text);
	exit(1);
}

static void fixture_open(struct fixture *f)
{
	struct err e = ERR_INIT;
	snprintf(f->dir, sizeof(f->dir), "/tmp/rl-test-store-XXXXXX");
	if (!mkdtemp(f->dir))
		exit(1);
	autofree char *root = xasprintf("%s/store", f->dir);
	autofree char *share = xasprintf("%s/share", f->dir);
	setenv("RL_SHARE", share, 1);
	fixture_must(store_open(root, true, &f->s, &e), &e);
}

static void fixture_close(struct fixture *f)
{
	struct err e = ERR_INIT;
	store_close(&f->s);
	fixture_must(io_remove_tree(AT_FDCWD, f->dir, &e), &e);
}

static void fixture_digest(unsigned n, char ret[STORE_DIGEST_SIZE])
{
	snprintf(ret, STORE_DIGEST_SIZE, "sha256:%064x", n);
}

static bool fixture_has(const struct fixture *f, const char *fmt, unsigned n)
{
	char path[256];
	snprintf(path, sizeof(path), fmt, n);
	return faccessat(f->s.rootfd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

#define FIXTURE_BLOB  "images/blobs/sha256/%064x"
#define FIXTURE_META  "images/meta/%064x.json"
#define FIXTURE_LAYER "layers/map/%064x/diff"

static void fixture_put(struct store_work *w, unsigned n, const char *text)
{
	struct err e = ERR_INIT;
	char digest[STORE_DIGEST_SIZE];
	fixture_digest(n, digest);
	fixture_must(store_put_blob(w, text, strlen(text), digest, &e), &e);
}

/* An unpacked layer in the work directory, as rl-image makes it. */
static void fixture_layer_dir(struct store_work *w, const char *name)
{
	struct err e = ERR_INIT;
	char path[128];
	snprintf(path, sizeof(path), "%s/diff/etc", name);
	fixture_must(io_mkdirs(w->dirfd, path, 0755, &e), &e);
	snprintf(path, sizeof(path), "%s/info.json", name);
	fixture_must(io_write_file(w->dirfd, path, "{}", 2, 0600, &e), &e);
}

/* Documents that agree with each other: manifest n, config n + 1, layers first_layer..+count (blob and DiffID). */
static void fixture_documents(unsigned n, unsigned first_layer, unsigned count, struct str *manifest,
			      struct str *config)
{
	char digest[STORE_DIGEST_SIZE];
	autojson json_t *c = imgspec_config_new("amd64", NULL, "2020-01-01T00:00:00Z");
	for (unsigned i = 0; i < count; i++) {
		fixture_digest(first_layer + i, digest);
		imgspec_config_add_layer(c, digest, "2020-01-01T00:00:00Z", "step", NULL);
	}
	json_put_int(c, "n", n); /* every config is different */
	json_print(c, false, config);
	fixture_digest(n + 1, digest);
	autojson json_t *m = imgspec_manifest_new(digest, (int64_t)config->len);
	for (unsigned i = 0; i < count; i++) {
		fixture_digest(first_layer + i, digest);
		imgspec_manifest_add_layer(m, IMGSPEC_OCI_LAYER_GZIP, digest, 5);
	}
	json_print(m, false, manifest);
}

static void fixture_record(unsigned n, unsigned first_layer, unsigned count, const struct str *manifest,
			   const struct str *config, struct store_record *r)
{
	*r = (struct store_record){.media_type = xstrdup(IMGSPEC_OCI_MANIFEST),
				   .manifest_size = (int64_t)manifest->len,
				   .config_size = (int64_t)config->len,
				   .created = xstrdup("2020-01-01T00:00:00Z"),
				   .layers = xcalloc(count + 1, sizeof(*r->layers)),
				   .nlayers = count};
	fixture_digest(n, r->manifest);
	fixture_digest(n + 1, r->config);
	for (unsigned i = 0; i < count; i++) {
		struct store_layer *l = &r->layers[i];
		l->media_type = xstrdup(IMGSPEC_OCI_LAYER_GZIP);
		fixture_digest(first_layer + i, l->blob);
		fixture_digest(first_layer + i, l->diff_id);
		snprintf(l->key, sizeof(l->key), "%.64s", l->diff_id + 7);
		l->blob_size = 5;
		l->unpacked_size = 100;
	}
}

/* A whole image: manifest n, config n + 1, `count` layers from `first_layer` on, unpacked for the map "map". `name` NULL:
 * without a name. */
static void fixture_image(struct fixture *f, const char *name, unsigned n, unsigned first_layer, unsigned count)
{
	struct err e = ERR_INIT;
	struct store_work w;
	autostr struct str manifest = STR_INIT;
	autostr struct str config = STR_INIT;
	struct store_record record;
	fixture_documents(n, first_layer, count, &manifest, &config);
	fixture_record(n, first_layer, count, &manifest, &config, &record);
	fixture_must(store_work_begin(&f->s, &w, &e), &e);
	fixture_put(&w, n, manifest.buf);
	fixture_put(&w, n + 1, config.buf);
	for (unsigned i = 0; i < count; i++) {
		fixture_put(&w, first_layer + i, "layer");
		char dir[16];
		snprintf(dir, sizeof(dir), "l%u", i);
		fixture_layer_dir(&w, dir);
		fixture_must(store_publish_layer(&w, dir, "map", record.layers[i].key, &e), &e);
	}
	fixture_must(store_publish_image(&w, &record, &e), &e);
	store_work_end(&w);
	if (name)
		fixture_must(store_tag(&f->s, name, record.manifest, &e), &e);
	store_record_free(&record);
}

/* A built-in layout of one image, as share/rl/images holds it. The store must be opened again to see it. */
static void fixture_builtin(struct fixture *f, const char *name, unsigned n, unsigned first_layer)
{
	struct err e = ERR_INIT;
	autostr struct str manifest = STR_INIT;
	autostr struct str config = STR_INIT;
	autostr struct str index = STR_INIT;
	char path[256];
	fixture_documents(n, first_layer, 1, &manifest, &config);
	snprintf(path, sizeof(path), "%s/share/images/blobs/sha256", f->dir);
	fixture_must(io_mkdirs(AT_FDCWD, path, 0755, &e), &e);
	snprintf(path, sizeof(path), "%s/share/images/blobs/sha256/%064x", f->dir, n);
	fixture_must(io_write_file(AT_FDCWD, path, manifest.buf, manifest.len, 0644, &e), &e);
	snprintf(path, sizeof(path), "%s/share/images/blobs/sha256/%064x", f->dir, n + 1);
	fixture_must(io_write_file(AT_FDCWD, path, config.buf, config.len, 0644, &e), &e);
	str_addf(&index,
		 "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"%s\",\"digest\":\"sha256:%064x\",\"size\":%zu,"
		 "\"annotations\":{\"org.opencontainers.image.ref.name\":\"%s\"}}]}",
		 IMGSPEC_OCI_MANIFEST, n, manifest.len, name);
	snprintf(path, sizeof(path), "%s/share/images/index.json", f->dir);
	fixture_must(io_write_file(AT_FDCWD, path, index.buf, index.len, 0644, &e), &e);
	/* proc_share_dir remembers what it found, so the path is set, not looked for. */
	free(f->s.builtin);
	f->s.builtin = xasprintf("%s/share/images", f->dir);
}

#pragma GCC diagnostic pop
#endif
