/*
 * log_write.c - container output to the log file; see log_file.h.
 *
 * All entries of one read are put into one buffer and written by one write(2), so that a busy container costs one call
 * per 64 KiB. They came at the same time and have the same: printing it for each of a thousand lines took more than all
 * the rest. Entries are never split between files.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "rl/base/base64.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/engine/log_file.h"

enum { ENTRY_MAX = 16 * 1024, FLUSH_AT = 256 * 1024 };

static int open_current(struct log_writer *w, int flags, struct err *e)
{
	int fd = openat(w->dirfd, w->name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, errno, "open the container's log");
	w->fd = fd;
	w->size = (uint64_t)st.st_size;
	return 0;
}

/* A crash may have left half an entry at the end: the next one must not be glued to it. */
static void end_half_entry(struct log_writer *w)
{
	char last = '\n';
	autofd int fd = openat(w->dirfd, w->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && w->size && pread(fd, &last, 1, (off_t)w->size - 1) == 1 && last != '\n' &&
	    write(w->fd, "\n", 1) == 1)
		w->size++;
}

int log_writer_open(struct log_writer *w, const struct log_place *place, enum log_driver driver, uint64_t max_size,
		    unsigned max_file, struct err *e)
{
	*w = (struct log_writer){
		.dirfd = place->dirfd,
		.driver = driver,
		.max_size = max_size,
		.max_file = max_file ? max_file : 1,
		.fd = -1,
		.out = STR_INIT,
	};
	snprintf(w->name, sizeof(w->name), "%s", place->name);
	if (driver == LOG_DRIVER_NONE || driver == LOG_DRIVER_PASSTHROUGH)
		return 0;
	int r = open_current(w, 0, e);
	if (r == 0)
		end_half_entry(w);
	return r;
}

void log_file_name(const char *name, unsigned index, char ret[LOG_NAME_SIZE])
{
	if (index)
		snprintf(ret, LOG_NAME_SIZE, "%s.%u", name, index);
	else
		snprintf(ret, LOG_NAME_SIZE, "%s", name);
}

static void rotate(struct log_writer *w)
{
	char from[LOG_NAME_SIZE];
	char to[LOG_NAME_SIZE];
	for (unsigned i = w->max_file - 1; i > 0; i--) {
		log_file_name(w->name, i, to);
		log_file_name(w->name, i - 1, from);
		if (renameat(w->dirfd, from, w->dirfd, to) < 0 && errno != ENOENT)
			log_debug(LOG_STDIO, "rotate %s: %s", from, strerrorname_np(errno));
	}
	if (w->max_file == 1)
		unlinkat(w->dirfd, w->name, 0);
	int old = w->fd;
	if (open_current(w, 0, NULL) == 0)
		close(old);
	else
		w->fd = old; /* no descriptor or no space for a name: the old file grows on */
}

static void flush(struct log_writer *w)
{
	size_t done = 0;
	while (done < w->out.len) {
		ssize_t n = write(w->fd, w->out.buf + done, w->out.len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			w->lost += w->unwritten;
			w->lost_errno = errno;
			/* Whole entries only: what half an entry left is cut off again. */
			if (done && ftruncate(w->fd, (off_t)w->size) < 0)
				log_debug(LOG_STDIO, "log: %s", strerrorname_np(errno));
			done = 0;
			break;
		}
		done += (size_t)n;
	}
	w->size += done;
	w->unwritten = 0;
	str_cut(&w->out, 0);
}

/* What is the same in all entries of one read: the time and the stream, as the format has them. */
struct stamp {
	char text[96];
	size_t len;
};

static struct stamp stamp_now(const struct log_writer *w, enum log_stream stream)
{
	struct stamp s;
	struct timespec now;
	struct tm tm;
	char time[40];
	const char *name = stream == LOG_STDERR ? "stderr" : "stdout";
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	size_t n = strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(time + n, sizeof(time) - n, ".%09ldZ", now.tv_nsec);
	int len = w->driver == LOG_DRIVER_K8S
			  ? snprintf(s.text, sizeof(s.text), "%s %s ", time, name)
			  : snprintf(s.text, sizeof(s.text), "\",\"stream\":\"%s\",\"time\":\"%s\"", name, time);
	s.len = RL_MIN((size_t)len, sizeof(s.text) - 1);
	return s;
}

