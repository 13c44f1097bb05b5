/* links: engine/registry model base */
/*
 * registry-driver - the registry engine on a command line, for the scripts in tests/cli.
 *
 *     registry-driver [OPTION...] VERB ARGUMENT...
 * Verbs: expand NAME · manifest REF · head REF · image REF · tags REPO · blob REPO DIGEST SIZE FILE · pull REF DIR ·
 * push DIR REF · has REPO DIGEST · login KEY USER PASSWORD · check KEY · logout [KEY] · user KEY
 * REF is HOST/PATH:TAG or HOST/PATH@DIGEST; DIR is in skopeo's "dir:" format. Result lines are "KEY VALUE".
 * Exit status: 0, or 1 with "error CODE TEXT" and "hint TEXT" on standard error.
 */
#include "rl/engine/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"

struct driver {
	struct registry_opts o;
	unsigned parallel;
	bool sink, stream, progress, keep_going;
	const char *mount_from;
	const char *platform;
	struct registry *r;
};

struct ref {
	char *domain, *path, *which;
};

static void ref_free(struct ref *f)
{
	free(f->domain);
	free(f->path);
	free(f->which);
}

static struct ref split(const char *text)
{
	const char *slash = strchr(text, '/'), *at = strchr(text, '@');
	struct ref f = {.domain = NULL};
	if (!slash)
		slash = text + strlen(text);
	const char *colon = strrchr(slash, ':'), *end = at ? at : colon ? colon : text + strlen(text);
	f.domain = xstrndup(text, (size_t)(slash - text));
	f.path = *slash ? xstrndup(slash + 1, (size_t)(end - slash - 1)) : xstrdup("");
	f.which = xstrdup(*end ? end + 1 : "latest");
	return f;
}

/* ---- a receiver that is as slow as its reader: a pipe to `sha256sum` would do; here a pipe drained by a child ---- */

struct slow {
	int fd;
	uint64_t got;
	unsigned calls;
	int result;
};

static ssize_t slow_write(void *arg, const void *data, size_t len)
{
	struct slow *s = arg;
	ssize_t n = write(s->fd, data, len);
	s->calls++;
	if (n < 0)
		return -errno;
	s->got += (uint64_t)n;
	return n;
}

static void slow_done(void *arg, int result)
{
	((struct slow *)arg)->result = result;
}

static void on_progress(void *arg, size_t job, enum registry_state state, uint64_t done, uint64_t size)
{
	(void)arg;
	printf("progress %zu %d %" PRIu64 " %" PRIu64 "\n", job, (int)state, done, size);
}

static struct registry_transfer transfer_of(const struct driver *d)
{
	return (struct registry_transfer){
		.parallel = d->parallel, .progress = d->progress ? on_progress : NULL, .keep_going = d->keep_going};
}

