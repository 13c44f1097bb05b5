/*
 * build.c - `rl build`: the order of things; see build.h.
 *
 * Options that name files are read first, then the context and the Dockerfile; then everything is planned, so that all
 * mistakes are found before a step is done; then the steps; then what is new is published and named. Whatever fails,
 * the steps that were done stay in the cache.
 */
#include "rl/svc/build.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "build_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/model/imgref.h"
#include "rl/svc/container.h"
#include "rl/svc/container_store.h"

void build_opts_init(struct build_opts *o)
{
	*o = (struct build_opts){.pull = PULL_MISSING, .rewrite_timestamp = UNSET, .registry = {.tls_verify = UNSET}};
	run_opts_init(&o->run);
}

void build_opts_free(struct build_opts *o)
{
	struct strv *lists[] = {&o->tags,    &o->build_args,  &o->build_arg_files, &o->build_contexts,
				&o->secrets, &o->cache_from,  &o->cache_to,	   &o->ssh,
				&o->labels,  &o->annotations, &o->outputs,	   &o->unset_env};
	char *texts[] = {o->context,	   o->file,    o->ignorefile, o->target,    o->platform,	 o->iidfile,
			 o->metadata_file, o->logfile, o->progress,   o->timestamp, o->source_date_epoch};
	run_opts_free(&o->run);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		strv_free(lists[i]);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		free(texts[i]);
}

/* ---- options ---- */

static int parse_epoch(struct build *b, struct err *e)
{
	const char *text = b->o->timestamp;
	const char *what = "--timestamp";
	if (!text) {
		text = b->o->source_date_epoch ? b->o->source_date_epoch : getenv("SOURCE_DATE_EPOCH");
		what = b->o->source_date_epoch ? "--source-date-epoch" : "SOURCE_DATE_EPOCH";
	}
	if (!text || !*text) {
		if (b->o->rewrite_timestamp != YES)
			return 0;
		(void)!err_set(e, EINVAL, "--rewrite-timestamp: to what?");
		return err_hint(e, "--source-date-epoch or SOURCE_DATE_EPOCH gives the time");
	}
	uint64_t n;
	int r = str_to_u64(text, INT32_MAX * 8ULL, what, &n, e);
	b->has_epoch = r >= 0;
	b->set_times = b->o->timestamp != NULL;
	b->epoch = (int64_t)n;
	return r;
}

static int read_arg_file(struct build *b, const char *path, struct err *e)
{
	autostr struct str text = STR_INIT;
	autostrv struct strv lines = STRV_INIT;
	int r = io_read_file(AT_FDCWD, path, RUN_OPTS_FILE_MAX, &text, e);
	if (r < 0)
		return err_ctx(e, "--build-arg-file");
	strv_split(&lines, text.buf, '\n');
	for (size_t i = 0; i < lines.count; i++) {
		char *line = lines.items[i];
		line += strspn(line, " \t");
		if (!*line || *line == '#')
			continue;
		char *equals = strchr(line, '=');
		if (!equals)
			return err_set(e, EINVAL, "--build-arg-file %s:%zu: KEY=VALUE is expected", path, i + 1);
		*equals = '\0';
		strv_env_set(&b->build_args, line, equals + 1);
	}
	return 0;
}

static int read_args(struct build *b, struct err *e)
{
	int r = 0;
	for (size_t i = 0; i < b->o->build_arg_files.count && r >= 0; i++)
		r = read_arg_file(b, b->o->build_arg_files.items[i], e);
	for (size_t i = 0; i < b->o->build_args.count && r >= 0; i++) {
		autofree char *key = NULL;
		const char *value = NULL;
		if (!dockerfile_split_pair(b->o->build_args.items[i], &key, &value)) {
			key = xstrdup(b->o->build_args.items[i]);
			value = getenv(key);
		}
		if (!*key)
			r = err_set(e, EINVAL, "--build-arg %s: the name is empty", b->o->build_args.items[i]);
		else if (value)
			strv_env_set(&b->build_args, key, value);
	}
	return r;
}

