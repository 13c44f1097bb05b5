/*
 * shared.c - stores of others, read where they are and never written; see store.h.
 *
 * Theory: a shared store is a store like ours, whose records say all that is needed: names, layers, keys. Its images
 * take part as the built-in ones do (record.builtin: not ours to change), its layers are used in place where they are
 * unpacked for the very id map of the run, and its blobs are read in place otherwise. Nothing keeps it from being
 * changed by its owner; whoever removes an image from it takes it from all its readers.
 *
 * Where they are is looked up when our own store has no answer, not on every start: RL_ADDITIONAL_STORES (a list with
 * colons; empty: none), or else `additionalimagestores` in containers' storage.conf. What is there and is no store of
 * this form (podman's own, say) is passed over.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/model/toml.h"
#include "store_int.h"

enum { CONF_MAX = 1 << 20 };

/* The first storage.conf there is: 1 and its text. */
static int read_conf(struct str *out)
{
	const char *named = getenv("CONTAINERS_STORAGE_CONF");
	const char *config = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");
	autostrv struct strv paths = STRV_INIT;
	if (named && *named) {
		strv_add(&paths, named);
	} else {
		if (config && *config == '/')
			strv_addf(&paths, "%s/containers/storage.conf", config);
		else if (home && *home == '/')
			strv_addf(&paths, "%s/.config/containers/storage.conf", home);
		strv_add(&paths, "/etc/containers/storage.conf");
		strv_add(&paths, "/usr/share/containers/storage.conf");
	}
	for (size_t i = 0; i < paths.count; i++) {
		struct err why = ERR_INIT;
		int r = io_read_file(AT_FDCWD, paths.items[i], CONF_MAX, out, &why);
		if (r >= 0)
			return 1;
		if (r != -ENOENT)
			log_debug(LOG_STORE, "%s", why.text);
	}
	return 0;
}

static void roots_of_conf(struct strv *out)
{
	autostr struct str text = STR_INIT;
	autojson json_t *doc = NULL;
	autostrv struct strv roots = STRV_INIT;
	struct err why = ERR_INIT;
	if (!read_conf(&text) || !strstr(text.buf, "additionalimagestores"))
		return;
	if (toml_parse(text.buf, text.len, "storage.conf", &doc, &why) < 0) {
		log_warn("additional image stores are not used: %s", why.text);
		return;
	}
	const json_t *options = json_object_get(json_object_get(doc, "storage"), "options");
	if (json_get_strv(options, "additionalimagestores", &roots, &why) < 0)
		log_warn("storage.conf: additional image stores are not used: %s", why.text);
	strv_add_all(out, &roots);
}

static void shared_roots(struct strv *out)
{
	const char *listed = getenv("RL_ADDITIONAL_STORES");
	if (!listed)
		roots_of_conf(out);
	else if (*listed)
		strv_split(out, listed, ':');
}

static int open_shared(const struct store *s, const char *path, struct store *ret)
{
	struct stat st;
	struct stat own;
	autofd int fd = *path == '/' ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd < 0 || fstat(fd, &st) < 0 || faccessat(fd, STORE_META, F_OK, 0) < 0) {
		log_debug(LOG_STORE, "additional store %s: there is no store of rl", path);
		return -ENOENT;
	}
	if (fstat(s->rootfd, &own) == 0 && own.st_dev == st.st_dev && own.st_ino == st.st_ino)
		return -ENOENT; /* ourselves */
	/* Whoever may write there decides what runs here. */
	if ((st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX)) {
		log_warn("additional store %s is not used: everybody may write to it", path);
		return -EPERM;
	}
	*ret = (struct store){.root = path_clean(path), .rootfd = take_fd(&fd), .alone = true};
	return 0;
}

int store_shared_each(const struct store *s, store_shared_fn *fn, void *arg, struct err *e)
{
	autostrv struct strv roots = STRV_INIT;
	int r = 0;
	if (s->alone)
		return 0;
	shared_roots(&roots);
	for (size_t i = 0; i < roots.count && r == 0; i++) {
		struct store shared;
		if (open_shared(s, roots.items[i], &shared) < 0)
			continue;
		r = fn(&shared, arg, e);
		store_close(&shared);
	}
	return r;
}

/* ---- its images, as those of a layout ---- */

struct visit {
	store_layout_fn *fn;
	void *arg;
};

static int visit_record(const struct store *shared, const char *name, const char *manifest, const struct visit *v)
{
	struct store_record record = {0};
	struct err why = ERR_INIT;
	if (store_record_read(shared, manifest, &record, &why) < 0) {
		log_debug(LOG_STORE, "additional store %s: %s", shared->root, why.text);
		return 0;
	}
	/* Its own note about an image built into its owner's rl is none of ours. */
	int r = 0;
	if (!record.builtin) {
		record.builtin = true;
		record.shared = true;
		r = v->fn(name, &record, v->arg);
	}
	store_record_free(&record);
	return r;
}

static int visit_store(const struct store *shared, void *arg, struct err *e)
{
	struct store_refs refs = {0};
	autostrv struct strv digests = STRV_INIT;
	autostrv struct strv named = STRV_INIT;
	int r = store_refs_read(shared, &refs, e);
	for (size_t i = 0; i < refs.count && r == 0; i++) {
		strv_add(&named, refs.items[i].manifest);
		if (*refs.items[i].manifest)
			r = visit_record(shared, refs.items[i].name, refs.items[i].manifest, arg);
	}
	store_refs_free(&refs);
	if (r == 0)
		r = store_records_list(shared, &digests, e);
	for (size_t i = 0; i < digests.count && r == 0; i++)
		if (!strv_has(&named, digests.items[i]))
			r = visit_record(shared, "", digests.items[i], arg);
	return r;
}

int store_shared_images(const struct store *s, store_layout_fn *fn, void *arg, struct err *e)
{
	struct visit v = {fn, arg};
	return store_shared_each(s, visit_store, &v, e);
}

/* ---- its blobs and layers ---- */

struct blob_search {
	const char *digest;
	int64_t size;
	int fd;
};

static int open_blob(const struct store *shared, void *arg, struct err *e)
{
	struct blob_search *b = arg;
	(void)e;
	b->fd = store_open_blob(shared, b->digest, b->size, NULL);
	return b->fd >= 0;
}

int store_shared_blob(const struct store *s, const char *digest, int64_t size)
{
	struct blob_search b = {digest, size, -1};
	return store_shared_each(s, open_blob, &b, NULL) > 0 ? b.fd : -1;
}

struct layer_search {
	const char *path; /* below the root */
	char *found;
};

static int find_layer(const struct store *shared, void *arg, struct err *e)
{
	struct layer_search *l = arg;
	struct stat st;
	(void)e;
	if (fstatat(shared->rootfd, l->path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	l->found = xasprintf("%s/%s", shared->root, l->path);
	return 1;
}

char *store_shared_layer(const struct store *s, const char *path)
{
	struct layer_search l = {path, NULL};
	(void)!store_shared_each(s, find_layer, &l, NULL);
	return l.found;
}
