/*
 * log.c - see log.h.
 *
 * One line is one write(2) on descriptor 2, so that lines of several processes never mix. Texts quote hostile input:
 * every line is escaped as it is written and cut at a fixed size, and nothing here allocates. The start time and the
 * mask travel to programs we start through the environment (log_export), so that all of them count from the same zero.
 */
#include "rl/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "rl/base/str.h"

#define LINE_SIZE 2048
#define START_ENV "RL_DEBUG_START"

unsigned log_active_mask;

static const char *program_name = "rl";
static const char *role_name = "";
static bool quiet_warnings;
static long long start_ns;
static int file_fd = -1;
static bool file_json;

static const struct {
	unsigned bit;
	const char *name;
} mask_names[] = {
	{LOG_CMD, "cmd"},	    {LOG_RUN, "run"},	  {LOG_MNT, "mnt"},	    {LOG_IDMAP, "idmap"},
	{LOG_NET, "net"},	    {LOG_STORE, "store"}, {LOG_ARCHIVE, "archive"}, {LOG_SECURITY, "security"},
	{LOG_REGISTRY, "registry"}, {LOG_STDIO, "stdio"}, {LOG_CGROUP, "cgroup"},   {LOG_BUILD, "build"},
	{LOG_ALL, "all"},
};

static long long now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (long long)ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

void log_init(const char *program)
{
	program_name = program;
	const char *names = getenv("RL_DEBUG");
	if (!names || !*names)
		return;
	log_set_debug(names);
	const char *start = getenv(START_ENV);
	if (start)
		start_ns = strtoll(start, NULL, 10);
	if (start_ns <= 0 || start_ns > now_ns())
		start_ns = now_ns();
}

bool log_set_debug(const char *names)
{
	bool known_all = true;
	if (!start_ns)
		start_ns = now_ns();
	while (*names) {
		size_t n = strcspn(names, ",");
		bool known = n == 0;
		for (size_t i = 0; i < ARRAY_SIZE(mask_names); i++) {
			if (strlen(mask_names[i].name) == n && !strncmp(mask_names[i].name, names, n)) {
				log_active_mask |= mask_names[i].bit;
				known = true;
			}
		}
		known_all = known_all && known;
		names += n;
		names += *names == ',';
	}
	return known_all;
}

void log_detach_stdio(enum log_mask mask)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)dup2(fd, 0);
	(void)dup2(fd, 1);
	if (!log_on(mask))
		(void)dup2(fd, 2);
	/* A caller that had closed one of the three: it is what the descriptor is. */
	if (fd > 2)
		close(fd);
}

void log_export(void)
{
	if (!log_active_mask)
		return;
	char text[256] = "";
	for (size_t i = 0; i + 1 < ARRAY_SIZE(mask_names); i++) {
		if (!(log_active_mask & mask_names[i].bit))
			continue;
		size_t used = strlen(text);
		snprintf(text + used, sizeof(text) - used, "%s%s", used ? "," : "", mask_names[i].name);
	}
	setenv("RL_DEBUG", text, 1);
	snprintf(text, sizeof(text), "%lld", start_ns);
	setenv(START_ENV, text, 1);
}

void log_set_role(const char *role)
{
	role_name = role;
}

void log_set_quiet(bool quiet)
{
	quiet_warnings = quiet;
}

long log_elapsed_us(void)
{
	return start_ns ? (long)((now_ns() - start_ns) / 1000) : 0;
}

/* Hostile names end up in our messages; a terminal must not interpret them. The C1 controls (U+0080 to U+009F, or those
 * bytes alone on a terminal without UTF-8) are as good as an escape sequence. */
