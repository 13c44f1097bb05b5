/*
 * opt.c - the option parser and the texts made from option tables.
 *
 * The parser walks argv once. A word is a long option ("--name", "--name=value"), a cluster of letters ("-it", "-eA=B",
 * "-w/dir"), the end mark "--", or an operand; "-" alone is an operand (standard input). A value option takes the rest
 * of its word if there is one, else the next word, whatever that looks like: "-e --x" sets the value "--x", as
 * docker does, so that no value can ever be taken for an option.
 *
 * --help is looked for before anything is applied, because somebody who asks for help has often typed something wrong.
 */
#include "rl/cmd/opt.h"

#include <errno.h>
#include <strings.h>

#include "rl/base/fmt.h"
#include "rl/base/mem.h"

enum { HELP_WIDTH = 79, HELP_COLUMN = 29 };

int opt_set_bool(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	(void)e;
	*(bool *)((char *)target + def->offset) = str_eq(value, "true");
	return 0;
}

int opt_set_string(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	(void)e;
	char **slot = (char **)(void *)((char *)target + def->offset);
	char *copy = xstrdup(value);
	free(*slot);
	*slot = copy;
	return 0;
}

int opt_set_list(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	(void)e;
	strv_add((struct strv *)(void *)((char *)target + def->offset), value);
	return 0;
}

int opt_set_uint(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	uint64_t n;
	char what[64];
	snprintf(what, sizeof(what), "--%s", def->name);
	int r = str_to_u64(value, UINT32_MAX, what, &n, e);
	if (r < 0)
		return r;
	*(unsigned *)(void *)((char *)target + def->offset) = (unsigned)n;
	return 0;
}

static bool list_has(const char *list, const char *name)
{
	size_t n = strlen(name);
	while (list && *list) {
		size_t len = strcspn(list, ",");
		if (len == n && !strncmp(list, name, n))
			return true;
		list += len;
		list += *list == ',';
	}
	return false;
}

const struct opt_def *opt_find(const struct opt_def *defs, const char *name)
{
	for (; defs->name; defs++)
		if (str_eq(defs->name, name) || list_has(defs->aliases, name))
			return defs;
	return NULL;
}

static const struct opt_def *find_letter(const struct opt_def *defs, char letter)
{
	for (; defs->name; defs++)
		if (defs->letter == letter)
			return defs;
	return NULL;
}

bool opt_given(const struct opt_def *defs, const struct opt_args *args, const char *name)
{
	const struct opt_def *def = opt_find(defs, name);
	return def && args->given[def - defs];
}

static int unknown_long(const struct opt_def *defs, const char *name, struct err *e)
{
	const char *names[2 * OPT_DEFS_MAX + 2];
	autostrv struct strv aliases = STRV_INIT;
	size_t n = 0;
	for (const struct opt_def *d = defs; d->name; d++) {
		if (d->flags & (OPT_HIDDEN | OPT_REFUSED))
			continue;
		names[n++] = d->name;
		if (d->aliases)
			strv_split(&aliases, d->aliases, ',');
	}
	for (size_t i = 0; i < aliases.count && n < 2 * OPT_DEFS_MAX; i++)
		names[n++] = aliases.items[i];
	names[n++] = "help";
	names[n] = NULL;
	const char *near = str_nearest(name, names);
	err_set(e, EINVAL, "unknown option --%s", name);
	return near ? err_hint(e, "did you mean --%s?", near) : -EINVAL;
}

static int unknown_letter(const struct opt_def *defs, const char *word, char letter, struct err *e)
{
	err_set(e, EINVAL, "unknown option -%c in '%s'", letter, word);
	autofree char *name = xstrndup(word + 1, strcspn(word + 1, "="));
	return opt_find(defs, name) ? err_hint(e, "did you mean --%s?", name) : -EINVAL;
}

struct parse {
	const struct opt_def *defs;
	void *target;
	struct opt_args *args;
};

static bool read_bool(const char *text, bool *ret)
{
	static const char *const yes[] = {"true", "t", "1", "yes", "on"};
	static const char *const no[] = {"false", "f", "0", "no", "off"};
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (!strcasecmp(text, yes[i]) || !strcasecmp(text, no[i])) {
			*ret = !strcasecmp(text, yes[i]);
			return true;
		}
	}
	return false;
}

