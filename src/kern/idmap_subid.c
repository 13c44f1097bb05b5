/*
 * idmap_subid.c - where subordinate ids come from.
 *
 * Theory: subuid(5) files are lines "owner:start:count", the owner a login name or a number; a user may have several.
 * They are read in blocks of whole lines, because a site may have a line per employee; what does not parse is skipped,
 * as newuidmap does. Nothing here grants anything: newuidmap checks again with root's eyes, a wrong answer of ours only
 * makes it refuse.
 *
 * Where nsswitch.conf has a `subid:` line naming anything but files, the files are not consulted by newuidmap, so they
 * are not by us: libsubid is loaded then, and only then (it draws in libraries of the name service).
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "idmap_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/str.h"

enum {
	BLOCK_SIZE = 32 * 1024,
	OWNER_MAX = 256, /* longest owner that is compared */
};

/* Digits up to `end`, the whole field, within 32 bits. */
static bool parse_u32(const char *p, const char *end, uint32_t *ret_value)
{
	uint64_t value = 0;
	if (p == end || end - p > 10)
		return false;
	for (; p < end; p++) {
		if (*p < '0' || *p > '9')
			return false;
		value = value * 10 + (uint64_t)(*p - '0');
	}
	if (value > UINT32_MAX)
		return false;
	*ret_value = (uint32_t)value;
	return true;
}

static bool is_owner(const char *p, size_t len, const char *user, uint32_t uid)
{
	if (len == 0 || len > OWNER_MAX)
		return false;
	if (user && strlen(user) == len && memcmp(p, user, len) == 0)
		return true;
	uint32_t number;
	return parse_u32(p, p + len, &number) && number == uid;
}

/* 0xffffffff is no id, so a range ends below it. */
static void add_range(uint64_t start, uint64_t count, struct idmap_extent *ranges, size_t max, size_t *n)
{
	if (count == 0 || start >= IDMAP_UNMAPPED || count > IDMAP_UNMAPPED - start || *n >= max)
		return;
	ranges[(*n)++] = (struct idmap_extent){.outside = (uint32_t)start, .count = (uint32_t)count};
}

void idmap_parse_subids(const char *text, size_t len, const char *user, uint32_t uid, struct idmap_extent *ranges,
			size_t max, size_t *n)
{
	const char *end = text + len;
	for (const char *line = text; line < end;) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		if (!stop)
			stop = end;
		const char *colon = memchr(line, ':', (size_t)(stop - line));
		const char *second = colon ? memchr(colon + 1, ':', (size_t)(stop - colon - 1)) : NULL;
		uint32_t start;
		uint32_t count;
		if (second && is_owner(line, (size_t)(colon - line), user, uid) &&
		    parse_u32(colon + 1, second, &start) && parse_u32(second + 1, stop, &count))
			add_range(start, count, ranges, max, n);
		line = stop + 1;
	}
}

struct subid_search {
	const char *user;
	uint32_t uid;
	struct idmap_extent *ranges;
	size_t max;
	size_t n;
};

static bool search_block(const char *text, size_t len, void *arg)
{
	struct subid_search *s = arg;
	idmap_parse_subids(text, len, s->user, s->uid, s->ranges, s->max, &s->n);
	return s->n < s->max;
}

struct name_search {
	uint32_t uid;
	char *name;
	size_t size;
	bool found;
};

/* Lines "name:password:uid:..."; the first with our number counts, as for getpwuid(3). */
static bool search_passwd_block(const char *text, size_t len, void *arg)
{
	struct name_search *s = arg;
	const char *end = text + len;
	for (const char *line = text; line < end && !s->found;) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		if (!stop)
			stop = end;
		const char *a = memchr(line, ':', (size_t)(stop - line));
		const char *b = a ? memchr(a + 1, ':', (size_t)(stop - a - 1)) : NULL;
		const char *c = b ? memchr(b + 1, ':', (size_t)(stop - b - 1)) : NULL;
		uint32_t uid;
		if (c && a > line && *line != '#' && *line != '+' && *line != '-' && (size_t)(a - line) < s->size &&
		    parse_u32(b + 1, c, &uid) && uid == s->uid) {
			snprintf(s->name, s->size, "%.*s", (int)(a - line), line);
			s->found = true;
		}
		line = stop + 1;
	}
	return !s->found;
}

/* Feed the file to fn in blocks that end at a newline, until fn says false. A line longer than a block cannot be a
 * valid one of these files and is dropped whole. */
