/* The Dockerfile parser: lines, flags, words, here-documents, directives, and what is said of mistakes. */
#include <errno.h>
#include <stdlib.h>

#include "rl/model/dockerfile.h"
#include "tap.h"

static struct dockerfile parsed(const char *text)
{
	struct dockerfile d;
	struct dockerfile_where at;
	struct err e = ERR_INIT;
	if (dockerfile_parse(text, strlen(text), &d, &at, &e) < 0) {
		tap_diag("%s", e.text);
		tap_must(false);
	}
	return d;
}

static void refused(const char *text, unsigned line, unsigned column, const char *said, const char *sentence)
{
	struct dockerfile d;
	struct dockerfile_where at;
	struct err e = ERR_INIT;
	int r = dockerfile_parse(text, strlen(text), &d, &at, &e);
	tap_ok(r < 0 && at.line == line && at.column == column && (strstr(e.text, said) || strstr(e.hint, said)),
	       "%s is refused at %u:%u (\"%s\" \"%s\" at %u:%u)", sentence, line, column, e.text, e.hint, at.line,
	       at.column);
	if (r == 0)
		dockerfile_free(&d);
}

static void lines(void)
{
	struct dockerfile d = parsed(
		"# comment\n\nfrom busybox as base\n  RUN a \\\n # inside\n\n  b \\ \n c\nCMD [\"x\", \"y z\"]\n");
	tap_is_int((int)d.count, 3, "comments and empty lines are no instructions");
	tap_is_str(d.items[0].text, "FROM busybox as base", "the keyword is shown in capitals");
	tap_is_str(d.items[1].rest, "a   b  c", "lines are joined over comments and empty lines");
	tap_is_int((int)d.items[1].line, 4, "an instruction knows its line");
	tap_ok(d.items[2].json && d.items[2].nwords == 2, "the JSON form is read");
	tap_is_str(d.items[2].words[1].text, "y z", "with its words as they are");
	dockerfile_free(&d);
	d = parsed("FROM a\nCMD [\"x\", 1]\nCMD [x]\n");
	tap_ok(!d.items[1].json && !d.items[2].json, "an array that holds more than strings is shell text");
	dockerfile_free(&d);
	d = parsed("# escape=`\nFROM a\nRUN dir c:\\ `\n  x\n");
	tap_is_str(d.items[1].rest, "dir c:\\   x", "the escape directive changes what joins lines");
	dockerfile_free(&d);
	d = parsed("\xef\xbb\xbf"
		   "FROM a\r\nRUN b \\\r\n c\r\n");
	tap_is_str(d.items[1].rest, "b  c", "a byte order mark and carriage returns are no text");
	dockerfile_free(&d);
	d = parsed("# syntax=docker/dockerfile:1.7-labs\nFROM a");
	tap_is_str(d.syntax, "docker/dockerfile:1.7-labs", "known languages are accepted");
	dockerfile_free(&d);
	d = parsed("FROM a\n# syntax=foo/bar\n");
	tap_ok(!d.syntax, "a directive after the first instruction is a comment");
	dockerfile_free(&d);
}

static void flags(void)
{
	struct dockerfile d = parsed(
		"FROM --platform=linux/amd64 a\nCOPY --from=0 --chown=a:b --link x \"y z\" /d/\n"
		"RUN --mount=type=cache,target=/c --mount=type=bind,target=/b --network=none make\nRUN -- --x\n");
	tap_is_str(dockerfile_find_flag(&d.items[0], "platform")->value, "linux/amd64", "FROM has a platform");
	tap_is_int((int)d.items[1].nflags, 3, "COPY has three flags");
	tap_ok(!dockerfile_find_flag(&d.items[1], "link")->has_value, "one of them without a value");
	tap_is_int((int)d.items[1].nwords, 3, "quotes keep a word together");
	tap_is_int((int)d.items[1].words[1].column, 36, "a word knows its column");
	tap_is_int((int)d.items[2].nflags, 3, "a flag may be repeated");
	tap_is_str(d.items[2].rest, "make", "what follows is the command");
	tap_is_str(d.items[3].rest, "--x", "-- ends the flags");
	dockerfile_free(&d);
}

static void heredocs(void)
{
	struct dockerfile d = parsed("FROM a\nRUN <<EOF\na\nEOF\nCOPY <<A <<-'B' /d/\n$x\nA\n\t\ty\n\tB\nRUN cat <<E > "
				     "x; true \"<<F\"\nz\nE\n");
	tap_is_str(d.items[1].heredocs[0].text, "a\n", "a here-document is read");
	tap_is_int((int)d.items[2].nheredocs, 2, "two of them");
	tap_ok(d.items[2].heredocs[0].expand && !d.items[2].heredocs[1].expand,
	       "a quoted name keeps variables as they are");
	tap_is_str(d.items[2].heredocs[1].text, "y\n", "<<- takes tabs away");
	tap_is_int((int)d.items[3].nheredocs, 1, "in quotes it is none");
	tap_is_int((int)d.count, 4, "and the file goes on behind them");
	dockerfile_free(&d);
}

