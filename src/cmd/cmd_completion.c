/*
 * cmd_completion.c - `rl completion bash|zsh|fish`: a completion script made from the option tables.
 *
 * The script carries verbs, options and fixed words; names of images, containers and the like are asked for when they are
 * needed. Which of them a verb takes its usage line says ("[OPTIONS] CONTAINER..."). Per verb
 * three lists are enough for bash and zsh: all options, the options that take a value, and for each of those what
 * completes it. zsh uses the bash function through bashcompinit, which ships with every zsh; fish has its own
 * declarative form.
 */
#include <errno.h>

#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "verbs_int.h"

/* What an operand is called in usage lines, and what prints the names there are. */
static const struct {
	const char *word, *kind, *command;
} named[] = {
	{"CONTAINER", "container", "rl ps -a --format '{{.Names}}'"},
	{"POD", "pod", "rl pod ps --format '{{.Name}}'"},
	{"VOLUME", "volume", "rl volume ls --format '{{.Name}}'"},
	{"NETWORK", "network", "rl network ls --format '{{.Name}}'"},
	{"SECRET", "secret", "rl secret ls --format '{{.Name}}'"},
};

static const char bash_head[] =
	"# Completion of rl, made by 'rl completion bash'. Load it with: source <(rl completion bash)\n"
	"_rl_images() {\n"
	"\trl images --format '{{.Repository}}:{{.Tag}}' 2>/dev/null | grep -v '<none>'\n"
	"}\n"
	"_rl_fill() {\n"
	"\tcase $1 in\n"
	"\timage) COMPREPLY=($(compgen -W \"$(_rl_images)\" -- \"$cur\")) ;;\n"
	"\tfile) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
	"\tdir) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- \"$cur\")) ;;\n"
	"\twords) COMPREPLY=($(compgen -W \"$2\" -- \"$cur\")) ;;\n"
	"\t*) COMPREPLY=($(compgen -W \"$(_rl_names $1)\" -- \"$cur\")) ;;\n"
	"\tesac\n"
	"}\n";

/* COMP_WORDBREAKS has ':' and '=', so bash hands over "busybox:latest" in pieces; words are put together again, and
 * what is before the last break is cut from the answers. */
static const char bash_tail[] =
	"_rl() {\n"
	"\tlocal cur prev words cword verb='' opts valued operand choices i start=1\n"
	"\tif declare -F _get_comp_words_by_ref >/dev/null; then\n"
	"\t\t_get_comp_words_by_ref -n := cur prev words cword\n"
	"\telse\n"
	"\t\twords=(\"${COMP_WORDS[@]}\") cword=$COMP_CWORD cur=${COMP_WORDS[COMP_CWORD]} "
	"prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	"\tfi\n"
	"\tCOMPREPLY=()\n"
	"\t_rl_verb ''\n"
	"\tfor ((i = 1; i < cword; i++)); do\n"
	"\t\tcase ${words[i]} in\n"
	"\t\t-*) [[ \" $valued \" == *\" ${words[i]} \"* ]] && ((i++)) ;;\n"
	"\t\t*)\n"
	"\t\t\tverb=${words[i]} start=$((i + 1))\n"
	"\t\t\tif [[ \" $_rl_families \" == *\" $verb \"* ]]; then\n"
	"\t\t\t\tif ((cword == i + 1)); then _rl_fill words \"$(_rl_members \"$verb\")\"; return; fi\n"
	"\t\t\t\tverb+=\" ${words[i+1]}\" start=$((i + 2))\n"
	"\t\t\tfi\n"
	"\t\t\tbreak ;;\n"
	"\t\tesac\n"
	"\tdone\n"
	"\t_rl_verb \"$verb\"\n"
	"\t# The command inside the container is none of our business.\n"
	"\tif [[ $operand == *1 ]]; then\n"
	"\t\tfor ((i = start; i < cword; i++)); do\n"
	"\t\t\tcase ${words[i]} in\n"
	"\t\t\t-*) [[ \" $valued \" == *\" ${words[i]} \"* ]] && ((i++)) ;;\n"
	"\t\t\t*) compopt -o default 2>/dev/null; return ;;\n"
	"\t\t\tesac\n"
	"\t\tdone\n"
	"\t\toperand=${operand%1}\n"
	"\tfi\n"
	"\tif [[ $cur == --*=* ]]; then\n"
	"\t\tprev=${cur%%=*} cur=${cur#*=}\n"
	"\tfi\n"
	"\tif [[ $prev == -* && \" $valued \" == *\" $prev \"* ]]; then\n"
	"\t\t_rl_value \"$verb\" \"$prev\"\n"
	"\telif [[ $cur == -* ]]; then\n"
	"\t\t_rl_fill words \"$opts\"\n"
	"\telif [[ -z $verb ]]; then\n"
	"\t\t_rl_fill words \"$_rl_verbs\"\n"
	"\telif [[ $operand == verb ]]; then\n"
	"\t\t_rl_fill words \"$_rl_verbs\"\n"
	"\telse\n"
	"\t\t_rl_fill \"$operand\" \"$choices\"\n"
	"\tfi\n"
	"\tif [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then\n"
	"\t\tlocal before=${cur%\"${cur##*:}\"}\n"
	"\t\tCOMPREPLY=(\"${COMPREPLY[@]#\"$before\"}\")\n"
	"\tfi\n"
	"}\n"
	"complete -F _rl rl\n";

