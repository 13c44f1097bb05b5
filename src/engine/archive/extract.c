/*
 * extract.c - the members of an image archive as flat files: the confined worker and the caller's side.
 *
 * Theory: nothing in the archive chooses a file name. Member number N becomes the file "%06u" in the target, and a list
 * says which name it had; the caller looks members up by name in that list and never in a directory. Links are entries
 * of the list only.
 *
 * The list (file "list" in the target, written by the confined process, so parsed as strictly as anything hostile):
 *     { type " " number " " size " " digest " " name-length " " target-length "\n" name target }
 * type f or a (alias); digest is sha256:HEX or "-".
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "place_int.h"
#include "rl/base/digest.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "role_launch_int.h"
#include "source_int.h"
#include "tar_int.h"

enum { LIST_MAX = 16 << 20, ALIAS_HOPS_MAX = 8, MEMBERS_LIMIT = 999999 };

/* ---- confined side ---- */

static int list_add(struct str *list, char type, uint64_t number, uint64_t size, const char *digest, const char *name,
		    const char *target, struct err *e)
{
	str_addf(list, "%c %" PRIu64 " %" PRIu64 " %s %zu %zu\n%s%s", type, number, size, digest, strlen(name),
		 strlen(target), name, target);
	if (list->len > LIST_MAX)
		return err_set(e, EFBIG, "the archive has too many members");
	return 0;
}

