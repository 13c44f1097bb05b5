/*
 * tar.c - see tar_int.h; the only file that knows libarchive.
 */
#include "tar_int.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "rl/base/mem.h"

enum { TRAILER_MAX = 16 << 20 };

struct tar {
	struct archive *a;
	struct ring *ring;
	size_t reader;
	bool ring_ended;
	struct err ring_error;
	struct entry_xattr *xattrs;
	size_t xattrs_size;
};

static ssize_t read_ring(struct archive *a, void *ctx, const void **ret_data)
{
	struct tar *t = ctx;
	const unsigned char *data;
	size_t len;
	int r = ring_next(t->ring, t->reader, &data, &len, &t->ring_error);
	if (r < 0) {
		archive_set_error(a, EIO, "input failed");
		return ARCHIVE_FATAL;
	}
	if (r == 0) {
		t->ring_ended = true;
		return 0;
	}
	*ret_data = data;
	return (ssize_t)len;
}

/* What libarchive reports, unless the input itself failed. */
static int malformed(struct tar *t, const char *what, struct err *e)
{
	if (t->ring_error.code) {
		if (e)
			*e = t->ring_error;
		return -t->ring_error.code;
	}
	const char *why = archive_error_string(t->a);
	return err_set(e, archive_errno(t->a) == ENOMEM ? ENOMEM : EBADMSG, "%s: %s", what, why ? why : "malformed");
}

int tar_open(struct ring *ring, size_t reader, struct tar **ret, struct err *e)
{
	struct tar *t = xcalloc(1, sizeof(*t));
	t->ring = ring;
	t->reader = reader;
	t->a = archive_read_new();
	if (!t->a || archive_read_support_format_tar(t->a) != ARCHIVE_OK ||
	    archive_read_support_filter_none(t->a) != ARCHIVE_OK ||
	    archive_read_open(t->a, t, NULL, read_ring, NULL) != ARCHIVE_OK) {
		int r = malformed(t, "not a tar archive", e);
		tar_close(t);
		return r;
	}
	*ret = t;
	return 0;
}

void tar_close(struct tar *t)
{
	if (!t)
		return;
	archive_read_free(t->a);
	free(t->xattrs);
	free(t);
}

static int entry_type(struct archive_entry *ae, const char *path, enum entry_type *ret, struct err *e)
{
	if (archive_entry_hardlink(ae)) {
		*ret = ENTRY_HARDLINK;
		return 0;
	}
	switch (archive_entry_filetype(ae)) {
	case AE_IFREG:
		*ret = ENTRY_FILE;
		return 0;
	case AE_IFDIR:
		*ret = ENTRY_DIR;
		return 0;
	case AE_IFLNK:
		*ret = ENTRY_SYMLINK;
		return 0;
	case AE_IFCHR:
		*ret = ENTRY_CHR;
		return 0;
	case AE_IFBLK:
		*ret = ENTRY_BLK;
		return 0;
	case AE_IFIFO:
		*ret = ENTRY_FIFO;
		return 0;
	default:
		return err_set(e, EBADMSG, "%.200s: an entry of unknown type", path);
	}
}

static int entry_id(int64_t id, const char *path, uint32_t *ret, struct err *e)
{
	if (id < 0 || id >= UINT32_MAX)
		return err_set(e, EBADMSG, "%.200s: impossible owner %lld", path, (long long)id);
	*ret = (uint32_t)id;
	return 0;
}

static void entry_xattrs(struct tar *t, struct archive_entry *ae, struct entry *en)
{
	size_t n = (size_t)archive_entry_xattr_reset(ae);
	if (n > t->xattrs_size) {
		t->xattrs = xreallocarray(t->xattrs, n, sizeof(*t->xattrs));
		t->xattrs_size = n;
	}
	for (size_t i = 0; i < n; i++) {
		struct entry_xattr *x = &t->xattrs[i];
		if (archive_entry_xattr_next(ae, &x->name, &x->value, &x->len) != ARCHIVE_OK)
			break;
		en->nxattrs = i + 1;
	}
	en->xattrs = t->xattrs;
}

/* A failed conversion leaves the name's bytes as they were, which is what is wanted. */
static bool is_harmless_warning(struct tar *t)
{
	const char *why = archive_error_string(t->a);
	return why && strstr(why, "can't be converted");
}

int tar_next(struct tar *t, struct entry *ret, struct err *e)
{
	struct archive_entry *ae;
	int r = archive_read_next_header(t->a, &ae);
	if (r == ARCHIVE_EOF)
		return t->ring_error.code ? malformed(t, "archive", e) : 0;
	if (r != ARCHIVE_OK && !(r == ARCHIVE_WARN && is_harmless_warning(t)))
		return malformed(t, "malformed archive", e);
	const char *path = archive_entry_pathname(ae);
	if (!path)
		return err_set(e, EBADMSG, "an entry has no name");
	struct entry en = {.path = path, .mode = archive_entry_perm(ae) & 07777};
	r = entry_type(ae, path, &en.type, e);
	if (r == 0)
		r = entry_id(archive_entry_uid(ae), path, &en.uid, e);
	if (r == 0)
		r = entry_id(archive_entry_gid(ae), path, &en.gid, e);
	if (r < 0)
		return r;
	en.target = en.type == ENTRY_HARDLINK ? archive_entry_hardlink(ae) : archive_entry_symlink(ae);
	if (!en.target)
		en.target = "";
	en.major = (uint32_t)archive_entry_rdevmajor(ae);
	en.minor = (uint32_t)archive_entry_rdevminor(ae);
	int64_t size = archive_entry_size(ae);
	if (en.type == ENTRY_FILE && size < 0)
		return err_set(e, EBADMSG, "%.200s: impossible size", path);
	en.size = (uint64_t)RL_MAX(size, (int64_t)0);
	long nsec = archive_entry_mtime_nsec(ae);
	en.mtime.tv_sec = archive_entry_mtime(ae);
	en.mtime.tv_nsec = nsec < 0 || nsec > 999999999 ? 0 : nsec;
	entry_xattrs(t, ae, &en);
	*ret = en;
	return 1;
}

int tar_data(struct tar *t, const void **ret_data, size_t *ret_len, uint64_t *ret_offset, struct err *e)
{
	int64_t offset;
	int r = archive_read_data_block(t->a, ret_data, ret_len, &offset);
	if (r == ARCHIVE_EOF)
		return t->ring_error.code ? malformed(t, "archive", e) : 0;
	if (r != ARCHIVE_OK || offset < 0)
		return malformed(t, "malformed archive", e);
	*ret_offset = (uint64_t)offset;
	return 1;
}

int tar_drain(struct tar *t, struct err *e)
{
	uint64_t total = 0;
	while (!t->ring_ended) {
		const unsigned char *data;
		size_t len;
		int r = ring_next(t->ring, t->reader, &data, &len, e);
		if (r <= 0)
			return r;
		total += len;
		if (total > TRAILER_MAX)
			return err_set(e, EBADMSG, "the archive goes on for more than %d MiB after its end",
				       TRAILER_MAX >> 20);
	}
	return 0;
}
