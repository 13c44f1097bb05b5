/* links: engine/net kern model base */
/*
 * netrun.c - run a command behind rl-netd with nothing else of a container: for network tests and measurements.
 *
 *     netrun [--packet] [--tap-node] [--opts TEXT] [--host-access LIST] [--dns IP] [--resolv PATH] [--stats] [--time]
 *            [--cpu] [--files DIR] [--allow-net LIST] [--deny-net LIST] CMD ARG...
 *
 * "The host" is the network namespace it is called in. --packet hides /dev/net/tun. --tap-node (as root) gives the
 * child a /dev/net/tun it may open whatever the real one's mode. The child gets user, network and mount namespaces, is
 * root there, and has addresses and its resolver in RL_TEST_* variables. --files bind-mounts DIR/resolv.conf and
 * DIR/hosts, written by it, over /etc. --time prints what the calls on the critical path took, --stats rl-netd's
 * counters, --cpu its processor seconds, all to standard error. Exit status: the command's; 125 when netrun failed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/proc.h"
#include "rl/base/sync.h"
#include "rl/engine/net.h"

struct options {
	bool packet, tap_node, stats, time, cpu;
	const char *files;
	struct net_slirp_opts net;
	struct net_rights rights;
	char **command;
};

static long now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000L + t.tv_nsec / 1000;
}

static void fail(const struct err *e)
{
	err_print(e);
	_exit(EXIT_RL_FAILED);
}

static void must(bool ok, const char *what)
{
	struct err e = ERR_INIT;
	if (ok)
		return;
	err_sys(&e, errno, "%s", what);
	fail(&e);
}

static void write_text(const char *path, const char *text)
{
	struct err e = ERR_INIT;
	if (io_write_file(AT_FDCWD, path, text, strlen(text), 0644, &e) < 0)
		fail(&e);
}

static void enter_namespaces(const struct options *o)
{
	char map[64];
	uid_t uid = geteuid();
	gid_t gid = getegid();
	if (o->tap_node) {
		must(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
		     "mount namespace");
		must(mount("dev", "/dev/net", "tmpfs", 0, NULL) == 0, "mount on /dev/net");
		mode_t old = umask(0);
		must(mknod("/dev/net/tun", S_IFCHR | 0666, makedev(10, 200)) == 0, "mknod");
		umask(old);
	}
	must(unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) == 0, "unshare");
	write_text("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1", gid);
	write_text("/proc/self/gid_map", map);
	snprintf(map, sizeof(map), "0 %u 1", uid);
	write_text("/proc/self/uid_map", map);
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private mounts");
	if (o->packet)
		must(mount("none", "/dev/net", "tmpfs", 0, NULL) == 0, "hide /dev/net");
}

static void set_env(const struct options *o)
{
	char text[INET6_ADDRSTRLEN];
	net_addr4_text(o->net.address, text);
	setenv("RL_TEST_ADDRESS", text, 1);
	net_addr4_text(o->net.gateway, text);
	setenv("RL_TEST_GATEWAY", text, 1);
	net_addr4_text(o->net.dns, text);
	setenv("RL_TEST_DNS", text, 1);
	net_addr6_text(&o->net.address6, text);
	setenv("RL_TEST_ADDRESS6", text, 1);
	net_addr6_text(&o->net.gateway6, text);
	setenv("RL_TEST_GATEWAY6", text, 1);
}

static void bind_files(const struct options *o)
{
	struct err e = ERR_INIT;
	char gateway[INET6_ADDRSTRLEN], dns[INET6_ADDRSTRLEN];
	autostr struct str resolv = STR_INIT;
	autostr struct str hosts = STR_INIT;
	autofree char *resolv_path = xasprintf("%s/resolv.conf", o->files);
	autofree char *hosts_path = xasprintf("%s/hosts", o->files);
	net_addr4_text(o->net.gateway, gateway);
	net_addr4_text(o->net.dns, dns);
	if (net_resolv_conf(&(struct net_resolv_opts){.nameserver = dns}, &resolv, &e) < 0 ||
	    net_hosts_file(&(struct net_hosts_opts){.hostname = "netrun", .gateway = gateway}, &hosts, &e) < 0)
		fail(&e);
	write_text(resolv_path, resolv.buf);
	write_text(hosts_path, hosts.buf);
	must(mount(resolv_path, "/etc/resolv.conf", NULL, MS_BIND, NULL) == 0, "bind resolv.conf");
	must(mount(hosts_path, "/etc/hosts", NULL, MS_BIND, NULL) == 0, "bind hosts");
}

static void child(const struct options *o, struct net_slirp *s)
{
	struct err e = ERR_INIT;
	struct net_device dev = NET_DEVICE_NONE;
	log_set_role("child");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	enter_namespaces(o);
	long before = now_us();
	if (net_slirp_child(&o->net, &dev, &e) < 0)
		fail(&e);
	long made = now_us();
	if (net_slirp_attach(s, &dev, &e) < 0)
		fail(&e);
	long attached = now_us();
	if (o->time)
		fprintf(stderr, "device %s child %ld us attach %ld us\n", dev.kind == NET_DEVICE_TAP ? "tap" : "packet",
			made - before, attached - made);
	close(dev.fd);
	net_slirp_forget(s);
	autofd int proc = open("/proc", O_PATH | O_CLOEXEC);
	if (net_sysctl_child(proc, &e) < 0)
		fail(&e);
	set_env(o);
	if (o->files)
		bind_files(o);
	execvp(o->command[0], o->command);
	must(false, o->command[0]);
}

static void print_stats(struct net_slirp *s)
{
	struct err e = ERR_INIT;
	struct net_slirp_stats st;
	if (net_slirp_stats(s, &st, &e) < 0) {
		err_print(&e);
		return;
	}
	fprintf(stderr,
		"frames_in=%llu bytes_in=%llu frames_out=%llu bytes_out=%llu malformed=%llu source=%llu dest=%llu "
		"other=%llu "
		"out_lost=%llu dns=%llu dns_failed=%llu refused=%llu\n",
		(unsigned long long)st.frames_in, (unsigned long long)st.bytes_in, (unsigned long long)st.frames_out,
		(unsigned long long)st.bytes_out, (unsigned long long)st.dropped_malformed,
		(unsigned long long)st.dropped_source, (unsigned long long)st.dropped_dest,
		(unsigned long long)st.dropped_other, (unsigned long long)st.out_lost,
		(unsigned long long)st.dns_queries, (unsigned long long)st.dns_failed, (unsigned long long)st.refused);
}

static int serve(struct options *o, struct net_slirp *s, pid_t pid)
{
	struct err e = ERR_INIT;
	int pidfd = proc_pidfd_open(pid, &e);
	int watch = pidfd < 0 ? pidfd : net_slirp_watch(s, &o->net, &e);
	if (watch < 0)
		fail(&e);
	struct pollfd fds[2] = {{.fd = pidfd, .events = POLLIN}, {.fd = watch, .events = POLLIN}};
	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			must(false, "poll");
		if (fds[0].revents)
			break;
		if (fds[1].revents && net_slirp_on_watch(s, &e) < 0) {
			err_print(&e);
			err_clear(&e);
			fds[1].fd = -1;
		}
	}
	int status;
	waitpid(pid, &status, 0);
	if (o->stats)
		print_stats(s);
	return proc_status_code(status);
}

static void parse(struct options *o, int argc, char **argv)
{
	struct err e = ERR_INIT;
	int r = 0;
	int i = 1;
	net_slirp_opts_init(&o->net);
	for (; i < argc && r >= 0 && argv[i][0] == '-'; i++) {
		autostrv struct strv list = STRV_INIT;
		if (str_eq(argv[i], "--packet"))
			o->packet = true;
		else if (str_eq(argv[i], "--tap-node"))
			o->tap_node = true;
		else if (str_eq(argv[i], "--stats"))
			o->stats = true;
		else if (str_eq(argv[i], "--time"))
			o->time = true;
		else if (str_eq(argv[i], "--cpu"))
			o->cpu = true;
		else if (str_eq(argv[i], "--"))
			continue;
		else if (i + 1 == argc)
			r = err_set(&e, EINVAL, "%s needs a value", argv[i]);
		else if (str_eq(argv[i], "--opts"))
			r = net_slirp_parse(argv[++i], &o->net, &e);
		else if (str_eq(argv[i], "--files"))
			o->files = argv[++i];
		else if (str_eq(argv[i], "--allow-net") || str_eq(argv[i], "--deny-net")) {
			bool deny = str_eq(argv[i], "--deny-net");
			r = net_policy_add(&o->rights.policy, argv[++i], deny, &e);
		} else if (str_eq(argv[i], "--resolv"))
			snprintf(o->net.resolv_path, sizeof(o->net.resolv_path), "%s", argv[++i]);
		else if (str_eq(argv[i], "--dns")) {
			strv_add(&list, argv[++i]);
			r = net_slirp_set_dns(&list, &o->net, &e);
		} else if (str_eq(argv[i], "--host-access")) {
			strv_split(&list, argv[++i], ',');
			r = net_slirp_set_host_access(&list, &o->net, &e);
		} else
			r = err_set(&e, EINVAL, "unknown option %s", argv[i]);
	}
	if (r >= 0 && i == argc)
		r = err_set(&e, EINVAL, "no command");
	if (r < 0)
		fail(&e);
	o->command = argv + i;
}

static double children_cpu(void)
{
	struct rusage u;
	getrusage(RUSAGE_CHILDREN, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	struct options o = {0};
	struct net_slirp s = NET_SLIRP_NONE;
	log_init("netrun");
	parse(&o, argc, argv);
	long before = now_us();
	if (net_slirp_start(&o.net, &s, &e) < 0)
		fail(&e);
	memcpy(o.rights.mac, o.net.mac, sizeof(o.rights.mac));
	if (!net_policy_is_empty(&o.rights.policy) && net_slirp_rights(&s, &o.rights, -1, &e) < 0)
		fail(&e);
	long started = now_us();
	pid_t pid = fork();
	if (pid == 0)
		child(&o, &s);
	int status = serve(&o, &s, pid);
	long stop = now_us();
	if (!o.cpu) {
		net_slirp_stop(&s);
	} else {
		/* The command has been reaped; what is added now is rl-netd's. */
		double seconds = children_cpu();
		net_slirp_stop_wait(&s);
		fprintf(stderr, "netd_cpu=%.3f\n", children_cpu() - seconds);
	}
	if (o.time)
		fprintf(stderr, "start %ld us stop %ld us\n", started - before, now_us() - stop);
	return status;
}
