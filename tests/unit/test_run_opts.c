/* The grammars of run's options except mounts: every form that is taken, and what is refused. */
#include "tap.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "rl/base/mem.h"
#include "rl/model/run_opts.h"

typedef int grammar(struct run_opts *o, const char *value, struct err *e);

static int env_with(struct run_opts *o, const char *value, struct err *e)
{
	char words[3][8] = {"PFX_A=1", "PFX_B=2", "OTHER=3"};
	char *const environment[] = {words[0], words[1], words[2], NULL};
	return run_opts_env(o, value, environment, e);
}

static int env_file_text(struct run_opts *o, const char *value, struct err *e)
{
	return run_opts_env_file(o, value, strlen(value), "FILE", e);
}

static int label_file_text(struct run_opts *o, const char *value, struct err *e)
{
	return run_opts_label_file(o, value, strlen(value), "FILE", e);
}

static void join(const struct strv *v, struct str *out)
{
	for (size_t i = 0; i < v->count; i++)
		str_addf(out, "%s%s", i ? " " : "", v->items[i]);
}

/* What each grammar stored, as text. */
static void render(const char *name, const struct run_opts *o, struct str *out)
{
	static const char *const nets[] = {"slirp", "none", "host", "container", "ns", "named"};
	static const char *const userns[] = {"default", "host", "keep-id", "nomap"};
	static const char *const shares[] = {"private", "host", "container", "ns"};
	const struct {
		const char *name;
		const struct strv *v;
	} vectors[] = {
		{"label", &o->labels},		 {"label-file", &o->labels},
		{"annotation", &o->annotations}, {"group-add", &o->group_add},
		{"sysctl", &o->sysctls},	 {"cap-add", &o->cap_add},
		{"cap-drop", &o->cap_drop},	 {"dns", &o->dns},
		{"dns-search", &o->dns_search},	 {"dns-option", &o->dns_options},
		{"add-host", &o->add_hosts},	 {"host-access", &o->host_access},
		{"entrypoint", &o->entrypoint},	 {"allow-net", &o->allow_net},
		{"deny-net", &o->deny_net},
	};
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
		if (str_eq(name, vectors[i].name))
			join(vectors[i].v, out);
	if (str_eq(name, "env") || str_eq(name, "env-file"))
		for (size_t i = 0; i < o->nenv; i++)
			str_addf(out, "%s%s%s%s", i ? " " : "", o->env[i].key, o->env[i].value ? "=" : "",
				 o->env[i].value ? o->env[i].value : "");
	else if (str_eq(name, "network"))
		str_addf(out, "%s %s %s", nets[o->network.kind],
			 o->networks.count ? o->networks.items[0]
			 : o->network.name ? o->network.name
					   : "-",
			 o->network.options ? o->network.options : "-");
	else if (str_eq(name, "userns"))
		str_addf(out, "%s %d %d", userns[o->userns], (int)o->keep_id_uid, (int)o->keep_id_gid);
	else if (str_eq(name, "pid"))
		str_addf(out, "%s %s", shares[o->pid], o->pid_container ? o->pid_container : "-");
	else if (str_eq(name, "ipc"))
		str_addf(out, "%s %s", shares[o->ipc], o->ipc_container ? o->ipc_container : "-");
	else if (str_eq(name, "cgroupns"))
		str_adds(out, shares[o->cgroupns]);
	else if (str_eq(name, "security-opt"))
		str_addf(out, "%s %d m%zu u%zu l%d", o->seccomp ? o->seccomp : "-", o->no_new_privileges, o->mask.count,
			 o->unmask.count, o->label_disable);
	else if (str_eq(name, "ulimit"))
		for (size_t i = 0; i < o->nulimits; i++)
			str_addf(out, "%s=%d:%lld:%lld", o->ulimits[i].name, o->ulimits[i].resource,
				 (long long)o->ulimits[i].soft, (long long)o->ulimits[i].hard);
	else if (str_eq(name, "stop-signal"))
		str_addf(out, "%d", o->stop_signal);
	else if (str_eq(name, "umask"))
		str_addf(out, "%o", (unsigned)o->umask);
	else if (str_eq(name, "oom"))
		str_addf(out, "%d %d", o->oom_score_adj, o->oom_score_adj_set);
	else if (str_eq(name, "timeout"))
		str_addf(out, "%u", o->timeout);
	else if (str_eq(name, "restart"))
		str_addf(out, "%d %u", (int)o->restart, o->restart_retries);
	else if (str_eq(name, "pull"))
		str_addf(out, "%d", (int)o->pull);
	else if (str_eq(name, "platform"))
		str_adds(out, o->platform);
	else if (str_eq(name, "hostname"))
		str_adds(out, o->hostname);
	else if (str_eq(name, "name"))
		str_adds(out, o->name);
	else if (str_eq(name, "workdir"))
		str_adds(out, o->workdir);
	else if (str_eq(name, "user"))
		str_adds(out, o->user);
	else if (str_eq(name, "mac"))
		str_adds(out, o->mac_address);
	else if (str_eq(name, "detach-keys"))
		str_adds(out, o->detach_keys);
}

