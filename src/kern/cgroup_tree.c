/*
 * cgroup_tree.c - see cgroup_tree.h.
 */
#include "rl/kern/cgroup_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cgroup_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"

enum { TREE_MOUNTINFO_MAX = 16 << 20, DEPTH_MAX = 64, REMOVE_TRIES = 1000, MAKE_TRIES = 100 };

/* A directory that was made here. The mark is in the directory, and not in a record of the container that made it, because
 * it goes with the last one below it, which may be another. */
static const char made_mark[] = "user.rl.made";

/* Words of a v1 mount's options that are no controllers. */
static bool is_controller(const char *word)
{
	static const char *const other[] = {"rw", "ro", "xattr", "noprefix", "clone_children", "none", "relatime"};
	for (size_t i = 0; i < ARRAY_SIZE(other); i++)
		if (str_eq(word, other[i]))
			return false;
	return *word && !str_after(word, "release_agent=") && !str_after(word, "seclabel");
}

static void add_controllers(const char *options, const char *point, struct strv *out)
{
	autostrv struct strv words = STRV_INIT;
	strv_split(&words, options, ',');
	for (size_t i = 0; i < words.count; i++)
		if (is_controller(words.items[i]) && !cgroup_dir_of(out, words.items[i]))
			strv_addf(out, "%s:%s", words.items[i], point);
}

int cgroup_tree_read(struct strv *ret_mounts, struct err *e)
{
	autostr struct str text = STR_INIT;
	autofd int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? err_sys(e, errno, "/proc/self/mountinfo")
		       : io_read_rest(fd, TREE_MOUNTINFO_MAX, "/proc/self/mountinfo", &text, e);
	if (r < 0)
		return r;
	for (char *p = text.buf, *line; (line = strsep(&p, "\n"));) {
		char point[1024];
		char type[32];
		char options[512] = "";
		const char *dash = strstr(line, " - cgroup");
		if (!dash || sscanf(line, "%*d %*d %*s %*s %1023s", point) != 1 ||
		    sscanf(dash, " - %31s %*s %511s", type, options) < 1)
			continue;
		if (str_eq(type, "cgroup"))
			add_controllers(options, point, ret_mounts);
		else if (str_eq(type, "cgroup2") && !cgroup_v2_dir(ret_mounts))
			strv_addf(ret_mounts, ":%s", point);
	}
	return 0;
}

bool cgroup_tree_is_unified(const struct strv *mounts)
{
	for (size_t i = 0; i < mounts->count; i++)
		if (mounts->items[i][0] != ':' && !str_after(mounts->items[i], "name="))
			return false;
	return mounts->count > 0;
}

const char *cgroup_tree_dir(const struct strv *dirs, const char *controller)
{
	return cgroup_dir_of(dirs, controller ? controller : "");
}

static void inherit(const char *parent, const char *dir, const char *file)
{
	autostr struct str own = STR_INIT;
	autostr struct str text = STR_INIT;
	if (cgroup_read(dir, file, &own) < 0 || own.buf[strspn(own.buf, "\n")] || cgroup_read(parent, file, &text) < 0)
		return;
	str_cut(&text, strcspn(text.buf, "\n"));
	(void)!cgroup_write(dir, file, text.buf);
}

/* Give the children of `dir` every controller it has. One that the kernel refuses (cpu with realtime processes) must
 * not cost the others. */
static void enable_all(const char *dir)
{
	autostr struct str names = STR_INIT;
	autostr struct str have = STR_INIT;
	if (cgroup_read(dir, "cgroup.controllers", &names) < 0 || cgroup_read(dir, "cgroup.subtree_control", &have) < 0)
		return;
	str_cut(&names, strcspn(names.buf, "\n"));
	for (char *p = names.buf, *name; (name = strsep(&p, " "));) {
		autofree char *word = xasprintf("+%s", name);
		if (*name && !cgroup_has_word(have.buf, name))
			(void)!cgroup_write(dir, "cgroup.subtree_control", word);
	}
}

static int make_one(const char *dir, struct strv *made, struct err *e)
{
	if (mkdir(dir, 0755) < 0)
		return errno == EEXIST ? 0 : err_sys(e, errno, "make cgroup %s", dir);
	strv_add(made, dir);
	/* Linux before 5.7 has no place for it: parents stay there. */
	(void)!setxattr(dir, made_mark, "1", 1, 0);
	return 0;
}

/* mkdir -p. `made`: directories made here, outermost first. Only what lies in a cgroup file system has cgroup.procs: above
 * it nothing is made or changed. */
static int make_path(const char *controller, const char *path, struct strv *made, struct err *e)
{
	autofree char *dir = xstrdup(path);
	for (char *p = dir + 1; (p = strchr(p, '/')); p++) {
		autofree char *parent = xstrndup(dir, (size_t)(p - dir));
		autofree char *child = xstrndup(dir, (size_t)(p - dir) + 1 + strcspn(p + 1, "/"));
		if (!cgroup_has_file(parent, "cgroup.procs"))
			continue;
		if (!*controller)
			enable_all(parent);
		int r = make_one(child, made, e);
		if (r < 0)
			return r;
		if (str_eq(controller, "cpuset")) {
			inherit(parent, child, "cpuset.cpus");
			inherit(parent, child, "cpuset.mems");
		}
	}
	return faccessat(AT_FDCWD, path, F_OK, 0) < 0 ? err_sys(e, errno, "make cgroup %s", path) : 0;
}