static bool is_listed(const struct opt_def *d)
{
	return !(d->flags & (OPT_HIDDEN | OPT_REFUSED));
}

static const char *kind_word(enum opt_complete kind)
{
	static const char *const words[] = {
		[COMPLETE_NONE] = "none",   [COMPLETE_FILE] = "file", [COMPLETE_DIR] = "dir",
		[COMPLETE_IMAGE] = "image", [COMPLETE_VERB] = "verb", [COMPLETE_CHOICES] = "words",
	};
	return words[kind];
}

/* "--volume -v" and the aliases, as the shell sees them. */
static void spellings(const struct opt_def *d, const char *separator, struct str *out)
{
	str_addf(out, "--%s", d->name);
	if (d->letter)
		str_addf(out, "%s-%c", separator, d->letter);
	autostrv struct strv aliases = STRV_INIT;
	if (d->aliases)
		strv_split(&aliases, d->aliases, ',');
	for (size_t i = 0; i < aliases.count; i++)
		str_addf(out, "%s--%s", separator, aliases.items[i]);
}

/* The row of `named` for the operands of a verb, or -1: its first operand counts. */
static int named_operand(const struct verb *v)
{
	const char *usage = v->usage ? v->usage : "";
	const char *rest = str_after(usage, "[OPTIONS] ");
	rest = rest ? rest : usage;
	rest += *rest == '[';
	for (size_t i = 0; v->complete == COMPLETE_NONE && i < ARRAY_SIZE(named); i++) {
		const char *end = str_after(rest, named[i].word);
		if (end && (!*end || !strchr("-ABCDEFGHIJKLMNOPQRSTUVWXYZ", *end)))
			return (int)i;
	}
	return -1;
}

/* What is behind the first operand of some verbs is a command inside the container: "container1". */
static void operand_word(const struct verb *v, struct str *out)
{
	int i = named_operand(v);
	str_adds(out, i >= 0 ? named[i].kind : kind_word(v->complete));
	if ((i >= 0 || v->complete == COMPLETE_IMAGE) && (v->parse_flags & OPT_STOP_AT_OPERAND))
		str_addc(out, '1');
}

/* One case of _rl_verb. */
static void bash_verb(const char *pattern, const struct opt_def *defs, const char *operand, const char *choices,
		      struct str *out)
{
	str_addf(out, "\t%s) operand=%s choices='%s' opts='--help", pattern, operand, choices ? choices : "");
	for (const struct opt_def *d = defs; d->name; d++)
		if (is_listed(d))
			str_addf(out, " --%s", d->name);
	str_adds(out, "' valued='");
	for (const struct opt_def *d = defs; d->name; d++) {
		if (!is_listed(d) || !d->metavar)
			continue;
		spellings(d, " ", out);
		str_addc(out, ' ');
	}
	str_adds(out, "' ;;\n");
}

static void bash_values(const char *verb, const struct opt_def *defs, struct str *out)
{
	for (const struct opt_def *d = defs; d->name; d++) {
		if (!is_listed(d) || !d->metavar || d->complete == COMPLETE_NONE)
			continue;
		autostr struct str names = STR_INIT;
		spellings(d, "|", &names);
		autostrv struct strv patterns = STRV_INIT;
		strv_split(&patterns, names.buf, '|');
		str_addc(out, '\t');
		for (size_t i = 0; i < patterns.count; i++)
			str_addf(out, "%s'%s '%s", i ? "|" : "", verb, patterns.items[i]);
		if (d->complete == COMPLETE_VERB)
			str_adds(out, ") _rl_fill words \"$_rl_verbs\" ;;\n");
		else
			str_addf(out, ") _rl_fill %s '%s' ;;\n", kind_word(d->complete), d->choices ? d->choices : "");
	}
}

