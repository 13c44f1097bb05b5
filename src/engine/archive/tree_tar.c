/*
 * tree_tar.c - trees between our own stream (rl/base/tree_wire.h) and tar, for `rl cp` with "-"; see archive.h.
 *
 * Out, the packer's headers and sink are used, with data that comes from the stream; in, the unpacker's source and
 * reader. This runs as the caller in a process of its own and opens nothing: what a hostile archive can reach is two
 * pipes.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "pack_int.h"
#include "rl/base/mem.h"
#include "rl/base/tree_wire.h"
#include "source_int.h"
#include "tar_int.h"

/* ---- to tar ---- */

/* Exactly `size` bytes: a file that grew is cut, one that shrank is filled up with zeros, since the header has gone. */
static int put_data(struct pack_tar *t, void *arg, uint64_t size, struct err *e)
{
	struct tree_in *in = arg;
	const void *data;
	uint64_t len;
	int r;
	while ((r = tree_in_data(in, &data, &len, e)) > 0) {
		len = RL_MIN(len, size);
		size -= len;
		r = pack_tar_bytes(t, data, len, e);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : pack_tar_bytes(t, NULL, size, e);
}

static int put_node(struct pack_tar *t, struct tree_in *in, const struct tree_node *n, const char *root, struct err *e)
{
	autofree char *path = *n->path ? xasprintf("%s/%s", root, n->path) : xstrdup(root);
	autofree char *link = !n->hardlink ? xstrdup(n->link)
			      : *n->link   ? xasprintf("%s/%s", root, n->link)
					   : xstrdup(root);
	return pack_tar_node(t,
			     &(struct pack_node){.path = path,
						 .mode = n->mode,
						 .uid = n->uid,
						 .gid = n->gid,
						 .major = n->major,
						 .minor = n->minor,
						 .size = n->size,
						 .mtime = {.tv_sec = (time_t)n->mtime, .tv_nsec = (long)n->mtime_ns},
						 .target = link,
						 .hardlink = n->hardlink,
						 .fd = -1,
						 .put_data = put_data,
						 .put_arg = in},
			     e);
}

int archive_tree_to_tar(int infd, int outfd, const char *root, struct err *e)
{
	struct ring ring;
	struct tree_in in;
	struct tree_node n;
	struct pack_tar tar = {.ring = &ring};
	struct pack_sink sink = {.ring = &ring, .outfd = outfd, .compression = ARCHIVE_PLAIN, .threads = 1};
	ring_init(&ring, 1);
	int r = pack_sink_start(&sink, e);
	if (r < 0) {
		ring_free(&ring);
		return r;
	}
	tree_in_init(&in, infd);
	struct err why = ERR_INIT;
	while ((r = tree_in_next(&in, &n, &why)) > 0) {
		r = put_node(&tar, &in, &n, root, &why);
		if (r < 0)
			break;
	}
	if (r >= 0)
		r = pack_tar_end(&tar, &why);
	if (r < 0)
		ring_fail(&ring, &why);
	pack_sink_join(&sink);
	/* The sink's failure is the cause where this side was only told to stop. */
	int failed = ring_error(&ring, e);
	tree_in_free(&in);
	ring_free(&ring);
	return failed < 0 ? failed : 0;
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

static int take_data(struct tar *t, struct tree_out *out, uint64_t size, struct err *e)
{
	const void *data;
	size_t len;
	uint64_t offset;
	uint64_t at = 0;
	int r;
	while ((r = tar_data(t, &data, &len, &offset, e)) > 0) {
		r = offset > at ? tree_out_hole(out, offset - at, e) : 0;
		if (r >= 0)
			r = tree_out_data(out, data, len, e);
		if (r < 0)
			return r;
		at = offset + len;
	}
	if (r >= 0 && at < size)
		r = tree_out_hole(out, size - at, e);
	return r < 0 ? r : tree_out_file_end(out, e);
}

static int take_entry(struct tar *t, const struct entry *en, struct tree_out *out, struct err *e)
{
	static const uint32_t types[] = {
		[ENTRY_FILE] = S_IFREG, [ENTRY_DIR] = S_IFDIR, [ENTRY_SYMLINK] = S_IFLNK, [ENTRY_HARDLINK] = S_IFREG,
		[ENTRY_CHR] = S_IFCHR,	[ENTRY_BLK] = S_IFBLK, [ENTRY_FIFO] = S_IFIFO};
	autostr struct str path = STR_INIT;
	autostr struct str link = STR_INIT;
	int r = clean_path(en->path, &path, e);
	if (r >= 0 && en->type == ENTRY_HARDLINK)
		r = clean_path(en->target, &link, e);
	if (r < 0)
		return r;
	const struct tree_node n = {
		.mode = types[en->type] | en->mode,
		.uid = en->uid,
		.gid = en->gid,
		.major = en->major,
		.minor = en->minor,
		.mtime = en->mtime.tv_sec,
		.mtime_ns = (uint32_t)en->mtime.tv_nsec,
		.size = en->size,
		.hardlink = en->type == ENTRY_HARDLINK,
		.path = path.buf,
		.link = en->type == ENTRY_HARDLINK  ? link.buf
			: en->type == ENTRY_SYMLINK ? en->target
						    : "",
	};
	r = tree_out_node(out, &n, e);
	if (r >= 0 && en->type == ENTRY_FILE)
		r = take_data(t, out, en->size, e);
	return r;
}

static int take_all(struct ring *ring, struct tree_out *out, struct err *e)
{
	struct tar *t = NULL;
	struct entry en;
	int r = tar_open(ring, 0, &t, e);
	if (r < 0)
		return r;
	while ((r = tar_next(t, &en, e)) > 0) {
		r = take_entry(t, &en, out, e);
		if (r < 0)
			break;
	}
	if (r >= 0)
		r = tar_drain(t, e);
	if (r >= 0)
		r = tree_out_end(out, e);
	tar_close(t);
	return r;
}

/* What the reading thread of a failed conversion goes on using: kept in sight until the process ends. */
static struct source *volatile abandoned;

int archive_tar_to_tree(int infd, int outfd, struct err *e)
{
	struct ring *ring = xcalloc(1, sizeof(*ring));
	struct source *source = xcalloc(1, sizeof(*source));
	struct tree_out out;
	*source = (struct source){.blobfd = infd, .teefd = -1, .feedfd = -1, .ring = ring};
	ring_init(ring, 1);
	int r = source_start(source, e);
	if (r >= 0) {
		tree_out_init(&out, outfd);
		r = take_all(ring, &out, e);
		tree_out_free(&out);
		/* The source may wait for a person at the other end of a pipe: it is not joined, and keeps what it uses until
		 * the process ends, which is now. */
		if (r < 0) {
			ring_fail(ring, &(struct err){.code = ECANCELED});
			abandoned = source;
			return r;
		}
		source_join(source);
	}
	ring_free(ring);
	free(ring);
	free(source);
	return r;
}
