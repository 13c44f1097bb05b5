#include "rl/base/path.h"

#include <stdlib.h>

#include "tap.h"

static void check(char *got, const char *want, const char *sentence)
{
	tap_is_str(got, want, sentence);
	free(got);
}

static void test_clean(void)
{
	static const char *const cases[][2] = {
		{"/", "/"},	      {"//", "/"},	   {"/a/b", "/a/b"},	{"/a//b/", "/a/b"},
		{"/a/./b/.", "/a/b"}, {"/a/../b", "/b"},   {"/..", "/"},	{"/../../a", "/a"},
		{"/a/..", "/"},	      {"/a/b/../..", "/"}, {"", "."},		{".", "."},
		{"a", "a"},	      {"a/b/..", "a"},	   {"a/..", "."},	{"../a", "a"},
		{"a/../../b", "b"},   {"./a", "a"},	   {"/...", "/..."},	{"/a/..b", "/a/..b"},
		{"/a/b..", "/a/b.."}, {"a/", "a"},	   {"////a////", "/a"}, {"./", "."},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *got = path_clean(cases[i][0]);
		tap_ok(strcmp(got, cases[i][1]) == 0, "'%s' cleaned is '%s'", cases[i][0], cases[i][1]);
		if (strcmp(got, cases[i][1]) != 0)
			tap_diag("got '%s'", got);
		char *twice = path_clean(got);
		if (strcmp(got, twice) != 0)
			tap_ok(false, "cleaning '%s' twice is cleaning it once", cases[i][0]);
		free(twice);
		free(got);
	}
}

/* Every string over a small alphabet: the properties that no table covers. */
static void test_clean_everything(void)
{
	static const char alphabet[] = "/.a";
	bool idempotent = true;
	bool no_dots = true;
	bool same_kind = true;
	for (unsigned n = 0; n < 3 * 3 * 3 * 3 * 3 * 3 * 3; n++) {
		char path[8];
		unsigned code = n;
		for (int i = 0; i < 7; i++, code /= 3)
			path[i] = alphabet[code % 3];
		path[7] = '\0';
		char *once = path_clean(path);
		char *twice = path_clean(once);
		idempotent = idempotent && strcmp(once, twice) == 0;
		no_dots = no_dots && !path_has_dotdot(once) && !strstr(once, "//");
		same_kind = same_kind && (once[0] == '/') == (path[0] == '/');
		free(once);
		free(twice);
	}
	tap_ok(idempotent, "cleaning is idempotent for every path of seven characters over / . a");
	tap_ok(no_dots, "no cleaned path has a .. or an empty component");
	tap_ok(same_kind, "cleaning keeps absolute paths absolute and relative ones relative");
}

static void test_parts(void)
{
	check(path_join("a", "b/c"), "a/b/c", "a path is appended");
	check(path_join("/r", "/x"), "/r/x", "an absolute second part is appended all the same");
	check(path_join("/", "x"), "/x", "the root gets no second slash");
	check(path_join("a///", "///b"), "a/b", "slashes at the seam are one");
	check(path_join("a", ""), "a", "nothing appended is the first part");
	check(path_join("", "b"), "b", "nothing before is the second part");
	check(path_join("/", ""), "/", "nothing below the root is the root");
	tap_is_str(path_base("/a/b"), "b", "the base is the last component");
	tap_is_str(path_base("b"), "b", "a name is its own base");
	tap_is_str(path_base("/"), "", "the root has an empty base");
	check(path_dir("a/b"), "a", "the directory is what comes before");
	check(path_dir("/a"), "/", "the directory of a top entry is the root");
	check(path_dir("a"), ".", "the directory of a name is .");
	check(path_dir("/"), "/", "the directory of the root is the root");
	check(path_dir("/a//b"), "/a", "double slashes do not stay at the end of a directory");
}

static void test_tests(void)
{
	tap_ok(path_is_below("/a/b", "/a"), "a path is below its parent");
	tap_ok(path_is_below("/a", "/a"), "a path is below itself");
	tap_ok(!path_is_below("/ab", "/a"), "a name that begins the same is not below");
	tap_ok(!path_is_below("/a", "/a/b"), "a parent is not below its child");
	tap_ok(path_is_below("/x", "/"), "everything absolute is below the root");
	tap_ok(!path_is_below("x", "/"), "a relative path is not below the root");
	tap_ok(path_has_dotdot("..") && path_has_dotdot("a/../b") && path_has_dotdot("/a/.."), ".. is found anywhere");
	tap_ok(!path_has_dotdot("a..b/..c/d..") && !path_has_dotdot("...") && !path_has_dotdot(""),
	       "dots inside names are not ..");
}

static void test_names(void)
{
	static const char *const good[] = {"a", "A9", "web-1_x.y", "0"};
	static const char *const bad[] = {"",	 ".",	 "..",	 "-x",	"_x", ".x",   "a/b", "a b",
					  "a\n", "a\tb", "\x7f", "a:b", "é",  "a\\b", "a*",  "$x"};
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		tap_ok(path_is_plain_name(good[i]), "'%s' is a plain name", good[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		tap_ok(!path_is_plain_name(bad[i]), "bad name %zu is refused", i);
	char name[130];
	memset(name, 'a', sizeof(name));
	name[128] = '\0';
	tap_ok(path_is_plain_name(name), "128 characters are a plain name");
	name[128] = 'a';
	name[129] = '\0';
	tap_ok(!path_is_plain_name(name), "129 characters are too long");
}

static void shown(const char *text, const char *want, const char *sentence)
{
	char *got = path_shown(text);
	tap_is_str(got, want, sentence);
	free(got);
}

static void test_addresses(void)
{
	tap_ok(path_is_address("http://h/x") && path_is_address("https://h"), "http and https are addresses");
	tap_ok(!path_is_address("/http://h") && !path_is_address("ftp://h") && !path_is_address("https:/h"),
	       "nothing else is");
	shown("https://h:1/a/b", "https://h:1/a/b", "an address is shown as it is");
	shown("https://me:w@h/a?sig=x#y", "https://h/a", "but without user name and query");
	shown("https://h#me@x", "https://h", "an @ behind the host is no user name");
	shown("https://a@b@h/c@d", "https://h/c@d", "the last one before the path ends the user name");
	shown("dir/a?b@c", "dir/a?b@c", "a path is shown as it is");
}

int main(void)
{
	tap_plan_later();
	test_addresses();
	test_clean();
	test_clean_everything();
	test_parts();
	test_tests();
	test_names();
	return tap_done();
}