/* Apply one option. value NULL: a boolean without "=". */
static int apply(struct parse *p, const struct opt_def *def, const char *value, struct err *e)
{
	bool *given = &p->args->given[def - p->defs];
	bool on = true;
	if (!def->metavar && !((def->flags & OPT_WORDS) && value)) {
		if (value && !read_bool(value, &on))
			return err_set(e, EINVAL, "--%s=%s: true or false is expected", def->name, value);
		value = on ? "true" : "false";
	}
	if ((def->flags & OPT_ONCE) && *given)
		return err_set(e, EINVAL, "--%s is given twice", def->name);
	int r = def->set(def, p->target, value, e);
	if (r < 0)
		return r;
	*given = on;
	strv_addf(&p->args->typed, "--%s=%s", def->name, value);
	return 0;
}

static int refused(const struct opt_def *def, const char *typed, struct err *e)
{
	return err_set(e, EINVAL, "%s is refused: %s", typed, def->help);
}

/* Returns how many further words of argv were used. */
static int parse_long(struct parse *p, char *const *argv, struct err *e)
{
	const char *word = *argv + 2;
	const char *eq = strchr(word, '=');
	autofree char *name = eq ? xstrndup(word, (size_t)(eq - word)) : xstrdup(word);
	const struct opt_def *def = opt_find(p->defs, name);
	if (!def)
		return unknown_long(p->defs, name, e);
	if (def->flags & OPT_REFUSED) {
		autofree char *typed = xasprintf("--%s", name);
		return refused(def, typed, e);
	}
	if (!def->metavar || eq)
		return apply(p, def, eq ? eq + 1 : NULL, e);
	if (!argv[1])
		return err_set(e, EINVAL, "--%s needs a value: --%s %s", name, name, def->metavar);
	int r = apply(p, def, argv[1], e);
	return r < 0 ? r : 1;
}

static int parse_cluster(struct parse *p, char *const *argv, struct err *e)
{
	for (const char *c = *argv + 1; *c; c++) {
		const struct opt_def *def = find_letter(p->defs, *c);
		if (!def)
			return unknown_letter(p->defs, *argv, *c, e);
		if (def->flags & OPT_REFUSED) {
			autofree char *typed = xasprintf("-%c (--%s)", *c, def->name);
			return refused(def, typed, e);
		}
		int r;
		if (!def->metavar) {
			/* "-i=false" ends the cluster */
			bool valued = c[1] == '=';
			r = apply(p, def, valued ? c + 2 : NULL, e);
			if (r < 0 || valued)
				return r;
			continue;
		}
		if (c[1])
			return apply(p, def, c + 1 + (c[1] == '='), e);
		if (!argv[1])
			return err_set(e, EINVAL, "-%c needs a value: -%c %s", *c, *c, def->metavar);
		r = apply(p, def, argv[1], e);
		return r < 0 ? r : 1;
	}
	return 0;
}

/* How many words the option at argv[0] takes beyond its own, without applying it. */
static size_t skip_values(const struct opt_def *defs, const char *word)
{
	if (word[1] == '-') {
		const struct opt_def *def = strchr(word, '=') ? NULL : opt_find(defs, word + 2);
		return def && def->metavar;
	}
	for (const char *c = word + 1; *c; c++) {
		const struct opt_def *def = find_letter(defs, *c);
		if (!def || c[1] == '=')
			return 0;
		if (def->metavar)
			return !c[1];
	}
	return 0;
}

static bool is_option(const char *word)
{
	return word[0] == '-' && word[1];
}

static bool wants_help(const struct opt_def *defs, unsigned flags, char *const *argv)
{
	bool letter = !find_letter(defs, 'h');
	for (; *argv; argv++) {
		if (str_eq(*argv, "--") || (!is_option(*argv) && (flags & OPT_STOP_AT_OPERAND)))
			return false;
		if (!is_option(*argv))
			continue;
		if (str_eq(*argv, "--help") || (letter && str_eq(*argv, "-h")))
			return true;
		if (skip_values(defs, *argv) && argv[1])
			argv++;
	}
	return false;
}

int opt_parse(const struct opt_def *defs, unsigned flags, char *const *argv, void *target, struct opt_args *ret_args,
	      struct err *e)
{
	struct parse p = {.defs = defs, .target = target, .args = ret_args};
	ret_args->help = wants_help(defs, flags, argv);
	if (ret_args->help)
		return 0;
	bool options = true;
	for (; *argv; argv++) {
		if (!options || !is_option(*argv)) {
			strv_add(&ret_args->operands, *argv);
			options = options && !(flags & OPT_STOP_AT_OPERAND);
			continue;
		}
		if (str_eq(*argv, "--")) {
			options = false;
			continue;
		}
		int r = (*argv)[1] == '-' ? parse_long(&p, argv, e) : parse_cluster(&p, argv, e);
		if (r < 0)
			return r;
		argv += r;
	}
	return 0;
}

