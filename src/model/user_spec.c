/*
 * user_spec.c - `-u USER[:GROUP]` to ids.
 *
 * Both files are the image's, so nothing in them may surprise: a line is found by comparing whole fields by length,
 * numbers are read by one strict reader, and a text of digits never reaches the name comparison (an image with a user
 * called "1000" and uid 0 must not catch `-u 1000`). Lines are walked with memchr; nothing is copied but the name and
 * the home directory of the one line that matched, so a gigabyte line or ten million lines cost one pass and no memory.
 */
#include "rl/model/user_spec.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "rl/base/mem.h"
#include "rl/base/str.h"

enum { ID_MAX_DIGITS = 10, FIELDS_MAX = 7, HOME_MAX = 4096 };
static const uint64_t id_max = UINT32_MAX - 1; /* the last one means "leave unchanged" to the kernel */

struct field {
	const char *text;
	size_t len;
};

static bool field_is(const struct field *f, const char *text)
{
	size_t n = strlen(text);
	return f->len == n && !memcmp(f->text, text, n);
}

/* Decimal digits only, value at most id_max. */
static bool field_to_id(const struct field *f, uint32_t *ret)
{
	uint64_t v = 0;
	if (f->len == 0 || f->len > ID_MAX_DIGITS)
		return false;
	for (size_t i = 0; i < f->len; i++) {
		if (f->text[i] < '0' || f->text[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(f->text[i] - '0');
	}
	if (v > id_max)
		return false;
	*ret = (uint32_t)v;
	return true;
}

static bool only_digits(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] < '0' || text[i] > '9')
			return false;
	return len > 0;
}

static int parse_number(const char *text, size_t len, const char *what, struct user_part *ret, struct err *e)
{
	struct field f = {text, len};
	if (len > 1 && *text == '0')
		return err_set(e, EINVAL, "%s '%.*s' has leading zeros: write the number in plain decimal", what,
			       (int)RL_MIN(len, (size_t)32), text);
	if (!field_to_id(&f, &ret->id))
		return err_set(e, EINVAL, "%s %.*s is out of range: the largest id is 4294967294", what,
			       (int)RL_MIN(len, (size_t)32), text);
	ret->kind = USER_PART_ID;
	return 0;
}

/* What a name may be: not the look of a number in some base or with a sign, no blanks, no control characters, nothing
 * that the files use as a separator. */
static int parse_name(const char *text, size_t len, const char *what, struct user_part *ret, struct err *e)
{
	if (len >= USER_SPEC_NAME_MAX)
		return err_set(e, EINVAL, "%s is longer than %d characters", what, USER_SPEC_NAME_MAX - 1);
	if (*text == '+' || *text == '-')
		return err_set(e, EINVAL, "%s '%.*s' may not begin with a sign", what, (int)len, text);
	if (*text == '0' && len > 1 && strchr("xXbBoO", text[1]))
		return err_set(e, EINVAL, "%s '%.*s' looks like a number: write it in plain decimal", what, (int)len,
			       text);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c <= ' ' || c == 0x7f || strchr(":,/", c))
			return err_set(e, EINVAL, "%s '%.*s' contains a character that no name has", what, (int)len,
				       text);
	}
	memcpy(ret->name, text, len);
	ret->name[len] = '\0';
	ret->kind = USER_PART_NAME;
	return 0;
}

static int parse_part(const char *text, size_t len, const char *what, struct user_part *ret, struct err *e)
{
	if (only_digits(text, len))
		return parse_number(text, len, what, ret, e);
	return parse_name(text, len, what, ret, e);
}

int user_spec_parse(const char *text, struct user_spec *ret_spec, struct err *e)
{
	struct user_spec spec = {.user.kind = USER_PART_NONE};
	if (!text || !*text) {
		*ret_spec = spec;
		return 0;
	}
	const char *colon = strchr(text, ':');
	size_t user_len = colon ? (size_t)(colon - text) : strlen(text);
	int r = user_len ? parse_part(text, user_len, "user", &spec.user, e) : 0;
	if (r < 0)
		return r;
	if (colon) {
		if (!colon[1])
			return err_set(e, EINVAL, "user '%.64s': the group after ':' is missing", text);
		r = parse_part(colon + 1, strlen(colon + 1), "group", &spec.group, e);
		if (r < 0)
			return r;
	}
	*ret_spec = spec;
	return 0;
}

