/*
 * volume.c - the record of a volume, and docker's local driver options turned into a mount.
 *
 * The grammar of o= is that of -v and --tmpfs (run_opts_mount.c): the options are put together as such a value and read
 * by it, so that a word means the same everywhere and an unknown one is refused by the same code.
 */
#include "rl/model/volume.h"

#include <errno.h>
#include <stdlib.h>

#include "fields_int.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "run_opts_int.h"

enum { VOLUME_VERSION = 1 };

#define R struct volume_record
static const struct field record_fields[] = {
	FIELD(R, FIELD_STR, name),    FIELD(R, FIELD_I64, created),  FIELD(R, FIELD_BOOL, anonymous),
	FIELD(R, FIELD_STRV, labels), FIELD(R, FIELD_STRV, options),
};
#undef R

void volume_record_free(struct volume_record *r)
{
	free(r->name);
	strv_free(&r->labels);
	strv_free(&r->options);
	*r = (struct volume_record)VOLUME_RECORD_INIT;
}

json_t *volume_record_to_json(const struct volume_record *r)
{
	json_t *doc = json_object();
	json_put_int(doc, "version", VOLUME_VERSION);
	fields_to_json(record_fields, ARRAY_SIZE(record_fields), r, doc);
	return doc;
}

int volume_record_from_json(const json_t *doc, struct volume_record *ret_record, struct err *e)
{
	struct volume_record r = VOLUME_RECORD_INIT;
	int64_t version = json_int_or(doc, "version", 0);
	if (version > VOLUME_VERSION)
		return err_set(e, EPROTONOSUPPORT, "it was written by a newer rl (version %lld)", (long long)version);
	int done = fields_from_json(record_fields, ARRAY_SIZE(record_fields), doc, &r, e);
	if (done == 0 && (version < 1 || !r.name || !path_is_plain_name(r.name)))
		done = err_set(e, EBADMSG, "it is not the record of a volume");
	if (done < 0) {
		volume_record_free(&r);
		return done;
	}
	*ret_record = r;
	return 0;
}

struct driver_options {
	const char *type, *device;
	struct str o; /* words of o=, separated by commas, without the ones that only say which kind it is */
	bool is_bind;
};

static void add_words(struct driver_options *d, const char *text)
{
	autostrv struct strv words = STRV_INIT;
	strv_split(&words, text, ',');
	for (size_t i = 0; i < words.count; i++) {
		if (str_eq(words.items[i], "bind") || str_eq(words.items[i], "rbind"))
			d->is_bind = true;
		if (*words.items[i])
			str_addf(&d->o, "%s%s", d->o.len ? "," : "", words.items[i]);
	}
}

static int read_options(const struct strv *options, struct driver_options *d, struct err *e)
{
	for (size_t i = 0; i < options->count; i++) {
		const char *text = options->items[i];
		const char *value;
		if ((value = str_after(text, "type=")))
			d->type = value;
		else if ((value = str_after(text, "device=")))
			d->device = value;
		else if ((value = str_after(text, "o=")))
			add_words(d, value);
		else if (str_after(text, "size=") || str_after(text, "inodes="))
			return err_set(e, EOPNOTSUPP,
				       "option '%s': the size of a directory cannot be limited; a tmpfs "
				       "can (type=tmpfs,o=size=...)",
				       text);
		else
			return err_set(e, EINVAL, "option '%s' is not known: type=, device= and o= are", text);
	}
	return 0;
}

/* What one -v or --tmpfs value says, added to the mount. The mount's own words were checked when they were read. */
static void merge(struct mount_opt *m, struct mount_opt *from)
{
	m->kind = from->kind;
	if (from->kind == MOUNT_KIND_BIND) {
		run_opts_set_str(&m->source, from->source);
		m->recursive_bind = from->recursive_bind;
		m->create_source = false;
		m->propagation = m->propagation == PROPAGATION_DEFAULT ? from->propagation : m->propagation;
	} else {
		free(m->source);
		m->source = NULL;
		m->tmpfs_size = from->tmpfs_size;
		m->tmpfs_mode = from->tmpfs_mode;
		free(m->tmpfs_options);
		m->tmpfs_options = take_ptr(&from->tmpfs_options);
		m->atime = from->atime;
	}
	m->read_only |= from->read_only;
	m->exec = from->exec == NO ? NO : m->exec;
	m->dev = from->dev == NO ? NO : m->dev;
	m->suid = from->suid == NO ? NO : m->suid;
}

static int apply_bind(const struct driver_options *d, struct mount_opt *m, struct err *e)
{
	struct run_opts o;
	if (!d->device || *d->device != '/' || strchr(d->device, ':'))
		return err_set(e, EINVAL, "option device=%s: a bind needs an absolute path without ':'",
			       d->device ? d->device : "");
	autofree char *text = xasprintf("%s:/volume:%s", d->device, d->o.buf);
	run_opts_init(&o);
	int r = run_opts_volume(&o, text, e);
	if (r == 0 && (o.mounts[0].chown || o.mounts[0].overlay || o.mounts[0].upperdir))
		r = err_set(e, EINVAL, "option o=%s: U and O belong to -v", d->o.buf);
	if (r == 0)
		merge(m, &o.mounts[0]);
	run_opts_free(&o);
	return r < 0 ? err_ctx(e, "option o") : 0;
}

static int apply_tmpfs(const struct driver_options *d, struct mount_opt *m, struct err *e)
{
	struct run_opts o;
	if (m->subpath)
		return err_set(e, EINVAL, "a tmpfs begins empty: it has no subpath '%s'", m->subpath);
	autofree char *text = xasprintf("/volume:%s", d->o.buf);
	run_opts_init(&o);
	int r = run_opts_tmpfs(&o, text, e);
	if (r == 0)
		merge(m, &o.mounts[0]);
	run_opts_free(&o);
	return r < 0 ? err_ctx(e, "option o") : 0;
}

int volume_options_apply(const struct strv *options, struct mount_opt *m, struct err *e)
{
	if (!options->count)
		return 0;
	struct driver_options d = {.o = STR_INIT};
	int r = read_options(options, &d, e);
	bool plain = !d.type || !*d.type || str_eq(d.type, "none") || str_eq(d.type, "bind");
	if (r < 0)
		;
	else if (d.type && str_eq(d.type, "tmpfs"))
		r = apply_tmpfs(&d, m, e);
	else if (plain && (d.is_bind || (d.type && str_eq(d.type, "bind"))))
		r = apply_bind(&d, m, e);
	else if (!plain)
		r = err_set(e, EOPNOTSUPP,
			    "option type=%s: only the machine's root can mount that; tmpfs and bind can "
			    "be had",
			    d.type);
	else
		r = err_set(e, EINVAL, "option device or o without a type: type=tmpfs, or type=none with o=bind");
	str_free(&d.o);
	return r;
}
