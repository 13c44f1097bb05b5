/*
 * build_plan.c - stages: which there are, which the target needs, and what each starts from.
 *
 * A stage can be based only on an earlier one and can copy only from earlier ones, so the graph has no cycles and the
 * order of the file is an order of work. A stage is planned when the target, or a stage it uses, turns out to use it: what
 * nobody needs is not looked at further, and its base is not fetched.
 */
#include <errno.h>
#include <fcntl.h>
#include <strings.h>
#include <unistd.h>

#include "build_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/model/imgref.h"
#include "rl/model/imgspec.h"

enum { STAGES_MAX = 500 };

static const char *meta_get(void *arg, const char *name)
{
	const struct build *b = arg;
	return strv_env_get(&b->meta_args, name);
}

static int meta_expand(struct build *b, const char *text, char **ret, struct err *e)
{
	const struct dockerfile_vars vars = {.get = meta_get, .arg = b, .escape = b->file.escape};
	autostr struct str out = STR_INIT;
	int r = dockerfile_expand(text, &vars, &out, e);
	if (r >= 0)
		*ret = str_take(&out);
	return r < 0 ? r : 0;
}

static void platform_args(struct build *b)
{
	const char *os, *arch, *variant;
	imgspec_host_platform(&os, &arch, &variant);
	for (int target = 0; target < 2; target++) {
		const char *prefix = target ? "TARGET" : "BUILD";
		autofree char *whole = xasprintf("%s/%s%s%s", os, arch, variant ? "/" : "", variant ? variant : "");
		strv_addf(&b->meta_args, "%sPLATFORM=%s", prefix, whole);
		strv_addf(&b->meta_args, "%sOS=%s", prefix, os);
		strv_addf(&b->meta_args, "%sARCH=%s", prefix, arch);
		strv_addf(&b->meta_args, "%sVARIANT=%s", prefix, variant ? variant : "");
	}
}

static int add_meta_arg(struct build *b, const struct dockerfile_instr *i, struct err *e)
{
	for (size_t k = 0; k < i->nwords; k++) {
		autofree char *key = NULL;
		autofree char *value = NULL;
		const char *raw = NULL;
		int r = 0;
		if (dockerfile_split_pair(i->words[k].text, &key, &raw))
			r = meta_expand(b, raw, &value, e);
		else
			key = xstrdup(i->words[k].text);
		if (r < 0)
			return build_at(b, i, i->words[k].line, i->words[k].column, (unsigned)strlen(i->words[k].text),
					e);
		const char *given = strv_env_get(&b->build_args, key);
		if (given || value)
			strv_env_set(&b->meta_args, key, given ? given : value);
	}
	return 0;
}

int build_find_stage(const struct build *b, const char *name, size_t before)
{
	for (size_t k = before; k-- > 0;)
		if (*b->stages[k].name && strcasecmp(b->stages[k].name, name) == 0)
			return (int)k;
	uint64_t n;
	if (*name && str_to_u64(name, 100000, "stage", &n, NULL) >= 0 && n < before)
		return (int)n;
	return -1;
}

/* --platform: this machine's own is the one there is. */
static int check_platform(struct build *b, const char *text, struct err *e)
{
	struct imgspec_platform p = {0};
	const char *os, *arch, *variant;
	imgspec_host_platform(&os, &arch, &variant);
	int r = imgspec_platform_parse(text, &p, e);
	if (r < 0)
		return r;
	bool same = (!p.os || str_eq(p.os, os)) && p.architecture && str_eq(p.architecture, arch);
	imgspec_platform_free(&p);
	(void)b;
	if (same)
		return 0;
	err_set(e, EOPNOTSUPP, "platform %s: this machine is %s/%s, and programs of others are not run", text, os,
		arch);
	return err_hint(e, "build on such a machine, or leave --platform out");
}

