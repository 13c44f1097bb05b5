/*
 * cmd_oci_run.c - `rl-oci create, run, exec, update`: the verbs with many flags.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "oci_verbs.h"
#include "rl/base/fmt.h"
#include "rl/base/io.h"
#include "rl/base/json.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/cmd/out.h"
#include "verbs_int.h"

static const char options[] = "Options";

/* What the caller says is open for the container must be so: a descriptor of ours could stand there otherwise. */
static int check_preserved(unsigned n, struct err *e)
{
	if (n > 1024)
		return err_set(e, EINVAL, "--preserve-fds %u is too many", n);
	for (int fd = 3; fd < 3 + (int)n; fd++) {
		int flags = fcntl(fd, F_GETFD);
		if (flags < 0 || (flags & FD_CLOEXEC))
			return err_set(e, EBADF, "--preserve-fds: descriptor %d is not open", fd);
	}
	return 0;
}

/* Sockets that systemd or conmon passes on to the command: those of LISTEN_FDS, if LISTEN_PID does not say that somebody
 * else is meant. */
static int read_listen_fds(unsigned *ret_n, struct err *e)
{
	const char *count = getenv("LISTEN_FDS");
	const char *pid = getenv("LISTEN_PID");
	uint64_t value = 0;
	if (!count || !*count || (pid && strtol(pid, NULL, 10) != getpid()))
		return 0;
	int r = str_to_u64(count, 1024, "LISTEN_FDS", &value, e);
	*ret_n = (unsigned)value;
	return r;
}

/* ---- create, run ---- */

struct create_opts {
	char *bundle, *console_socket, *pid_file;
	unsigned preserve_fds;
	bool no_pivot, no_new_keyring, no_subreaper, detach, keep;
};

static void create_release(void *opts)
{
	struct create_opts *o = opts;
	free(o->bundle);
	free(o->console_socket);
	free(o->pid_file);
}

#define C struct create_opts
#define CREATE_ROWS                                                                                                    \
	{"bundle",                                                                                                     \
	 NULL,                                                                                                         \
	 'b',                                                                                                          \
	 "DIR",                                                                                                        \
	 OPT_GENERIC(opt_set_string, C, bundle),                                                                       \
	 0,                                                                                                            \
	 options,                                                                                                      \
	 "the bundle (the working directory)",                                                                         \
	 COMPLETE_DIR,                                                                                                 \
	 NULL},                                                                                                        \
		{"console-socket",                                                                                     \
		 NULL,                                                                                                 \
		 0,                                                                                                    \
		 "SOCKET",                                                                                             \
		 OPT_GENERIC(opt_set_string, C, console_socket),                                                       \
		 0,                                                                                                    \
		 options,                                                                                              \
		 "where the terminal is sent",                                                                         \
		 COMPLETE_FILE,                                                                                        \
		 NULL},                                                                                                \
		{"pid-file",                                                                                           \
		 NULL,                                                                                                 \
		 0,                                                                                                    \
		 "FILE",                                                                                               \
		 OPT_GENERIC(opt_set_string, C, pid_file),                                                             \
		 0,                                                                                                    \
		 options,                                                                                              \
		 "where the first process's pid is written",                                                           \
		 COMPLETE_FILE,                                                                                        \
		 NULL},                                                                                                \
		{"preserve-fds",                                                                                       \
		 NULL,                                                                                                 \
		 0,                                                                                                    \
		 "N",                                                                                                  \
		 OPT_GENERIC(opt_set_uint, C, preserve_fds),                                                           \
		 0,                                                                                                    \
		 options,                                                                                              \
		 "pass on N descriptors from 3 up",                                                                    \
		 0,                                                                                                    \
		 NULL},                                                                                                \
		{"no-pivot",                                                                                           \
		 NULL,                                                                                                 \
		 0,                                                                                                    \
		 NULL,                                                                                                 \
		 OPT_GENERIC(opt_set_bool, C, no_pivot),                                                               \
		 0,                                                                                                    \
		 options,                                                                                              \
		 "move the root into place instead of pivot_root",                                                     \
		 0,                                                                                                    \
		 NULL},                                                                                                \
	{                                                                                                              \
		"no-new-keyring", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, C, no_new_keyring), 0, options,             \
			"keep the caller's session keyring", 0, NULL                                                   \
	}

static const struct opt_def create_defs[] = {CREATE_ROWS, OPT_END};