static size_t escape_into(char *dst, size_t size, const char *src)
{
	size_t n = 0;
	size_t left = strlen(src);
	while (left && n + 5 < size) {
		unsigned char c = (unsigned char)*src;
		size_t len = str_utf8_len(src, left);
		bool control = (c < 0x20 && c != '\t') || c == 0x7f || (c == 0xc2 && (unsigned char)src[1] < 0xa0);
		if (len == 0 || control) {
			n += (size_t)snprintf(dst + n, size - n, "\\x%02x", c);
			len = 1;
		} else {
			memcpy(dst + n, src, len);
			n += len;
		}
		src += len;
		left -= len;
	}
	return n;
}

void log_set_file(int fd, bool json)
{
	file_fd = fd;
	file_json = json;
}

/* Inside of double quotes, for JSON and for logfmt alike. */
static size_t quote_into(char *dst, size_t size, const char *src)
{
	size_t n = 0;
	size_t left = strlen(src);
	while (left && n + 7 < size) {
		unsigned char c = (unsigned char)*src;
		size_t len = str_utf8_len(src, left);
		if (len == 0 || c < 0x20 || c == 0x7f) {
			n += (size_t)snprintf(dst + n, size - n, "\\u%04x", c);
			len = 1;
		} else {
			if (c == '"' || c == '\\')
				dst[n++] = '\\';
			memcpy(dst + n, src, len);
			n += len;
		}
		src += len;
		left -= len;
	}
	return n;
}

static void emit_to_file(const char *level, const char *text)
{
	char line[LINE_SIZE];
	char when[40];
	time_t now = time(NULL);
	struct tm tm;
	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	size_t n = file_json ? (size_t)snprintf(line, sizeof(line), "{\"level\":\"%s\",\"msg\":\"", level)
			     : (size_t)snprintf(line, sizeof(line), "time=\"%s\" level=%s msg=\"", when, level);
	n += quote_into(line + n, sizeof(line) - n - sizeof(when) - 16, text);
	n += file_json ? (size_t)snprintf(line + n, sizeof(line) - n, "\",\"time\":\"%s\"}\n", when)
		       : (size_t)snprintf(line + n, sizeof(line) - n, "\"\n");
	(void)!write(file_fd, line, n);
}

static void emit(const char *level, const char *prefix, const char *fmt, va_list ap)
{
	int saved_errno = errno;
	char text[LINE_SIZE / 2];
	char line[LINE_SIZE];
	vsnprintf(text, sizeof(text), fmt, ap);
	if (file_fd >= 0)
		emit_to_file(level, text);
	if (file_fd >= 0 && (*level == 'd' || *level == 'w')) {
		errno = saved_errno;
		return;
	}
	size_t n = (size_t)snprintf(line, sizeof(line), "%s", prefix);
	n += escape_into(line + n, sizeof(line) - n - 1, text);
	line[n++] = '\n';
	(void)!write(STDERR_FILENO, line, n);
	errno = saved_errno;
}

void log_line(const char *fmt, ...)
{
	char prefix[64];
	snprintf(prefix, sizeof(prefix), "%s: ", program_name);
	va_list ap;
	va_start(ap, fmt);
	/* Readers of the file take the last error for the cause: what follows it is none. */
	emit(strncmp(fmt, "hint: ", 6) == 0 ? "info" : "error", prefix, fmt, ap);
	va_end(ap);
}

void log_warn(const char *fmt, ...)
{
	if (quiet_warnings)
		return;
	char prefix[64];
	snprintf(prefix, sizeof(prefix), "%s: warning: ", program_name);
	va_list ap;
	va_start(ap, fmt);
	emit("warning", prefix, fmt, ap);
	va_end(ap);
}

void log_debug_line(enum log_mask mask, const char *module, const char *fmt, ...)
{
	(void)mask;
	const char *slash = strrchr(module, '/');
	char prefix[160];
	snprintf(prefix, sizeof(prefix), "[%8ld us] %s[%d]%s%s %s: ", log_elapsed_us(), program_name, (int)getpid(),
		 *role_name ? " " : "", role_name, slash ? slash + 1 : module);
	va_list ap;
	va_start(ap, fmt);
	emit("debug", prefix, fmt, ap);
	va_end(ap);
}
