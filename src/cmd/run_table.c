/*
 * run_table.c - every option of `rl run`: one row each, and the rules between them.
 *
 * The grammar of a value is a function of rl/model/run_opts.h; what is here are the rows, the reading of files that
 * options name (cmd may read files, model may not), and what can only be said once all options are known. Options that
 * other tools have and rl does not are rows too, with the reason: a script must not find out from a missing effect.
 */
#include "run_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "limit_rows.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"

extern char **environ;

/* An option whose value goes to run_opts_NAME. */
#define SETTER(name)                                                                                                   \
	static int set_##name(const struct opt_def *def, void *target, const char *value, struct err *e)               \
	{                                                                                                              \
		(void)def;                                                                                             \
		return run_opts_##name(target, value, e);                                                              \
	}

SETTER(volume)
SETTER(mount)
SETTER(tmpfs)
SETTER(volumes_from)
SETTER(env_merge)
SETTER(unsetenv)
SETTER(tz)
SETTER(passwd_entry)
SETTER(group_entry)
SETTER(hostuser)
SETTER(requires)
SETTER(personality)
SETTER(pod)
SETTER(secret)
SETTER(image_volume)
SETTER(device)
SETTER(shm_size)
SETTER(rootfs)
SETTER(label)
SETTER(annotation)
SETTER(entrypoint)
SETTER(workdir)
SETTER(user)
SETTER(group_add)
SETTER(umask)
SETTER(ulimit)
SETTER(sysctl)
SETTER(oom_score_adj)
SETTER(stop_signal)
SETTER(stop_timeout)
SETTER(timeout)
SETTER(detach_keys)
SETTER(name)
SETTER(restart)
SETTER(report)
SETTER(log_driver)
SETTER(log_opt)
SETTER(health_cmd)
SETTER(health_interval)
SETTER(health_timeout)
SETTER(health_start_period)
SETTER(health_start_interval)
SETTER(health_retries)
SETTER(health_startup_cmd)
SETTER(health_startup_interval)
SETTER(health_startup_timeout)
SETTER(health_startup_retries)
SETTER(health_startup_success)
SETTER(health_on_failure)
SETTER(sdnotify)
SETTER(pull)
SETTER(platform)
SETTER(cap_add)
SETTER(cap_drop)
SETTER(security_opt)
SETTER(emulate)
SETTER(userns)
SETTER(pid)
SETTER(ipc)
SETTER(uts)
SETTER(cgroupns)
SETTER(network)
SETTER(hostname)
SETTER(domainname)
SETTER(dns)
SETTER(dns_search)
SETTER(dns_option)
SETTER(add_host)
SETTER(mac_address)
SETTER(hosts_file)
SETTER(host_access)
SETTER(allow_net)
SETTER(deny_net)
SETTER(publish)
SETTER(ip)
SETTER(ip6)
SETTER(network_alias)
SETTER(expose)

static int set_env(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	(void)def;
	return run_opts_env(target, value, environ, e);
}

/* -a names streams; without it all are attached. */
static int set_attach(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	static const char *const names[] = {"stdin", "stdout", "stderr"};
	struct run_target *t = target;
	(void)def;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcasecmp(value, names[i]) != 0)
			continue;
		t->attach |= 1U << i;
		return 0;
	}
	return err_set(e, EINVAL, "--attach '%s': stdin, stdout or stderr is expected", value);
}

/* The caller's proxy variables, as docker's and podman's clients hand them on. */
static int set_http_proxy(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	static const char *const names[] = {"http_proxy", "https_proxy", "ftp_proxy", "no_proxy",
					    "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY"};
	(void)def;
	int r = 0;
	for (size_t i = 0; str_eq(value, "true") && i < ARRAY_SIZE(names) && r == 0; i++)
		r = getenv(names[i]) ? run_opts_env(target, names[i], environ, e) : 0;
	return r;
}

/* Pipes are welcome (--env-file <(pass show x)), directories and endless devices are not. */
static int read_option_file(const struct opt_def *def, const char *path, struct str *out, struct err *e)
{
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return err_sys(e, errno, "--%s: cannot open %s", def->name, path);
	int r = io_read_rest(fd, RUN_OPTS_FILE_MAX, path, out, e);
	return r < 0 ? err_ctx(e, "--%s", def->name) : 0;
}