/* 'images'|'image ls'|'image list' */
static void verb_pattern(const struct verb *v, struct str *out)
{
	autostrv struct strv names = STRV_INIT;
	strv_add(&names, v->name);
	if (v->aliases)
		strv_split(&names, v->aliases, ',');
	for (size_t i = 0; i < names.count; i++)
		str_addf(out, "%s'%s'", i ? "|" : "", names.items[i]);
}

/* First words, and for families ("image") their second words. */
static void word_lists(struct strv *firsts, struct strv *families, struct strv *pairs)
{
	for (size_t i = 0; verb_table[i]; i++) {
		const struct verb *v = verb_table[i];
		autostrv struct strv names = STRV_INIT;
		if (v->hidden)
			continue;
		strv_add(&names, v->name);
		if (v->aliases)
			strv_split(&names, v->aliases, ',');
		for (size_t k = 0; k < names.count; k++) {
			autostrv struct strv words = STRV_INIT;
			strv_split(&words, names.items[k], ' ');
			if (!strv_has(firsts, words.items[0]))
				strv_add(firsts, words.items[0]);
			if (words.count < 2)
				continue;
			if (!strv_has(families, words.items[0]))
				strv_add(families, words.items[0]);
			strv_add(pairs, names.items[k]);
		}
	}
}

static void join_words(const struct strv *words, struct str *out)
{
	for (size_t i = 0; i < words->count; i++)
		str_addf(out, "%s%s", i ? " " : "", words->items[i]);
}

static void bash_script(struct str *out)
{
	autostrv struct strv firsts = STRV_INIT;
	autostrv struct strv families = STRV_INIT;
	autostrv struct strv pairs = STRV_INIT;
	word_lists(&firsts, &families, &pairs);
	str_adds(out, bash_head);
	str_adds(out, "_rl_names() {\n\tcase $1 in\n");
	for (size_t i = 0; i < ARRAY_SIZE(named); i++)
		str_addf(out, "\t%s) %s 2>/dev/null ;;\n", named[i].kind, named[i].command);
	str_adds(out, "\tesac\n}\n");
	str_adds(out, "_rl_verbs='");
	join_words(&firsts, out);
	str_adds(out, "'\n_rl_families='");
	join_words(&families, out);
	str_adds(out, "'\n_rl_members() {\n\tcase $1 in\n");
	for (size_t i = 0; i < families.count; i++) {
		autofree char *prefix = xasprintf("%s ", families.items[i]);
		str_addf(out, "\t%s) echo", families.items[i]);
		for (size_t k = 0; k < pairs.count; k++)
			if (str_after(pairs.items[k], prefix))
				str_addf(out, " %s", str_after(pairs.items[k], prefix));
		str_adds(out, " ;;\n");
	}
	str_adds(out, "\tesac\n}\n_rl_verb() {\n\topts='' valued='' operand=none choices=''\n\tcase $1 in\n");
	bash_verb("''", verb_global_opts, "verb", NULL, out);
	for (size_t i = 0; verb_table[i]; i++) {
		autostr struct str pattern = STR_INIT;
		if (verb_table[i]->hidden)
			continue;
		autostr struct str operand = STR_INIT;
		verb_pattern(verb_table[i], &pattern);
		operand_word(verb_table[i], &operand);
		bash_verb(pattern.buf, verb_table[i]->opts, operand.buf, verb_table[i]->choices, out);
	}
	str_adds(out, "\tesac\n}\n_rl_value() {\n\tcase \"$1 $2\" in\n");
	bash_values("", verb_global_opts, out);
	for (size_t i = 0; verb_table[i]; i++) {
		autostrv struct strv names = STRV_INIT;
		if (verb_table[i]->hidden)
			continue;
		strv_add(&names, verb_table[i]->name);
		if (verb_table[i]->aliases)
			strv_split(&names, verb_table[i]->aliases, ',');
		for (size_t k = 0; k < names.count; k++)
			bash_values(names.items[k], verb_table[i]->opts, out);
	}
	str_adds(out, "\tesac\n}\n");
	str_adds(out, bash_tail);
}

static void zsh_script(struct str *out)
{
	str_adds(out, "#compdef rl\n"
		      "# Completion of rl, made by 'rl completion zsh'.\n"
		      "autoload -U +X bashcompinit && bashcompinit\n");
	bash_script(out);
}

