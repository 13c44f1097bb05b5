/* References as docker reads them: table of accepted forms with their normal form, and of refused ones. */
#include "rl/model/imgref.h"

#include <stdlib.h>

#include "rl/base/mem.h"
#include "tap.h"

#define HEX64  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIGEST "sha256:" HEX64
#define A50    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A128   A50 A50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct {
	const char *text, *canonical, *familiar;
} good[] = {
	{"busybox", "docker.io/library/busybox:latest", "busybox:latest"},
	{"busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"},
	{"library/busybox", "docker.io/library/busybox:latest", "busybox:latest"},
	{"user/app", "docker.io/user/app:latest", "user/app:latest"},
	{"docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"},
	{"index.docker.io/user/app:x", "docker.io/user/app:x", "user/app:x"},
	{"localhost/app", "localhost/app:latest", "localhost/app:latest"},
	{"localhost:5000/app:1", "localhost:5000/app:1", "localhost:5000/app:1"},
	{"host:5000/a/b/c", "host:5000/a/b/c:latest", "host:5000/a/b/c:latest"},
	{"quay.io/x/y_z__w--v.u", "quay.io/x/y_z__w--v.u:latest", "quay.io/x/y_z__w--v.u:latest"},
	{"Host/app", "Host/app:latest", "Host/app:latest"},
	{"[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"},
	{"127.0.0.1:5000/app@" DIGEST, "127.0.0.1:5000/app@" DIGEST, NULL},
	{"busybox@" DIGEST, "docker.io/library/busybox@" DIGEST, "busybox@" DIGEST},
	{"busybox:1@" DIGEST, "docker.io/library/busybox:1@" DIGEST, "busybox:1@" DIGEST},
	{"a:_tag.-X", "docker.io/library/a:_tag.-X", "a:_tag.-X"},
	{"a:" A128, "docker.io/library/a:" A128, NULL},
	{"docker.io/" HEX64, "docker.io/library/" HEX64 ":latest", NULL},
	{A50 A50 A50 A50 "/" A50 ":t", NULL, NULL}, /* too long with docker.io */
};

static const struct {
	const char *text, *why;
} bad[] = {
	{"", "empty text"},
	{"Busybox", "an upper-case repository"},
	{"user/App", "an upper-case path component"},
	{"a//b", "an empty path component"},
	{"/a", "a leading slash"},
	{"a/", "a trailing slash"},
	{"a:", "an empty tag"},
	{"a:.x", "a tag that begins with a dot"},
	{"a:x/y", "a tag with a slash"},
	{"a:" A128 "a", "a tag of 129 characters"},
	{"a@sha256:abc", "a short digest"},
	{"a@sha256:" HEX64 "0", "a long digest"},
	{"a@sha512:" HEX64 HEX64, "another algorithm"},
	{"a@sha256:../../../../../../../../../../../../../../../../../../../../../..", "a digest that is a path"},
	{"a@SHA256:" HEX64, "an upper-case algorithm"},
	{"a@sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef", "an upper-case digest"},
	{"a@" DIGEST "@" DIGEST, "two digests"},
	{HEX64, "64 hex digits without a domain"},
	{"a..b", "two dots in a row"},
	{"a___b", "three underscores in a row"},
	{"-a", "a leading hyphen"},
	{"a-", "a trailing hyphen"},
	{"a._b", "two different separators in a row"},
	{"..", "dot dot"},
	{"a/../b", "a parent directory"},
	{"host.:5000/a", "a domain that ends in a dot"},
	{"-host.io/a", "a domain label that begins with a hyphen"},
	{"host:port/a", "a port that is no number"},
	{"host:/a", "an empty port"},
	{"host:123456/a", "a port of six digits"},
	{"[::1/a", "an unclosed address"},
	{"a b", "a space"},
	{"a\nb", "a newline"},
	{"a\xff", "a byte that is not ASCII"},
	{"a%2f", "a percent sign"},
	{"a:1:2", "two tags"},
	{"https://a.io/b", "a URL"},
	{A50 A50 A50 A50 A50 A50, "a repository of 300 characters"},
};

