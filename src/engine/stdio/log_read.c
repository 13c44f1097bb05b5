/*
 * log_read.c - the log file read back, also while it grows and is rotated; see log_file.h.
 *
 * At the end of a file its place is looked up by inode among container.log, .1, .2, ...: the next newer one follows. A
 * file that is in none of these places any more was rotated away while it was read; reading goes on with the oldest
 * that is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "rl/base/base64.h"
#include "rl/base/io.h"
#include "rl/base/json.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/engine/log_file.h"

enum { CHUNK = 64 * 1024, LINE_MAX_BYTES = 1 << 20, FILES_MAX = 1000 };

static int open_file(const struct log_reader *r, unsigned index)
{
	char name[LOG_NAME_SIZE];
	log_file_name(r->name, index, name);
	return openat(r->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

static unsigned oldest(const struct log_reader *r)
{
	unsigned i = 0;
	for (; i < FILES_MAX; i++) {
		char name[LOG_NAME_SIZE];
		log_file_name(r->name, i + 1, name);
		if (faccessat(r->dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			break;
	}
	return i;
}

/* At the end of a file: 1 if a newer one is now open, 0 if this is the newest. */
static int next_file(struct log_reader *r)
{
	struct stat mine;
	struct stat st;
	if (fstat(r->fd, &mine) < 0)
		return 0;
	unsigned last = oldest(r);
	unsigned next = last;
	for (unsigned i = 0; i <= last; i++) {
		autofd int fd = open_file(r, i);
		if (fd < 0 || fstat(fd, &st) < 0 || st.st_ino != mine.st_ino || st.st_dev != mine.st_dev)
			continue;
		if (i == 0)
			return 0;
		next = i - 1;
		break;
	}
	int fd = open_file(r, next);
	if (fd < 0)
		return 0;
	close(r->fd);
	r->fd = fd;
	return 1;
}

/* More bytes into the buffer: 1, or 0 at the end for now. */
static int fill(struct log_reader *r, struct err *e)
{
	if (r->fd < 0) {
		r->fd = open_file(r, oldest(r));
		if (r->fd < 0)
			return 0;
	}
	if (r->at) {
		memmove(r->buf.buf, r->buf.buf + r->at, r->buf.len - r->at);
		str_cut(&r->buf, r->buf.len - r->at);
		r->at = 0;
	}
	for (;;) {
		str_reserve(&r->buf, CHUNK);
		ssize_t n = read(r->fd, r->buf.buf + r->buf.len, CHUNK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "read the log");
		if (n > 0) {
			r->buf.len += (size_t)n;
			r->buf.buf[r->buf.len] = '\0';
			return 1;
		}
		/* Between our read and the look at the names the writer may have added to this file and moved on. */
		struct stat st;
		if (fstat(r->fd, &st) == 0 && lseek(r->fd, 0, SEEK_CUR) < st.st_size)
			continue;
		int old = fcntl(r->fd, F_DUPFD_CLOEXEC, 0);
		autofd int kept = old;
		off_t at = lseek(r->fd, 0, SEEK_CUR);
		if (!next_file(r))
			return 0;
		if (kept >= 0 && fstat(kept, &st) == 0 && at < st.st_size) {
			close_fd(&r->fd);
			r->fd = take_fd(&kept);
		}
	}
}

static int64_t parse_time(const char *text)
{
	struct tm tm = {0};
	int used = 0;
	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
		   &tm.tm_sec, &used) != 6)
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	int64_t ns = 0;
	if (text[used] == '.') {
		int64_t unit = 100000000;
		for (const char *p = text + used + 1; *p >= '0' && *p <= '9' && unit; p++, unit /= 10)
			ns += (*p - '0') * unit;
	}
	return (int64_t)timegm(&tm) * 1000000000 + ns;
}

static bool decode_json(struct log_reader *r, const char *line, size_t len, struct log_entry *ret)
{
	/* A NUL is "\u0000" in here. */
	json_error_t why;
	json_t *doc = json_loadb(line, len, JSON_ALLOW_NUL, &why);
	autojson json_t *owned = doc;
	const json_t *text = json_object_get(owned, "log");
	const char *time_text = json_str_or_null(owned, "time");
	const char *stream = json_str_or_null(owned, "stream");
	const char *exact = json_str_or_null(owned, "b64");
	if (!json_is_string(text) || !time_text)
		return false;
	str_cut(&r->decoded, 0);
	if (exact)
		(void)!base64_decode(exact, strlen(exact), &r->decoded, NULL);
	else
		str_add(&r->decoded, json_string_value(text), json_string_length(text));
	*ret = (struct log_entry){
		.time = parse_time(time_text),
		.stream = stream && str_eq(stream, "stderr") ? LOG_STDERR : LOG_STDOUT,
		.data = r->decoded.buf,
		.len = r->decoded.len,
	};
	return true;
}

