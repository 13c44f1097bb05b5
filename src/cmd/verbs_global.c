/*
 * verbs_global.c - the options before the verb.
 */
#include "verbs_global.h"

#include <errno.h>

#include "rl/base/log.h"
#include "rl/cmd/verb.h"

static int set_log_level(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	static const char *const quiet[] = {"panic", "fatal", "error", "warn", "warning", "info"};
	if (str_eq(value, "debug") || str_eq(value, "trace")) {
		((struct global_opts *)target)->debug = true;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(quiet); i++) {
		if (!str_eq(value, quiet[i]))
			continue;
		/* Errors are always said; warnings go below this level. */
		log_set_quiet(i < 3);
		return 0;
	}
	return err_set(e, EINVAL, "--%s '%s': debug, info, warn or error is expected", def->name, value);
}

static const char no_daemon[] = "there is no daemon to talk to";

const struct opt_def verb_global_opts[] = {
	{"root", NULL, 0, "DIR", OPT_GENERIC(opt_set_string, struct global_opts, root), 0, "Options",
	 "keep images and containers in DIR (default ~/.local/share/rl)", COMPLETE_DIR, NULL},
	{"debug", NULL, 'D', NULL, OPT_GENERIC(opt_set_bool, struct global_opts, debug), 0, "Options",
	 "say with timestamps what is done; RL_DEBUG=NAME,... for parts", 0, NULL},
	{"log-level", NULL, 'l', "LEVEL", set_log_level, 0, 0, "Options", "debug, info, warn or error",
	 COMPLETE_CHOICES, "debug info warn error"},
	{"version", NULL, 'v', NULL, OPT_GENERIC(opt_set_bool, struct global_opts, version), 0, "Options",
	 "print the version", 0, NULL},
	{"list-verbs", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, struct global_opts, list_verbs), OPT_HIDDEN, "Options",
	 "one verb per line", 0, NULL},
	{"list-options", NULL, 0, "VERB", OPT_GENERIC(opt_set_string, struct global_opts, list_options), OPT_HIDDEN,
	 "Options", "the options of a verb, one per line", COMPLETE_VERB, NULL},
	{.name = "host", .letter = 'H', .metavar = "URL", .flags = OPT_REFUSED, .help = no_daemon},
	{.name = "context", .letter = 'c', .metavar = "NAME", .flags = OPT_REFUSED, .help = no_daemon},
	{.name = "url", .metavar = "URL", .flags = OPT_REFUSED, .help = no_daemon},
	{.name = "remote", .letter = 'r', .flags = OPT_REFUSED, .help = no_daemon},
	OPT_END,
};