struct grammar_case {
	const char *name;
	grammar *fn;
	const char *value;
	const char *want; /* rendered, or with `error` a part of the message */
	bool error;
};

#define OK(n, f, v, w)                                                                                                 \
	{                                                                                                              \
		n, f, v, w, false                                                                                      \
	}
#define BAD(n, f, v, w)                                                                                                \
	{                                                                                                              \
		n, f, v, w, true                                                                                       \
	}

static const struct grammar_case cases[] = {
	OK("env", env_with, "A=1", "A=1"),
	OK("env", env_with, "A=", "A="),
	OK("env", env_with, "A=b=c d", "A=b=c d"),
	OK("env", env_with, "A", "A"),
	OK("env", env_with, "PFX*", "PFX_A PFX_B"),
	OK("env", env_with, "NONE*", ""),
	OK("env", env_with, "A=*", "A=*"),
	BAD("env", env_with, "", "--env '': the name is missing"),
	BAD("env", env_with, "=x", "the name is missing"),
	OK("env-file", env_file_text, "A=1\nB=2", "A=1 B=2"),
	OK("env-file", env_file_text, "# c\n\n  A=1\n\tB= x \n", "A=1 B= x "),
	OK("env-file", env_file_text, "A=\"q\"\nB='s' # no comment\n", "A=\"q\" B='s' # no comment"),
	OK("env-file", env_file_text, "A\nB=\n", "A B="),
	OK("env-file", env_file_text, "A=1\r\nB=2\r\n", "A=1 B=2"),
	OK("env-file", env_file_text,
	   "\xef\xbb\xbf"
	   "A=1\n",
	   "A=1"),
	OK("env-file", env_file_text, "export=1\nA=${B}\n", "export=1 A=${B}"),
	BAD("env-file", env_file_text, "A=1\n=2\n", "line 2 has no name"),
	BAD("env-file", env_file_text, "A=1\nexport B=2\n", "line 2: the name 'export B' contains a blank"),
	BAD("env-file", env_file_text, "A B\n", "contains a blank"),
	OK("label", run_opts_label, "a=b", "a=b"),
	OK("label", run_opts_label, "a", "a="),
	OK("label", run_opts_label, "a=b=c", "a=b=c"),
	BAD("label", run_opts_label, "=b", "the name is missing"),
	BAD("label", run_opts_label, "", "the name is missing"),
	OK("label-file", label_file_text, "a=1\n#x\nb\na=2\n", "a=2 b="),
	OK("annotation", run_opts_annotation, "a=b", "a=b"),
	BAD("annotation", run_opts_annotation, "a", "the value is missing"),
	OK("entrypoint", run_opts_entrypoint, "/bin/sh", "/bin/sh"),
	OK("entrypoint", run_opts_entrypoint, "", ""),
	OK("entrypoint", run_opts_entrypoint, "[\"a\",\"b c\"]", "a b c"),
	OK("entrypoint", run_opts_entrypoint, "[]", ""),
	OK("entrypoint", run_opts_entrypoint, "[", "["),
	OK("entrypoint", run_opts_entrypoint, "sh -c x", "sh -c x"),
	BAD("entrypoint", run_opts_entrypoint, "[\"a\",1]", "must be a string"),
	BAD("entrypoint", run_opts_entrypoint, "[a]", "--entrypoint"),
	OK("workdir", run_opts_workdir, "/a/b", "/a/b"),
	BAD("workdir", run_opts_workdir, "a", "not an absolute path"),
	BAD("workdir", run_opts_workdir, "", "not an absolute path"),
	OK("user", run_opts_user, "web:33", "web:33"),
	BAD("user", run_opts_user, "4294967295", "out of range"),
	BAD("user", run_opts_user, "1:", "is missing"),
	OK("group-add", run_opts_group_add, "keep-groups", "keep-groups"),
	OK("group-add", run_opts_group_add, "20", "20"),
	BAD("group-add", run_opts_group_add, "a:b", "a group name or number"),
	BAD("group-add", run_opts_group_add, "-1", "sign"),
	OK("umask", run_opts_umask, "022", "22"),
	OK("umask", run_opts_umask, "0777", "777"),
	BAD("umask", run_opts_umask, "1777", "octal"),
	BAD("umask", run_opts_umask, "8", "octal"),
	BAD("umask", run_opts_umask, "", "octal"),
	OK("ulimit", run_opts_ulimit, "nofile=1024", "nofile=7:1024:1024"),
	OK("ulimit", run_opts_ulimit, "nofile=1024:2048", "nofile=7:1024:2048"),
	OK("ulimit", run_opts_ulimit, "core=unlimited", "core=4:-1:-1"),
	OK("ulimit", run_opts_ulimit, "core=0:-1", "core=4:0:-1"),
	BAD("ulimit", run_opts_ulimit, "nofile=2:1", "above the hard limit"),
	BAD("ulimit", run_opts_ulimit, "nofile=-1:1", "above the hard limit"),
	BAD("ulimit", run_opts_ulimit, "nofile", "NAME=SOFT"),
	BAD("ulimit", run_opts_ulimit, "nofiles=1", "no limit 'nofiles'"),
	BAD("ulimit", run_opts_ulimit, "nofile=", "not a number"),
	BAD("ulimit", run_opts_ulimit, "nofile=1:2:3", "not a number"),
	BAD("ulimit", run_opts_ulimit, "nofile=1k", "not a number"),
	OK("sysctl", run_opts_sysctl, "net.ipv4.ip_forward=1", "net.ipv4.ip_forward=1"),
	OK("sysctl", run_opts_sysctl, "kernel.shmmax=1", "kernel.shmmax=1"),
	OK("sysctl", run_opts_sysctl, "fs.mqueue.msg_max=1", "fs.mqueue.msg_max=1"),
	OK("sysctl", run_opts_sysctl, "net/ipv4/ip_forward=1", "net.ipv4.ip_forward=1"),
	OK("sysctl", run_opts_sysctl, "net/ipv4/conf/eth0.1/x=1", "net.ipv4.conf.eth0/1.x=1"),
	BAD("sysctl", run_opts_sysctl, "kernel.shmmaximum=1", "the whole machine"),
	BAD("sysctl", run_opts_sysctl, "vm.swappiness=1", "the whole machine"),
	BAD("sysctl", run_opts_sysctl, "kernel.core_pattern=|x", "the whole machine"),
	BAD("sysctl", run_opts_sysctl, "kernel.hostname=x", "use --hostname"),
	BAD("sysctl", run_opts_sysctl, "net..kernel.x=1", "not the name"),
	BAD("sysctl", run_opts_sysctl, "net./../kernel/core_pattern=1", "not the name"),
	BAD("sysctl", run_opts_sysctl, "net/../kernel/core_pattern=1", "not the name"),
	BAD("sysctl", run_opts_sysctl, "net.=1", "not the name"),
	BAD("sysctl", run_opts_sysctl, "net.a b=1", "not the name"),
	BAD("sysctl", run_opts_sysctl, "net.a", "NAME=VALUE"),
	OK("oom", run_opts_oom_score_adj, "500", "500 1"),
	OK("oom", run_opts_oom_score_adj, "-1000", "-1000 1"),
	BAD("oom", run_opts_oom_score_adj, "1001", "-1000 to 1000"),
	BAD("oom", run_opts_oom_score_adj, "--1", "-1000 to 1000"),
	OK("stop-signal", run_opts_stop_signal, "TERM", "15"),
	OK("stop-signal", run_opts_stop_signal, "sigint", "2"),
	OK("stop-signal", run_opts_stop_signal, "SIGUSR1", "10"),
	OK("stop-signal", run_opts_stop_signal, "9", "9"),
	OK("stop-signal", run_opts_stop_signal, "64", "64"),
	OK("stop-signal", run_opts_stop_signal, "RTMIN+3", "37"),
	OK("stop-signal", run_opts_stop_signal, "SIGRTMIN", "34"),
	OK("stop-signal", run_opts_stop_signal, "RTMAX-1", "63"),
	BAD("stop-signal", run_opts_stop_signal, "0", "not a signal"),
	BAD("stop-signal", run_opts_stop_signal, "65", "above 64"),
	BAD("stop-signal", run_opts_stop_signal, "RTMIN-1", "not a signal"),
	BAD("stop-signal", run_opts_stop_signal, "RTMIN+31", "not a signal"),
	BAD("stop-signal", run_opts_stop_signal, "SIGSIGTERM", "not a signal"),
	BAD("stop-signal", run_opts_stop_signal, "", "not a signal"),
	OK("timeout", run_opts_timeout, "90", "90"),
	BAD("timeout", run_opts_timeout, "-1", "not a number"),
	OK("detach-keys", run_opts_detach_keys, "ctrl-p,ctrl-q", "ctrl-p,ctrl-q"),
	OK("detach-keys", run_opts_detach_keys, "", ""),
	OK("detach-keys", run_opts_detach_keys, "a", "a"),
	BAD("detach-keys", run_opts_detach_keys, "ctrl-", "not a key"),
	BAD("detach-keys", run_opts_detach_keys, "ab", "not a key"),
	BAD("detach-keys", run_opts_detach_keys, "a,,b", "not a key"),
	BAD("detach-keys", run_opts_detach_keys, "ctrl-1", "not a key"),
	OK("name", run_opts_name, "a.b-c_1", "a.b-c_1"),
	BAD("name", run_opts_name, "../x", "letters, digits"),
	BAD("name", run_opts_name, "-x", "letters, digits"),
	BAD("name", run_opts_name, "", "letters, digits"),
	OK("restart", run_opts_restart, "no", "0 0"),
	OK("restart", run_opts_restart, "on-failure:3", "1 3"),
	OK("restart", run_opts_restart, "unless-stopped", "3 0"),
	BAD("restart", run_opts_restart, "sometimes", "expected"),
	BAD("restart", run_opts_restart, "always:3", "expected"),
	BAD("restart", run_opts_restart, "on-failure:x", "not a number"),
	OK("pull", run_opts_pull, "missing", "0"),
	OK("pull", run_opts_pull, "newer", "3"),
	BAD("pull", run_opts_pull, "maybe", "expected"),
	OK("platform", run_opts_platform, "linux/arm64", "linux/arm64"),
	OK("platform", run_opts_platform, "linux/arm/v7", "linux/arm/v7"),
	OK("platform", run_opts_platform, "linux/x86_64", "linux/amd64"),
	OK("platform", run_opts_platform, "arm64", "linux/arm64"),
	BAD("platform", run_opts_platform, "windows/amd64", "only linux"),
	BAD("platform", run_opts_platform, "linux//v7", "expected"),
	BAD("platform", run_opts_platform, "a/b/c/d", "expected"),
	BAD("platform", run_opts_platform, "", "expected"),
	OK("cap-add", run_opts_cap_add, "sys_admin", "CAP_SYS_ADMIN"),
	OK("cap-add", run_opts_cap_add, "CAP_SYS_ADMIN", "CAP_SYS_ADMIN"),
	OK("cap-add", run_opts_cap_add, "cap_net_raw", "CAP_NET_RAW"),
	OK("cap-add", run_opts_cap_add, "all", "ALL"),
	OK("cap-add", run_opts_cap_add, "kill,chown,KILL", "CAP_KILL CAP_CHOWN"),
	BAD("cap-add", run_opts_cap_add, "sys_admn", "no capability 'sys_admn'"),
	BAD("cap-add", run_opts_cap_add, "CAP_ALL", "no capability"),
	BAD("cap-add", run_opts_cap_add, "CAP_", "no capability"),
	BAD("cap-add", run_opts_cap_add, "", "no capability"),
	BAD("cap-add", run_opts_cap_add, "chown,", "no capability"),
	BAD("cap-add", run_opts_cap_add, "checkpoint_restorecheckpoint_restore", "no capability"),
	OK("cap-drop", run_opts_cap_drop, "CHECKPOINT_RESTORE", "CAP_CHECKPOINT_RESTORE"),
	OK("security-opt", run_opts_security_opt, "seccomp=unconfined", "unconfined -1 m0 u0 l0"),
	OK("security-opt", run_opts_security_opt, "seccomp:unconfined", "unconfined -1 m0 u0 l0"),
	OK("security-opt", run_opts_security_opt, "seccomp=builtin", "- -1 m0 u0 l0"),
	OK("security-opt", run_opts_security_opt, "seccomp=/a=b:c.json", "/a=b:c.json -1 m0 u0 l0"),
	OK("security-opt", run_opts_security_opt, "no-new-privileges", "- 1 m0 u0 l0"),
	OK("security-opt", run_opts_security_opt, "no-new-privileges=false", "- 0 m0 u0 l0"),
	OK("security-opt", run_opts_security_opt, "no-new-privileges:true", "- 1 m0 u0 l0"),
	OK("security-opt", run_opts_security_opt, "mask=/a:/b", "- -1 m2 u0 l0"),
	OK("security-opt", run_opts_security_opt, "unmask=ALL", "- -1 m0 u1 l0"),
	OK("security-opt", run_opts_security_opt, "unmask=/proc/kcore", "- -1 m0 u1 l0"),
	OK("security-opt", run_opts_security_opt, "systempaths=unconfined", "- -1 m0 u1 l0"),
	OK("security-opt", run_opts_security_opt, "label=disable", "- -1 m0 u0 l1"),
	OK("security-opt", run_opts_security_opt, "apparmor=unconfined", "- -1 m0 u0 l0"),
	BAD("security-opt", run_opts_security_opt, "label=type:x", "only 'disable'"),
	BAD("security-opt", run_opts_security_opt, "apparmor=docker-default", "does not load"),
	BAD("security-opt", run_opts_security_opt, "seccomp", "VALUE"),
	BAD("security-opt", run_opts_security_opt, "seccomp=", "is expected"),
	BAD("security-opt", run_opts_security_opt, "secomp=x", "'secomp' is not supported"),
	BAD("security-opt", run_opts_security_opt, "no-new-privileges=maybe", "true or false"),
	BAD("security-opt", run_opts_security_opt, "mask=ALL", "absolute paths"),
	BAD("security-opt", run_opts_security_opt, "mask=/a:b", "absolute paths"),
	BAD("security-opt", run_opts_security_opt, "unmask=all", "absolute paths"),
	BAD("security-opt", run_opts_security_opt, "", "not supported"),
	OK("userns", run_opts_userns, "keep-id", "keep-id -1 -1"),
	OK("userns", run_opts_userns, "keep-id:uid=200,gid=210", "keep-id 200 210"),
	OK("userns", run_opts_userns, "host", "host -1 -1"),
	OK("userns", run_opts_userns, "nomap", "nomap -1 -1"),
	OK("userns", run_opts_userns, "private", "default -1 -1"),
	BAD("userns", run_opts_userns, "keep-id:size=3", "not supported"),
	BAD("userns", run_opts_userns, "keep-id:uid=-1", "not an id"),
	BAD("userns", run_opts_userns, "keep-id:uid=4294967295", "not an id"),
	BAD("userns", run_opts_userns, "keep-id:", "not supported"),
	BAD("userns", run_opts_userns, "auto", "not supported"),
	BAD("userns", run_opts_userns, "keepid", "expected"),
	OK("pid", run_opts_pid, "host", "host -"),
	OK("pid", run_opts_pid, "container:web", "container web"),
	OK("pid", run_opts_pid, "private", "private -"),
	BAD("pid", run_opts_pid, "container:", "not a container"),
	BAD("pid", run_opts_pid, "container:../x", "not a container"),
	OK("pid", run_opts_pid, "ns:/proc/1/ns/pid", "ns /proc/1/ns/pid"),
	BAD("pid", run_opts_pid, "ns:x", "absolute path"),
	BAD("pid", run_opts_pid, "ns:", "absolute path"),
	OK("ipc", run_opts_ipc, "shareable", "private -"),
	OK("ipc", run_opts_ipc, "none", "private -"),
	OK("cgroupns", run_opts_cgroupns, "host", "host"),
	BAD("cgroupns", run_opts_cgroupns, "container:x", "expected"),
	OK("network", run_opts_network, "none", "none - -"),
	OK("network", run_opts_network, "host", "host - -"),
	OK("network", run_opts_network, "slirp", "slirp - -"),
	OK("network", run_opts_network, "private", "slirp - -"),
	OK("network", run_opts_network, "bridge", "slirp - -"),
	OK("network", run_opts_network, "default", "slirp - -"),
	OK("network", run_opts_network, "slirp4netns:mtu=1500,enable_ipv6=true", "slirp - mtu=1500,enable_ipv6=true"),
	OK("network", run_opts_network, "slirp:cidr=10.1.0.0/24,outbound_addr=eth0",
	   "slirp - cidr=10.1.0.0/24,outbound_addr=eth0"),
	OK("network", run_opts_network, "slirp:allow_host_loopback=true,port_handler=rootlesskit",
	   "slirp - allow_host_loopback=true,port_handler=rootlesskit"),
	OK("network", run_opts_network, "slirp,fast", "slirp - fast"),
	OK("network", run_opts_network, "slirp,fast,mtu=1500", "slirp - fast,mtu=1500"),
	OK("network", run_opts_network, "slirp:mtu=1500,fast=false", "slirp - mtu=1500,fast=false"),
	BAD("network", run_opts_network, "slirp,fas", "unknown network option fas"),
	BAD("network", run_opts_network, "slirp,fast=maybe", "true or false"),
	OK("network", run_opts_network, "container:web", "container web -"),
	OK("network", run_opts_network, "ns:/run/netns/x", "ns /run/netns/x -"),
	OK("network", run_opts_network, "mynet", "named mynet -"),
	OK("network", run_opts_network, "mynet:ip=10.0.0.2", "named mynet:ip=10.0.0.2 -"),
	BAD("network", run_opts_network, "none:x", "takes no options"),
	BAD("network", run_opts_network, "slirp:mtu=70000", "mtu=70000: must be"),
	BAD("network", run_opts_network, "slirp:mtu=100", "must be between"),
	BAD("network", run_opts_network, "slirp:cidr=10.0.2.0", "ADDRESS/PREFIX"),
	BAD("network", run_opts_network, "slirp:cidr=10.0.2.0/31", "prefix must be"),
	BAD("network", run_opts_network, "slirp:cidr=010.0.2.0/24", "not an IPv4 address"),
	BAD("network", run_opts_network, "slirp:enable_ip6=true", "unknown network option enable_ip6"),
	BAD("network", run_opts_network, "slirp:mtu", "needs a value"),
	BAD("network", run_opts_network, "slirp:outbound_addr=../x", "address or an interface"),
	BAD("network", run_opts_network, "container:", "is expected"),
	BAD("network", run_opts_network, "ns:x", "absolute path"),
	BAD("network", run_opts_network, "pasta", "not part of rl"),
	BAD("network", run_opts_network, "", "is expected"),
	BAD("network", run_opts_network, "../x", "is expected"),
	OK("hostname", run_opts_hostname, "web-1.example", "web-1.example"),
	BAD("hostname", run_opts_hostname, "-x", "not a host name"),
	BAD("hostname", run_opts_hostname, "a..b", "not a host name"),
	BAD("hostname", run_opts_hostname, "a b", "not a host name"),
	BAD("hostname", run_opts_hostname, "", "not a host name"),
	BAD("hostname", run_opts_hostname, "a\nb", "not a host name"),
	BAD("hostname", run_opts_hostname, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	    "not a host name"),
	OK("dns", run_opts_dns, "1.2.3.4", "1.2.3.4"),
	OK("dns", run_opts_dns, "fe80::1", "fe80::1"),
	BAD("dns", run_opts_dns, "1.2.3", "not an IP"),
	BAD("dns", run_opts_dns, "01.2.3.4", "not an IP"),
	BAD("dns", run_opts_dns, "1.2.3.4\nnameserver 5.6.7.8", "not an IP"),
	OK("dns-search", run_opts_dns_search, ".", "."),
	OK("dns-search", run_opts_dns_search, "example.org", "example.org"),
	BAD("dns-search", run_opts_dns_search, "a b", "not a domain"),
	OK("dns-option", run_opts_dns_option, "ndots:2", "ndots:2"),
	BAD("dns-option", run_opts_dns_option, "a\nb", "not an option"),
	OK("add-host", run_opts_add_host, "a:1.2.3.4", "a:1.2.3.4"),
	OK("add-host", run_opts_add_host, "a=1.2.3.4", "a:1.2.3.4"),
	OK("add-host", run_opts_add_host, "a;b:1.2.3.4", "a:1.2.3.4 b:1.2.3.4"),
	OK("add-host", run_opts_add_host, "a:::1", "a:::1"),
	OK("add-host", run_opts_add_host, "a:[fe80::1]", "a:fe80::1"),
	OK("add-host", run_opts_add_host, "a:host-gateway", "a:host-gateway"),
	BAD("add-host", run_opts_add_host, "a", "NAME:ADDRESS"),
	BAD("add-host", run_opts_add_host, ":1.2.3.4", "NAME:ADDRESS"),
	BAD("add-host", run_opts_add_host, "a:b", "not an IP"),
	BAD("add-host", run_opts_add_host, "a b:1.2.3.4", "not a host name"),
	BAD("add-host", run_opts_add_host, "a;:1.2.3.4", "not a host name"),
	OK("mac", run_opts_mac_address, "02:42:AC:11:00:02", "02:42:ac:11:00:02"),
	OK("mac", run_opts_mac_address, "02-42-ac-11-00-02", "02:42:ac:11:00:02"),
	BAD("mac", run_opts_mac_address, "01:42:ac:11:00:02", "multicast"),
	BAD("mac", run_opts_mac_address, "00:00:00:00:00:00", "all zero"),
	BAD("mac", run_opts_mac_address, "02:42:ac:11:00", "six hexadecimal"),
	BAD("mac", run_opts_mac_address, "02:42:ac:11:00:0g", "six hexadecimal"),
	BAD("mac", run_opts_mac_address, "2:42:ac:11:00:002", "six hexadecimal"),
	OK("allow-net", run_opts_allow_net, "example.org:443,10.0.0.0/8", "example.org:443,10.0.0.0/8"),
	BAD("allow-net", run_opts_allow_net, "10.0.0.1/8", "--allow-net: '10.0.0.1/8': the address has bits"),
	OK("deny-net", run_opts_deny_net, "metadata", "metadata"),
	BAD("deny-net", run_opts_deny_net, "", "--deny-net"),
	OK("host-access", run_opts_host_access, "none", "none"),
	OK("host-access", run_opts_host_access, "all", "all"),
	OK("host-access", run_opts_host_access, "80,443", "80 443"),
	BAD("host-access", run_opts_host_access, "all,80", "expected"),
	BAD("host-access", run_opts_host_access, "0", "expected"),
	BAD("host-access", run_opts_host_access, "65536", "expected"),
	BAD("host-access", run_opts_host_access, "", "expected"),
};

