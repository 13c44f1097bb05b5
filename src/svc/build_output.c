/*
 * build_output.c - `rl build -o`: the result somewhere else than in the store.
 *
 *     type=local,dest=DIR (or DIR alone)     the root file system as files (an empty or new directory)
 *     type=tar,dest=FILE (or - alone)        the same as a tar
 *     type=oci|docker,dest=FILE              an image archive
 *     type=image[,name=N]                    the store, as without -o
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build_int.h"
#include "image_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"

struct output {
	char *type, *dest, *name;
};

static void output_free(struct output *o)
{
	free(o->type);
	free(o->dest);
	free(o->name);
}

static int parse_output(const char *text, struct output *ret, struct err *e)
{
	struct output o = {0};
	autostrv struct strv parts = STRV_INIT;
	strv_split(&parts, text, ',');
	int r = 0;
	if (parts.count == 1 && !strchr(text, '=')) {
		o.type = xstrdup(str_eq(text, "-") ? "tar" : "local");
		o.dest = xstrdup(text);
	}
	for (size_t i = 0; i < parts.count && !o.dest; i++) {
		const char *value;
		char **to = NULL;
		if ((value = str_after(parts.items[i], "type=")))
			to = &o.type;
		else if ((value = str_after(parts.items[i], "name=")))
			to = &o.name;
		else if ((value = str_after(parts.items[i], "dest=")))
			to = &o.dest;
		if (!to) {
			r = err_set(e, EINVAL, "--output: '%s' is not known", parts.items[i]);
			break;
		}
		free(*to);
		*to = xstrdup(value);
	}
	if (r >= 0 && !o.type)
		r = err_set(e, EINVAL, "--output %s: type= is missing", text);
	static const char *const types[] = {"local", "tar", "oci", "docker", "image", NULL};
	bool known = false;
	for (size_t i = 0; r >= 0 && types[i]; i++)
		known = known || str_eq(types[i], o.type);
	if (r >= 0 && !known) {
		(void)!err_set(e, EINVAL, "--output: type=%s is not known", o.type);
		r = err_hint(e, "the types are local, tar, oci, docker and image");
	}
	if (r >= 0 && !o.dest && !str_eq(o.type, "image")) {
		if (str_eq(o.type, "local"))
			r = err_set(e, EINVAL, "--output: type=local needs dest=DIR");
		else
			o.dest = xstrdup("-");
	}
	if (r < 0) {
		output_free(&o);
		return r;
	}
	*ret = o;
	return 0;
}

int build_check_outputs(const struct build_opts *o, struct err *e)
{
	for (size_t i = 0; i < o->outputs.count; i++) {
		struct output out;
		int r = parse_output(o->outputs.items[i], &out, e);
		if (r < 0)
			return r;
		bool to_stdout = out.dest && str_eq(out.dest, "-");
		output_free(&out);
		if (to_stdout && isatty(STDOUT_FILENO))
			return err_set(e, EINVAL, "--output: an archive is not written to a terminal");
	}
	return 0;
}

/* The root file system as a tar, by rl-image's export. */
static int write_tar(struct build *b, const struct output *o, struct err *e)
{
	const struct build_stage *s = &b->stages[b->target];
	autojson json_t *request = json_object();
	autostrv struct strv dirs = STRV_INIT;
	autostrv struct strv verb = STRV_INIT;
	for (size_t i = s->nlayers; i-- > 0;) {
		const struct build_layer *l = &b->layers[s->layers[i]];
		if (l->empty)
			continue;
		autofree char *path = store_layer_path(b->map.key, l->key);
		strv_addf(&dirs, "%s/%s/diff", b->store.root, path);
	}
	if (!dirs.count)
		strv_addf(&dirs, "%s/tmp/%s/empty", b->store.root, b->work.name);
	json_put_strv(request, "dirs", &dirs);
	json_put_bool(request, "trust_records", true);
	strv_add(&verb, "export");
	bool to_stdout = str_eq(o->dest, "-");
	autofd int in = image_request_fd(request, e);
	if (in < 0)
		return in;
	autofd int out = to_stdout ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
				   : open(o->dest, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (out < 0)
		return err_sys(e, errno, "create %s", o->dest);
	const int fds[] = {in, out};
	return image_program_feed(&b->store, &b->map, &verb, fds, 2, NULL, NULL, e);
}

/* As files of the caller. */
static int write_dir(struct build *b, const struct output *o, struct err *e)
{
	autofd int dir = io_open_dir(AT_FDCWD, o->dest, true, 0755, e);
	return dir < 0 ? dir : build_copy_out(b, dir, e);
}

static int write_output(struct build *b, const struct output *o, const struct store_record *rec, struct err *e)
{
	if (str_eq(o->type, "image")) {
		return o->name ? image_tag(b->store.root, rec->config, o->name, e) : 0;
	}
	if (str_eq(o->type, "local"))
		return write_dir(b, o, e);
	if (str_eq(o->type, "tar"))
		return write_tar(b, o, e);
	struct image_save_opts save = {
		.root = b->store.root,
		.output = o->dest,
		.format = str_eq(o->type, "oci") ? "oci-archive" : "docker-archive",
	};
	strv_add(&save.refs, b->o->tags.count ? b->o->tags.items[0] : rec->config);
	int r = image_save(&save, NULL, e);
	strv_free(&save.refs);
	return r;
}

int build_output(struct build *b, const struct store_record *rec, struct err *e)
{
	int r = 0;
	for (size_t i = 0; i < b->o->outputs.count && r >= 0; i++) {
		struct output out;
		r = parse_output(b->o->outputs.items[i], &out, e);
		if (r < 0)
			return r;
		r = write_output(b, &out, rec, e);
		output_free(&out);
	}
	return r < 0 ? err_ctx(e, "--output") : 0;
}
