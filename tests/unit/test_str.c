#include "rl/base/str.h"

#include <errno.h>

#include "rl/base/mem.h"
#include "tap.h"

static void test_buffer(void)
{
	struct str s = STR_INIT;
	tap_is_str(s.buf, "", "an empty string is a string");
	str_add(&s, "", 0);
	tap_is_int(s.size, 0, "adding nothing allocates nothing");
	str_adds(&s, "abc");
	str_addc(&s, 'd');
	str_addf(&s, "%d", 12);
	tap_is_str(s.buf, "abcd12", "text, characters and formats are appended");
	str_add(&s, "x\0y", 3);
	tap_ok(s.len == 9 && memcmp(s.buf, "abcd12x\0y", 10) == 0, "NULs inside are kept and the end is terminated");
	str_cut(&s, 4);
	tap_ok(s.len == 4 && str_eq(s.buf, "abcd"), "str_cut drops the tail");
	str_cut(&s, 100);
	tap_is_int(s.len, 4, "str_cut beyond the end changes nothing");
	for (int i = 0; i < 100000; i++)
		str_addc(&s, 'z');
	tap_ok(s.len == 100004 && s.buf[s.len] == '\0' && s.size > s.len, "a long string grows and stays terminated");

	char *taken = str_take(&s);
	tap_ok(strlen(taken) == 100004 && s.len == 0 && str_eq(s.buf, ""),
	       "str_take hands over and leaves an empty string");
	free(taken);
	taken = str_take(&s);
	tap_is_str(taken, "", "str_take of an empty string gives one that can be freed");
	free(taken);
	str_adds(&s, "again");
	str_free(&s);
	str_free(&s);
	tap_ok(s.len == 0 && str_eq(s.buf, ""), "a freed string is an empty one, freeing twice is harmless");

	/* Exactly at a power of two: the terminator must have its room. */
	bool terminated = true;
	for (size_t n = 60; n < 70; n++) {
		autostr struct str t = STR_INIT;
		for (size_t i = 0; i < n; i++)
			str_addc(&t, 'a');
		terminated = terminated && t.size > t.len && t.buf[t.len] == '\0';
	}
	tap_ok(terminated, "the terminator has room at every length around a power of two");
}

static void test_vector(void)
{
	struct strv v = STRV_INIT;
	tap_ok(strv_argv(&v) && !strv_argv(&v)[0], "an empty vector is an empty argv");
	strv_add(&v, "a");
	strv_addf(&v, "%s=%d", "k", 3);
	strv_add_owned(&v, xstrdup("c"));
	tap_ok(v.count == 3 && str_eq(v.items[1], "k=3") && v.items[3] == NULL, "items are added and NULL ends them");
	tap_ok(strv_has(&v, "c") && !strv_has(&v, "d"), "strv_has finds whole items");
	strv_remove(&v, 0);
	tap_ok(v.count == 2 && str_eq(v.items[0], "k=3") && v.items[2] == NULL, "the first item can be removed");
	strv_remove(&v, 1);
	tap_ok(v.count == 1 && v.items[1] == NULL, "the last item can be removed");
	struct strv w = STRV_INIT;
	for (int i = 0; i < 100; i++)
		strv_addf(&w, "%d", i);
	strv_add_all(&v, &w);
	tap_ok(v.count == 101 && str_eq(v.items[100], "99") && v.items[101] == NULL, "a vector is appended to another");
	strv_free(&v);
	strv_free(&w);

	strv_split(&v, "a::b:", ':');
	tap_ok(v.count == 4 && str_eq(v.items[1], "") && str_eq(v.items[3], ""), "splitting keeps empty parts");
	strv_free(&v);
	strv_split(&v, "", ':');
	tap_is_int(v.count, 1, "splitting nothing gives one empty part");
	strv_free(&v);
	strv_free(&v);
	tap_ok(v.count == 0 && !v.items, "a freed vector is empty, freeing twice is harmless");
}

