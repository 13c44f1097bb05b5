/*
 * cmd_pull.c - `rl pull`: images from a registry.
 */
#include <errno.h>
#include <unistd.h>

#include "image_progress.h"
#include "registry_opts.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/model/imgref.h"
#include "rl/model/imgspec.h"
#include "verbs_int.h"

struct pull_opts {
	char *platform, *os, *arch, *variant, *policy, *creds;
	struct registry_cli registry;
	bool quiet, all_tags;
};

static const struct opt_def pull_defs[] = {
	{"quiet", NULL, 'q', NULL, OPT_GENERIC(opt_set_bool, struct pull_opts, quiet), 0, "Options", "show no progress",
	 0, NULL},
	{"all-tags", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, struct pull_opts, all_tags), 0, "Options",
	 "every tag of the repository", 0, NULL},
	{"platform", NULL, 0, "OS/ARCH", OPT_GENERIC(opt_set_string, struct pull_opts, platform), OPT_ONCE, "Options",
	 "the image for another machine, as linux/arm64", 0, NULL},
	{"arch", NULL, 0, "ARCH", OPT_GENERIC(opt_set_string, struct pull_opts, arch), OPT_ONCE, "Options",
	 "the image for this architecture, as arm64", 0, NULL},
	{"os", NULL, 0, "OS", OPT_GENERIC(opt_set_string, struct pull_opts, os), OPT_ONCE, "Options",
	 "the image for this system", 0, NULL},
	{"variant", NULL, 0, "VARIANT", OPT_GENERIC(opt_set_string, struct pull_opts, variant), OPT_ONCE, "Options",
	 "the image for this variant of the architecture, as v7", 0, NULL},
	{"policy", NULL, 0, "POLICY", OPT_GENERIC(opt_set_string, struct pull_opts, policy), OPT_ONCE, "Options",
	 "always (default), missing, newer or never", 0, NULL},
	{"creds", NULL, 0, "USER[:PASSWORD]", OPT_GENERIC(opt_set_string, struct pull_opts, creds), OPT_ONCE,
	 "Registry", "credentials, instead of those of rl login", 0, NULL},
	REGISTRY_OPT_ROWS(struct pull_opts),
	OPT_END,
};

static int parse_policy(const char *text, enum pull_policy *ret_policy, struct err *e)
{
	static const char *const words[] = {
		[PULL_MISSING] = "missing", [PULL_ALWAYS] = "always", [PULL_NEVER] = "never", [PULL_NEWER] = "newer"};
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (str_eq(text, words[i])) {
			*ret_policy = (enum pull_policy)i;
			return 0;
		}
	}
	return err_set(e, EINVAL, "--policy: '%s' is none of always, missing, newer and never", text);
}

/* --os, --arch and --variant are --platform in parts; what is not said is as here. */
static int join_platform(const struct pull_opts *o, char **ret_platform, struct err *e)
{
	const char *os, *arch, *variant;
	if (!o->os && !o->arch && !o->variant) {
		*ret_platform = o->platform ? xstrdup(o->platform) : NULL;
		return 0;
	}
	if (o->platform)
		return err_set(e, EINVAL, "--platform says all of --os, --arch and --variant");
	imgspec_host_platform(&os, &arch, &variant);
	*ret_platform = xasprintf("%s/%s%s%s", o->os ? o->os : os, o->arch ? o->arch : arch, o->variant ? "/" : "",
				  o->variant ? o->variant : "");
	return 0;
}

static int pull_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct pull_opts *o = opts;
	struct image_pull_opts p = {
		.root = ctx->store_root,
		.policy = PULL_ALWAYS,
		.all_tags = o->all_tags,
		.registry = registry_cli_get(&o->registry, o->creds),
	};
	autofree char *platform = NULL;
	int r = join_platform(o, &platform, e);
	p.platform = platform;
	if (r >= 0 && o->policy)
		r = parse_policy(o->policy, &p.policy, e);
	autostr struct str out = STR_INIT;
	for (size_t i = 0; i < args->operands.count && r >= 0; i++) {
		struct image_progress_line line;
		struct image_ui ui;
		struct image_list list = {.items = NULL};
		p.name = args->operands.items[i];
		image_progress_begin(&line, o->quiet, &ui);
		r = image_pull(&p, &ui, &list, e);
		image_progress_end(&line);
		for (size_t k = 0; k < list.count && r >= 0; k++)
			str_addf(&out, "%s\n", ctx->flavour == CMD_DOCKER ? list.items[k].name : list.items[k].id + 7);
		image_list_free(&list);
	}
	int flushed = out_flush(&out, r < 0 ? NULL : e);
	return r < 0 ? r : flushed;
}

static void pull_release(void *opts)
{
	struct pull_opts *o = opts;
	char *const owned[] = {o->platform, o->os, o->arch, o->variant, o->policy, o->creds};
	for (size_t i = 0; i < ARRAY_SIZE(owned); i++)
		free(owned[i]);
	registry_cli_free(&o->registry);
}

const struct verb verb_pull = {
	.name = "pull",
	.aliases = "image pull",
	.group = "Images",
	.usage = "[OPTIONS] NAME [NAME...]",
	.summary = "bring images of a registry into the store",
	.example = "  rl pull debian:12\n"
		   "  rl pull --tls-verify=false localhost:5000/app",
	.opts = pull_defs,
	.min_operands = 1,
	.max_operands = OPERANDS_ANY,
	.opts_size = sizeof(struct pull_opts),
	.release = pull_release,
	.run = pull_run,
};
