/*
 * pack_tar.c - tar headers and file data; part of pack_int.h.
 *
 * Theory: what is written must be a function of the node alone, so headers are made here and by no library: ustar, and
 * in front of it a pax header with exactly the values that ustar cannot hold, in a fixed order. Numbers have one form
 * (octal, zero-padded, NUL at the end), user and group names are empty, access and change times are not written.
 *
 * Names are bytes, in pax headers too: readers take what is not UTF-8 as it is, and "hdrcharset=BINARY", which would
 * say so, makes GNU tar complain.
 *
 * Data is read from the file straight into the ring. A file that shrinks meanwhile is filled up with zeros, one that
 * grows is cut: the header has been written with its size.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pack_int.h"
#include "rl/base/mem.h"
#include "rl/kern/xattr.h"

enum {
	BLOCK = 512,
	OCTAL7_MAX = 07777777,
	SPARSE_MIN = 64 * 1024, /* holes in all, below which a file is written in full */
	SPARSE_CHUNKS_MAX = 100000,
	NAME_FIELD = 100,
	PREFIX_FIELD = 155,
};
static const uint64_t octal11_max = 077777777777;

struct ustar {
	char name[100];
	char mode[8];
	char uid[8];
	char gid[8];
	char size[12];
	char mtime[12];
	char checksum[8];
	char type;
	char link[100];
	char magic[8];
	char uname[32];
	char gname[32];
	char major[8];
	char minor[8];
	char prefix[155];
	char pad[12];
};
static_assert(sizeof(struct ustar) == BLOCK, "a tar header is one block");

/* ---- bytes into the ring ---- */

static int room(struct pack_tar *t, unsigned char **ret, size_t *ret_len, struct err *e)
{
	if (t->slot && t->used == RING_SLOT_SIZE) {
		ring_put(t->ring, t->used);
		t->slot = NULL;
	}
	if (!t->slot) {
		t->slot = ring_get(t->ring);
		t->used = 0;
		if (!t->slot) {
			int r = ring_error(t->ring, e);
			return r < 0 ? r : err_set(e, ECANCELED, "packing was stopped");
		}
	}
	*ret = t->slot + t->used;
	*ret_len = RING_SLOT_SIZE - t->used;
	return 0;
}

static void advance(struct pack_tar *t, size_t n)
{
	t->used += n;
	t->total += n;
}

/* data NULL: zeros */
static int put(struct pack_tar *t, const void *data, uint64_t len, struct err *e)
{
	const unsigned char *from = data;
	while (len) {
		unsigned char *to = NULL;
		size_t n = 0;
		int r = room(t, &to, &n, e);
		if (r < 0)
			return r;
		n = (size_t)RL_MIN((uint64_t)n, len);
		if (from) {
			memcpy(to, from, n);
			from += n;
		} else {
			memset(to, 0, n);
		}
		advance(t, n);
		len -= n;
	}
	return 0;
}

static int put_padding(struct pack_tar *t, struct err *e)
{
	return put(t, NULL, (uint64_t) - (int64_t)t->total & (BLOCK - 1), e);
}

static int put_file_range(struct pack_tar *t, int fd, uint64_t offset, uint64_t len, struct err *e)
{
	while (len) {
		unsigned char *to = NULL;
		size_t n = 0;
		int r = room(t, &to, &n, e);
		if (r < 0)
			return r;
		ssize_t got = pread(fd, to, (size_t)RL_MIN((uint64_t)n, len), (off_t)offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(e, errno, "read");
		if (got == 0)
			return put(t, NULL, len, e);
		advance(t, (size_t)got);
		offset += (uint64_t)got;
		len -= (uint64_t)got;
	}
	return 0;
}

/* ---- headers ---- */

/* "LEN KEY=VALUE\n", where LEN counts itself. */
static void pax_add(struct str *pax, const char *key, const void *value, size_t len)
{
	size_t rest = 1 + strlen(key) + 1 + len + 1;
	size_t total = rest + 1;
	for (;;) {
		size_t digits = (size_t)snprintf(NULL, 0, "%zu", total);
		if (rest + digits == total)
			break;
		total = rest + digits;
	}
	str_addf(pax, "%zu %s=", total, key);
	str_add(pax, value, len);
	str_addc(pax, '\n');
}

static void pax_add_text(struct str *pax, const char *key, const char *value)
{
	pax_add(pax, key, value, strlen(value));
}

static void pax_add_number(struct str *pax, const char *key, uint64_t value)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRIu64, value);
	pax_add_text(pax, key, text);
}

