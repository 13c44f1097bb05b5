/*
 * system_reset.c - the whole store removed, and a look into it as its owner; see rl/svc/system.h.
 *
 * Reset removes what this program makes below the root, entry by entry under the exclusive lock, and the root itself
 * when nothing else is in it: whoever points --root at a directory with other things in it loses none of them. Files
 * of subordinate ids are removed inside the user's namespace (store_remove_tree).
 *
 * Unshare is a child in a user and mount namespace with the map that layers are unpacked with, root in it. It is not
 * executed in our place: the map is written from outside. Our signals are the terminal's business meanwhile.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "container_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/svc/container.h"
#include "rl/svc/container_store.h"
#include "system_int.h"

/* ---- reset ---- */

static int stop_containers(const struct store *s, const char *root, bool force, struct err *e)
{
	struct container_list list = {.items = NULL};
	int r = container_store_list(s, &list, e);
	for (size_t i = 0; r >= 0 && i < list.count; i++) {
		const struct container_rec *c = &list.items[i];
		if (c->broken ? !container_leftover_find(c) : !container_rec_is_alive(c))
			continue;
		if (c->broken && force) {
			r = container_remove(root, c->config.id, true, false, e);
			continue;
		}
		if (!force) {
			r = err_set(e, EBUSY, "container %s runs", c->config.name ? c->config.name : c->config.id);
			err_hint(e, "stop it first (rl stop), or end all of them: rl system reset -f");
			break;
		}
		struct err why = ERR_INIT;
		if (container_stop(root, c->config.id, 0, 0, &why) < 0)
			log_warn("%s", why.text);
	}
	container_list_free(&list);
	return r < 0 ? r : 0;
}

static int remove_entries(const struct store *s, struct err *e)
{
	/* Names of ours, those of engine/store.h; the lock is last, since it is held. */
	static const char *const ours[] = {
		"containers", "names",	 "pods",   "snapshots", "images", "layers", "lists", "volumes",
		"networks",   "secrets", "events", "mounts",	"cache",  "tmp",    "lock",
	};
	int r = 0;
	for (size_t i = 0; i < ARRAY_SIZE(ours) && r >= 0; i++)
		r = store_remove_tree(s->rootfd, ours[i], e);
	return r;
}

int system_reset(const char *root, bool force, char **ret_root, struct err *e)
{
	struct store s;
	int r = store_open(root, false, &s, e);
	if (r == -ENOENT) {
		err_clear(e);
		return 0;
	}
	if (r < 0)
		return r;
	r = stop_containers(&s, root, force, e);
	autofd int lockfd = r < 0 ? -1 : openat(s.rootfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (r >= 0 && lockfd < 0)
		r = err_sys(e, errno, "open the lock of store %s", s.root);
	if (r >= 0)
		r = io_lock(lockfd, true, e);
	if (r >= 0)
		r = remove_entries(&s, e);
	if (r >= 0 && rmdir(s.root) < 0 && (errno == ENOTEMPTY || errno == EEXIST))
		log_warn("%s stays: there are things in it that are not ours", s.root);
	if (r >= 0)
		*ret_root = xstrdup(s.root);
	store_close(&s);
	return r;
}

/* ---- unshare ---- */

static int execute(void *arg)
{
	char *const *argv = arg;
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	execvp(argv[0], argv);
	int status = errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_INVOKE;
	struct err e = ERR_INIT;
	err_sys(&e, errno, "%s", argv[0]);
	err_print(&e);
	return status;
}

int system_unshare(const char *root, char *const *argv, struct err *e)
{
	struct store s;
	struct idmap map;
	struct proc_child child = PROC_CHILD_NONE;
	const char *shell = getenv("SHELL");
	char *const own[] = {xstrdup(shell && *shell == '/' ? shell : "/bin/sh"), NULL};
	autofree char *owned = own[0];
	int r = idmap_detect(false, &map, e);
	if (r >= 0)
		r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	/* Inside, the caller is root, whose store would be another. */
	setenv("RL_ROOT", s.root, 1);
	autofree char *layers = xasprintf("%s/layers/%s", s.root, map.key);
	setenv("RL_LAYERS", layers, 1);
	store_close(&s);
	r = userns_spawn(&map, CLONE_NEWNS, execute, (void *)(uintptr_t)(argv && argv[0] ? argv : own), &child, e);
	if (r < 0)
		return r;
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	return proc_wait(&child, "the command", e);
}
