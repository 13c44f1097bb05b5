/* run_opts_tmpfs.c - the grammar of --tmpfs, its words in --mount, and --read-only-tmpfs. */
#include <limits.h>
#include <stdlib.h>

#include "rl/base/fmt.h"
#include "rl/base/mem.h"
#include "run_opts_int.h"
#include "run_opts_mount_int.h"

static void add_tmpfs_option(struct mount_opt *m, const char *key, const char *value)
{
	char *joined = m->tmpfs_options ? xasprintf("%s,%s=%s", m->tmpfs_options, key, value)
					: xasprintf("%s=%s", key, value);
	free(m->tmpfs_options);
	m->tmpfs_options = joined;
}

static int tmpfs_size(struct mount_parse *p, const char *value, struct err *e)
{
	size_t n = strlen(value);
	/* A share of memory is the kernel's own grammar. */
	if (n >= 2 && n <= 4 && value[n - 1] == '%' && strspn(value, "0123456789") == n - 1) {
		add_tmpfs_option(&p->m, "size", value);
		return 0;
	}
	uint64_t bytes;
	int r = fmt_parse_size(value, p->option, &bytes, e);
	if (r < 0)
		return r;
	if (bytes > INT64_MAX)
		return mount_parse_bad(p, e, "the size '%s' is too large", value);
	p->m.tmpfs_size = (int64_t)bytes;
	return 0;
}

static int tmpfs_mode(struct mount_parse *p, const char *value, struct err *e)
{
	char *end;
	unsigned long mode = strtoul(value, &end, 8);
	if (*end || *value < '0' || *value > '7' || mode > 07777)
		return mount_parse_bad(p, e, "the mode '%s' is not an octal number up to 7777", value);
	p->m.tmpfs_mode = (int32_t)mode;
	return 0;
}

/* "key=value" options of a tmpfs. Returns 1 when the key is none of them. */
int mount_parse_tmpfs_value(struct mount_parse *p, const char *key, const char *value, struct err *e)
{
	static const char *const huge[] = {"never", "always", "within_size", "advise"};
	if (str_eq(key, "size") || str_eq(key, "tmpfs-size"))
		return tmpfs_size(p, value, e);
	if (str_eq(key, "mode") || str_eq(key, "tmpfs-mode"))
		return tmpfs_mode(p, value, e);
	if (str_eq(key, "uid") || str_eq(key, "gid")) {
		uint64_t id;
		if (str_to_u64(value, UINT32_MAX - 1, key, &id, NULL) < 0)
			return mount_parse_bad(p, e, "%s=%s is not an id", key, value);
		add_tmpfs_option(&p->m, key, value);
		return 0;
	}
	if (str_eq(key, "nr_inodes") || str_eq(key, "nr_blocks")) {
		size_t n = strspn(value, "0123456789");
		if (n == 0 || n > 19 || (value[n] && (value[n + 1] || !strchr("kmgKMG", value[n]))))
			return mount_parse_bad(p, e, "%s=%s is not a number", key, value);
		add_tmpfs_option(&p->m, key, value);
		return 0;
	}
	if (str_eq(key, "huge")) {
		for (size_t i = 0; i < ARRAY_SIZE(huge); i++) {
			if (!str_eq(value, huge[i]))
				continue;
			add_tmpfs_option(&p->m, key, value);
			return 0;
		}
		return mount_parse_bad(p, e, "huge=%s: never, always, within_size or advise is expected", value);
	}
	return 1;
}

static int read_tmpfs_option(struct mount_parse *p, char *word, struct err *e)
{
	char *eq = strchr(word, '=');
	int r;
	if (eq) {
		*eq = '\0';
		r = mount_parse_tmpfs_value(p, word, eq + 1, e);
	} else {
		r = mount_parse_flag(p, word, NULL, e);
	}
	return r == 1 ? mount_parse_unknown(p, word, e) : r;
}

static int parse_tmpfs(struct mount_parse *p, struct err *e)
{
	p->m.kind = MOUNT_KIND_TMPFS;
	const char *colon = strchr(p->text, ':');
	autofree char *target = colon ? xstrndup(p->text, (size_t)(colon - p->text)) : xstrdup(p->text);
	int r = mount_parse_target(p, target, e);
	if (r < 0 || !colon)
		return r;
	autostrv struct strv words = STRV_INIT;
	strv_split(&words, colon + 1, ',');
	for (size_t i = 0; i < words.count && r >= 0; i++)
		if (*words.items[i])
			r = read_tmpfs_option(p, words.items[i], e);
	return r;
}

int run_opts_tmpfs(struct run_opts *o, const char *value, struct err *e)
{
	struct mount_parse p;
	mount_parse_init(&p, "--tmpfs", value);
	int r = parse_tmpfs(&p, e);
	if (r >= 0)
		mount_parse_done(o, &p);
	run_opts_free_mount(&p.m);
	return r < 0 ? r : 0;
}

void run_opts_add_read_only_tmpfs(struct run_opts *o)
{
	static const char *const places[] = {"/run", "/tmp", "/var/tmp"};
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		bool taken = false;
		for (size_t k = 0; k < o->nmounts && !taken; k++)
			taken = str_eq(o->mounts[k].target, places[i]);
		if (taken)
			continue;
		struct mount_parse p;
		mount_parse_init(&p, "--read-only-tmpfs", places[i]);
		p.m.kind = MOUNT_KIND_TMPFS;
		p.m.target = xstrdup(places[i]);
		p.m.tmpfs_mode = str_eq(places[i], "/run") ? 0755 : 01777;
		mount_parse_done(o, &p);
	}
}