static void fish_quote(const char *text, struct str *out)
{
	str_addc(out, '\'');
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			str_addc(out, '\\');
		str_addc(out, *text);
	}
	str_addc(out, '\'');
}

static void fish_options(const char *condition, const struct opt_def *defs, struct str *out)
{
	for (const struct opt_def *d = defs; d->name; d++) {
		if (!is_listed(d))
			continue;
		str_addf(out, "complete -c rl -n '%s' -l %s", condition, d->name);
		if (d->letter)
			str_addf(out, " -s %c", d->letter);
		if (d->metavar)
			str_adds(out, d->complete == COMPLETE_FILE || d->complete == COMPLETE_DIR ? " -r -F" : " -x");
		if (d->complete == COMPLETE_CHOICES) {
			str_adds(out, " -a ");
			fish_quote(d->choices, out);
		} else if (d->complete == COMPLETE_VERB) {
			str_adds(out, " -a '(rl --list-verbs)'");
		}
		str_adds(out, " -d ");
		fish_quote(d->help, out);
		str_addc(out, '\n');
	}
}

static void fish_verb(const struct verb *v, struct str *out)
{
	autostrv struct strv words = STRV_INIT;
	strv_split(&words, v->name, ' ');
	autostr struct str condition = STR_INIT;
	str_addf(&condition, "__fish_seen_subcommand_from %s", words.items[0]);
	if (words.count > 1) {
		str_addf(out, "complete -c rl -n '%s' -f -a %s -d ", condition.buf, words.items[1]);
		fish_quote(v->summary, out);
		str_addc(out, '\n');
		str_addf(&condition, "; and __fish_seen_subcommand_from %s", words.items[1]);
	} else {
		str_addf(out, "complete -c rl -n __fish_use_subcommand -f -a %s -d ", v->name);
		fish_quote(v->summary, out);
		str_addc(out, '\n');
	}
	fish_options(condition.buf, v->opts, out);
	int name = named_operand(v);
	if (name >= 0)
		str_addf(out, "complete -c rl -n '%s' -f -a \"(%s 2>/dev/null)\"\n", condition.buf,
			 named[name].command);
	else if (v->complete == COMPLETE_IMAGE)
		str_addf(out, "complete -c rl -n '%s' -f -a '(__rl_images)'\n", condition.buf);
	else if (v->complete == COMPLETE_VERB)
		str_addf(out, "complete -c rl -n '%s' -f -a '(rl --list-verbs)'\n", condition.buf);
	else if (v->complete == COMPLETE_CHOICES)
		str_addf(out, "complete -c rl -n '%s' -f -a '%s'\n", condition.buf, v->choices);
}

static void fish_script(struct str *out)
{
	str_adds(out, "# Completion of rl, made by 'rl completion fish'. Load it with: rl completion fish | source\n"
		      "function __rl_images\n"
		      "    rl images --format '{{.Repository}}:{{.Tag}}' 2>/dev/null | string match -v '*<none>*'\n"
		      "end\n");
	fish_options("__fish_use_subcommand", verb_global_opts, out);
	for (size_t i = 0; verb_table[i]; i++)
		if (!verb_table[i]->hidden)
			fish_verb(verb_table[i], out);
}

int verb_completion(const char *shell, struct str *out, struct err *e)
{
	static const struct {
		const char *shell;
		void (*write)(struct str *out);
	} shells[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};
	for (size_t i = 0; i < ARRAY_SIZE(shells); i++) {
		if (!str_eq(shell, shells[i].shell))
			continue;
		shells[i].write(out);
		return 0;
	}
	return err_set(e, EINVAL, "completion: there is no completion for '%s' (bash, zsh, fish)", shell);
}

static const struct opt_def no_defs[] = {OPT_END};

static int completion_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)ctx;
	(void)opts;
	autostr struct str out = STR_INIT;
	int r = verb_completion(args->operands.items[0], &out, e);
	return r < 0 ? r : out_flush(&out, e);
}

const struct verb verb_completion_cmd = {
	.name = "completion",
	.group = "Other",
	.usage = "bash|zsh|fish",
	.summary = "print a completion script for a shell",
	.example = "  source <(rl completion bash)",
	.opts = no_defs,
	.min_operands = 1,
	.max_operands = 1,
	.complete = COMPLETE_CHOICES,
	.choices = "bash zsh fish",
	.run = completion_run,
};