static const struct opt_def run_defs[] = {
	CREATE_ROWS,
	{"detach", NULL, 'd', NULL, OPT_GENERIC(opt_set_bool, C, detach), 0, options, "do not wait for its end", 0,
	 NULL},
	{"keep", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, C, keep), 0, options, "leave the record when it has ended", 0,
	 NULL},
	{"no-subreaper", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, C, no_subreaper), 0, options,
	 "taken: this runtime is none", 0, NULL},
	OPT_END,
};
#undef C

static int create_or_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct create_opts *c = opts;
	unsigned listen_fds = 0;
	int r = read_listen_fds(&listen_fds, e);
	const struct oci_create_opts o = {
		.id = args->operands.items[0],
		.bundle = c->bundle,
		.console_socket = c->console_socket,
		.pid_file = c->pid_file,
		.preserve_fds = c->preserve_fds + listen_fds,
		.listen_fds = listen_fds,
		.no_pivot = c->no_pivot,
		.no_new_keyring = c->no_new_keyring,
		.detach = c->detach,
		.keep = c->keep,
	};
	if (r == 0)
		r = check_preserved(o.preserve_fds, e);
	if (r < 0)
		return r;
	return ctx->verb == &oci_verb_create ? oci_create(ctx->oci, &o, e) : oci_run(ctx->oci, &o, e);
}

const struct verb oci_verb_create = {
	.name = "create",
	.usage = "[OPTIONS] CONTAINER",
	.summary = "make a container of a bundle; it waits for start",
	.opts = create_defs,
	.min_operands = 1,
	.max_operands = 1,
	.starts_containers = true,
	.opts_size = sizeof(struct create_opts),
	.release = create_release,
	.run = create_or_run,
};

const struct verb oci_verb_run = {
	.name = "run",
	.usage = "[OPTIONS] CONTAINER",
	.summary = "create, start, wait and delete",
	.opts = run_defs,
	.min_operands = 1,
	.max_operands = 1,
	.starts_containers = true,
	.opts_size = sizeof(struct create_opts),
	.release = create_release,
	.run = create_or_run,
};

/* ---- exec ---- */

struct exec_opts {
	char *process, *user, *cwd, *apparmor, *process_label, *console_socket, *pid_file, *cgroup;
	struct strv env, caps, groups;
	unsigned preserve_fds;
	bool tty, detach, ignore_paused, no_new_privs;
};

static void exec_release(void *opts)
{
	struct exec_opts *o = opts;
	char *owned[] = {o->process,	   o->user,	      o->cwd,	   o->apparmor,
			 o->process_label, o->console_socket, o->pid_file, o->cgroup};
	for (size_t i = 0; i < ARRAY_SIZE(owned); i++)
		free(owned[i]);
	strv_free(&o->env);
	strv_free(&o->caps);
	strv_free(&o->groups);
}

#define X struct exec_opts
static const struct opt_def exec_defs[] = {
	{"process", NULL, 'p', "FILE", OPT_GENERIC(opt_set_string, X, process), 0, options,
	 "the process as in config.json", COMPLETE_FILE, NULL},
	{"detach", NULL, 'd', NULL, OPT_GENERIC(opt_set_bool, X, detach), 0, options, "do not wait for its end", 0,
	 NULL},
	{"tty", NULL, 't', NULL, OPT_GENERIC(opt_set_bool, X, tty), 0, options, "with a terminal", 0, NULL},
	{"user", NULL, 'u', "UID[:GID]", OPT_GENERIC(opt_set_string, X, user), 0, options, "as this user", 0, NULL},
	{"additional-gids", NULL, 'g', "GID", OPT_GENERIC(opt_set_list, X, groups), OPT_REPEAT, options,
	 "with this group too", 0, NULL},
	{"cwd", NULL, 0, "DIR", OPT_GENERIC(opt_set_string, X, cwd), 0, options, "in this directory", 0, NULL},
	{"env", NULL, 'e', "KEY=VALUE", OPT_GENERIC(opt_set_list, X, env), OPT_REPEAT, options,
	 "add to the environment", 0, NULL},
	{"cap", NULL, 'c', "CAP", OPT_GENERIC(opt_set_list, X, caps), OPT_REPEAT, options, "add a capability", 0, NULL},
	{"no-new-privs", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, X, no_new_privs), 0, options, "set no_new_privs", 0,
	 NULL},
	{"console-socket", NULL, 0, "SOCKET", OPT_GENERIC(opt_set_string, X, console_socket), 0, options,
	 "where the terminal is sent", COMPLETE_FILE, NULL},
	{"pid-file", NULL, 0, "FILE", OPT_GENERIC(opt_set_string, X, pid_file), 0, options,
	 "where the process's pid is written", COMPLETE_FILE, NULL},
	{"preserve-fds", NULL, 0, "N", OPT_GENERIC(opt_set_uint, X, preserve_fds), 0, options,
	 "pass on N descriptors from 3 up", 0, NULL},
	{"ignore-paused", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, X, ignore_paused), 0, options,
	 "also in a paused container; it runs when that goes on", 0, NULL},
	{"apparmor", NULL, 0, "PROFILE", OPT_GENERIC(opt_set_string, X, apparmor), 0, options,
	 "confined by this profile", 0, NULL},
	{"process-label", NULL, 0, "LABEL", OPT_GENERIC(opt_set_string, X, process_label), 0, options,
	 "with this SELinux context", 0, NULL},
	{"cgroup", NULL, 0, "PATH", OPT_GENERIC(opt_set_string, X, cgroup), 0, options,
	 "in this control group below the container's", 0, NULL},
	OPT_END,
};
#undef X