static void test_grammars(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct grammar_case *c = &cases[i];
		struct run_opts o;
		struct err e = ERR_INIT;
		autostr struct str got = STR_INIT;
		autostr struct str before = STR_INIT;
		run_opts_init(&o);
		if (c->error)
			o.platform = xstrdup("p");
		if (c->error && !str_eq(c->name, "hostname") && !str_eq(c->name, "name") &&
		    !str_eq(c->name, "workdir") && !str_eq(c->name, "user") && !str_eq(c->name, "mac") &&
		    !str_eq(c->name, "detach-keys"))
			render(c->name, &o, &before);
		int r = c->fn(&o, c->value, &e);
		if (!c->error) {
			if (r == 0)
				render(c->name, &o, &got);
			if (!tap_ok(r == 0 && str_eq(got.buf, c->want), "%s '%s' means '%s'", c->name, c->value,
				    c->want))
				tap_diag("got %d '%s' %s", r, got.buf, e.text);
		} else {
			bool said = r < 0 && r == -e.code && strstr(e.text, c->want);
			if (before.len)
				render(c->name, &o, &got);
			bool untouched = !before.len || str_eq(before.buf, got.buf);
			if (!tap_ok(said && untouched, "%s '%s' is refused: %s", c->name, c->value, e.text))
				tap_diag("got %d, wanted '%s', stored '%s'", r, c->want, got.buf);
		}
		run_opts_free(&o);
	}
}

