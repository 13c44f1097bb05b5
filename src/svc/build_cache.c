/*
 * build_cache.c - keys of steps, and cache/build/KEY, which says what came of a step.
 *
 *     layer HEX            the unpacked layer's key (below layers/MAP)      } the first two lines are read by garbage
 *     blob HEX                                                              } collection, which keeps both
 *     diff sha256:HEX
 *     size BLOB UNPACKED
 *     type MEDIATYPE
 *     created RFC3339
 * or "empty" and "created ..." for a step that changed nothing. The last use is the file's modification time.
 *
 * A key is a digest of the key of what the step starts from and of everything that can change its result. What cannot
 * (labels, times, secrets, proxies, the number of jobs) is not in it. An entry whose layer is gone is no entry.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/model/imgref.h"
#include "rl/model/imgspec.h"
#include "rl/model/record.h"

enum { ENTRY_MAX = 4096 };

static const char *stage_or_image_key(const struct build *b, const struct build_mount *m, struct str *text)
{
	if (m->stage >= 0)
		return b->stages[m->stage].key;
	if (m->extra < 0)
		return "";
	const struct build_extra *x = &b->extras[m->extra];
	for (size_t k = 0; k < x->nlayers; k++)
		str_addf(text, "%s ", b->layers[x->layers[k]].diff_id);
	return text->buf;
}

static int hash_bind(struct build *b, struct build_stage *s, struct build_step *st, const struct build_mount *m,
		     struct build_hash *h, struct err *e)
{
	/* A bind of the context is digested as a COPY of the same path would be, but shows what is ignored too. */
	if (m->stage >= 0 || (m->extra >= 0 && b->extras[m->extra].is_image)) {
		autostr struct str text = STR_INIT;
		build_hash_text(h, stage_or_image_key(b, m, &text));
		return 0;
	}
	struct build_source src = {.kind = BUILD_FROM_CONTEXT,
				   .path = xstrdup(m->source ? m->source : "/"),
				   .fd = -1,
				   .line = st->instr->line};
	struct build_step copy = {.instr = st->instr,
				  .sources = &src,
				  .nsources = 1,
				  .from_stage = -1,
				  .from_extra = m->extra,
				  .whole = true};
	int r = build_tree_digest(b, s, &copy, h, e);
	strv_free(&src.found);
	free(src.path);
	return r;
}

static int hash_run(struct build *b, struct build_stage *s, struct build_step *st, struct build_hash *h, struct err *e)
{
	build_hash_text(h, "run");
	build_hash_strv(h, &st->args);
	build_hash_strv(h, &st->env);
	build_hash_text(h, st->user);
	build_hash_text(h, st->cwd);
	build_hash_text(h, st->network);
	build_hash_text(h, st->script);
	for (size_t k = 0; k < st->nmounts; k++) {
		const struct build_mount *m = &st->mounts[k];
		autofree char *numbers = xasprintf("mount %d %d %d %u %u %u %lld", (int)m->kind, m->read_only,
						   m->required, m->mode, m->uid, m->gid, (long long)m->size);
		build_hash_text(h, numbers);
		build_hash_text(h, m->target);
		build_hash_text(h, m->source);
		build_hash_text(h, m->id);
		build_hash_text(h, m->env);
		int r = m->kind == BUILD_MOUNT_BIND ? hash_bind(b, s, st, m, h, e) : 0;
		if (r < 0)
			return r;
	}
	/* What the person gives to every RUN can change what it does. */
	const struct run_opts *o = &b->o->run;
	json_t *doc = run_opts_to_json(o);
	autostr struct str text = STR_INIT;
	json_print(doc, false, &text);
	json_decref(doc);
	build_hash_text(h, text.buf);
	return 0;
}

static int hash_copy(struct build *b, struct build_stage *s, struct build_step *st, struct build_hash *h, struct err *e)
{
	build_hash_text(h, st->is_add ? "add" : "copy");
	build_hash_text(h, st->dest);
	build_hash_text(h, st->chown);
	build_hash_text(h, st->chmod);
	autofree char *flags = xasprintf("%d%d%d%d%d", st->link, st->parents, st->keep_git, st->no_unpack,
					 st->force_unpack);
	build_hash_text(h, flags);
	build_hash_strv(h, &st->excludes);
	return build_tree_digest(b, s, st, h, e);
}

int build_key(struct build *b, struct build_stage *s, struct build_step *st, struct err *e)
{
	struct build_hash h;
	int r = 0;
	build_hash_begin(&h, &b->crypto);
	build_hash_text(&h, "rl-build 2 step");
	/* With one id owners are others than with many. */
	build_hash_text(&h, b->map.form == IDMAP_SINGLE ? "single" : "");
	build_hash_text(&h, st->link ? "" : s->key);
	if (b->has_epoch) {
		autofree char *epoch = xasprintf("%d %d %lld", b->set_times, b->o->rewrite_timestamp != NO,
						 (long long)b->epoch);
		build_hash_text(&h, epoch);
	}
	switch (st->kind) {
	case BUILD_STEP_RUN:
		r = hash_run(b, s, st, &h, e);
		break;
	case BUILD_STEP_COPY:
		r = hash_copy(b, s, st, &h, e);
		break;
	case BUILD_STEP_WORKDIR:
		build_hash_text(&h, "workdir");
		build_hash_text(&h, st->dest);
		break;
	case BUILD_STEP_META:
		break;
	}
	build_hash_end(&h, st->key);
	return r;
}