static int exec_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct exec_opts *x = opts;
	autostrv struct strv command = STRV_INIT;
	for (size_t i = 1; i < args->operands.count; i++)
		strv_add(&command, args->operands.items[i]);
	unsigned listen_fds = 0;
	int r = read_listen_fds(&listen_fds, e);
	const struct oci_exec_opts o = {
		.id = args->operands.items[0],
		.process_file = x->process,
		.args = &command,
		.env = &x->env,
		.caps = &x->caps,
		.groups = &x->groups,
		.user = x->user,
		.cwd = x->cwd,
		.apparmor = x->apparmor,
		.process_label = x->process_label,
		.console_socket = x->console_socket,
		.pid_file = x->pid_file,
		.cgroup = x->cgroup,
		.preserve_fds = x->preserve_fds + listen_fds,
		.listen_fds = listen_fds,
		.tty = x->tty,
		.detach = x->detach,
		.ignore_paused = x->ignore_paused,
		.no_new_privs = x->no_new_privs,
	};
	if (!command.count && !x->process)
		return err_set(e, EINVAL, "process args cannot be empty");
	if (r == 0)
		r = check_preserved(o.preserve_fds, e);
	return r < 0 ? r : oci_exec(ctx->oci, &o, e);
}

const struct verb oci_verb_exec = {
	.name = "exec",
	.usage = "[OPTIONS] CONTAINER COMMAND [ARG...]",
	.summary = "run one more process in a container",
	.opts = exec_defs,
	.parse_flags = OPT_STOP_AT_OPERAND,
	.min_operands = 1,
	.max_operands = OPERANDS_ANY,
	.starts_containers = true,
	.opts_size = sizeof(struct exec_opts),
	.release = exec_release,
	.run = exec_run,
};

/* ---- update ---- */

struct update_opts {
	char *file;
	json_t *doc; /* what the flags say */
};

static void update_release(void *opts)
{
	struct update_opts *o = opts;
	free(o->file);
	json_decref(o->doc);
}

/* Where a flag's value goes: "memory.limit". */
static void put_member(json_t **doc, const char *member, json_t *value)
{
	autofree char *object = xstrdup(member);
	char *dot = strchr(object, '.');
	*dot = '\0';
	if (!*doc)
		*doc = json_object();
	json_put(json_member(*doc, object, JSON_OBJECT), dot + 1, value);
}

static int set_number(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	struct update_opts *o = target;
	uint64_t number = 0;
	bool unlimited = str_eq(value, "-1");
	int r = unlimited ? 0 : str_to_u64(value, INT64_MAX, def->name, &number, e);
	if (r == 0)
		put_member(&o->doc, def->choices, json_integer(unlimited ? -1 : (json_int_t)number));
	return r;
}

static int set_size(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	struct update_opts *o = target;
	uint64_t bytes = 0;
	bool unlimited = str_eq(value, "-1");
	int r = unlimited ? 0 : fmt_parse_size(value, def->name, &bytes, e);
	if (r == 0)
		put_member(&o->doc, def->choices, json_integer(unlimited ? -1 : (json_int_t)bytes));
	return r;
}