void opt_args_free(struct opt_args *args)
{
	strv_free(&args->operands);
	strv_free(&args->typed);
}

int opt_check_rules(const struct opt_def *defs, const struct opt_rule *rules, const struct opt_args *args,
		    struct err *e)
{
	for (; rules->option; rules++) {
		if (!opt_given(defs, args, rules->option))
			continue;
		bool other = opt_given(defs, args, rules->other);
		if (rules->kind == OPT_CONFLICTS && other)
			return err_set(e, EINVAL, "--%s and --%s exclude each other: %s", rules->option, rules->other,
				       rules->text);
		if (rules->kind == OPT_REQUIRES && !other)
			return err_set(e, EINVAL, "--%s needs --%s: %s", rules->option, rules->other, rules->text);
	}
	return 0;
}

void opt_spelling(const struct opt_def *def, bool with_letter, bool with_metavar, struct str *out)
{
	if (with_letter && def->letter)
		str_addf(out, "-%c, ", def->letter);
	str_addf(out, "--%s", def->name);
	if (with_metavar && def->metavar)
		str_addf(out, " %s", def->metavar);
}

static bool is_listed(const struct opt_def *d)
{
	return !(d->flags & (OPT_HIDDEN | OPT_REFUSED));
}

static void pad_to(struct str *out, size_t from, size_t column)
{
	for (; from < column; from++)
		str_addc(out, ' ');
}

static void help_line(const struct opt_def *d, struct str *out)
{
	autostr struct str left = STR_INIT;
	str_adds(&left, d->letter ? "  " : "      ");
	opt_spelling(d, true, true, &left);
	str_add(out, left.buf, left.len);
	size_t column = left.len;
	if (column + 2 > HELP_COLUMN) {
		str_addc(out, '\n');
		column = 0;
	}
	pad_to(out, column, HELP_COLUMN);
	fmt_wrap(out, d->help, HELP_COLUMN, HELP_COLUMN, HELP_WIDTH);
	str_addc(out, '\n');
}

/* The names of a group's options that have no line of their own, wrapped. */
static void help_names(const struct opt_def *defs, const char *group, struct str *out)
{
	autostr struct str names = STR_INIT;
	for (const struct opt_def *d = defs; d->name; d++) {
		if (!is_listed(d) || (d->flags & OPT_COMMON) || !str_eq(d->group, group))
			continue;
		str_addf(&names, "%s--%s", names.len ? " " : "", d->name);
	}
	if (!names.len)
		return;
	str_addf(out, "  %s: ", group);
	fmt_wrap(out, names.buf, strlen(group) + 4, 4, HELP_WIDTH);
	str_addc(out, '\n');
}

static bool is_first_of_group(const struct opt_def *defs, const struct opt_def *d)
{
	for (const struct opt_def *b = defs; b < d; b++)
		if (is_listed(b) && str_eq(b->group, d->group))
			return false;
	return true;
}

void opt_help(const struct opt_def *defs, bool brief, struct str *out)
{
	if (brief) {
		str_adds(out, "Often used:\n");
		for (const struct opt_def *d = defs; d->name; d++)
			if (is_listed(d) && (d->flags & OPT_COMMON))
				help_line(d, out);
		str_adds(out, "\nMore:\n");
	}
	for (const struct opt_def *d = defs; d->name; d++) {
		if (!is_listed(d) || !is_first_of_group(defs, d))
			continue;
		if (brief) {
			help_names(defs, d->group, out);
			continue;
		}
		str_addf(out, "%s%s:\n", d == defs ? "" : "\n", d->group);
		for (const struct opt_def *m = d; m->name; m++)
			if (is_listed(m) && str_eq(m->group, d->group))
				help_line(m, out);
	}
}

void opt_list(const struct opt_def *defs, struct str *out)
{
	for (; defs->name; defs++) {
		if (!is_listed(defs))
			continue;
		char letter[3] = {'-', defs->letter, '\0'};
		str_addf(out, "--%s\t%s\t%s\t%s\t%s\t%s\n", defs->name, letter, defs->metavar ? defs->metavar : "-",
			 defs->flags & OPT_REPEAT ? "repeat" : "-", defs->aliases ? defs->aliases : "-", defs->group);
	}
}