/* "id=X[,src=F][,env=V][,type=T]" */
static int parse_secret(struct build *b, const char *text, struct err *e)
{
	struct build_secret s = {0};
	autostrv struct strv parts = STRV_INIT;
	strv_split(&parts, text, ',');
	bool env = false;
	for (size_t i = 0; i < parts.count; i++) {
		const char *part = parts.items[i];
		const char *value = strchr(part, '=');
		if (str_after(part, "id="))
			s.id = xstrdup(value + 1);
		else if (str_after(part, "src=") || str_after(part, "source="))
			s.source = xstrdup(value + 1);
		else if (str_after(part, "env="))
			s.env = xstrdup(value + 1);
		else if (str_eq(part, "type=env"))
			env = true;
		else if (!str_eq(part, "type=file"))
			return err_set(e, EINVAL, "--secret %s: '%s' is not known", text, part);
	}
	if (!s.id || !*s.id)
		return err_set(e, EINVAL, "--secret %s: id= is missing", text);
	if (env && s.source && !s.env) {
		s.env = s.source;
		s.source = NULL;
	}
	if (!s.source && !s.env) {
		/* docker's rule: a variable of that name, else a file of that name */
		if (env || getenv(s.id))
			s.env = xstrdup(s.id);
		else
			s.source = xstrdup(s.id);
	}
	b->secrets = xreallocarray(b->secrets, b->nsecrets + 1, sizeof(*b->secrets));
	b->secrets[b->nsecrets++] = s;
	if (s.source && access(s.source, R_OK) < 0)
		return err_sys(e, errno, "--secret id=%s: %s", s.id, s.source);
	return 0;
}

static int parse_ssh(struct build *b, const char *text, struct err *e)
{
	struct build_secret s = {.id = xstrndup(text, strcspn(text, "="))};
	const char *path = strchr(text, '=') ? strchr(text, '=') + 1 : getenv("SSH_AUTH_SOCK");
	b->ssh = xreallocarray(b->ssh, b->nssh + 1, sizeof(*b->ssh));
	b->ssh[b->nssh] = s;
	if (!path || !*path) {
		(void)!err_set(e, ENOENT, "--ssh %s: SSH_AUTH_SOCK is not set", text);
		b->nssh++;
		return err_hint(e, "start an agent (eval $(ssh-agent)), or give its socket: --ssh default=SOCKET");
	}
	b->ssh[b->nssh++].source = xstrdup(path);
	return 0;
}

/* "NAME=WHERE": a directory, an archive, a repository, or docker-image://REF. */
static int parse_context(struct build *b, const char *text, struct err *e)
{
	const char *equals = strchr(text, '=');
	if (!equals || equals == text)
		return err_set(e, EINVAL, "--build-context %s: NAME=WHERE is expected", text);
	const char *image = str_after(equals + 1, "docker-image://");
	struct build_extra x = {.name = xstrndup(text, (size_t)(equals - text)), .rootfd = -1};
	int r = 0;
	if (image) {
		x.is_image = true;
		x.ref = xstrdup(image);
	} else {
		struct build_context c = {.rootfd = -1, .ignore = IGNORE_INIT};
		r = build_context_of(b, equals + 1, &c, e);
		x.rootfd = take_fd(&c.rootfd);
		build_context_close(&c);
	}
	b->extras = xreallocarray(b->extras, b->nextras + 1, sizeof(*b->extras));
	b->extras[b->nextras++] = x;
	return r < 0 ? err_ctx(e, "--build-context %s", text) : 0;
}

static int each(struct build *b, const struct strv *v, int (*fn)(struct build *, const char *, struct err *),
		struct err *e)
{
	int r = 0;
	for (size_t i = 0; i < v->count && r >= 0; i++)
		r = fn(b, v->items[i], e);
	return r;
}

static unsigned default_jobs(void)
{
	cpu_set_t set;
	unsigned n = sched_getaffinity(0, sizeof(set), &set) < 0 ? 2 : (unsigned)CPU_COUNT(&set);
	return RL_MAX(2U, n);
}