static void put_octal(char *field, size_t width, uint64_t value)
{
	field[width - 1] = '\0';
	for (size_t i = width - 1; i-- > 0; value >>= 3)
		field[i] = (char)('0' + (value & 7));
}

/* A number into its field, or 0 there and the value into the pax header. */
static void field_or_pax(char *field, size_t width, uint64_t value, uint64_t max, struct str *pax, const char *key)
{
	if (value > max)
		pax_add_number(pax, key, value);
	put_octal(field, width, value > max ? 0 : value);
}

/* Name into name and prefix fields; false when it does not fit. */
static bool put_name(struct ustar *h, const char *name)
{
	size_t len = strlen(name);
	if (len <= NAME_FIELD) {
		memcpy(h->name, name, len);
		return true;
	}
	/* The leftmost slash that leaves a suffix short enough, so that there is one way to do it. */
	for (const char *p = name; (p = strchr(p, '/')); p++) {
		size_t prefix = (size_t)(p - name);
		size_t suffix = len - prefix - 1;
		if (prefix == 0 || suffix == 0 || suffix > NAME_FIELD)
			continue;
		if (prefix > PREFIX_FIELD)
			return false;
		memcpy(h->prefix, name, prefix);
		memcpy(h->name, p + 1, suffix);
		return true;
	}
	return false;
}

static void put_checksum(struct ustar *h)
{
	unsigned sum = 0;
	memset(h->checksum, ' ', sizeof(h->checksum));
	const unsigned char *p = (const unsigned char *)h;
	for (size_t i = 0; i < sizeof(*h); i++)
		sum += p[i];
	put_octal(h->checksum, 7, sum);
}

static void add_mtime(struct ustar *h, const struct pack_node *n, struct str *pax)
{
	bool fits = n->mtime.tv_sec >= 0 && (uint64_t)n->mtime.tv_sec <= octal11_max;
	put_octal(h->mtime, sizeof(h->mtime), fits ? (uint64_t)n->mtime.tv_sec : 0);
	if (fits && !n->mtime.tv_nsec)
		return;
	/* Before 1970 in whole seconds: readers disagree about what the fraction of a negative number means. */
	char text[48];
	int len = snprintf(text, sizeof(text), "%" PRId64, (int64_t)n->mtime.tv_sec);
	if (n->mtime.tv_nsec && n->mtime.tv_sec >= 0) {
		len += snprintf(text + len, sizeof(text) - (size_t)len, ".%09ld", n->mtime.tv_nsec);
		while (text[len - 1] == '0')
			text[--len] = '\0';
	}
	pax_add_text(pax, "mtime", text);
}

static int add_xattrs(const struct pack_node *n, struct str *pax, struct err *e)
{
	size_t pos = 0;
	const char *name;
	const char *value;
	size_t name_len;
	size_t len;
	int r = 0;
	while (n->xattrs &&
	       (r = xattr_record_next(n->xattrs->buf, n->xattrs->len, &pos, &name, &name_len, &value, &len, e)) > 0) {
		char key[sizeof("SCHILY.xattr.") + 256];
		snprintf(key, sizeof(key), "SCHILY.xattr.%.*s", (int)name_len, name);
		/* The separator of a pax record cannot be part of its key. */
		if (memchr(name, '=', name_len))
			continue;
		pax_add(pax, key, value, len);
	}
	return r;
}

