/*
 * build_step.c - RUN, COPY and ADD as steps: words expanded, flags read, sources told apart.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "build_int.h"
#include "rl/base/fmt.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/model/chmod.h"

static int at_flag(struct build *b, const struct dockerfile_instr *i, const struct dockerfile_flag *f, struct err *e)
{
	return build_at(b, i, f->line, f->column, (unsigned)strlen(f->name) + 2, e);
}

/* ---- RUN --mount ---- */

/* One "key=value" or "key" of a mount; false when the text is used up. */
static bool next_field(const char **p, char **ret_key, char **ret_value)
{
	if (!**p)
		return false;
	size_t n = strcspn(*p, ",");
	autofree char *field = xstrndup(*p, n);
	*p += n + ((*p)[n] == ',');
	char *equals = strchr(field, '=');
	*ret_value = equals ? xstrdup(equals + 1) : NULL;
	if (equals)
		*equals = '\0';
	*ret_key = xstrdup(field);
	return true;
}

static int mount_flag(const char *value, bool *ret, const char *key, struct err *e)
{
	bool yes = !value || str_eq(value, "true") || str_eq(value, "1");
	if (!yes && !str_eq(value, "false") && !str_eq(value, "0"))
		return err_set(e, EINVAL, "--mount: %s=%.40s is neither true nor false", key, value);
	*ret = yes;
	return 0;
}

static int mount_type(const char *value, struct build_mount *m, struct err *e)
{
	static const char *const names[] = {"bind", "cache", "tmpfs", "secret", "ssh", NULL};
	for (unsigned k = 0; value && names[k]; k++)
		if (str_eq(names[k], value)) {
			m->kind = (__typeof__(m->kind))k;
			return 0;
		}
	(void)!err_set(e, EINVAL, "--mount: type=%.40s is not known", value ? value : "");
	return err_hint(e, "the types are bind, cache, tmpfs, secret and ssh");
}

static int mount_number(const char *key, const char *value, struct build_mount *m, struct err *e)
{
	uint64_t n = 0;
	if (str_eq(key, "mode")) {
		char *end = NULL;
		unsigned long mode = value ? strtoul(value, &end, 8) : 0;
		if (!value || !*value || *end || mode > 07777)
			return err_set(e, EINVAL, "--mount: mode=%.40s is no octal mode", value ? value : "");
		m->mode = (uint32_t)mode;
		return 0;
	}
	if (str_eq(key, "size")) {
		int r = fmt_parse_size(value ? value : "", "--mount: size", &n, e);
		m->size = (int64_t)n;
		return r;
	}
	int r = str_to_u64(value ? value : "", UINT32_MAX - 1, key, &n, e);
	m->owner_given = true;
	*(str_eq(key, "uid") ? &m->uid : &m->gid) = (uint32_t)n;
	return r;
}

static int mount_field(const char *key, char *value, struct build_mount *m, struct err *e)
{
	if (str_eq(key, "type"))
		return mount_type(value, m, e);
	struct {
		const char *names;
		char **to;
	} texts[] = {{" target dst destination ", &m->target},
		     {" source src ", &m->source},
		     {" from ", &m->from},
		     {" id ", &m->id},
		     {" env ", &m->env}};
	autofree char *padded = xasprintf(" %s ", key);
	for (size_t k = 0; k < ARRAY_SIZE(texts); k++)
		if (strstr(texts[k].names, padded)) {
			if (!value || !*value)
				return err_set(e, EINVAL, "--mount: %s needs a value", key);
			free(*texts[k].to);
			*texts[k].to = xstrdup(value);
			return 0;
		}
	if (strstr(" ro readonly ", padded))
		return mount_flag(value, &m->read_only, key, e);
	if (strstr(" rw readwrite ", padded)) {
		bool writable = false;
		int r = mount_flag(value, &writable, key, e);
		m->read_only = !writable;
		return r;
	}
	if (str_eq(key, "required"))
		return mount_flag(value, &m->required, key, e);
	if (strstr(" mode uid gid size ", padded))
		return mount_number(key, value, m, e);
	if (str_eq(key, "sharing")) {
		m->sharing = value && str_eq(value, "private")	? BUILD_PRIVATE
			     : value && str_eq(value, "locked") ? BUILD_LOCKED
								: BUILD_SHARED;
		return value && strstr(" shared private locked ", value)
			       ? 0
			       : err_set(e, EINVAL, "--mount: sharing is shared, private or locked");
	}
	(void)!err_set(e, EINVAL, "--mount: there is no option %.40s", key);
	return err_hint(
		e, "options are type, target, source, from, id, env, ro, rw, required, mode, uid, gid, size, sharing");
}