static void test_env_order(void)
{
	struct run_opts o;
	struct err e = ERR_INIT;
	run_opts_init(&o);
	bool ok = run_opts_env(&o, "A=cli", NULL, &e) == 0 && run_opts_env_file(&o, "A=f1\n", 5, "f1", &e) == 0 &&
		  run_opts_env_file(&o, "A=f2\n", 5, "f2", &e) == 0;
	tap_ok(ok && o.nenv == 3 && o.nenv_files == 2 && str_eq(o.env[0].value, "f1") && str_eq(o.env[1].value, "f2") &&
		       str_eq(o.env[2].value, "cli"),
	       "variables of files come first, in the order of the files, so that -e wins");
	tap_ok(run_opts_env_file(&o, "B=1\nC=2\n=\n", 10, "f3", &e) < 0 && o.nenv == 3 && o.nenv_files == 2,
	       "a file with a bad line adds none of its variables");
	tap_ok(run_opts_env_file(&o, "A=\0b\n", 5, "f4", &e) < 0 && strstr(e.text, "NUL"),
	       "a file with a NUL byte is refused");
	run_opts_free(&o);
}

static void test_keys(void)
{
	unsigned char keys[RUN_OPTS_DETACH_MAX];
	size_t n = 0;
	struct err e = ERR_INIT;
	tap_ok(run_opts_parse_detach_keys("ctrl-p,ctrl-Q,x,ctrl-[,ctrl-@,DEL", keys, &n, &e) == 0 && n == 6 &&
		       keys[0] == 16 && keys[1] == 17 && keys[2] == 'x' && keys[3] == 27 && keys[4] == 0 &&
		       keys[5] == 127,
	       "detach keys become the bytes a terminal sends");
	tap_ok(run_opts_parse_detach_keys("a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a", keys, &n, &e) < 0,
	       "seventeen keys are refused");
}