/* ---- entries ---- */

static char *entry_path(const char *key)
{
	return xasprintf("cache/build/%s", key);
}

static bool take_line(const char *text, const char *name, char *ret, size_t size)
{
	autofree char *head = xasprintf("%s ", name);
	for (const char *p = text; p && *p;) {
		const char *value = str_after(p, head);
		if (value) {
			size_t n = strcspn(value, "\n");
			if (n >= size)
				return false;
			memcpy(ret, value, n);
			ret[n] = '\0';
			return true;
		}
		p = strchr(p, '\n');
		p = p ? p + 1 : NULL;
	}
	return false;
}

static int take_layer(struct build *b, const char *text, size_t *ret_layer, struct err *e)
{
	char hex[BUILD_KEY_SIZE + 64];
	char layer[BUILD_KEY_SIZE];
	char type[128];
	char sizes[64];
	struct build_layer l = {.dirfd = -1};
	long long blob_size = 0;
	long long unpacked = 0;
	*ret_layer = 0;
	if (!take_line(text, "layer", hex, sizeof(hex)) || !take_line(text, "diff", l.diff_id, sizeof(l.diff_id)) ||
	    !take_line(text, "type", type, sizeof(type)) || !take_line(text, "size", sizes, sizeof(sizes)))
		return 0;
	const char *space = strchr(hex, ' ');
	snprintf(layer, sizeof(layer), "%.64s", space ? space + 1 : hex);
	char blob[BUILD_KEY_SIZE];
	enum imgspec_compression compression;
	if (!take_line(text, "blob", blob, sizeof(blob)) || !imgref_is_hex(blob) || !imgref_is_hex(layer) ||
	    !imgref_is_digest(l.diff_id) || sscanf(sizes, "%lld %lld", &blob_size, &unpacked) != 2 ||
	    imgspec_layer_compression(type, &compression, NULL) < 0)
		return 0;
	snprintf(l.blob, sizeof(l.blob), "sha256:%s", blob);
	snprintf(l.key, sizeof(l.key), "%s", layer);
	l.media_type = imgspec_layer_media_type(compression);
	l.blob_size = blob_size;
	l.unpacked_size = unpacked;
	int r = store_pin_layer(&b->work, b->map.key, l.key, e);
	if (r == 1)
		r = store_pin_blob(&b->work, l.blob, l.blob_size, e);
	if (r <= 0)
		return r;
	autofree char *dir = store_layer_path(b->map.key, l.key);
	autofree char *diff = xasprintf("%s/diff", dir);
	l.dirfd = openat(b->store.rootfd, diff, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (l.dirfd < 0)
		return 0;
	size_t at = build_new_layer(b);
	b->layers[at] = l;
	*ret_layer = at + 1;
	return 1;
}

int build_cache_find(struct build *b, struct build_step *st, struct err *e)
{
	autofree char *path = entry_path(st->key);
	autostr struct str text = STR_INIT;
	snprintf(st->why, sizeof(st->why), "%s", b->o->no_cache ? "--no-cache" : "not built before");
	if (b->o->no_cache || io_read_file(b->store.rootfd, path, ENTRY_MAX, &text, NULL) < 0)
		return 0;
	/* A file of another version or half of one: as if it were not there. */
	if (!take_line(text.buf, "created", st->created, sizeof(st->created)))
		return 0;
	bool empty = str_after(text.buf, "empty\n") != NULL;
	int r = empty ? 1 : take_layer(b, text.buf, &st->layer, e);
	if (r == 0)
		snprintf(st->why, sizeof(st->why), "its layer is gone");
	if (r <= 0)
		return r;
	(void)!utimensat(b->store.rootfd, path, NULL, 0);
	st->empty = empty;
	st->cached = true;
	return 1;
}

bool build_cache_knows(struct build *b, const struct build_step *st)
{
	struct err why = ERR_INIT;
	struct build_step copy = {.kind = st->kind};
	memcpy(copy.key, st->key, sizeof(copy.key));
	return build_cache_find(b, &copy, &why) == 1;
}

int build_cache_save(struct build *b, const struct build_step *st, struct err *e)
{
	autostr struct str text = STR_INIT;
	autofree char *path = entry_path(st->key);
	if (st->layer) {
		const struct build_layer *l = &b->layers[st->layer - 1];
		str_addf(&text, "layer %s %s\nblob %s\ndiff %s\nsize %lld %lld\ntype %s\n", b->map.key, l->key,
			 l->blob + 7, l->diff_id, (long long)l->blob_size, (long long)l->unpacked_size, l->media_type);
	} else {
		str_adds(&text, "empty\n");
	}
	str_addf(&text, "created %s\n", st->created);
	int r = io_mkdirs(b->store.rootfd, "cache/build", 0700, e);
	return r < 0 ? r : io_replace_file(b->store.rootfd, path, text.buf, text.len, 0600, false, e);
}