static int set_text(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	(void)e;
	struct update_opts *o = target;
	put_member(&o->doc, def->choices, json_string_lossy(value, strlen(value)));
	return 0;
}

/* The member of linux.resources stands in `choices`. */
#define ROW(name_, metavar_, setter, member, help_)                                                                    \
	{                                                                                                              \
		.name = (name_), .metavar = (metavar_), .set = (setter), .group = options, .help = (help_),            \
		.choices = (member)                                                                                    \
	}
static const struct opt_def update_defs[] = {
	{"resources", NULL, 'r', "FILE", OPT_GENERIC(opt_set_string, struct update_opts, file), 0, options,
	 "linux.resources as in config.json; - is standard input", COMPLETE_FILE, NULL},
	ROW("memory", "BYTES", set_size, "memory.limit", "limit of memory"),
	ROW("memory-reservation", "BYTES", set_size, "memory.reservation", "soft limit of memory"),
	ROW("memory-swap", "BYTES", set_size, "memory.swap", "limit of memory and swap"),
	ROW("kernel-memory", "BYTES", set_size, "memory.kernel", "limit of kernel memory (v1)"),
	ROW("kernel-memory-tcp", "BYTES", set_size, "memory.kernelTCP", "limit of TCP buffers (v1)"),
	ROW("cpu-period", "US", set_number, "cpu.period", "period of the CPU quota"),
	ROW("cpu-quota", "US", set_number, "cpu.quota", "CPU time in each period"),
	ROW("cpu-burst", "US", set_number, "cpu.burst", "CPU time that may be saved up"),
	ROW("cpu-share", "N", set_number, "cpu.shares", "CPU shares"),
	ROW("cpu-rt-period", "US", set_number, "cpu.realtimePeriod", "period of realtime scheduling (v1)"),
	ROW("cpu-rt-runtime", "US", set_number, "cpu.realtimeRuntime", "realtime in each period (v1)"),
	ROW("cpu-idle", "0|1", set_number, "cpu.idle", "run only when nothing else does"),
	ROW("cpuset-cpus", "LIST", set_text, "cpu.cpus", "CPUs to use"),
	ROW("cpuset-mems", "LIST", set_text, "cpu.mems", "memory nodes to use"),
	ROW("blkio-weight", "N", set_number, "blockIO.weight", "weight of block I/O, 10 to 1000"),
	ROW("pids-limit", "N", set_number, "pids.limit", "number of processes"),
	OPT_END,
};
#undef ROW

static int update_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct update_opts *o = opts;
	autostr struct str text = STR_INIT;
	enum { TEXT_MAX = 1 << 20 };
	int r = 0;
	if (o->file && o->doc)
		return err_set(e, EINVAL, "--resources and other limits together");
	if (o->file && str_eq(o->file, "-"))
		r = io_read_rest(STDIN_FILENO, TEXT_MAX, "standard input", &text, e);
	else if (o->file)
		r = io_read_file(AT_FDCWD, o->file, TEXT_MAX, &text, e);
	else if (o->doc)
		json_print(o->doc, false, &text);
	else
		return err_set(e, EINVAL, "update: no limit is given");
	return r < 0 ? r : oci_update(ctx->oci, args->operands.items[0], text.buf, text.len, e);
}

const struct verb oci_verb_update = {
	.name = "update",
	.usage = "[OPTIONS] CONTAINER",
	.summary = "change a container's limits",
	.opts = update_defs,
	.min_operands = 1,
	.max_operands = 1,
	.opts_size = sizeof(struct update_opts),
	.release = update_release,
	.run = update_run,
};

/* ---- spec ---- */

int cmd_write_spec(const char *bundle, bool rootless, struct err *e)
{
	autojson json_t *doc = oci_example_config(rootless);
	autostr struct str text = STR_INIT;
	autofree char *path = path_join(bundle ? bundle : ".", "config.json");
	json_print(doc, true, &text);
	str_addc(&text, '\n');
	autofd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return errno == EEXIST ? err_set(e, EEXIST, "file %s exists. Remove it first", path)
				       : err_sys(e, errno, "create %s", path);
	int r = io_write_all(fd, text.buf, text.len, e);
	if (r < 0)
		unlink(path);
	return r < 0 ? err_ctx(e, "write %s", path) : 0;
}