static int set_env_file(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	autostr struct str text = STR_INIT;
	int r = read_option_file(def, value, &text, e);
	return r < 0 ? r : run_opts_env_file(target, text.buf, text.len, value, e);
}

static int set_label_file(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	autostr struct str text = STR_INIT;
	int r = read_option_file(def, value, &text, e);
	return r < 0 ? r : run_opts_label_file(target, text.buf, text.len, value, e);
}

static int set_volume_driver(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	(void)def;
	(void)target;
	if (str_eq(value, "local"))
		return 0;
	return err_set(e, EINVAL, "--volume-driver '%s': volumes are directories of the store; there are no drivers",
		       value);
}

/* docker's default is that nothing is verified by it; the other way is what we cannot do. */
static int set_content_trust(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	(void)def;
	(void)target;
	if (str_eq(value, "true"))
		return 0;
	return err_set(e, EINVAL, "--disable-content-trust=%s: docker's content trust is not supported", value);
}

/* A file we are going to write: an empty name is a script's unset variable. */
static int set_out_file(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	if (!*value)
		return err_set(e, EINVAL, "--%s: the file name is empty", def->name);
	return opt_set_string(def, target, value, e);
}

#define MEMBER(setter, member) OPT_GENERIC(setter, struct run_target, member)
#define FLAG(long_name, short_letter, member, heading, text, ...)                                                      \
	{                                                                                                              \
		.name = long_name, .letter = short_letter, MEMBER(opt_set_bool, member), .group = heading,             \
		.help = text, __VA_ARGS__                                                                              \
	}
#define VALUE(long_name, short_letter, meta, setter, heading, text, ...)                                               \
	{                                                                                                              \
		.name = long_name, .letter = short_letter, .metavar = meta, .set = setter, .group = heading,           \
		.help = text, __VA_ARGS__                                                                              \
	}
#define REFUSED(long_name, short_letter, why)                                                                          \
	{                                                                                                              \
		.name = long_name, .letter = short_letter, .flags = OPT_REFUSED, .help = why                           \
	}
#define CHOICES(words) .complete = COMPLETE_CHOICES, .choices = words

static const char life[] = "Container";
static const char process[] = "Process";
static const char files[] = "Files";
static const char network[] = "Network";
static const char security[] = "Security";
static const char spaces[] = "Namespaces";

static const char limits[] = "Limits";
static const char no_v2[] = "cgroup v2 does not have this setting";
static const char windows[] = "it exists on Windows only";

