/*
 * check_layers.c - unpacked layers: whole, there, and what their blobs say; see check_int.h.
 *
 * Theory: a DiffID cannot be found again from an unpacked tree (a tar has an order and padding that no tree keeps), so a
 * layer is compared with what its verified blob unpacks to, by the same confined program that made it. The copy is
 * then thrown away, or, where the layer differs, exchanged for it: the repair is there already.
 *
 * A layer belongs to an id map. Those this user can have are the ranged one, the one of the caller alone and the one of
 * keep-id; layers of any other map (another /etc/subuid, another user) can be neither made nor used, and are kept only
 * for containers that were created on them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/engine/archive_compare.h"

enum { INFO_MAX = 64 << 10 };

/* 1 and the map, or 0: nobody here has it. */
static int map_of_key(const char *key, struct idmap *ret_map, struct err *e)
{
	struct idmap ranged;
	int r = idmap_detect(false, &ranged, e);
	if (r >= 0 && str_eq(ranged.key, key)) {
		*ret_map = ranged;
		return 1;
	}
	if (r >= 0)
		r = idmap_detect(true, ret_map, e);
	if (r < 0)
		return r;
	if (str_eq(ret_map->key, key))
		return 1;
	if (ranged.form != IDMAP_RANGED)
		return 0;
	uint32_t nuid = 0;
	uint32_t ngid = 0;
	for (size_t i = 1; i < ranged.nuid; i++)
		nuid += ranged.uid[i].count;
	for (size_t i = 1; i < ranged.ngid; i++)
		ngid += ranged.gid[i].count;
	return idmap_keepid(&ranged, nuid, ngid, ret_map, NULL) >= 0 && str_eq(ret_map->key, key);
}

struct layer {
	char key[IDMAP_KEY_SIZE];
	const char *hex;
	char *path; /* below the root */
	struct idmap map;
	const struct check_image *image; /* that has it */
	size_t index;			 /* in the image's record */
	bool needs_lower;
};

static bool belongs(const struct store_layer *l, size_t index, const struct layer *x)
{
	if (!str_eq(l->key, x->hex))
		return false;
	/* Under the DiffID, but made as the bottom of an image: only such an image has it. */
	return !x->needs_lower || index == 0 || !str_eq(l->diff_id + 7, x->hex);
}

static bool find_image(const struct check *k, struct layer *x)
{
	for (size_t i = 0; i < k->nimages; i++) {
		const struct check_image *image = &k->images[i];
		for (size_t n = 0; image->has_record && n < image->record.nlayers; n++) {
			if (!belongs(&image->record.layers[n], n, x))
				continue;
			x->image = image;
			x->index = n;
			return true;
		}
	}
	return false;
}