static int check_mount(struct build_mount *m, const char *cwd, struct err *e)
{
	if (m->kind == BUILD_MOUNT_SECRET && !m->id && m->source)
		m->id = xstrdup(m->source);
	if (m->kind == BUILD_MOUNT_SECRET && !m->id && m->target)
		m->id = xstrdup(path_base(m->target));
	if (m->kind == BUILD_MOUNT_SECRET && !m->id)
		return err_set(e, EINVAL, "--mount: a secret needs an id");
	if (m->kind == BUILD_MOUNT_SSH && !m->id)
		m->id = xstrdup("default");
	if (m->kind == BUILD_MOUNT_SECRET && !m->target && !m->env)
		m->target = xasprintf("/run/secrets/%s", path_base(m->id));
	if (m->kind == BUILD_MOUNT_SSH && !m->target)
		m->target = xasprintf("/run/buildkit/ssh_agent.0");
	if (!m->target && !(m->kind == BUILD_MOUNT_SECRET && m->env))
		return err_set(e, EINVAL, "--mount: the target is missing");
	if (m->kind == BUILD_MOUNT_CACHE && !m->id)
		m->id = xstrdup(m->target);
	if (m->target) {
		autofree char *joined = *m->target == '/' ? xstrdup(m->target) : path_join(cwd, m->target);
		free(m->target);
		m->target = path_clean(joined);
		if (str_eq(m->target, "/"))
			return err_set(e, EINVAL, "--mount: the target is the root");
	}
	return 0;
}

/* `text` is expanded already. */
static int parse_mount(const char *text, const char *cwd, struct build_mount *ret, struct err *e)
{
	struct build_mount m = {.kind = BUILD_MOUNT_BIND, .stage = -1, .mode = UINT32_MAX, .read_only = true};
	bool typed = false;
	int r = 0;
	/* Binds are read-only unless said otherwise, caches the other way round: the type must be known first. */
	for (const char *p = text; r >= 0;) {
		autofree char *key = NULL;
		autofree char *value = NULL;
		if (!next_field(&p, &key, &value))
			break;
		if (str_eq(key, "type")) {
			r = mount_type(value, &m, e);
			typed = true;
		}
	}
	m.read_only = !typed || m.kind == BUILD_MOUNT_BIND;
	for (const char *p = text; r >= 0;) {
		autofree char *key = NULL;
		autofree char *value = NULL;
		if (!next_field(&p, &key, &value))
			break;
		r = mount_field(key, value, &m, e);
	}
	if (r >= 0)
		r = check_mount(&m, cwd, e);
	*ret = m;
	return r;
}

static void mount_free(struct build_mount *m)
{
	free(m->target);
	free(m->source);
	free(m->from);
	free(m->id);
	free(m->env);
}

static int extra_index(struct build *b, const char *name, struct err *e)
{
	for (size_t k = 0; k < b->nextras; k++)
		if (str_eq(b->extras[k].name, name)) {
			struct build_extra *x = &b->extras[k];
			if (x->is_image && !x->layers) {
				int r = build_take_image(b, x->ref, &x->layers, &x->nlayers, NULL, NULL, e);
				if (r < 0)
					return r;
			}
			return (int)k;
		}
	struct build_extra x = {.name = xstrdup(name), .is_image = true, .rootfd = -1};
	int r = build_take_image(b, name, &x.layers, &x.nlayers, NULL, NULL, e);
	if (r < 0) {
		free(x.name);
		return r;
	}
	b->extras = xreallocarray(b->extras, b->nextras + 1, sizeof(*b->extras));
	b->extras[b->nextras] = x;
	return (int)b->nextras++;
}