const struct opt_def run_defs[] = {
	FLAG("rm", 0, o.rm, life, "remove the container when it ends", .flags = OPT_COMMON),
	FLAG("interactive", 'i', o.interactive, life, "keep standard input open", .flags = OPT_COMMON),
	FLAG("tty", 't', o.tty, life, "give the command a terminal", .flags = OPT_COMMON),
	FLAG("detach", 'd', o.detach, life, "run in the background"),
	VALUE("name", 0, "NAME", set_name, life, "name of the container", .flags = OPT_COMMON),
	FLAG("replace", 0, o.replace, life, "remove another container of this name first"),
	VALUE("pull", 0, "POLICY", set_pull, life, "missing, always, never or newer",
	      CHOICES("missing always never newer")),
	VALUE("platform", 0, "OS/ARCH", set_platform, life, "take the image for this platform"),
	FLAG("quiet", 'q', o.quiet, life, "no progress and no warnings"),
	VALUE("rootfs", 0, "DIR[:O]", set_rootfs, life, "run in DIR, not in an image; :O leaves it unchanged",
	      .flags = OPT_ONCE, .complete = COMPLETE_DIR),
	VALUE("cidfile", 0, "FILE", set_out_file, life, "write the container's id to FILE",
	      .offset = offsetof(struct run_target, o.cidfile), .complete = COMPLETE_FILE),
	VALUE("pidfile", 0, "FILE", set_out_file, life, "write the process id of the command to FILE",
	      .aliases = "pid-file", .offset = offsetof(struct run_target, o.pidfile), .complete = COMPLETE_FILE),
	VALUE("label", 'l', "NAME=VALUE", set_label, life, "attach a label", .flags = OPT_REPEAT),
	VALUE("label-file", 0, "FILE", set_label_file, life, "attach labels from FILE, one per line",
	      .flags = OPT_REPEAT, .complete = COMPLETE_FILE),
	VALUE("annotation", 0, "NAME=VALUE", set_annotation, life, "attach an annotation", .flags = OPT_REPEAT),
	VALUE("restart", 0, "POLICY", set_restart, life, "no, on-failure[:N], always or unless-stopped",
	      CHOICES("no on-failure always unless-stopped")),
	VALUE("log-driver", 0, "DRIVER", set_log_driver, life, "json-file, k8s-file, journald, none or passthrough",
	      CHOICES("json-file k8s-file none passthrough")),
	VALUE("log-opt", 0, "NAME=VALUE", set_log_opt, life, "max-size=SIZE and max-file=N bound the log",
	      .flags = OPT_REPEAT, CHOICES("max-size= max-file= path= tag=")),
	VALUE("health-cmd", 0, "CMD", set_health_cmd, life, "command that checks the container; none for none"),
	VALUE("health-interval", 0, "TIME", set_health_interval, life, "time between checks (default 30s)"),
	VALUE("health-timeout", 0, "TIME", set_health_timeout, life, "how long a check may take (default 30s)"),
	VALUE("health-retries", 0, "N", set_health_retries, life, "failures in a row that count (default 3)"),
	VALUE("health-start-period", 0, "TIME", set_health_start_period, life, "failures in this time do not count"),
	VALUE("health-start-interval", 0, "TIME", set_health_start_interval, life,
	      "time between checks in it (default 5s)"),
	VALUE("health-startup-cmd", 0, "CMD", set_health_startup_cmd, life,
	      "check that must succeed before the other one begins"),
	VALUE("health-startup-interval", 0, "TIME", set_health_startup_interval, life,
	      "time between its attempts (default 30s)"),
	VALUE("health-startup-timeout", 0, "TIME", set_health_startup_timeout, life,
	      "how long one may take (default 30s)"),
	VALUE("health-startup-retries", 0, "N", set_health_startup_retries, life,
	      "failures after which the container is started again (default 0: never)"),
	VALUE("health-startup-success", 0, "N", set_health_startup_success, life,
	      "successes that it takes (default 1)"),
	VALUE("health-on-failure", 0, "ACTION", set_health_on_failure, life, "none, kill, restart or stop",
	      CHOICES("none kill restart stop")),
	FLAG("no-healthcheck", 0, o.no_healthcheck, life, "ignore the image's health check"),
	VALUE("sdnotify", 0, "WHO", set_sdnotify, life,
	      "who tells systemd that it is ready: conmon (rl, at the start), container, healthy or ignore",
	      CHOICES("conmon container healthy ignore")),
	VALUE("requires", 0, "CONTAINER", set_requires, life, "containers to start before this one",
	      .flags = OPT_REPEAT),
	VALUE("pod", 0, "POD", set_pod, life, "run in this pod; new:NAME makes one"),
	FLAG("rmi", 0, o.rmi, life, "remove the container and then the image, if nothing else uses it"),
	VALUE("attach", 'a', "STREAM", set_attach, life, "attach stdin, stdout or stderr only (default: the output)",
	      .flags = OPT_REPEAT, CHOICES("stdin stdout stderr")),
	VALUE("arch", 0, "ARCH", opt_set_string, life, "take the image for this architecture",
	      .offset = offsetof(struct run_target, arch)),
	VALUE("os", 0, "OS", opt_set_string, life, "take the image for this system (linux)",
	      .offset = offsetof(struct run_target, os)),
	VALUE("variant", 0, "VARIANT", opt_set_string, life, "take the image for this variant of the architecture",
	      .offset = offsetof(struct run_target, variant)),
	VALUE("report", 0, "HOW", set_report, life, "say what the run has used: line, json or FILE",
	      CHOICES("line json")),
	FLAG("explain", 0, o.explain, life, "print what would be done and do nothing"),

	VALUE("env", 'e', "NAME[=VALUE]", set_env, process, "set a variable; NAME or PRE* takes yours",
	      .flags = OPT_REPEAT | OPT_COMMON),
	VALUE("env-file", 0, "FILE", set_env_file, process, "set variables from FILE, one per line",
	      .flags = OPT_REPEAT, .complete = COMPLETE_FILE),
	FLAG("env-host", 0, o.env_host, process, "give it all your variables, below those of the image"),
	VALUE("env-merge", 0, "NAME=TEXT", set_env_merge, process, "change a variable; ${NAME} is the old value",
	      .flags = OPT_REPEAT),
	VALUE("unsetenv", 0, "NAME", set_unsetenv, process, "take away a variable of the image", .flags = OPT_REPEAT),
	FLAG("unsetenv-all", 0, o.unsetenv_all, process, "take away every variable of the image and of rl"),
	{.name = "http-proxy", .set = set_http_proxy, .group = process, .help = "give it your proxy variables"},
	VALUE("tz", 0, "ZONE", set_tz, process, "time zone: local, or a name such as Europe/Vienna"),
	VALUE("personality", 0, "NAME", set_personality, process,
	      "execution domain, such as LINUX32 or ADDR_NO_RANDOMIZE"),
	{.name = "passwd",
	 MEMBER(opt_set_bool, passwd),
	 .group = process,
	 .help = "with keep-id: add you to /etc/passwd and /etc/group (default true)"},
	VALUE("passwd-entry", 0, "LINE", set_passwd_entry, process,
	      "the line for passwd; $USERNAME $UID $GID $NAME $HOME"),
	VALUE("group-entry", 0, "LINE", set_group_entry, process, "the line for group; $GROUPNAME $GID $USERLIST"),
	VALUE("hostuser", 0, "NAME", set_hostuser, process, "add this user of the machine to /etc/passwd",
	      .flags = OPT_REPEAT),
	VALUE("workdir", 'w', "DIR", set_workdir, process, "directory to start in", .flags = OPT_COMMON),
	VALUE("user", 'u', "USER[:GROUP]", set_user, process, "user and group, by name or number", .flags = OPT_COMMON),
	VALUE("group-add", 0, "GROUP", set_group_add, process, "further group; keep-groups keeps your own",
	      .flags = OPT_REPEAT),
	VALUE("entrypoint", 0, "CMD", set_entrypoint, process, "run CMD, not the image's entrypoint; \"\" for none",
	      .flags = OPT_COMMON),
	FLAG("init", 0, o.init, process, "run a small init that reaps left-over processes"),
	VALUE("umask", 0, "OCTAL", set_umask, process, "file mode mask (default 0022)"),
	VALUE("ulimit", 0, "NAME=N[:HARD]", set_ulimit, process, "limit of a resource", .flags = OPT_REPEAT),
	VALUE("sysctl", 0, "NAME=VALUE", set_sysctl, process, "kernel setting of the container", .flags = OPT_REPEAT),
	VALUE("oom-score-adj", 0, "N", set_oom_score_adj, process, "how likely it is killed when memory is short"),
	VALUE("stop-signal", 0, "SIGNAL", set_stop_signal, process, "signal that asks the command to end"),
	VALUE("stop-timeout", 0, "SECONDS", set_stop_timeout, process, "how long it may take to end (default 10)"),
	VALUE("timeout", 0, "SECONDS", set_timeout, process, "end the container after this time"),
	FLAG("sig-proxy", 0, o.sig_proxy, process, "pass signals on to the command (default true)"),
	VALUE("detach-keys", 0, "KEYS", set_detach_keys, process, "keys that leave a terminal (default ctrl-p,ctrl-q)"),

	VALUE("volume", 'v', "SRC:DST[:OPT]", set_volume, files, "mount a host path or volume; OPT: ro, O, U, noexec",
	      .flags = OPT_REPEAT | OPT_COMMON, .complete = COMPLETE_FILE),
	VALUE("mount", 0, "KEY=VALUE,...", set_mount, files, "mount, in words: type=bind,src=/a,dst=/b,ro",
	      .flags = OPT_REPEAT),
	VALUE("tmpfs", 0, "DIR[:OPT]", set_tmpfs, files, "mount an empty tmpfs; OPT: size=64m, mode=1777",
	      .flags = OPT_REPEAT),
	VALUE("volumes-from", 0, "CONTAINER[:ro]", set_volumes_from, files,
	      "the volumes and binds of another container", .flags = OPT_REPEAT),
	VALUE("image-volume", 0, "KIND", set_image_volume, files, "the image's VOLUMEs: anonymous, tmpfs or ignore",
	      .aliases = "builtin-volume", CHOICES("anonymous tmpfs ignore")),
	VALUE("secret", 0, "NAME[,OPT]", set_secret, files,
	      "give a secret; OPT: type=env, target=, uid=, gid=, mode=", .flags = OPT_REPEAT),
	FLAG("hide-home", 0, o.hide_home, files, "with the image host: an empty home directory, not yours"),
	FLAG("read-only", 0, o.read_only, files, "make the root file system read-only"),
	FLAG("read-only-tmpfs", 0, read_only_tmpfs, files, "and a tmpfs on /run, /tmp and /var/tmp"),
	VALUE("shm-size", 0, "SIZE", set_shm_size, files, "size of /dev/shm (default 64m)"),
	VALUE("device", 0, "PATH[:PATH][:rwm]", set_device, files, "give a device of the host", .flags = OPT_REPEAT,
	      .complete = COMPLETE_FILE),

	VALUE("network", 0, "MODE", set_network, network, "none, host, slirp, container:NAME, ns:PATH, NAME",
	      .aliases = "net", .flags = OPT_REPEAT | OPT_COMMON, CHOICES("none host slirp")),
	VALUE("publish", 'p', "IP:HOST:PORT", set_publish, network, "lead a port of the host in; PORT alone: any",
	      .flags = OPT_REPEAT | OPT_COMMON),
	FLAG("publish-all", 'P', o.publish_all, network, "publish every exposed port on a free port of the host"),
	VALUE("expose", 0, "PORT", set_expose, network, "a port the command serves, for -P", .flags = OPT_REPEAT),
	VALUE("dns", 0, "ADDRESS", set_dns, network, "name server", .flags = OPT_REPEAT),
	VALUE("dns-search", 0, "DOMAIN", set_dns_search, network, "search domain; . for none", .flags = OPT_REPEAT),
	VALUE("dns-option", 0, "OPTION", set_dns_option, network, "option of resolv.conf", .aliases = "dns-opt",
	      .flags = OPT_REPEAT),
	VALUE("add-host", 0, "NAME:ADDRESS", set_add_host, network, "line of /etc/hosts; or NAME:host-gateway",
	      .flags = OPT_REPEAT),
	VALUE("hosts-file", 0, "FILE", set_hosts_file, network, "begin /etc/hosts with the lines of FILE"),
	FLAG("no-hosts", 0, o.no_hosts, network, "leave the image's /etc/hosts alone"),
	FLAG("no-hostname", 0, o.no_hostname, network, "leave the image's /etc/hostname alone"),
	VALUE("hostname", 'h', "NAME", set_hostname, network, "host name of the container"),
	VALUE("domainname", 0, "NAME", set_domainname, network, "NIS domain name of the container"),
	VALUE("ip", 0, "ADDRESS", set_ip, network, "address on the first named network"),
	VALUE("ip6", 0, "ADDRESS", set_ip6, network, "IPv6 address on it"),
	VALUE("network-alias", 0, "NAME", set_network_alias, network, "another name on it", .flags = OPT_REPEAT),
	VALUE("mac-address", 0, "MAC", set_mac_address, network, "hardware address of the interface"),
	VALUE("host-access", 0, "WHAT", set_host_access, network, "open ports of the host itself: none, all or a list",
	      CHOICES("none all")),
	VALUE("allow-net", 0, "LIST", set_allow_net, network,
	      "connect only to these: NAME, *.NAME or CIDR, each with [:PORT]", .flags = OPT_REPEAT),
	VALUE("deny-net", 0, "LIST", set_deny_net, network, "never connect to these; metadata: clouds' credentials",
	      .flags = OPT_REPEAT, CHOICES("metadata")),

	VALUE("cap-add", 0, "CAP", set_cap_add, security, "add a capability, or ALL", .flags = OPT_REPEAT),
	VALUE("cap-drop", 0, "CAP", set_cap_drop, security, "drop a capability, or ALL", .flags = OPT_REPEAT),
	VALUE("security-opt", 0, "OPT", set_security_opt, security, "seccomp=, no-new-privileges=, mask=, unmask=",
	      .flags = OPT_REPEAT, CHOICES("no-new-privileges seccomp=unconfined unmask=ALL")),
	VALUE("emulate", 0, "KIND", set_emulate, security,
	      "with one id only: answer calls on owners and ids; off, write or full", CHOICES("off write full")),
	FLAG("privileged", 0, o.privileged, security, "all capabilities, no system call filter, no masks"),

	VALUE("userns", 0, "MODE", set_userns, spaces, "private, host, keep-id[:uid=N,gid=N] or nomap",
	      CHOICES("private host keep-id nomap")),
	VALUE("pid", 0, "MODE", set_pid, spaces, "private, host, container:NAME or ns:PATH", CHOICES("private host")),
	VALUE("ipc", 0, "MODE", set_ipc, spaces, "private, host, container:NAME or ns:PATH", CHOICES("private host")),
	VALUE("uts", 0, "MODE", set_uts, spaces, "private, host, container:NAME or ns:PATH", CHOICES("private host")),
	VALUE("cgroupns", 0, "MODE", set_cgroupns, spaces, "private or host", CHOICES("private host")),

	LIMIT_ROWS(struct run_target, o.limits, limits),
	LIMIT_PLACE_ROWS(struct run_target, o.limits, limits),

	REFUSED("link", 0, "links between containers are obsolete; use container:NAME or a network"),
	REFUSED("link-local-ip", 0, "link-local addresses are not given out"),
	REFUSED("kernel-memory", 0, "the kernel does not have this limit any more"),
	REFUSED("isolation", 0, windows),
	REFUSED("cpu-count", 0, windows),
	REFUSED("cpu-percent", 0, windows),
	REFUSED("io-maxbandwidth", 0, windows),
	REFUSED("io-maxiops", 0, windows),
	REFUSED("runtime", 0, "rl is its own runtime"),
	{.name = "volume-driver",
	 .metavar = "DRIVER",
	 .set = set_volume_driver,
	 .group = files,
	 .flags = OPT_HIDDEN,
	 .help = "accepted for scripts: volumes are directories of the store, there are no drivers"},
	REFUSED("storage-opt", 0, "the size of a container cannot be limited"),
	REFUSED("gpus", 0, "give the device nodes with --device"),
	REFUSED("device-cgroup-rule", 0, "an ordinary user has no device controller; give the device with --device"),
	{.name = "disable-content-trust",
	 .set = set_content_trust,
	 .flags = OPT_HIDDEN,
	 .group = security,
	 .help = "accepted for scripts: docker's content trust is not supported"},
	REFUSED("memory-swappiness", 0, no_v2),
	REFUSED("cpu-rt-period", 0, no_v2),
	REFUSED("cpu-rt-runtime", 0, no_v2),
	REFUSED("oom-kill-disable", 0, no_v2),
	REFUSED("init-path", 0, "--init runs rl's own; another one can be the command"),
	REFUSED("systemd", 0, "systemd needs a writable control group; give other programs --tmpfs /run --tmpfs /tmp"),
	REFUSED("conmon-pidfile", 0, "there is no conmon; --pidfile has the process id of the command"),
	REFUSED("preserve-fds", 0, "descriptors cannot be handed to a container"),
	REFUSED("preserve-fd", 0, "descriptors cannot be handed to a container"),
	REFUSED("shm-size-systemd", 0, "there is no systemd mode; see --shm-size"),
	REFUSED("authfile", 0, "'rl pull' has it"),
	REFUSED("cert-dir", 0, "'rl pull' has it"),
	REFUSED("creds", 0, "'rl pull' has it"),
	REFUSED("tls-verify", 0, "'rl pull' has it"),
	REFUSED("retry", 0, "'rl pull' has it"),
	REFUSED("retry-delay", 0, "'rl pull' chooses it"),
	REFUSED("decryption-key", 0, "encrypted images are not supported"),
	REFUSED("chrootdirs", 0, "the container's files are the same for all its processes"),
	REFUSED("rdt-class", 0, "only the machine's root can use resctrl"),
	REFUSED("seccomp-policy", 0, "an image cannot choose its filter; see --security-opt seccomp="),
	REFUSED("subuidname", 0, "the map follows from /etc/subuid; see --userns"),
	REFUSED("subgidname", 0, "the map follows from /etc/subgid; see --userns"),
	REFUSED("use-api-socket", 0, "there is no daemon and no socket"),
	REFUSED("uidmap", 0, "the map follows from /etc/subuid; see --userns"),
	REFUSED("gidmap", 0, "the map follows from /etc/subgid; see --userns"),
	OPT_END,
};

