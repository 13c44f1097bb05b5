/*
 * creds.c - where credentials are found: --creds, auth files, credential helpers.
 *
 * Order: --creds; then, if registries.conf lists credential-helpers, those in that order ("containers-auth.json" stands
 * for the files); else the files. --authfile and REGISTRY_AUTH_FILE each replace the list of files. In one file a
 * credHelpers entry for the host comes first, then the longest matching key of "auths", then credsStore.
 *
 * Helpers are the user's own programs and are still not trusted with our time or memory: HELPER_SECONDS and
 * HELPER_OUTPUT_MAX. They are found in PATH, by plain names only.
 */
#include "registry_int.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/json.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/proc.h"

enum { HELPER_SECONDS = 60, HELPER_OUTPUT_MAX = 256 << 10 };

static const char hub_url[] = "https://index.docker.io/v1/";

/* ---- files ---- */

void creds_files(const struct registry_opts *o, struct strv *out)
{
	const char *env = getenv("REGISTRY_AUTH_FILE"), *run = getenv("XDG_RUNTIME_DIR"), *home = getenv("HOME");
	const char *config = getenv("XDG_CONFIG_HOME"), *docker = getenv("DOCKER_CONFIG");
	if (o->authfile || (env && *env)) {
		strv_add(out, o->authfile ? o->authfile : env);
		return;
	}
	if (run && *run == '/')
		strv_addf(out, "%s/containers/auth.json", run);
	else
		strv_addf(out, "/run/containers/%u/auth.json", (unsigned)getuid());
	if (config && *config == '/')
		strv_addf(out, "%s/containers/auth.json", config);
	else if (home && *home == '/')
		strv_addf(out, "%s/.config/containers/auth.json", home);
	if (docker && *docker)
		strv_addf(out, "%s/config.json", docker);
	else if (home && *home == '/')
		strv_addf(out, "%s/.docker/config.json", home);
}

int creds_read_file(const char *path, json_t **ret_doc, struct err *e)
{
	autostr struct str text = STR_INIT;
	int r = io_read_file(AT_FDCWD, path, AUTHFILE_TEXT_MAX, &text, e);
	if (r == 0)
		r = authfile_parse(text.buf, text.len, path, ret_doc, e);
	if (text.len)
		explicit_bzero(text.buf, text.len);
	return r;
}

/* ---- helpers ---- */

struct talk {
	int in, out, pidfd; /* our ends; -1 when done with */
	const char *input;
	size_t left;
	struct str *answer;
	int64_t deadline;
};

