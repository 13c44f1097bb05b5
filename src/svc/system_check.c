/*
 * system_check.c - the store checked and mended; see rl/svc/system.h.
 *
 * Images are rl-image's part (src/image/check.c), which hashes and fetches. Containers and their names are looked at
 * here: a container whose record is damaged or whose layers are gone is told, and left to its owner, since nothing can
 * say what it was. A name whose container is gone is free (container_names.c) and so harmless; --repair removes it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/model/imgref.h"
#include "rl/svc/container_store.h"
#include "system_int.h"

enum { LAYERS_MAX = 4 << 20 };

struct tally {
	int broken, mended, leftovers;
};

/* The lines of rl-image, each an object. */
static int parse_lines(const struct str *text, json_t *problems, struct err *e)
{
	autostrv struct strv lines = STRV_INIT;
	strv_split(&lines, text->buf, '\n');
	for (size_t i = 0; i < lines.count; i++) {
		json_t *doc = NULL;
		if (!*lines.items[i])
			continue;
		int r = json_parse(lines.items[i], strlen(lines.items[i]), "rl-image's report", &doc, e);
		if (r < 0)
			return r;
		json_array_append_new(problems, doc);
	}
	return 0;
}

static void add_problem(json_t *problems, const char *state, const char *kind, const char *what, const char *why)
{
	json_t *doc = json_object();
	json_put_str(doc, "Kind", kind);
	json_put_str(doc, "What", what);
	json_put_str(doc, "Why", why);
	json_put(doc, "Images", json_array());
	json_put_str(doc, "State", state);
	json_array_append_new(problems, doc);
}

static struct tally count(const json_t *problems)
{
	struct tally t = {0};
	size_t i;
	json_t *p;
	json_array_foreach (problems, i, p) {
		const char *state = json_str_or_null(p, "State");
		t.broken += state && str_eq(state, "broken");
		t.mended += state && str_eq(state, "mended");
		t.leftovers += state && (str_eq(state, "leftover") || str_eq(state, "removed"));
	}
	return t;
}

/* ---- containers ---- */

