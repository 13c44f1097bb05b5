/*
 * tree_tar.c - trees between our own stream (rl/base/tree_wire.h) and tar, for `rl cp` with "-"; see archive.h.
 *
 * libarchive does the formats. Names are bytes to us: the program never calls setlocale, so libarchive has no character
 * set to convert to and passes them on as they are. This runs as the caller in a process of its own and opens nothing:
 * what a hostile archive can reach is two pipes.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "rl/base/tree_wire.h"
#include "rl/engine/archive.h"

static int failed(struct archive *a, const char *what, struct err *e)
{
	const char *why = archive_error_string(a);
	int code = archive_errno(a);
	if (code == EPIPE || code == ENOSPC || code == EIO || code == EDQUOT || code == EFBIG)
		return err_sys(e, code, "%s", what);
	return err_set(e, EBADMSG, "%s: %s", what, why ? why : "failed");
}

/* ---- to tar ---- */

static void fill_entry(struct archive_entry *entry, const struct tree_node *n, const char *root, struct str *name)
{
	archive_entry_clear(entry);
	str_cut(name, 0);
	str_addf(name, "%s%s%s", root, *n->path ? "/" : "", n->path);
	if (S_ISDIR(n->mode))
		str_addc(name, '/');
	archive_entry_copy_pathname(entry, name->buf);
	archive_entry_set_mode(entry, n->mode);
	archive_entry_set_uid(entry, n->uid);
	archive_entry_set_gid(entry, n->gid);
	archive_entry_set_mtime(entry, (time_t)n->mtime, (long)n->mtime_ns);
	archive_entry_set_rdevmajor(entry, n->major);
	archive_entry_set_rdevminor(entry, n->minor);
	if (n->hardlink) {
		str_cut(name, 0);
		str_addf(name, "%s%s%s", root, *n->link ? "/" : "", n->link);
		archive_entry_copy_hardlink(entry, name->buf);
	} else if (S_ISLNK(n->mode)) {
		archive_entry_copy_symlink(entry, n->link);
	} else if (S_ISREG(n->mode)) {
		archive_entry_set_size(entry, (int64_t)n->size);
	}
}

/* A file that grew is cut, one that shrank is filled up with zeros (by libarchive): the header has gone. */
static int put_data(struct archive *a, struct tree_in *in, uint64_t left, struct err *e)
{
	static const char zeros[65536];
	const void *data;
	uint64_t len;
	int r;
	while ((r = tree_in_data(in, &data, &len, e)) > 0) {
		len = RL_MIN(len, left);
		left -= len;
		while (len) {
			size_t n = data ? (size_t)len : (size_t)RL_MIN(len, (uint64_t)sizeof(zeros));
			if (archive_write_data(a, data ? data : zeros, n) < 0)
				return failed(a, "write the archive", e);
			len -= n;
		}
	}
	return r;
}

int archive_tree_to_tar(int infd, int outfd, const char *root, struct err *e)
{
	struct tree_in in;
	struct tree_node n;
	autostr struct str name = STR_INIT;
	struct archive *a = archive_write_new();
	struct archive_entry *entry = archive_entry_new();
	tree_in_init(&in, infd);
	int r = 0;
	if (archive_write_set_format_pax(a) != ARCHIVE_OK ||
	    archive_write_add_filter_none(a) != ARCHIVE_OK || archive_write_set_bytes_in_last_block(a, 1) != ARCHIVE_OK || archive_write_open_fd(a, outfd) != ARCHIVE_OK)
		r = failed(a, "write the archive", e);
	while (r >= 0 && (r = tree_in_next(&in, &n, e)) > 0) {
		fill_entry(entry, &n, root, &name);
		uint64_t size = S_ISREG(n.mode) && !n.hardlink ? n.size : 0;
		if (archive_write_header(a, entry) < ARCHIVE_WARN)
			r = failed(a, n.path, e);
		else if (S_ISREG(n.mode) && !n.hardlink)
			r = put_data(a, &in, size, e);
	}
	if (r >= 0 && archive_write_close(a) != ARCHIVE_OK)
		r = failed(a, "write the archive", e);
	tree_in_free(&in);
	archive_entry_free(entry);
	archive_write_free(a);
	return r < 0 ? r : 0;
}

