/*
 * main.c - rl-image: everything that touches archives and registries, and that only; rl starts it.
 *
 * The interface is rl/model/image_proto.h: parameters in argv, descriptor 3 for the id map, progress, results and the
 * error. Three hidden verbs, `unpack`, `extract` and `inflate`, are this program executed by itself to be confined
 * (rl/engine/archive_role.h); they come first, because they must have seen nothing: no option, no store, no
 * environment of ours.
 *
 * A verb that needs no store to be changed does not exist here; rl does the rest itself.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "image_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"
#include "rl/model/imgref.h"
#include "role_archive_int.h"

enum { PARTIAL_SECONDS = 7 * 24 * 3600 };

/* ---- messages ---- */

void image_tell_progress(const struct image_ctx *c, const char *what, enum image_progress_state state, uint64_t done,
			 uint64_t total)
{
	struct image_progress p = {.state = state, .done = done, .total = total};
	snprintf(p.what, sizeof(p.what), "%s", what);
	(void)!sync_send(c->sock, IMAGE_STEP_PROGRESS, &p, sizeof(p), NULL, 0, NULL);
}

enum image_progress_state image_transfer_state(enum registry_state state, enum image_progress_state running)
{
	static const enum image_progress_state states[] = {
		[REGISTRY_WAITING] = IMAGE_WAITING,   [REGISTRY_CHECKING] = IMAGE_CHECKING,
		[REGISTRY_RETRYING] = IMAGE_RETRYING, [REGISTRY_DONE] = IMAGE_DONE,
		[REGISTRY_FAILED] = IMAGE_FAILED,     [REGISTRY_EXISTS] = IMAGE_PRESENT,
	};
	_Static_assert(ARRAY_SIZE(states) == REGISTRY_STATE_N, "a word for every state");
	return state == REGISTRY_RUNNING ? running : states[state];
}

void image_note(const struct image_ctx *c, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	autofree char *text = xvasprintf(fmt, ap);
	va_end(ap);
	(void)!sync_send(c->sock, IMAGE_STEP_NOTE, text, RL_MIN(strlen(text), (size_t)1024), NULL, 0, NULL);
}

void image_tell_text(const struct image_ctx *c, const char *text)
{
	for (size_t left = strlen(text); left;) {
		size_t n = RL_MIN(left, (size_t)SYNC_DATA_MAX);
		if (sync_send(c->sock, IMAGE_STEP_TEXT, text, n, NULL, 0, NULL) < 0)
			return;
		text += n;
		left -= n;
	}
}

void image_tell_added(const struct image_ctx *c, const struct store_record *r, const char *name)
{
	struct image_added a = {.id = ""};
	snprintf(a.id, sizeof(a.id), "%s", r->config);
	snprintf(a.manifest, sizeof(a.manifest), "%s", r->manifest);
	snprintf(a.name, sizeof(a.name), "%s", name);
	(void)!sync_send(c->sock, IMAGE_STEP_IMAGE, &a, sizeof(a), NULL, 0, NULL);
}

/* ---- unpack-image: the smallest verb ---- */

struct builtin_search {
	const char *manifest;
	struct store_record *ret;
};

static int match_manifest(const char *name, struct store_record *record, void *arg)
{
	struct builtin_search *b = arg;
	(void)name;
	if (!str_eq(record->manifest, b->manifest))
		return 0;
	*b->ret = *record;
	*record = (struct store_record){0};
	return 1;
}

int image_find_record(const struct image_ctx *c, const char *manifest, struct store_record *ret, struct err *e)
{
	int r = store_record_read(&c->store, manifest, ret, e);
	if (r != -ENOENT || !c->store.builtin)
		return r;
	struct builtin_search search = {manifest, ret};
	int found = store_builtin_each(&c->store, match_manifest, &search, e);
	return found > 0 ? 0 : found < 0 ? found : r;
}

int unpack_verb(struct image_ctx *c, struct err *e)
{
	const char *manifest = c->args.items[0];
	struct store_record record = {0};
	struct store_work w;
	if (!imgref_is_digest(manifest))
		return err_set(e, EINVAL, "\"%s\" is not a digest", manifest);
	int r = store_work_begin(&c->store, &w, e);
	if (r < 0)
		return r;
	r = image_find_record(c, manifest, &record, e);
	if (r >= 0)
		r = layers_ensure(c, &w, &record, e);
	if (r > 0)
		r = store_publish_image(&w, &record, e);
	store_record_free(&record);
	store_work_end(&w);
	return r < 0 ? err_ctx(e, "unpack image %.19s", manifest) : 0;
}

/* ---- options and verbs ---- */