/* from=NAME: a stage, a named context or an image. */
static int resolve_from(struct build *b, const struct build_stage *s, const char *name, int *ret_stage, int *ret_extra,
			struct err *e)
{
	*ret_stage = build_find_stage(b, name, s->index);
	if (*ret_stage >= 0)
		return build_need_stage(b, (size_t)*ret_stage, e);
	if (*s->name && strcasecmp(s->name, name) == 0)
		return err_set(e, EINVAL, "--from=%s is the stage itself", name);
	for (size_t k = s->index + 1; k < b->nstages; k++)
		if (strcasecmp(b->stages[k].name, name) == 0)
			return err_set(e, EINVAL, "--from=%s: that stage comes later; stages use only earlier ones",
				       name);
	*ret_extra = extra_index(b, name, e);
	return *ret_extra < 0 ? *ret_extra : 0;
}

static int add_mounts(struct build *b, struct build_stage *s, struct build_step *st, struct err *e)
{
	const struct dockerfile_instr *i = st->instr;
	for (size_t k = 0; k < i->nflags; k++) {
		const struct dockerfile_flag *f = &i->flags[k];
		if (!str_eq(f->name, "mount"))
			continue;
		autofree char *text = NULL;
		struct build_mount m = {.stage = -1};
		int r = build_expand(b, s, f->value, &text, e);
		if (r >= 0)
			r = parse_mount(text, st->cwd, &m, e);
		int extra = -1;
		if (r >= 0 && m.from && (m.kind == BUILD_MOUNT_BIND || m.kind == BUILD_MOUNT_CACHE))
			r = resolve_from(b, s, m.from, &m.stage, &extra, e);
		m.extra = extra;
		if (r < 0) {
			mount_free(&m);
			return at_flag(b, i, f, e);
		}
		st->mounts = xreallocarray(st->mounts, st->nmounts + 1, sizeof(*st->mounts));
		st->mounts[st->nmounts++] = m;
	}
	return 0;
}

/* ---- RUN ---- */

bool build_arg_is_proxy(const char *name)
{
	static const char *const names[] = {"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"};
	for (size_t k = 0; k < ARRAY_SIZE(names); k++)
		if (strcasecmp(names[k], name) == 0)
			return true;
	return false;
}

static void fill_env(struct build *b, const struct build_stage *s, struct build_step *st)
{
	build_stage_env(s, &st->env);
	for (size_t k = 0; k < s->args.count; k++) {
		autofree char *key = NULL;
		const char *value = NULL;
		if (!dockerfile_split_pair(s->args.items[k], &key, &value) || strv_env_get(&st->env, key))
			continue;
		strv_add(&st->arg_env, s->args.items[k]);
	}
	for (size_t k = 0; k < b->build_args.count; k++) {
		autofree char *key = NULL;
		const char *value = NULL;
		if (dockerfile_split_pair(b->build_args.items[k], &key, &value) && build_arg_is_proxy(key) &&
		    !strv_env_get(&st->env, key) && !strv_env_get(&st->arg_env, key))
			strv_add(&st->secret_env, b->build_args.items[k]);
	}
	if (!strv_env_get(&st->env, "PATH"))
		strv_add(&st->env, BUILD_PATH);
}

