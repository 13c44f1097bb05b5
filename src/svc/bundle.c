/*
 * bundle.c - see rl/svc/bundle.h.
 *
 * Both directions work in a child that is root of the caller's id map in a mount namespace of its own. Unpacking stacks
 * the layers over the empty `rootfs` and copies what they show beneath. Repacking compares `rootfs` with the layers
 * (engine/changes) and lays the differences down as overlay's upper directory would have them, whiteouts included; from
 * there it is a commit like any other.
 */
#include "rl/svc/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/base/proc.h"
#include "rl/engine/changes.h"
#include "rl/engine/store.h"
#include "rl/kern/idmap.h"
#include "rl/kern/safepath.h"
#include "rl/kern/tree.h"
#include "rl/model/imgspec.h"
#include "rl/model/user_spec.h"
#include "rl/svc/image_commit.h"
#include "rl/svc/oci.h"
#include "stack_mount.h"

#define BUNDLE_RECORD "rl-bundle.json"
#define BUNDLE_ROOTFS "rootfs"
#define BUNDLE_DIFF   ".rl-repack"

enum { RECORD_MAX = 1 << 20 };

/* What the child needs and gives back; in shared memory. */
struct work {
	struct err error;
	int result;
	int (*fn)(struct work *w, struct err *e);
	const struct strv *layers;
	const char *rootfs_path;
	int rootfs, diff;
};

static int child(void *arg)
{
	struct work *w = arg;
	umask(0);
	w->result = w->fn(w, &w->error);
	return 0;
}

static int in_map(const struct idmap *map, const struct work *what, struct err *e)
{
	struct proc_child c = PROC_CHILD_NONE;
	struct work *w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w == MAP_FAILED)
		return err_sys(e, errno, "shared memory");
	*w = *what;
	int r = userns_spawn(map, CLONE_NEWNS, child, w, &c, e);
	if (r == 0)
		r = proc_wait_ok(&c, "the copy", e);
	if (r == 0 && w->result < 0) {
		r = w->result;
		*e = w->error;
	}
	munmap(w, sizeof(*w));
	return r;
}

/* ---- config.json ---- */

static void put_mappings(json_t *linux_doc, const char *key, const struct idmap_extent *x, size_t n)
{
	json_t *list = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_pack("{s:I,s:I,s:I}", "containerID", (json_int_t)x[i].inside, "hostID",
						      (json_int_t)x[i].outside, "size", (json_int_t)x[i].count));
	json_put(linux_doc, key, list);
}

/* The image's user by number; names are looked up in its files, if there is a root to look in. */
static int put_user(json_t *process, const char *text, int rootfd, struct err *e)
{
	struct user_spec spec;
	struct user_ids ids = {.uid = 0};
	autostr struct str passwd = STR_INIT;
	autostr struct str group = STR_INIT;
	int r = user_spec_parse(text, &spec, e);
	if (r == 0 && rootfd >= 0) {
		(void)!safepath_read_file(rootfd, "/etc/passwd", USER_SPEC_FILE_MAX, &passwd, NULL);
		(void)!safepath_read_file(rootfd, "/etc/group", USER_SPEC_FILE_MAX, &group, NULL);
	}
	if (r == 0)
		r = user_spec_resolve(&spec, passwd.buf, passwd.len, group.buf, group.len, &ids, e);
	if (r < 0)
		return err_ctx(e, "the image's user");
	json_t *user = json_pack("{s:I,s:I}", "uid", (json_int_t)ids.uid, "gid", (json_int_t)ids.gid);
	json_t *more = json_array();
	for (size_t i = 0; i < ids.ngroups; i++)
		if (ids.groups[i] != ids.gid)
			json_array_append_new(more, json_integer(ids.groups[i]));
	json_put(user, "additionalGids", more);
	json_put(process, "user", user);
	user_ids_free(&ids);
	return 0;
}

static int put_process(json_t *doc, const struct imgspec_config *c, const struct strv *args, int rootfd, struct err *e)
{
	json_t *process = json_object_get(doc, "process");
	autostrv struct strv command = STRV_INIT;
	if (args && args->count) {
		strv_add_all(&command, args);
	} else {
		strv_add_all(&command, &c->entrypoint);
		strv_add_all(&command, &c->cmd);
	}
	if (command.count)
		json_put_strv(process, "args", &command);
	if (c->env.count)
		json_put_strv(process, "env", &c->env);
	if (c->working_dir && c->working_dir[0] == '/')
		json_put_str(process, "cwd", c->working_dir);
	json_put_bool(process, "terminal", false);
	return put_user(process, c->user, rootfd, e);
}

