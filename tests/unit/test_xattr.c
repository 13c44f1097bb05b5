#include "rl/kern/xattr.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/mem.h"
#include "tap.h"

static void test_records(void)
{
	struct err e = ERR_INIT;
	const struct xattr_stat in = {4294967294u, 70000, 0104755, 8, 1};
	autostr struct str rec = STR_INIT;
	xattr_record_start(&in, &rec);
	tap_is_str(rec.buf, "1 4294967294 70000 104755 8 1\n", "a record is one readable line");
	xattr_record_add(&rec, "user.a", "x\0y\n", 4);
	xattr_record_add(&rec, "security.b", "", 0);
	struct xattr_stat out = {0, 0, 0, 0, 0};
	int pos = xattr_record_parse(rec.buf, rec.len, &out, &e);
	tap_ok(pos > 0 && memcmp(&in, &out, sizeof(in)) == 0, "and gives back what was put in");
	size_t at = (size_t)pos;
	const char *name;
	const char *value;
	size_t name_len;
	size_t len;
	tap_ok(xattr_record_next(rec.buf, rec.len, &at, &name, &name_len, &value, &len, &e) == 1 && name_len == 6 &&
		       !memcmp(name, "user.a", 6) && len == 4 && !memcmp(value, "x\0y\n", 4),
	       "attribute values are any bytes");
	tap_ok(xattr_record_next(rec.buf, rec.len, &at, &name, &name_len, &value, &len, &e) == 1 && len == 0,
	       "also none at all");
	tap_is_int(xattr_record_next(rec.buf, rec.len, &at, &name, &name_len, &value, &len, &e), 0,
		   "and there is an end");
	bool all = true;
	for (size_t cut = (size_t)pos + 1; cut < rec.len - 15; cut++) {
		at = (size_t)pos;
		int r = 1;
		while (r > 0)
			r = xattr_record_next(rec.buf, cut, &at, &name, &name_len, &value, &len, NULL);
		all &= r == -EBADMSG || at == cut;
	}
	tap_ok(all, "a record cut anywhere is malformed or ends there, and is not read beyond");
}

static void test_malformed(void)
{
	static const char *const bad[] = {
		"",
		"1",
		"2 0 0 100644 0 0\n",
		"1 0 0 100644 0 0",
		"1 0 0 100644 0 0 \n",
		"1 -1 0 1 0 0\n",
		"1 4294967295 0 1 0 0\n",
		"1 0 0 8 0 0\n",
		"1 0 0 200000 0 0\n",
		"1  0 0 1 0 0\n",
		"1 0 0 1 0 0x\n",
		"1 99999999999999999999 0 1 0 0\n",
		" 1 0 0 1 0 0\n",
		"1\t0 0 1 0 0\n",
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct xattr_stat st = {.uid = 77};
		tap_ok(xattr_record_parse(bad[i], strlen(bad[i]), &st, NULL) == -EBADMSG && st.uid == 77,
		       "refused, output untouched: '%s'", bad[i]);
	}
	static const char *const attrs[] = {"1", "1 ", "1 1\n", "1 1\na", "0 1\nx", "256 1\n", "1 99999\na", "1 x\na"};
	for (size_t i = 0; i < ARRAY_SIZE(attrs); i++) {
		size_t at = 0;
		const char *name;
		const char *value;
		size_t name_len;
		size_t len;
		tap_is_int(xattr_record_next(attrs[i], strlen(attrs[i]), &at, &name, &name_len, &value, &len, NULL),
			   -EBADMSG, "a malformed attribute is refused");
	}
}

static void test_names(void)
{
	static const char *const control[] = {
		"user.rl.stat",
		"user.rl.at.x",
		"user.overlay.opaque",
		"user.overlay.anything",
		"trusted.overlay.redirect",
		"user.containers.override_stat",
		"user.fuseoverlayfs.opaque",
		"user.rootlesscontainers",
	};
	for (size_t i = 0; i < ARRAY_SIZE(control); i++)
		tap_ok(xattr_is_control(control[i]), "%s steers something", control[i]);
	tap_ok(!xattr_is_control("user.mime_type") && !xattr_is_control("security.capability") &&
		       !xattr_is_control("user.overlays") && !xattr_is_control("user.rlx"),
	       "other names do not");
	char name[256];
	char longest[XATTR_NAME_PLAIN + 2];
	memset(longest, 'n', sizeof(longest));
	longest[XATTR_NAME_PLAIN] = '\0';
	tap_ok(xattr_at_name("link", name) && str_eq(name, "user.rl.at.link"),
	       "a symlink's record is keyed by its name");
	tap_ok(xattr_at_name(longest, name) && strlen(name) < 256, "also with a long name");
	longest[XATTR_NAME_PLAIN] = 'n';
	longest[XATTR_NAME_PLAIN + 1] = '\0';
	tap_ok(!xattr_at_name(longest, name) && !xattr_at_name("", name), "too long a name and none are said to be so");
}

static void test_files(const char *dir)
{
	struct err e = ERR_INIT;
	autofd int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autofd int fd = openat(dirfd, "f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (!xattr_has_user(dirfd)) {
		tap_skip("no user xattrs here", "attributes of files");
		return;
	}
	autostr struct str value = STR_INIT;
	autostr struct str names = STR_INIT;
	autofree char *big = xcalloc(1, 2000);
	tap_is_int(xattr_get(fd, "user.none", &value, &e), 0, "an attribute that is not there is not an error");
	tap_is_int(xattr_set(fd, "user.big", big, 2000), 0, "a value is set");
	tap_ok(xattr_get(fd, "user.big", &value, &e) == 1 && value.len == 2000, "and read, however long");
	tap_ok(xattr_list(fd, &names, &e) == 0 && names.len == sizeof("user.big") && str_eq(names.buf, "user.big"),
	       "and listed");
	tap_is_int(xattr_set(fd, "nonsense.name", "x", 1), -EOPNOTSUPP,
		   "a refusal is an errno for the caller to answer");
}

int main(void)
{
	tap_plan_later();
	test_records();
	test_malformed();
	test_names();
	autofree char *dir = tap_tmpdir();
	test_files(dir);
	autofree char *file = xasprintf("%s/f", dir);
	unlink(file);
	rmdir(dir);
	return tap_done();
}