static void fill_command(const struct build_stage *s, struct build_step *st)
{
	const struct dockerfile_instr *i = st->instr;
	if (i->json) {
		for (size_t k = 0; k < i->nwords; k++)
			strv_add(&st->args, i->words[k].text);
		return;
	}
	autostr struct str command = STR_INIT;
	bool alone = i->nheredocs == 1 && i->nwords == 1;
	if (alone && str_after(i->heredocs[0].text, "#!")) {
		/* A script with an interpreter of its own is executed as a file. */
		st->script = xstrdup(i->heredocs[0].text);
		strv_add(&st->args, BUILD_SCRIPT);
		return;
	}
	str_adds(&command, alone ? i->heredocs[0].text : i->rest);
	/* Otherwise the shell reads its here-documents itself, as they were written. */
	for (size_t k = 0; k < i->nheredocs && !alone; k++)
		str_addf(&command, "%s%s%s", k ? "" : "\n", i->heredocs[k].text, i->heredocs[k].name);
	if (i->nheredocs && !alone)
		str_addc(&command, '\n');
	strv_add_all(&st->args, &s->shell);
	strv_add(&st->args, command.buf);
}

static void write_history(struct build_step *st)
{
	autostr struct str text = STR_INIT;
	str_adds(&text, "RUN");
	if (st->arg_env.count) {
		str_addf(&text, " |%zu", st->arg_env.count);
		for (size_t k = 0; k < st->arg_env.count; k++)
			str_addf(&text, " %s", st->arg_env.items[k]);
	}
	for (size_t k = 0; k < st->args.count; k++)
		str_addf(&text, " %s", st->args.items[k]);
	free(st->history);
	st->history = str_take(&text);
}

int build_step_run(struct build *b, struct build_stage *s, const struct dockerfile_instr *i, struct err *e)
{
	struct build_step *st = build_add_step(s, BUILD_STEP_RUN, i);
	json_t *config = build_config_of(s);
	const char *user = json_str_or_null(config, "User");
	const char *cwd = json_str_or_null(config, "WorkingDir");
	st->user = xstrdup(user ? user : "");
	st->cwd = xstrdup(cwd && *cwd ? cwd : "/");
	const struct dockerfile_flag *network = dockerfile_find_flag(i, "network");
	const struct dockerfile_flag *security = dockerfile_find_flag(i, "security");
	if (network && !str_eq(network->value, "default")) {
		if (!str_eq(network->value, "none") && !str_eq(network->value, "host")) {
			(void)!err_set(e, EINVAL, "--network=%.40s: it is default, none or host", network->value);
			return at_flag(b, i, network, e);
		}
		st->network = xstrdup(network->value);
	}
	if (security && !str_eq(security->value, "sandbox")) {
		(void)!err_set(e, EPERM, "--security=%.40s: only sandbox is given by a Dockerfile", security->value);
		err_hint(e, "the person who builds decides: --cap-add and --security-opt of rl build");
		return at_flag(b, i, security, e);
	}
	fill_env(b, s, st);
	fill_command(s, st);
	write_history(st);
	strv_add_all(&st->env, &st->arg_env);
	return add_mounts(b, s, st, e);
}

/* ---- COPY and ADD ---- */

static bool is_git(const char *text)
{
	size_t n = strcspn(text, "#?");
	autofree char *plain = xstrndup(text, n);
	return str_after(text, "git://") || str_after(text, "git@") || str_after(text, "ssh://") ||
	       ((path_is_address(text) || str_after(text, "file://")) && str_ends(plain, ".git"));
}

static const struct dockerfile_heredoc *find_heredoc(const struct dockerfile_instr *i, const char *word)
{
	const char *s = word + strspn(word, "0123456789");
	if (s[0] != '<' || s[1] != '<')
		return NULL;
	s += 2 + (s[2] == '-');
	for (size_t k = 0; k < i->nheredocs; k++) {
		const char *rest = strstr(s, i->heredocs[k].name);
		if (rest && rest - s <= 1)
			return &i->heredocs[k];
	}
	return NULL;
}