const struct opt_rule run_rules[] = {
	{"read-only-tmpfs", OPT_REQUIRES, "read-only", "it puts writable places into a read-only root"},
	{"replace", OPT_REQUIRES, "name", "it is the other container of the same name that is replaced"},
	{"rootfs", OPT_CONFLICTS, "platform", "a directory has no platform to choose"},
	{"rootfs", OPT_CONFLICTS, "pull", "there is no image to pull"},
	{"rootfs", OPT_CONFLICTS, "rmi", "there is no image to remove"},
	{"no-hosts", OPT_CONFLICTS, "add-host", "one leaves /etc/hosts alone, the other writes to it"},
	{"no-hosts", OPT_CONFLICTS, "hosts-file", "one leaves /etc/hosts alone, the other writes to it"},
	{.option = NULL},
};

void run_target_init(void *target)
{
	struct run_target *t = target;
	run_opts_init(&t->o);
	t->read_only_tmpfs = false;
	t->attach = 0;
	t->arch = t->os = t->variant = NULL;
	t->passwd = true;
}

void run_target_release(void *target)
{
	struct run_target *t = target;
	run_opts_free(&t->o);
	free(t->arch);
	free(t->os);
	free(t->variant);
}

/* --os, --arch and --variant are the parts of --platform. */
static int finish_platform(struct run_target *t, struct err *e)
{
	struct run_opts *o = &t->o;
	if (!t->arch && !t->os && !t->variant)
		return 0;
	if (o->platform || (t->variant && !t->arch) || (t->os && !t->arch && !str_eq(t->os, "linux")))
		return err_set(e, EINVAL, "--os, --arch and --variant together are what --platform says at once");
	if (t->arch)
		o->platform = xasprintf("%s/%s%s%s", t->os ? t->os : "linux", t->arch, t->variant ? "/" : "",
					t->variant ? t->variant : "");
	return 0;
}