static int put_pax(struct pack_tar *t, const struct str *pax, struct err *e)
{
	struct ustar h = {.name = "PaxHeaders",
			  .type = 'x',
			  .magic = "ustar\0"
				   "00"};
	put_octal(h.mode, sizeof(h.mode), 0644);
	put_octal(h.uid, sizeof(h.uid), 0);
	put_octal(h.gid, sizeof(h.gid), 0);
	put_octal(h.size, sizeof(h.size), pax->len);
	put_octal(h.mtime, sizeof(h.mtime), 0);
	put_octal(h.major, sizeof(h.major), 0);
	put_octal(h.minor, sizeof(h.minor), 0);
	put_checksum(&h);
	int r = put(t, &h, sizeof(h), e);
	if (r == 0)
		r = put(t, pax->buf, pax->len, e);
	return r < 0 ? r : put_padding(t, e);
}

static char type_flag(const struct pack_node *n)
{
	if (n->hardlink)
		return '1';
	switch (n->mode & S_IFMT) {
	case S_IFDIR:
		return '5';
	case S_IFLNK:
		return '2';
	case S_IFCHR:
		return '3';
	case S_IFBLK:
		return '4';
	case S_IFIFO:
		return '6';
	default:
		return '0';
	}
}

/* ---- sparse files ---- */

struct chunk {
	uint64_t offset;
	uint64_t len;
};

struct chunks {
	struct chunk *items;
	size_t count;
	uint64_t data;
};

/* Where the data is. Left empty (count 0) when it is not worth it or cannot be found out. */
static void find_chunks(const struct pack_node *n, struct chunks *c)
{
	struct stat st;
	off_t size = (off_t)n->size;
	if (n->size < SPARSE_MIN || fstat(n->fd, &st) < 0 || (uint64_t)st.st_blocks * 512 >= n->size)
		return;
	size_t room_for = 0;
	off_t at = 0;
	while (at < size) {
		off_t data = lseek(n->fd, at, SEEK_DATA);
		if (data < 0 && errno != ENXIO)
			goto dense;
		if (data < 0 || data >= size)
			break;
		off_t hole = lseek(n->fd, data, SEEK_HOLE);
		if (hole < 0 || c->count >= SPARSE_CHUNKS_MAX)
			goto dense;
		hole = RL_MIN(hole, size);
		if (c->count == room_for) {
			room_for = room_for ? 2 * room_for : 16;
			c->items = xreallocarray(c->items, room_for + 1, sizeof(*c->items));
		}
		c->items[c->count++] = (struct chunk){(uint64_t)data, (uint64_t)(hole - data)};
		c->data += (uint64_t)(hole - data);
		at = hole;
	}
	if (n->size - c->data < SPARSE_MIN)
		goto dense;
	/* The map ends with an empty chunk at the end of the file. */
	c->items = xreallocarray(c->items, c->count + 1, sizeof(*c->items));
	c->items[c->count++] = (struct chunk){n->size, 0};
	return;
dense:
	c->count = 0;
}

static int put_sparse(struct pack_tar *t, const struct pack_node *n, const struct chunks *c, const struct str *map,
		      struct err *e)
{
	int r = put(t, map->buf, map->len, e);
	for (size_t i = 0; r == 0 && i < c->count; i++)
		r = put_file_range(t, n->fd, c->items[i].offset, c->items[i].len, e);
	return r < 0 ? r : put_padding(t, e);
}

static void sparse_map(const struct chunks *c, struct str *map)
{
	str_addf(map, "%zu\n", c->count);
	for (size_t i = 0; i < c->count; i++)
		str_addf(map, "%" PRIu64 "\n%" PRIu64 "\n", c->items[i].offset, c->items[i].len);
	static const char zeros[BLOCK];
	str_add(map, zeros, -map->len & (BLOCK - 1));
}

/* ---- public ---- */

static const char *sparse_header_name(const char *name)
{
	const char *base = strrchr(name, '/');
	return base ? base + 1 : name;
}