/* --parents: "a/b/./c" keeps only what follows the point. */
static int find_pivot(struct build_source *src, struct err *e)
{
	const char *point = strstr(src->path, "/./");
	if (!point)
		return 0;
	autofree char *front = xstrndup(src->path, (size_t)(point - src->path));
	autofree char *rooted = path_join("/", front);
	autofree char *clean = path_clean(rooted);
	if (strstr(clean, "**"))
		return err_set(e, EINVAL, "%s: '**' in front of '/./' could stand for anything", src->path);
	for (const char *p = clean; *p; p++)
		src->pivot += *p == '/' && p[1];
	return 0;
}

static int add_source(struct build *b, struct build_stage *s, struct build_step *st, const struct dockerfile_word *w,
		      struct err *e)
{
	const struct dockerfile_heredoc *h = st->instr->json ? NULL : find_heredoc(st->instr, w->text);
	struct build_source src = {.fd = -1, .line = w->line, .column = w->column};
	int r = 0;
	if (h) {
		struct dockerfile_vars vars;
		autostr struct str text = STR_INIT;
		build_stage_vars(b, s, &vars);
		src.kind = BUILD_FROM_HEREDOC;
		src.path = xstrdup(h->name);
		if (h->expand)
			r = dockerfile_expand_text(h->text, &vars, &text, e);
		else
			str_adds(&text, h->text);
		src.text = str_take(&text);
	} else {
		r = build_expand(b, s, w->text, &src.path, e);
		src.kind = r < 0 || !st->is_add || st->from_name ? BUILD_FROM_CONTEXT
			   : is_git(src.path)			 ? BUILD_FROM_GIT
			   : path_is_address(src.path)		 ? BUILD_FROM_URL
								 : BUILD_FROM_CONTEXT;
	}
	if (r >= 0 && st->parents)
		r = find_pivot(&src, e);
	if (r >= 0 && (st->from_stage >= 0 || st->from_extra >= 0) && src.kind == BUILD_FROM_CONTEXT)
		src.kind = BUILD_FROM_LAYERS;
	if (r >= 0 && src.kind == BUILD_FROM_LAYERS && st->from_extra >= 0 && !b->extras[st->from_extra].is_image)
		src.kind = BUILD_FROM_CONTEXT;
	if (r >= 0 && st->checksum && src.kind != BUILD_FROM_URL)
		r = err_set(e, EINVAL, "--checksum is for addresses, which %s is not", src.path);
	if (r >= 0 && !*src.path)
		r = err_set(e, EINVAL, "%s: a source is empty", dockerfile_kind_name(st->instr->kind));
	st->sources = xreallocarray(st->sources, st->nsources + 1, sizeof(*st->sources));
	st->sources[st->nsources++] = src;
	return r < 0 ? build_at(b, st->instr, w->line, w->column, (unsigned)strlen(w->text), e) : 0;
}

static int copy_flag(struct build *b, struct build_stage *s, struct build_step *st, const struct dockerfile_flag *f,
		     struct err *e)
{
	autofree char *value = NULL;
	int r = build_expand(b, s, f->value, &value, e);
	struct {
		const char *name;
		bool *to;
	} flags[] = {{"link", &st->link}, {"parents", &st->parents}, {"keep-git-dir", &st->keep_git}};
	if (r < 0)
		return r;
	for (size_t k = 0; k < ARRAY_SIZE(flags); k++)
		if (str_eq(f->name, flags[k].name)) {
			if (f->has_value && !str_eq(value, "true") && !str_eq(value, "false"))
				return err_set(e, EINVAL, "--%s is true or false", f->name);
			*flags[k].to = !f->has_value || str_eq(value, "true");
			return 0;
		}
	if (str_eq(f->name, "unpack") && (!f->has_value || str_eq(value, "true") || str_eq(value, "false"))) {
		st->no_unpack = str_eq(value, "false");
		st->force_unpack = !st->no_unpack;
		return 0;
	}
	if (!*value)
		return err_set(e, EINVAL, "--%s needs a value", f->name);
	if (str_eq(f->name, "exclude")) {
		strv_add(&st->excludes, value);
		return ignore_add(&st->exclude, value, e);
	}
	if (str_eq(f->name, "unpack"))
		return err_set(e, EINVAL, "--unpack is true or false");
	if (str_eq(f->name, "chown")) {
		free(st->chown);
		st->chown = xstrdup(value);
	} else if (str_eq(f->name, "chmod")) {
		r = chmod_check(value, e);
		if (r < 0)
			return err_ctx(e, "--chmod");
		free(st->chmod);
		st->chmod = xstrdup(value);
	} else if (str_eq(f->name, "checksum")) {
		if (!str_after(value, "sha256:") || strlen(value) != 71)
			return err_set(e, EINVAL, "--checksum=%.80s: it is sha256: and 64 digits", value);
		free(st->checksum);
		st->checksum = xstrdup(value);
	} else if (str_eq(f->name, "from")) {
		free(st->from_name);
		st->from_name = xstrdup(value);
		return resolve_from(b, s, value, &st->from_stage, &st->from_extra, e);
	}
	return 0;
}

