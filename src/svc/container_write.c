/*
 * container_write.c - documents of a container replaced, also where the disk is full.
 *
 * How a container ended must not be lost because its own output has filled the disk. So whoever runs one in the
 * background keeps a file with blocks of its own in its directory, `reserve`: where there is no room for a new
 * state.json it is written into that file, which then takes its name.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"

static const char reserve_name[] = CONTAINER_RESERVE_FILE;

/* A state is 1 to 3 KiB, with the words of five health checks up to 40. */
enum { RESERVE_SIZE = 8 * 1024, RESERVE_SIZE_HEALTH = 48 * 1024 };

void container_rec_reserve(const struct container_rec *c)
{
	off_t size = c->config.health.test.count ? RESERVE_SIZE_HEALTH : RESERVE_SIZE;
	autofd int fd = openat(c->dirfd, reserve_name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fallocate(fd, 0, 0, size) < 0)
		log_debug(LOG_STORE, "no reserve for the state: %s", strerrorname_np(errno));
}

static bool is_full(int r)
{
	return r == -ENOSPC || r == -EDQUOT;
}

static int write_into_reserve(const struct container_rec *c, const char *name, const struct str *text, struct err *e)
{
	autofd int fd = openat(c->dirfd, reserve_name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_set(e, ENOSPC, "%s: the disk is full", name);
	int r = io_write_all(fd, text->buf, text->len, e);
	if (r == 0 && ftruncate(fd, (off_t)text->len) < 0)
		r = err_sys(e, errno, "cut %s", name);
	if (r == 0 && renameat(c->dirfd, reserve_name, c->dirfd, name) < 0)
		r = err_sys(e, errno, "rename to %s", name);
	return r;
}

static int write_document(const struct container_rec *c, const char *name, json_t *doc, bool reserved, struct err *e)
{
	autojson json_t *owned = doc;
	autostr struct str text = STR_INIT;
	struct err why = ERR_INIT;
	json_print(owned, false, &text);
	str_addc(&text, '\n');
	int r = io_replace_file(c->dirfd, name, text.buf, text.len, 0600, false, &why);
	if (is_full(r) && reserved) {
		err_clear(&why);
		r = write_into_reserve(c, name, &text, &why);
		/* What it replaced has left as much room. */
		if (r == 0)
			container_rec_reserve(c);
	}
	if (r == 0)
		return 0;
	if (e)
		*e = why;
	return err_ctx(e, "record of container %.12s", c->config.id);
}

int container_rec_write_config(const struct container_rec *c, struct err *e)
{
	return write_document(c, "config.json", record_config_to_json(&c->config), false, e);
}

int container_rec_write_state(const struct container_rec *c, struct err *e)
{
	return write_document(c, "state.json", record_state_to_json(&c->state), true, e);
}
