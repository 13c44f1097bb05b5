/*
 * build_config.c - instructions of a stage one after the other: what changes the image's config changes it here, what
 * touches files becomes a step (build_step.c).
 *
 * The config of every stage can be known before anything runs, because no instruction reads the result of another one.
 * So all mistakes of a Dockerfile are found before the first step is done.
 */
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "build_int.h"
#include "rl/base/fmt.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"

enum { PORTS_MAX = 65535 };

int build_at(struct build *b, const struct dockerfile_instr *i, unsigned line, unsigned column, unsigned width,
	     struct err *e)
{
	dockerfile_at(&b->file, line ? line : i->line, column, width, &b->where);
	return err_ctx(e, "%s:%u", b->file_name, line ? line : i->line);
}

json_t *build_config_of(struct build_stage *s)
{
	return json_member(s->doc, "config", JSON_OBJECT);
}

static json_t *member(struct build_stage *s, const char *key, json_type type)
{
	return json_member(build_config_of(s), key, type);
}

/* ---- variables ---- */

static const char *env_value(const struct build_stage *s, const char *name)
{
	size_t i;
	json_t *item;
	size_t n = strlen(name);
	json_array_foreach (json_object_get(json_object_get(s->doc, "config"), "Env"), i, item) {
		const char *text = json_string_value(item);
		if (text && strncmp(text, name, n) == 0 && text[n] == '=')
			return text + n + 1;
	}
	return NULL;
}

static const char *stage_get(void *arg, const char *name)
{
	const struct build_stage *s = arg;
	const char *value = env_value(s, name);
	return value ? value : strv_env_get(&s->args, name);
}

void build_stage_vars(struct build *b, struct build_stage *s, struct dockerfile_vars *ret)
{
	*ret = (struct dockerfile_vars){.get = stage_get, .arg = s, .escape = b->file.escape};
}

int build_expand(struct build *b, struct build_stage *s, const char *text, char **ret, struct err *e)
{
	struct dockerfile_vars vars;
	autostr struct str out = STR_INIT;
	build_stage_vars(b, s, &vars);
	int r = dockerfile_expand(text, &vars, &out, e);
	if (r >= 0)
		*ret = str_take(&out);
	return r < 0 ? r : 0;
}

void build_stage_env(const struct build_stage *s, struct strv *ret)
{
	size_t i;
	json_t *item;
	json_array_foreach (json_object_get(json_object_get(s->doc, "config"), "Env"), i, item)
		if (json_is_string(item))
			strv_add(ret, json_string_value(item));
}

static void set_env(struct build_stage *s, const char *key, const char *value)
{
	autofree char *pair = xasprintf("%s=%s", key, value);
	json_t *env = member(s, "Env", JSON_ARRAY);
	size_t n = strlen(key) + 1;
	size_t i;
	json_t *item;
	json_array_foreach (env, i, item) {
		const char *old = json_string_value(item);
		if (old && strncmp(old, pair, n) == 0) {
			json_array_set_new(env, i, json_string_lossy(pair, strlen(pair)));
			return;
		}
	}
	json_array_append_new(env, json_string_lossy(pair, strlen(pair)));
}

/* ENV and LABEL. All words are expanded with the values of before the instruction. */
static int set_pairs(struct build *b, struct build_stage *s, const struct dockerfile_instr *i, struct err *e)
{
	autostrv struct strv keys = STRV_INIT;
	autostrv struct strv values = STRV_INIT;
	bool old_form = i->nwords > 1 && !strchr(i->words[0].text, '=');
	for (size_t k = 0; k < i->nwords && (k == 0 || !old_form); k++) {
		autofree char *raw = NULL;
		const char *raw_value = NULL;
		if (old_form) {
			raw = xstrdup(i->words[0].text);
			raw_value = i->rest + strlen(raw);
			raw_value += strspn(raw_value, " \t");
		} else {
			(void)!dockerfile_split_pair(i->words[k].text, &raw, &raw_value);
		}
		char *key = NULL;
		char *value = NULL;
		int r = build_expand(b, s, raw, &key, e);
		if (r >= 0)
			r = build_expand(b, s, raw_value, &value, e);
		strv_add_owned(&keys, key ? key : xstrdup(""));
		strv_add_owned(&values, value ? value : xstrdup(""));
		if (r >= 0 && key && !*key)
			r = err_set(e, EINVAL, "the name is empty");
		if (r < 0)
			return build_at(b, i, i->words[k].line, i->words[k].column, (unsigned)strlen(i->words[k].text),
					e);
	}
	for (size_t k = 0; k < keys.count; k++) {
		if (i->kind == DOCKERFILE_ENV)
			set_env(s, keys.items[k], values.items[k]);
		else
			json_put_str(member(s, "Labels", JSON_OBJECT), keys.items[k], values.items[k]);
	}
	return 0;
}

