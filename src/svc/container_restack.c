/*
 * container_restack.c - the writable layer of a stopped container is put aside and the container goes on with an empty
 * one on other layers; in constant time, and whole or not at all.
 *
 * The one moment that counts is the replacement of config.json, which says what the container stands on. Around it lie
 * two renames that cannot be part of it, so what is going to happen is written down first, in the file `restack`:
 *     {"move": where the old writable layer goes, "snapshot": directory to undo or "", "layers": [what config will say]}
 * and whoever next holds the locks of the container finishes or undoes it:
 *     config.json says the new layers    forward: what is not moved is moved, a new writable layer is made
 *     it says others                     back: the old writable layer returns to its place
 * A writable layer put aside to be thrown away is called upper.old, and is removed when the journal is gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container_copied.h"
#include "container_int.h"
#include "container_snapshot.h"
#include "rl/base/io.h"
#include "rl/base/json.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"

static const char journal_name[] = "restack";
static const char discarded_name[] = "upper.old";

struct move {
	const char *from, *to;
};

struct journal {
	char *move;	/* absolute */
	char *snapshot; /* absolute directory, "" */
	struct strv layers;
};

static void journal_free(struct journal *j)
{
	free(j->move);
	free(j->snapshot);
	strv_free(&j->layers);
}
#define autojournal __attribute__((cleanup(journal_free)))

