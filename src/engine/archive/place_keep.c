/*
 * place_keep.c - control records of what could not be made as the archive says; part of place_int.h.
 *
 * Theory: the record goes to the first place that takes it: an xattr of the object, for symlinks an xattr of the parent
 * directory, else the sidecar file. The sidecar is append-only and its last entry of a path wins, so that an entry
 * replaced later in the same archive is revoked by an empty record. (Formats: rl/kern/xattr.h, rl/engine/archive.h.)
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "place_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/kern/xattr.h"

static uint32_t type_bits(enum entry_type type)
{
	static const uint32_t bits[] = {
		[ENTRY_FILE] = S_IFREG, [ENTRY_DIR] = S_IFDIR, [ENTRY_SYMLINK] = S_IFLNK, [ENTRY_HARDLINK] = S_IFREG,
		[ENTRY_CHR] = S_IFCHR,	[ENTRY_BLK] = S_IFBLK, [ENTRY_FIFO] = S_IFIFO,
	};
	return bits[type];
}

static int sidecar_add(struct place *p, struct dir *parent, const char *name, const char *record, size_t len,
		       struct err *e)
{
	const char *canon;
	int r = dirs_canon(&p->dirs, parent, &canon, e);
	if (r < 0)
		return r;
	if (p->sidecarfd < 0) {
		err_set(e, EOPNOTSUPP,
			"the owner of %s%s%s cannot be kept: the file system of the store refuses extended "
			"attributes",
			canon, *canon ? "/" : "", name);
		return err_hint(e, "put the store on ext4, xfs, btrfs, or tmpfs of Linux 6.6 or newer");
	}
	autostr struct str out = STR_INIT;
	if (!p->result.sidecar_size)
		str_adds(&out, "rl-stat 1\n");
	size_t sep = *canon && *name ? 1 : 0;
	str_addf(&out, "%zu %zu\n%s%s%s", strlen(canon) + sep + strlen(name), len, canon, sep ? "/" : "", name);
	str_add(&out, record, len);
	r = io_write_all(p->sidecarfd, out.buf, out.len, e);
	if (r < 0)
		return err_ctx(e, "sidecar");
	p->result.sidecar_size += out.len;
	return 0;
}

int keep_record(struct place *p, const struct entry *en, int fd, struct dir *parent, const char *name,
		const struct str *unset, struct err *e)
{
	const struct xattr_stat st = {
		.uid = en->uid,
		.gid = en->gid,
		.mode = type_bits(en->type) | (en->mode & 07777),
		.major = en->type == ENTRY_CHR || en->type == ENTRY_BLK ? en->major : 0,
		.minor = en->type == ENTRY_CHR || en->type == ENTRY_BLK ? en->minor : 0,
	};
	autostr struct str record = STR_INIT;
	xattr_record_start(&st, &record);
	if (unset)
		str_add(&record, unset->buf, unset->len);
	p->result.records++;
	char at_name[256];
	int r = -ENOTSUP;
	if (record.len > XATTR_RECORD_MAX) {
		/* straight to the sidecar */
	} else if (fd >= 0) {
		r = xattr_set(fd, XATTR_STAT, record.buf, record.len);
	} else if (xattr_at_name(name, at_name)) {
		r = xattr_set(parent->fd, at_name, record.buf, record.len);
		if (r == 0)
			p->at_records = true;
	}
	return r < 0 ? sidecar_add(p, parent, name, record.buf, record.len, e) : 0;
}

int keep_forget(struct place *p, struct dir *parent, const char *name, struct err *e)
{
	char at_name[256];
	if (p->at_records && xattr_at_name(name, at_name))
		(void)fremovexattr(parent->fd, at_name);
	return p->result.sidecar_size ? sidecar_add(p, parent, name, "", 0, e) : 0;
}

int keep_xattrs(struct place *p, const struct entry *en, int fd, struct str *unset, struct err *e)
{
	for (size_t i = 0; i < en->nxattrs; i++) {
		const struct entry_xattr *x = &en->xattrs[i];
		if (xattr_is_control(x->name))
			continue;
		if (strlen(x->name) > 255 || !*x->name || x->len > XATTR_VALUE_MAX)
			return err_set(e, EBADMSG, "%s: extended attribute %.64s is too large", en->path, x->name);
		if (fd >= 0 && xattr_set(fd, x->name, x->value, x->len) == 0) {
			if (str_eq(x->name, "system.posix_acl_default"))
				p->acl_default_seen = true;
			continue;
		}
		xattr_record_add(unset, x->name, x->value, x->len);
	}
	return 0;
}