struct check_case {
	const char *what;
	grammar *first;
	const char *first_value;
	grammar *second;
	const char *second_value;
	const char *error; /* NULL: fine */
};

static void test_check(void)
{
	static const struct check_case rules[] = {
		{"a mount target twice", run_opts_tmpfs, "/a", run_opts_volume, "/b:/a/", "two mounts"},
		{"two mount targets", run_opts_tmpfs, "/a", run_opts_volume, "/b:/b", NULL},
		{"a net sysctl with the host's network", run_opts_sysctl, "net.x=1", run_opts_network, "host",
		 "--network host"},
		{"a net sysctl without network", run_opts_sysctl, "net.x=1", run_opts_network, "none", NULL},
		{"an ipc sysctl with the host's ipc", run_opts_sysctl, "kernel.shmmax=1", run_opts_ipc, "host",
		 "--ipc host"},
		{"a host name with the host's uts", run_opts_hostname, "a", run_opts_uts, "host", "--uts host"},
		{"a domain name with the host's uts", run_opts_domainname, "a", run_opts_uts, "host", "--uts host"},
		{"a MAC address without network", run_opts_mac_address, "02:00:00:00:00:01", run_opts_network, "none",
		 "no network interface"},
		{"a MAC address with the default network", run_opts_mac_address, "02:00:00:00:00:01", run_opts_network,
		 "slirp", NULL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		struct run_opts o;
		struct err e = ERR_INIT;
		run_opts_init(&o);
		bool set = rules[i].first(&o, rules[i].first_value, &e) == 0 &&
			   rules[i].second(&o, rules[i].second_value, &e) == 0;
		int r = run_opts_check(&o, &e);
		bool right = rules[i].error ? r < 0 && strstr(e.text, rules[i].error) : r == 0;
		tap_ok(set && right, "%s is %s: %s", rules[i].what, rules[i].error ? "refused" : "fine", e.text);
		run_opts_free(&o);
	}
	struct run_opts o;
	struct err e = ERR_INIT;
	run_opts_init(&o);
	o.rm = true;
	tap_ok(run_opts_restart(&o, "no", &e) == 0 && run_opts_check(&o, &e) == 0, "--rm with --restart no is fine");
	tap_ok(run_opts_restart(&o, "always", &e) == 0 && run_opts_check(&o, &e) < 0,
	       "--rm with --restart always is refused");
	run_opts_free(&o);
	tap_ok(o.stop_timeout == 10 && o.sig_proxy && o.umask == -1 && o.shm_size == 64 << 20 &&
		       o.no_new_privileges == UNSET,
	       "the defaults are the documented ones");
}

static void test_root(void)
{
	struct run_opts o;
	struct err e = ERR_INIT;
	run_opts_init(&o);
	tap_ok(run_opts_rootfs(&o, "/srv/root:O", &e) == 0 && str_eq(o.rootfs, "/srv/root") && o.rootfs_overlay,
	       "--rootfs DIR:O is the directory with a throw-away layer");
	tap_ok(run_opts_rootfs(&o, "/srv/a:b", &e) == 0 && str_eq(o.rootfs, "/srv/a:b") && !o.rootfs_overlay,
	       "another colon belongs to the name");
	tap_ok(run_opts_rootfs(&o, ":O", &e) < 0 && run_opts_rootfs(&o, "", &e) < 0, "no directory is refused");
	tap_ok(run_opts_shm_size(&o, "1g", &e) == 0 && o.shm_size == 1 << 30, "--shm-size 1g");
	tap_ok(run_opts_shm_size(&o, "0", &e) < 0 && o.shm_size == 1 << 30, "--shm-size 0 is refused");
	run_opts_free(&o);
}

int main(void)
{
	tap_plan_later();
	test_grammars();
	test_env_order();
	test_keys();
	test_check();
	test_root();
	return tap_done();
}