static void each_block(const char *path, bool (*fn)(const char *text, size_t len, void *arg), void *arg)
{
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		log_debug(LOG_IDMAP, "%s: not a readable file", path);
		return;
	}
	autofree char *block = xmalloc(BLOCK_SIZE);
	size_t kept = 0;
	bool overlong = false;
	for (;;) {
		ssize_t got = io_read_full(fd, block + kept, BLOCK_SIZE - kept, NULL);
		if (got < 0)
			return;
		size_t len = kept + (size_t)got;
		bool last = len < BLOCK_SIZE;
		const char *newline = memrchr(block, '\n', len);
		size_t whole = newline ? (size_t)(newline - block) + 1 : 0;
		if (last)
			whole = len;
		if (whole == 0 && !last) {
			overlong = true;
			kept = 0;
			continue;
		}
		const char *from = block;
		if (overlong) {
			const char *first = memchr(block, '\n', whole);
			from = first ? first + 1 : block + whole;
			overlong = false;
		}
		if (!fn(from, (size_t)(block + whole - from), arg) || last)
			return;
		kept = len - whole;
		memmove(block, block + whole, kept);
	}
}

bool idmap_user_name(uint32_t uid, char *ret_name, size_t size)
{
	/* The name service costs more system calls than all the rest of the detection, and its first use faults in
	 * its code; people are nearly always in the file. */
	struct name_search s = {.uid = uid, .name = ret_name, .size = size};
	each_block("/etc/passwd", search_passwd_block, &s);
	if (s.found)
		return true;
	struct passwd pw;
	struct passwd *found = NULL;
	autofree char *buffer = xmalloc(BLOCK_SIZE);
	getpwuid_r(uid, &pw, buffer, BLOCK_SIZE, &found);
	return found && (size_t)snprintf(ret_name, size, "%s", pw.pw_name) < size;
}

/* Does nsswitch.conf name a source of subordinate ids other than the files? */
static bool has_other_source(void)
{
	autostr struct str text = STR_INIT;
	if (io_read_file(AT_FDCWD, "/etc/nsswitch.conf", 1 << 20, &text, NULL) < 0)
		return false;
	for (const char *line = text.buf; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		line += strspn(line, " \t");
		const char *value = str_after(line, "subid:");
		if (!value)
			continue;
		value += strspn(value, " \t");
		size_t n = strcspn(value, " \t\n#[");
		return n > 0 && !(n == 5 && memcmp(value, "files", 5) == 0);
	}
	return false;
}

struct libsubid_range {
	unsigned long start;
	unsigned long count;
};

static void read_libsubid(char kind, const char *user, struct idmap_extent *ranges, size_t max, size_t *n)
{
	static const char *const sonames[] = {"libsubid.so.5", "libsubid.so.4", "libsubid.so.3"};
	void *lib = NULL;
	for (size_t i = 0; !lib && i < ARRAY_SIZE(sonames); i++)
		lib = dlopen(sonames[i], RTLD_NOW | RTLD_LOCAL);
	if (!lib) {
		log_debug(LOG_IDMAP, "libsubid: %s", dlerror());
		return;
	}
	/* Never unloaded: name service modules that it opened may have left threads or exit handlers behind. */
	void *get = dlsym(lib, kind == 'u' ? "subid_get_uid_ranges" : "subid_get_gid_ranges");
	void *init = dlsym(lib, "subid_init");
	if (!get) { /* the names of the first version */
		get = dlsym(lib, kind == 'u' ? "get_subuid_ranges" : "get_subgid_ranges");
		init = dlsym(lib, "libsubid_init");
	}
	if (!get)
		return;
	/* With a NULL stream it logs to /dev/null instead of our standard error. */
	if (init)
		((bool (*)(const char *, FILE *))init)("rl", NULL);
	struct libsubid_range *found = NULL;
	int count = ((int (*)(const char *, struct libsubid_range **))get)(user, &found);
	for (int i = 0; i < count; i++)
		add_range(found[i].start, found[i].count, ranges, max, n);
	free(found);
}

enum idmap_source idmap_subid_source(void)
{
	return has_other_source() ? IDMAP_SOURCE_LIBSUBID : IDMAP_SOURCE_FILES;
}

size_t idmap_find_subids(enum idmap_source source, char kind, const char *user, uint32_t uid,
			 struct idmap_extent *ranges, size_t max)
{
	struct subid_search s = {.user = user, .uid = uid, .ranges = ranges, .max = max};
	if (source == IDMAP_SOURCE_LIBSUBID)
		read_libsubid(kind, user, ranges, max, &s.n);
	else
		each_block(kind == 'u' ? "/etc/subuid" : "/etc/subgid", search_block, &s);
	return s.n;
}

bool idmap_find_helper(const char *name, char *ret_path, size_t size)
{
	for (const char *dir = getenv("PATH"); dir && *dir;) {
		size_t len = strcspn(dir, ":");
		int n = snprintf(ret_path, size, "%.*s/%s", (int)RL_MIN(len, size), dir, name);
		if (dir[0] == '/' && n > 0 && (size_t)n < size && access(ret_path, X_OK) == 0)
			return true;
		dir += len;
		dir += *dir == ':';
	}
	int n = snprintf(ret_path, size, "/usr/bin/%s", name);
	return (size_t)n < size && access(ret_path, X_OK) == 0;
}