static int set_args(struct build *b, struct build_stage *s, const struct dockerfile_instr *i, struct err *e)
{
	for (size_t k = 0; k < i->nwords; k++) {
		autofree char *key = NULL;
		autofree char *value = NULL;
		const char *raw = NULL;
		int r = 0;
		if (!dockerfile_split_pair(i->words[k].text, &key, &raw))
			key = xstrdup(i->words[k].text);
		else
			r = build_expand(b, s, raw, &value, e);
		if (r < 0)
			return build_at(b, i, i->words[k].line, i->words[k].column, (unsigned)strlen(i->words[k].text),
					e);
		const char *given = strv_env_get(&b->build_args, key);
		if (!given)
			given = value ? value : strv_env_get(&b->meta_args, key);
		if (given)
			strv_env_set(&s->args, key, given);
	}
	return 0;
}

/* ---- commands ---- */

static json_t *array_of(const struct strv *v)
{
	json_t *array = json_array();
	for (size_t k = 0; k < v->count; k++)
		json_array_append_new(array, json_string_lossy(v->items[k], strlen(v->items[k])));
	return array;
}

static json_t *command_of(const struct build_stage *s, const struct dockerfile_instr *i)
{
	autostrv struct strv words = STRV_INIT;
	if (!i->json && *i->rest) {
		strv_add_all(&words, &s->shell);
		strv_add(&words, i->rest);
	}
	for (size_t k = 0; i->json && k < i->nwords; k++)
		strv_add(&words, i->words[k].text);
	return array_of(&words);
}

static void set_command(struct build_stage *s, const struct dockerfile_instr *i)
{
	json_t *config = build_config_of(s);
	if (i->kind == DOCKERFILE_CMD) {
		json_put(config, "Cmd", command_of(s, i));
		json_put_bool(s->doc, "rl.cmd", true); /* removed before the document is written */
		return;
	}
	json_put(config, "Entrypoint", command_of(s, i));
	/* A command of the base image belonged to its own entrypoint. */
	if (!json_object_get(s->doc, "rl.cmd"))
		json_object_del(config, "Cmd");
}

static int set_health(struct build *b, struct build_stage *s, const struct dockerfile_instr *i, struct err *e)
{
	static const struct {
		const char *flag, *key;
	} times[] = {{"interval", "Interval"},
		     {"timeout", "Timeout"},
		     {"start-period", "StartPeriod"},
		     {"start-interval", "StartInterval"}};
	json_t *health = json_object();
	json_t *test = json_array();
	json_put(build_config_of(s), "Healthcheck", health);
	json_put(health, "Test", test);
	const char *kind = i->words[0].text;
	if (strcasecmp(kind, "NONE") == 0 && i->nwords == 1) {
		json_array_append_new(test, json_string("NONE"));
		return 0;
	}
	const char *command = i->rest + strlen(kind);
	command += strspn(command, " \t");
	if (strcasecmp(kind, "CMD") != 0 || !*command) {
		(void)!err_set(e, EINVAL, "HEALTHCHECK is followed by CMD and a command, or by NONE");
		return build_at(b, i, i->words[0].line, i->words[0].column, (unsigned)strlen(kind), e);
	}
	autofree char *line = xasprintf("CMD %s", command);
	struct dockerfile one;
	int r = dockerfile_parse_one(line, b->file.escape, &one, e);
	if (r < 0)
		return build_at(b, i, 0, 1, 1, e);
	json_array_append_new(test, json_string(one.items[0].json ? "CMD" : "CMD-SHELL"));
	for (size_t k = 0; one.items[0].json && k < one.items[0].nwords; k++)
		json_array_append_new(test, json_string(one.items[0].words[k].text));
	if (!one.items[0].json)
		json_array_append_new(test, json_string_lossy(command, strlen(command)));
	dockerfile_free(&one);
	for (size_t k = 0; k < i->nflags; k++) {
		const struct dockerfile_flag *f = &i->flags[k];
		uint64_t n = 0;
		const char *key = "Retries";
		for (size_t t = 0; t < ARRAY_SIZE(times); t++)
			if (str_eq(times[t].flag, f->name))
				key = times[t].key;
		r = str_eq(key, "Retries") ? str_to_u64(f->value, INT32_MAX, "--retries", &n, e)
					   : fmt_parse_duration(f->value, f->name, &n, e);
		if (r < 0)
			return build_at(b, i, f->line, f->column, (unsigned)strlen(f->name) + 2, e);
		json_put_int(health, key, (int64_t)n);
	}
	return 0;
}