static void talk_write(struct talk *t)
{
	ssize_t n = send(t->in, t->input, t->left, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0) {
		t->input += n;
		t->left -= (size_t)n;
	}
	/* A helper that does not read its input has decided without it: its status tells. */
	if (t->left == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		close_fd(&t->in);
}

static int talk_read(struct talk *t, const char *name, struct err *e)
{
	char buf[4096];
	ssize_t n = read(t->out, buf, sizeof(buf));
	if (n < 0)
		return errno == EINTR ? 0 : err_sys(e, errno, "read from %s", name);
	if (n == 0)
		close_fd(&t->out);
	else if (t->answer->len + (size_t)n > HELPER_OUTPUT_MAX)
		return err_set(e, EFBIG, "%s wrote more than %d bytes", name, HELPER_OUTPUT_MAX);
	else
		str_add(t->answer, buf, (size_t)n);
	explicit_bzero(buf, sizeof(buf));
	return 0;
}

/* Until output and process have ended. */
static int talk_run(struct talk *t, const char *name, struct err *e)
{
	bool ended = false;
	while (t->out >= 0 || !ended) {
		struct pollfd p[] = {
			{.fd = t->in, .events = POLLOUT},
			{.fd = t->out, .events = POLLIN},
			{.fd = ended ? -1 : t->pidfd, .events = POLLIN},
		};
		int64_t left = t->deadline - now_ms();
		/* When the process is gone, what it wrote is in the pipe; a grandchild that holds it is not waited for.
		 */
		int n = poll(p, ARRAY_SIZE(p), left <= 0 ? 0 : ended ? 0 : (int)left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "poll %s", name);
		if (n == 0) {
			if (ended)
				return 0;
			return err_set(e, ETIMEDOUT, "%s did not answer in %d seconds", name, HELPER_SECONDS);
		}
		if (p[0].revents)
			talk_write(t);
		if (p[1].revents) {
			int r = talk_read(t, name, e);
			if (r < 0)
				return r;
		}
		ended = ended || p[2].revents;
	}
	return 0;
}

static int helper_start(const char *name, const char *verb, struct talk *t, struct proc_child *ret_child, struct err *e)
{
	int in[2], out[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) < 0)
		return err_sys(e, errno, "socketpair");
	autofd int child_in = in[1];
	t->in = in[0];
	if (pipe2(out, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	autofd int child_out = out[1];
	t->out = out[0];
	autofree char *program = xstrdup(name);
	autofree char *arg = xstrdup(verb);
	char *const argv[] = {program, arg, NULL};
	return proc_spawn(&(struct proc_spawn){.argv = argv, .stdin_fd = child_in, .stdout_fd = child_out}, ret_child,
			  e);
}

int creds_helper(const char *helper, const char *verb, const char *input, size_t len, struct str *out, struct err *e)
{
	struct proc_child child = PROC_CHILD_NONE;
	struct talk t = {.in = -1, .out = -1, .input = input, .left = len, .answer = out};
	if (!authfile_is_helper_name(helper))
		return err_set(e, EINVAL, "\"%s\" is no name of a credential helper", helper);
	autofree char *name = xasprintf("docker-credential-%s", helper);
	int r = helper_start(name, verb, &t, &child, e);
	if (r == 0) {
		t.deadline = now_ms() + HELPER_SECONDS * 1000;
		t.pidfd = child.pidfd;
		r = talk_run(&t, name, e);
		if (r < 0)
			proc_kill_wait(&child);
		else
			r = proc_wait(&child, name, e);
	} else if (r == -ENOENT) {
		err_hint(e, "the auth file names this credential helper; install it or remove the entry");
	}
	close_fd(&t.in);
	close_fd(&t.out);
	if (r <= 0)
		return r < 0 ? r : 1;
	if (strstr(out->buf, "credentials not found"))
		return 0;
	autofree char *said = http_quote(out->buf, out->len);
	return err_set(e, EIO, "%s %s failed: %s", name, verb, *said ? said : "no reason given");
}

static int ask_one(const char *helper, const char *server, struct authfile_cred *ret_cred, struct err *e)
{
	autostr struct str answer = STR_INIT;
	int r = creds_helper(helper, "get", server, strlen(server), &answer, e);
	if (r == 1) {
		r = authfile_helper_answer(answer.buf, answer.len, ret_cred, e);
		r = r < 0 ? r : 1;
	}
	if (answer.len)
		explicit_bzero(answer.buf, answer.len);
	return r;
}

/* docker keeps the hub's credentials under its old URL. */
static int ask_helper(const char *helper, const char *host, struct authfile_cred *ret_cred, struct err *e)
{
	int r = str_eq(host, "docker.io") ? ask_one(helper, hub_url, ret_cred, e) : 0;
	return r ? r : ask_one(helper, host, ret_cred, e);
}

/* ---- finding ---- */

static int find_in_doc(const json_t *doc, const char *host, const char *name, struct authfile_cred *ret_cred,
		       struct err *e)
{
	const char *helper = authfile_helper(doc, host);
	int r = helper ? ask_helper(helper, host, ret_cred, e) : 0;
	if (r)
		return r;
	r = authfile_find(doc, name, ret_cred, e);
	if (r)
		return r;
	helper = authfile_store(doc);
	return helper ? ask_helper(helper, host, ret_cred, e) : 0;
}

static int find_in_files(struct registry *r, const char *host, const char *name, struct authfile_cred *ret_cred,
			 struct err *e)
{
	autostrv struct strv files = STRV_INIT;
	creds_files(&r->o, &files);
	for (size_t i = 0; i < files.count; i++) {
		autojson json_t *doc = NULL;
		struct err why = ERR_INIT;
		int n = creds_read_file(files.items[i], &doc, &why);
		if (n < 0) {
			/* Files nobody asked for may be missing, or belong to root after a sudo. */
			bool skip = n == -ENOENT || n == -ENOTDIR || (n == -EACCES && files.count > 1);
			if (skip && !r->o.authfile)
				continue;
			if (e)
				*e = why;
			return n;
		}
		n = find_in_doc(doc, host, name, ret_cred, e);
		if (n < 0)
			return err_ctx(e, "%s", files.items[i]);
		if (n == 1) {
			log_debug(LOG_REGISTRY, "credentials for %s from %s", name, files.items[i]);
			return 1;
		}
	}
	return 0;
}

static char *copy_or_null(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

int creds_find(struct registry *r, const char *name, struct authfile_cred *ret_cred, struct err *e)
{
	autofree char *host = xstrndup(name, strcspn(name, "/"));
	const struct strv *helpers = &r->conf.cred_helpers;
	if (r->has_explicit) {
		ret_cred->user = copy_or_null(r->explicit_cred.user);
		ret_cred->password = copy_or_null(r->explicit_cred.password);
		return 1;
	}
	if (!helpers->count || r->o.authfile)
		return find_in_files(r, host, name, ret_cred, e);
	for (size_t i = 0; i < helpers->count; i++) {
		bool files = str_eq(helpers->items[i], "containers-auth.json");
		int n = files ? find_in_files(r, host, name, ret_cred, e)
			      : ask_helper(helpers->items[i], host, ret_cred, e);
		if (n)
			return n;
	}
	return 0;
}
