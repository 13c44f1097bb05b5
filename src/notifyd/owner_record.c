/*
 * owner_record.c - control records (rl/kern/xattr.h) by path, and the table of those that no xattr can hold.
 *
 * A record may be changed by nobody but us while the container is emulated in full: the calls that could set our xattrs
 * are refused (owner_xattr.c). In "write" too. So what is found here was written by us or by the unpacker, or comes from
 * a place that the container does not own (a bind mount), where it is only about how a file looks.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "owner.h"
#include "rl/base/mem.h"

enum { SMALL_RECORD = 256 };

static bool is_absent(int errnum)
{
	return errnum == ENODATA || errnum == ENOTSUP || errnum == EPERM || errnum == ENOSYS;
}

int owner_stat(const struct owner_path *p, struct stat *ret)
{
	int r = p->follow ? stat(p->text, ret) : lstat(p->text, ret);
	return r < 0 ? -errno : 0;
}

bool owner_is_symlink(const struct owner_path *p)
{
	char byte;
	return !p->follow && readlink(p->text, &byte, 1) >= 0;
}

bool owner_is_program(const struct owner *o, const struct stat *st)
{
	return st->st_ino == o->d->program_ino && st->st_dev == o->d->program_dev;
}

/* ---- the table ---- */

static bool fill_key(const struct owner_path *p, struct owner_entry *ret)
{
	struct statx sx;
	if (statx(AT_FDCWD, p->text, p->follow ? 0 : AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME, &sx) < 0)
		return false;
	bool born = sx.stx_mask & STATX_BTIME;
	*ret = (struct owner_entry){
		.dev = (uint64_t)sx.stx_dev_major << 32 | sx.stx_dev_minor,
		.ino = sx.stx_ino,
		.born_s = born ? sx.stx_btime.tv_sec : 0,
		.born_ns = born ? sx.stx_btime.tv_nsec : 0,
	};
	return true;
}

static struct owner_entry *find_entry(struct owner_table *t, const struct owner_entry *key)
{
	for (size_t i = 0; i < t->count; i++) {
		struct owner_entry *x = &t->entries[i];
		if (x->ino == key->ino && x->dev == key->dev && x->born_s == key->born_s && x->born_ns == key->born_ns)
			return x;
	}
	return NULL;
}

static int table_set(struct owner *o, const struct owner_path *p, const struct xattr_stat *want)
{
	struct owner_table *t = &o->table;
	struct owner_entry key;
	if (!fill_key(p, &key))
		return -errno;
	struct owner_entry *x = find_entry(t, &key);
	if (!x && t->count < OWNER_TABLE_SIZE) {
		x = &t->entries[t->count++];
	} else if (!x) {
		x = &t->entries[t->oldest];
		t->oldest = (t->oldest + 1) % OWNER_TABLE_SIZE;
	}
	key.st = *want;
	*x = key;
	return 0;
}

static void table_get(struct owner *o, const struct owner_path *p, struct owner_record *ret)
{
	struct owner_entry key;
	if (!o->table.count || !fill_key(p, &key))
		return;
	const struct owner_entry *x = find_entry(&o->table, &key);
	if (x)
		*ret = (struct owner_record){.found = true, .st = x->st};
}

static void table_drop(struct owner *o, const struct owner_path *p)
{
	struct owner_entry key;
	struct owner_entry *x = o->table.count && fill_key(p, &key) ? find_entry(&o->table, &key) : NULL;
	if (x)
		*x = o->table.entries[--o->table.count];
}

/* ---- xattrs ---- */

/* The record in owner->record. Malformed ones are none. */
static void parse(struct owner *o, ssize_t n, struct owner_record *ret)
{
	struct xattr_stat st;
	o->record[n] = '\0';
	int at = xattr_record_parse(o->record, (size_t)n, &st, NULL);
	if (at > 0)
		*ret = (struct owner_record){.found = true, .st = st, .xattrs = (size_t)at, .len = (size_t)n};
}

/* The kernel makes and clears a buffer as large as ours: a small one first, which nearly all records fit in. */
static ssize_t get_value(const char *path, bool follow, const char *name, char *buf)
{
	ssize_t n = follow ? getxattr(path, name, buf, SMALL_RECORD) : lgetxattr(path, name, buf, SMALL_RECORD);
	if (n < 0 && errno == ERANGE)
		n = follow ? getxattr(path, name, buf, XATTR_VALUE_MAX) : lgetxattr(path, name, buf, XATTR_VALUE_MAX);
	return n;
}