static int write_member(struct tar *t, int rootfd, const char *file, uint64_t *ret_size,
			char ret_digest[ARCHIVE_DIGEST_SIZE], struct err *e)
{
	autofd int fd = openat(rootfd, file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_sys(e, errno, "create a file for a member");
	struct digest d = DIGEST_INIT;
	digest_begin(&d);
	uint64_t size = 0;
	const void *data;
	size_t len;
	uint64_t offset;
	int r;
	while ((r = tar_data(t, &data, &len, &offset, e)) > 0) {
		/* A sparse member has no place in an image archive, and its holes would be missing from the digest. */
		if (offset != size)
			r = err_set(e, EBADMSG, "a sparse file in an image archive");
		if (r > 0)
			r = io_write_all(fd, data, len, e);
		if (r < 0)
			break;
		digest_add(&d, data, len);
		size += len;
	}
	digest_end(&d, ret_digest);
	digest_free(&d);
	*ret_size = size;
	return r;
}

/* The member an alias means; false when it leads out of the archive. */
static bool alias_target(const struct entry *en, const char *name, char *ret)
{
	if (en->type == ENTRY_HARDLINK)
		return place_clean_path(en->target, ret, NULL) == 0;
	if (en->target[0] == '/')
		return false;
	autofree char *dir = path_dir(name);
	autofree char *joined = path_join(dir, en->target);
	autofree char *clean = path_clean(joined);
	return !path_has_dotdot(clean) && place_clean_path(clean, ret, NULL) == 0;
}

static int extract_entries(struct tar *t, int rootfd, uint32_t max, struct str *list, uint64_t *ret_count,
			   struct err *e)
{
	struct entry en;
	uint64_t count = 0;
	int r;
	while ((r = tar_next(t, &en, e)) > 0) {
		char name[ARCHIVE_PATH_MAX + 1];
		char target[ARCHIVE_PATH_MAX + 1] = "";
		char digest[ARCHIVE_DIGEST_SIZE] = "-";
		char file[24];
		uint64_t size = 0;
		r = place_clean_path(en.path, name, e);
		if (r < 0)
			return r;
		if (strlen(name) > ARCHIVE_NAME_MAX)
			return err_set(e, EBADMSG, "%.64s...: the name is too long", name);
		bool alias = en.type == ENTRY_SYMLINK || en.type == ENTRY_HARDLINK;
		if (!alias && en.type != ENTRY_FILE)
			continue;
		if (alias && (!alias_target(&en, name, target) || strlen(target) > ARCHIVE_NAME_MAX))
			continue;
		if (count >= RL_MIN(max, (uint32_t)MEMBERS_LIMIT))
			return err_set(e, EFBIG, "the archive has more than %u members", max);
		snprintf(file, sizeof(file), "%06u", (unsigned)count);
		r = alias ? 0 : write_member(t, rootfd, file, &size, digest, e);
		if (r == 0)
			r = list_add(list, alias ? 'a' : 'f', count, size, digest, name, target, e);
		if (r < 0)
			return r;
		count++;
	}
	*ret_count = count;
	return r;
}

static int extract_tar(const struct archive_work *w, struct ring *ring, struct str *list, uint64_t *ret_count,
		       struct err *e)
{
	struct tar *t = NULL;
	int r = tar_open(ring, 0, &t, e);
	if (r == 0)
		r = extract_entries(t, w->rootfd, w->wire->max_members, list, ret_count, e);
	if (r == 0)
		r = tar_drain(t, e);
	tar_close(t);
	return r;
}

int extract_work(const struct archive_work *w, uint64_t *ret_count, struct err *e)
{
	struct ring ring;
	struct source source = {
		.blobfd = w->blobfd,
		.teefd = w->teefd,
		.feedfd = -1,
		.max_tar = w->wire->max_tar,
		.max_ratio = w->wire->max_ratio,
		.ring = &ring,
	};
	autostr struct str list = STR_INIT;
	ring_init(&ring, 1);
	int r = source_start(&source, e);
	if (r == 0) {
		r = extract_tar(w, &ring, &list, ret_count, e);
		if (r < 0)
			ring_fail(&ring, e); /* the source waits for nobody then */
		source_join(&source);
	}
	ring_free(&ring);
	return r < 0 ? r : io_write_file(w->rootfd, EXTRACT_LIST, list.buf, list.len, 0644, e);
}

/* ---- the caller's side ---- */

static bool take_field(const char **p, const char *end, char terminator, char *ret, size_t size)
{
	const char *stop = memchr(*p, terminator, (size_t)(end - *p));
	if (!stop || (size_t)(stop - *p) >= size)
		return false;
	memcpy(ret, *p, (size_t)(stop - *p));
	ret[stop - *p] = '\0';
	*p = stop + 1;
	return true;
}

static bool take_u64(const char **p, const char *end, char terminator, uint64_t max, uint64_t *ret)
{
	char text[24];
	return take_field(p, end, terminator, text, sizeof(text)) && str_to_u64(text, max, "number", ret, NULL) == 0;
}

static bool take_name(const char **p, const char *end, uint64_t len, char **ret)
{
	if (len > (uint64_t)(end - *p) || memchr(*p, '\0', (size_t)len))
		return false;
	*ret = xstrndup(*p, (size_t)len);
	*p += len;
	return true;
}

static bool take_member(const char **p, const char *end, struct archive_member *m)
{
	char type[2];
	uint64_t number;
	uint64_t name_len;
	uint64_t target_len;
	if (!take_field(p, end, ' ', type, sizeof(type)) || (type[0] != 'f' && type[0] != 'a') ||
	    !take_u64(p, end, ' ', MEMBERS_LIMIT, &number) || !take_u64(p, end, ' ', UINT64_MAX, &m->size) ||
	    !take_field(p, end, ' ', m->digest, sizeof(m->digest)) ||
	    !take_u64(p, end, ' ', ARCHIVE_NAME_MAX, &name_len) ||
	    !take_u64(p, end, '\n', ARCHIVE_NAME_MAX, &target_len) || !take_name(p, end, name_len, &m->name) ||
	    !take_name(p, end, target_len, &m->target))
		return false;
	m->type = type[0] == 'f' ? ARCHIVE_MEMBER_FILE : ARCHIVE_MEMBER_ALIAS;
	snprintf(m->file, sizeof(m->file), "%06u", (unsigned)number);
	return true;
}

struct ordered {
	const struct archive_member *member;
	size_t index;
};

static int by_name(const void *a, const void *b)
{
	const struct ordered *x = a;
	const struct ordered *y = b;
	int c = strcmp(x->member->name, y->member->name);
	return c ? c : x->index < y->index ? -1 : 1;
}

static void free_member(struct archive_member *m)
{
	free(take_ptr(&m->name));
	free(take_ptr(&m->target));
}

/* Of members with the same name only the last one stays, as if they had been written over each other. */
static void drop_duplicates(struct archive_members *m)
{
	autofree struct ordered *order = xcalloc(m->count, sizeof(*order));
	autofree bool *dropped = xcalloc(m->count, sizeof(*dropped));
	for (size_t i = 0; i < m->count; i++)
		order[i] = (struct ordered){&m->items[i], i};
	qsort(order, m->count, sizeof(*order), by_name);
	for (size_t i = 0; i + 1 < m->count; i++)
		dropped[order[i].index] = str_eq(order[i].member->name, order[i + 1].member->name);
	size_t kept = 0;
	for (size_t i = 0; i < m->count; i++) {
		if (dropped[i])
			free_member(&m->items[i]);
		else
			m->items[kept++] = m->items[i];
	}
	m->count = kept;
}

static int parse_list(const char *text, size_t len, struct archive_members *ret, struct err *e)
{
	const char *p = text;
	const char *end = text + len;
	size_t size = 0;
	while (p < end) {
		if (ret->count == size) {
			size = size ? 2 * size : 64;
			ret->items = xreallocarray(ret->items, size, sizeof(*ret->items));
		}
		struct archive_member *m = &ret->items[ret->count++];
		*m = (struct archive_member){.name = NULL};
		if (!take_member(&p, end, m))
			return err_set(e, EPROTO, "malformed list of members");
	}
	if (ret->count)
		drop_duplicates(ret);
	return 0;
}

int extract_read_list(int dirfd, struct archive_members *ret, struct err *e)
{
	autostr struct str list = STR_INIT;
	struct archive_members members = {.items = NULL};
	int r = io_read_file(dirfd, EXTRACT_LIST, LIST_MAX, &list, e);
	if (r >= 0)
		r = parse_list(list.buf, list.len, &members, e);
	if (r < 0) {
		archive_members_free(&members);
		return r;
	}
	*ret = members;
	return 0;
}

int archive_extract(const struct archive_extract *req, struct archive_members *ret, struct err *e)
{
	const struct archive_wire wire = {
		.map = *req->map,
		.max_tar = req->max_tar,
		.max_ratio = req->max_ratio,
		.max_members = req->max_members,
	};
	struct archive_job job = ARCHIVE_JOB_NONE;
	uint64_t count;
	int r = launch_start(&(struct launch){.program = req->program,
					      .verb = "extract",
					      .wire = &wire,
					      .blobfd = req->blobfd,
					      .targetfd = req->targetfd},
			     &job, e);
	if (r == 0)
		r = launch_finish(&job, &count, sizeof(count), e);
	return r < 0 ? r : extract_read_list(req->targetfd, ret, e);
}

void archive_members_free(struct archive_members *m)
{
	for (size_t i = 0; i < m->count; i++)
		free_member(&m->items[i]);
	free(take_ptr(&m->items));
	m->count = 0;
}

const struct archive_member *archive_members_find(const struct archive_members *m, const char *name)
{
	for (unsigned hops = 0; hops <= ALIAS_HOPS_MAX; hops++) {
		const struct archive_member *found = NULL;
		for (size_t i = 0; i < m->count && !found; i++)
			if (str_eq(m->items[i].name, name))
				found = &m->items[i];
		if (!found || found->type == ARCHIVE_MEMBER_FILE)
			return found;
		name = found->target;
	}
	return NULL;
}
