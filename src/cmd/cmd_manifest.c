/*
 * cmd_manifest.c - `rl manifest`: indexes of images for several platforms.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "image_progress.h"
#include "registry_opts.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/svc/manifest.h"
#include "verbs_int.h"

struct manifest_opts {
	struct registry_cli registry;
	char *creds, *format, *digestfile, *os, *arch, *variant, *os_version;
	struct strv annotations;
	bool amend, all, quiet, remove;
};

#define CREDS_ROW                                                                                                      \
	{                                                                                                              \
		"creds", NULL, 0, "USER[:PASSWORD]", OPT_GENERIC(opt_set_string, struct manifest_opts, creds),         \
			OPT_ONCE, "Registry", "credentials, instead of those of rl login", 0, NULL                     \
	}
#define QUIET_ROW                                                                                                      \
	{                                                                                                              \
		"quiet", NULL, 'q', NULL, OPT_GENERIC(opt_set_bool, struct manifest_opts, quiet), 0, "Options",        \
			"show no progress", 0, NULL                                                                    \
	}
#define PLATFORM_ROWS                                                                                                  \
	{"annotation",                                                                                                 \
	 NULL,                                                                                                         \
	 0,                                                                                                            \
	 "KEY=VALUE",                                                                                                  \
	 OPT_GENERIC(opt_set_list, struct manifest_opts, annotations),                                                 \
	 OPT_REPEAT,                                                                                                   \
	 "Options",                                                                                                    \
	 "an annotation of the entry",                                                                                 \
	 0,                                                                                                            \
	 NULL},                                                                                                        \
		{"arch",                                                                                               \
		 NULL,                                                                                                 \
		 0,                                                                                                    \
		 "ARCH",                                                                                               \
		 OPT_GENERIC(opt_set_string, struct manifest_opts, arch),                                              \
		 OPT_ONCE,                                                                                             \
		 "Options",                                                                                            \
		 "the entry's architecture, instead of the image's",                                                   \
		 0,                                                                                                    \
		 NULL},                                                                                                \
		{"os",                                                                                                 \
		 NULL,                                                                                                 \
		 0,                                                                                                    \
		 "OS",                                                                                                 \
		 OPT_GENERIC(opt_set_string, struct manifest_opts, os),                                                \
		 OPT_ONCE,                                                                                             \
		 "Options",                                                                                            \
		 "the entry's operating system",                                                                       \
		 0,                                                                                                    \
		 NULL},                                                                                                \
		{"os-version",                                                                                         \
		 NULL,                                                                                                 \
		 0,                                                                                                    \
		 "TEXT",                                                                                               \
		 OPT_GENERIC(opt_set_string, struct manifest_opts, os_version),                                        \
		 OPT_ONCE,                                                                                             \
		 "Options",                                                                                            \
		 "its version",                                                                                        \
		 0,                                                                                                    \
		 NULL},                                                                                                \
	{                                                                                                              \
		"variant", NULL, 0, "TEXT", OPT_GENERIC(opt_set_string, struct manifest_opts, variant), OPT_ONCE,      \
			"Options", "the architecture's variant, as v7", 0, NULL                                        \
	}

static const struct opt_def create_defs[] = {
	{"amend", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, struct manifest_opts, amend), 0, "Options",
	 "take an index that is there already", 0, NULL},
	QUIET_ROW,
	CREDS_ROW,
	REGISTRY_OPT_ROWS(struct manifest_opts),
	OPT_END,
};
static const struct opt_def add_defs[] = {
	PLATFORM_ROWS, QUIET_ROW, CREDS_ROW, REGISTRY_OPT_ROWS(struct manifest_opts), OPT_END,
};
static const struct opt_def annotate_defs[] = {PLATFORM_ROWS, OPT_END};
static const struct opt_def inspect_defs[] = {CREDS_ROW, REGISTRY_OPT_ROWS(struct manifest_opts), OPT_END};
static const struct opt_def push_defs[] = {
	{"all", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, struct manifest_opts, all), 0, "Options",
	 "send the images as well (the default; there is no other way)", 0, NULL},
	{"digestfile", NULL, 0, "FILE", OPT_GENERIC(opt_set_string, struct manifest_opts, digestfile), OPT_ONCE,
	 "Options", "write the index's digest to this file", COMPLETE_FILE, NULL},
	{"format", NULL, 'f', "FORMAT", OPT_GENERIC(opt_set_string, struct manifest_opts, format), OPT_ONCE, "Options",
	 "oci (default) or v2s2 (docker's)", COMPLETE_CHOICES, "oci v2s2"},
	{"rm", "purge", 'p', NULL, OPT_GENERIC(opt_set_bool, struct manifest_opts, remove), 0, "Options",
	 "remove the index here once it is pushed", 0, NULL},
	QUIET_ROW,
	CREDS_ROW,
	REGISTRY_OPT_ROWS(struct manifest_opts),
	OPT_END,
};
static const struct opt_def no_defs[] = {OPT_END};

static void manifest_release(void *opts)
{
	struct manifest_opts *o = opts;
	char *const owned[] = {o->creds, o->format, o->digestfile, o->os, o->arch, o->variant, o->os_version};
	for (size_t i = 0; i < ARRAY_SIZE(owned); i++)
		free(owned[i]);
	strv_free(&o->annotations);
	registry_cli_free(&o->registry);
}

static struct manifest_entry entry_of(const struct manifest_opts *o)
{
	return (struct manifest_entry){.os = o->os,
				       .architecture = o->arch,
				       .variant = o->variant,
				       .os_version = o->os_version,
				       .annotations = o->annotations};
}

static int add_image(const struct cmd_ctx *ctx, const struct manifest_opts *o, const char *list, const char *image,
		     struct str *out, struct err *e)
{
	const struct manifest_entry entry = entry_of(o);
	const struct image_registry registry = registry_cli_get(&o->registry, o->creds);
	struct image_progress_line line;
	struct image_ui ui;
	char digest[STORE_DIGEST_SIZE];
	image_progress_begin(&line, o->quiet, &ui);
	int r = manifest_add(ctx->store_root, list, image, &entry, &registry, &ui, digest, e);
	image_progress_end(&line);
	if (r >= 0 && out)
		str_addf(out, "%s\n", digest);
	return r < 0 ? err_ctx(e, "add %s to %s", image, list) : 0;
}

static int create_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct manifest_opts *o = opts;
	autofree char *name = NULL;
	int r = manifest_create(ctx->store_root, args->operands.items[0], o->amend, &name, e);
	for (size_t i = 1; i < args->operands.count && r >= 0; i++)
		r = add_image(ctx, o, name, args->operands.items[i], NULL, e);
	if (r < 0)
		return r;
	autostr struct str out = STR_INIT;
	str_addf(&out, "%s\n", name);
	return out_flush(&out, e);
}

static int add_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	autostr struct str out = STR_INIT;
	int r = 0;
	for (size_t i = 1; i < args->operands.count && r >= 0; i++)
		r = add_image(ctx, opts, args->operands.items[0], args->operands.items[i], &out, e);
	int flushed = out_flush(&out, r < 0 ? NULL : e);
	return r < 0 ? r : flushed;
}

static int annotate_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct manifest_entry entry = entry_of(opts);
	return manifest_annotate(ctx->store_root, args->operands.items[0], args->operands.items[1], &entry, e);
}

static int inspect_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct manifest_opts *o = opts;
	const struct image_registry registry = registry_cli_get(&o->registry, o->creds);
	autojson json_t *doc = NULL;
	autostr struct str out = STR_INIT;
	int r = manifest_inspect(ctx->store_root, args->operands.items[0], &registry, &doc, e);
	if (r < 0)
		return r;
	json_print(doc, true, &out);
	str_addc(&out, '\n');
	return out_flush(&out, e);
}

static int push_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct manifest_opts *o = opts;
	const char *list = args->operands.items[0];
	const struct image_registry registry = registry_cli_get(&o->registry, o->creds);
	struct image_progress_line line;
	struct image_ui ui;
	char digest[STORE_DIGEST_SIZE];
	if (o->format && !str_eq(o->format, "oci") && !str_eq(o->format, "v2s2"))
		return err_set(e, EINVAL, "--format: '%s' is neither oci nor v2s2", o->format);
	image_progress_begin(&line, o->quiet, &ui);
	int r = manifest_push(ctx->store_root, list, args->operands.count > 1 ? args->operands.items[1] : NULL,
			      o->format && str_eq(o->format, "v2s2"), &registry, &ui, digest, e);
	image_progress_end(&line);
	if (r >= 0 && o->digestfile)
		r = io_write_file(AT_FDCWD, o->digestfile, digest, strlen(digest), 0666, e);
	if (r >= 0 && o->remove)
		r = manifest_delete(ctx->store_root, list, e);
	if (r < 0 || o->quiet)
		return r;
	autostr struct str out = STR_INIT;
	str_addf(&out, "%s\n", digest);
	return out_flush(&out, e);
}

static int rm_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)opts;
	int r = 0;
	for (size_t i = 0; i < args->operands.count && r >= 0; i++)
		r = manifest_delete(ctx->store_root, args->operands.items[i], e);
	return r;
}

static int remove_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)opts;
	int r = 0;
	for (size_t i = 1; i < args->operands.count && r >= 0; i++)
		r = manifest_remove(ctx->store_root, args->operands.items[0], args->operands.items[i], e);
	return r;
}

static int exists_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)opts;
	int r = manifest_exists(ctx->store_root, args->operands.items[0], e);
	return r < 0 ? r : !r;
}

const struct verb verb_manifest_create = {
	.name = "manifest create",
	.group = "Images",
	.usage = "[OPTIONS] NAME [IMAGE...]",
	.summary = "make an index of images for several platforms",
	.example = "  rl manifest create app:1 app:1-amd64 app:1-arm64",
	.opts = create_defs,
	.min_operands = 1,
	.max_operands = OPERANDS_ANY,
	.complete = COMPLETE_IMAGE,
	.opts_size = sizeof(struct manifest_opts),
	.release = manifest_release,
	.run = create_run,
};

const struct verb verb_manifest_add = {
	.name = "manifest add",
	.group = "Images",
	.usage = "[OPTIONS] NAME IMAGE...",
	.summary = "add images to an index",
	.example = "  rl manifest add --arch arm64 app:1 docker://quay.io/team/app:1",
	.opts = add_defs,
	.min_operands = 2,
	.max_operands = OPERANDS_ANY,
	.complete = COMPLETE_IMAGE,
	.opts_size = sizeof(struct manifest_opts),
	.release = manifest_release,
	.run = add_run,
};

const struct verb verb_manifest_annotate = {
	.name = "manifest annotate",
	.group = "Images",
	.usage = "[OPTIONS] NAME IMAGE|DIGEST",
	.summary = "change what an index says of an entry",
	.example = "  rl manifest annotate --variant v8 app:1 app:1-arm64",
	.opts = annotate_defs,
	.min_operands = 2,
	.max_operands = 2,
	.opts_size = sizeof(struct manifest_opts),
	.release = manifest_release,
	.run = annotate_run,
};

const struct verb verb_manifest_inspect = {
	.name = "manifest inspect",
	.group = "Images",
	.usage = "[OPTIONS] NAME|docker://NAME",
	.summary = "print an index, or what a registry has under a name",
	.example = "  rl manifest inspect docker://quay.io/team/app:1",
	.opts = inspect_defs,
	.min_operands = 1,
	.max_operands = 1,
	.opts_size = sizeof(struct manifest_opts),
	.release = manifest_release,
	.run = inspect_run,
};

const struct verb verb_manifest_push = {
	.name = "manifest push",
	.group = "Images",
	.usage = "[OPTIONS] NAME [DESTINATION]",
	.summary = "bring an index and its images to a registry",
	.example = "  rl manifest push app:1 quay.io/team/app:1",
	.opts = push_defs,
	.min_operands = 1,
	.max_operands = 2,
	.opts_size = sizeof(struct manifest_opts),
	.release = manifest_release,
	.run = push_run,
};

const struct verb verb_manifest_rm = {
	.name = "manifest rm",
	.group = "Images",
	.usage = "NAME...",
	.summary = "remove indexes; their images stay if they have names",
	.example = "  rl manifest rm app:1",
	.opts = no_defs,
	.min_operands = 1,
	.max_operands = OPERANDS_ANY,
	.run = rm_run,
};

const struct verb verb_manifest_remove = {
	.name = "manifest remove",
	.group = "Images",
	.usage = "NAME IMAGE|DIGEST...",
	.summary = "take entries out of an index",
	.example = "  rl manifest remove app:1 app:1-arm64",
	.opts = no_defs,
	.min_operands = 2,
	.max_operands = OPERANDS_ANY,
	.run = remove_run,
};

const struct verb verb_manifest_exists = {
	.name = "manifest exists",
	.group = "Images",
	.usage = "NAME",
	.summary = "succeed if there is an index of this name",
	.example = "  rl manifest exists app:1 && rl manifest push app:1",
	.opts = no_defs,
	.min_operands = 1,
	.max_operands = 1,
	.run = exists_run,
};