struct lines {
	const char *p;
	const char *end;
};

/* The next line split at ':' into at most FIELDS_MAX fields. Lines without a field separator, comments and lines with
 * a NUL in them are passed over: nothing can be meant by them. */
static bool next_line(struct lines *l, struct field fields[FIELDS_MAX], size_t *ret_count)
{
	while (l->p < l->end) {
		const char *eol = memchr(l->p, '\n', (size_t)(l->end - l->p));
		const char *stop = eol ? eol : l->end;
		const char *p = l->p;
		l->p = eol ? eol + 1 : l->end;
		if (p == stop || *p == '#' || memchr(p, '\0', (size_t)(stop - p)))
			continue;
		size_t n = 0;
		for (;;) {
			const char *sep = n + 1 < FIELDS_MAX ? memchr(p, ':', (size_t)(stop - p)) : NULL;
			fields[n++] = (struct field){p, (size_t)((sep ? sep : stop) - p)};
			if (!sep)
				break;
			p = sep + 1;
		}
		if (n < 2)
			continue;
		*ret_count = n;
		return true;
	}
	return false;
}

enum { PASSWD_NAME, PASSWD_PASSWORD, PASSWD_UID, PASSWD_GID, PASSWD_GECOS, PASSWD_HOME, PASSWD_SHELL };
enum { GROUP_NAME, GROUP_PASSWORD, GROUP_GID, GROUP_MEMBERS };

static void take_home(const struct field *f, size_t count, struct user_ids *ids)
{
	if (count <= PASSWD_HOME)
		return;
	f += PASSWD_HOME;
	/* A relative or overlong home is no home. */
	if (f->len == 0 || f->len >= HOME_MAX || f->text[0] != '/')
		return;
	free(ids->home);
	ids->home = xstrndup(f->text, f->len);
}

/* Fills uid, gid, name and home. A number without a line is itself with group 0. */
static int find_user(const struct user_part *user, const char *passwd, size_t len, struct user_ids *ids, struct err *e)
{
	struct lines l = {passwd, passwd + len};
	struct field f[FIELDS_MAX];
	size_t n;
	uint32_t want = user->kind == USER_PART_ID ? user->id : 0;
	while (next_line(&l, f, &n)) {
		uint32_t uid = 0;
		uint32_t gid = 0;
		bool sound = n > PASSWD_GID && field_to_id(&f[PASSWD_UID], &uid) && field_to_id(&f[PASSWD_GID], &gid);
		if (user->kind == USER_PART_NAME) {
			if (!field_is(&f[PASSWD_NAME], user->name))
				continue;
			if (!sound)
				return err_set(e, EINVAL,
					       "user '%s': its line in the container's /etc/passwd is malformed",
					       user->name);
		} else if (!sound || uid != want) {
			continue;
		}
		ids->uid = uid;
		ids->gid = gid;
		if (f[PASSWD_NAME].len && f[PASSWD_NAME].len < USER_SPEC_NAME_MAX)
			ids->name = xstrndup(f[PASSWD_NAME].text, f[PASSWD_NAME].len);
		take_home(f, n, ids);
		return 0;
	}
	if (user->kind == USER_PART_NAME)
		return err_set(e, ENOENT, "user '%s' is not in the container's /etc/passwd", user->name);
	ids->uid = want;
	ids->gid = 0;
	return 0;
}

static int find_group(const char *name, const char *group, size_t len, uint32_t *ret_gid, struct err *e)
{
	struct lines l = {group, group + len};
	struct field f[FIELDS_MAX];
	size_t n;
	while (next_line(&l, f, &n)) {
		if (!field_is(&f[GROUP_NAME], name))
			continue;
		if (n <= GROUP_GID || !field_to_id(&f[GROUP_GID], ret_gid))
			return err_set(e, EINVAL, "group '%s': its line in the container's /etc/group is malformed",
				       name);
		return 0;
	}
	return err_set(e, ENOENT, "group '%s' is not in the container's /etc/group", name);
}

static bool has_member(const struct field *members, const char *name)
{
	const char *p = members->text;
	const char *end = p + members->len;
	while (p < end) {
		const char *sep = memchr(p, ',', (size_t)(end - p));
		struct field one = {p, (size_t)((sep ? sep : end) - p)};
		if (field_is(&one, name))
			return true;
		if (!sep)
			break;
		p = sep + 1;
	}
	return false;
}