static double seconds(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void print_cost(double start, uint64_t bytes)
{
	struct rusage u;
	double t = seconds() - start;
	getrusage(RUSAGE_SELF, &u);
	printf("cost %.3f s, %.0f MB/s, cpu %.3f s, rss %ld KiB\n", t, (double)bytes / 1e6 / t,
	       (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
		       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6,
	       u.ru_maxrss);
}

static int open_repo(struct driver *d, const struct ref *f, enum registry_mode mode, struct registry_repo **ret_repo,
		     struct err *e)
{
	return registry_repo_open(d->r, f->domain, f->path, mode, ret_repo, e);
}

/* ---- verbs ---- */

static int do_expand(struct driver *d, char **a, struct err *e)
{
	autostrv struct strv out = STRV_INIT;
	int r = registry_expand(d->r, a[0], &out, e);
	for (size_t i = 0; i < out.count; i++)
		printf("name %s\n", out.items[i]);
	return r;
}

static int do_manifest(struct driver *d, char **a, struct err *e)
{
	struct ref f = split(a[0]);
	struct registry_repo *repo = NULL;
	struct registry_manifest m = REGISTRY_MANIFEST_INIT;
	int r = open_repo(d, &f, REGISTRY_PULL, &repo, e);
	if (r == 0)
		r = registry_get_manifest(repo, f.which, &m, e);
	if (r == 0)
		printf("digest %s\ntype %s\nhost %s\nbytes %zu\n", m.digest, m.media_type ? m.media_type : "-", m.host,
		       m.body.len);
	registry_manifest_free(&m);
	registry_repo_close(repo);
	ref_free(&f);
	return r;
}

static int do_head(struct driver *d, char **a, struct err *e)
{
	struct ref f = split(a[0]);
	struct registry_repo *repo = NULL;
	char digest[IMGREF_DIGEST_SIZE];
	int r = open_repo(d, &f, REGISTRY_PULL, &repo, e);
	if (r == 0)
		r = registry_head_manifest(repo, f.which, digest, e);
	if (r == 0)
		printf("digest %s\n", digest);
	registry_repo_close(repo);
	ref_free(&f);
	return r;
}

static int get_image(struct driver *d, struct registry_repo *repo, const char *which, struct registry_image *i,
		     struct err *e)
{
	struct imgspec_platform p = {.os = NULL};
	int r = d->platform ? imgspec_platform_parse(d->platform, &p, e) : 0;
	if (r == 0)
		r = registry_get_image(repo, which, d->platform ? &p : NULL, i, e);
	imgspec_platform_free(&p);
	return r;
}

static int do_image(struct driver *d, char **a, struct err *e)
{
	struct ref f = split(a[0]);
	struct registry_repo *repo = NULL;
	struct registry_image i = REGISTRY_IMAGE_INIT;
	int r = open_repo(d, &f, REGISTRY_PULL, &repo, e);
	if (r == 0)
		r = get_image(d, repo, f.which, &i, e);
	if (r == 0)
		printf("index %s\nmanifest %s\nconfig %zu\n", i.index.body.len ? i.index.digest : "-",
		       i.manifest.digest, i.config.len);
	registry_image_free(&i);
	registry_repo_close(repo);
	ref_free(&f);
	return r;
}

static int do_tags(struct driver *d, char **a, struct err *e)
{
	struct ref f = split(a[0]);
	struct registry_repo *repo = NULL;
	autostrv struct strv tags = STRV_INIT;
	int r = open_repo(d, &f, REGISTRY_PULL, &repo, e);
	if (r == 0)
		r = registry_list_tags(repo, &tags, e);
	for (size_t i = 0; r == 0 && i < tags.count; i++)
		printf("tag %s\n", tags.items[i]);
	registry_repo_close(repo);
	ref_free(&f);
	return r;
}

static int do_blob(struct driver *d, char **a, struct err *e)
{
	struct ref f = split(a[0]);
	struct registry_repo *repo = NULL;
	struct slow slow = {.fd = 1, .result = 1};
	struct registry_sink sink = {.write = slow_write, .done = slow_done, .arg = &slow, .wait_fd = 1};
	struct registry_transfer t = transfer_of(d);
	struct registry_blob b = {.digest = a[1], .partial_fd = -1};
	int r = str_to_u64(a[2], UINT64_MAX, "SIZE", &b.size, e);
	autofd int fd = -1;
	if (r < 0)
		return r;
	if (!str_eq(a[3], "-")) {
		fd = open(a[3], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			return err_sys(e, errno, "open %s", a[3]);
		b.partial_fd = fd;
	}
	if (d->sink) {
		/* Standard output is the receiver: non-blocking, so that it can be full. */
		r = io_set_nonblock(1, true, e);
		if (r < 0)
			return r;
		b.sink = &sink;
	}
	double start = seconds();
	r = open_repo(d, &f, REGISTRY_PULL, &repo, e);
	if (r == 0)
		r = registry_fetch_all(repo, &b, 1, &t, e);
	if (!d->sink) {
		printf("result %d\nresumed %" PRIu64 "\n", b.result, b.resumed);
		print_cost(start, b.size - b.resumed);
	} else if (slow.result != r) {
		fprintf(stderr, "done() said %d, the result is %d\n", slow.result, r);
		abort();
	}
	registry_repo_close(repo);
	ref_free(&f);
	return r;
}

static int blob_file(const char *dir, const char *digest, int flags)
{
	autofree char *path = xasprintf("%s/%s", dir, digest + strlen("sha256:"));
	return open(path, flags | O_CLOEXEC, 0644);
}

static int write_dir(const char *dir, const struct registry_image *i, const struct imgspec_manifest *m, struct err *e)
{
	autofree char *version = xasprintf("%s/version", dir);
	autofree char *manifest = xasprintf("%s/manifest.json", dir);
	autofree char *config = xasprintf("%s/%s", dir, m->config.digest + strlen("sha256:"));
	static const char text[] = "Directory Transport Version: 1.1\n";
	int r = io_write_file(AT_FDCWD, version, text, strlen(text), 0644, e);
	if (r == 0)
		r = io_write_file(AT_FDCWD, manifest, i->manifest.body.buf, i->manifest.body.len, 0644, e);
	if (r == 0)
		r = io_write_file(AT_FDCWD, config, i->config.buf, i->config.len, 0644, e);
	return r;
}

static int pull_layers(struct driver *d, struct registry_repo *repo, const struct imgspec_manifest *m, const char *dir,
		       struct err *e)
{
	struct registry_blob *b = xcalloc(m->nlayers + 1, sizeof(*b));
	struct registry_transfer t = transfer_of(d);
	uint64_t bytes = 0;
	double start = seconds();
	int r = 0;
	for (size_t i = 0; i < m->nlayers && r == 0; i++) {
		int fd = blob_file(dir, m->layers[i].digest, O_RDWR | O_CREAT);
		b[i] = (struct registry_blob){
			.digest = m->layers[i].digest, .size = (uint64_t)m->layers[i].size, .partial_fd = fd};
		bytes += b[i].size;
		if (fd < 0)
			r = err_sys(e, errno, "create blob");
	}
	if (r == 0)
		r = registry_fetch_all(repo, b, m->nlayers, &t, e);
	for (size_t i = 0; i < m->nlayers; i++) {
		printf("layer %s %d %" PRIu64 "\n", m->layers[i].digest, b[i].result, b[i].resumed);
		close_fd(&b[i].partial_fd);
	}
	print_cost(start, bytes);
	free(b);
	return r;
}

static int do_pull(struct driver *d, char **a, struct err *e)
{
	struct ref f = split(a[0]);
	struct registry_repo *repo = NULL;
	struct registry_image i = REGISTRY_IMAGE_INIT;
	struct imgspec_manifest m = {.media_type = NULL};
	enum imgspec_kind kind;
	autojson json_t *doc = NULL;
	int r = io_mkdirs(AT_FDCWD, a[1], 0755, e);
	if (r == 0)
		r = open_repo(d, &f, REGISTRY_PULL, &repo, e);
	if (r == 0)
		r = get_image(d, repo, f.which, &i, e);
	if (r == 0)
		r = imgspec_kind(i.manifest.body.buf, i.manifest.body.len, i.manifest.media_type, &kind, &doc, e);
	if (r == 0)
		r = imgspec_manifest_parse(doc, &m, e);
	if (r == 0)
		r = pull_layers(d, repo, &m, a[1], e);
	if (r == 0)
		r = write_dir(a[1], &i, &m, e);
	imgspec_manifest_free(&m);
	registry_image_free(&i);
	registry_repo_close(repo);
	ref_free(&f);
	return r;
}

/* The read() of an upload: a descriptor, in pieces of odd size. */
static ssize_t read_odd(void *arg, void *buf, size_t len)
{
	ssize_t n = read(*(int *)arg, buf, RL_MIN(len, (size_t)70001));
	return n < 0 ? -errno : n;
}

static int push_blobs(struct driver *d, struct registry_repo *repo, const struct imgspec_manifest *m, const char *dir,
		      struct err *e)
{
	size_t n = m->nlayers + 1;
	struct registry_upload *u = xcalloc(n, sizeof(*u));
	int *fds = xcalloc(n, sizeof(*fds));
	struct registry_transfer t = transfer_of(d);
	uint64_t bytes = 0;
	double start = seconds();
	int r = 0;
	for (size_t i = 0; i < n; i++) {
		const struct imgspec_desc *desc = i < m->nlayers ? &m->layers[i] : &m->config;
		fds[i] = blob_file(dir, desc->digest, O_RDONLY);
		if (fds[i] < 0)
			r = err_sys(e, errno, "open blob %s", desc->digest);
		bytes += (uint64_t)desc->size;
		if (d->stream)
			u[i] = (struct registry_upload){.read = read_odd, .arg = &fds[i], .wait_fd = fds[i]};
		else
			u[i] = (struct registry_upload){.digest = desc->digest,
							.size = (uint64_t)desc->size,
							.fd = fds[i],
							.mount_from = d->mount_from};
	}
	if (r == 0)
		r = registry_push_all(repo, u, n, &t, e);
	for (size_t i = 0; i < n; i++) {
		if (r == 0)
			printf("blob %s %" PRIu64 " %s\n", u[i].ret_digest, u[i].ret_size,
			       u[i].existed ? "existed" : "sent");
		close_fd(&fds[i]);
	}
	print_cost(start, bytes);
	free(fds);
	free(u);
	return r;
}

static int do_push(struct driver *d, char **a, struct err *e)
{
	struct ref f = split(a[1]);
	struct registry_repo *repo = NULL;
	struct imgspec_manifest m = {.media_type = NULL};
	autostr struct str text = STR_INIT;
	autofree char *path = xasprintf("%s/manifest.json", a[0]);
	char digest[IMGREF_DIGEST_SIZE];
	enum imgspec_kind kind;
	autojson json_t *doc = NULL;
	int r = io_read_file(AT_FDCWD, path, IMGSPEC_MANIFEST_MAX, &text, e);
	if (r == 0)
		r = imgspec_kind(text.buf, text.len, NULL, &kind, &doc, e);
	if (r == 0)
		r = imgspec_manifest_parse(doc, &m, e);
	if (r == 0)
		r = open_repo(d, &f, REGISTRY_PUSH, &repo, e);
	if (r == 0)
		r = push_blobs(d, repo, &m, a[0], e);
	if (r == 0)
		r = registry_push_manifest(repo, f.which, m.media_type, text.buf, text.len, digest, e);
	if (r == 0)
		printf("digest %s\n", digest);
	imgspec_manifest_free(&m);
	registry_repo_close(repo);
	ref_free(&f);
	return r;
}

static int do_has(struct driver *d, char **a, struct err *e)
{
	struct ref f = split(a[0]);
	struct registry_repo *repo = NULL;
	uint64_t size = 0;
	int r = open_repo(d, &f, REGISTRY_PULL, &repo, e);
	if (r == 0)
		r = registry_has_blob(repo, a[1], &size, e);
	if (r >= 0)
		printf("has %d %" PRIu64 "\n", r, size);
	registry_repo_close(repo);
	ref_free(&f);
	return r;
}

static int do_delete(struct driver *d, char **a, struct err *e)
{
	struct ref f = split(a[0]);
	struct registry_repo *repo = NULL;
	int r = open_repo(d, &f, REGISTRY_PUSH, &repo, e);
	if (r == 0)
		r = registry_delete_manifest(repo, f.which, e);
	registry_repo_close(repo);
	ref_free(&f);
	return r;
}

static int do_login(struct driver *d, char **a, struct err *e)
{
	autofree char *where = NULL;
	struct registry_login l = {.key = a[0], .user = a[1], .password = a[2]};
	int r = registry_login(d->r, &l, &where, e);
	if (r >= 0)
		printf("where %s\nopen %d\n", where, r);
	return r;
}

static int do_check(struct driver *d, char **a, struct err *e)
{
	struct registry_login l = {.key = a[0]};
	return registry_login(d->r, &l, NULL, e);
}

static int do_logout(struct driver *d, char **a, struct err *e)
{
	int r = registry_logout(d->r, a[0], e);
	if (r >= 0)
		printf("removed %d\n", r);
	return r;
}

static int do_user(struct driver *d, char **a, struct err *e)
{
	autofree char *user = NULL;
	int r = registry_login_user(d->r, a[0], &user, e);
	if (r == 0)
		printf("user %s\n", user);
	return r;
}

static const struct {
	const char *name;
	int min;
	int (*run)(struct driver *d, char **a, struct err *e);
} verbs[] = {
	{"expand", 1, do_expand}, {"manifest", 1, do_manifest}, {"head", 1, do_head},	{"image", 1, do_image},
	{"tags", 1, do_tags},	  {"blob", 4, do_blob},		{"pull", 2, do_pull},	{"push", 2, do_push},
	{"has", 2, do_has},	  {"login", 3, do_login},	{"check", 1, do_check}, {"logout", 0, do_logout},
	{"user", 1, do_user},	  {"delete", 1, do_delete},
};

static bool take_option(struct driver *d, const char *arg)
{
	const char *v;
	if ((v = str_after(arg, "--creds=")))
		d->o.creds = v;
	else if ((v = str_after(arg, "--authfile=")))
		d->o.authfile = v;
	else if ((v = str_after(arg, "--cert-dir=")))
		d->o.cert_dir = v;
	else if ((v = str_after(arg, "--tls-verify=")))
		d->o.tls_verify = *v == '1';
	else if ((v = str_after(arg, "--conf=")))
		d->o.registries_conf = v;
	else if ((v = str_after(arg, "--retries=")))
		d->o.retries = (int)strtol(v, NULL, 10);
	else if ((v = str_after(arg, "--delay=")))
		d->o.retry_delay_ms = (unsigned)strtoul(v, NULL, 10);
	else if ((v = str_after(arg, "--stall=")))
		d->o.stall_seconds = (unsigned)strtoul(v, NULL, 10);
	else if ((v = str_after(arg, "--cancel-fd=")))
		d->o.cancel_fd = (int)strtol(v, NULL, 10);
	else if ((v = str_after(arg, "--parallel=")))
		d->parallel = (unsigned)strtoul(v, NULL, 10);
	else if ((v = str_after(arg, "--platform=")))
		d->platform = v;
	else if ((v = str_after(arg, "--mount-from=")))
		d->mount_from = v;
	else if (str_eq(arg, "--sink"))
		d->sink = true;
	else if (str_eq(arg, "--stream"))
		d->stream = true;
	else if (str_eq(arg, "--progress"))
		d->progress = true;
	else if (str_eq(arg, "--keep-going"))
		d->keep_going = true;
	else
		return false;
	return true;
}

int main(int argc, char **argv)
{
	struct driver d = {.o = {.tls_verify = -1}};
	struct err e = ERR_INIT;
	int i = 1, r = -EINVAL;
	log_init("registry-driver");
	while (i < argc && take_option(&d, argv[i]))
		i++;
	for (size_t v = 0; v < ARRAY_SIZE(verbs) && i < argc; v++) {
		if (!str_eq(verbs[v].name, argv[i]) || argc - i - 1 < verbs[v].min)
			continue;
		r = registry_open(&d.o, &d.r, &e);
		if (r == 0)
			r = verbs[v].run(&d, argv + i + 1, &e);
		break;
	}
	registry_close(d.r);
	if (r >= 0)
		return 0;
	fprintf(stderr, "error %d %s\n", -r, e.text[0] ? e.text : "usage: registry-driver VERB ...");
	if (e.hint[0])
		fprintf(stderr, "hint %s\n", e.hint);
	return 1;
}
