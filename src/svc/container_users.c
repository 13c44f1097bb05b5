/*
 * container_users.c - accounts a container gets beside those of its image, as lines for its passwd and group files.
 *
 * With keep-id the caller's own id exists inside, and without a line for it programs find no name and no home: it gets
 * one. --hostuser brings further accounts of this machine. The lines are added by the child to the files in the
 * writable layer, unless a line with that name or id is there (apply_accounts.c); only the machine's own files are read
 * here, not name services, because rl must not load what those bring.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "container_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"

enum { FILE_MAX_SIZE = 4 << 20, PASSWD_FIELDS = 7 };

struct account {
	char *name, *gecos, *home, *shell;
	uint32_t uid, gid;
};

static void account_free(struct account *a)
{
	free(a->name);
	free(a->gecos);
	free(a->home);
	free(a->shell);
}
#define autoaccount __attribute__((cleanup(account_free)))

/* A field that would end the line or the field becomes part of it no more. */
static char *clean(const char *text)
{
	char *out = xstrdup(text);
	for (char *p = out; *p; p++)
		if (*p == ':' || (unsigned char)*p < ' ')
			*p = '_';
	return out;
}

static bool read_line(const char *line, size_t len, struct account *a)
{
	autofree char *text = xstrndup(line, len);
	autostrv struct strv f = STRV_INIT;
	uint64_t uid;
	uint64_t gid;
	strv_split(&f, text, ':');
	if (f.count != PASSWD_FIELDS || str_to_u64(f.items[2], UINT32_MAX - 1, "uid", &uid, NULL) < 0 ||
	    str_to_u64(f.items[3], UINT32_MAX - 1, "gid", &gid, NULL) < 0)
		return false;
	*a = (struct account){.name = xstrdup(f.items[0]),
			      .gecos = xstrdup(f.items[4]),
			      .home = xstrdup(f.items[5]),
			      .shell = xstrdup(f.items[6]),
			      .uid = (uint32_t)uid,
			      .gid = (uint32_t)gid};
	return true;
}

/* The machine's account of that name, or of that id where name is NULL. */
static bool find_account(const char *name, uint32_t uid, struct account *ret)
{
	autostr struct str text = STR_INIT;
	if (io_read_file(AT_FDCWD, "/etc/passwd", FILE_MAX_SIZE, &text, NULL) < 0)
		return false;
	for (const char *p = text.buf; *p;) {
		size_t n = strcspn(p, "\n");
		struct account a;
		if (read_line(p, n, &a)) {
			if (name ? str_eq(a.name, name) : a.uid == uid) {
				*ret = a;
				return true;
			}
			account_free(&a);
		}
		p += n + (p[n] == '\n');
	}
	return false;
}

/* The caller's home only where it is mounted; else where the command starts, as podman has it. */
static const char *home_of(const struct container *c, const char *home)
{
	for (size_t i = 0; home && *home == '/' && i < c->o->nmounts; i++)
		if (path_is_below(home, c->o->mounts[i].target))
			return home;
	return c->rec.config.cwd;
}

/* "$UID" and so on in --passwd-entry and --group-entry. */
static void add_entry(struct strv *lines, const char *format, const struct account *a)
{
	autostrv struct strv words = STRV_INIT;
	autostr struct str out = STR_INIT;
	strv_addf(&words, "USERNAME=%s", a->name);
	strv_addf(&words, "GROUPNAME=%s", a->name);
	strv_addf(&words, "NAME=%s", a->gecos);
	strv_addf(&words, "UID=%u", a->uid);
	strv_addf(&words, "GID=%u", a->gid);
	strv_addf(&words, "HOME=%s", a->home);
	strv_addf(&words, "USERLIST=%s", a->name);
	run_opts_expand(format, &words, &out);
	strv_add(lines, out.buf);
}

static void add_account(struct container *c, const struct account *a)
{
	struct rtspec *s = &c->spec;
	add_entry(&s->passwd, c->o->passwd_entry ? c->o->passwd_entry : "$USERNAME:*:$UID:$GID:$NAME:$HOME:/bin/sh", a);
	add_entry(&s->group, c->o->group_entry ? c->o->group_entry : "$GROUPNAME:x:$GID:$USERLIST", a);
}

/* The account the command runs as, if it is known by number: that of keep-id, or of -u. */
static bool own_account(const struct container *c, struct account *a)
{
	unsigned uid;
	unsigned gid = 0;
	char end;
	int n = sscanf(c->rec.config.user, "%u:%u%c", &uid, &gid, &end);
	bool kept = c->o->userns == USERNS_KEEP_ID;
	if (n < 1 || n > 2 || (n == 1 && strspn(c->rec.config.user, "0123456789") != strlen(c->rec.config.user)))
		return false;
	if (!kept && !c->o->passwd_entry && !c->o->group_entry)
		return false;
	struct account host = {.uid = uid};
	bool known = kept && find_account(NULL, getuid(), &host);
	*a = (struct account){
		.name = known ? clean(host.name) : xasprintf("%u", uid),
		.gecos = known ? clean(host.gecos) : xstrdup("container user"),
		.home = clean(home_of(c, host.home)),
		.shell = xstrdup("/bin/sh"),
		.uid = uid,
		.gid = gid,
	};
	account_free(&host);
	return true;
}

int container_build_users(struct container *c, struct err *e)
{
	const struct run_opts *o = c->o;
	autoaccount struct account own = {.name = NULL};
	if (o->no_passwd)
		return 0;
	if (own_account(c, &own))
		add_account(c, &own);
	for (size_t i = 0; i < o->host_users.count; i++) {
		autoaccount struct account host = {.name = NULL};
		if (!find_account(o->host_users.items[i], 0, &host))
			return err_set(e, ENOENT, "--hostuser %s: there is no such user in this machine's /etc/passwd",
				       o->host_users.items[i]);
		strv_addf(&c->spec.passwd, "%s:*:%u:%u:%s:%s:/bin/sh", host.name, host.uid, host.gid, host.gecos,
			  home_of(c, host.home));
	}
	return 0;
}
