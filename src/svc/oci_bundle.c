/*
 * oci_bundle.c - what create reads: the bundle, its config.json and its root; and what a record says from the beginning.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "oci_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/base/proc.h"

static int read_config(const char *bundle, struct str *text, struct oci_config *config, struct err *e)
{
	struct stat st;
	autofd int dir = open(bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(e, errno, "bundle %s", bundle);
	/* Never a fifo or a device that would hold us. */
	if (fstatat(dir, OCI_CONFIG_FILE, &st, 0) < 0)
		return err_sys(e, errno, "%s/%s", bundle, OCI_CONFIG_FILE);
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "%s/%s is no regular file", bundle, OCI_CONFIG_FILE);
	int r = io_read_file(dir, OCI_CONFIG_FILE, OCI_CONFIG_MAX, text, e);
	if (r == 0)
		r = oci_config_parse(text->buf, text->len, config, e);
	return r < 0 ? err_ctx(e, "bundle %s", bundle) : 0;
}

static int find_root(const char *bundle, const struct oci_config *config, char **ret_path, struct err *e)
{
	struct stat st;
	if (!config->root.given)
		return err_set(e, EINVAL, "config.json: root is missing");
	const char *root = config->root.path;
	autofree char *joined = *root == '/' ? xstrdup(root) : path_join(bundle, root);
	autofree char *path = realpath(joined, NULL);
	if (!path)
		return err_sys(e, errno, "root.path %s", joined);
	/* What is mounted over everything must not be what everything else hangs from. */
	static const char *const never[] = {"/", "/proc", "/sys", "/dev"};
	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		if (str_eq(path, never[i]))
			return err_set(e, EINVAL, "root.path %s is %s of the host", root, never[i]);
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(e, ENOTDIR, "root.path %s is not a directory", joined);
	*ret_path = take_ptr(&path);
	return 0;
}

int oci_bundle_read(const char *path, struct str *text, struct oci_config *config, struct oci_record *rec,
		    struct err *e)
{
	autofree char *bundle = realpath(path ? path : ".", NULL);
	if (!bundle)
		return err_sys(e, errno, "bundle %s", path ? path : ".");
	int r = read_config(bundle, text, config, e);
	if (r == 0)
		r = find_root(bundle, config, &rec->rootfs, e);
	if (r == 0)
		rec->bundle = take_ptr(&bundle);
	return r;
}

static char *now_text(void)
{
	struct timespec ts;
	struct tm tm;
	char text[40];
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	return xasprintf("%s.%09ldZ", text, ts.tv_nsec);
}

static char *owner_text(void)
{
	/* Not getpwuid: it would load the name service's modules. */
	const char *user = getenv("USER");
	return xstrdup(geteuid() == 0 ? "root" : user ? user : "");
}

void oci_record_begin(struct oci_record *rec, const struct oci_runtime *rt, const char *id,
		      const struct oci_config *config)
{
	char boot[37];
	rec->id = xstrdup(id);
	rec->oci_version = xstrdup(config->oci_version);
	rec->owner = owner_text();
	rec->created = now_text();
	rec->rootless = oci_is_rootless(rt);
	rec->boot_id = proc_boot_id(boot, NULL) == 0 ? xstrdup(boot) : NULL;
	rec->annotations = json_incref(config->annotations);
}
