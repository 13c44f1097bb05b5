/*
 * verbs.c - the list of all verbs, how one is found, and the help texts.
 */
#include <errno.h>

#include "rl/base/fmt.h"
#include "rl/base/mem.h"
#include "rl/cmd/verb.h"
#include "verbs_int.h"

enum { HELP_WIDTH = 79, SUMMARY_COLUMN = 14, BRIEF_FROM = 24 };

const struct verb *const verb_table[] = {
	&verb_run,
	&verb_create,
	&verb_start,
	&verb_stop,
	&verb_restart,
	&verb_kill,
	&verb_rm,
	&verb_ps,
	&verb_exec,
	&verb_top,
	&verb_stats,
	&verb_pause,
	&verb_unpause,
	&verb_healthcheck_run,
	&verb_nsenter,
	&verb_events,
	&verb_logs,
	&verb_attach,
	&verb_wait,
	&verb_cp,
	&verb_diff,
	&verb_apply,
	&verb_discard,
	&verb_commit,
	&verb_from,
	&verb_copy,
	&verb_add,
	&verb_config,
	&verb_export,
	&verb_rename,
	&verb_update,
	&verb_port,
	&verb_port_add,
	&verb_port_rm,
	&verb_netlog,
	&verb_init,
	&verb_container_prune,
	&verb_snapshot_create,
	&verb_snapshot_ls,
	&verb_snapshot_diff,
	&verb_snapshot_rollback,
	&verb_snapshot_branch,
	&verb_snapshot_merge,
	&verb_snapshot_rm,
	&verb_container_exists,
	&verb_build,
	&verb_builder_prune,
	&verb_generate_systemd,
	&verb_generate_spec,
	&verb_unpack,
	&verb_repack,
	&verb_pod_create,
	&verb_pod_ps,
	&verb_pod_inspect,
	&verb_pod_start,
	&verb_pod_stop,
	&verb_pod_restart,
	&verb_pod_kill,
	&verb_pod_rm,
	&verb_pod_prune,
	&verb_pod_exists,
	&verb_images,
	&verb_pull,
	&verb_search,
	&verb_push,
	&verb_login,
	&verb_logout,
	&verb_import,
	&verb_load,
	&verb_save,
	&verb_tag,
	&verb_untag,
	&verb_rmi,
	&verb_image_prune,
	&verb_image_exists,
	&verb_image_tree,
	&verb_history,
	&verb_manifest_create,
	&verb_manifest_add,
	&verb_manifest_annotate,
	&verb_manifest_inspect,
	&verb_manifest_push,
	&verb_manifest_remove,
	&verb_manifest_rm,
	&verb_manifest_exists,
	&verb_volume_create,
	&verb_volume_ls,
	&verb_volume_inspect,
	&verb_volume_rm,
	&verb_volume_prune,
	&verb_volume_exists,
	&verb_volume_export,
	&verb_volume_import,
	&verb_secret_create,
	&verb_secret_ls,
	&verb_secret_inspect,
	&verb_secret_rm,
	&verb_secret_exists,
	&verb_network_create,
	&verb_network_ls,
	&verb_network_inspect,
	&verb_network_rm,
	&verb_network_prune,
	&verb_network_connect,
	&verb_network_disconnect,
	&verb_network_ns,
	&verb_network_exists,
	&verb_network_hold,
	&verb_inspect,
	&verb_doctor,
	&verb_system_check,
	&verb_system_df,
	&verb_system_prune,
	&verb_system_reset,
	&verb_unshare,
	&verb_oci,
	&verb_mount,
	&verb_umount,
	&verb_version,
	&verb_info,
	&verb_help_cmd,
	&verb_completion_cmd,
	NULL,
};

/* Does `name` ("image prune") stand at the beginning of argv? Returns how many words it has, 0 if not. */
static size_t match_words(const char *name, size_t len, char *const *argv)
{
	size_t words = 0;
	while (len) {
		const char *space = memchr(name, ' ', len);
		size_t n = space ? (size_t)(space - name) : len;
		if (!argv[words] || strlen(argv[words]) != n || memcmp(argv[words], name, n) != 0)
			return 0;
		words++;
		len -= n + (space != NULL);
		name += n + (space != NULL);
	}
	return words;
}

static size_t match_verb(const struct verb *v, char *const *argv)
{
	size_t best = match_words(v->name, strlen(v->name), argv);
	for (const char *p = v->aliases; p && *p;) {
		size_t n = strcspn(p, ",");
		best = RL_MAX(best, match_words(p, n, argv));
		p += n;
		p += *p == ',';
	}
	return best;
}

const struct verb *verb_find(char *const *argv, size_t *ret_words)
{
	const struct verb *found = NULL;
	size_t best = 0;
	for (size_t i = 0; verb_table[i]; i++) {
		size_t words = match_verb(verb_table[i], argv);
		if (words <= best)
			continue;
		best = words;
		found = verb_table[i];
	}
	if (found)
		*ret_words = best;
	return found;
}

/* Every name and alias of the visible verbs. */
static void all_names(struct strv *out)
{
	for (size_t i = 0; verb_table[i]; i++) {
		if (verb_table[i]->hidden)
			continue;
		strv_add(out, verb_table[i]->name);
		if (verb_table[i]->aliases)
			strv_split(out, verb_table[i]->aliases, ',');
	}
}

