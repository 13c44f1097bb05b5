/* image_commit.c - the request for rl-image's commit, and its answer; see image_commit.h. */
#include "rl/svc/image_commit.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "image_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"

int image_request_fd(const json_t *doc, struct err *e)
{
	autostr struct str text = STR_INIT;
	json_print(doc, false, &text);
	autofd int fd = io_memory_file("request", e);
	if (fd < 0)
		return fd;
	int r = io_write_all(fd, text.buf, text.len, e);
	if (r >= 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = err_sys(e, errno, "seek");
	return r < 0 ? r : take_fd(&fd);
}

static json_t *dir_request(const struct image_layer_dir *d)
{
	json_t *doc = json_object();
	json_put_str(doc, "path", d->path);
	json_put_bool(doc, "take", d->take);
	if (d->exclude)
		json_put_strv(doc, "exclude", d->exclude);
	json_put_str(doc, "created_by", d->created_by);
	json_put_str(doc, "comment", d->comment);
	json_put_str(doc, "author", d->author);
	return doc;
}

static json_t *request_of(const struct image_commit *c)
{
	json_t *doc = json_object();
	json_t *dirs = json_array();
	json_object_set(doc, "config", c->config);
	json_put_str(doc, "base", c->base);
	if (c->lowers)
		json_put_strv(doc, "lowers", c->lowers);
	json_put_bool(doc, "squash", c->squash);
	json_put_bool(doc, "trust_records", c->trust_records);
	json_put_str(doc, "created", c->created);
	if (c->clamp_mtime)
		json_put_int(doc, "epoch", c->source_date_epoch);
	for (size_t i = 0; i < c->ndirs; i++)
		json_array_append_new(dirs, dir_request(&c->dirs[i]));
	json_put(doc, "dirs", dirs);
	return doc;
}

int image_commit(const struct store *s, const struct idmap *map, const struct image_commit *c,
		 const struct image_ui *ui, struct image_added *ret_added, struct err *e)
{
	static const struct idmap identity = {.form = IDMAP_IDENTITY, .key = "identity"};
	autojson json_t *request = request_of(c);
	autofd int fd = image_request_fd(request, e);
	if (fd < 0)
		return fd;
	autostrv struct strv verb = STRV_INIT;
	strv_add(&verb, "commit");
	if (c->name)
		strv_addf(&verb, "--name=%s", c->name);
	if (c->format)
		strv_addf(&verb, "--format=%s", c->format);
	if (c->compression)
		strv_addf(&verb, "--compression=%s", c->compression);
	struct image_list list = {0};
	int r = image_program_feed(s, map ? map : &identity, &verb, &fd, 1, ui, &list, e);
	if (r >= 0 && list.count != 1)
		r = err_set(e, EPROTO, "rl-image made %zu images instead of one", list.count);
	if (r >= 0)
		*ret_added = list.items[0];
	image_list_free(&list);
	return r;
}
