/*
 * cmd_push.c - `rl push`: images to a registry.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "image_progress.h"
#include "registry_opts.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/model/imgref.h"
#include "verbs_int.h"

struct push_opts {
	struct registry_cli registry;
	char *creds, *format, *digestfile, *compression;
	unsigned level;
	bool quiet, force, all;
};

static const struct opt_def push_defs[] = {
	{"compression-format", NULL, 0, "FORMAT", OPT_GENERIC(opt_set_string, struct push_opts, compression), OPT_ONCE,
	 "Options", "for layers that are not compressed: gzip (default), zstd or none", COMPLETE_CHOICES,
	 "gzip zstd none"},
	{"compression-level", NULL, 0, "N", OPT_GENERIC(opt_set_uint, struct push_opts, level), OPT_ONCE, "Options",
	 "1 to 9 for gzip, 1 to 19 for zstd", 0, NULL},
	{"digestfile", NULL, 0, "FILE", OPT_GENERIC(opt_set_string, struct push_opts, digestfile), OPT_ONCE, "Options",
	 "write the manifest's digest to this file", COMPLETE_FILE, NULL},
	{"all", "all-tags", 'a', NULL, OPT_GENERIC(opt_set_bool, struct push_opts, all), 0, "Options",
	 "every tag that the store has of the repository", 0, NULL},
	{"force-compression", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, struct push_opts, force), 0, "Options",
	 "compress layers anew that are compressed in another way", 0, NULL},
	{"format", NULL, 'f', "FORMAT", OPT_GENERIC(opt_set_string, struct push_opts, format), OPT_ONCE, "Options",
	 "oci or v2s2 (docker's); the image's own if not given", COMPLETE_CHOICES, "oci v2s2"},
	{"quiet", NULL, 'q', NULL, OPT_GENERIC(opt_set_bool, struct push_opts, quiet), 0, "Options", "show no progress",
	 0, NULL},
	{"creds", NULL, 0, "USER[:PASSWORD]", OPT_GENERIC(opt_set_string, struct push_opts, creds), OPT_ONCE,
	 "Registry", "credentials, instead of those of rl login", 0, NULL},
	REGISTRY_OPT_ROWS(struct push_opts),
	OPT_END,
};

/* "DOMAIN/PATH" of a name that has neither tag nor digest. */
static int bare_repository(const char *name, char **ret_repository, struct err *e)
{
	struct imgref ref;
	int r = imgref_parse(name, &ref, e);
	if (r < 0)
		return r;
	if (ref.digest[0] || !ref.tag || !str_eq(ref.tag, "latest") || str_ends(name, ":latest"))
		r = err_set(e, EINVAL, "push --all %s: name the repository, without a tag", name);
	else
		*ret_repository = xasprintf("%s/%s", ref.domain, ref.path);
	imgref_free(&ref);
	return r;
}

/* The names of the store that are tags of the repository, and under `to` (or NULL) what they become. */
static int list_tags(const char *root, const char *name, const char *to, struct strv *from, struct strv *dest,
		     struct err *e)
{
	struct store_list list = {0};
	autofree char *repository = NULL;
	autofree char *target = NULL;
	int r = bare_repository(name, &repository, e);
	if (r >= 0 && to)
		r = bare_repository(to, &target, e);
	if (r < 0)
		return r;
	r = image_entries(root, NULL, &list, e);
	for (size_t i = 0; i < list.count && r >= 0; i++) {
		const char *canonical = list.items[i].name;
		const char *tag = str_after(canonical, repository);
		if (!tag || *tag != ':' || strchr(tag, '@'))
			continue;
		strv_add(from, canonical);
		strv_addf(dest, "%s%s", target ? target : repository, tag);
	}
	store_list_free(&list);
	if (r >= 0 && !from->count)
		r = err_set(e, ENOENT, "push --all %s: the store has no tag of %s", name, repository);
	return r < 0 ? r : 0;
}

static int push_one(struct image_push_opts *p, const struct push_opts *o, struct str *out, struct str *digests,
		    struct err *e)
{
	struct image_added pushed;
	struct image_progress_line line;
	struct image_ui ui;
	image_progress_begin(&line, o->quiet, &ui);
	int r = image_push(p, &ui, &pushed, e);
	image_progress_end(&line);
	if (r < 0)
		return r;
	str_addf(digests, "%s%s", digests->len ? "\n" : "", pushed.manifest);
	if (!o->quiet)
		str_addf(out, "%s@%s\n", pushed.name, pushed.manifest);
	return 0;
}

static int push_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct push_opts *o = opts;
	const char *to = args->operands.count > 1 ? args->operands.items[1] : NULL;
	struct image_push_opts p = {
		.root = ctx->store_root,
		.format = o->format,
		.compression = o->compression,
		.level = RL_MIN(o->level, 1000U),
		.force = o->force,
		.registry = registry_cli_get(&o->registry, o->creds),
	};
	autostrv struct strv from = STRV_INIT;
	autostrv struct strv dest = STRV_INIT;
	autostr struct str out = STR_INIT;
	autostr struct str digests = STR_INIT;
	int r = 0;
	if (o->all)
		r = list_tags(ctx->store_root, args->operands.items[0], to, &from, &dest, e);
	else
		strv_add(&from, args->operands.items[0]);
	for (size_t i = 0; i < from.count && r >= 0; i++) {
		p.name = from.items[i];
		p.dest = o->all ? dest.items[i] : to;
		r = push_one(&p, o, &out, &digests, e);
	}
	if (r >= 0 && o->digestfile)
		r = io_write_file(AT_FDCWD, o->digestfile, digests.buf, digests.len, 0666, e);
	int flushed = out_flush(&out, r < 0 ? NULL : e);
	return r < 0 ? r : flushed;
}

static void push_release(void *opts)
{
	struct push_opts *o = opts;
	registry_cli_free(&o->registry);
	free(o->creds);
	free(o->format);
	free(o->digestfile);
	free(o->compression);
}

const struct verb verb_push = {
	.name = "push",
	.aliases = "image push",
	.group = "Images",
	.usage = "[OPTIONS] IMAGE [DESTINATION]",
	.summary = "bring an image to a registry, an archive or a layout",
	.example = "  rl push app localhost:5000/team/app:1\n"
		   "  rl push app oci:layout:1",
	.opts = push_defs,
	.min_operands = 1,
	.max_operands = 2,
	.complete = COMPLETE_IMAGE,
	.opts_size = sizeof(struct push_opts),
	.release = push_release,
	.run = push_run,
};
