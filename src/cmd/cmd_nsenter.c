/*
 * cmd_nsenter.c - `rl nsenter`.
 */
#include <errno.h>
#include <stdlib.h>

#include "rl/base/mem.h"
#include "rl/svc/container.h"
#include "verbs_int.h"

struct nsenter_opts {
	bool net, mnt, pid, uts, ipc, user, cgroup, all;
};

#define S struct nsenter_opts
static const char options[] = "Namespaces";
static const struct opt_def nsenter_defs[] = {
	{"all", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, S, all), 0, options, "all of the container's", 0, NULL},
	{"net", NULL, 'n', NULL, OPT_GENERIC(opt_set_bool, S, net), 0, options, "network", 0, NULL},
	{"mnt", "mount", 'm', NULL, OPT_GENERIC(opt_set_bool, S, mnt), 0, options,
	 "file systems; the command is then the container's file", 0, NULL},
	{"pid", NULL, 'p', NULL, OPT_GENERIC(opt_set_bool, S, pid), 0, options, "processes", 0, NULL},
	{"uts", NULL, 'u', NULL, OPT_GENERIC(opt_set_bool, S, uts), 0, options, "host name", 0, NULL},
	{"ipc", NULL, 'i', NULL, OPT_GENERIC(opt_set_bool, S, ipc), 0, options, "shared memory and message queues", 0,
	 NULL},
	{"user", NULL, 'U', NULL, OPT_GENERIC(opt_set_bool, S, user), 0, options,
	 "users (entered for every other one too)", 0, NULL},
	{"cgroup", NULL, 'C', NULL, OPT_GENERIC(opt_set_bool, S, cgroup), 0, options, "view of control groups", 0,
	 NULL},
	OPT_END,
};
#undef S

static int nsenter_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct nsenter_opts *o = opts;
	const struct {
		bool wanted;
		const char *name;
	} all[] = {{o->net, "net"}, {o->mnt, "mnt"},   {o->pid, "pid"},	     {o->uts, "uts"},
		   {o->ipc, "ipc"}, {o->user, "user"}, {o->cgroup, "cgroup"}};
	autostrv struct strv spaces = STRV_INIT;
	autostrv struct strv argv = STRV_INIT;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i].wanted || o->all)
			strv_add(&spaces, all[i].name);
	if (!spaces.count) {
		err_set(e, EINVAL, "nsenter: no namespace is chosen");
		return err_hint(e, "for example: rl nsenter %s --net -- ip address", args->operands.items[0]);
	}
	for (size_t i = 1; i < args->operands.count; i++)
		strv_add(&argv, args->operands.items[i]);
	const char *shell = getenv("SHELL");
	if (!argv.count)
		strv_add(&argv, shell && *shell && !o->mnt && !o->all ? shell : "/bin/sh");
	int status = 0;
	int r = container_nsenter(ctx->store_root, args->operands.items[0], &spaces, strv_argv(&argv), &status, e);
	return r < 0 ? r : status;
}

const struct verb verb_nsenter = {
	.group = "Containers",
	.name = "nsenter",
	.usage = "CONTAINER NAMESPACE... [-- COMMAND [ARG...]]",
	.summary = "run a command of the host in namespaces of a container",
	.example = "  rl nsenter web --net -- ip address\n  rl nsenter web --net --pid -- ss -tlnp",
	.opts = nsenter_defs,
	.min_operands = 1,
	.max_operands = OPERANDS_ANY,
	.starts_containers = true,
	.opts_size = sizeof(struct nsenter_opts),
	.run = nsenter_run,
};
