/* -u USER[:GROUP]: every form, and lookups in hostile passwd and group texts. */
#include "tap.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "rl/model/user_spec.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
			     "daemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
			     "1000:x:0:0:a name that looks like a number:/root:/bin/sh\n"
			     "0x1:x:0:0::/:/bin/sh\n"
			     "+1:x:0:0::/:/bin/sh\n"
			     "web:x:33:34:web:/srv/web:/bin/sh\n"
			     "web:x:0:0:the second line of the name:/root:/bin/sh\n"
			     "wrap:x:4294967296:0::/:\n"
			     "minus:x:-1:0::/:\n"
			     "blank:x: 0:0::/:\n"
			     "short:x:7\n"
			     "big:x:2147483648:5::/big:\n"
			     "rel:x:40:40::home/rel:\n"
			     "# comment:x:50:50::/:\n";
static const char group[] = "root:x:0:root\n"
			    "staff:x:50:web,daemon\n"
			    "www:x:34:\n"
			    "disk:x:6:web\n"
			    "6:x:0:\n"
			    "dup:x:6:web\n"
			    "webby:x:60:webbed,we\n"
			    "bad:x:99999999999:web\n";

struct spec_case {
	const char *text;
	int error; /* errno, or 0 */
	uint32_t uid, gid;
	size_t ngroups;
	const char *home;
};

static const struct spec_case cases[] = {
	{NULL, 0, 0, 0, 1, "/root"},
	{"", 0, 0, 0, 1, "/root"},
	{"root", 0, 0, 0, 1, "/root"},
	{"0", 0, 0, 0, 1, "/root"},
	{"1", 0, 1, 1, 2, "/usr/sbin"},
	{"daemon", 0, 1, 1, 2, "/usr/sbin"},
	{"web", 0, 33, 34, 3, "/srv/web"},
	{"33", 0, 33, 34, 3, "/srv/web"},
	{"web:disk", 0, 33, 6, 1, "/srv/web"},
	{"web:6", 0, 33, 6, 1, "/srv/web"},
	{"33:6", 0, 33, 6, 1, "/srv/web"},
	{"77:88", 0, 77, 88, 1, "/"},
	{"77:staff", 0, 77, 50, 1, "/"},
	{":88", 0, 0, 88, 1, "/root"},
	{":staff", 0, 0, 50, 1, "/root"},
	{"77", 0, 77, 0, 1, "/"},
	{"1000", 0, 1000, 0, 1, "/"}, /* and not the line whose name is 1000 */
	{"2147483647", 0, 2147483647u, 0, 1, "/"},
	{"2147483648", 0, 2147483648u, 5, 1, "/big"},
	{"big", 0, 2147483648u, 5, 1, "/big"},
	{"4294967294", 0, 4294967294u, 0, 1, "/"},
	{"4294967294:4294967294", 0, 4294967294u, 4294967294u, 1, "/"},
	{"rel", 0, 40, 40, 1, "/"},
	{"4294967295", EINVAL, 0, 0, 0, NULL},
	{"4294967296", EINVAL, 0, 0, 0, NULL},
	{"0:4294967295", EINVAL, 0, 0, 0, NULL},
	{"18446744073709551616", EINVAL, 0, 0, 0, NULL},
	{"18446744073709551617", EINVAL, 0, 0, 0, NULL},
	{"99999999999999999999999999999999999999999", EINVAL, 0, 0, 0, NULL},
	{"-1", EINVAL, 0, 0, 0, NULL},
	{"-0", EINVAL, 0, 0, 0, NULL},
	{"0:-1", EINVAL, 0, 0, 0, NULL},
	{"+1", EINVAL, 0, 0, 0, NULL},
	{"1:+1", EINVAL, 0, 0, 0, NULL},
	{"0x1", EINVAL, 0, 0, 0, NULL},
	{"0X1", EINVAL, 0, 0, 0, NULL},
	{"0b1", EINVAL, 0, 0, 0, NULL},
	{"0o7", EINVAL, 0, 0, 0, NULL},
	{"010", EINVAL, 0, 0, 0, NULL},
	{"00", EINVAL, 0, 0, 0, NULL},
	{"1:", EINVAL, 0, 0, 0, NULL},
	{":", EINVAL, 0, 0, 0, NULL},
	{"web:", EINVAL, 0, 0, 0, NULL},
	{"1:1:1", EINVAL, 0, 0, 0, NULL},
	{"web:disk:x", EINVAL, 0, 0, 0, NULL},
	{" 1", EINVAL, 0, 0, 0, NULL},
	{"1 ", EINVAL, 0, 0, 0, NULL},
	{"1\n", EINVAL, 0, 0, 0, NULL},
	{"1 :1", EINVAL, 0, 0, 0, NULL},
	{"1: 1", EINVAL, 0, 0, 0, NULL},
	{"\t", EINVAL, 0, 0, 0, NULL},
	{"we b", EINVAL, 0, 0, 0, NULL},
	{"web,root", EINVAL, 0, 0, 0, NULL},
	{"../etc", EINVAL, 0, 0, 0, NULL},
	{"1e0", ENOENT, 0, 0, 0, NULL},
	{"1a", ENOENT, 0, 0, 0, NULL},
	{"nobody", ENOENT, 0, 0, 0, NULL},
	{"Web", ENOENT, 0, 0, 0, NULL},
	{"we", ENOENT, 0, 0, 0, NULL},
	{"web:nogroup", ENOENT, 0, 0, 0, NULL},
	{"#", ENOENT, 0, 0, 0, NULL},
	{"wrap", EINVAL, 0, 0, 0, NULL},
	{"minus", EINVAL, 0, 0, 0, NULL},
	{"blank", EINVAL, 0, 0, 0, NULL},
	{"short", EINVAL, 0, 0, 0, NULL},
	{"web:bad", EINVAL, 0, 0, 0, NULL},
};