/* ---- ports, volumes, and single values ---- */

static int expose(struct build_stage *s, const char *word, struct err *e)
{
	const char *text = strrchr(word, ':') ? strrchr(word, ':') + 1 : word; /* a host port means nothing here */
	autofree char *copy = xstrdup(text);
	char *slash = strchr(copy, '/');
	autofree char *protocol = xstrdup(slash ? slash + 1 : "tcp");
	for (char *c = protocol; *c; c++)
		*c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
	if (slash)
		*slash = '\0';
	if (!str_eq(protocol, "tcp") && !str_eq(protocol, "udp") && !str_eq(protocol, "sctp"))
		return err_set(e, EINVAL, "EXPOSE %.60s: the protocol is tcp, udp or sctp", word);
	char *dash = strchr(copy, '-');
	if (dash)
		*dash++ = '\0';
	uint64_t first;
	uint64_t last;
	if (str_to_u64(copy, PORTS_MAX, "EXPOSE", &first, e) < 0 ||
	    str_to_u64(dash ? dash : copy, PORTS_MAX, "EXPOSE", &last, e) < 0)
		return -EINVAL;
	if (!first || first > last)
		return err_set(e, EINVAL, "EXPOSE %.60s: no port or range of ports", word);
	for (; first <= last; first++) {
		char key[32];
		snprintf(key, sizeof(key), "%u/%.8s", (unsigned)first, protocol);
		json_put(member(s, "ExposedPorts", JSON_OBJECT), key, json_object());
	}
	return 0;
}

static int add_words(struct build *b, struct build_stage *s, const struct dockerfile_instr *i, struct err *e)
{
	struct dockerfile_vars vars;
	build_stage_vars(b, s, &vars);
	for (size_t k = 0; k < i->nwords; k++) {
		autostrv struct strv words = STRV_INIT;
		char *one = NULL;
		int r = 0;
		if (i->kind == DOCKERFILE_EXPOSE)
			r = dockerfile_expand_words(i->words[k].text, &vars, &words, e);
		else
			r = build_expand(b, s, i->words[k].text, &one, e);
		if (one)
			strv_add_owned(&words, one);
		for (size_t w = 0; r >= 0 && w < words.count; w++) {
			if (i->kind == DOCKERFILE_EXPOSE)
				r = expose(s, words.items[w], e);
			else if (!*words.items[w])
				r = err_set(e, EINVAL, "VOLUME: the path is empty");
			else
				json_put(member(s, "Volumes", JSON_OBJECT), words.items[w], json_object());
		}
		if (r < 0)
			return build_at(b, i, i->words[k].line, i->words[k].column, (unsigned)strlen(i->words[k].text),
					e);
	}
	return 0;
}

static int set_value(struct build *b, struct build_stage *s, const struct dockerfile_instr *i, struct err *e)
{
	autofree char *value = NULL;
	int sig;
	int r = build_expand(b, s, i->kind == DOCKERFILE_MAINTAINER ? "" : i->rest, &value, e);
	if (r >= 0 && !*value && i->kind != DOCKERFILE_MAINTAINER)
		r = err_set(e, EINVAL, "%s: the value is empty", dockerfile_kind_name(i->kind));
	if (r >= 0 && i->kind == DOCKERFILE_STOPSIGNAL)
		r = run_opts_parse_signal(value, "STOPSIGNAL", &sig, e);
	if (r < 0)
		return build_at(b, i, i->words[0].line, i->words[0].column, (unsigned)strlen(i->words[0].text), e);
	json_t *config = build_config_of(s);
	if (i->kind == DOCKERFILE_USER)
		json_put_str(config, "User", value);
	else if (i->kind == DOCKERFILE_STOPSIGNAL)
		json_put_str(config, "StopSignal", value);
	else if (i->kind == DOCKERFILE_MAINTAINER)
		json_put_str(s->doc, "author", i->rest);
	return 0;
}