bool container_restack_is_pending(const struct container_rec *rec)
{
	return faccessat(rec->dirfd, journal_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
	       faccessat(rec->dirfd, discarded_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int rename_inside(void *arg, struct err *e)
{
	const struct move *m = arg;
	return rename(m->from, m->to) < 0 ? err_sys(e, errno, "move %s", m->from) : 0;
}

/* A payload may have given its root directory to another id: then only root of its ids may move it elsewhere. */
static int move_dir(const char *from, const char *to, struct err *e)
{
	struct idmap map;
	struct move m = {from, to};
	if (rename(from, to) == 0)
		return 0;
	if (errno != EACCES && errno != EPERM)
		return err_sys(e, errno, "move %s to %s", from, to);
	int r = idmap_detect(false, &map, e);
	return r < 0 ? r
		     : inside_run(&(struct inside){.map = &map, .fn = rename_inside, .arg = &m, .what = "the move"}, e);
}

struct new_upper {
	const char *path, *like;
};

static int make_like(const char *path, const char *like, struct err *e)
{
	struct stat st;
	if (stat(like, &st) < 0)
		return err_sys(e, errno, "stat %s", like);
	if (chown(path, st.st_uid, st.st_gid) < 0)
		return err_sys(e, errno, "chown %s", path);
	return chmod(path, st.st_mode & 07777) < 0 ? err_sys(e, errno, "chmod %s", path) : 0;
}

static int make_like_inside(void *arg, struct err *e)
{
	const struct new_upper *n = arg;
	return make_like(n->path, n->like, e);
}

/* Overlay shows the owner and mode of the topmost root directory: the new one gets those of the old one. */
static int make_upper(const char *path, const char *like, struct err *e)
{
	struct stat st;
	struct stat old;
	if (mkdir(path, 0755) < 0)
		return errno == EEXIST ? 0 : err_sys(e, errno, "make %s", path);
	if (stat(path, &st) < 0 || stat(like, &old) < 0)
		return err_sys(e, errno, "stat %s", like);
	if (st.st_uid == old.st_uid && st.st_gid == old.st_gid)
		return make_like(path, like, e);
	struct idmap map;
	struct new_upper n = {path, like};
	int r = idmap_detect(false, &map, e);
	return r < 0 ? r
		     : inside_run(&(struct inside){.map = &map, .fn = make_like_inside, .arg = &n, .what = "chown"}, e);
}

static int read_journal(const struct container_rec *rec, struct journal *ret, struct err *e)
{
	json_t *doc = NULL;
	int r = json_parse_file(rec->dirfd, journal_name, RECORD_FILE_MAX, &doc, e);
	autojson json_t *owned = doc;
	if (r < 0)
		return r;
	const char *move = json_str_or_null(owned, "move");
	const char *snapshot = json_str_or_null(owned, "snapshot");
	if (!move || !*move)
		return err_set(e, EBADMSG, "%s/%s is damaged", rec->dir, journal_name);
	r = json_get_strv(owned, "layers", &ret->layers, e);
	if (r < 0)
		return r;
	ret->move = xstrdup(move);
	ret->snapshot = xstrdup(snapshot ? snapshot : "");
	return 0;
}

static bool same_layers(const struct strv *a, const struct strv *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!str_eq(a->items[i], b->items[i]))
			return false;
	return true;
}

int container_restack_write_layers(const struct container_rec *rec, struct err *e)
{
	autostr struct str out = STR_INIT;
	for (size_t i = 0; i < rec->config.layers.count; i++)
		str_addf(&out, "%s\n", rec->config.layers.items[i]);
	return io_replace_file(rec->dirfd, STORE_CONTAINER_LAYERS, out.buf, out.len, 0644, true, e);
}

static int finish(const struct container_rec *rec, struct err *e)
{
	if (syncfs(rec->dirfd) < 0)
		return err_sys(e, errno, "sync");
	if (unlinkat(rec->dirfd, journal_name, 0) < 0 && errno != ENOENT)
		return err_sys(e, errno, "remove %s", journal_name);
	return store_remove_tree(rec->dirfd, discarded_name, e);
}

/* A copy of the layers is one of the old ones. */
static int drop_copy(const struct container_rec *rec, struct err *e)
{
	struct idmap map;
	bool has_map = container_rec_map(rec, &map);
	return container_copied_drop(rec->dirfd, has_map ? &map : NULL, e);
}

static bool exists(const char *path)
{
	return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int go_forward(const struct container_rec *rec, const struct journal *j, const char *upper, struct err *e)
{
	int r = exists(j->move) ? 0 : move_dir(upper, j->move, e);
	if (r >= 0)
		r = make_upper(upper, j->move, e);
	if (r >= 0)
		r = container_restack_write_layers(rec, e);
	if (r >= 0)
		r = drop_copy(rec, e);
	return r < 0 ? r : finish(rec, e);
}

static int go_back(const struct container_rec *rec, const struct journal *j, const char *upper, struct err *e)
{
	int r = 0;
	if (exists(j->move)) {
		/* The new one is empty: nothing ran on it. */
		if (rmdir(upper) < 0 && errno != ENOENT)
			return err_sys(e, errno, "remove %s", upper);
		r = move_dir(j->move, upper, e);
	}
	if (r >= 0)
		r = container_restack_write_layers(rec, e);
	if (r >= 0 && *j->snapshot)
		r = store_remove_tree(AT_FDCWD, j->snapshot, e);
	return r < 0 ? r : finish(rec, e);
}

int container_restack_recover(struct container_rec *rec, struct err *e)
{
	if (!container_restack_is_pending(rec))
		return 0;
	autojournal struct journal j = {.layers = STRV_INIT};
	struct err why = ERR_INIT;
	int r = read_journal(rec, &j, &why);
	if (r == -ENOENT)
		return store_remove_tree(rec->dirfd, discarded_name, e);
	autofree char *upper = path_join(rec->dir, "upper");
	if (r >= 0 && same_layers(&j.layers, &rec->config.layers))
		r = go_forward(rec, &j, upper, &why);
	else if (r >= 0)
		r = go_back(rec, &j, upper, &why);
	if (r < 0 && e)
		*e = why;
	return r < 0 ? err_ctx(e, "finish the change of layers of container %s", rec->config.name) : 0;
}

int container_restack(struct container_rec *rec, const char *move_to, const char *snapshot, const struct strv *layers,
		      struct err *e)
{
	autofree char *upper = path_join(rec->dir, "upper");
	autofree char *discarded = path_join(rec->dir, discarded_name);
	autojson json_t *doc = json_object();
	json_put_str(doc, "move", move_to ? move_to : discarded);
	json_put_str(doc, "snapshot", snapshot);
	json_put_strv(doc, "layers", layers);
	autostr struct str text = STR_INIT;
	json_print(doc, false, &text);
	int r = io_replace_file(rec->dirfd, journal_name, text.buf, text.len, 0600, true, e);
	if (r < 0)
		return r;
	autojournal struct journal j = {.move = xstrdup(move_to ? move_to : discarded),
					.snapshot = xstrdup(snapshot ? snapshot : ""),
					.layers = STRV_INIT};
	strv_add_all(&j.layers, layers);
	r = move_dir(upper, j.move, e);
	if (r >= 0)
		r = make_upper(upper, j.move, e);
	struct strv old = rec->config.layers;
	if (r >= 0) {
		rec->config.layers = (struct strv)STRV_INIT;
		strv_add_all(&rec->config.layers, layers);
		r = container_restack_write_layers(rec, e);
		if (r >= 0)
			r = container_rec_write_config(rec, e);
		if (r < 0) {
			strv_free(&rec->config.layers);
			rec->config.layers = old;
		}
	}
	if (r < 0) {
		struct err ignored = ERR_INIT;
		if (go_back(rec, &j, upper, &ignored) < 0)
			err_hint(e, "the next command on this container tries to undo what was begun (%s)",
				 ignored.text);
		return r;
	}
	strv_free(&old);
	r = drop_copy(rec, e);
	return r < 0 ? r : finish(rec, e);
}
