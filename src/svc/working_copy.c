/*
 * working_copy.c - `rl copy`, `rl add` and `rl config`: instructions of a Dockerfile, done on a working container.
 *
 * The words of the command become one instruction, which goes the way it would go in a build (build_config.c,
 * build_step.c, build_copy.c); instead of a layer of its own it gets the writable layer of the container. So there is one
 * meaning of COPY. What could be more than a plain word to a Dockerfile (quotes, variables) is escaped first.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "build_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "working_int.h"

/* ---- one instruction ---- */

/* A build of one stage that has the container's document and is to be given instructions. */
static void begin(struct build *b, const struct working *w)
{
	b->file_name = xstrdup("command");
	b->file.escape = '\\';
	b->stages = xcalloc(1, sizeof(*b->stages));
	b->nstages = 1;
	struct build_stage *s = &b->stages[0];
	*s = (struct build_stage){.name = xstrdup(""), .base_stage = -1, .tail = STR_INIT};
	s->doc = json_deep_copy(w->doc);
	if (json_get_strv(build_config_of(s), "Shell", &s->shell, NULL) < 0 || !s->shell.count) {
		strv_add(&s->shell, "/bin/sh");
		strv_add(&s->shell, "-c");
	}
}

static int parse(struct build *b, const char *text, struct dockerfile **ret, struct err *e)
{
	struct dockerfile one;
	if (strchr(text, '\n'))
		return err_set(e, EINVAL, "%.60s...: a line end cannot be in it", text);
	int r = dockerfile_parse_one(text, '\\', &one, e);
	if (r < 0)
		return r;
	/* Steps keep a pointer to their instruction. */
	struct dockerfile *kept = xmalloc(sizeof(*kept));
	*kept = one;
	b->triggers = xreallocarray(b->triggers, b->ntriggers + 1, sizeof(*b->triggers));
	b->triggers[b->ntriggers++] = kept;
	if (kept->count != 1)
		return err_set(e, EINVAL, "%.60s: one instruction is expected", text);
	*ret = kept;
	return 0;
}

static int change_one(struct build *b, const char *text, struct err *e)
{
	struct dockerfile *d = NULL;
	int r = parse(b, text, &d, e);
	if (r < 0)
		return r;
	const struct dockerfile_instr *i = &d->items[0];
	if (i->kind == DOCKERFILE_FROM || i->kind == DOCKERFILE_RUN || i->kind == DOCKERFILE_COPY ||
	    i->kind == DOCKERFILE_ADD || i->kind == DOCKERFILE_ARG)
		return err_set(e, EINVAL, "%s changes no configuration", dockerfile_kind_name(i->kind));
	return build_instruction(b, &b->stages[0], i, e);
}

int working_change(const char *root, const char *name, const struct strv *instructions, struct err *e)
{
	struct working w;
	struct build_opts o;
	int r = working_open(root, name, &w, e);
	if (r < 0)
		return r;
	build_opts_init(&o);
	struct build b = {.o = &o};
	begin(&b, &w);
	for (size_t i = 0; i < instructions->count && r >= 0; i++)
		r = change_one(&b, instructions->items[i], e);
	json_t *doc = b.stages[0].doc;
	json_object_del(doc, "rl.cmd");
	for (size_t i = 0; i < instructions->count && r >= 0; i++)
		working_note(doc, instructions->items[i]);
	if (r >= 0)
		r = working_write(&w.rec, doc, e);
	build_plan_free(&b);
	free(b.file_name);
	build_opts_free(&o);
	working_close(&w);
	return r < 0 ? r : 0;
}

static bool is_called(const char *text, const struct strv *keys)
{
	for (size_t i = 0; text && i < keys->count; i++) {
		const char *rest = str_after(text, keys->items[i]);
		if (rest && (!*rest || *rest == '='))
			return true;
	}
	return false;
}

int working_drop(const char *root, const char *name, const char *member, const struct strv *keys, struct err *e)
{
	struct working w;
	int r = working_open(root, name, &w, e);
	if (r < 0)
		return r;
	json_t *of = json_object_get(json_object_get(w.doc, "config"), member);
	for (size_t i = json_array_size(of); i-- > 0;)
		if (is_called(json_string_value(json_array_get(of, i)), keys))
			json_array_remove(of, i);
	for (size_t i = 0; json_is_object(of) && i < keys->count; i++)
		json_object_del(of, keys->items[i]);
	r = working_write(&w.rec, w.doc, e);
	working_close(&w);
	return r;
}

/* ---- COPY and ADD ---- */

static bool is_elsewhere(const struct working_copy_opts *o, const char *source)
{
	return o->from || (o->is_add && (strstr(source, "://") || str_after(source, "git@")));
}

/* As a word of a Dockerfile that means these very characters. */
static char *escaped(const char *text)
{
	autostr struct str out = STR_INIT;
	for (; *text; text++) {
		if (strchr("\\$\"'", *text))
			str_addc(&out, '\\');
		str_addc(&out, *text);
	}
	return str_take(&out);
}

static int add_word(json_t *words, const char *text, struct err *e)
{
	autofree char *word = escaped(text);
	json_t *item = json_string(word);
	if (!item)
		return err_set(e, EINVAL, "%s: a name that is no UTF-8", text);
	json_array_append_new(words, item);
	return 0;
}

static int add_flag(struct str *out, const char *name, const char *value, struct err *e)
{
	if (!value)
		return 0;
	if (strpbrk(value, " \t\n"))
		return err_set(e, EINVAL, "--%s '%s': there is a blank in it", name, value);
	autofree char *word = escaped(value);
	str_addf(out, " --%s=%s", name, word);
	return 0;
}

