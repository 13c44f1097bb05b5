/*
 * cmd_login.c - `rl login` and `rl logout`: credentials for registries.
 *
 * A password comes from standard input, from the terminal (without echo; whatever ends the prompt, the terminal gets
 * its echo back), or, with a warning, from the command line. Credentials that are stored already are tried first when
 * nothing at all is given, as podman does.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "registry_opts.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "verbs_int.h"

enum { SECRET_MAX = 64 * 1024, LINE_SIZE = 4096 };

static const char hub[] = "docker.io";

struct login_opts {
	struct registry_cli registry;
	char *user, *password;
	bool from_stdin, get_login;
};

static const struct opt_def login_defs[] = {
	{"username", NULL, 'u', "USER", OPT_GENERIC(opt_set_string, struct login_opts, user), OPT_ONCE, "Options",
	 "user name", 0, NULL},
	{"password", NULL, 'p', "PASSWORD", OPT_GENERIC(opt_set_string, struct login_opts, password), OPT_ONCE,
	 "Options", "password; others can read it in the list of processes", 0, NULL},
	{"password-stdin", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, struct login_opts, from_stdin), 0, "Options",
	 "read the password from standard input", 0, NULL},
	{"get-login", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, struct login_opts, get_login), 0, "Options",
	 "only check the stored credentials and print the user name", 0, NULL},
	REGISTRY_OPT_ROWS(struct login_opts),
	OPT_END,
};

static const struct opt_rule login_rules[] = {
	{"password", OPT_CONFLICTS, "password-stdin", "there is one password"},
	{"password-stdin", OPT_REQUIRES, "username", "standard input is the password's"},
	{"get-login", OPT_CONFLICTS, "username", "it asks who is logged in"},
	{NULL, OPT_CONFLICTS, NULL, NULL},
};

/* ---- the terminal ---- */

/* A line without its end. For a secret, echo is off and ^C ends the line instead of the program, and other signals wait,
 * so that nothing can leave the terminal without echo. */
static ssize_t read_secret(int tty, char *line, size_t size, bool *ret_stopped)
{
	struct termios was;
	sigset_t all;
	sigset_t old;
	if (tcgetattr(tty, &was) < 0)
		return -1;
	struct termios quiet = was;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
	quiet.c_cc[VEOL] = was.c_cc[VINTR];
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	tcsetattr(tty, TCSAFLUSH, &quiet);
	ssize_t n = read(tty, line, size);
	tcsetattr(tty, TCSAFLUSH, &was);
	sigprocmask(SIG_SETMASK, &old, NULL);
	*ret_stopped = n > 0 && (cc_t)line[n - 1] == was.c_cc[VINTR];
	(void)!write(tty, "\n", 1);
	return n;
}

static int prompt(int tty, const char *text, bool secret, char **ret_line, struct err *e)
{
	char line[LINE_SIZE];
	bool stopped = false;
	int r = io_write_all(tty, text, strlen(text), e);
	if (r < 0)
		return r;
	ssize_t n = secret ? read_secret(tty, line, sizeof(line), &stopped) : read(tty, line, sizeof(line));
	if (n < 0)
		return err_sys(e, errno, "ask on the terminal");
	if (n > 0 && line[n - 1] == '\n')
		n--;
	if (n > 0 && !stopped)
		*ret_line = xstrndup(line, (size_t)n);
	explicit_bzero(line, sizeof(line));
	return n > 0 && !stopped ? 0 : err_set(e, ECANCELED, "nothing was entered");
}

static int ask_terminal(const char *registry, struct login_opts *o, struct err *e)
{
	autofd int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (tty < 0 || !isatty(STDIN_FILENO)) {
		err_set(e, EINVAL, "login %s: there is no terminal to ask for %s", registry,
			o->user ? "the password" : "user and password");
		return err_hint(e, "rl login -u USER --password-stdin %s <FILE", registry);
	}
	int r = o->user ? 0 : prompt(tty, "Username: ", false, &o->user, e);
	return r < 0 || o->password ? r : prompt(tty, "Password: ", true, &o->password, e);
}

static int read_password(struct login_opts *o, struct err *e)
{
	struct str text = STR_INIT;
	int r = io_read_rest(STDIN_FILENO, SECRET_MAX, "the password", &text, e);
	if (r < 0) {
		str_free(&text);
		return r;
	}
	while (text.len && (text.buf[text.len - 1] == '\n' || text.buf[text.len - 1] == '\r'))
		str_cut(&text, text.len - 1);
	o->password = str_take(&text);
	return *o->password ? 0 : err_set(e, EINVAL, "standard input has no password");
}

