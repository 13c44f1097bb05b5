/*
 * mountinfo.c - see mountinfo.h.
 */
#include "rl/kern/mountinfo.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/base/str.h"

enum { TABLE_MAX = 16 << 20, FIELD_ROOT = 3, FIELD_POINT = 4, FIELDS_MIN = 6 };

/* Blanks, newlines and backslashes stand as three octal digits behind a backslash. */
static char *unescape(const char *text)
{
	char *out = xstrdup(text);
	char *to = out;
	for (const char *p = text; *p; to++) {
		if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' && p[3] >= '0' &&
		    p[3] <= '7') {
			*to = (char)((p[1] - '0') * 64 + (p[2] - '0') * 8 + (p[3] - '0'));
			p += 4;
		} else {
			*to = *p++;
		}
	}
	*to = '\0';
	return out;
}

/* "36 35 98:0 /root /point options shared:1 - type source fs-options": any number of fields before the dash. */
static bool parse_line(const char *line, size_t len, struct mountinfo_entry *ret)
{
	autofree char *text = xstrndup(line, len);
	autostrv struct strv f = STRV_INIT;
	strv_split(&f, text, ' ');
	size_t dash = FIELDS_MIN;
	while (dash < f.count && !str_eq(f.items[dash], "-"))
		dash++;
	if (dash + 3 >= f.count || f.items[FIELD_POINT][0] != '/')
		return false;
	*ret = (struct mountinfo_entry){.root = unescape(f.items[FIELD_ROOT]),
					.point = unescape(f.items[FIELD_POINT]),
					.type = unescape(f.items[dash + 1]),
					.options = unescape(f.items[dash + 3])};
	return true;
}

void mountinfo_parse(const char *text, struct mountinfo *ret)
{
	size_t size = 0;
	*ret = (struct mountinfo){.items = NULL};
	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n");
		struct mountinfo_entry m;
		if (parse_line(line, len, &m)) {
			if (ret->count == size) {
				size = size ? 2 * size : 32;
				ret->items = xreallocarray(ret->items, size, sizeof(*ret->items));
			}
			ret->items[ret->count++] = m;
		}
		line += len + (line[len] == '\n');
	}
}

int mountinfo_read(struct mountinfo *ret, struct err *e)
{
	autostr struct str text = STR_INIT;
	int r = io_read_file(AT_FDCWD, "/proc/self/mountinfo", TABLE_MAX, &text, e);
	if (r == 0)
		mountinfo_parse(text.buf, ret);
	return r;
}

void mountinfo_free(struct mountinfo *m)
{
	for (size_t i = 0; i < m->count; i++) {
		free(m->items[i].root);
		free(m->items[i].point);
		free(m->items[i].type);
		free(m->items[i].options);
	}
	free(m->items);
	*m = (struct mountinfo){.items = NULL};
}

bool mountinfo_has_below(const struct mountinfo *m, const char *path)
{
	for (size_t i = 0; i < m->count; i++)
		if (path_is_below(m->items[i].point, path) && !str_eq(m->items[i].point, path))
			return true;
	return false;
}

const struct mountinfo_entry *mountinfo_at(const struct mountinfo *m, const char *path)
{
	for (size_t i = m->count; i-- > 0;)
		if (str_eq(m->items[i].point, path))
			return &m->items[i];
	return NULL;
}
