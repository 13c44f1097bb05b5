/* `rl run`: from the command line to struct run_opts, with a container_run that only looks. */
#include "tap.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/cmd/verb.h"
#include "rl/svc/container.h"

extern const struct verb verb_run;

/* What the last container_run saw. */
static struct str seen = STR_INIT;
static bool explained;

int container_create(struct run_opts *o, const char *root, struct str *ret_id, struct err *e)
{
	(void)o;
	(void)root;
	(void)ret_id;
	return err_set(e, ENOSYS, "not in this test");
}

int container_run(struct run_opts *o, const char *store_root, struct str *ret_id, int *ret_status, struct err *e)
{
	(void)e;
	(void)ret_id;
	str_addf(&seen, "%s", o->detach ? "detached " : "");
	(void)store_root;
	str_addf(&seen, "%s:", o->image ? o->image : o->rootfs);
	for (size_t i = 0; i < o->command.count; i++)
		str_addf(&seen, " %s", o->command.items[i]);
	str_addf(&seen, " | i%d t%d rm%d", o->interactive, o->tty, o->rm);
	if (o->name)
		str_addf(&seen, " name=%s", o->name);
	if (o->hostname)
		str_addf(&seen, " host=%s", o->hostname);
	for (size_t i = 0; i < o->nenv; i++)
		str_addf(&seen, " %s=%s", o->env[i].key, o->env[i].value ? o->env[i].value : "?");
	for (size_t i = 0; i < o->nmounts; i++)
		str_addf(&seen, " mount=%s", o->mounts[i].target);
	for (size_t i = 0; i < o->labels.count; i++)
		str_addf(&seen, " label=%s", o->labels.items[i]);
	if (o->network.kind != NETWORK_SLIRP)
		str_addf(&seen, " net=%d", (int)o->network.kind);
	if (o->user)
		str_addf(&seen, " user=%s", o->user);
	if (o->read_only)
		str_adds(&seen, " ro");
	if (!o->sig_proxy)
		str_adds(&seen, " noproxy");
	if (o->cap_add.count)
		str_addf(&seen, " cap=%s", o->cap_add.items[0]);
	if (o->entrypoint_set)
		str_addf(&seen, " entry=%zu", o->entrypoint.count);
	*ret_status = 7;
	return 0;
}

int container_explain(struct run_opts *o, const char *store_root, struct str *ret_text, struct err *e)
{
	(void)o;
	(void)store_root;
	(void)e;
	str_adds(ret_text, "# the plan\n");
	explained = true;
	return 0;
}

/* As main does it. */
static int run(char *const *argv, struct err *e)
{
	const struct cmd_ctx ctx = {.verb = &verb_run};
	struct opt_args args = OPT_ARGS_INIT;
	void *opts = xcalloc(1, verb_run.opts_size);
	str_cut(&seen, 0);
	verb_run.init(opts);
	int r = opt_parse(verb_run.opts, verb_run.parse_flags, argv, opts, &args, e);
	if (r >= 0)
		r = opt_check_rules(verb_run.opts, verb_run.rules, &args, e);
	if (r >= 0 && !args.help)
		r = verb_run.run(&ctx, opts, &args, e);
	verb_run.release(opts);
	opt_args_free(&args);
	free(opts);
	return r;
}

struct run_case {
	const char *words;
	const char *want;  /* what container_run saw */
	const char *error; /* or a part of the error or hint */
};

