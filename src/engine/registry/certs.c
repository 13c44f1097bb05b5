/*
 * certs.c - extra certificates of one registry: DIR/HOST[:PORT]/{*.crt, NAME.cert + NAME.key}.
 *
 * The first tree that has a directory for the host is used, the user's before the system's, containers' before
 * docker's.
 * *.crt are CA certificates in addition to the system's: libcurl takes either a file or a memory block, so the block is
 * the system's bundle followed by ours. The host is checked to be one plain path component before it becomes part of a
 * path.
 */
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "registry_int.h"

enum { CERT_FILE_MAX = 4 << 20, CERT_FILES_MAX = 256 };

const char *certs_system_bundle(void)
{
	static const char *const known[] = {
		"/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/ca-bundle.pem",
		"/etc/ssl/cert.pem",
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
	};
	const char *env = getenv("SSL_CERT_FILE");
	if (env && *env)
		return env;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (access(known[i], R_OK) == 0)
			return known[i];
	return NULL;
}

void certs_free(struct certs *c)
{
	str_free(&c->ca);
	free(c->cert);
	free(c->key);
	memset(c, 0, sizeof(*c));
}

static bool is_host_component(const char *host)
{
	return *host && *host != '.' && !strchr(host, '/') && strlen(host) <= 255;
}

/* The directory to use, or NULL. */
static char *find_dir(const struct registry_opts *o, const char *const *hosts)
{
	autostrv struct strv trees = STRV_INIT;
	const char *home = getenv("HOME"), *config = getenv("XDG_CONFIG_HOME");
	if (o->cert_dir)
		return xstrdup(o->cert_dir);
	if (config && *config == '/')
		strv_addf(&trees, "%s/containers/certs.d", config);
	if (home && *home == '/') {
		strv_addf(&trees, "%s/.config/containers/certs.d", home);
		strv_addf(&trees, "%s/.config/docker/certs.d", home);
	}
	strv_add(&trees, "/etc/containers/certs.d");
	strv_add(&trees, "/etc/docker/certs.d");
	for (size_t i = 0; i < trees.count; i++) {
		for (size_t k = 0; hosts[k]; k++) {
			autofree char *dir = is_host_component(hosts[k]) ? path_join(trees.items[i], hosts[k]) : NULL;
			if (dir && access(dir, X_OK) == 0)
				return take_ptr(&dir);
		}
	}
	return NULL;
}

static int list_dir(const char *dir, struct strv *out, struct err *e)
{
	autodir DIR *d = opendir(dir);
	struct dirent *entry;
	if (!d)
		return err_sys(e, errno, "open %s", dir);
	while ((entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		if (out->count >= CERT_FILES_MAX)
			return err_set(e, E2BIG, "%s: more than %d files", dir, CERT_FILES_MAX);
		strv_add(out, entry->d_name);
	}
	strv_sort(out);
	return 0;
}

static int add_ca(const char *dir, const char *name, struct str *ca, struct err *e)
{
	autofree char *path = path_join(dir, name);
	if (!ca->len) {
		const char *system = certs_system_bundle();
		/* Without a system bundle ours are all there is. */
		if (system && io_read_file(AT_FDCWD, system, CERT_FILE_MAX, ca, NULL) < 0)
			str_cut(ca, 0);
		str_addc(ca, '\n');
	}
	int r = io_read_file(AT_FDCWD, path, CERT_FILE_MAX, ca, e);
	str_addc(ca, '\n');
	return r < 0 ? r : 0;
}

static int add_client(const char *dir, const char *name, const struct strv *names, struct certs *c, struct err *e)
{
	autofree char *key = xasprintf("%.*s.key", (int)(strlen(name) - strlen(".cert")), name);
	if (c->cert)
		return 0;
	if (!strv_has(names, key))
		return err_set(e, EINVAL, "%s/%s: the file %s that belongs to it is missing", dir, name, key);
	c->cert = path_join(dir, name);
	c->key = path_join(dir, key);
	return 0;
}

int certs_load(const struct registry_opts *o, const char *const *hosts, struct certs *ret_certs, struct err *e)
{
	struct certs c = {.ca = STR_INIT};
	autofree char *dir = find_dir(o, hosts);
	autostrv struct strv names = STRV_INIT;
	int r = dir ? list_dir(dir, &names, e) : 0;
	for (size_t i = 0; i < names.count && r == 0; i++) {
		const char *name = names.items[i];
		if (str_ends(name, ".crt"))
			r = add_ca(dir, name, &c.ca, e);
		else if (str_ends(name, ".cert"))
			r = add_client(dir, name, &names, &c, e);
	}
	if (r < 0) {
		certs_free(&c);
		return r;
	}
	*ret_certs = c;
	return 0;
}
