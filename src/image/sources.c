/*
 * sources.c - where the files of a load come from: an archive or a directory; see image_int.h.
 *
 * An archive (file or pipe) is first taken apart by the confined extractor into flat files of our work directory, with
 * a digest for each; what the archive called them, and which names are links to others, is only a table. A layer then
 * becomes a blob by a rename. The files of a directory are the user's own: they are read in place, and copied, hashed
 * on the way, when they become blobs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"

static const char extract_dir[] = "archive";

static int open_input(const char *path, bool *ret_is_dir, struct err *e)
{
	autofd int fd = str_eq(path, "-") ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
					  : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return err_sys(e, errno, "open %s", path);
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "stat %s", path);
	if (isatty(fd)) {
		int r = err_set(e, EINVAL, "the archive would be read from the terminal");
		err_hint(e, "name a file with -i, or pipe one in: rl load < image.tar");
		return r;
	}
	*ret_is_dir = S_ISDIR(st.st_mode);
	return take_fd(&fd);
}

static int extract(struct image_ctx *c, struct store_work *w, int fd, struct image_source *s, struct err *e)
{
	if (mkdirat(w->dirfd, extract_dir, 0700) < 0)
		return err_sys(e, errno, "make a directory for the archive");
	s->dirfd = openat(w->dirfd, extract_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dirfd < 0)
		return err_sys(e, errno, "open the directory for the archive");
	/* One id is enough here, and what comes out must be ours whatever the map of the layers is. */
	struct idmap own;
	int r = idmap_detect(true, &own, e);
	if (r < 0)
		return r;
	return archive_extract(
		&(struct archive_extract){.program = c->program, .map = &own, .blobfd = fd, .targetfd = s->dirfd},
		&s->members, e);
}

int source_open(struct image_ctx *c, struct store_work *w, const char *path, struct image_source *ret_source,
		struct err *e)
{
	struct image_source s = {.dirfd = -1};
	autofd int fd = open_input(path, &s.is_dir, e);
	if (fd < 0)
		return fd;
	if (s.is_dir) {
		s.dirfd = take_fd(&fd);
	} else {
		int r = extract(c, w, fd, &s, e);
		if (r < 0) {
			source_close(&s);
			return r;
		}
	}
	*ret_source = s;
	return 0;
}

void source_close(struct image_source *s)
{
	archive_members_free(&s->members);
	close_fd(&s->dirfd);
}

/* The file's own name below dirfd, or NULL. In a directory the name is used as it is, once it is harmless. */
static const char *file_of(const struct image_source *s, const char *name)
{
	if (s->is_dir)
		return *name && *name != '/' && !path_has_dotdot(name) ? name : NULL;
	const struct archive_member *m = archive_members_find(&s->members, name);
	return m ? m->file : NULL;
}

static int open_member(const struct image_source *s, const char *name, struct err *e)
{
	const char *file = file_of(s, name);
	if (!file)
		return err_set(e, ENOENT, "there is no %.200s in it", name);
	/* O_NONBLOCK: a fifo must not hang us; layouts made by some tools consist of symlinks, so those are followed. */
	autofd int fd = openat(s->dirfd, file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_sys(e, errno, "open %.200s", name);
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "stat %.200s", name);
	if (!S_ISREG(st.st_mode))
		return err_set(e, EBADMSG, "%.200s is not a file", name);
	return take_fd(&fd);
}

bool source_has(const struct image_source *s, const char *name)
{
	const char *file = file_of(s, name);
	return file && faccessat(s->dirfd, file, R_OK, 0) == 0;
}

int source_read(const struct image_source *s, const char *name, size_t max, struct str *out, struct err *e)
{
	autofd int fd = open_member(s, name, e);
	if (fd < 0)
		return fd;
	return io_read_rest(fd, max, name, out, e);
}

static int verify(const char *name, const char *want, int64_t want_size, const char *digest, int64_t size,
		  struct err *e)
{
	if (*want && !str_eq(want, digest))
		return err_set(e, EBADMSG, "%.200s is damaged: its digest is %s", name, digest);
	if (want_size >= 0 && size != want_size)
		return err_set(e, EBADMSG, "%.200s has %lld bytes and should have %lld", name, (long long)size,
			       (long long)want_size);
	return 0;
}

/* Copy a file of a directory into the work directory. */
static int copy_member(struct store_work *w, const struct image_source *s, const char *name, const char *to,
		       char ret_digest[STORE_DIGEST_SIZE], int64_t *ret_size, struct err *e)
{
	autofd int from = open_member(s, name, e);
	if (from < 0)
		return from;
	autofd int fd = openat(w->dirfd, to, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, errno, "create %s", to);
	int r = image_copy(from, fd, ret_digest, ret_size, e);
	if (r < 0)
		return err_ctx(e, "copy %.200s", name);
	return fdatasync(fd) < 0 ? err_sys(e, errno, "sync %s", to) : 0;
}

/* Move an extracted file up into the work directory, from where it is published. */
static int move_member(struct store_work *w, const struct image_source *s, const struct archive_member *m,
		       const char *to, struct err *e)
{
	autofd int fd = openat(s->dirfd, m->file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_sys(e, errno, "open %.200s", m->name);
	/* What the extractor made is mode 0600 or wider and ours; blobs are all alike. */
	if (fchmod(fd, 0600) < 0 || fdatasync(fd) < 0)
		return err_sys(e, errno, "sync %.200s", m->name);
	if (linkat(s->dirfd, m->file, w->dirfd, to, 0) < 0 && renameat(s->dirfd, m->file, w->dirfd, to) < 0)
		return err_sys(e, errno, "move %.200s", m->name);
	return 0;
}

int source_take_blob(struct store_work *w, const struct image_source *s, const char *name, const char *want,
		     int64_t want_size, char ret_digest[STORE_DIGEST_SIZE], int64_t *ret_size, struct err *e)
{
	char digest[STORE_DIGEST_SIZE] = "";
	int64_t size = -1;
	int r = *want ? store_pin_blob(w, want, want_size, e) : 0;
	if (r < 0)
		return r;
	if (r == 1 && want_size >= 0) {
		memmove(ret_digest, want, STORE_DIGEST_SIZE);
		*ret_size = want_size;
		return 0;
	}
	char random[17];
	io_random_hex(8, random);
	autofree char *to = xasprintf("blob-%s", random);
	const struct archive_member *m = s->is_dir ? NULL : archive_members_find(&s->members, name);
	if (m) {
		memcpy(digest, m->digest, sizeof(digest));
		size = (int64_t)m->size;
		r = verify(name, want, want_size, digest, size, e);
		if (r >= 0)
			r = store_pin_blob(w, digest, size, e);
		if (r == 0)
			r = move_member(w, s, m, to, e);
		else if (r == 1)
			*to = '\0';
	} else {
		r = copy_member(w, s, name, to, digest, &size, e);
		if (r >= 0)
			r = verify(name, want, want_size, digest, size, e);
	}
	if (r >= 0 && *to)
		r = store_publish_blob(w, to, digest, e);
	if (r < 0)
		return r;
	memcpy(ret_digest, digest, sizeof(digest));
	*ret_size = size;
	return 0;
}