static const struct run_case cases[] = {
	{"busybox", "busybox: | i0 t0 rm0", NULL},
	{"--rm busybox echo -it --rm", "busybox: echo -it --rm | i0 t0 rm1", NULL},
	{"-i --rm=false busybox -- x", "busybox: -- x | i1 t0 rm0", NULL},
	{"-t --rm --name a busybox", "busybox: | i0 t1 rm1 name=a", NULL},
	{"-h web -eA=1 -e B=2 --env C=3 img", "img: | i0 t0 rm0 host=web A=1 B=2 C=3", NULL},
	{"-v /a:/b -v c:/d --tmpfs /e --mount type=tmpfs,dst=/f img",
	 "img: | i0 t0 rm0 mount=/b mount=/d mount=/e mount=/f", NULL},
	{"--read-only --read-only-tmpfs img", "img: | i0 t0 rm0 mount=/run mount=/tmp mount=/var/tmp ro", NULL},
	{"--net none img", "img: | i0 t0 rm0 net=1", NULL},
	{"--network=host -u 1:2 img", "img: | i0 t0 rm0 net=2 user=1:2", NULL},
	{"-l a=b --label c img", "img: | i0 t0 rm0 label=a=b label=c=", NULL},
	{"--sig-proxy=false img", "img: | i0 t0 rm0 noproxy", NULL},
	{"--entrypoint= img", "img: | i0 t0 rm0 entry=0", NULL},
	{"--rootfs / sh -c x", "/: sh -c x | i0 t0 rm0", NULL},
	{"--rm --restart no img", "img: | i0 t0 rm1", NULL},
	{"--privileged --cap-add sys_time img", "img: | i0 t0 rm0 cap=CAP_SYS_TIME", NULL},
	{"--rm -- -img x", "-img: x | i0 t0 rm1", NULL},
	{"", NULL, "the image is missing"},
	{"--rm", NULL, "the image is missing"},
	{"--rootfs /", NULL, "no default command"},
	{"-d img", "detached img: | i0 t0 rm0", NULL},
	{"-di img", "detached img: | i1 t0 rm0", NULL},
	{"--restart always img", "img: | i0 t0 rm0", NULL},
	{"--log-driver nosuch img", NULL, "no such driver"},
	{"--log-opt max-size=1 img", NULL, "4k is the least"},
	{"--health-retries x img", NULL, "health-retries"},
	{"--rm --restart always img", NULL, "exclude each other"},
	{"-it img", NULL, "needs a terminal"},
	{"--network none --network host img", NULL, "given twice"},
	{"--network none --net host img", NULL, "given twice"},
	{"--read-only-tmpfs img", NULL, "needs --read-only"},
	{"--replace img", NULL, "needs --name"},
	{"--replace --name a img", "img: | i0 t0 rm0 name=a", NULL},
	{"--platform linux img", "img: | i0 t0 rm0", NULL},
	{"--no-hosts --add-host a:1.2.3.4 img", NULL, "exclude each other"},
	{"--rootfs / --platform linux/arm64 sh", NULL, "exclude each other"},
	{"-v /a:/x --tmpfs /x img", NULL, "two mounts"},
	{"--link a:b img", NULL, "--link is refused"},
	{"--kernel-memory 1m img", NULL, "--kernel-memory is refused"},
	{"--isolation hyperv img", NULL, "--isolation is refused"},
	{"-p a:80:80 img", NULL, "not an IPv4 address"},
	{"--memory-swappiness 5 img", NULL, "--memory-swappiness is refused"},
	{"--cidfile= img", NULL, "file name is empty"},
	{"--env-file /nonexistent img", NULL, "--env-file: cannot open /nonexistent"},
	{"--env-file / img", NULL, "--env-file"},
	{"--env-file /dev/zero img", NULL, "--env-file"},
	{"--volum /a:/b img", NULL, "did you mean --volume?"},
	{"--memry 1 img", NULL, "unknown option --memry"},
};

static void test_cases(void)
{
	/* -it asks for a terminal on standard input: be sure that there is none. */
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null >= 0)
		dup2(null, STDIN_FILENO);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		autostrv struct strv argv = STRV_INIT;
		struct err e = ERR_INIT;
		if (*cases[i].words)
			strv_split(&argv, cases[i].words, ' ');
		int r = run(strv_argv(&argv), &e);
		if (cases[i].want) {
			if (!tap_ok(r == 7 && str_eq(seen.buf, cases[i].want), "run %s", cases[i].words))
				tap_diag("got %d '%s' %s", r, seen.buf, e.text);
			continue;
		}
		bool said = strstr(e.text, cases[i].error) || strstr(e.hint, cases[i].error);
		tap_ok(r < 0 && said && !seen.len, "run %s is refused: %s", cases[i].words, e.text);
	}
}

static void test_files(void)
{
	autofree char *dir = tap_tmpdir();
	autofree char *env = xasprintf("%s/env", dir);
	autofree char *big = xasprintf("%s/big", dir);
	autostrv struct strv argv = STRV_INIT;
	struct err e = ERR_INIT;
	autofree char *megabytes = xcalloc(1, RUN_OPTS_FILE_MAX + 1);
	memset(megabytes, 'A', RUN_OPTS_FILE_MAX + 1);
	bool made = io_write_file(AT_FDCWD, env, "A=file\n# x\nB=2\n", 15, 0600, &e) == 0 &&
		    io_write_file(AT_FDCWD, big, megabytes, RUN_OPTS_FILE_MAX + 1, 0600, &e) == 0;
	strv_add(&argv, "-eA=cli");
	strv_addf(&argv, "--env-file=%s", env);
	strv_add(&argv, "img");
	tap_ok(made && run(argv.items, &e) == 7 && str_eq(seen.buf, "img: | i0 t0 rm0 A=file B=2 A=cli"),
	       "variables of files come before those of the command line, wherever they stand");
	strv_free(&argv);
	strv_addf(&argv, "--env-file=%s", big);
	strv_add(&argv, "img");
	tap_ok(run(argv.items, &e) < 0, "a variable file above a megabyte is refused: %s", e.text);
	unlink(env);
	unlink(big);
	rmdir(dir);
}