/* NULL, or what is wrong with it without looking inside. */
static const char *look_at(const struct check *k, struct layer *x)
{
	struct stat st;
	autojson json_t *info = NULL;
	autofree char *diff = xasprintf("%s/diff", x->path);
	autofree char *info_path = xasprintf("%s/info.json", x->path);
	int rootfd = k->c->store.rootfd;
	int r = json_parse_file(rootfd, info_path, INFO_MAX, &info, NULL);
	x->needs_lower = r >= 0 && json_bool_or(info, "needsLower", false);
	if (fstatat(rootfd, diff, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? "its files are not there" : "its files cannot be reached";
	if (!S_ISDIR(st.st_mode))
		return "it is not a directory";
	if (r < 0 || !json_str_or_null(info, "diffID"))
		return r == -ENOENT ? "its info.json is not there" : "its info.json is damaged";
	return NULL;
}

static int files_of(int dirfd, const char *path, struct err *e)
{
	autofree char *diff = xasprintf("%s/diff", path);
	int fd = openat(dirfd, diff, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? err_sys(e, errno, "open %s", diff) : fd;
}

static int same_file(int a, const char *a_path, int b, const char *b_path, struct err *e)
{
	autostr struct str x = STR_INIT;
	autostr struct str y = STR_INIT;
	int r = io_read_file(a, a_path, 1 << 30, &x, e);
	bool none = r == -ENOENT;
	if (r >= 0 || none)
		r = io_read_file(b, b_path, 1 << 30, &y, e);
	if (none && r == -ENOENT) {
		err_clear(e);
		return 1;
	}
	return r < 0 ? (r == -ENOENT ? 0 : r) : !none && x.len == y.len && memcmp(x.buf, y.buf, x.len) == 0;
}

/* 0 the same, 1 not. */
static int compare(struct check *k, const struct layer *x, const char *fresh, char *difference, struct err *e)
{
	autofree char *ours = xasprintf("%s/sidecar", x->path);
	autofree char *theirs = xasprintf("%s/sidecar", fresh);
	autofd int have = files_of(k->c->store.rootfd, x->path, e);
	autofd int want = have < 0 ? -1 : files_of(k->w.dirfd, fresh, e);
	if (have < 0 || want < 0)
		return have < 0 ? have : want;
	int r = archive_compare(&x->map, have, want, difference, e);
	if (r == 0) {
		r = same_file(k->c->store.rootfd, ours, k->w.dirfd, theirs, e);
		if (r >= 0) {
			snprintf(difference, ARCHIVE_DIFFERENCE_SIZE, "sidecar: content");
			r = !r;
		}
	}
	return r;
}

struct blob_arg {
	const struct check *k;
	const struct store_layer *layer;
};

static int open_blob(void *arg, struct err *e)
{
	const struct blob_arg *b = arg;
	return store_open_blob(&b->k->c->store, b->layer->blob, b->layer->blob_size, e);
}

/* From its blob, in the work directory, and verified. Those below are there if it needs them. */
static int unpack_for(struct check *k, const struct layer *x, struct layer_new *ret, struct err *e)
{
	const struct store_record *record = &x->image->record;
	const struct store_layer *l = &record->layers[x->index];
	struct blob_arg arg = {k, l};
	const struct layer_source source = {
		.open = open_blob, .arg = &arg, .what = x->path, .total = (uint64_t)l->blob_size};
	autostrv struct strv lowers = STRV_INIT;
	bool dependent = !str_eq(l->key, l->diff_id + 7);
	for (size_t i = x->index; dependent && i-- > 0;)
		strv_add_owned(&lowers, store_layer_path(x->key, record->layers[i].key));
	int r = dependent ? layer_unpack_once(k->c, &k->w, &source, 0, &lowers, ret, e)
			  : layer_unpack(k->c, &k->w, &source, ret, e);
	if (r >= 0 && !str_eq(ret->result.blob_digest, l->blob))
		r = err_set(e, EBADMSG, "blob %s is damaged: its digest is %s", l->blob, ret->result.blob_digest);
	if (r >= 0 && !str_eq(ret->result.diffid, l->diff_id))
		r = err_set(e, EBADMSG, "the image says DiffID %s for a layer that has %s", l->diff_id,
			    ret->result.diffid);
	if (r >= 0 && dependent)
		r = layer_write_info(&k->w, ret->dir, &ret->result, true, e);
	return r;
}

static int unpack_again(struct check *k, const struct layer *x, struct layer_new *ret, struct err *e)
{
	struct idmap own = k->c->map;
	k->c->map = x->map;
	int r = unpack_for(k, x, ret, e);
	k->c->map = own;
	return r;
}

static void report(struct check *k, enum check_state state, const struct layer *x, const char *why, const char *more)
{
	check_report(k, state, "layer damaged", x->path, x->image, "%s%s", why, more);
}

static void mend(struct check *k, const struct layer *x, const struct layer_new *fresh, const char *why)
{
	struct err cannot = ERR_INIT;
	if (store_replace_layer(&k->w, fresh->dir, x->key, x->hex, &cannot) >= 0) {
		report(k, CHECK_MENDED, x, why, "; unpacked again");
		return;
	}
	autofree char *more = xasprintf("; %s", cannot.text);
	report(k, CHECK_BROKEN, x, why, more);
}

static int drop_fresh(struct check *k, const struct layer_new *fresh, struct err *e)
{
	return *fresh->dir ? store_remove_tree(k->w.dirfd, fresh->dir, e) : 0;
}

static int check_content(struct check *k, struct layer *x, const char *wrong, struct err *e)
{
	struct layer_new fresh = {.dir = ""};
	struct err cannot = ERR_INIT;
	char difference[ARCHIVE_DIFFERENCE_SIZE];
	bool blob = !strv_has(&k->damaged, x->image->record.layers[x->index].blob);
	if (!wrong && (!k->compare_layers || !k->can_write || !blob))
		return 0;
	if (wrong && !k->repair) {
		report(k, CHECK_BROKEN, x, wrong, "");
		return 0;
	}
	image_tell_progress(k->c, x->path, IMAGE_CHECKING, 0, 0);
	int r = unpack_again(k, x, &fresh, &cannot);
	if (r >= 0 && !wrong) {
		r = compare(k, x, fresh.dir, difference, &cannot);
		if (r > 0)
			wrong = difference;
		else if (r < 0)
			wrong = cannot.text;
		if (wrong && !k->repair)
			report(k, CHECK_BROKEN, x, wrong, "");
		r = 0;
	}
	if (r < 0) {
		autofree char *more = xasprintf("%s; it cannot be unpacked again: %s", wrong ? wrong : "not compared",
						cannot.text);
		report(k, CHECK_BROKEN, x, more, "");
	} else if (wrong && k->repair) {
		mend(k, x, &fresh, wrong);
	}
	return drop_fresh(k, &fresh, e);
}

static int check_foreign(struct check *k, const struct layer *x, struct err *e)
{
	autostrv struct strv users = STRV_INIT;
	int r = store_layer_users(&k->c->store, x->key, x->hex, false, &users, e);
	if (r < 0 || users.count)
		return r;
	struct err cannot = ERR_INIT;
	bool removed = k->repair && store_remove_layer(&k->w, x->key, x->hex, &cannot) >= 0;
	check_report(k, removed ? CHECK_REMOVED : CHECK_LEFTOVER, "layer of another id map", x->path, NULL,
		     "nobody here has the map it was unpacked for");
	return 0;
}

static int check_layer(struct check *k, const char *name, struct err *e)
{
	struct layer x = {.hex = strchr(name, '/') + 1};
	size_t n = (size_t)(x.hex - name) - 1;
	if (n >= sizeof(x.key))
		return 0;
	memcpy(x.key, name, n);
	autofree char *path = xasprintf("layers/%s", name);
	x.path = path;
	int r = map_of_key(x.key, &x.map, e);
	if (r == 0 && k->c->args.count == 0)
		return check_foreign(k, &x, e);
	if (r <= 0)
		return r;
	const char *wrong = look_at(k, &x);
	/* What no image has is garbage, however it looks. */
	return find_image(k, &x) ? check_content(k, &x, wrong, e) : 0;
}

static int ensure(struct check *k, const struct check_image *image, const struct idmap *map, struct err *e)
{
	struct idmap own = k->c->map;
	struct store_record record = {0};
	/* As it is now: what was mended before may have changed it. */
	int r = store_record_read(&k->c->store, image->manifest, &record, e);
	k->c->map = *map;
	if (r >= 0)
		r = layers_ensure(k->c, &k->w, &record, e);
	if (r > 0)
		r = store_publish_image(&k->w, &record, e);
	k->c->map = own;
	store_record_free(&record);
	return r;
}

/* Unpacked once for this map, and not there any more. */
static void check_missing(struct check *k, const struct check_image *image, const struct idmap *map)
{
	autofree char *first = NULL;
	size_t missing = 0;
	for (size_t i = 0; i < image->record.nlayers; i++) {
		autofree char *path = store_layer_path(map->key, image->record.layers[i].key);
		if (faccessat(k->c->store.rootfd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
			continue;
		if (!missing++)
			first = take_ptr(&path);
	}
	if (!missing)
		return;
	struct err cannot = ERR_INIT;
	int r = k->repair ? ensure(k, image, map, &cannot) : -1;
	autofree char *why = missing > 1 ? xasprintf("it and %zu more are not there", missing - 1)
					 : xstrdup("it is not there");
	if (!k->repair)
		check_report(k, CHECK_BROKEN, "layer missing", first, image, "%s", why);
	else if (r < 0)
		check_report(k, CHECK_BROKEN, "layer missing", first, image, "%s; %s", why, cannot.text);
	else
		check_report(k, CHECK_MENDED, "layer missing", first, image, "%s; unpacked again", why);
}

int check_all_layers(struct check *k, struct err *e)
{
	autostrv struct strv layers = STRV_INIT;
	struct idmap map;
	int r = store_check_layers(&k->c->store, &layers, e);
	for (size_t i = 0; r >= 0 && i < layers.count; i++)
		r = check_layer(k, layers.items[i], e);
	for (size_t i = 0; r >= 0 && i < k->nimages; i++) {
		const struct check_image *image = &k->images[i];
		for (size_t n = 0; image->has_record && r >= 0 && n < image->record.maps.count; n++) {
			r = map_of_key(image->record.maps.items[n], &map, e);
			if (r > 0)
				check_missing(k, image, &map);
		}
	}
	return r < 0 ? r : 0;
}