static const struct {
	const char *name;
	image_verb_fn *fn;
	size_t operands;
	bool more; /* or any number above */
} verbs[] = {
	{"check", check_verb, 0, true},
	{"commit", commit_verb, 0, false},
	{"export", export_verb, 0, false},
	{"import", import_verb, 1, false},
	{"inspect", inspect_verb, 1, false},
	{"load", load_verb, 1, false},
	{"login", login_verb, 1, false},
	{"logout", logout_verb, 1, false},
	{"pull", pull_verb, 1, false},
	{"push", push_verb, 2, false},
	{"push-index", push_index_verb, 2, false},
	{"save", save_verb, 1, true},
	{"tags", tags_verb, 1, false},
	{"unpack-image", unpack_verb, 1, false},
	{"volume-export", volume_export_verb, 1, false},
	{"fetch", fetch_verb, 1, false},
	{"pack-layers", pack_layers_verb, 0, false},
	{"tar-to-tree", tar_to_tree_verb, 0, false},
	{"tree-to-tar", tree_to_tar_verb, 0, false},
	{"unpack-tar", unpack_tar_verb, 1, false},
	{"volume-import", volume_import_verb, 2, false},
};

enum option_kind { OPTION_BORROWED, OPTION_OWNED, OPTION_LIST, OPTION_NUMBER, OPTION_TRUTH, OPTION_FLAG };

#define OPTION(name, kind, member)                                                                                     \
	{                                                                                                              \
		(name), (kind), offsetof(struct image_ctx, member)                                                     \
	}
static const struct {
	const char *name;
	enum option_kind kind;
	size_t offset;
} option_table[] = {
	OPTION("all-tags", OPTION_FLAG, all_tags),
	OPTION("any-single", OPTION_FLAG, any_single),
	OPTION("append", OPTION_FLAG, append),
	OPTION("authfile", OPTION_BORROWED, registry.authfile),
	OPTION("builtin", OPTION_BORROWED, builtin),
	OPTION("cert-dir", OPTION_BORROWED, registry.cert_dir),
	OPTION("change", OPTION_LIST, changes),
	OPTION("compression", OPTION_BORROWED, compression),
	OPTION("compression-level", OPTION_NUMBER, level),
	OPTION("force-compression", OPTION_FLAG, force),
	OPTION("format", OPTION_BORROWED, format),
	OPTION("local", OPTION_FLAG, local),
	OPTION("message", OPTION_OWNED, message),
	OPTION("name", OPTION_OWNED, name),
	OPTION("newer", OPTION_FLAG, only_newer),
	OPTION("output", OPTION_BORROWED, output),
	OPTION("platform", OPTION_OWNED, platform),
	OPTION("quick", OPTION_FLAG, quick),
	OPTION("raw", OPTION_FLAG, raw),
	OPTION("repair", OPTION_FLAG, repair),
	OPTION("retry", OPTION_NUMBER, registry.retries),
	OPTION("root", OPTION_BORROWED, root),
	OPTION("tls-verify", OPTION_TRUTH, registry.tls_verify),
	OPTION("which", OPTION_BORROWED, which),
};

static void set_option(struct image_ctx *c, size_t i, const char *value)
{
	char *member = (char *)c + option_table[i].offset;
	switch (option_table[i].kind) {
	case OPTION_BORROWED:
		*(const char **)(void *)member = value;
		break;
	case OPTION_OWNED:
		free(*(char **)(void *)member);
		*(char **)(void *)member = xstrdup(value);
		break;
	case OPTION_LIST:
		strv_add((struct strv *)(void *)member, value);
		break;
	case OPTION_NUMBER:
		*(int *)(void *)member = (int)strtol(value, NULL, 10);
		break;
	case OPTION_TRUTH:
		*(int *)(void *)member = str_eq(value, "true");
		break;
	case OPTION_FLAG:
		*(bool *)(void *)member = true;
		break;
	}
}

static int parse_options(int argc, char **argv, struct image_ctx *c, struct err *e)
{
	struct option options[ARRAY_SIZE(option_table) + 1] = {{.name = NULL}};
	for (size_t i = 0; i < ARRAY_SIZE(option_table); i++)
		options[i] = (struct option){
			.name = option_table[i].name,
			.has_arg = option_table[i].kind == OPTION_FLAG ? no_argument : required_argument,
			.val = 256 + (int)i,
		};
	opterr = 0;
	for (;;) {
		int option = getopt_long(argc, argv, "", options, NULL);
		if (option < 0)
			break;
		if (option < 256)
			return err_set(e, EINVAL, "%s: unknown or incomplete option", argv[optind - 1]);
		set_option(c, (size_t)option - 256, optarg);
	}
	for (int i = optind; i < argc; i++)
		strv_add(&c->args, argv[i]);
	return 0;
}

