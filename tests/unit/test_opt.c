/* The option parser: docker's and podman's spellings, and what is refused. */
#include "tap.h"

#include <errno.h>

#include "rl/base/mem.h"
#include "rl/cmd/opt.h"

struct target {
	bool interactive, tty, rm;
	char *name;
	struct strv env;
	unsigned count;
};

static const struct opt_def defs[] = {
	{"interactive", NULL, 'i', NULL, OPT_GENERIC(opt_set_bool, struct target, interactive), OPT_COMMON, "A",
	 "keep it", 0, NULL},
	{"tty", NULL, 't', NULL, OPT_GENERIC(opt_set_bool, struct target, tty), 0, "A", "a terminal", 0, NULL},
	{"rm", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, struct target, rm), 0, "B", "remove", 0, NULL},
	{"name", "called", 'n', "NAME", OPT_GENERIC(opt_set_string, struct target, name), OPT_ONCE, "B", "its name", 0,
	 NULL},
	{"env", NULL, 'e', "K=V", OPT_GENERIC(opt_set_list, struct target, env), OPT_REPEAT, "A", "variable", 0, NULL},
	{"count", NULL, 'c', "N", OPT_GENERIC(opt_set_uint, struct target, count), 0, "A", "how many", 0, NULL},
	{"secret", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, struct target, rm), OPT_HIDDEN, "A", "hidden", 0, NULL},
	{.name = "link", .letter = 'L', .flags = OPT_REFUSED, .help = "links are gone"},
	OPT_END,
};

static const struct opt_rule rules[] = {
	{"rm", OPT_CONFLICTS, "name", "because"},
	{"tty", OPT_REQUIRES, "interactive", "so it is"},
	{.option = NULL},
};

enum { CHECK_RULES = 1 << 15 };

struct opt_case {
	const char *words; /* split at spaces; "_" stands for an empty word */
	unsigned flags;	   /* of the parser, and CHECK_RULES */
	int result;
	const char *want; /* rendered target and operands, or part of the error and hint */
};

static const struct opt_case cases[] = {
	{"", 0, 0, "i0 t0 r0 n=- e= c0 |"},
	{"-i", 0, 0, "i1 t0 r0 n=- e= c0 |"},
	{"-it", 0, 0, "i1 t1 r0 n=- e= c0 |"},
	{"-ti img", 0, 0, "i1 t1 r0 n=- e= c0 | img"},
	{"-it=false", 0, 0, "i1 t0 r0 n=- e= c0 |"},
	{"-ite A=1", 0, 0, "i1 t1 r0 n=- e=A=1, c0 |"},
	{"-iteA=1", 0, 0, "i1 t1 r0 n=- e=A=1, c0 |"},
	{"-e=A=1", 0, 0, "i0 t0 r0 n=- e=A=1, c0 |"},
	{"-e A=1 -eB=2 --env C=3 --env=D=4=5", 0, 0, "i0 t0 r0 n=- e=A=1,B=2,C=3,D=4=5, c0 |"},
	{"-e --rm", 0, 0, "i0 t0 r0 n=- e=--rm, c0 |"},
	{"--env=", 0, 0, "i0 t0 r0 n=- e=, c0 |"},
	{"--env _ x", 0, 0, "i0 t0 r0 n=- e=, c0 | x"},
	{"--rm --rm=false", 0, 0, "i0 t0 r0 n=- e= c0 |"},
	{"--rm=true", 0, 0, "i0 t0 r1 n=- e= c0 |"},
	{"--rm=1 -i=0", 0, 0, "i0 t0 r1 n=- e= c0 |"},
	{"--rm=T", 0, 0, "i0 t0 r1 n=- e= c0 |"},
	{"--rm false", 0, 0, "i0 t0 r1 n=- e= c0 | false"},
	{"--called x", 0, 0, "i0 t0 r0 n=x e= c0 |"},
	{"img -i x", 0, 0, "i1 t0 r0 n=- e= c0 | img x"},
	{"img -i x", OPT_STOP_AT_OPERAND, 0, "i0 t0 r0 n=- e= c0 | img -i x"},
	{"-i img --rm -- y", OPT_STOP_AT_OPERAND, 0, "i1 t0 r0 n=- e= c0 | img --rm -- y"},
	{"-i -- --rm", 0, 0, "i1 t0 r0 n=- e= c0 | --rm"},
	{"-i -- -x -- y", OPT_STOP_AT_OPERAND, 0, "i1 t0 r0 n=- e= c0 | -x -- y"},
	{"- -i", 0, 0, "i1 t0 r0 n=- e= c0 | -"},
	{"-c 7", 0, 0, "i0 t0 r0 n=- e= c7 |"},
	{"-c7", 0, 0, "i0 t0 r0 n=- e= c7 |"},
	{"--secret", 0, 0, "i0 t0 r1 n=- e= c0 |"},
	{"--help", 0, 1, "help"},
	{"-h", 0, 1, "help"},
	{"--nonsense --help", 0, 1, "help"},
	{"-e --help", 0, 0, "i0 t0 r0 n=- e=--help, c0 |"},
	{"img --help", OPT_STOP_AT_OPERAND, 0, "i0 t0 r0 n=- e= c0 | img --help"},
	{"img --help", 0, 1, "help"},
	{"-- --help", 0, 0, "i0 t0 r0 n=- e= c0 | --help"},
	{"--interact", 0, -EINVAL, "unknown option --interact / did you mean --interactive?"},
	{"--nmae x", 0, -EINVAL, "unknown option --nmae / did you mean --name?"},
	{"--zzzzzzzz", 0, -EINVAL, "unknown option --zzzzzzzz / "},
	{"--secre", 0, -EINVAL, "unknown option --secre / "},
	{"-x", 0, -EINVAL, "unknown option -x in '-x' / "},
	{"-ix", 0, -EINVAL, "unknown option -x in '-ix' / "},
	{"-name x", 0, 0, "i0 t0 r0 n=ame e= c0 | x"},
	{"-rm", 0, -EINVAL, "unknown option -r in '-rm' / did you mean --rm?"},
	{"-rm=x", 0, -EINVAL, "unknown option -r in '-rm=x' / did you mean --rm?"},
	{"--rm=maybe", 0, -EINVAL, "--rm=maybe: true or false is expected"},
	{"--rm=", 0, -EINVAL, "--rm=: true or false is expected"},
	{"--name", 0, -EINVAL, "--name needs a value: --name NAME"},
	{"-e", 0, -EINVAL, "-e needs a value: -e K=V"},
	{"-ie", 0, -EINVAL, "-e needs a value: -e K=V"},
	{"--name a --called b", 0, -EINVAL, "--name is given twice"},
	{"--link a:b", 0, -EINVAL, "--link is refused: links are gone"},
	{"--link=a:b", 0, -EINVAL, "--link is refused: links are gone"},
	{"-iL", 0, -EINVAL, "-L (--link) is refused: links are gone"},
	{"-c x", 0, -EINVAL, "--count: 'x' is not a number"},
	{"-c -1", 0, -EINVAL, "--count: '-1' is not a number"},
	{"-c 4294967296", 0, -ERANGE, "--count: 4294967296 is above"},
	{"---", 0, -EINVAL, "unknown option ---"},
	{"--=x", 0, -EINVAL, "unknown option --"},
	{"--rm --name x", CHECK_RULES, -EINVAL, "--rm and --name exclude each other: because"},
	{"-t", CHECK_RULES, -EINVAL, "--tty needs --interactive: so it is"},
	{"-t --interactive=false", CHECK_RULES, -EINVAL, "--tty needs --interactive: so it is"},
	{"--rm=false --name x", CHECK_RULES, 0, "i0 t0 r0 n=x e= c0 |"},
};