static int make_config(const json_t *image_config, const struct idmap *map, const struct strv *args, int rootfd,
		       json_t **ret_doc, struct err *e)
{
	struct imgspec_config c;
	int r = imgspec_config_parse(image_config, &c, e);
	if (r < 0)
		return r;
	bool mapped = map->form != IDMAP_IDENTITY;
	autojson json_t *doc = oci_example_config(mapped);
	json_t *linux_doc = json_object_get(doc, "linux");
	if (mapped) {
		put_mappings(linux_doc, "uidMappings", map->uid, map->nuid);
		put_mappings(linux_doc, "gidMappings", map->gid, map->ngid);
	}
	json_put_bool(json_object_get(doc, "root"), "readonly", false);
	json_t *annotations = json_object();
	json_put_str(annotations, "org.opencontainers.image.stopSignal", c.stop_signal);
	json_put(doc, "annotations", annotations);
	r = put_process(doc, &c, args, rootfd, e);
	imgspec_config_free(&c);
	if (r == 0) {
		*ret_doc = doc;
		doc = NULL;
	}
	return r;
}

/* ---- the image ---- */

struct source {
	struct store store;
	struct idmap map;
	struct image_run run;
};

#define SOURCE_INIT                                                                                                    \
	{                                                                                                              \
		.run = IMAGE_RUN_INIT                                                                                  \
	}

static int source_open(struct source *s, const char *root, const char *image, const struct image_ui *ui, struct err *e)
{
	int r = store_open(root, true, &s->store, e);
	if (r < 0)
		return r;
	r = idmap_detect(false, &s->map, e);
	if (r == 0)
		r = image_ensure(&s->store, image, PULL_MISSING, &s->map, ui, &s->run, e);
	if (r < 0)
		store_close(&s->store);
	return r;
}

static void source_close(struct source *s)
{
	image_run_free(&s->run);
	store_close(&s->store);
}

int bundle_config(const char *root, const char *image, const struct strv *args, const struct image_ui *ui,
		  json_t **ret_doc, struct err *e)
{
	struct source s = SOURCE_INIT;
	int r = source_open(&s, root, image, ui, e);
	if (r < 0)
		return r;
	r = make_config(s.run.image.config, &s.map, args, -1, ret_doc, e);
	source_close(&s);
	return r;
}

/* ---- unpack ---- */

static int copy_rootfs(struct work *w, struct err *e)
{
	struct tree_stats stats = {0};
	/* Over the directory it is copied to, which `rootfs` still names. */
	autofd int stack = stack_mount(w->layers, w->rootfs_path, e);
	autofd int from = stack < 0 ? -1 : openat(stack, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from < 0)
		return stack < 0 ? stack : err_sys(e, errno, "open the image's root");
	int r = tree_copy(from, w->rootfs, TREE_LAYER, &stats, e);
	if (r == 0 && stats.skipped)
		log_warn("%llu sockets and devices of the image are not in the bundle",
			 (unsigned long long)stats.skipped);
	return r;
}

static int write_doc(int dirfd, const char *name, const json_t *doc, struct err *e)
{
	autostr struct str text = STR_INIT;
	json_print(doc, true, &text);
	str_addc(&text, '\n');
	return io_replace_file(dirfd, name, text.buf, text.len, 0644, false, e);
}

static int fill_bundle(struct source *s, int dirfd, const char *bundle, struct err *e)
{
	autofree char *rootfs_path = path_join(bundle, BUNDLE_ROOTFS);
	autofd int rootfs = mkdirat(dirfd, BUNDLE_ROOTFS, 0755) < 0 ? -1
								    : io_open_dir(dirfd, BUNDLE_ROOTFS, false, 0, e);
	if (rootfs < 0)
		return err_sys(e, errno, "make %s", rootfs_path);
	const struct work w = {
		.fn = copy_rootfs,
		.layers = &s->run.lowers,
		.rootfs_path = rootfs_path,
		.rootfs = rootfs,
		.diff = -1,
	};
	int r = in_map(&s->map, &w, e);
	json_t *made = NULL;
	if (r == 0)
		r = make_config(s->run.image.config, &s->map, NULL, rootfs, &made, e);
	autojson json_t *config = made;
	if (r == 0)
		r = write_doc(dirfd, "config.json", config, e);
	autojson json_t *record = json_pack("{s:s,s:s}", "image", s->run.image.config_digest, "manifest",
					    s->run.image.manifest_digest);
	return r < 0 ? r : write_doc(dirfd, BUNDLE_RECORD, record, e);
}