static int begin_stage(struct build *b, size_t at, struct err *e)
{
	const struct dockerfile_instr *i = &b->file.items[at];
	const struct dockerfile_flag *platform = dockerfile_find_flag(i, "platform");
	if (b->nstages == STAGES_MAX)
		return build_at(b, i, 0, 1, 4, (err_set(e, E2BIG, "more than %d stages", (int)STAGES_MAX), e));
	b->stages = xreallocarray(b->stages, b->nstages + 1, sizeof(*b->stages));
	struct build_stage *s = &b->stages[b->nstages];
	*s = (struct build_stage){.index = (unsigned)b->nstages,
				  .line = i->line,
				  .from = i,
				  .first = at + 1,
				  .end = b->file.count,
				  .base_stage = -1,
				  .tail = STR_INIT};
	if (b->nstages)
		b->stages[b->nstages - 1].end = at;
	s->name = xstrdup(i->nwords == 3 ? i->words[2].text : "");
	b->nstages++;
	int r = meta_expand(b, i->words[0].text, &s->base, e);
	if (r >= 0 && !*s->base)
		r = err_set(e, EINVAL, "FROM: the name of the image is empty");
	if (r >= 0 && platform) {
		autofree char *text = NULL;
		r = meta_expand(b, platform->value, &text, e);
		if (r >= 0)
			r = check_platform(b, text, e);
	}
	if (r < 0)
		return build_at(b, i, i->words[0].line, i->words[0].column, (unsigned)strlen(i->words[0].text), e);
	s->scratch = str_eq(s->base, "scratch");
	s->base_stage = s->scratch ? -1 : build_find_stage(b, s->base, s->index);
	/* A number is no stage here, only a name is. */
	if (s->base_stage >= 0 && strcasecmp(b->stages[s->base_stage].name, s->base) != 0)
		s->base_stage = -1;
	return 0;
}

static int find_stages(struct build *b, struct err *e)
{
	platform_args(b);
	for (size_t k = 0; k < b->file.count; k++) {
		const struct dockerfile_instr *i = &b->file.items[k];
		int r = 0;
		if (i->kind == DOCKERFILE_FROM)
			r = begin_stage(b, k, e);
		else if (!b->nstages && i->kind == DOCKERFILE_ARG)
			r = add_meta_arg(b, i, e);
		else if (!b->nstages) {
			(void)!err_set(e, EINVAL, "%s before the first FROM; only ARG may stand there",
				       dockerfile_kind_name(i->kind));
			return build_at(b, i, 0, 1, (unsigned)strlen(dockerfile_kind_name(i->kind)), e);
		}
		if (r < 0)
			return r;
	}
	if (b->nstages)
		return 0;
	err_set(e, EINVAL, "%s has no FROM", b->file_name);
	return err_hint(e, "it begins with the image to build on: FROM busybox, or FROM scratch for none");
}

static int find_target(struct build *b, struct err *e)
{
	b->target = b->nstages - 1;
	if (!b->o->target)
		return 0;
	int found = build_find_stage(b, b->o->target, b->nstages);
	if (found >= 0) {
		b->target = (size_t)found;
		strv_env_set(&b->meta_args, "TARGETSTAGE", b->o->target);
		return 0;
	}
	autostrv struct strv names = STRV_INIT;
	for (size_t k = 0; k < b->nstages; k++)
		if (*b->stages[k].name)
			strv_add(&names, b->stages[k].name);
	err_set(e, ENOENT, "--target %s: %s has no such stage", b->o->target, b->file_name);
	const char *near = str_nearest(b->o->target, (const char *const *)strv_argv(&names));
	return near ? err_hint(e, "did you mean %s?", near) : -ENOENT;
}

/* ---- bases ---- */