static int resolve(const char *text, const char *pw, size_t pw_len, const char *gr, size_t gr_len, struct user_ids *ids,
		   struct err *e)
{
	struct user_spec spec;
	int r = user_spec_parse(text, &spec, e);
	return r < 0 ? r : user_spec_resolve(&spec, pw, pw_len, gr, gr_len, ids, e);
}

static void test_table(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct spec_case *c = &cases[i];
		const char *shown = c->text ? c->text : "nothing";
		struct user_ids ids = {.uid = 12345};
		struct err e = ERR_INIT;
		int r = resolve(c->text, passwd, strlen(passwd), group, strlen(group), &ids, &e);
		if (c->error) {
			tap_ok(r == -c->error && e.text[0] && ids.uid == 12345, "'%s' is refused with a reason: %s",
			       shown, e.text);
			continue;
		}
		bool same = r == 0 && ids.uid == c->uid && ids.gid == c->gid && ids.ngroups == c->ngroups &&
			    ids.groups[0] == c->gid && str_eq(ids.home, c->home);
		if (!tap_ok(same, "'%s' is uid %u gid %u with %zu groups and home %s", shown, c->uid, c->gid,
			    c->ngroups, c->home))
			tap_diag("got %d %s: %u %u %zu %s", r, e.text, ids.uid, ids.gid, ids.ngroups, ids.home);
		if (r == 0)
			user_ids_free(&ids);
	}
}

static void test_groups(void)
{
	struct user_ids ids;
	struct err e = ERR_INIT;
	int r = resolve("web", passwd, strlen(passwd), group, strlen(group), &ids, &e);
	tap_ok(r == 0 && ids.ngroups == 3 && ids.groups[0] == 34 && ids.groups[1] == 6 && ids.groups[2] == 50,
	       "CVE-2022-36109: the groups are the primary one and each one that names the user, once");
	tap_is_str(ids.name, "web", "the name of the passwd line is known");
	tap_ok(user_ids_add_group(&ids, 50, &e) == 0 && ids.ngroups == 3, "a group that is there is not added again");
	tap_ok(user_ids_add_group(&ids, 51, &e) == 0 && ids.ngroups == 4, "another group is added");
	user_ids_free(&ids);

	static const struct {
		const char *text;
		int result;
		uint32_t gid;
	} gids[] = {
		{"staff", 0, 50},	    {"6", 0, 6},	 {"7", 0, 7},
		{"nogroup", -ENOENT, 0},    {"", -EINVAL, 0},	 {"-1", -EINVAL, 0},
		{"4294967295", -EINVAL, 0}, {"bad", -EINVAL, 0},
	};
	for (size_t i = 0; i < ARRAY_SIZE(gids); i++) {
		uint32_t gid = 0;
		r = user_spec_group(gids[i].text, group, strlen(group), &gid, &e);
		tap_ok(r == gids[i].result && gid == gids[i].gid, "--group-add '%s' gives %d", gids[i].text, r);
	}
}

