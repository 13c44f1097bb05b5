/*
 * xattr.c - see xattr.h.
 *
 * The record is text in front and raw bytes behind: the part a person wants to read with getfattr is readable, and
 * attribute values (security.capability is binary) need no encoding. Numbers are parsed strictly, because records are
 * also read from places a payload may have written.
 */
#include "rl/kern/xattr.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "rl/base/mem.h"

enum { LIST_MAX = 64 * 1024 };

bool xattr_is_control(const char *name)
{
	static const char *const prefixes[] = {
		"user.overlay.",	  "trusted.overlay.",	     "user.rl.",
		"user.containers.",	  "trusted.containers.",     "user.fuseoverlayfs.",
		"trusted.fuseoverlayfs.", "security.fuseoverlayfs.", "user.rootlesscontainers",
	};
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (str_after(name, prefixes[i]))
			return true;
	return false;
}

void xattr_record_start(const struct xattr_stat *st, struct str *out)
{
	str_addf(out, "1 %u %u %o %u %u\n", st->uid, st->gid, st->mode, st->major, st->minor);
}

void xattr_record_add(struct str *out, const char *name, const void *value, size_t len)
{
	str_addf(out, "%zu %zu\n", strlen(name), len);
	str_adds(out, name);
	str_add(out, value, len);
}

/* One number and the byte that must follow it; *pos moves behind that byte. */
static bool take_number(const char *text, size_t len, size_t *pos, unsigned base, uint64_t max, char end,
			uint64_t *ret_value)
{
	uint64_t value = 0;
	size_t i = *pos;
	size_t first = i;
	for (; i < len && text[i] >= '0' && text[i] < (char)('0' + base); i++) {
		value = value * base + (uint64_t)(text[i] - '0');
		if (value > max)
			return false;
	}
	if (i == first || i >= len || text[i] != end)
		return false;
	*pos = i + 1;
	*ret_value = value;
	return true;
}

int xattr_record_parse(const char *record, size_t len, struct xattr_stat *ret_stat, struct err *e)
{
	size_t pos = 0;
	uint64_t version;
	uint64_t n[5];
	static const uint64_t max[5] = {UINT32_MAX - 1, UINT32_MAX - 1, 0177777, UINT32_MAX, UINT32_MAX};
	bool ok = take_number(record, len, &pos, 10, 1, ' ', &version) && version == 1;
	for (size_t i = 0; ok && i < ARRAY_SIZE(n); i++)
		ok = take_number(record, len, &pos, i == 2 ? 8 : 10, max[i], i == 4 ? '\n' : ' ', &n[i]);
	if (!ok)
		return err_set(e, EBADMSG, "malformed control record");
	*ret_stat = (struct xattr_stat){(uint32_t)n[0], (uint32_t)n[1], (uint32_t)n[2], (uint32_t)n[3], (uint32_t)n[4]};
	return (int)pos;
}

int xattr_record_next(const char *record, size_t len, size_t *pos, const char **ret_name, size_t *ret_name_len,
		      const char **ret_value, size_t *ret_len, struct err *e)
{
	if (*pos == len)
		return 0;
	size_t at = *pos;
	uint64_t name_len;
	uint64_t value_len;
	if (!take_number(record, len, &at, 10, 255, ' ', &name_len) || name_len == 0 ||
	    !take_number(record, len, &at, 10, XATTR_VALUE_MAX, '\n', &value_len) || len - at < name_len + value_len)
		return err_set(e, EBADMSG, "malformed attribute in a control record");
	*ret_name = record + at;
	*ret_name_len = (size_t)name_len;
	*ret_value = record + at + name_len;
	*ret_len = (size_t)value_len;
	*pos = at + (size_t)(name_len + value_len);
	return 1;
}

bool xattr_at_name(const char *name, char ret[256])
{
	size_t n = strlen(name);
	if (n == 0 || n > XATTR_NAME_PLAIN)
		return false;
	memcpy(ret, XATTR_STAT_AT, sizeof(XATTR_STAT_AT) - 1);
	memcpy(ret + sizeof(XATTR_STAT_AT) - 1, name, n + 1);
	return true;
}

static bool is_absent(int errnum)
{
	return errnum == ENODATA || errnum == ENOTSUP || errnum == ENOSYS || errnum == EPERM || errnum == EACCES;
}

int xattr_list(int fd, struct str *out, struct err *e)
{
	str_reserve(out, 1024);
	ssize_t n = flistxattr(fd, out->buf + out->len, 1024);
	if (n < 0 && errno == ERANGE) {
		str_reserve(out, LIST_MAX);
		n = flistxattr(fd, out->buf + out->len, LIST_MAX);
	}
	if (n < 0 && is_absent(errno))
		n = 0;
	if (n < 0)
		return err_sys(e, errno, "list extended attributes");
	out->len += (size_t)n;
	out->buf[out->len] = '\0';
	return 0;
}

int xattr_get(int fd, const char *name, struct str *out, struct err *e)
{
	str_reserve(out, 256);
	ssize_t n = fgetxattr(fd, name, out->buf + out->len, 256);
	if (n < 0 && errno == ERANGE) {
		str_reserve(out, XATTR_VALUE_MAX);
		n = fgetxattr(fd, name, out->buf + out->len, XATTR_VALUE_MAX);
	}
	if (n < 0 && is_absent(errno))
		return 0;
	if (n < 0)
		return err_sys(e, errno, "read extended attribute %s", name);
	out->len += (size_t)n;
	out->buf[out->len] = '\0';
	return 1;
}

int xattr_set(int fd, const char *name, const void *value, size_t len)
{
	return fsetxattr(fd, name, value, len, 0) < 0 ? -errno : 0;
}

bool xattr_has_user(int dirfd)
{
	/* Reading says ENODATA where the namespace exists and ENOTSUP where it does not, without writing anything;
	 * tmpfs before 6.6 and NFS answer ENOTSUP. */
	char byte;
	return fgetxattr(dirfd, "user.rl.probe", &byte, 1) >= 0 || errno == ENODATA || errno == ERANGE;
}

bool xattr_identity(int dirfd, const char *path, bool follow, uint32_t *ret_major, uint32_t *ret_minor)
{
	struct statx sx;
	if (statx(dirfd, path, follow ? 0 : AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME, &sx) < 0)
		return false;
	*ret_major = (uint32_t)sx.stx_ino;
	*ret_minor = sx.stx_mask & STATX_BTIME ? (uint32_t)sx.stx_btime.tv_sec ^ sx.stx_btime.tv_nsec : 0;
	return true;
}