/* ---- from tar ---- */

/* Relative, without empty and "." components; -EBADMSG for "..". */
static int clean_path(const char *text, struct str *out, struct err *e)
{
	str_cut(out, 0);
	for (const char *p = text; *p;) {
		size_t n = strcspn(p, "/");
		if (n == 2 && p[0] == '.' && p[1] == '.')
			return err_set(e, EBADMSG, "the archive has the path %.200s", text);
		if (n && !(n == 1 && *p == '.')) {
			if (out->len)
				str_addc(out, '/');
			str_add(out, p, n);
		}
		p += n;
		p += *p == '/';
	}
	return 0;
}

static int take_data(struct archive *a, struct tree_out *out, struct err *e)
{
	const void *data;
	size_t len;
	int64_t offset;
	int64_t at = 0;
	int status;
	while ((status = archive_read_data_block(a, &data, &len, &offset)) == ARCHIVE_OK) {
		int r = offset > at ? tree_out_hole(out, (uint64_t)(offset - at), e) : 0;
		if (r >= 0)
			r = tree_out_data(out, data, len, e);
		if (r < 0)
			return r;
		at = offset + (int64_t)len;
	}
	return status == ARCHIVE_EOF ? tree_out_file_end(out, e) : failed(a, "read the archive", e);
}

static int take_entry(struct archive *a, struct archive_entry *entry, struct tree_out *out, struct err *e)
{
	autostr struct str path = STR_INIT;
	autostr struct str link = STR_INIT;
	const char *name = archive_entry_pathname(entry);
	const char *hardlink = archive_entry_hardlink(entry);
	const char *symlink = archive_entry_symlink(entry);
	int r = clean_path(name ? name : "", &path, e);
	if (r >= 0 && hardlink)
		r = clean_path(hardlink, &link, e);
	if (r < 0)
		return r;
	struct tree_node n = {
		.mode = archive_entry_mode(entry),
		.uid = (uint32_t)archive_entry_uid(entry),
		.gid = (uint32_t)archive_entry_gid(entry),
		.major = (uint32_t)archive_entry_rdevmajor(entry),
		.minor = (uint32_t)archive_entry_rdevminor(entry),
		.mtime = archive_entry_mtime(entry),
		.mtime_ns = (uint32_t)archive_entry_mtime_nsec(entry),
		.size = (uint64_t)archive_entry_size(entry),
		.hardlink = hardlink != NULL,
		.path = path.buf,
		.link = hardlink ? link.buf : symlink ? symlink : "",
	};
	if (hardlink)
		n.mode = S_IFREG | (n.mode & 07777u);
	r = tree_out_node(out, &n, e);
	if (r >= 0 && S_ISREG(n.mode) && !hardlink)
		r = take_data(a, out, e);
	return r;
}

int archive_tar_to_tree(int infd, int outfd, struct err *e)
{
	struct tree_out out;
	struct archive_entry *entry;
	struct archive *a = archive_read_new();
	tree_out_init(&out, outfd);
	int r = 0;
	int status = ARCHIVE_EOF;
	if (archive_read_support_format_tar(a) != ARCHIVE_OK || archive_read_support_format_empty(a) != ARCHIVE_OK ||
	    archive_read_support_filter_gzip(a) < ARCHIVE_WARN ||
	    archive_read_support_filter_bzip2(a) < ARCHIVE_WARN || archive_read_support_filter_xz(a) < ARCHIVE_WARN ||
	    archive_read_support_filter_zstd(a) < ARCHIVE_WARN || archive_read_open_fd(a, infd, 64 * 1024) != ARCHIVE_OK)
		r = failed(a, "not a tar archive", e);
	while (r >= 0 && (status = archive_read_next_header(a, &entry)) >= ARCHIVE_WARN && status != ARCHIVE_EOF)
		r = take_entry(a, entry, &out, e);
	if (r >= 0 && status != ARCHIVE_EOF)
		r = failed(a, "read the archive", e);
	if (r >= 0)
		r = tree_out_end(&out, e);
	tree_out_free(&out);
	archive_read_free(a);
	return r;
}