/* Escape one character that cannot stand for itself; returns how many bytes were used, *exact false if not UTF-8. */
static size_t add_special(struct str *out, const char *p, size_t left, bool *exact)
{
	unsigned char c = (unsigned char)*p;
	switch (c) {
	case '"':
	case '\\':
		str_addc(out, '\\');
		str_addc(out, (char)c);
		return 1;
	case '\n':
		str_adds(out, "\\n");
		return 1;
	case '\r':
		str_adds(out, "\\r");
		return 1;
	case '\t':
		str_adds(out, "\\t");
		return 1;
	default:
		break;
	}
	if (c < 0x20) {
		str_addf(out, "\\u%04x", c);
		return 1;
	}
	size_t n = str_utf8_len(p, left);
	if (n) {
		str_add(out, p, n);
		return n;
	}
	str_adds(out, "\xef\xbf\xbd");
	*exact = false;
	return 1;
}

/* How many bytes stand for themselves: eight at a time as long as none of them is a control character, DEL, '"', '\\' or
 * part of a character of UTF-8. */
static size_t plain_run(const char *p, size_t n)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	const uint64_t high = ones << 7;
	size_t i = 0;
	for (uint64_t v; i + sizeof(v) <= n; i += sizeof(v)) {
		memcpy(&v, p + i, sizeof(v));
		/* A byte is zero where x - 1 borrows and x has no high bit; none has one here, or it is found by itself. */
		uint64_t quote = v ^ ones * '"';
		uint64_t slash = v ^ ones * '\\';
		uint64_t del = v ^ ones * 0x7f;
		if (((v - ones * 0x20) | (quote - ones) | (slash - ones) | (del - ones) | v) & high)
			break;
	}
	for (; i < n; i++) {
		unsigned char c = (unsigned char)p[i];
		if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
			break;
	}
	return i;
}

static void add_json(struct str *out, const struct stamp *stamp, const char *p, size_t n)
{
	bool exact = true;
	str_adds(out, "{\"log\":\"");
	for (size_t i = 0; i < n;) {
		size_t run = plain_run(p + i, n - i);
		str_add(out, p + i, run);
		i += run;
		if (i < n)
			i += add_special(out, p + i, n - i, &exact);
	}
	str_add(out, stamp->text, stamp->len);
	if (!exact) {
		str_adds(out, ",\"b64\":\"");
		base64_encode(p, n, out);
		str_addc(out, '"');
	}
	str_adds(out, "}\n");
}

static void add_k8s(struct str *out, const struct stamp *stamp, const char *p, size_t n)
{
	bool whole = n && p[n - 1] == '\n';
	str_add(out, stamp->text, stamp->len);
	str_adds(out, whole ? "F " : "P ");
	str_add(out, p, whole ? n - 1 : n);
	str_addc(out, '\n');
}

static void add_entry(struct log_writer *w, const struct stamp *stamp, const char *p, size_t n)
{
	size_t before = w->out.len;
	if (w->driver == LOG_DRIVER_K8S)
		add_k8s(&w->out, stamp, p, n);
	else
		add_json(&w->out, stamp, p, n);
	if (!w->max_size || w->size + w->out.len <= w->max_size)
		return;
	/* The entry belongs to the next file: write what is before it, and move it to the front. */
	size_t len = w->out.len - before;
	autofree char *entry = xmemdup(w->out.buf + before, len);
	str_cut(&w->out, before);
	flush(w); /* without the bytes of this entry, which the caller counts when it is here */
	if (w->size)
		rotate(w);
	str_add(&w->out, entry, len);
}

uint64_t log_writer_settle(struct log_writer *w)
{
	char note[128];
	uint64_t lost = w->lost;
	if (w->fd < 0 || !lost)
		return 0;
	int n = snprintf(note, sizeof(note), "rl: %llu bytes of the log were lost: %s\n", (unsigned long long)lost,
			 strerrordesc_np(w->lost_errno));
	/* The note itself may find no room either: its one byte is what tells. */
	w->lost = 0;
	const struct stamp stamp = stamp_now(w, LOG_STDERR);
	add_entry(w, &stamp, note, (size_t)n);
	w->unwritten = 1;
	flush(w);
	w->lost = w->lost ? lost : 0;
	return w->lost;
}

void log_writer_add(struct log_writer *w, enum log_stream stream, const char *data, size_t len)
{
	if (w->fd < 0)
		return;
	(void)log_writer_settle(w);
	const struct stamp stamp = stamp_now(w, stream);
	while (len) {
		size_t n = RL_MIN(len, (size_t)ENTRY_MAX);
		const char *newline = memchr(data, '\n', n);
		n = newline ? (size_t)(newline - data) + 1 : n;
		add_entry(w, &stamp, data, n);
		w->unwritten += n;
		data += n;
		len -= n;
		if (w->out.len >= FLUSH_AT)
			flush(w);
	}
	flush(w);
}

void log_writer_close(struct log_writer *w)
{
	if (w->fd >= 0)
		flush(w);
	close_fd(&w->fd);
	str_free(&w->out);
}
