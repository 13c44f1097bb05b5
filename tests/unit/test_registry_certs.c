/* links: engine/registry model base */
/* certs.d: which directory is taken, and what of it. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "src/engine/registry/registry_int.h"

static char *dir;

static void put(const char *name, const char *text)
{
	autofree char *path = xasprintf("%s/%s", dir, name);
	char *slash = strrchr(path, '/');
	struct err e = ERR_INIT;
	*slash = 0;
	if (io_mkdirs(AT_FDCWD, path, 0700, &e) < 0)
		tap_diag("%s", e.text);
	*slash = '/';
	if (io_write_file(AT_FDCWD, path, text, strlen(text), 0600, &e) < 0)
		tap_diag("%s", e.text);
}

static int load(const char *cert_dir, const char *host, struct certs *out, struct err *e)
{
	const char *hosts[] = {host, NULL};
	struct registry_opts o = {.cert_dir = cert_dir};
	err_clear(e);
	certs_free(out);
	return certs_load(&o, hosts, out, e);
}

int main(void)
{
	struct certs c = {.ca = STR_INIT};
	struct err e = ERR_INIT;
	tap_plan_later();
	dir = tap_tmpdir();
	autofree char *system = xasprintf("%s/system.pem", dir);
	autofree char *given = xasprintf("%s/given", dir);
	setenv("HOME", dir, 1);
	unsetenv("XDG_CONFIG_HOME");
	put("system.pem", "SYSTEM");
	setenv("SSL_CERT_FILE", system, 1);
	tap_is_str(certs_system_bundle(), system, "SSL_CERT_FILE is the system's bundle");

	tap_is_int(load(NULL, "a.example.org", &c, &e), 0, "no directory is no error");
	tap_ok(!c.ca.len && !c.cert && !c.key, "and no certificates");
	put(".config/docker/certs.d/a.example.org/ca.crt", "DOCKER");
	tap_is_int(load(NULL, "a.example.org", &c, &e), 0, "docker's tree is read");
	tap_is_str(c.ca.buf, "SYSTEM\nDOCKER\n", "a CA is added to the system's");
	put(".config/containers/certs.d/a.example.org/b.crt", "BB");
	put(".config/containers/certs.d/a.example.org/a.crt", "AA");
	put(".config/containers/certs.d/a.example.org/ignored.txt", "no");
	put(".config/containers/certs.d/a.example.org/.hidden.crt", "no");
	tap_is_int(load(NULL, "a.example.org", &c, &e), 0, "containers' tree comes first");
	tap_is_str(c.ca.buf, "SYSTEM\nAA\nBB\n", "all *.crt of it, by name, and nothing else");
	put(".config/containers/certs.d/a.example.org:5000/x.cert", "C");
	tap_is_int(load(NULL, "a.example.org:5000", &c, &e), -EINVAL,
		   "the port is part of the name; a certificate needs its key");
	tap_has(e.text, "x.key", "which is named");
	put(".config/containers/certs.d/a.example.org:5000/x.key", "K");
	tap_is_int(load(NULL, "a.example.org:5000", &c, &e), 0, "with its key");
	tap_ok(c.cert && str_ends(c.cert, "/x.cert") && c.key && str_ends(c.key, "/x.key"), "it is used");
	put("given/only.crt", "GIVEN");
	tap_is_int(load(given, "a.example.org", &c, &e), 0, "--cert-dir is the only directory");
	tap_is_str(c.ca.buf, "SYSTEM\nGIVEN\n", "and holds the files itself");
	tap_is_int(load("/nonexistent", "a.example.org", &c, &e), -ENOENT, "it must be there");
	put("secret.crt", "no");
	tap_is_int(load(NULL, "../../..", &c, &e), 0, "a host that is a path");
	tap_ok(!c.ca.len, "is not looked up");
	setenv("SSL_CERT_FILE", "/nonexistent", 1);
	tap_is_int(load(NULL, "a.example.org", &c, &e), 0, "without a system bundle");
	tap_is_str(c.ca.buf, "\nAA\nBB\n", "the registry's own CAs are all there is");
	certs_free(&c);
	if (io_remove_tree(AT_FDCWD, dir, &e) < 0)
		tap_diag("%s", e.text);
	free(dir);
	return tap_done();
}