int user_ids_add_group(struct user_ids *ids, uint32_t gid, struct err *e)
{
	for (size_t i = 0; i < ids->ngroups; i++)
		if (ids->groups[i] == gid)
			return 0;
	if (ids->ngroups >= USER_SPEC_GROUPS_MAX)
		return err_set(e, E2BIG, "user '%s' is in more than %d groups", ids->name ? ids->name : "?",
			       USER_SPEC_GROUPS_MAX);
	ids->groups = xreallocarray(ids->groups, ids->ngroups + 1, sizeof(*ids->groups));
	ids->groups[ids->ngroups++] = gid;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a;
	const uint32_t y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

/* Every group that names the user as a member. They are gathered first and made unique by sorting, because a hostile
 * file may name one user in a million lines and a search per line would be quadratic. */
static int add_memberships(const char *group, size_t len, struct user_ids *ids, struct err *e)
{
	struct lines l = {group, group + len};
	struct field f[FIELDS_MAX];
	size_t n;
	autofree uint32_t *found = NULL;
	size_t count = 0;
	size_t size = 0;
	while (next_line(&l, f, &n)) {
		uint32_t gid;
		if (n <= GROUP_MEMBERS || !field_to_id(&f[GROUP_GID], &gid) || gid == ids->gid ||
		    !has_member(&f[GROUP_MEMBERS], ids->name))
			continue;
		if (count == size) {
			size = size ? size * 2 : 16;
			found = xreallocarray(found, size, sizeof(*found));
		}
		found[count++] = gid;
	}
	if (!count)
		return 0;
	qsort(found, count, sizeof(*found), by_number);
	size_t unique = 1;
	for (size_t i = 1; i < count; i++)
		if (found[i] != found[unique - 1])
			found[unique++] = found[i];
	if (ids->ngroups + unique > USER_SPEC_GROUPS_MAX)
		return err_set(e, E2BIG, "user '%s' is in more than %d groups of the container's /etc/group", ids->name,
			       USER_SPEC_GROUPS_MAX);
	ids->groups = xreallocarray(ids->groups, ids->ngroups + unique, sizeof(*ids->groups));
	memcpy(ids->groups + ids->ngroups, found, unique * sizeof(*found));
	ids->ngroups += unique;
	return 0;
}

static int resolve_into(const struct user_spec *spec, const char *passwd, size_t passwd_len, const char *group,
			size_t group_len, struct user_ids *ids, struct err *e)
{
	int r = find_user(&spec->user, passwd, passwd_len, ids, e);
	if (r < 0)
		return r;
	switch (spec->group.kind) {
	case USER_PART_NONE:
		break;
	case USER_PART_ID:
		ids->gid = spec->group.id;
		break;
	case USER_PART_NAME:
		r = find_group(spec->group.name, group, group_len, &ids->gid, e);
		break;
	}
	if (r < 0)
		return r;
	r = user_ids_add_group(ids, ids->gid, e);
	if (r < 0)
		return r;
	if (spec->group.kind == USER_PART_NONE && ids->name)
		return add_memberships(group, group_len, ids, e);
	return 0;
}

int user_spec_resolve(const struct user_spec *spec, const char *passwd, size_t passwd_len, const char *group,
		      size_t group_len, struct user_ids *ret_ids, struct err *e)
{
	struct user_ids ids = {.home = xstrdup("/")};
	int r = resolve_into(spec, passwd ? passwd : "", passwd ? passwd_len : 0, group ? group : "",
			     group ? group_len : 0, &ids, e);
	if (r < 0) {
		user_ids_free(&ids);
		return r;
	}
	*ret_ids = ids;
	return 0;
}

int user_spec_group(const char *text, const char *group, size_t group_len, uint32_t *ret_gid, struct err *e)
{
	struct user_part part = {.kind = USER_PART_NONE};
	if (!*text)
		return err_set(e, EINVAL, "an empty group name");
	int r = parse_part(text, strlen(text), "group", &part, e);
	if (r < 0)
		return r;
	if (part.kind == USER_PART_NAME)
		return find_group(part.name, group ? group : "", group ? group_len : 0, ret_gid, e);
	*ret_gid = part.id;
	return 0;
}

void user_ids_free(struct user_ids *ids)
{
	free(ids->groups);
	free(ids->name);
	free(ids->home);
	*ids = (struct user_ids){0};
}