static int finish_attach(struct run_target *t, struct err *e)
{
	unsigned output = t->attach & 6U;
	if (!t->attach)
		return 0;
	if (t->o.detach)
		return err_set(e, EINVAL, "--attach and --detach exclude each other");
	if (output && !t->o.tty)
		t->o.hidden = 6U & ~output;
	t->o.interactive |= (t->attach & 1U) != 0;
	return 0;
}

int run_target_finish(struct run_target *t, const char *verb, const struct opt_args *args, struct err *e)
{
	struct run_opts *o = &t->o;
	size_t first = 0;
	if (!o->rootfs) {
		if (!args->operands.count || !*args->operands.items[0]) {
			err_set(e, EINVAL, "%s: the image is missing", verb);
			return err_hint(e,
					"usage: rl %s [OPTIONS] IMAGE [COMMAND [ARG...]]; try: rl %s --rm busybox date",
					verb, verb);
		}
		o->image = xstrdup(args->operands.items[0]);
		first = 1;
	}
	for (size_t i = first; i < args->operands.count; i++)
		strv_add(&o->command, args->operands.items[i]);
	if (o->rootfs && !o->command.count && !(o->entrypoint_set && o->entrypoint.count))
		return err_set(e, EINVAL, "%s: a directory has no default command: give one after --rootfs DIR", verb);
	strv_add_all(&o->typed, &args->typed);
	int r = finish_platform(t, e);
	if (r == 0)
		r = finish_attach(t, e);
	if (r < 0)
		return r;
	o->no_passwd = !t->passwd;
	if (o->rmi && o->detach)
		return err_set(e, EINVAL,
			       "--rmi: the image is removed when the container has ended; not with --detach");
	o->rm |= o->rmi;
	if (t->read_only_tmpfs)
		run_opts_add_read_only_tmpfs(o);
	if (o->quiet)
		log_set_quiet(true);
	return run_opts_check(o, e);
}
