/* links: svc engine/store engine/copy engine/runtime engine/net engine/stdio kern model base */
/* Volumes of a store in a directory of the test's own: made, locked, found, removed; and their documents. */
#include "rl/svc/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "tap.h"

static void documents(void)
{
	struct err e = ERR_INIT;
	struct volume_record r = VOLUME_RECORD_INIT;
	struct volume_record back = VOLUME_RECORD_INIT;
	r.name = xstrdup("data");
	r.created = 1234567890123456789;
	r.anonymous = true;
	strv_add(&r.labels, "a=b\xff");
	strv_add(&r.options, "type=tmpfs");
	json_t *doc = volume_record_to_json(&r);
	tap_is_int(volume_record_from_json(doc, &back, &e), 0, "a record is read back");
	tap_ok(strcmp(back.name, "data") == 0 && back.created == r.created && back.anonymous, "with its members");
	tap_ok(back.labels.count == 1 && strcmp(back.labels.items[0], "a=b\xff") == 0, "a label may be any bytes");
	volume_record_free(&back);
	json_put_str(doc, "name", "../x");
	tap_is_int(volume_record_from_json(doc, &back, &e), -EBADMSG, "a name that leads away is refused");
	json_put_str(doc, "name", "x");
	json_put_int(doc, "version", 99);
	tap_is_int(volume_record_from_json(doc, &back, &e), -EPROTONOSUPPORT, "so is a document of the future");
	json_decref(doc);
	volume_record_free(&r);
}

/* What the options make of a plain volume mount: "KIND SOURCE ro", or the errno. */
static const char *applied(const char *one, const char *two, const char *three)
{
	static char text[256];
	const char *options[] = {one, two, three};
	struct err e = ERR_INIT;
	struct run_opts o;
	autostrv struct strv v = STRV_INIT;
	run_opts_init(&o);
	int r = run_opts_volume(&o, "name:/t", &e);
	for (size_t i = 0; i < 3; i++)
		if (options[i])
			strv_add(&v, options[i]);
	if (r == 0)
		r = volume_options_apply(&v, &o.mounts[0], &e);
	const struct mount_opt *m = &o.mounts[0];
	if (r < 0)
		snprintf(text, sizeof(text), "%s", strerrorname_np(-r));
	else
		snprintf(text, sizeof(text), "%d %s%s%s %lld", (int)m->kind, m->source ? m->source : "-",
			 m->read_only ? " ro" : "", m->exec == NO ? " noexec" : "", (long long)m->tmpfs_size);
	run_opts_free(&o);
	return text;
}

static void driver_options(void)
{
	tap_is_str(applied(NULL, NULL, NULL), "2 name -1", "without options a volume is a volume");
	tap_is_str(applied("type=none", "o=bind,ro", "device=/srv"), "0 /srv ro -1", "a bind is one of the device");
	tap_is_str(applied("o=bind", "device=/srv", NULL), "0 /srv -1", "the type may be left out");
	tap_is_str(applied("type=tmpfs", "o=size=1m,noexec", "device=tmpfs"), "1 - noexec 1048576",
		   "a tmpfs has its size and flags");
	tap_is_str(applied("type=nfs", "o=addr=1.2.3.4", "device=:/x"), "EOPNOTSUPP", "nfs is refused");
	tap_is_str(applied("type=ext4", "device=/dev/sda", NULL), "EOPNOTSUPP", "so is a disk");
	tap_is_str(applied("size=1g", NULL, NULL), "EOPNOTSUPP", "and a size of a directory");
	tap_is_str(applied("device=/srv", NULL, NULL), "EINVAL", "a device alone says nothing");
	tap_is_str(applied("o=bind", "device=srv", NULL), "EINVAL", "a relative device is refused");
	tap_is_str(applied("o=bind", "device=/a:/etc", NULL), "EINVAL", "one with a second path, too");
	tap_is_str(applied("type=tmpfs", "o=nonsense", NULL), "EINVAL", "a word that is no option is refused");
	tap_is_str(applied("colour=red", NULL, NULL), "EINVAL", "so is an option that is none");
}