/* -v of a directory: steps run in processes whose directory is ours, but the record says absolute paths. */
static int make_absolute(struct build *b, struct err *e)
{
	struct run_opts *o = &b->o->run;
	autofree char *cwd = getcwd(NULL, 0);
	if (!cwd)
		return err_sys(e, errno, "current directory");
	for (size_t i = 0; i < o->nmounts; i++)
		if (o->mounts[i].source && *o->mounts[i].source != '/') {
			char *joined = path_join(cwd, o->mounts[i].source);
			free(o->mounts[i].source);
			o->mounts[i].source = joined;
		}
	return 0;
}

static int take_options(struct build *b, struct err *e)
{
	b->jobs = b->o->jobs ? b->o->jobs : default_jobs();
	int r = parse_epoch(b, e);
	if (r >= 0)
		r = read_args(b, e);
	if (r >= 0)
		r = each(b, &b->o->secrets, parse_secret, e);
	if (r >= 0)
		r = each(b, &b->o->ssh, parse_ssh, e);
	if (r >= 0)
		r = build_check_outputs(b->o, e);
	if (r >= 0)
		r = build_share_check(b->o, e);
	return r < 0 ? r : make_absolute(b, e);
}

/* ---- life ---- */

static int open_empty(struct build *b, const char *name, int *ret_fd, struct err *e)
{
	if (mkdirat(b->work.dirfd, name, 0755) < 0)
		return err_sys(e, errno, "make %s", name);
	*ret_fd = openat(b->work.dirfd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? err_sys(e, errno, "open %s", name) : 0;
}

int build_open(struct build *b, const char *root, struct err *e)
{
	int r = store_open(root, true, &b->store, e);
	/* What a killed build has left. */
	if (r >= 0)
		(void)!store_sweep(&b->store, NULL);
	if (r >= 0)
		r = idmap_detect_usable(&b->map, e);
	if (r >= 0)
		r = build_crypto_open(&b->crypto, e);
	if (r >= 0)
		r = store_work_begin(&b->store, &b->work, e);
	if (r >= 0)
		r = open_empty(b, "empty", &b->emptyfd, e);
	if (r >= 0)
		r = open_empty(b, "empty2", &b->skeletonfd, e);
	if (r >= 0)
		r = event_open(&b->loop, e);
	return r < 0 ? r : build_show_open(b, e);
}

static void free_secrets(struct build_secret *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(s[i].id);
		free(s[i].source);
		free(s[i].env);
	}
	free(s);
}

void build_close(struct build *b)
{
	build_pack_close(b);
	build_show_close(b);
	event_close(&b->loop);
	build_plan_free(b);
	for (size_t i = 0; i < b->nextras; i++) {
		free(b->extras[i].name);
		free(b->extras[i].ref);
		free(b->extras[i].layers);
		close_fd(&b->extras[i].rootfd);
	}
	free(b->extras);
	for (size_t i = 0; i < b->nlayers; i++)
		close_fd(&b->layers[i].dirfd);
	free(b->layers);
	free_secrets(b->secrets, b->nsecrets);
	free_secrets(b->ssh, b->nssh);
	strv_free(&b->meta_args);
	strv_free(&b->build_args);
	build_context_close(&b->context);
	dockerfile_free(&b->file);
	free(b->file_name);
	close_fd(&b->emptyfd);
	close_fd(&b->skeletonfd);
	store_work_end(&b->work);
	store_close(&b->store);
	if (b->crypto.lib)
		dlclose(b->crypto.lib);
}

/* The excerpt stands above the message that main prints. */
static void show_place(const struct build *b)
{
	autostr struct str text = STR_INIT;
	if (!b->where.line)
		return;
	dockerfile_excerpt(&b->where, &text);
	(void)!io_write_all(STDERR_FILENO, text.buf, text.len, NULL);
}