static void test_good(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct err e = ERR_INIT;
		struct imgref r;
		if (!good[i].canonical) {
			tap_ok(imgref_parse(good[i].text, &r, &e) < 0, "docker.io/ counts for the length limit");
			continue;
		}
		if (!tap_ok(imgref_parse(good[i].text, &r, &e) == 0, "%.60s is accepted", good[i].text)) {
			tap_diag("%s", e.text);
			continue;
		}
		autofree char *canonical = imgref_format(&r);
		tap_is_str(canonical, good[i].canonical, "its normal form is right");
		if (good[i].familiar)
			tap_is_str(imgref_familiar(canonical), good[i].familiar, "its familiar form is right");
		struct imgref again;
		tap_ok(imgref_parse(canonical, &again, &e) == 0, "the normal form parses");
		autofree char *twice = imgref_format(&again);
		tap_is_str(twice, canonical, "the normal form is its own normal form");
		autofree char *repository = imgref_repository(canonical);
		autofree char *want = xasprintf("%s/%s", r.domain, r.path);
		tap_is_str(repository, want, "the repository is domain and path");
		imgref_free(&again);
		imgref_free(&r);
	}
}

static void test_bad(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err e = ERR_INIT;
		struct imgref r = {.tag = bad[i].text ? (char *)(uintptr_t)bad[i].text : NULL};
		struct imgref before = r;
		int rc = imgref_parse(bad[i].text, &r, &e);
		tap_ok(rc == -EINVAL && *e.text, "%s is refused", bad[i].why);
		tap_ok(memcmp(&r, &before, sizeof(r)) == 0, "and the result is untouched");
	}
	struct err e = ERR_INIT;
	struct imgref r;
	size_t n = 1 << 20;
	char *huge = xmalloc(n + 1);
	memset(huge, 'a', n);
	huge[n] = '\0';
	tap_ok(imgref_parse(huge, &r, &e) == -EINVAL && strlen(e.text) < 300,
	       "a megabyte is refused and quoted in part");
	free(huge);
}

static void test_locate(void)
{
	static const struct {
		const char *text;
		enum imgref_transport transport;
		const char *path, *which;
	} table[] = {
		{"busybox:1", IMGREF_STORE, "busybox:1", NULL},
		{"docker://host:5000/a:b", IMGREF_DOCKER, "host:5000/a:b", NULL},
		{"oci:/tmp/dir", IMGREF_OCI, "/tmp/dir", NULL},
		{"oci:/tmp/dir:docker.io/library/a:b", IMGREF_OCI, "/tmp/dir", "docker.io/library/a:b"},
		{"oci-archive:x.tar:1", IMGREF_OCI_ARCHIVE, "x.tar", "1"},
		{"docker-archive:x.tar:a:b", IMGREF_DOCKER_ARCHIVE, "x.tar", "a:b"},
		{"dir:/a:b", IMGREF_DIR, "/a:b", NULL},
	};
	struct err e = ERR_INIT;
	struct imgref_location l;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (!tap_ok(imgref_locate(table[i].text, &l, &e) == 0, "%s is located", table[i].text))
			continue;
		tap_is_int(l.transport, table[i].transport, "with the right transport");
		tap_is_str(l.path, table[i].path, "and path");
		tap_ok(table[i].which ? l.which && str_eq(l.which, table[i].which) : !l.which, "and part");
		imgref_location_free(&l);
	}
	static const char *const wrong[] = {"oci:", "docker://", "dir:", "oci::tag", "oci-archive:x:"};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		tap_ok(imgref_locate(wrong[i], &l, &e) == -EINVAL, "\"%s\" is refused", wrong[i]);
}

int main(void)
{
	tap_plan_later();
	test_good();
	test_bad();
	test_locate();
	tap_ok(imgref_is_id_prefix("c0f") && imgref_is_id_prefix(HEX64), "three to 64 hex digits may be an id");
	tap_ok(!imgref_is_id_prefix("c") && !imgref_is_id_prefix("c0"), "one or two are a name");
	tap_ok(!imgref_is_id_prefix("") && !imgref_is_id_prefix(HEX64 "0") && !imgref_is_id_prefix("AB"),
	       "nothing, 65 digits and upper case may not");
	return tap_done();
}