/* Two that begin at once must not both see the other hold the volume, and leave it empty. */
static void one_fills(const char *root, const struct store *s)
{
	struct err e = ERR_INIT;
	struct volume_lease a = VOLUME_LEASE_NONE;
	static const struct strv no_layers = STRV_INIT;
	struct idmap map;
	tap_ok(volume_ensure(s, "fresh", VOLUME_FILL, &a, &e) == 0 && a.fillfd >= 0, "one that is to be filled");
	autofree char *record = xasprintf("%s/volumes/fresh/volume.json", root);
	autofd int other = open(record, O_RDONLY | O_CLOEXEC);
	tap_is_int(io_try_lock(other, true, &e), 0, "lets nobody else begin to fill it");
	tap_ok(idmap_detect(false, &map, &e) == 0, "there are ids");
	tap_is_int(volume_fill(s, &a, &map, &no_layers, "/nothing", &e), 0, "no layers, no content");
	tap_is_int(io_try_lock(other, true, &e), 1, "after that others may");
	volume_release(&a);
}

static void lives(const char *root)
{
	struct err e = ERR_INIT;
	struct store s;
	struct volume_lease a = VOLUME_LEASE_NONE;
	struct volume_lease b = VOLUME_LEASE_NONE;
	struct stat st;
	if (store_open(root, true, &s, &e) < 0) {
		tap_ok(false, "a store is opened: %s", e.text);
		return;
	}
	tap_is_int(volume_ensure(&s, "data", VOLUME_FIND, &a, &e), -ENOENT, "a volume that is not there is not found");
	tap_is_int(volume_ensure(&s, "../data", VOLUME_MAKE, &a, &e), -EINVAL, "a name that leads away makes none");
	tap_ok(volume_ensure(&s, "data", VOLUME_MAKE, &a, &e) == 0 && a.is_made, "one is made when it is wanted");
	tap_ok(stat(a.data, &st) == 0 && (st.st_mode & 07777) == 0755, "its content directory has docker's mode");
	tap_ok(volume_ensure(&s, "data", VOLUME_MAKE, &b, &e) == 0 && !b.is_made, "a second holder finds it");
	tap_is_int(volume_remove(root, "data", &e), -EBUSY, "one that is held is not removed");
	volume_release(&b);
	volume_release(&a);
	tap_is_int(volume_remove(root, "data", &e), 0, "one that nobody holds or names is");
	tap_is_int(volume_exists(root, "data", &e), 0, "then it does not exist");
	tap_ok(volume_ensure(&s, NULL, VOLUME_MAKE, &a, &e) == 0 && a.record.anonymous && strlen(a.record.name) == 64,
	       "one without a name gets one");
	autostrv struct strv names = STRV_INIT;
	strv_add(&names, a.record.name);
	volume_drop_anonymous(&s, &names, NULL);
	tap_is_int(volume_exists(root, names.items[0], &e), 1, "dropping leaves what is held");
	volume_release(&a);
	volume_drop_anonymous(&s, &names, NULL);
	tap_is_int(volume_exists(root, names.items[0], &e), 0, "and takes the rest");
	tap_ok(volume_ensure(&s, "named", VOLUME_MAKE, &a, &e) == 0, "a named one");
	volume_release(&a);
	strv_add(&names, "named");
	volume_drop_anonymous(&s, &names, NULL);
	tap_is_int(volume_exists(root, "named", &e), 1, "is not dropped");
	one_fills(root, &s);
	store_close(&s);
}

int main(void)
{
	struct err e = ERR_INIT;
	char dir[] = "/var/tmp/test_volume.XXXXXX";
	tap_plan_later();
	documents();
	driver_options();
	if (!mkdtemp(dir))
		return 1;
	lives(dir);
	tap_is_int(io_remove_tree(AT_FDCWD, dir, &e), 0, "all of it can be removed");
	return tap_done();
}
