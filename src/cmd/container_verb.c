#include "container_verb.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"

void container_targets_release(struct container_targets *t)
{
	strv_free(&t->filters);
	strv_free(&t->cidfiles);
}

static int read_cidfile(const char *path, bool ignore, struct strv *out, struct err *e)
{
	autostr struct str text = STR_INIT;
	int r = io_read_file(AT_FDCWD, path, 4096, &text, e);
	if (r == -ENOENT && ignore) {
		err_clear(e);
		return 0;
	}
	if (r < 0)
		return err_ctx(e, "--cidfile");
	text.buf[strcspn(text.buf, "\n")] = '\0';
	strv_add(out, text.buf);
	return 0;
}

int container_targets_resolve(const struct cmd_ctx *ctx, const struct container_targets *t, const struct opt_args *args,
			      struct strv *ret_names, struct err *e)
{
	const char *verb = ctx->verb->name;
	bool selects = t->all || t->latest || t->filters.count;
	if (args->operands.count && (t->all || t->latest))
		return err_set(e, EINVAL, "%s: names and --%s exclude each other", verb, t->all ? "all" : "latest");
	if (!args->operands.count && !selects && !t->cidfiles.count) {
		err_set(e, EINVAL, "%s: the name of a container is missing", verb);
		return err_hint(e, "usage: rl %s %s", verb, ctx->verb->usage);
	}
	strv_add_all(ret_names, &args->operands);
	for (size_t i = 0; i < t->cidfiles.count; i++) {
		int r = read_cidfile(t->cidfiles.items[i], t->ignore, ret_names, e);
		if (r < 0)
			return r;
	}
	if (!selects || args->operands.count)
		return 0;
	const struct container_selection sel = {
		.all = t->all || t->filters.count,
		.running_only = t->running_only,
		.latest = t->latest,
		.filters = &t->filters,
	};
	return container_select(ctx->store_root, &sel, ret_names, e);
}

int container_verb_each(const struct cmd_ctx *ctx, const struct strv *names, bool ignore, bool quiet,
			container_verb_fn *fn, void *arg, struct err *e)
{
	autostr struct str out = STR_INIT;
	struct err kept = ERR_INIT;
	for (size_t i = 0; i < names->count; i++) {
		struct err why = ERR_INIT;
		int r = fn(ctx, names->items[i], arg, &why);
		if (r == -ENOENT && ignore)
			continue;
		if (r < 0) {
			if (kept.code)
				err_print(&kept);
			kept = why;
		} else if (r == 0 && !quiet) {
			str_addf(&out, "%s\n", names->items[i]);
			/* Each as it happens: stopping many takes time. */
			r = out_flush(&out, e);
			str_cut(&out, 0);
			if (r < 0)
				return r;
		}
	}
	if (!kept.code)
		return 0;
	*e = kept;
	return kept.code < 0 ? kept.code : -kept.code;
}
