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

/* Feed the file to the parser in blocks that end at a newline. A line longer than a block cannot be a valid one and is
 * dropped whole. */
static void read_subid_file(const char *path, const char *user, uint32_t uid, struct idmap_extent *ranges, size_t max,
			    size_t *n)
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
		idmap_parse_subids(from, (size_t)(block + whole - from), user, uid, ranges, max, n);
		if (last)
			return;
		kept = len - whole;
		memmove(block, block + whole, kept);
	}
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

size_t idmap_find_subids(char kind, const char *user, uint32_t uid, struct idmap_extent *ranges, size_t max,
			 const char **ret_source)
{
	const char *path = kind == 'u' ? "/etc/subuid" : "/etc/subgid";
	size_t n = 0;
	if (has_other_source()) {
		*ret_source = "the subid source of /etc/nsswitch.conf";
		read_libsubid(kind, user, ranges, max, &n);
	} else {
		*ret_source = path;
		read_subid_file(path, user, uid, ranges, max, &n);
	}
	return n;
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
