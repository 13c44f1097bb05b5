/* links: cmd svc engine/runtime engine/store engine/copy engine/net engine/stdio kern model base; libs: -lcap-ng -lseccomp -ljansson */
/* All verbs: their tables are sound, they are found by every name, and their texts name everything. */
#include "tap.h"

#include <ctype.h>
#include <errno.h>

#include "rl/base/mem.h"
#include "rl/cmd/verb.h"

static bool is_listed(const struct opt_def *d)
{
	return !(d->flags & (OPT_HIDDEN | OPT_REFUSED));
}

/* The first row of a table that is not as it must be. */
static const char *table_fault(const struct opt_def *defs)
{
	for (const struct opt_def *d = defs; d->name; d++) {
		if (d - defs >= OPT_DEFS_MAX)
			return "too many rows";
		if (!d->help || !*d->help || d->help[strlen(d->help) - 1] == '.')
			return d->name;
		if (opt_find(defs, d->name) != d)
			return d->name;
		for (const struct opt_def *b = defs; b < d; b++)
			if (d->letter && b->letter == d->letter)
				return d->name;
		if (!is_listed(d) && (d->flags & OPT_REFUSED))
			continue;
		if (!d->set || !d->group || (d->complete == COMPLETE_CHOICES && !d->choices) ||
		    (d->metavar && !isupper((unsigned char)d->metavar[0])))
			return d->name;
	}
	return NULL;
}

static void test_verb(const struct verb *v)
{
	const char *fault = table_fault(v->opts);
	tap_ok(!fault, "%s: every option is sound %s", v->name, fault ? fault : "");
	tap_ok(v->group && v->usage && v->summary && v->run && v->summary[strlen(v->summary) - 1] != '.',
	       "%s: has a heading, a usage and a summary", v->name);
	tap_ok(v->hidden || (v->example && !strstr(v->example, "\n\n")), "%s: has an example", v->name);
	tap_ok(v->min_operands <= v->max_operands || v->max_operands == 0, "%s: its operands can be counted", v->name);
	bool rules = true;
	for (const struct opt_rule *r = v->rules; r && r->option; r++)
		rules = rules && opt_find(v->opts, r->option) && opt_find(v->opts, r->other) && r->text && *r->text;
	tap_ok(rules, "%s: its rules speak about options it has", v->name);
	autostrv struct strv names = STRV_INIT;
	strv_add(&names, v->name);
	if (v->aliases)
		strv_split(&names, v->aliases, ',');
	bool found = true;
	for (size_t i = 0; i < names.count; i++) {
		autostrv struct strv words = STRV_INIT;
		size_t used = 0;
		strv_split(&words, names.items[i], ' ');
		size_t count = words.count;
		strv_add(&words, "--rm");
		found = found && verb_find(words.items, &used) == v && used == count;
	}
	tap_ok(found, "%s: is found by its names and by nobody else's", v->name);
	autostr struct str help = STR_INIT;
	verb_help(v, true, &help);
	const char *missing = NULL;
	for (const struct opt_def *d = v->opts; d->name && !missing; d++) {
		autofree char *spelled = xasprintf("--%s", d->name);
		if (is_listed(d) && !strstr(help.buf, spelled))
			missing = d->name;
	}
	tap_ok(!missing, "%s: its help names every option %s", v->name, missing ? missing : "");
}

static void test_texts(void)
{
	autostr struct str out = STR_INIT;
	struct err e = ERR_INIT;
	verb_help_overview(&out);
	bool all = true;
	for (size_t i = 0; verb_table[i]; i++)
		all = all && (verb_table[i]->hidden || strstr(out.buf, verb_table[i]->name));
	tap_ok(all, "the overview names every verb");
	static const char *const shells[] = {"bash", "zsh", "fish"};
	for (size_t s = 0; s < ARRAY_SIZE(shells); s++) {
		str_cut(&out, 0);
		const char *missing = NULL;
		int r = verb_completion(shells[s], &out, &e);
		for (size_t i = 0; verb_table[i]; i++)
			for (const struct opt_def *d = verb_table[i]->opts; d->name; d++)
				if (!verb_table[i]->hidden && is_listed(d) && !strstr(out.buf, d->name))
					missing = d->name;
		tap_ok(r == 0 && !missing, "the completion of %s knows every option %s", shells[s],
		       missing ? missing : "");
	}
	tap_ok(verb_completion("tcsh", &out, &e) == -EINVAL, "there is none for another shell");
}

static void test_unknown(void)
{
	static const struct {
		const char *words;
		const char *hint;
	} unknown[] = {
		{"runn", "did you mean 'rl run'?"},
		{"imags", "did you mean 'rl images'?"},
		{"image", "prune"},
		{"image nosuch", "prune"},
		{"container lss", "did you mean 'rl container ls'?"},
		{"zzzzzzzzzz", "rl help"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		autostrv struct strv words = STRV_INIT;
		struct err e = ERR_INIT;
		size_t used = 0;
		strv_split(&words, unknown[i].words, ' ');
		bool none = verb_find(words.items, &used) == NULL;
		int r = verb_unknown(words.items, &e);
		tap_ok(none && r == -EINVAL && strstr(e.hint, unknown[i].hint), "'%s': %s", unknown[i].words, e.hint);
	}
}

int main(void)
{
	tap_plan_later();
	const char *fault = table_fault(verb_global_opts);
	tap_ok(!fault, "the options before the verb are sound %s", fault ? fault : "");
	for (size_t i = 0; verb_table[i]; i++)
		test_verb(verb_table[i]);
	test_texts();
	test_unknown();
	return tap_done();
}
