/*
 * container_emulate.c - whether calls on owners and identity are answered (--emulate), where nobody said.
 *
 * Only a container with one id needs it; with subordinate ids the kernel does all of it. There it is on for those that
 * would fail without: a build, a container that runs as somebody else, and an image in which a package manager is
 * installed, because that one will chown to the users of its packages. Decided once, at creation, by looking for the
 * program in the image's layers: a few file names per layer, no file is opened. A container without it runs as fast as
 * ever and sees everything as root's. So does one in an outer container whose calls are answered already, for there can
 * be one listener only; with --emulate that is an error.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container_int.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/kern/probe.h"

/* Those that Debian, Red Hat, SUSE, Alpine and Arch have. The database of each is something else than an empty file. */
static const char *const package_managers[] = {
	"usr/bin/dpkg", "usr/bin/rpm", "bin/rpm", "sbin/apk", "usr/bin/apk", "usr/bin/pacman",
};

static bool has_package_manager(const char *dir)
{
	struct stat st;
	char path[4096];
	for (size_t i = 0; i < ARRAY_SIZE(package_managers); i++)
		if (snprintf(path, sizeof(path), "%s/%s", dir, package_managers[i]) < (int)sizeof(path) &&
		    lstat(path, &st) == 0 && S_ISREG(st.st_mode))
			return true;
	return false;
}

static bool is_root(const char *user)
{
	return !user || !*user || str_eq(user, "0") || str_eq(user, "root") || str_eq(user, "0:0") ||
	       str_eq(user, "root:root");
}

void container_emulate_resolve(struct container *c)
{
	struct run_opts *o = &c->rec.config.o;
	const struct strv *layers = &c->rec.config.layers;
	if (!c->has_map || c->map.form != IDMAP_SINGLE || o->holder) {
		o->emulate = RT_EMULATE_OFF; /* the kernel does it */
		return;
	}
	if (o->emulate >= 0)
		return;
	bool wanted = !is_root(c->rec.config.user) || strv_has(&c->rec.config.labels, CONTAINER_BUILD_LABEL) ||
		      (o->rootfs && has_package_manager(o->rootfs));
	for (size_t i = 0; i < layers->count && !wanted; i++)
		wanted = has_package_manager(layers->items[i]);
	int refused = wanted ? probe_seccomp_notify() : 0;
	if (refused)
		log_warn("calls on owners and ids cannot be answered here: %s", strerrordesc_np(refused));
	o->emulate = wanted && !refused ? RT_EMULATE_FULL : RT_EMULATE_OFF;
}
