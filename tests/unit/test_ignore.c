/* Ignore files: moby's rules, and no pattern that costs more than its length. */
#include <errno.h>
#include <stdlib.h>

#include "rl/model/ignore.h"
#include "tap.h"

static bool ignored(const char *file, const char *path)
{
	struct ignore g = IGNORE_INIT;
	tap_must(ignore_parse(&g, file, strlen(file), "test", NULL) == 0);
	bool r = ignore_match(&g, path);
	ignore_free(&g);
	return r;
}

static void patterns(void)
{
	static const struct {
		const char *file, *path;
		bool out;
	} cases[] = {
		{"a", "a", true},
		{"a", "b", false},
		{"a", "a/b/c", true},
		{"/a", "a", true},
		{"./a/", "a", true},
		{"a", "x/a", false},
		{"**/a", "x/y/a", true},
		{"**/a", "a", true},
		{"**/a", "xa", false},
		{"*/a", "x/a", true},
		{"*/a", "x/y/a", false},
		{"*.md", "b.md", true},
		{"*.md", "d/b.md", false},
		{"**/*.md", "d/e/b.md", true},
		{"a/**", "a", false},
		{"a/**", "a/b", true},
		{"a/**/c", "a/c", true},
		{"a/**/c", "a/b/x/c", true},
		{"a?c", "abc", true},
		{"a?c", "a/c", false},
		{"[ab]c", "bc", true},
		{"[^ab]c", "bc", false},
		{"[a-c]x", "bx", true},
		{"\\*", "*", true},
		{"\\*", "x", false},
		{"# a\na", "a", true},
		{"#a", "#a", false},
		{"*\n!a", "a", false},
		{"*\n!a", "b", true},
		{"*\n!a/b", "a/b", false},
		{"*\n!a/b", "a/c", true},
		{"!a\na", "a", true},
		{"  a  \r\n", "a", true},
		{"../a", "a", true},
		{"", "a", false},
		{".", "a", false},
		{"\xef\xbb\xbf"
		 "a",
		 "a", true},
		{"a", ".", false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		tap_ok(ignored(cases[i].file, cases[i].path) == cases[i].out, "\"%s\" %s %s", cases[i].file,
		       cases[i].out ? "leaves out" : "takes", cases[i].path);
}

int main(void)
{
	tap_plan_later();
	patterns();
	struct ignore g = IGNORE_INIT;
	tap_must(ignore_parse(&g, "*\n!src/*.c", 10, "test", NULL) == 0);
	tap_ok(ignore_may_reenter(&g, "src"), "a directory with an exception below it is entered");
	tap_ok(!ignore_may_reenter(&g, "doc"), "one without is not");
	ignore_free(&g);
	struct err e = ERR_INIT;
	tap_is_int(ignore_parse(&g, "a\n[b", 4, "x.ignore", &e), -EINVAL, "a class that is not closed is refused");
	tap_has(e.text, "x.ignore:2", "with file and line");
	ignore_free(&g);
	tap_is_int(ignore_parse(&g, "a\0b", 3, "x", NULL), -EINVAL, "a NUL byte is refused");
	ignore_free(&g);
	char *stars = malloc(4001);
	char *path = malloc(4001);
	memset(stars, '*', 4000);
	for (int i = 1; i < 4000; i += 2)
		stars[i] = 'a';
	memset(path, 'a', 4000);
	stars[3999] = 'b';
	stars[4000] = path[4000] = '\0';
	tap_ok(!ignored(stars, path), "a pattern of two thousand stars is answered");
	free(stars);
	free(path);
	tap_ok(ignore_glob("*.c", "x.c") && !ignore_glob("*.c", "d/x.c") && ignore_glob("a[0-9]", "a7"),
	       "COPY's patterns match within one component");
	return tap_done();
}
