/*
 * owner_xattr.c - extended attributes: those that only privileged processes may set are kept in the record, for whom the
 * files are given to, and our own are nobody's business. What is kept cannot be read back inside: getxattr is called too
 * often (by ls, for each file) for something so rare, and file capabilities the kernel can hold.
 *
 * What can be set is set here with our own copy of name and value: between a look at the name and the kernel's own the
 * caller could put another name there. Control names (xattr_is_control) are refused and not listed; so what a record says
 * is what we wrote.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/xattr.h>

#include "owner.h"
#include "rl/base/mem.h"

enum { NAME_MAX_XATTR = 255, SMALL_LIST = 256 };

static int find(struct owner_job *j, struct owner_path *p)
{
	uint64_t first = j->req->data.args[0];
	switch ((int)j->call) {
	case OWNER_FSETXATTR:
	case OWNER_FLISTXATTR:
	case OWNER_FREMOVEXATTR:
		return owner_path_fd(j, 0, first, p);
	case OWNER_LSETXATTR:
	case OWNER_LLISTXATTR:
	case OWNER_LREMOVEXATTR:
		return owner_path_at(j, 0, (uint64_t)AT_FDCWD, first, AT_SYMLINK_NOFOLLOW, p);
	default:
		return owner_path_at(j, 0, (uint64_t)AT_FDCWD, first, 0, p);
	}
}

static int read_name(struct owner_job *j, char name[NAME_MAX_XATTR + 1])
{
	ssize_t n = seccomp_notify_read_string(&j->o->d->notify, j->req->pid, j->req->data.args[1], name,
					       NAME_MAX_XATTR + 1);
	return n < 0 ? (int)n : n == 0 ? -ERANGE : 0;
}

static bool is_kept(const char *name)
{
	return str_after(name, "security.") || str_after(name, "trusted.");
}

static bool is_permission(int errnum)
{
	return errnum == EPERM || errnum == ENOTSUP || errnum == EINVAL;
}

/* Find `name` among the xattrs of the record: its value in the record. */
static bool find_kept(const struct owner *o, const struct owner_record *r, const char *name, const char **ret_value,
		      size_t *ret_len)
{
	size_t pos = r->xattrs;
	const char *key;
	size_t key_len;
	while (r->found && xattr_record_next(o->record, r->len, &pos, &key, &key_len, ret_value, ret_len, NULL) > 0)
		if (key_len == strlen(name) && memcmp(key, name, key_len) == 0)
			return true;
	return false;
}

/* The record with `name` set to `value`, or without it where that is NULL. */
static int keep(struct owner_job *j, struct owner_path *p, const char *name, const char *value, size_t len)
{
	struct owner *o = j->o;
	struct owner_record old = {.found = false};
	struct stat st;
	const char *key;
	const char *v;
	size_t key_len;
	size_t v_len;
	int r = owner_stat(p, &st);
	if (r == 0)
		r = owner_record_get(o, p, &st, &old);
	if (r < 0)
		return r;
	if (!value && !find_kept(o, &old, name, &v, &v_len))
		return -ENODATA;
	if (!old.found)
		old.st = (struct xattr_stat){.mode = st.st_mode};
	autostr struct str rest = STR_INIT;
	size_t pos = old.xattrs;
	while (old.found && xattr_record_next(o->record, old.len, &pos, &key, &key_len, &v, &v_len, NULL) > 0) {
		autofree char *other = xstrndup(key, key_len);
		if (!str_eq(other, name))
			xattr_record_add(&rest, other, v, v_len);
	}
	if (value)
		xattr_record_add(&rest, name, value, len);
	if (rest.len > XATTR_RECORD_MAX)
		return -ENOSPC;
	bool stands_in = (old.st.mode & S_IFMT) != (st.st_mode & S_IFMT);
	if (!rest.len && !old.st.uid && !old.st.gid && !stands_in)
		return owner_record_drop(o, p, &st);
	return owner_record_set(o, p, &st, &old.st, rest.buf, rest.len);
}

int64_t owner_do_set_xattr(struct owner_job *j)
{
	const uint64_t *a = (const uint64_t *)j->req->data.args;
	struct owner *o = j->o;
	struct owner_path p;
	struct stat st;
	char name[NAME_MAX_XATTR + 1];
	bool removes = j->call == OWNER_REMOVEXATTR || j->call == OWNER_LREMOVEXATTR || j->call == OWNER_FREMOVEXATTR;
	size_t len = removes ? 0 : (size_t)a[3];
	int r = find(j, &p);
	if (r == 0)
		r = read_name(j, name);
	if (r < 0)
		return r;
	if (xattr_is_control(name))
		return removes ? -ENODATA : -EPERM;
	if (len > XATTR_VALUE_MAX)
		return -E2BIG;
	if (len && seccomp_notify_read(&o->d->notify, j->req->pid, a[2], o->value, len) != (ssize_t)len)
		return -EFAULT;
	if (!owner_is_valid(j))
		return -ESRCH;
	if (owner_stat(&p, &st) == 0 && owner_is_program(o, &st))
		return -EPERM;
	int flags = removes ? 0 : (int)a[4];
	if (removes)
		r = p.follow ? removexattr(p.text, name) : lremovexattr(p.text, name);
	else
		r = p.follow ? setxattr(p.text, name, o->value, len, flags)
			     : lsetxattr(p.text, name, o->value, len, flags);
	if (r == 0)
		return 0;
	int errnum = p.by_fd && errno == ENOENT ? EBADF : errno;
	if (!is_kept(name) || !creds_has_cap(owner_creds(j), CAP_SETFCAP) ||
	    !(is_permission(errnum) || (removes && errnum == ENODATA)))
		return -errnum;
	return keep(j, &p, name, removes ? NULL : o->value, len);
}

static ssize_t list(const struct owner_path *p, char *buf, size_t size)
{
	return p->follow ? listxattr(p->text, buf, size) : llistxattr(p->text, buf, size);
}

int64_t owner_do_list_xattr(struct owner_job *j)
{
	const uint64_t *a = (const uint64_t *)j->req->data.args;
	struct owner *o = j->o;
	struct owner_path p;
	if (find(j, &p) < 0)
		return NOTIFYD_CONTINUE;
	ssize_t n = list(&p, o->value, SMALL_LIST);
	if (n < 0 && errno == ERANGE)
		n = list(&p, o->value, XATTR_VALUE_MAX);
	/* Nothing to leave out: the common case. */
	if (n <= 0)
		return NOTIFYD_CONTINUE;
	size_t len = 0;
	o->value[n] = '\0';
	for (size_t at = 0, size; at < (size_t)n; at += size) {
		size = strlen(o->value + at) + 1;
		if (xattr_is_control(o->value + at))
			continue;
		memmove(o->value + len, o->value + at, size);
		len += size;
	}
	if (!a[2])
		return (int64_t)len;
	if (a[2] < len)
		return -ERANGE;
	if (len && (!owner_is_valid(j) || seccomp_notify_write(&o->d->notify, j->req->pid, a[1], o->value, len) < 0))
		return -EFAULT;
	return (int64_t)len;
}