int bundle_unpack(const char *root, const char *image, const char *bundle, const struct image_ui *ui, struct err *e)
{
	struct source s = SOURCE_INIT;
	int r = source_open(&s, root, image, ui, e);
	if (r < 0)
		return r;
	autofree char *absolute = NULL;
	autofd int dirfd = -1;
	/* Must not be there: half of one image over half of another is no bundle. */
	if (mkdir(bundle, 0755) < 0)
		r = err_sys(e, errno, "make bundle %s", bundle);
	if (r == 0 &&
	    ((dirfd = open(bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 || !(absolute = realpath(bundle, NULL))))
		r = err_sys(e, errno, "bundle %s", bundle);
	if (r == 0) {
		r = fill_bundle(&s, dirfd, absolute, e);
		if (r < 0)
			(void)!store_remove_tree(AT_FDCWD, absolute, NULL);
	}
	source_close(&s);
	return r;
}

/* ---- repack ---- */

/* The directory of a path in both trees, made in the second with the first one's owner and mode. */
static int open_parents(const struct work *w, const char *path, int *ret_from, int *ret_to, struct err *e)
{
	autofree char *dir = path_dir(path);
	autostrv struct strv parts = STRV_INIT;
	autofd int from = fcntl(w->rootfs, F_DUPFD_CLOEXEC, 3);
	autofd int to = fcntl(w->diff, F_DUPFD_CLOEXEC, 3);
	strv_split(&parts, dir, '/');
	for (size_t i = 0; i < parts.count; i++) {
		const char *name = parts.items[i];
		if (!*name)
			continue;
		const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;
		int below_from = openat(from, name, flags);
		bool made = mkdirat(to, name, 0700) == 0;
		int below_to = openat(to, name, flags);
		close(from);
		close(to);
		from = below_from;
		to = below_to;
		if (from < 0 || to < 0)
			return err_sys(e, errno, "%s", dir);
		int r = made ? tree_copy_meta(from, to, 0, e) : 0;
		if (r < 0)
			return r;
	}
	*ret_from = take_fd(&from);
	*ret_to = take_fd(&to);
	return 0;
}

static int lay_directory(int from, const char *name, int to, struct err *e)
{
	if (mkdirat(to, name, 0700) < 0 && errno != EEXIST)
		return err_sys(e, errno, "make %s", name);
	autofd int a = openat(from, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	autofd int b = openat(to, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (a < 0 || b < 0)
		return err_sys(e, errno, "open %s", name);
	return tree_copy_meta(a, b, 0, e);
}

static int lay(const struct work *w, const struct change *c, struct err *e)
{
	autofd int from = -1;
	autofd int to = -1;
	struct stat st;
	const char *name = path_base(c->path);
	int r = str_eq(c->path, "/") ? 1 : open_parents(w, c->path, &from, &to, e);
	if (r != 0)
		return RL_MIN(r, 0);
	if (c->kind == CHANGE_DELETED)
		return mknodat(to, name, S_IFCHR, 0) < 0 && errno != EEXIST
			       ? err_sys(e, errno, "mark %s as removed", c->path)
			       : 0;
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "stat %s", c->path);
	if (S_ISDIR(st.st_mode))
		return lay_directory(from, name, to, e);
	if (S_ISSOCK(st.st_mode))
		return 0;
	return tree_copy_one(from, name, to, name, 0, e);
}

static int lay_changes(struct work *w, struct err *e)
{
	size_t n = w->layers->count;
	autofree int *below = xcalloc(n + 1, sizeof(int));
	struct change_list list = {.items = NULL};
	int r = 0;
	size_t opened = 0;
	for (; opened < n && r >= 0; opened++)
		if ((below[opened] = open(w->layers->items[opened], O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
			r = err_sys(e, errno, "layer %s", w->layers->items[opened]);
	const struct changes_req req = {.top = &w->rootfs, .ntop = 1, .below = below, .nbelow = n};
	if (r >= 0)
		r = changes_compare(&req, &list, e);
	for (size_t i = 0; i < list.count && r >= 0; i++)
		r = lay(w, &list.items[i], e);
	change_list_free(&list);
	for (size_t i = 0; i < opened; i++)
		close_fd(&below[i]);
	return r;
}

static int read_record(int dirfd, char **ret_image, char **ret_manifest, struct err *e)
{
	autojson json_t *doc = NULL;
	int r = json_parse_file(dirfd, BUNDLE_RECORD, RECORD_MAX, &doc, e);
	const char *image = r < 0 ? NULL : json_str_or_null(doc, "image");
	const char *manifest = r < 0 ? NULL : json_str_or_null(doc, "manifest");
	if (r == 0 && (!image || !manifest))
		r = err_set(e, EBADMSG, "%s names no image", BUNDLE_RECORD);
	if (r < 0)
		return err_hint(e, "a bundle that `rl unpack` made has one");
	*ret_image = xstrdup(image);
	*ret_manifest = xstrdup(manifest);
	return 0;
}

static int commit(struct source *s, const struct bundle_repack *o, const char *manifest, const char *diff,
		  const struct image_ui *ui, struct image_added *ret_added, struct err *e)
{
	autojson json_t *config = json_deep_copy(s->run.image.config);
	int r = 0;
	for (size_t i = 0; r >= 0 && o->changes && i < o->changes->count; i++)
		r = imgspec_change(config, o->changes->items[i], e);
	if (r < 0)
		return r;
	if (o->author)
		json_put_str(config, "author", o->author);
	const struct image_layer_dir dir = {
		.path = diff,
		.created_by = "rl repack",
		.comment = o->message,
		.author = o->author,
	};
	const struct image_commit c = {
		.base = manifest,
		.lowers = &s->run.lowers,
		.dirs = &dir,
		.ndirs = 1,
		.config = config,
		.name = o->name,
	};
	return image_commit(&s->store, s->map.form == IDMAP_IDENTITY ? NULL : &s->map, &c, ui, ret_added, e);
}

static int repack(struct source *s, const struct bundle_repack *o, int dirfd, const char *manifest,
		  const struct image_ui *ui, struct image_added *ret_added, struct err *e)
{
	autofree char *absolute = realpath(o->bundle, NULL);
	if (!absolute)
		return err_sys(e, errno, "bundle %s", o->bundle);
	autofree char *diff = path_join(absolute, BUNDLE_DIFF);
	int r = store_remove_tree(dirfd, BUNDLE_DIFF, e); /* of a crash */
	if (r == 0 && mkdirat(dirfd, BUNDLE_DIFF, 0755) < 0)
		r = err_sys(e, errno, "make %s", diff);
	autofd int rootfs = r < 0 ? -1 : io_open_dir(dirfd, BUNDLE_ROOTFS, false, 0, e);
	autofd int difffd = rootfs < 0 ? -1 : io_open_dir(dirfd, BUNDLE_DIFF, false, 0, e);
	if (r == 0 && difffd < 0)
		r = -EIO;
	const struct work w = {.fn = lay_changes, .layers = &s->run.lowers, .rootfs = rootfs, .diff = difffd};
	if (r == 0)
		r = in_map(&s->map, &w, e);
	if (r == 0)
		r = commit(s, o, manifest, diff, ui, ret_added, e);
	(void)!store_remove_tree(dirfd, BUNDLE_DIFF, NULL);
	return r;
}

int bundle_repack(const char *root, const struct bundle_repack *o, const struct image_ui *ui,
		  struct image_added *ret_added, struct err *e)
{
	struct source s = SOURCE_INIT;
	autofree char *image = NULL;
	autofree char *manifest = NULL;
	autofd int dirfd = open(o->bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return err_sys(e, errno, "bundle %s", o->bundle);
	int r = read_record(dirfd, &image, &manifest, e);
	if (r == 0)
		r = source_open(&s, root, image, ui, e);
	if (r < 0)
		return err_ctx(e, "repack %s", o->bundle);
	r = repack(&s, o, dirfd, manifest, ui, ret_added, e);
	source_close(&s);
	return r;
}
