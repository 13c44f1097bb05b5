/*
 * lists.c - the multi-platform indexes of `rl manifest`, as far as they concern what the store keeps; see store.h.
 *
 * One document per index in lists/, written by svc/manifest.c; the file is named after the index, with '/', ':' and '@'
 * as %XX, which no two names share.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/json.h"
#include "rl/base/mem.h"
#include "rl/model/imgref.h"
#include "store_int.h"

static const char suffix[] = ".json";

char *store_list_file(const char *name)
{
	struct str file = STR_INIT;
	for (const char *c = name; *c; c++) {
		if (strchr("/:@%", *c))
			str_addf(&file, "%%%02X", (unsigned char)*c);
		else
			str_addc(&file, *c);
	}
	str_adds(&file, suffix);
	return str_take(&file);
}

/* The name a file stands for, or NULL. */
static char *list_name(const char *file)
{
	if (!str_ends(file, suffix))
		return NULL;
	autostr struct str name = STR_INIT;
	for (const char *c = file; c < file + strlen(file) - strlen(suffix); c++) {
		unsigned code;
		if (*c == '%' && sscanf(c, "%%%2X", &code) == 1) {
			str_addc(&name, (char)code);
			c += 2;
		} else {
			str_addc(&name, *c);
		}
	}
	autofree char *again = store_list_file(name.buf);
	return str_eq(again, file) ? str_take(&name) : NULL;
}

int store_list_read(int dirfd, const char *file, json_t **ret_doc, struct err *e)
{
	autojson json_t *doc = NULL;
	int r = json_parse_file(dirfd, file, STORE_LIST_MAX, &doc, e);
	if (r < 0)
		return r;
	if (!json_is_array(json_object_get(doc, "manifests")))
		return err_set(e, EBADMSG, "lists/%s has no manifests", file);
	*ret_doc = take_ptr(&doc);
	return 0;
}

static int each_entry(const char *name, const json_t *doc, store_list_fn *fn, void *arg)
{
	const json_t *manifests = json_object_get(doc, "manifests");
	size_t i;
	json_t *entry;
	json_array_foreach (manifests, i, entry) {
		const char *digest = json_str_or_null(entry, "digest");
		int r = digest && imgref_is_digest(digest) ? fn(name, digest, arg) : 0;
		if (r)
			return r;
	}
	return 0;
}

int store_lists_each(const struct store *s, store_list_fn *fn, void *arg, struct strv *ret_damaged, struct err *e)
{
	autostrv struct strv files = STRV_INIT;
	autofd int dirfd = openat(s->rootfd, "lists", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dirfd < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "open %s/lists", s->root);
	int r = io_list_dir(dirfd, &files, e);
	for (size_t i = 0; r >= 0 && i < files.count; i++) {
		autofree char *name = list_name(files.items[i]);
		autojson json_t *doc = NULL;
		struct err why = ERR_INIT;
		if (!name)
			continue;
		r = store_list_read(dirfd, files.items[i], &doc, &why);
		if (r == -EBADMSG && ret_damaged)
			strv_add(ret_damaged, name);
		if (r == -ENOENT || r == -EBADMSG) {
			r = 0;
			continue;
		}
		if (r < 0)
			return e ? (*e = why, r) : r;
		r = each_entry(name, doc, fn, arg);
		if (r)
			return r;
	}
	return r < 0 ? r : 0;
}

struct holder {
	const char *digest;
	char *name;
};

static int match_digest(const char *index, const char *digest, void *arg)
{
	struct holder *h = arg;
	if (!str_eq(digest, h->digest))
		return 0;
	h->name = xstrdup(index);
	return 1;
}

int store_list_of(const struct store *s, const char *manifest_digest, char **ret_index, struct err *e)
{
	struct holder h = {.digest = manifest_digest};
	int r = store_lists_each(s, match_digest, &h, NULL, e);
	if (r > 0)
		*ret_index = h.name;
	return r;
}