/* --keep-failed: the container's record names layers by descriptors of a process that is gone. */
static void keep_failed(struct build *b)
{
	struct err why = ERR_INIT;
	autorec struct container_rec rec = CONTAINER_REC_INIT;
	if (!*b->failed_id || !b->o->keep_failed || container_store_find(&b->store, b->failed_id, &rec, &why) < 0)
		return;
	const struct build_stage *s = NULL;
	for (size_t k = 0; k < b->nstages; k++)
		if (b->stages[k].next < b->stages[k].nsteps &&
		    b->stages[k].steps[b->stages[k].next].state == BUILD_RUNNING)
			s = &b->stages[k];
	if (!s)
		return;
	autostr struct str lines = STR_INIT;
	strv_free(&rec.config.layers);
	for (size_t i = s->nlayers; i-- > 0;) {
		const struct build_layer *l = &b->layers[s->layers[i]];
		autofree char *path = store_layer_path(b->map.key, l->key);
		if (!l->empty)
			strv_addf(&rec.config.layers, "%s/%s/diff", b->store.root, path);
	}
	strv_addf(&rec.config.layers, "%s/" BUILD_SKELETON, rec.dir);
	for (size_t i = 0; i < rec.config.layers.count; i++)
		str_addf(&lines, "%s\n", rec.config.layers.items[i]);
	int r = io_write_file(rec.dirfd, STORE_CONTAINER_LAYERS, lines.buf, lines.len, 0644, &why);
	if (r >= 0)
		r = container_rec_write_config(&rec, &why);
	if (r < 0)
		log_warn("the failed step is not kept: %s", why.text);
	else
		log_line("kept as container %s; rl start -a %s runs the step again", rec.config.name, rec.config.name);
}

static void explain(const struct build *b, struct str *out)
{
	for (size_t k = 0; k < b->nstages; k++) {
		const struct build_stage *s = &b->stages[k];
		str_addf(out, "stage %u%s%s from %s%s\n", s->index, *s->name ? " " : "", s->name, s->base,
			 s->needed ? "" : ": not needed");
		for (size_t i = 0; i < s->nsteps; i++) {
			const struct build_step *st = &s->steps[i];
			const char *text = st->cached			 ? "cached"
					   : st->kind == BUILD_STEP_META ? "config"
					   : *st->why			 ? st->why
									 : "after a step that is not cached";
			str_addf(out, "  %-30s %.120s\n", text, st->text);
		}
	}
}

/* What the cache knows, as far as that can be said without doing anything. */
static int explain_steps(struct build *b, struct str *out, struct err *e)
{
	b->jobs = 0;
	int r = build_exec(b, e);
	if (r >= 0)
		explain(b, out);
	return r;
}

static int check_names(const struct build *b, struct err *e)
{
	for (size_t i = 0; i < b->o->tags.count; i++) {
		struct imgref ref;
		int r = imgref_parse(b->o->tags.items[i], &ref, e);
		if (r < 0)
			return err_ctx(e, "--tag");
		bool digest = *ref.digest != '\0';
		imgref_free(&ref);
		if (digest)
			return err_set(e, EINVAL, "--tag %s: an image cannot be given a digest", b->o->tags.items[i]);
	}
	return 0;
}

static int build_steps(struct build *b, struct str *ret_id, struct err *e)
{
	int r = check_names(b, e);
	if (r >= 0)
		r = take_options(b, e);
	if (r >= 0)
		r = build_context_open(b, e);
	if (r >= 0)
		r = build_read_dockerfile(b, e);
	if (r >= 0)
		r = each(b, &b->o->build_contexts, parse_context, e);
	if (r >= 0)
		r = build_plan(b, e);
	if (r < 0)
		return r;
	if (b->o->explain)
		return explain_steps(b, ret_id, e);
	r = build_share_import(b, e);
	if (r >= 0)
		r = build_exec(b, e);
	if (r >= 0 && b->o->squash)
		r = build_squash(b, e);
	/* What was done is kept, whatever became of the rest. */
	struct err why = ERR_INIT;
	int published = build_pack_finish(b, r < 0 ? &why : e);
	if (r >= 0)
		r = published;
	return r < 0 ? r : build_finish(b, ret_id, e);
}

static int build_once(struct build_opts *o, const char *root, struct str *ret_id, struct err *e)
{
	struct build b = BUILD_INIT(o);
	int r = build_open(&b, root, e);
	container_tidy(root);
	if (r >= 0)
		r = build_steps(&b, ret_id, e);
	if (r < 0) {
		build_show_close(&b);
		keep_failed(&b);
		show_place(&b);
	}
	build_close(&b);
	if (r < 0)
		container_tidy(root);
	return r < 0 ? r : 0;
}