int cgroup_tree_plan(const struct strv *mounts, const char *path, struct strv *ret_dirs, struct err *e)
{
	autofree char *clean = path_clean(path);
	if (path_has_dotdot(path) || str_eq(clean, "/"))
		return err_set(e, EINVAL, "cgroup path %s has a .., or is the root", path);
	for (size_t i = 0; i < mounts->count; i++)
		strv_addf(ret_dirs, "%s%s", mounts->items[i], clean);
	return 0;
}

int cgroup_tree_make(const struct strv *dirs, struct err *e)
{
	autostrv struct strv made = STRV_INIT;
	int r = 0;
	for (size_t i = 0; i < dirs->count && r == 0; i++) {
		const char *colon = strchr(dirs->items[i], ':');
		autofree char *controller = xstrndup(dirs->items[i], (size_t)(colon - dirs->items[i]));
		struct err why = ERR_INIT;
		/* A parent may go meanwhile with the last of somebody else's containers. */
		for (int try = 0; try == 0 || (r == -ENOENT && try < MAKE_TRIES); try++) {
			err_clear(&why);
			r = make_path(controller, colon + 1, &made, &why);
		}
		if (r < 0 && e)
			*e = why;
	}
	for (size_t i = made.count; r < 0 && i > 0; i--)
		rmdir(made.items[i - 1]);
	return r;
}

int cgroup_tree_put(const char *dir, const char *file, const char *value, struct err *e)
{
	int r = cgroup_write(dir, file, value);
	if (r == -ENOENT)
		return 0;
	return r < 0 ? err_sys(e, -r, "%s/%s: the kernel refuses '%s'", dir, file, value) : 1;
}

int cgroup_tree_get(const char *dir, const char *file, struct str *out)
{
	return cgroup_read(dir, file, out);
}

struct walk {
	int (*fn)(void *arg, const char *dir);
	void *arg;
};

/* Children first. */
static int walk(const char *dir, int depth, const struct walk *w)
{
	autofd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autostrv struct strv names = STRV_INIT;
	if (fd < 0 || depth > DEPTH_MAX || io_list_dir(fd, &names, NULL) < 0)
		return fd < 0 && errno == ENOENT ? 0 : -EIO;
	for (size_t i = 0; i < names.count; i++) {
		struct stat st;
		if (fstatat(fd, names.items[i], &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
			continue;
		autofree char *child = path_join(dir, names.items[i]);
		int r = walk(child, depth + 1, w);
		if (r < 0)
			return r;
	}
	return w->fn(w->arg, dir);
}

static int add_pids(void *arg, const char *dir)
{
	autostr struct str text = STR_INIT;
	if (cgroup_read(dir, "cgroup.procs", &text) < 0)
		return 0;
	for (char *p = text.buf, *line; (line = strsep(&p, "\n"));)
		if (*line && !strv_has(arg, line))
			strv_add(arg, line);
	return 0;
}

int cgroup_tree_pids(const struct strv *dirs, struct strv *ret_pids, struct err *e)
{
	const struct walk w = {.fn = add_pids, .arg = ret_pids};
	/* Every hierarchy holds the same processes; one that is there is enough. */
	const char *dir = dirs->count ? strchr(dirs->items[0], ':') + 1 : NULL;
	if (!dir || walk(dir, 0, &w) < 0)
		return err_set(e, EIO, "cgroup %s cannot be read", dir ? dir : "");
	return 0;
}

static int remove_one(void *arg, const char *dir)
{
	(void)arg;
	/* EBUSY for a moment after the last process was reaped. */
	for (int i = 0; i < REMOVE_TRIES; i++) {
		if (rmdir(dir) == 0 || errno == ENOENT)
			return 0;
		if (errno != EBUSY)
			break;
		(void)!poll(NULL, 0, 1);
	}
	return -errno;
}

/* Those above, as far as they were made here and nobody else has anything in them. */
static void remove_made_parents(const char *dir)
{
	autofree char *path = xstrdup(dir);
	for (char *slash; (slash = strrchr(path, '/')) && slash != path;) {
		*slash = '\0';
		if ((getxattr(path, made_mark, NULL, 0) < 0 || rmdir(path) < 0) && errno != ENOENT)
			return;
	}
}

int cgroup_tree_remove(const struct strv *dirs, struct err *e)
{
	const struct walk w = {.fn = remove_one};
	int failed = 0;
	for (size_t i = 0; i < dirs->count; i++) {
		const char *dir = strchr(dirs->items[i], ':') + 1;
		int r = walk(dir, 0, &w);
		if (r == 0)
			remove_made_parents(dir);
		else if (failed == 0)
			failed = err_sys(e, -r, "remove cgroup %s", dir);
	}
	return failed;
}