static const char *missing_layer(const struct container_rec *c, const struct strv *lines)
{
	(void)c;
	for (size_t i = 0; i < lines->count; i++)
		if (*lines->items[i] && faccessat(AT_FDCWD, lines->items[i], F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
		    errno == ENOENT)
			return lines->items[i];
	return NULL;
}

static void check_container(const struct store *s, const struct container_rec *c, json_t *problems)
{
	autofree char *path = xasprintf("containers/%s/" STORE_CONTAINER_LAYERS, c->config.id);
	autofree char *what = xasprintf("container %.12s", c->config.id);
	autostr struct str text = STR_INIT;
	autostrv struct strv lines = STRV_INIT;
	if (c->broken) {
		add_problem(problems, "broken", "container damaged", what,
			    "its record cannot be read; rl rm removes it");
		return;
	}
	if (io_read_file(s->rootfd, path, LAYERS_MAX, &text, NULL) < 0)
		return;
	strv_split(&lines, text.buf, '\n');
	const char *missing = missing_layer(c, &lines);
	if (!missing)
		return;
	autofree char *why = xasprintf("its layer %s is not there; run its image once, or rl rm removes it", missing);
	add_problem(problems, "broken", "container damaged", what, why);
}

static int check_containers(const struct store *s, json_t *problems, struct err *e)
{
	struct container_list list = {.items = NULL};
	/* Not made for the sake of looking. */
	if (faccessat(s->rootfd, "containers", F_OK, 0) < 0 && errno == ENOENT)
		return 0;
	int r = container_store_list(s, &list, e);
	for (size_t i = 0; r >= 0 && i < list.count; i++)
		check_container(s, &list.items[i], problems);
	container_list_free(&list);
	return r < 0 ? r : 0;
}

static int check_names(const struct store *s, bool repair, json_t *problems, struct err *e)
{
	int fd = openat(s->rootfd, "names", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "open %s/names", s->root);
	autodir DIR *d = fdopendir(fd);
	if (!d) {
		close(fd);
		return err_sys(e, errno, "open %s/names", s->root);
	}
	struct dirent *entry;
	while ((entry = readdir(d))) {
		char id[RECORD_ID_SIZE] = "";
		if (entry->d_name[0] == '.')
			continue;
		bool leads = container_name_read(fd, entry->d_name, id) == 0;
		autofree char *dir = xasprintf("containers/%s", leads ? id : "-");
		if (leads && faccessat(s->rootfd, dir, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		/* A container being made has its name first; both are looked at again under the lock of the names. */
		if (repair)
			container_name_release(s, entry->d_name, id);
		bool removed = repair && faccessat(fd, entry->d_name, F_OK, AT_SYMLINK_NOFOLLOW) < 0;
		add_problem(problems, removed ? "removed" : "leftover", "name without a container", entry->d_name,
			    "the container it led to is gone");
	}
	return 0;
}

/* ---- all of it ---- */

static int ask(const struct store *s, const struct idmap *map, struct strv *verb, const struct image_ui *ui,
	       json_t *problems, struct err *e)
{
	autostr struct str text = STR_INIT;
	int r = image_program_ask_ui(s, map, verb, ui, &text, e);
	return r < 0 ? r : parse_lines(&text, problems, e);
}

static int check_store(const struct store *s, const struct system_check_opts *o, const struct image_ui *ui,
		       json_t *problems, struct err *e)
{
	struct idmap map;
	autostrv struct strv verb = STRV_INIT;
	int r = idmap_detect(false, &map, e);
	if (r < 0)
		return r;
	strv_add(&verb, "check");
	image_add_registry(&verb, &o->registry);
	if (o->repair)
		strv_add(&verb, "--repair");
	if (o->quick)
		strv_add(&verb, "--quick");
	r = ask(s, &map, &verb, ui, problems, e);
	if (r >= 0)
		r = check_containers(s, problems, e);
	return r < 0 ? r : check_names(s, o->repair, problems, e);
}

int system_check(const struct system_check_opts *o, const struct image_ui *ui, json_t **ret_report, struct err *e)
{
	struct store s;
	autojson json_t *problems = json_array();
	int r = store_open(o->root, true, &s, e);
	if (r < 0)
		return r;
	r = check_store(&s, o, ui, problems, e);
	autofree char *root = xstrdup(s.root);
	store_close(&s);
	if (r < 0)
		return err_ctx(e, "check %s", root);
	struct tally t = count(problems);
	json_t *report = json_object();
	json_put_str(report, "Store", root);
	json_put_bool(report, "Sound", t.broken == 0);
	json_put_int(report, "Broken", t.broken);
	json_put_int(report, "Mended", t.mended);
	json_put_int(report, "Leftovers", t.leftovers);
	json_put(report, "Problems", take_ptr(&problems));
	*ret_report = report;
	return t.broken;
}

int system_mend_image(const struct store *s, const char *ref, const struct idmap *map, bool local, struct err *e)
{
	autojson json_t *problems = json_array();
	autostrv struct strv verb = STRV_INIT;
	const struct image_registry registry = {.tls_verify = UNSET};
	size_t i;
	json_t *p;
	strv_add(&verb, "check");
	image_add_registry(&verb, &registry);
	strv_add(&verb, "--repair");
	if (local)
		strv_add(&verb, "--local");
	strv_add(&verb, "--");
	strv_add(&verb, ref);
	int r = ask(s, map, &verb, NULL, problems, e);
	if (r < 0)
		return r;
	json_array_foreach (problems, i, p) {
		const char *state = json_str_or_null(p, "State");
		if (!state || !str_eq(state, "mended"))
			continue;
		log_warn("image %s: %s %s: %s", ref, json_str_or_null(p, "Kind"), json_str_or_null(p, "What"),
			 json_str_or_null(p, "Why"));
	}
	return count(problems).mended > 0;
}