static void mistakes(void)
{
	refused("FROM a\nRUNN x\n", 2, 1, "did you mean RUN?", "an unknown instruction");
	refused("FROM a\nCOPY --form=b x y\n", 2, 6, "no flag --form", "an unknown flag");
	refused("FROM a\nCOPY x\n", 2, 1, "needs more", "COPY with one word");
	refused("FROM a b\n", 1, 6, "FROM [--platform=P] IMAGE", "FROM with two words");
	refused("FROM a\nENV A\n", 2, 5, "'='", "ENV without a value");
	refused("FROM a\nRUN <<EOF\nx\n", 2, 5, "ends with the file", "an open here-document");
	refused("FROM a\nSHELL sh -c\n", 2, 7, "JSON", "SHELL without an array");
	refused("FROM a\nONBUILD FROM b\n", 2, 9, "not possible", "ONBUILD FROM");
	refused("# syntax=foo/bar:2\nFROM a\n", 1, 1, "not known", "an unknown language");
	refused("# escape=x\nFROM a\n", 1, 1, "escape", "a wrong escape character");
	refused("FROM a\nRUN x \\\n  --y\nCOPY \\\n  --bad z y\n", 5, 3, "no flag --bad",
		"a mistake in a continued line");
	struct dockerfile_where w = {.line = 12, .column = 3, .width = 4, .excerpt = "  RUNN x"};
	struct str out = STR_INIT;
	dockerfile_excerpt(&w, &out);
	tap_is_str(out.buf, "  12 |   RUNN x\n     |   ^^^^\n", "a caret points at it");
	str_free(&out);
	tap_is_int(dockerfile_parse("a\0b", 3, NULL, NULL, NULL), -EINVAL, "a NUL byte is refused");
}

static void large(void)
{
	struct str text = STR_INIT;
	str_adds(&text, "FROM a\nRUN x");
	while (text.len < (size_t)10 << 20)
		str_adds(&text, " yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy");
	struct dockerfile d = parsed(text.buf);
	tap_is_int((int)d.count, 2, "a line of ten megabytes is one instruction");
	dockerfile_free(&d);
	str_free(&text);
}

/* ---- variables ---- */

static const char *get(void *arg, const char *name)
{
	(void)arg;
	if (str_eq(name, "a"))
		return "x y";
	if (str_eq(name, "path"))
		return "/usr/local/lib/libx.so.1";
	if (str_eq(name, "empty"))
		return "";
	return str_eq(name, "A_1") ? "one" : NULL;
}

static void expansion(void)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"plain", "plain"},
		{"$a", "x y"},
		{"${a}b", "x yb"},
		{"$A_1.z", "one.z"},
		{"$none", ""},
		{"'$a'", "$a"},
		{"\"$a'\"", "x y'"},
		{"\\$a", "$a"},
		{"\"\\$a\\n\"", "$a\\n"},
		{"a\\ b", "a b"},
		{"$", "$"},
		{"$.", "$."},
		{"${none:-d}", "d"},
		{"${empty:-d}", "d"},
		{"${empty-d}", ""},
		{"${none-d}", "d"},
		{"${a:+set}", "set"},
		{"${none:+set}", ""},
		{"${empty+set}", "set"},
		{"${none:-${A_1:-z}}", "one"},
		{"${none:-\"q }\"}", "q }"},
		{"${path#*/}", "usr/local/lib/libx.so.1"},
		{"${path##*/}", "libx.so.1"},
		{"${path%/*}", "/usr/local/lib"},
		{"${path%%.*}", "/usr/local/lib/libx"},
		{"${path/l?b/Z}", "/usr/local/Z/libx.so.1"},
		{"${path//lib/Z}", "/usr/local/Z/Zx.so.1"},
		{"${path/nope/Z}", "/usr/local/lib/libx.so.1"},
		{"${path%nope}", "/usr/local/lib/libx.so.1"},
		{"\"a\"'b'c", "abc"},
	};
	const struct dockerfile_vars v = {.get = get, .escape = '\\'};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct str out = STR_INIT;
		struct err e = ERR_INIT;
		int r = dockerfile_expand(cases[i].text, &v, &out, &e);
		tap_ok(r == 0 && str_eq(out.buf, cases[i].want), "%s becomes %s (got %s%s)", cases[i].text,
		       cases[i].want, out.buf, e.text);
		str_free(&out);
	}
	static const char *const wrong[] = {
		"${", "${a", "${a:=b}", "'a", "\"a", "${none:?needed}", "${}", "${a:-${b}", "x${none:-$/y${none//a"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct str out = STR_INIT;
		tap_ok(dockerfile_expand(wrong[i], &v, &out, NULL) < 0, "%s is refused", wrong[i]);
		str_free(&out);
	}
	struct strv words = STRV_INIT;
	tap_ok(dockerfile_expand_words("$a \"$a\" z", &v, &words, NULL) == 0 && words.count == 4,
	       "a variable's blanks separate words outside quotes only");
	strv_free(&words);
	struct str out = STR_INIT;
	tap_ok(dockerfile_expand_text("it's \"$A_1\" \\$a\n", &v, &out, NULL) == 0 &&
		       str_eq(out.buf, "it's \"one\" $a\n"),
	       "in a here-document quotes are text");
	str_free(&out);
	for (int i = 0; i < 100000; i++)
		str_adds(&out, "${none:-");
	struct str result = STR_INIT;
	tap_is_int(dockerfile_expand(out.buf, &v, &result, NULL), -E2BIG, "depth is limited");
	str_free(&out);
	str_free(&result);
}

int main(void)
{
	tap_plan_later();
	lines();
	flags();
	heredocs();
	mistakes();
	large();
	expansion();
	return tap_done();
}