/* COPY FLAGS ["SOURCE", ..., "DEST"] */
static int compose(const struct working_copy_opts *o, const struct strv *sources, const char *dest, struct str *out,
		   struct err *e)
{
	const struct {
		const char *name, *value;
	} flags[] = {{"chown", o->chown}, {"chmod", o->chmod}, {"checksum", o->checksum}, {"from", o->from}};
	autofree char *cwd = getcwd(NULL, 0);
	autojson json_t *words = json_array();
	int r = cwd ? 0 : err_sys(e, errno, "current directory");
	str_adds(out, o->is_add ? "ADD" : "COPY");
	for (size_t i = 0; i < ARRAY_SIZE(flags) && r >= 0; i++)
		r = add_flag(out, flags[i].name, flags[i].value, e);
	for (size_t i = 0; i < o->exclude.count && r >= 0; i++)
		r = add_flag(out, "exclude", o->exclude.items[i], e);
	if (o->parents)
		str_adds(out, " --parents");
	for (size_t i = 0; i < sources->count && r >= 0; i++) {
		const char *source = sources->items[i];
		/* The context is the whole of this machine, unless one is named: then a leading slash means its top. */
		bool is_plain = o->contextdir || *source == '/' || is_elsewhere(o, source);
		autofree char *path = is_plain ? xstrdup(source) : path_join(cwd, source);
		r = add_word(words, path, e);
	}
	if (r >= 0)
		r = add_word(words, dest ? dest : ".", e);
	str_addc(out, ' ');
	json_print(words, false, out);
	return r;
}

/* What the container stands on: its own frozen layers and the image's. */
static int take_layers(struct build *b, const struct record_config *rc, struct err *e)
{
	struct build_stage *s = &b->stages[0];
	s->layers = xcalloc(rc->layers.count + 1, sizeof(*s->layers));
	for (size_t i = rc->layers.count; i-- > 0;) {
		size_t at = build_new_layer(b);
		b->layers[at].dirfd = open(rc->layers.items[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (b->layers[at].dirfd < 0)
			return err_sys(e, errno, "a layer of container %s: %s", rc->name, rc->layers.items[i]);
		s->layers[s->nlayers++] = at;
	}
	return 0;
}

static int copy_step(struct build *b, const struct container_rec *rec, struct err *e)
{
	struct build_stage *s = &b->stages[0];
	struct build_step *st = &s->steps[0];
	autofree int *lowers = xcalloc(s->nlayers + 1, sizeof(*lowers));
	for (size_t i = 0; i < s->nlayers; i++)
		lowers[i] = b->layers[s->layers[s->nlayers - 1 - i]].dirfd;
	struct build_job job = {.b = b,
				.stage = s,
				.step = st,
				.lowers = lowers,
				.nlowers = s->nlayers,
				.work = "copy",
				.containerfd = rec->dirfd,
				.sock = -1};
	/* The key is not used; what it is made from is looked for and fetched on the way. */
	int r = build_key(b, s, st, e);
	if (r >= 0)
		r = build_prepare_sources(b, st, e);
	if (r < 0)
		return r;
	r = build_copy_child(&job, e);
	/* With what it wrote before it failed, as below an overlay. */
	int settled = working_settle(rec, r < 0 ? NULL : e);
	return r < 0 ? r : settled;
}

static int copy_into(struct build *b, struct working *w, const struct working_copy_opts *o, const char *text,
		     struct err *e)
{
	struct dockerfile *d = NULL;
	begin(b, w);
	b->context.rootfd = open(o->contextdir ? o->contextdir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->context.rootfd < 0)
		return err_sys(e, errno, "--contextdir %s", o->contextdir);
	int r = b->o->ignorefile ? build_find_ignore(b, NULL, e) : 0;
	if (r >= 0)
		r = parse(b, text, &d, e);
	if (r >= 0)
		r = build_instruction(b, &b->stages[0], &d->items[0], e);
	if (r >= 0)
		r = take_layers(b, &w->rec.config, e);
	return r < 0 ? r : copy_step(b, &w->rec, e);
}

int working_copy(const char *root, const char *name, const struct working_copy_opts *o, const struct strv *sources,
		 const char *dest, struct err *e)
{
	struct working w;
	struct build_opts bo;
	autostr struct str text = STR_INIT;
	int r = compose(o, sources, dest, &text, e);
	if (r >= 0)
		r = working_open(root, name, &w, e);
	if (r < 0)
		return r;
	build_opts_init(&bo);
	bo.quiet = true;
	bo.context = xstrdup(o->contextdir ? o->contextdir : "/");
	bo.ignorefile = o->ignorefile ? xstrdup(o->ignorefile) : NULL;
	struct build b = BUILD_INIT(&bo);
	r = build_open(&b, root, e);
	if (r >= 0) {
		(void)container_rec_map(&w.rec, &b.map);
		r = copy_into(&b, &w, o, text.buf, e);
	}
	build_close(&b);
	build_opts_free(&bo);
	if (r >= 0) {
		autostr struct str what = STR_INIT;
		str_adds(&what, o->is_add ? "ADD" : "COPY");
		for (size_t i = 0; i < sources->count; i++)
			str_addf(&what, " %s", sources->items[i]);
		str_addf(&what, " %s", dest ? dest : ".");
		working_note(w.doc, what.buf);
		r = working_write(&w.rec, w.doc, e);
	}
	working_close(&w);
	return r < 0 ? r : 0;
}