static bool is_listed(const struct opt_def *d)
{
	return !(d->flags & (OPT_HIDDEN | OPT_REFUSED));
}

/* The properties every row must have; the first that fails is named. */
static const char *row_fault(const struct opt_def *d)
{
	if (!d->help || !*d->help)
		return "has no help text";
	if (d->help[strlen(d->help) - 1] == '.')
		return "ends its help with a full stop";
	if (d->flags & OPT_REFUSED)
		return d->set ? "is refused and has a setter" : NULL;
	if (!d->set)
		return "has no setter";
	if (!d->group)
		return "has no group";
	if (d->complete == COMPLETE_CHOICES && !d->choices)
		return "completes words and has none";
	if (d->metavar && !isupper((unsigned char)d->metavar[0]))
		return "has a value without a name";
	for (const struct opt_def *b = verb_run.opts; b < d; b++) {
		if (opt_find(verb_run.opts, d->name) != d)
			return "has the name of another row";
		if (d->letter && b->letter == d->letter)
			return "has the letter of another row";
	}
	return NULL;
}

static void test_table(void)
{
	size_t n = 0;
	const char *fault = NULL;
	const char *name = "";
	for (const struct opt_def *d = verb_run.opts; d->name && !fault; d++, n++) {
		fault = row_fault(d);
		name = d->name;
	}
	tap_ok(!fault, "every row of the table is sound: %s %s", fault ? name : "", fault ? fault : "");
	tap_ok(n < OPT_DEFS_MAX, "the table fits: %zu rows", n);
	bool known = true;
	for (const struct opt_rule *rule = verb_run.rules; rule->option; rule++)
		known = known && opt_find(verb_run.opts, rule->option) && opt_find(verb_run.opts, rule->other) &&
			rule->text;
	tap_ok(known, "every rule speaks about options of the table");

	for (int brief = 0; brief <= 1; brief++) {
		autostr struct str help = STR_INIT;
		autostrv struct strv lines = STRV_INIT;
		opt_help(verb_run.opts, brief, &help);
		strv_split(&lines, help.buf, '\n');
		size_t widest = 0;
		for (size_t i = 0; i < lines.count; i++)
			widest = RL_MAX(widest, strlen(lines.items[i]));
		tap_ok(widest <= 79, "no line of the %s help is wider than 79: %zu", brief ? "brief" : "full", widest);
		if (brief)
			tap_ok(lines.count <= 50, "the brief help is short: %zu lines", lines.count);
		const char *missing = NULL;
		for (const struct opt_def *d = verb_run.opts; d->name && !missing; d++) {
			autofree char *spelled = xasprintf("--%s", d->name);
			if (is_listed(d) && !strstr(help.buf, spelled))
				missing = d->name;
		}
		tap_ok(!missing, "every option is in the %s help %s", brief ? "brief" : "full", missing ? missing : "");
	}
	static const char *const documented[] = {
		"interactive", "tty",
		"detach",      "rm",
		"name",	       "env",
		"env-file",    "workdir",
		"user",	       "entrypoint",
		"hostname",    "volume",
		"mount",       "tmpfs",
		"shm-size",    "read-only",
		"init",	       "cap-add",
		"cap-drop",    "security-opt",
		"privileged",  "network",
		"net",	       "dns",
		"dns-search",  "add-host",
		"ulimit",      "sysctl",
		"device",      "group-add",
		"userns",      "pid",
		"ipc",	       "uts",
		"stop-signal", "stop-timeout",
		"timeout",     "pull",
		"platform",    "label",
		"cidfile",     "pidfile",
		"sig-proxy",   "detach-keys",
		"explain",     "umask",
		"annotation",  "label-file",
		"mac-address", "dns-option",
		"no-hosts",    "host-access",
		"cgroupns",    "oom-score-adj",
		"domainname",  "replace",
		"quiet",       "read-only-tmpfs",
		"rootfs",      "restart",
	};
	const char *missing = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(documented) && !missing; i++) {
		const struct opt_def *d = opt_find(verb_run.opts, documented[i]);
		if (!d || (d->flags & OPT_REFUSED))
			missing = documented[i];
	}
	tap_ok(!missing, "every option users expect is there %s", missing ? missing : "");
}

static void test_explain(void)
{
	char *const argv[] = {(char *)(uintptr_t) "-it", (char *)(uintptr_t) "--explain", (char *)(uintptr_t) "img",
			      NULL};
	struct err e = ERR_INIT;
	tap_ok(run(argv, &e) == 0 && explained && !seen.len,
	       "--explain shows the plan and runs nothing, without a terminal too");
}

int main(void)
{
	tap_plan_later();
	test_table();
	test_cases();
	test_files();
	test_explain();
	str_free(&seen);
	return tap_done();
}