static void render(const struct target *t, const struct opt_args *args, struct str *out)
{
	str_addf(out, "i%d t%d r%d n=%s e=", t->interactive, t->tty, t->rm, t->name ? t->name : "-");
	for (size_t i = 0; i < t->env.count; i++)
		str_addf(out, "%s,", t->env.items[i]);
	str_addf(out, " c%u |", t->count);
	for (size_t i = 0; i < args->operands.count; i++)
		str_addf(out, " %s", args->operands.items[i]);
}

static void test_case(const struct opt_case *c)
{
	struct target t = {.count = 0};
	struct opt_args args = OPT_ARGS_INIT;
	struct err e = ERR_INIT;
	autostr struct str got = STR_INIT;
	autostrv struct strv argv = STRV_INIT;
	autostrv struct strv words = STRV_INIT;
	if (*c->words)
		strv_split(&words, c->words, ' ');
	for (size_t i = 0; i < words.count; i++)
		strv_add(&argv, str_eq(words.items[i], "_") ? "" : words.items[i]);
	int r = opt_parse(defs, c->flags, strv_argv(&argv), &t, &args, &e);
	if (r >= 0 && (c->flags & CHECK_RULES))
		r = opt_check_rules(defs, rules, &args, &e);
	if (r < 0)
		str_addf(&got, "%s / %s", e.text, e.hint);
	else if (args.help)
		str_adds(&got, "help");
	else
		render(&t, &args, &got);
	bool same = c->result < 0 ? r == c->result && strstr(got.buf, c->want) == got.buf
				  : r == 0 && str_eq(got.buf, c->want);
	if (!tap_ok(same, "'%s' gives %s", c->words, c->want))
		tap_diag("got %d: %s", r, got.buf);
	free(t.name);
	strv_free(&t.env);
	opt_args_free(&args);
}

static void test_texts(void)
{
	autostr struct str out = STR_INIT;
	opt_help(defs, false, &out);
	tap_has(out.buf, "A:\n  -i, --interactive", "help begins with the first group");
	tap_has(out.buf, "      --rm ", "options without a letter line up with the others");
	tap_has(out.buf, "-e, --env K=V", "a value is shown by its name");
	tap_ok(!strstr(out.buf, "link") && !strstr(out.buf, "secret"),
	       "refused and hidden options are not in the help");
	str_cut(&out, 0);
	opt_help(defs, true, &out);
	tap_has(out.buf, "Often used:\n  -i, --interactive", "the brief help describes common options");
	tap_has(out.buf, "A: --tty --env --count\n", "and names the others");
	str_cut(&out, 0);
	opt_list(defs, &out);
	tap_has(out.buf, "--name\t-n\tNAME\t-\tcalled\tB\n", "the list has one line of fields per option");
	tap_has(out.buf, "--env\t-e\tK=V\trepeat\t-\tA\n", "and says which may be repeated");
	tap_ok(!strstr(out.buf, "link") && !strstr(out.buf, "secret"),
	       "refused and hidden options are not in the list");
	tap_ok(opt_find(defs, "called") == opt_find(defs, "name"), "an alias is the same option");
	tap_ok(opt_find(defs, "call") == NULL, "the beginning of an alias is not");
}

int main(void)
{
	tap_plan_later();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		test_case(&cases[i]);
	test_texts();
	return tap_done();
}