static void test_odd_files(void)
{
	struct user_ids ids;
	struct err e = ERR_INIT;
	static const char nul[] = "web:x:0:0\0:web:/:\nweb:x:33:34::/w:\n";
	tap_ok(resolve("web", nul, sizeof(nul) - 1, "", 0, &ids, &e) == 0 && ids.uid == 33,
	       "a line with a NUL byte is passed over");
	user_ids_free(&ids);
	static const char unended[] = "web:x:33:34::/w";
	tap_ok(resolve("web", unended, sizeof(unended) - 1, NULL, 0, &ids, &e) == 0 && str_eq(ids.home, "/w"),
	       "the last line needs no newline");
	user_ids_free(&ids);
	tap_ok(resolve("1", NULL, 0, NULL, 0, &ids, &e) == 0 && ids.uid == 1 && ids.gid == 0,
	       "CVE-2026-30892: -u 1 is uid 1, also without any files");
	user_ids_free(&ids);
	static const char crlf[] = "web:x:33:34::/w:/bin/sh\r\n";
	tap_ok(resolve("web", crlf, sizeof(crlf) - 1, NULL, 0, &ids, &e) == 0 && ids.gid == 34,
	       "carriage returns at the end of lines do not matter");
	user_ids_free(&ids);
	static const char colons[] = "::::::::\n:x:0:0::/:\nweb:x:5:6::/w:\n";
	tap_ok(resolve("web", colons, sizeof(colons) - 1, NULL, 0, &ids, &e) == 0 && ids.uid == 5,
	       "lines of colons and without a name do not matter");
	user_ids_free(&ids);
}

static double seconds(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* CVE-2026-47262: files made to cost memory or time. The caller cuts at USER_SPEC_FILE_MAX; here they go beyond it. */
static void test_big_files(void)
{
	enum { LINES = 10000000 };
	struct user_ids ids;
	struct err e = ERR_INIT;
	autostr struct str text = STR_INIT;
	str_reserve(&text, (size_t)LINES * 11);
	for (int i = 0; i < LINES; i++)
		str_add(&text, "g:x:7:web\n", 10);
	double start = seconds();
	int r = resolve("web", passwd, strlen(passwd), text.buf, text.len, &ids, &e);
	tap_ok(r == 0 && ids.ngroups == 2, "CVE-2026-47262: ten million lines of one group give that group once");
	tap_ok(seconds() - start < 20, "and take one pass: %.1f s", seconds() - start);
	if (r == 0)
		user_ids_free(&ids);

	str_cut(&text, 0);
	for (int i = 0; i < 200000; i++)
		str_addf(&text, "g%d:x:%d:web\n", i, i + 100);
	r = resolve("web", passwd, strlen(passwd), text.buf, text.len, &ids, &e);
	tap_ok(r == -E2BIG, "a user in 200000 groups is refused: %s", e.text);

	str_cut(&text, 0);
	str_adds(&text, "long:x:9:");
	for (int i = 0; i < (64 << 20) / 4; i++)
		str_add(&text, "aaa,", 4);
	str_adds(&text, "web\n");
	start = seconds();
	r = resolve("web", passwd, strlen(passwd), text.buf, text.len, &ids, &e);
	tap_ok(r == 0 && ids.ngroups == 2 && ids.groups[1] == 9, "one line of 64 MiB is read to its last member");
	tap_ok(seconds() - start < 10, "and takes one pass: %.1f s", seconds() - start);
	if (r == 0)
		user_ids_free(&ids);

	autofree char *name = xmalloc(5000);
	memset(name, 'n', 4999);
	name[4999] = '\0';
	tap_ok(resolve(name, passwd, strlen(passwd), "", 0, &ids, &e) == -EINVAL,
	       "a name of 5000 characters is refused");
}

int main(void)
{
	tap_plan_later();
	test_table();
	test_groups();
	test_odd_files();
	test_big_files();
	return tap_done();
}