/* "image" alone, or "image foo". */
static int unknown_member(char *const *argv, struct strv *members, struct err *e)
{
	const char *near = NULL;
	if (argv[1] && *argv[1] != '-') {
		err_set(e, EINVAL, "there is no verb '%s %s'", argv[0], argv[1]);
		near = str_nearest(argv[1], (const char *const *)strv_argv(members));
	} else {
		err_set(e, EINVAL, "'%s' needs another word", argv[0]);
	}
	if (near)
		return err_hint(e, "did you mean 'rl %s %s'?", argv[0], near);
	autostr struct str known = STR_INIT;
	for (size_t i = 0; i < members->count; i++)
		str_addf(&known, "%s%s", i ? ", " : "", members->items[i]);
	return err_hint(e, "known: rl %s %s", argv[0], known.buf);
}

int verb_unknown(char *const *argv, struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	all_names(&names);
	autofree char *family = xasprintf("%s ", argv[0]);
	autostrv struct strv members = STRV_INIT;
	for (size_t i = 0; i < names.count; i++)
		if (str_after(names.items[i], family))
			strv_add(&members, str_after(names.items[i], family));
	if (members.count)
		return unknown_member(argv, &members, e);
	err_set(e, EINVAL, "there is no verb '%s'", argv[0]);
	const char *near = str_nearest(argv[0], (const char *const *)strv_argv(&names));
	return near ? err_hint(e, "did you mean 'rl %s'?", near) : err_hint(e, "'rl help' lists the verbs");
}

void verb_usage(const struct verb *v, struct str *out)
{
	str_addf(out, "rl %s%s%s", v->name, *v->usage ? " " : "", v->usage);
}

static size_t count_listed(const struct opt_def *defs)
{
	size_t n = 0;
	for (; defs->name; defs++)
		n += !(defs->flags & (OPT_HIDDEN | OPT_REFUSED));
	return n;
}

void verb_help(const struct verb *v, bool all, struct str *out)
{
	str_adds(out, "Usage: ");
	verb_usage(v, out);
	str_addf(out, "\n\n%s\n", v->summary);
	if (v->example)
		str_addf(out, "\nExample:\n%s\n", v->example);
	size_t n = count_listed(v->opts);
	bool brief = n > BRIEF_FROM && !all;
	if (n) {
		str_addc(out, '\n');
		opt_help(v->opts, brief, out);
	}
	autofree char *page = xstrdup(v->name);
	for (char *p = page; *p; p++)
		*p = *p == ' ' ? '-' : *p;
	if (brief)
		str_addf(out, "\n'rl help --all %s' describes every option; so does 'man rl-%s'.\n", v->name, page);
}

static void summary_row(const char *name, const char *summary, struct str *out)
{
	str_addf(out, "  %-*s ", SUMMARY_COLUMN - 1, name);
	fmt_wrap(out, summary, SUMMARY_COLUMN + 2, SUMMARY_COLUMN + 2, HELP_WIDTH);
	str_addc(out, '\n');
}

/* "image ls" for "images" and the family "image"; NULL when it is not of it. */
static char *name_in_family(const struct verb *v, const char *family)
{
	autostrv struct strv names = STRV_INIT;
	strv_add(&names, v->name);
	if (v->aliases)
		strv_split(&names, v->aliases, ',');
	for (size_t i = 0; !v->hidden && i < names.count; i++) {
		const char *member = str_after(names.items[i], family);
		if (member && *member == ' ')
			return xstrdup(names.items[i]);
	}
	return NULL;
}

bool verb_help_family(const char *family, struct str *out)
{
	autostr struct str rows = STR_INIT;
	for (size_t i = 0; verb_table[i]; i++) {
		autofree char *name = name_in_family(verb_table[i], family);
		if (name)
			summary_row(name, verb_table[i]->summary, &rows);
	}
	if (!rows.len)
		return false;
	str_addf(out, "Usage: rl %s VERB ...\n\n%s\n'rl %s VERB --help' describes a verb.\n", family, rows.buf, family);
	return true;
}

/* The visible verbs of one heading, in the order of the table. */
static void overview_group(const char *group, struct str *out)
{
	str_addf(out, "\n%s:\n", group);
	for (size_t i = 0; verb_table[i]; i++) {
		const struct verb *v = verb_table[i];
		if (v->hidden || !str_eq(v->group, group))
			continue;
		summary_row(v->name, v->summary, out);
	}
}

void verb_help_overview(struct str *out)
{
	autostrv struct strv groups = STRV_INIT;
	for (size_t i = 0; verb_table[i]; i++)
		if (!verb_table[i]->hidden && !strv_has(&groups, verb_table[i]->group))
			strv_add(&groups, verb_table[i]->group);
	str_adds(out, "Usage: rl [OPTIONS] VERB ...\n\n"
		      "Runs containers as an ordinary user, without a daemon.\n\n"
		      "Example:\n  rl run -it --rm busybox sh\n");
	for (size_t i = 0; i < groups.count; i++)
		overview_group(groups.items[i], out);
	str_addc(out, '\n');
	opt_help(verb_global_opts, false, out);
	str_adds(out, "\n'rl VERB --help' describes a verb; 'man rl' is the manual.\n");
}