static bool decode_k8s(struct log_reader *r, const char *line, size_t len, struct log_entry *ret)
{
	const char *stream = memchr(line, ' ', len);
	const char *flag = stream ? memchr(stream + 1, ' ', len - (size_t)(stream + 1 - line)) : NULL;
	if (!flag || (size_t)(flag + 3 - line) > len || flag[2] != ' ')
		return false;
	const char *text = flag + 3;
	str_cut(&r->decoded, 0);
	str_add(&r->decoded, text, len - (size_t)(text - line));
	if (flag[1] == 'F')
		str_addc(&r->decoded, '\n');
	*ret = (struct log_entry){
		.time = parse_time(line),
		.stream = str_after(stream + 1, "stderr ") ? LOG_STDERR : LOG_STDOUT,
		.data = r->decoded.buf,
		.len = r->decoded.len,
	};
	return true;
}

/* An entry is a line, or a part of one: the search for the last lines goes back over entries. */
struct tail {
	struct log_reader *r;
	uint64_t want;
	uint64_t lines; /* that begin where the search has come to, or behind it */
};

static bool decode(struct log_reader *r, const char *line, size_t len, struct log_entry *ret)
{
	return r->driver == LOG_DRIVER_K8S ? decode_k8s(r, line, len, ret) : decode_json(r, line, len, ret);
}

/* What the reader passes over counts as whole. */
static bool ends_line(struct log_reader *r, int fd, off_t begin, off_t end)
{
	size_t len = (size_t)(end - begin);
	struct log_entry entry;
	if (len > LINE_MAX_BYTES)
		return true;
	autofree char *text = xmalloc(len + 1);
	if (pread(fd, text, len, begin) != (ssize_t)len)
		return true;
	text[len] = '\0';
	if (!decode(r, text, len, &entry))
		return true;
	return entry.len && entry.data[entry.len - 1] == '\n';
}

/* The next entry on the way back; true if all that is wanted comes after it. The last of all may be unfinished. */
static bool is_enough(struct tail *t, int fd, off_t begin, off_t end)
{
	if (t->lines && !ends_line(t->r, fd, begin, end))
		return false;
	return ++t->lines > t->want;
}

/* 1: what is wanted begins at *ret_offset; 0: all of the file is wanted, and more of the one before. */
static int search_file(struct tail *t, int fd, off_t *ret_offset, struct err *e)
{
	autofree char *buf = xmalloc(CHUNK);
	struct stat st;
	*ret_offset = 0;
	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "read the log");
	off_t end = st.st_size - 1; /* the newline that ends the last entry */
	for (off_t at = st.st_size; at > 0;) {
		size_t n = (size_t)RL_MIN((off_t)CHUNK, at);
		at -= (off_t)n;
		if (pread(fd, buf, n, at) != (ssize_t)n)
			return err_sys(e, EIO, "read the log");
		for (size_t i = n; i-- > 0;) {
			off_t here = at + (off_t)i;
			if (buf[i] != '\n' || here >= end)
				continue;
			*ret_offset = end + 1;
			if (is_enough(t, fd, here + 1, end))
				return 1;
			end = here;
		}
	}
	*ret_offset = end + 1;
	if (end > 0 && is_enough(t, fd, 0, end))
		return 1;
	*ret_offset = 0;
	return 0;
}

/* Go back file by file until `want` lines are ahead. */
static int seek_tail(struct log_reader *r, uint64_t want, struct err *e)
{
	struct tail t = {.r = r, .want = want};
	unsigned first = oldest(r);
	int done = 0;
	for (unsigned index = 0; index <= first && !done; index++) {
		autofd int fd = open_file(r, index);
		off_t offset = 0;
		if (fd < 0)
			break;
		done = search_file(&t, fd, &offset, e);
		if (done < 0)
			return done;
		if (lseek(fd, offset, SEEK_SET) < 0)
			return err_sys(e, errno, "read the log");
		close_fd(&r->fd);
		r->fd = take_fd(&fd);
	}
	return 0;
}

int log_reader_open(struct log_reader *r, const struct log_place *place, enum log_driver driver, uint64_t tail,
		    struct err *e)
{
	*r = (struct log_reader){
		.dirfd = place->dirfd,
		.driver = driver,
		.fd = -1,
		.buf = STR_INIT,
		.decoded = STR_INIT,
	};
	snprintf(r->name, sizeof(r->name), "%s", place->name);
	if (tail == LOG_READER_ALL)
		r->fd = open_file(r, oldest(r));
	else if (seek_tail(r, tail, e) < 0)
		return e ? -e->code : -EIO;
	return r->fd < 0 ? err_set(e, ENOENT, "nothing was logged") : 0;
}

int log_reader_next(struct log_reader *r, struct log_entry *ret_entry, struct err *e)
{
	for (;;) {
		const char *line = r->buf.buf + r->at;
		const char *newline = memchr(line, '\n', r->buf.len - r->at);
		if (!newline) {
			if (r->buf.len - r->at > LINE_MAX_BYTES)
				r->at = r->buf.len; /* no entry of ours is that long */
			int got = fill(r, e);
			if (got <= 0)
				return got;
			continue;
		}
		size_t len = (size_t)(newline - line);
		r->at += len + 1;
		if (decode(r, line, len, ret_entry))
			return 1;
		if (len)
			log_debug(LOG_STDIO, "a damaged line of the log was passed over");
	}
}

void log_reader_close(struct log_reader *r)
{
	close_fd(&r->fd);
	str_free(&r->buf);
	str_free(&r->decoded);
}
