/* tree_wire.c - see tree_wire.h. Headers and small files go through a buffer, so that many of them cost few calls. */
#include "rl/base/tree_wire.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"

enum frame_kind { FRAME_NODE = 0x1001, FRAME_DATA, FRAME_HOLE, FRAME_FILE_END, FRAME_END };

enum { DATA_MAX = 64 * 1024 };

struct frame {
	uint32_t kind;
	uint32_t len;
};

struct wire_node {
	uint32_t mode, uid, gid, major, minor, mtime_ns, hardlink, path_len, link_len;
	uint32_t unused;
	int64_t mtime;
	uint64_t size;
};

_Static_assert((int)TREE_BUFFER > (int)DATA_MAX + 2 * (int)TREE_NAME_MAX + 256, "a frame fits into the buffer");

/* ---- writing ---- */

void tree_out_init(struct tree_out *o, int fd)
{
	*o = (struct tree_out){.fd = fd, .buffer = xmalloc(TREE_BUFFER)};
}

void tree_out_free(struct tree_out *o)
{
	free(o->buffer);
	o->buffer = NULL;
}

static int flush(struct tree_out *o, struct err *e)
{
	int r = o->used ? io_write_all(o->fd, o->buffer, o->used, e) : 0;
	o->used = 0;
	return r;
}

static void put(struct tree_out *o, const void *data, size_t len)
{
	memcpy(o->buffer + o->used, data, len);
	o->used += len;
}

/* Room for a frame of this length, header included. */
static int begin(struct tree_out *o, enum frame_kind kind, size_t len, struct err *e)
{
	struct frame f = {.kind = kind, .len = (uint32_t)len};
	int r = o->used + sizeof(f) + len > TREE_BUFFER ? flush(o, e) : 0;
	if (r >= 0)
		put(o, &f, sizeof(f));
	return r;
}

int tree_out_node(struct tree_out *o, const struct tree_node *n, struct err *e)
{
	struct wire_node w = {
		.mode = n->mode,
		.uid = n->uid,
		.gid = n->gid,
		.major = n->major,
		.minor = n->minor,
		.mtime_ns = n->mtime_ns,
		.mtime = n->mtime,
		.size = n->size,
		.hardlink = n->hardlink,
		.path_len = (uint32_t)strlen(n->path) + 1,
		.link_len = n->link ? (uint32_t)strlen(n->link) + 1 : 1,
	};
	if (w.path_len > TREE_NAME_MAX || w.link_len > TREE_NAME_MAX)
		return err_sys(e, ENAMETOOLONG, "%.64s...", n->path);
	int r = begin(o, FRAME_NODE, sizeof(w) + w.path_len + w.link_len, e);
	if (r < 0)
		return r;
	put(o, &w, sizeof(w));
	put(o, n->path, w.path_len);
	put(o, n->link ? n->link : "", w.link_len);
	return 0;
}

int tree_out_data(struct tree_out *o, const void *data, size_t len, struct err *e)
{
	for (const char *p = data; len;) {
		size_t n = RL_MIN(len, (size_t)DATA_MAX);
		int r = begin(o, FRAME_DATA, n, e);
		if (r < 0)
			return r;
		put(o, p, n);
		p += n;
		len -= n;
	}
	return 0;
}

int tree_out_hole(struct tree_out *o, uint64_t len, struct err *e)
{
	int r = begin(o, FRAME_HOLE, sizeof(len), e);
	if (r >= 0)
		put(o, &len, sizeof(len));
	return r;
}

int tree_out_file_end(struct tree_out *o, struct err *e)
{
	return begin(o, FRAME_FILE_END, 0, e);
}

int tree_out_end(struct tree_out *o, struct err *e)
{
	int r = begin(o, FRAME_END, 0, e);
	return r < 0 ? r : flush(o, e);
}

/* ---- reading ---- */

void tree_in_init(struct tree_in *i, int fd)
{
	*i = (struct tree_in){.fd = fd, .buffer = xmalloc(TREE_BUFFER)};
}

void tree_in_free(struct tree_in *i)
{
	free(i->buffer);
	i->buffer = NULL;
}

/* Have `len` bytes at i->at. */
static int need(struct tree_in *i, size_t len, struct err *e)
{
	if (i->have - i->at < len && i->at) {
		memmove(i->buffer, i->buffer + i->at, i->have - i->at);
		i->have -= i->at;
		i->at = 0;
	}
	while (i->have - i->at < len) {
		ssize_t n = read(i->fd, i->buffer + i->have, TREE_BUFFER - i->have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "read the copied files");
		if (n == 0)
			return err_set(e, EPIPE, "the copied files end in the middle");
		i->have += (size_t)n;
	}
	return 0;
}

static int next_frame(struct tree_in *i, struct frame *f, struct err *e)
{
	int r = need(i, sizeof(*f), e);
	if (r < 0)
		return r;
	memcpy(f, i->buffer + i->at, sizeof(*f));
	if (f->len > DATA_MAX + 2 * TREE_NAME_MAX)
		return err_set(e, EPROTO, "malformed frame");
	r = need(i, sizeof(*f) + f->len, e);
	i->payload = i->buffer + i->at + sizeof(*f);
	i->at += sizeof(*f) + f->len;
	return r;
}

static int parse_node(struct tree_in *i, const struct frame *f, struct tree_node *ret, struct err *e)
{
	struct wire_node w;
	if (f->len < sizeof(w))
		return err_set(e, EPROTO, "malformed frame");
	memcpy(&w, i->payload, sizeof(w));
	const char *path = i->payload + sizeof(w);
	if (!w.path_len || !w.link_len || w.path_len > TREE_NAME_MAX || w.link_len > TREE_NAME_MAX ||
	    f->len != sizeof(w) + w.path_len + w.link_len || path[w.path_len - 1] || path[w.path_len + w.link_len - 1])
		return err_set(e, EPROTO, "malformed frame");
	*ret = (struct tree_node){.mode = w.mode,
				  .uid = w.uid,
				  .gid = w.gid,
				  .major = w.major,
				  .minor = w.minor,
				  .mtime = w.mtime,
				  .mtime_ns = w.mtime_ns,
				  .size = w.size,
				  .hardlink = w.hardlink,
				  .path = path,
				  .link = path + w.path_len};
	i->in_file = S_ISREG(w.mode) && !w.hardlink;
	return 1;
}

int tree_in_data(struct tree_in *i, const void **ret_data, uint64_t *ret_len, struct err *e)
{
	struct frame f;
	if (!i->in_file)
		return 0;
	int r = next_frame(i, &f, e);
	if (r < 0)
		return r;
	switch (f.kind) {
	case FRAME_DATA:
		*ret_data = i->payload;
		*ret_len = f.len;
		return 1;
	case FRAME_HOLE:
		if (f.len != sizeof(*ret_len))
			break;
		*ret_data = NULL;
		memcpy(ret_len, i->payload, sizeof(*ret_len));
		return 1;
	case FRAME_FILE_END:
		i->in_file = false;
		return 0;
	default:
		break;
	}
	return err_set(e, EPROTO, "malformed frame");
}

int tree_in_next(struct tree_in *i, struct tree_node *ret, struct err *e)
{
	const void *data;
	uint64_t len;
	int r;
	while ((r = tree_in_data(i, &data, &len, e)) > 0)
		;
	struct frame f;
	if (r >= 0)
		r = next_frame(i, &f, e);
	if (r < 0)
		return r;
	if (f.kind == FRAME_END)
		return 0;
	return f.kind == FRAME_NODE ? parse_node(i, &f, ret, e) : err_set(e, EPROTO, "malformed frame");
}
