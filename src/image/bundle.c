/*
 * bundle.c - where a save goes: a tar stream, or a directory, file by file; see image_int.h.
 *
 * The tar is ustar with times, owners and modes that say nothing, so the same images give the same bytes. A size above
 * what eleven octal digits hold (8 GiB) is written base-256, as GNU tar and libarchive do. No name is longer than the
 * 100 bytes of the header.
 *
 * A regular file appears under its name only when it is whole: it is written without a name where the file system can
 * do that, so that not even SIGKILL leaves a part of it. Pipes and devices are written to as they are. A directory must
 * be new or empty, or, where a push asks for that, an OCI layout that then has one image more; its document (index.json, manifest.json) comes last and what failed is removed.
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

enum { TAR_BLOCK = 512, TAR_RECORD = 20 * TAR_BLOCK };

/* ---- opening and ending ---- */

static int open_stream(struct bundle *b, struct err *e)
{
	struct stat st;
	if (str_eq(b->path, "-")) {
		b->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	} else if (lstat(b->path, &st) == 0 && !S_ISREG(st.st_mode)) {
		b->fd = open(b->path, O_WRONLY | O_TRUNC | O_NOCTTY | O_CLOEXEC);
	} else {
		char random[9];
		io_random_hex(4, random);
		autofree char *dir = path_dir(b->path);
		b->temp = xasprintf("%s.%s", b->path, random);
		b->fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
		b->nameless = b->fd >= 0;
		if (b->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
			b->fd = open(b->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	}
	if (b->fd < 0)
		return err_sys(e, errno, "open %s", b->path);
	if (!isatty(b->fd))
		return 0;
	close_fd(&b->fd);
	err_set(e, EINVAL, "an archive is not written to a terminal");
	return err_hint(e, "give -o FILE, or lead the output into a pipe or a file");
}

static int open_directory(struct bundle *b, struct err *e)
{
	if (str_eq(b->path, "-")) {
		err_set(e, EINVAL, "a directory cannot be written to standard output");
		return err_hint(e, "give -o DIRECTORY");
	}
	/* rmdir tells empty from full, and then it is ours to remove. */
	if (rmdir(b->path) < 0 && errno != ENOENT)
		return err_sys(e, errno, "%s must be new or empty", b->path);
	if (mkdir(b->path, 0777) < 0)
		return err_sys(e, errno, "make %s", b->path);
	b->fd = open(b->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return b->fd < 0 ? err_sys(e, errno, "open %s", b->path) : 0;
}

int bundle_open(struct bundle *b, const char *path, bool is_dir, struct err *e)
{
	*b = (struct bundle){.path = path, .fd = -1, .is_dir = is_dir};
	int r = is_dir ? open_directory(b, e) : open_stream(b, e);
	if (r < 0 && b->temp) {
		free(b->temp);
		b->temp = NULL;
	}
	return r;
}

int bundle_open_layout(struct bundle *b, const char *path, struct err *e)
{
	*b = (struct bundle){.path = path, .fd = -1, .is_dir = true, .grows = true};
	b->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->fd < 0)
		return err_sys(e, errno, "open %s", path);
	if (faccessat(b->fd, "oci-layout", R_OK, 0) < 0 || faccessat(b->fd, "index.json", R_OK, 0) < 0) {
		int r = err_set(e, ENOTEMPTY, "%s is not empty and no OCI layout", path);
		close_fd(&b->fd);
		return r;
	}
	return 0;
}

int bundle_replace(struct bundle *b, const char *name, const void *data, size_t len, struct err *e)
{
	int r = io_replace_file(b->fd, name, data, len, 0666, true, e);
	return r < 0 ? err_ctx(e, "write %s", b->path) : r;
}

static int give_name(const struct bundle *b, struct err *e)
{
	if (b->nameless) {
		char self[64];
		snprintf(self, sizeof(self), "/proc/self/fd/%d", b->fd);
		if (linkat(AT_FDCWD, self, AT_FDCWD, b->temp, AT_SYMLINK_FOLLOW) < 0)
			return err_sys(e, errno, "create %s", b->temp);
	}
	if (rename(b->temp, b->path) < 0) {
		int r = err_sys(e, errno, "create %s", b->path);
		unlink(b->temp);
		return r;
	}
	return 0;
}

int bundle_end(struct bundle *b, struct err *e)
{
	if (b->is_dir)
		return 0;
	/* Two empty blocks, and whole records as tar has always written them. */
	autofree char *zeros = xcalloc(1, TAR_RECORD);
	size_t len = 2 * TAR_BLOCK;
	len += (TAR_RECORD - (b->written + len) % TAR_RECORD) % TAR_RECORD;
	int r = io_write_all(b->fd, zeros, RL_MIN(len, (size_t)TAR_RECORD), e);
	if (r >= 0 && len > TAR_RECORD)
		r = io_write_all(b->fd, zeros, len - TAR_RECORD, e);
	if (r >= 0 && b->temp)
		r = give_name(b, e);
	return r;
}

void bundle_close(struct bundle *b, bool failed)
{
	close_fd(&b->fd);
	if (failed && b->is_dir && !b->grows)
		(void)!io_remove_tree(AT_FDCWD, b->path, NULL);
	else if (failed && b->temp && !b->nameless)
		unlink(b->temp);
	free(b->temp);
	b->temp = NULL;
	strv_free(&b->names);
}

/* ---- one file ---- */

static void put_octal(char *field, size_t width, uint64_t value)
{
	/* The width counts a NUL at the end. */
	for (size_t i = width - 1; i-- > 0; value >>= 3)
		field[i] = (char)('0' + (value & 7));
}

static void put_size(char field[12], uint64_t value)
{
	if (value < (uint64_t)1 << 33) {
		put_octal(field, 12, value);
		return;
	}
	for (size_t i = 12; i-- > 0; value >>= 8)
		field[i] = (char)(value & 0xff);
	field[0] = (char)0x80;
}

static void make_header(char block[TAR_BLOCK], const char *name, char type, uint64_t size)
{
	memset(block, 0, TAR_BLOCK);
	memcpy(block, name, RL_MIN(strlen(name), (size_t)100));
	put_octal(block + 100, 8, type == '5' ? 0755 : 0644);
	put_octal(block + 108, 8, 0);
	put_octal(block + 116, 8, 0);
	put_size(block + 124, size);
	put_octal(block + 136, 12, 0);
	block[156] = type;
	memcpy(block + 257, "ustar\00000", 8);
	put_octal(block + 329, 8, 0);
	put_octal(block + 337, 8, 0);
	memset(block + 148, ' ', 8);
	unsigned sum = 0;
	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += (unsigned char)block[i];
	put_octal(block + 148, 7, sum);
	block[154] = '\0';
}

/* Where the bytes of the file go: the stream behind its header, or a new file (*own then closes it). */
static int begin_file(struct bundle *b, const char *name, int64_t size, int *own, struct err *e)
{
	strv_add(&b->names, name);
	if (!b->is_dir) {
		char block[TAR_BLOCK];
		make_header(block, name, '0', (uint64_t)size);
		int r = io_write_all(b->fd, block, sizeof(block), e);
		b->written += TAR_BLOCK + (uint64_t)size;
		return r < 0 ? r : b->fd;
	}
	autofree char *dir = path_dir(name);
	int r = str_eq(dir, ".") ? 0 : io_mkdirs(b->fd, dir, 0777, e);
	if (r < 0)
		return r;
	/* In somebody else's layout a blob appears when it is whole. */
	autofree char *temp = b->grows ? xasprintf("%s.part", name) : NULL;
	*own = openat(b->fd, temp ? temp : name, O_WRONLY | O_CREAT | (temp ? O_TRUNC : O_EXCL) | O_CLOEXEC, 0666);
	return *own < 0 ? err_sys(e, errno, "create %s/%s", b->path, name) : *own;
}

static int finish_part(const struct bundle *b, const char *name, bool good, struct err *e)
{
	if (!b->grows)
		return 0;
	autofree char *temp = xasprintf("%s.part", name);
	if (good && renameat(b->fd, temp, b->fd, name) < 0)
		return err_sys(e, errno, "create %s/%s", b->path, name);
	if (!good)
		unlinkat(b->fd, temp, 0);
	return 0;
}

static int end_file(struct bundle *b, int64_t size, struct err *e)
{
	static const char zeros[TAR_BLOCK];
	size_t pad = (TAR_BLOCK - (size_t)(size % TAR_BLOCK)) % TAR_BLOCK;
	if (b->is_dir || !pad)
		return 0;
	b->written += pad;
	return io_write_all(b->fd, zeros, pad, e);
}

bool bundle_has(const struct bundle *b, const char *name)
{
	if (b->grows && faccessat(b->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return true;
	return strv_has(&b->names, name);
}

int bundle_add_dir(struct bundle *b, const char *name, struct err *e)
{
	char block[TAR_BLOCK];
	if (b->is_dir)
		return io_mkdirs(b->fd, name, 0777, e);
	make_header(block, name, '5', 0);
	b->written += TAR_BLOCK;
	int r = io_write_all(b->fd, block, sizeof(block), e);
	return r < 0 ? err_ctx(e, "write %s", b->path) : 0;
}

int bundle_add(struct bundle *b, const char *name, const void *data, size_t len, struct err *e)
{
	autofd int own = -1;
	int fd = begin_file(b, name, (int64_t)len, &own, e);
	int r = fd < 0 ? fd : io_write_all(fd, data, len, e);
	if (r >= 0)
		r = end_file(b, (int64_t)len, e);
	int named = finish_part(b, name, r >= 0, r < 0 ? NULL : e);
	r = r < 0 ? r : named;
	return r < 0 ? err_ctx(e, "write %s", b->path) : 0;
}

int bundle_add_blob(struct bundle *b, const char *name, int from, const struct bundle_blob *blob, struct err *e)
{
	autofd int own = -1;
	int to = begin_file(b, name, blob->size, &own, e);
	int r = to < 0 ? to : bundle_copy(from, to, blob, e);
	if (r >= 0)
		r = end_file(b, blob->size, e);
	int named = finish_part(b, name, r >= 0, r < 0 ? NULL : e);
	r = r < 0 ? r : named;
	return r < 0 ? err_ctx(e, "write %s", b->path) : 0;
}