static int receive_map(struct image_ctx *c, struct err *e)
{
	autofree struct sync_msg *msg = xmalloc(sizeof(*msg));
	int r = sync_expect(c->sock, "rl", IMAGE_STEP_START, msg, e);
	if (r < 0)
		return r;
	sync_close_fds(msg);
	if (msg->len != sizeof(c->map))
		return err_set(e, EPROTO, "rl and rl-image are not of the same build");
	memcpy(&c->map, msg->data, sizeof(c->map));
	c->map.key[sizeof(c->map.key) - 1] = '\0';
	return 0;
}

/* After a crash of somebody else, or a failure of ours: blobs may be in the store that no image will ever need. The rl that
 * waits for us may hold the store (rl export IMAGE), so this does not wait; the next command without such a caller collects. */
static void collect(const struct image_ctx *c)
{
	struct store_gc_result result = {0};
	struct err ignored = ERR_INIT;
	if (store_gc_try(&c->store, &result, &ignored) < 0)
		log_debug(LOG_STORE, "%s", ignored.text);
	store_gc_result_free(&result);
}

static int run_verb(struct image_ctx *c, int argc, char **argv, struct err *e)
{
	size_t v = 0;
	while (v < ARRAY_SIZE(verbs) && !str_eq(verbs[v].name, argv[1]))
		v++;
	if (v == ARRAY_SIZE(verbs))
		return err_set(e, EINVAL, "rl-image has no verb \"%s\"", argv[1]);
	int r = parse_options(argc - 1, argv + 1, c, e);
	if (r >= 0 && (verbs[v].more ? c->args.count < verbs[v].operands : c->args.count != verbs[v].operands))
		r = err_set(e, EINVAL, "%s takes %zu operand", argv[1], verbs[v].operands);
	if (r >= 0)
		r = receive_map(c, e);
	if (r >= 0)
		r = store_open(c->root, true, &c->store, e);
	if (r < 0)
		return r;
	free(c->store.builtin);
	c->store.builtin = c->builtin ? xstrdup(c->builtin) : NULL;
	struct err ignored = ERR_INIT;
	/* A check tells what is there, and mends in its own order. */
	if (verbs[v].fn == check_verb)
		return check_verb(c, e);
	if (store_sweep(&c->store, &ignored) > 0)
		collect(c);
	/* An image that was given up long ago will not be gone on with. */
	int64_t dropped = 0;
	(void)!store_drop_partials(&c->store, PARTIAL_SECONDS, &dropped, NULL);
	/* One archive may bring hundreds of names. A crash in between leaves an old index, which the next change mends. */
	c->store.index_later = true;
	r = verbs[v].fn(c, e);
	if (r < 0)
		collect(c);
	c->store.index_later = false;
	int indexed = store_rebuild_index(&c->store, &ignored);
	/* A store that cannot be written was only read. */
	if (r < 0 || indexed >= 0 || indexed == -EROFS || indexed == -EACCES)
		return r < 0 ? r : 0;
	*e = ignored;
	return indexed;
}

static void ctx_free(struct image_ctx *c)
{
	store_close(&c->store);
	strv_free(&c->args);
	strv_free(&c->changes);
	free(c->name);
	free(c->message);
	free(c->platform);
}

int main(int argc, char **argv)
{
	log_init("rl-image");
	if (argc == 2 && str_eq(argv[1], "unpack"))
		return role_unpack_main(argc, argv);
	if (argc == 2 && (str_eq(argv[1], "extract") || str_eq(argv[1], "inflate")))
		return role_extract_main(argc, argv);
	struct err e = ERR_INIT;
	struct image_ctx c = {.store = {.rootfd = -1}, .sock = IMAGE_PROTO_FD, .program = "/proc/self/exe"};
	c.output = "-";
	c.registry = (struct registry_opts){.tls_verify = -1, .creds = getenv("RL_IMAGE_CREDS")};
	if (argc < 2 || io_set_cloexec(c.sock, true, NULL) < 0) {
		log_line("this program is a part of rl and started by it");
		return EXIT_RL_FAILED;
	}
	log_debug(LOG_STORE, "%s", argv[1]);
	int r = run_verb(&c, argc, argv, &e);
	if (r < 0)
		sync_send_err(c.sock, &e);
	else
		(void)!sync_send(c.sock, IMAGE_STEP_DONE, NULL, 0, NULL, 0, NULL);
	ctx_free(&c);
	return r < 0 ? EXIT_RL_FAILED : 0;
}