static void put_names(struct ustar *h, const struct pack_node *n, const char *name, bool sparse, struct str *pax)
{
	if (sparse) {
		/* The real name is in GNU.sparse.name; this one is what a reader without sparse support makes. */
		char dummy[NAME_FIELD + 1];
		snprintf(dummy, sizeof(dummy), "GNUSparseFile.0/%.80s", sparse_header_name(name));
		memcpy(h->name, dummy, strlen(dummy));
		pax_add_text(pax, "GNU.sparse.name", name);
	} else if (!put_name(h, name)) {
		memcpy(h->name, name, NAME_FIELD);
		pax_add_text(pax, "path", name);
	}
	const char *target = n->hardlink || S_ISLNK(n->mode) ? n->target : "";
	size_t len = strlen(target);
	memcpy(h->link, target, RL_MIN(len, (size_t)NAME_FIELD));
	if (len > NAME_FIELD) {
		pax_add_text(pax, "linkpath", target);
	}
}

int pack_tar_node(struct pack_tar *t, const struct pack_node *n, struct err *e)
{
	bool regular = S_ISREG(n->mode) && !n->hardlink;
	bool device = S_ISCHR(n->mode) || S_ISBLK(n->mode);
	autofree char *name = S_ISDIR(n->mode) ? xasprintf("%s/", *n->path ? n->path : ".") : xstrdup(n->path);
	struct ustar h = {.type = type_flag(n),
			  .magic = "ustar\0"
				   "00"};
	autostr struct str pax = STR_INIT;
	autostr struct str map = STR_INIT;
	struct chunks chunks = {.items = NULL};
	if (regular && n->size)
		find_chunks(n, &chunks);
	autofree struct chunk *owner = chunks.items;
	(void)owner;
	uint64_t size = regular ? n->size : 0;
	if (chunks.count) {
		sparse_map(&chunks, &map);
		size = map.len + chunks.data;
		pax_add_text(&pax, "GNU.sparse.major", "1");
		pax_add_text(&pax, "GNU.sparse.minor", "0");
		pax_add_number(&pax, "GNU.sparse.realsize", n->size);
	}
	put_names(&h, n, name, chunks.count > 0, &pax);
	put_octal(h.mode, sizeof(h.mode), n->mode & 07777);
	field_or_pax(h.uid, sizeof(h.uid), n->uid, OCTAL7_MAX, &pax, "uid");
	field_or_pax(h.gid, sizeof(h.gid), n->gid, OCTAL7_MAX, &pax, "gid");
	field_or_pax(h.size, sizeof(h.size), size, octal11_max, &pax, "size");
	field_or_pax(h.major, sizeof(h.major), device ? n->major : 0, OCTAL7_MAX, &pax, "SCHILY.devmajor");
	field_or_pax(h.minor, sizeof(h.minor), device ? n->minor : 0, OCTAL7_MAX, &pax, "SCHILY.devminor");
	add_mtime(&h, n, &pax);
	int r = n->hardlink ? 0 : add_xattrs(n, &pax, e);
	put_checksum(&h);
	if (r == 0 && pax.len)
		r = put_pax(t, &pax, e);
	if (r == 0)
		r = put(t, &h, sizeof(h), e);
	if (r == 0 && chunks.count)
		r = put_sparse(t, n, &chunks, &map, e);
	else if (r == 0 && regular && n->put_data)
		r = n->put_data(t, n->put_arg, size, e);
	else if (r == 0 && size)
		r = put_file_range(t, n->fd, 0, size, e);
	if (r == 0)
		r = put_padding(t, e);
	if (r < 0)
		return err_ctx(e, "pack %s", name);
	t->entries++;
	return 0;
}

int pack_tar_bytes(struct pack_tar *t, const void *data, uint64_t len, struct err *e)
{
	return put(t, data, len, e);
}

int pack_tar_end(struct pack_tar *t, struct err *e)
{
	int r = put(t, NULL, 2 * (uint64_t)BLOCK, e);
	if (r < 0)
		return r;
	if (t->slot)
		ring_put(t->ring, t->used);
	t->slot = NULL;
	ring_end(t->ring);
	return 0;
}