/* In the directory: 1 found, 0 not, -errno. */
static int get_at(struct owner *o, struct owner_path *p, struct owner_record *ret)
{
	char at_name[256];
	char *dir;
	const char *name = owner_path_split(p, &dir);
	ssize_t n = -1;
	errno = ENODATA;
	if (!name)
		return 0;
	if (xattr_at_name(name, at_name))
		n = get_value(dir, true, at_name, o->record);
	int errnum = errno;
	owner_path_join(p, name);
	if (n >= 0)
		parse(o, n, ret);
	return n >= 0 ? 1 : is_absent(errnum) ? 0 : -errnum;
}

int owner_record_get(struct owner *o, struct owner_path *p, const struct stat *st, struct owner_record *ret)
{
	*ret = (struct owner_record){.found = false};
	ssize_t n = get_value(p->text, p->follow, XATTR_STAT, o->record);
	if (n >= 0) {
		parse(o, n, ret);
		return 0;
	}
	if (!is_absent(errno))
		return -errno;
	/* What kind of file it is matters only where the directory could say more. */
	struct stat own;
	bool any = owner_any_special(o);
	if (!st && any && owner_stat(p, &own) == 0)
		st = &own;
	bool link = st ? S_ISLNK(st->st_mode) : owner_is_symlink(p);
	int r = link ? get_at(o, p, ret) : 0;
	if (r == 0)
		table_get(o, p, ret);
	if (r == 0 && any && !ret->found && st && owner_is_special(st->st_mode))
		r = owner_special_get(o, p, st, ret);
	return r < 0 ? r : 0;
}

static bool holds_xattrs(const struct stat *st)
{
	return S_ISREG(st->st_mode) || S_ISDIR(st->st_mode);
}

static int set_at(struct owner_path *p, const void *value, size_t len)
{
	char at_name[256];
	char *dir;
	int r = -ENOTSUP;
	const char *name = owner_path_split(p, &dir);
	if (!name)
		return r;
	if (xattr_at_name(name, at_name))
		r = (value ? setxattr(dir, at_name, value, len, 0) : removexattr(dir, at_name)) < 0 ? -errno : 0;
	owner_path_join(p, name);
	return r;
}

int owner_record_set(struct owner *o, struct owner_path *p, const struct stat *st, const struct xattr_stat *want,
		     const char *xattrs, size_t len)
{
	int r = -ENOTSUP;
	str_cut(&o->out, 0);
	xattr_record_start(want, &o->out);
	if (len)
		str_add(&o->out, xattrs, len);
	if (S_ISLNK(st->st_mode))
		r = set_at(p, o->out.buf, o->out.len);
	else if (holds_xattrs(st) && o->out.len <= XATTR_RECORD_MAX)
		r = (p->follow ? setxattr(p->text, XATTR_STAT, o->out.buf, o->out.len, 0)
			       : lsetxattr(p->text, XATTR_STAT, o->out.buf, o->out.len, 0)) < 0
			    ? -errno
			    : 0;
	if (r == 0 || r == -EROFS || r == -ENOENT)
		return r;
	if (owner_is_special(st->st_mode))
		(void)!owner_special_set(o, p, st, want);
	return table_set(o, p, want);
}

int owner_record_drop(struct owner *o, struct owner_path *p, const struct stat *st)
{
	int r = 0;
	table_drop(o, p);
	if (S_ISLNK(st->st_mode))
		r = set_at(p, NULL, 0);
	else if (holds_xattrs(st))
		r = (p->follow ? removexattr(p->text, XATTR_STAT) : lremovexattr(p->text, XATTR_STAT)) < 0 ? -errno : 0;
	return r == -EROFS ? r : 0;
}

void owner_record_move(struct owner *o, struct owner_path *from, struct owner_path *to, enum owner_move how)
{
	struct owner_record record = {.found = false};
	autostr struct str other = STR_INIT;
	if (how == OWNER_SWAP && get_at(o, to, &record) > 0 && record.found)
		str_add(&other, o->record, record.len);
	record.found = false;
	bool found = get_at(o, from, &record) > 0 && record.found;
	(void)!set_at(to, found ? o->record : NULL, record.len);
	if (how == OWNER_SWAP && other.len)
		(void)!set_at(from, other.buf, other.len);
	else if (how != OWNER_COPY && found)
		(void)!set_at(from, NULL, 0);
}