static void test_env(void)
{
	autostrv struct strv v = STRV_INIT;
	strv_env_set(&v, "PATH", "/bin");
	strv_env_set(&v, "PATHS", "x");
	strv_env_set(&v, "PATH", "/usr/bin");
	tap_is_int(v.count, 2, "setting a variable again replaces it");
	tap_is_str(strv_env_get(&v, "PATH"), "/usr/bin", "the last value is the value");
	tap_is_str(strv_env_get(&v, "PAT"), NULL, "a name that is only the beginning of another is not set");
	strv_env_set(&v, "EMPTY", "");
	tap_is_str(strv_env_get(&v, "EMPTY"), "", "an empty value is not an absent one");
	strv_env_unset(&v, "PATH");
	tap_ok(!strv_env_get(&v, "PATH") && strv_env_get(&v, "PATHS"), "unsetting takes one variable out");
	strv_env_unset(&v, "PATH");
	tap_is_int(v.count, 2, "unsetting what is not there changes nothing");
}

static void test_tests(void)
{
	tap_is_str(str_after("--mtu=5", "--mtu="), "5", "str_after gives the rest");
	tap_is_str(str_after("--mt", "--mtu="), NULL, "str_after of something else is NULL");
	tap_is_str(str_after("", ""), "", "everything begins with nothing");
	tap_ok(str_ends("a.tar.gz", ".gz") && !str_ends("gz", ".gz") && str_ends("x", ""), "str_ends looks at the end");
}

static void test_numbers(void)
{
	static const struct {
		const char *text;
		uint64_t max;
		int result;
		uint64_t value;
	} cases[] = {
		{"0", UINT64_MAX, 0, 0},
		{"00012", UINT64_MAX, 0, 12},
		{"18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
		{"18446744073709551616", UINT64_MAX, -ERANGE, 0},
		{"99999999999999999999999999", UINT64_MAX, -ERANGE, 0},
		{"65535", 65535, 0, 65535},
		{"65536", 65535, -ERANGE, 0},
		{"", UINT64_MAX, -EINVAL, 0},
		{"-1", UINT64_MAX, -EINVAL, 0},
		{"+1", UINT64_MAX, -EINVAL, 0},
		{" 1", UINT64_MAX, -EINVAL, 0},
		{"1 ", UINT64_MAX, -EINVAL, 0},
		{"0x10", UINT64_MAX, -EINVAL, 0},
		{"1e3", UINT64_MAX, -EINVAL, 0},
		{"12k", UINT64_MAX, -EINVAL, 0},
		{"\xd9\xa1", UINT64_MAX, -EINVAL, 0},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t value = 4711;
		struct err e = ERR_INIT;
		int r = str_to_u64(cases[i].text, cases[i].max, "--opt", &value, &e);
		uint64_t want = cases[i].result < 0 ? 4711 : cases[i].value;
		if (!tap_ok(r == cases[i].result && value == want, "'%s' up to %" PRIu64 " is %s", cases[i].text,
			    cases[i].max, cases[i].result < 0 ? "refused, output untouched" : "a number"))
			tap_diag("r %d value %" PRIu64 " %s", r, value, e.text);
		if (r < 0 && !strstr(e.text, "--opt"))
			tap_ok(false, "the error names the value");
	}
}

static void test_nearest(void)
{
	static const char *const verbs[] = {"run", "rmi", "images", "import", "export", "load", NULL};
	static const char *const none[] = {NULL};
	tap_is_str(str_nearest("imprt", verbs), "import", "a missing letter is guessed");
	tap_is_str(str_nearest("imagse", verbs), "images", "two swapped letters are guessed");
	tap_is_str(str_nearest("RNU", (const char *const[]){"ENV", "RUN", NULL}), "RUN",
		   "letters that are swapped are nearer than letters that are others");
	tap_is_str(str_nearest("run", verbs), "run", "an exact match is nearest");
	tap_is_str(str_nearest("zzzzzz", verbs), NULL, "nothing near gives no suggestion");
	tap_is_str(str_nearest("x", none), NULL, "no candidates give no suggestion");
	char longest[200];
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	tap_is_str(str_nearest(longest, verbs), NULL, "an absurdly long word gives no suggestion");
	const char *const far[] = {"run", longest, NULL};
	tap_is_str(str_nearest(longest, far), longest, "an exact match is found at any length");
	tap_is_str(str_nearest("ab", (const char *const[]){"xy", NULL}), NULL,
		   "a short word of which nothing is right is no suggestion");
}

int main(void)
{
	tap_plan_later();
	test_buffer();
	test_vector();
	test_env();
	test_tests();
	test_numbers();
	test_nearest();
	return tap_done();
}