static int set_workdir(struct build *b, struct build_stage *s, const struct dockerfile_instr *i, struct err *e)
{
	autofree char *value = NULL;
	int r = build_expand(b, s, i->rest, &value, e);
	if (r >= 0 && !*value)
		r = err_set(e, EINVAL, "WORKDIR: the path is empty");
	if (r < 0)
		return build_at(b, i, i->words[0].line, i->words[0].column, (unsigned)strlen(i->words[0].text), e);
	const char *old = json_str_or_null(build_config_of(s), "WorkingDir");
	autofree char *joined = *value == '/' ? xstrdup(value) : path_join(old && *old ? old : "/", value);
	autofree char *clean = path_clean(joined);
	if (*clean != '/') {
		char *rooted = path_join("/", clean);
		free(clean);
		clean = rooted;
	}
	json_put_str(build_config_of(s), "WorkingDir", clean);
	struct build_step *st = build_add_step(s, BUILD_STEP_WORKDIR, i);
	st->dest = xstrdup(clean);
	return 0;
}

/* ---- all of them ---- */

struct build_step *build_add_step(struct build_stage *s, enum build_step_kind kind, const struct dockerfile_instr *i)
{
	s->steps = xreallocarray(s->steps, s->nsteps + 1, sizeof(*s->steps));
	struct build_step *st = &s->steps[s->nsteps++];
	*st = (struct build_step){.kind = kind, .instr = i, .from_stage = -1, .from_extra = -1, .exclude = IGNORE_INIT};
	st->text = xstrdup(i->text);
	st->history = xstrdup(i->text);
	st->state = BUILD_WAITING;
	return st;
}

int build_instruction(struct build *b, struct build_stage *s, const struct dockerfile_instr *i, struct err *e)
{
	size_t before = s->nsteps;
	int r = 0;
	switch (i->kind) {
	case DOCKERFILE_RUN:
		return build_step_run(b, s, i, e);
	case DOCKERFILE_COPY:
	case DOCKERFILE_ADD:
		return build_step_copy(b, s, i, e);
	case DOCKERFILE_WORKDIR:
		return set_workdir(b, s, i, e);
	case DOCKERFILE_ENV:
	case DOCKERFILE_LABEL:
		r = set_pairs(b, s, i, e);
		break;
	case DOCKERFILE_ARG:
		r = set_args(b, s, i, e);
		break;
	case DOCKERFILE_CMD:
	case DOCKERFILE_ENTRYPOINT:
		set_command(s, i);
		break;
	case DOCKERFILE_SHELL:
		strv_free(&s->shell);
		for (size_t k = 0; k < i->nwords; k++)
			strv_add(&s->shell, i->words[k].text);
		json_put(build_config_of(s), "Shell", array_of(&s->shell));
		break;
	case DOCKERFILE_HEALTHCHECK:
		r = set_health(b, s, i, e);
		break;
	case DOCKERFILE_EXPOSE:
	case DOCKERFILE_VOLUME:
		r = add_words(b, s, i, e);
		break;
	case DOCKERFILE_USER:
	case DOCKERFILE_STOPSIGNAL:
	case DOCKERFILE_MAINTAINER:
		r = set_value(b, s, i, e);
		break;
	case DOCKERFILE_ONBUILD:
		json_array_append_new(member(s, "OnBuild", JSON_ARRAY), json_string_lossy(i->rest, strlen(i->rest)));
		break;
	case DOCKERFILE_FROM:
	case DOCKERFILE_KIND_N:
		return err_set(e, EINVAL, "FROM in the middle of a stage");
	}
	if (r >= 0 && s->nsteps == before)
		build_add_step(s, BUILD_STEP_META, i);
	return r < 0 ? r : 0;
}
