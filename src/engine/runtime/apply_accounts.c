/*
 * apply_accounts.c - lines added to the container's passwd and group files.
 *
 * The files are the image's or the payload's and hostile: read with a limit, never through a link that leads out, and
 * replaced by rename (safepath). A line whose name or id is there already is not added, so that later starts change
 * nothing, and what the image says about an id stays true.
 */
#include <errno.h>
#include <stdlib.h>

#include "apply.h"
#include "rl/base/mem.h"
#include "rl/kern/safepath.h"

/* Name and id (third field) of a line. */
static bool split(const char *line, size_t len, char **ret_name, char **ret_id)
{
	const char *end = line + len;
	const char *name_end = memchr(line, ':', len);
	const char *second = name_end ? memchr(name_end + 1, ':', (size_t)(end - name_end - 1)) : NULL;
	if (!second)
		return false;
	const char *id_end = memchr(second + 1, ':', (size_t)(end - second - 1));
	*ret_name = xstrndup(line, (size_t)(name_end - line));
	*ret_id = xstrndup(second + 1, (size_t)((id_end ? id_end : end) - second - 1));
	return true;
}

static bool is_there(const struct str *text, const char *name, const char *id)
{
	for (const char *p = text->buf; *p;) {
		size_t n = strcspn(p, "\n");
		autofree char *other = NULL;
		autofree char *other_id = NULL;
		if (split(p, n, &other, &other_id) && (str_eq(other, name) || str_eq(other_id, id)))
			return true;
		p += n + (p[n] == '\n');
	}
	return false;
}

static int add_lines(struct apply *a, const char *path, const struct strv *lines, struct err *e)
{
	autostr struct str text = STR_INIT;
	bool changed = false;
	int r = lines->count ? safepath_read_file(a->rootfd, path, USER_SPEC_FILE_MAX, &text, e) : -ENOENT;
	if (r < 0) {
		/* An image without such a file has no use for it. */
		if (r == -ENOENT && e)
			err_clear(e);
		return r == -ENOENT ? 0 : r;
	}
	for (size_t i = 0; i < lines->count; i++) {
		autofree char *name = NULL;
		autofree char *id = NULL;
		if (!split(lines->items[i], strlen(lines->items[i]), &name, &id) || is_there(&text, name, id))
			continue;
		str_addf(&text, "%s%s\n", text.len && text.buf[text.len - 1] != '\n' ? "\n" : "", lines->items[i]);
		changed = true;
	}
	return changed ? safepath_write_file(a->rootfd, path, text.buf, text.len, 0644, e) : 0;
}

int apply_accounts(struct apply *a, struct err *e)
{
	int r = add_lines(a, "/etc/passwd", &a->plan->spec->passwd, e);
	return r < 0 ? r : add_lines(a, "/etc/group", &a->plan->spec->group, e);
}