/* What comes through standard input is needed twice: from here on it is a file in memory. */
static int keep_input(int *ret_fd, struct err *e)
{
	char buffer[65536];
	ssize_t n;
	int r = 0;
	*ret_fd = io_memory_file("rl-input", e);
	if (*ret_fd < 0)
		return *ret_fd;
	while (r >= 0 && (n = read(STDIN_FILENO, buffer, sizeof(buffer))) != 0) {
		if (n > 0)
			r = io_write_all(*ret_fd, buffer, (size_t)n, e);
		else if (errno != EINTR)
			r = err_sys(e, errno, "read standard input");
	}
	if (r >= 0 && (lseek(*ret_fd, 0, SEEK_SET) < 0 || dup2(*ret_fd, STDIN_FILENO) < 0))
		r = err_sys(e, errno, "keep standard input");
	return r;
}

/* Twice, without the cache, everything as old as the first: the same bytes? */
static int verify(struct build_opts *o, const char *root, struct str *ret_id, struct err *e)
{
	autostr struct str second = STR_INIT;
	if (!o->timestamp && !o->source_date_epoch && !getenv("SOURCE_DATE_EPOCH"))
		o->source_date_epoch = xasprintf("%lld", (long long)time(NULL));
	o->no_cache = true;
	autofd int input = -1;
	bool reads_input = str_eq(o->context, "-") || (o->file && str_eq(o->file, "-"));
	int r = reads_input ? keep_input(&input, e) : 0;
	if (r >= 0)
		r = build_once(o, root, ret_id, e);
	if (r >= 0 && reads_input && lseek(STDIN_FILENO, 0, SEEK_SET) < 0)
		r = err_sys(e, errno, "read standard input a second time");
	if (r >= 0)
		r = build_once(o, root, &second, e);
	if (r < 0 || str_eq(ret_id->buf, second.buf))
		return r;
	(void)!err_set(e, EBADMSG, "the second build is another image: %s and %s", ret_id->buf, second.buf);
	return err_hint(e, "rl history of both shows the first step whose layer differs");
}

int build_image(struct build_opts *o, const char *root, struct str *ret_id, struct err *e)
{
	return o->verify ? verify(o, root, ret_id, e) : build_once(o, root, ret_id, e);
}

/* ---- the cache ---- */

static int prune_entries(struct store *s, int64_t older_than, struct err *e)
{
	int n = 0;
	autofd int dir = io_open_dir(s->rootfd, "cache/build", false, 0700, NULL);
	int scan = dir < 0 ? -1 : openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autodir DIR *d = scan < 0 ? NULL : fdopendir(scan);
	struct dirent *entry;
	struct stat st;
	while (d && (entry = readdir(d))) {
		if (entry->d_name[0] == '.' || fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (older_than && st.st_mtime > time(NULL) - older_than)
			continue;
		if (unlinkat(dir, entry->d_name, 0) < 0 && errno != ENOENT)
			return err_sys(e, errno, "remove cache/build/%s", entry->d_name);
		n++;
	}
	return n;
}

/* Caches of RUN --mount=type=cache, as long as no build uses them. */
static int prune_mounts(struct store *s, struct err *e)
{
	autofd int dir = io_open_dir(s->rootfd, "cache/mounts", false, 0700, NULL);
	int scan = dir < 0 ? -1 : openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autodir DIR *d = scan < 0 ? NULL : fdopendir(scan);
	struct dirent *entry;
	int r = 0;
	while (r >= 0 && d && (entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		autofd int one = openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (one >= 0 && io_try_lock(one, true, NULL) == 1)
			r = store_remove_tree(dir, entry->d_name, e);
	}
	return r;
}

int build_cache_prune(const char *root, int64_t older_than, int64_t *ret_bytes, struct err *e)
{
	struct store s;
	struct store_gc_result result = {0};
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	int n = prune_entries(&s, older_than, e);
	r = n;
	if (r >= 0 && !older_than)
		r = prune_mounts(&s, e);
	if (r >= 0)
		r = store_gc(&s, &result, e);
	*ret_bytes = result.bytes;
	store_gc_result_free(&result);
	store_close(&s);
	return r < 0 ? r : n;
}
