/* run_opts_device.c - the grammars of --device, --shm-size and --rootfs. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "rl/base/fmt.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "run_opts_int.h"

static bool read_device_rights(const char *text, struct device_opt *d)
{
	if (!*text || text[strspn(text, "rwm")])
		return false;
	d->read = strchr(text, 'r');
	d->write = strchr(text, 'w');
	d->mknod = strchr(text, 'm');
	return true;
}

int run_opts_device(struct run_opts *o, const char *value, struct err *e)
{
	autostrv struct strv parts = STRV_INIT;
	strv_split(&parts, value, ':');
	if (*value != '/') {
		/* vendor.com/class=name */
		bool cdi = strchr(value, '/') && strchr(value, '=');
		return err_set(e, EINVAL, "--device '%s': %s", value,
			       cdi ? "CDI devices are not supported" : "the device must be an absolute path");
	}
	struct device_opt d = {.read = true, .write = true, .mknod = true};
	const char *target = parts.items[0];
	const char *rights = parts.count == 3 ? parts.items[2] : NULL;
	if (parts.count == 2 && *parts.items[1] != '/')
		rights = parts.items[1];
	else if (parts.count >= 2)
		target = parts.items[1];
	if (parts.count > 3 || *target != '/')
		return err_set(e, EINVAL, "--device '%s': PATH[:PATH-INSIDE][:rwm] is expected", value);
	if (rights && !read_device_rights(rights, &d))
		return err_set(e, EINVAL, "--device '%s': the rights '%s' are not a combination of r, w and m", value,
			       rights);
	d.source = path_clean(parts.items[0]);
	d.target = path_clean(target);
	o->devices = xreallocarray(o->devices, o->ndevices + 1, sizeof(*o->devices));
	o->devices[o->ndevices++] = d;
	return 0;
}

int run_opts_shm_size(struct run_opts *o, const char *value, struct err *e)
{
	uint64_t bytes;
	int r = fmt_parse_size(value, "--shm-size", &bytes, e);
	if (r < 0)
		return r;
	if (bytes == 0 || bytes > INT64_MAX)
		return err_set(e, EINVAL, "--shm-size '%s': must be larger than nothing and fit the machine", value);
	o->shm_size = bytes;
	return 0;
}

int run_opts_rootfs(struct run_opts *o, const char *value, struct err *e)
{
	size_t n = strlen(value);
	bool overlay = str_ends(value, ":O");
	if (overlay)
		n -= 2;
	if (n == 0)
		return err_set(e, EINVAL, "--rootfs: the directory is missing");
	free(o->rootfs);
	o->rootfs = xstrndup(value, n);
	o->rootfs_overlay = overlay;
	return 0;
}