static int add_image_layers(struct build *b, const struct image_run *run, size_t **ret, size_t *ret_n, struct err *e)
{
	autostr struct str text = STR_INIT;
	json_t *doc = NULL;
	struct imgspec_manifest m = {0};
	int r = store_read_blob(&b->store, run->image.manifest_digest, IMGSPEC_MANIFEST_MAX, &text, e);
	if (r >= 0)
		r = json_parse(text.buf, text.len, "manifest", &doc, e);
	if (r >= 0)
		r = imgspec_manifest_parse(doc, &m, e);
	json_decref(doc);
	autostrv struct strv diff_ids = STRV_INIT;
	if (r >= 0)
		r = imgspec_diff_ids(run->image.config, &diff_ids, e);
	if (r >= 0 &&
	    (m.nlayers != run->lowers.count || m.nlayers != diff_ids.count || m.nlayers != run->image.layer_keys.count))
		r = err_set(e, EBADMSG, "manifest and config do not agree about the layers");
	*ret = xcalloc(m.nlayers, sizeof(**ret));
	*ret_n = 0;
	for (size_t k = 0; r >= 0 && k < m.nlayers; k++) {
		size_t at = build_new_layer(b);
		struct build_layer *l = &b->layers[at];
		snprintf(l->diff_id, sizeof(l->diff_id), "sha256:%s", diff_ids.items[k]);
		snprintf(l->blob, sizeof(l->blob), "%s", m.layers[k].digest);
		snprintf(l->key, sizeof(l->key), "%s", run->image.layer_keys.items[k]);
		l->media_type = imgspec_layer_media_type(m.layers[k].compression);
		l->blob_size = m.layers[k].size;
		l->unpacked_size = -1;
		l->dirfd = open(run->lowers.items[m.nlayers - 1 - k], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (l->dirfd < 0)
			r = err_sys(e, errno, "open %s", run->lowers.items[m.nlayers - 1 - k]);
		/* From here on the pins keep them; the lease, which would keep everybody's garbage, can go. */
		if (r >= 0)
			r = store_pin_layer(&b->work, b->map.key, l->key, e);
		if (r >= 0)
			r = store_pin_blob(&b->work, l->blob, -1, e);
		(*ret)[(*ret_n)++] = at;
	}
	imgspec_manifest_free(&m);
	return r < 0 ? r : 0;
}

int build_take_image(struct build *b, const char *ref, size_t **ret_layers, size_t *ret_n, json_t **ret_doc,
		     char **ret_digest, struct err *e)
{
	struct image_run run = IMAGE_RUN_INIT;
	const struct image_want want = {.ref = ref, .policy = b->o->pull, .registry = b->o->registry};
	int r = image_ensure_wanted(&b->store, &want, &b->map, NULL, &run, e);
	if (r < 0)
		return r;
	r = add_image_layers(b, &run, ret_layers, ret_n, e);
	if (r >= 0 && ret_doc)
		*ret_doc = json_deep_copy(run.image.config);
	if (r >= 0 && ret_digest)
		*ret_digest = xstrdup(run.image.manifest_digest);
	image_run_free(&run);
	return r < 0 ? err_ctx(e, "image %s", ref) : 0;
}

/* The key of a file system that consists of these layers. */
static void layers_key(struct build *b, const size_t *layers, size_t n, char ret[BUILD_KEY_SIZE])
{
	struct build_hash h;
	build_hash_begin(&h, &b->crypto);
	build_hash_text(&h, "rl-build 1 layers");
	for (size_t k = 0; k < n; k++)
		build_hash_text(&h, b->layers[layers[k]].diff_id);
	build_hash_end(&h, ret);
}

static json_t *empty_doc(void)
{
	const char *os, *arch, *variant;
	imgspec_host_platform(&os, &arch, &variant);
	return imgspec_config_new(arch, variant, NULL);
}

static bool stage_has_path(const struct build_stage *s)
{
	autostrv struct strv env = STRV_INIT;
	build_stage_env(s, &env);
	return strv_env_get(&env, "PATH") != NULL;
}

/* No image of that name; a stage of that name further down is what was meant. */
static int say_later_stage(const struct build *b, const struct build_stage *s, int r, struct err *e)
{
	for (size_t k = s->index; k < b->nstages; k++)
		if (*b->stages[k].name && strcasecmp(b->stages[k].name, s->base) == 0)
			return err_set(
				e, ENOENT, "FROM %s: the stage of that name %s (line %u); stages use only earlier ones",
				s->base, k == s->index ? "begins here itself" : "comes later", b->stages[k].line);
	return r;
}

static int take_base(struct build *b, struct build_stage *s, struct err *e)
{
	const struct build_extra *x = NULL;
	if (s->base_stage >= 0) {
		const struct build_stage *p = &b->stages[s->base_stage];
		s->doc = json_deep_copy(p->doc);
		strv_add_all(&s->args, &p->args);
		strv_add_all(&s->shell, &p->shell);
		s->base_name = xstrdup(p->base_name);
		s->base_digest = xstrdup(p->base_digest);
		return 0;
	}
	int r = 0;
	for (size_t k = 0; k < b->nextras; k++)
		if (str_eq(b->extras[k].name, s->base))
			x = &b->extras[k];
	if (s->scratch) {
		s->doc = empty_doc();
	} else {
		const char *ref = x && x->is_image ? x->ref : s->base;
		if (x && !x->is_image)
			return err_set(e, EINVAL, "FROM %s: that context is a directory, no image", s->base);
		r = build_take_image(b, ref, &s->base_layers, &s->nbase, &s->doc, &s->base_digest, e);
		if (r == -ENOENT)
			r = say_later_stage(b, s, r, e);
		if (r < 0)
			return build_at(b, s->from, s->from->words[0].line, s->from->words[0].column,
					(unsigned)strlen(s->from->words[0].text), e);
	}
	/* Always set, as docker and buildah do: what RUN finds and what the container finds are the same. */
	if (!stage_has_path(s)) {
		json_t *env = json_member(build_config_of(s), "Env", JSON_ARRAY);
		json_array_append_new(env, json_string(BUILD_PATH));
	}
	s->base_name = xstrdup(s->scratch ? "" : s->base);
	if (!s->base_digest)
		s->base_digest = xstrdup("");
	if (json_get_strv(build_config_of(s), "Shell", &s->shell, NULL) < 0 || !s->shell.count) {
		strv_add(&s->shell, "/bin/sh");
		strv_add(&s->shell, "-c");
	}
	return r;
}

/* What the base image wants done first in every build on it. */
static int run_triggers(struct build *b, struct build_stage *s, struct err *e)
{
	autostrv struct strv triggers = STRV_INIT;
	if (json_get_strv(build_config_of(s), "OnBuild", &triggers, e) < 0)
		return build_at(b, s->from, 0, 1, 4, e);
	json_object_del(build_config_of(s), "OnBuild");
	for (size_t k = 0; k < triggers.count; k++) {
		struct dockerfile one;
		int r = dockerfile_parse_one(triggers.items[k], b->file.escape, &one, e);
		if (r >= 0 && one.count == 1 && one.items[0].kind != DOCKERFILE_FROM) {
			/* Steps keep a pointer to their instruction: it moves into a file of its own that lives as long. */
			struct dockerfile *kept = xmalloc(sizeof(*kept));
			*kept = one;
			b->triggers = xreallocarray(b->triggers, b->ntriggers + 1, sizeof(struct dockerfile *));
			b->triggers[b->ntriggers++] = kept;
			r = build_instruction(b, s, &kept->items[0], e);
		} else if (r >= 0) {
			dockerfile_free(&one);
			r = err_set(e, EBADMSG, "the base image's ONBUILD \"%.80s\" is no instruction",
				    triggers.items[k]);
		}
		if (r < 0) {
			err_ctx(e, "ONBUILD of %s", s->base);
			return build_at(b, s->from, 0, 1, 4, e);
		}
	}
	return 0;
}

static int plan_stage(struct build *b, struct build_stage *s, struct err *e)
{
	int r = s->base_stage >= 0 ? build_need_stage(b, (size_t)s->base_stage, e) : 0;
	if (r >= 0)
		r = take_base(b, s, e);
	if (r >= 0 && s->base_stage < 0)
		r = run_triggers(b, s, e);
	for (size_t k = s->first; k < s->end && r >= 0; k++)
		r = build_instruction(b, s, &b->file.items[k], e);
	if (r >= 0 && s->base_stage < 0)
		layers_key(b, s->base_layers, s->nbase, s->key);
	s->planned = r >= 0;
	return r;
}

/* Stages use only earlier ones, so this ends; it goes as deep as there are stages (STAGES_MAX). */
int build_need_stage(struct build *b, size_t index, struct err *e)
{
	struct build_stage *s = &b->stages[index];
	if (s->needed)
		return 0;
	s->needed = true;
	return plan_stage(b, s, e);
}

static bool declares(const struct dockerfile *file, const char *name)
{
	for (size_t i = 0; i < file->count; i++) {
		const struct dockerfile_instr *arg = &file->items[i];
		for (size_t k = 0; arg->kind == DOCKERFILE_ARG && k < arg->nwords; k++) {
			const char *rest = str_after(arg->words[k].text, name);
			if (rest && (!*rest || *rest == '='))
				return true;
		}
	}
	return false;
}

/* A mistyped --build-arg changes nothing, so it is named. One that a stage beside the target's would take is not, nor are
 * docker's switches for its own builder. Files of arguments may serve several Dockerfiles. */
static void warn_of_unused_args(const struct build *b)
{
	for (size_t i = 0; i < b->o->build_args.count; i++) {
		const char *text = b->o->build_args.items[i];
		autofree char *name = xstrndup(text, strcspn(text, "="));
		bool used = build_arg_is_proxy(name) || str_after(name, "BUILDKIT_") || declares(&b->file, name);
		for (size_t k = 0; k < b->ntriggers && !used; k++)
			used = declares(b->triggers[k], name);
		if (!used)
			log_warn("--build-arg %s: no ARG of the Dockerfile takes it", name);
	}
}

int build_plan(struct build *b, struct err *e)
{
	int r = b->o->platform ? check_platform(b, b->o->platform, e) : 0;
	if (r >= 0)
		r = find_stages(b, e);
	if (r >= 0)
		r = find_target(b, e);
	if (r >= 0)
		r = build_need_stage(b, b->target, e);
	if (r >= 0)
		warn_of_unused_args(b);
	return r;
}

void build_plan_free(struct build *b)
{
	for (size_t k = 0; k < b->nstages; k++) {
		struct build_stage *s = &b->stages[k];
		for (size_t n = 0; n < s->nsteps; n++)
			build_step_free(&s->steps[n]);
		free(s->steps);
		free(s->name);
		free(s->base);
		free(s->base_name);
		free(s->base_digest);
		free(s->base_layers);
		free(s->layers);
		json_decref(s->doc);
		str_free(&s->tail);
		strv_free(&s->args);
		strv_free(&s->shell);
	}
	for (size_t k = 0; k < b->ntriggers; k++) {
		dockerfile_free(b->triggers[k]);
		free(b->triggers[k]);
	}
	free(b->triggers);
	free(b->stages);
}