int build_step_copy(struct build *b, struct build_stage *s, const struct dockerfile_instr *i, struct err *e)
{
	struct build_step *st = build_add_step(s, BUILD_STEP_COPY, i);
	st->is_add = i->kind == DOCKERFILE_ADD;
	for (size_t k = 0; k < i->nflags; k++) {
		int r = copy_flag(b, s, st, &i->flags[k], e);
		if (r < 0)
			return at_flag(b, i, &i->flags[k], e);
	}
	const struct dockerfile_word *last = &i->words[i->nwords - 1];
	autofree char *dest = NULL;
	int r = build_expand(b, s, last->text, &dest, e);
	for (size_t k = 0; k + 1 < i->nwords && r >= 0; k++) {
		r = add_source(b, s, st, &i->words[k], e);
		if (r < 0)
			return r;
	}
	if (r >= 0 && !*dest)
		r = err_set(e, EINVAL, "%s: the destination is empty", dockerfile_kind_name(i->kind));
	if (r < 0)
		return build_at(b, i, last->line, last->column, (unsigned)strlen(last->text), e);
	size_t n = strlen(dest);
	bool is_dir = dest[n - 1] == '/' || str_eq(dest, ".") || str_eq(dest, "..") || str_ends(dest, "/.") ||
		      str_ends(dest, "/..");
	const char *cwd = json_str_or_null(build_config_of(s), "WorkingDir");
	autofree char *joined = *dest == '/' ? xstrdup(dest) : path_join(cwd && *cwd ? cwd : "/", dest);
	autofree char *clean = path_clean(joined);
	st->dest = xasprintf("%s%s%s", *clean == '/' ? "" : "/", clean, is_dir && !str_eq(clean, "/") ? "/" : "");
	if (!is_dir && !st->parents && i->nwords > 2 && !str_eq(st->dest, "/")) {
		(void)!err_set(e, EINVAL, "%s of several sources needs a directory as destination: \"%s/\"",
			       dockerfile_kind_name(i->kind), last->text);
		return build_at(b, i, last->line, last->column, (unsigned)strlen(last->text), e);
	}
	return 0;
}

void build_step_free(struct build_step *st)
{
	for (size_t k = 0; k < st->nmounts; k++)
		mount_free(&st->mounts[k]);
	for (size_t k = 0; k < st->nsources; k++) {
		free(st->sources[k].path);
		free(st->sources[k].text);
		strv_free(&st->sources[k].found);
		close_fd(&st->sources[k].fd);
	}
	free(st->mounts);
	free(st->sources);
	free(st->text);
	free(st->history);
	free(st->user);
	free(st->cwd);
	free(st->network);
	free(st->script);
	free(st->dest);
	free(st->from_name);
	free(st->chown);
	free(st->chmod);
	free(st->checksum);
	strv_free(&st->args);
	strv_free(&st->env);
	strv_free(&st->arg_env);
	strv_free(&st->secret_env);
	strv_free(&st->excludes);
	ignore_free(&st->exclude);
}