/* ---- login ---- */

static int login_stored(const struct cmd_ctx *ctx, const struct login_opts *o, const char *key,
			const struct image_registry *registry, struct err *e)
{
	autostr struct str user = STR_INIT;
	int r = image_login(ctx->store_root, key, registry, &user, e);
	if (r < 0)
		return r;
	autostr struct str out = STR_INIT;
	if (o->get_login)
		str_addf(&out, "%s\n", user.buf);
	else
		str_addf(&out, "Login Succeeded: the stored credentials of %s are accepted\n", user.buf);
	return out_flush(&out, e);
}

static int login_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	struct login_opts *o = opts;
	const char *key = args->operands.count ? args->operands.items[0] : hub;
	struct image_registry registry = registry_cli_get(&o->registry, NULL);
	int r;
	if (!o->user && !o->password) {
		struct err stored = ERR_INIT;
		r = login_stored(ctx, o, key, &registry, &stored);
		if (r >= 0)
			return r;
		if (o->get_login || (r != -ENOENT && r != -EACCES)) {
			*e = stored;
			return r;
		}
	}
	if (o->password)
		log_warn("--password shows the password in the list of processes; --password-stdin does not");
	r = o->from_stdin ? read_password(o, e) : 0;
	if (r >= 0 && (!o->user || !o->password))
		r = ask_terminal(key, o, e);
	if (r < 0)
		return r;
	if (!*o->user || strchr(o->user, ':'))
		return err_set(e, EINVAL, "'%s' is no user name", o->user);
	autofree char *creds = xasprintf("%s:%s", o->user, o->password);
	autostr struct str where = STR_INIT;
	registry.creds = creds;
	r = image_login(ctx->store_root, key, &registry, &where, e);
	explicit_bzero(creds, strlen(creds));
	if (r < 0)
		return r;
	autostr struct str out = STR_INIT;
	str_adds(&out, "Login Succeeded\n");
	log_debug(LOG_CMD, "credentials are in %s", where.buf);
	return out_flush(&out, e);
}

static void login_release(void *opts)
{
	struct login_opts *o = opts;
	registry_cli_free(&o->registry);
	if (o->password)
		explicit_bzero(o->password, strlen(o->password));
	free(o->user);
	free(o->password);
}

/* ---- logout ---- */

struct logout_opts {
	char *authfile;
	bool all;
};

static const struct opt_def logout_defs[] = {
	{"all", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, struct logout_opts, all), 0, "Options",
	 "forget the credentials of every registry", 0, NULL},
	{"authfile", NULL, 0, "FILE", OPT_GENERIC(opt_set_string, struct logout_opts, authfile), OPT_ONCE, "Options",
	 "file with credentials", COMPLETE_FILE, NULL},
	OPT_END,
};

static int logout_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct logout_opts *o = opts;
	const struct image_registry registry = {.authfile = o->authfile, .tls_verify = UNSET};
	if (o->all && args->operands.count)
		return err_set(e, EINVAL, "logout: --all and '%s': give one of them", args->operands.items[0]);
	const char *key = o->all ? NULL : args->operands.count ? args->operands.items[0] : hub;
	int r = image_logout(ctx->store_root, key, &registry, e);
	/* There was nothing: that has been said. */
	if (r <= 0)
		return r;
	autostr struct str out = STR_INIT;
	str_addf(&out, "Removed login credentials for %s\n", key ? key : "all registries");
	return out_flush(&out, e);
}

static void logout_release(void *opts)
{
	free(((struct logout_opts *)opts)->authfile);
}

const struct verb verb_login = {
	.name = "login",
	.group = "Images",
	.usage = "[OPTIONS] [REGISTRY]",
	.summary = "check and keep credentials for a registry",
	.example = "  rl login -u me --password-stdin registry.example.com <secret",
	.opts = login_defs,
	.rules = login_rules,
	.max_operands = 1,
	.opts_size = sizeof(struct login_opts),
	.release = login_release,
	.run = login_run,
};

const struct verb verb_logout = {
	.name = "logout",
	.group = "Images",
	.usage = "[OPTIONS] [REGISTRY]",
	.summary = "forget the credentials for a registry",
	.example = "  rl logout registry.example.com",
	.opts = logout_defs,
	.max_operands = 1,
	.opts_size = sizeof(struct logout_opts),
	.release = logout_release,
	.run = logout_run,
};
