/* links: model base */
/* What is stored of a container comes back as it was: every option, and records that are damaged are refused. */
#include "tap.h"

#include <errno.h>

#include "rl/base/mem.h"
#include "rl/model/record.h"

/* Every member of struct run_opts with a value other than its default. The size is checked below, so that a member that
 * is added makes this test fail until it is set here. */
static void fill(struct run_opts *o)
{
	struct err e = ERR_INIT;
	int bad = 0;
	o->image = xstrdup("img");
	o->rootfs = xstrdup("/r");
	o->rootfs_overlay = true;
	strv_add(&o->command, "cmd");
	strv_add(&o->command, "bytes \xff\xfe");
	o->entrypoint_set = true;
	strv_add(&o->entrypoint, "ep");
	o->pull = PULL_NEWER;
	o->platform = xstrdup("linux/arm64");
	o->quiet = true;
	o->name = xstrdup("n");
	o->hostname = xstrdup("h");
	o->domainname = xstrdup("d");
	o->rm = o->detach = o->interactive = o->tty = o->init = o->read_only = o->privileged = o->replace = true;
	o->restart = RESTART_ON_FAILURE;
	o->restart_retries = 7;
	o->cidfile = xstrdup("/c");
	o->pidfile = xstrdup("/p");
	strv_add(&o->labels, "l=1");
	strv_add(&o->annotations, "a=1");
	o->stop_signal = 3;
	o->stop_timeout = 33;
	o->timeout = 44;
	o->sig_proxy = false;
	o->detach_keys = xstrdup("ctrl-a");
	o->report = xstrdup("/r.json");
	bad |= run_opts_log_driver(o, "k8s-file", &e) | run_opts_log_opt(o, "max-size=10m", &e);
	bad |= run_opts_log_opt(o, "max-file=3", &e) | run_opts_health_cmd(o, "true", &e);
	bad |= run_opts_health_interval(o, "3s", &e) | run_opts_health_timeout(o, "4s", &e);
	bad |= run_opts_health_start_period(o, "5s", &e) | run_opts_health_retries(o, "6", &e);
	bad |= run_opts_health_on_failure(o, "stop", &e);
	o->no_healthcheck = true;
	char *const environment[] = {NULL};
	bad |= run_opts_env(o, "A=b", environment, &e) | run_opts_env(o, "LATER", environment, &e);
	o->nenv_files = 1;
	o->workdir = xstrdup("/w");
	o->user = xstrdup("u");
	strv_add(&o->group_add, "g");
	o->umask = 077;
	bad |= run_opts_ulimit(o, "nofile=10:20", &e) | run_opts_ulimit(o, "core=-1", &e);
	strv_add(&o->sysctls, "net.x=1");
	o->oom_score_adj = 5;
	o->oom_score_adj_set = true;
	bad |= run_opts_mount(o, "type=bind,src=/a\xff,dst=/b,ro", &e) | run_opts_tmpfs(o, "/t:size=5m,mode=700", &e);
	bad |= run_opts_volumes_from(o, "other:ro", &e) | run_opts_image_volume(o, "ignore", &e);
	strv_add(&o->mounts[0].image_layers, "/layer");
	bad |= run_opts_secret(o, "key,target=/etc/k,uid=1,gid=2,mode=400", &e);
	o->env_host = o->unsetenv_all = o->no_passwd = o->no_hostname = o->rmi = true;
	o->hide_home = o->single_map = true;
	bad |= run_opts_env_merge(o, "A=${A}b", &e) | run_opts_unsetenv(o, "B", &e) | run_opts_tz(o, "local", &e);
	bad |= run_opts_passwd_entry(o, "a:*:1:2:c:/:/bin/sh", &e) | run_opts_group_entry(o, "a:x:1:", &e);
	bad |= run_opts_hostuser(o, "me", &e) | run_opts_requires(o, "one,two", &e);
	bad |= run_opts_personality(o, "linux32", &e);
	strv_add(&o->typed, "--env=A=b");
	bad |= run_opts_pod(o, "new:p", &e);
	o->holder = true;
	o->pod_share = 3;
	o->create_dir = xstrdup("/home/x");
	o->shm_size = UINT64_MAX;
	bad |= run_opts_device(o, "/dev/null:/dev/x:r", &e);
	strv_add(&o->cap_add, "CAP_SYS_TIME");
	strv_add(&o->cap_drop, "ALL");
	o->seccomp = xstrdup("/s");
	o->no_new_privileges = NO;
	strv_add(&o->mask, "/m");
	strv_add(&o->unmask, "/um");
	o->label_disable = true;
	o->userns = USERNS_NOMAP;
	o->keep_id_uid = 5;
	o->keep_id_gid = 6;
	o->pid = o->ipc = o->uts = NS_CONTAINER;
	o->cgroupns = NS_HOST;
	o->pid_container = xstrdup("pc");
	o->ipc_container = xstrdup("ic");
	o->uts_container = xstrdup("uc");
	o->network = (struct network_opt){NETWORK_NAMED, xstrdup("nn"), xstrdup("no")};
	strv_add(&o->networks, "one:ip=10.0.0.7");
	strv_add(&o->networks, "two");
	strv_add(&o->dns, "1.1.1.1");
	strv_add(&o->dns_search, "s");
	strv_add(&o->dns_options, "ndots:1");
	strv_add(&o->add_hosts, "h:1.2.3.4");
	o->no_hosts = true;
	o->hosts_file = xstrdup("/hf");
	o->mac_address = xstrdup("02:00:00:00:00:01");
	strv_add(&o->host_access, "80");
	strv_add(&o->allow_net, "example.org:443");
	strv_add(&o->deny_net, "metadata");
	o->limits = (struct limit_opts){.memory = 1,
					.memory_swap = -1,
					.memory_reservation = 3,
					.pids = 4,
					.nano_cpus = 5,
					.cpu_quota = 6,
					.cpu_period = 7,
					.cpu_shares = 8,
					.blkio_weight = 9,
					.mode = CGROUPS_DISABLED,
					.required = true};
	o->limits.cpuset_cpus = xstrdup("0-1");
	o->limits.cpuset_mems = xstrdup("0");
	o->limits.parent = xstrdup("/p");
	strv_add(&o->limits.conf, "memory.high=1");
	bad |= limit_opts_device_read_bps(&o->limits, "/dev/sda:1m", &e);
	if (!tap_ok(bad == 0, "the values used here are valid"))
		tap_diag("%s", e.text);
}

static char *text_of(const struct run_opts *o)
{
	autojson json_t *doc = run_opts_to_json(o);
	autostr struct str text = STR_INIT;
	json_print(doc, false, &text);
	return str_take(&text);
}

static bool same_bytes(const char *a, const char *b)
{
	return (!a && !b) || (a && b && str_eq(a, b));
}

static void options_come_back(void)
{
	struct run_opts o;
	struct run_opts back;
	struct err e = ERR_INIT;
	run_opts_init(&o);
	run_opts_init(&back);
	fill(&o);
	autofree char *first = text_of(&o);
	json_t *doc = NULL;
	tap_is_int(json_parse(first, strlen(first), "options", &doc, &e), 0, "options are written as valid JSON");
	autojson json_t *owned = doc;
	tap_is_int(run_opts_from_json(owned, &back, &e), 0, "and read");
	autofree char *second = text_of(&back);
	tap_is_str(second, first, "what was read is written the same again");
	tap_ok(str_eq(back.command.items[1], "bytes \xff\xfe"), "an argument that is not UTF-8 keeps its bytes");
	tap_ok(back.nmounts == 2 && same_bytes(back.mounts[0].source, "/a\xff"), "so does a path");
	tap_ok(back.env[1].value == NULL && back.nenv == 2, "a variable without a value stays without");
	tap_ok(back.ulimits[1].hard == UINT64_MAX && back.shm_size == UINT64_MAX, "the largest numbers are kept");

	/* Members that nobody wrote a row for differ from a fresh struct here and are lost there. */
	struct run_opts fresh;
	run_opts_init(&fresh);
	size_t same = 0;
	for (size_t i = 0; i < sizeof(o); i++)
		same += ((const char *)&back)[i] == ((const char *)&fresh)[i] &&
			((const char *)&o)[i] != ((const char *)&fresh)[i];
	tap_ok(same <= 8, "no option is at its default after reading (%zu bytes are)", same);
	run_opts_free(&o);
	run_opts_free(&back);
}

static void bad_options_are_refused(void)
{
	static const struct {
		const char *text, *sentence;
	} cases[] = {
		{"{\"pull\":9}", "a number out of its range is refused"},
		{"{\"rm\":1}", "a number for a boolean is refused"},
		{"{\"command\":\"x\"}", "a string for a list is refused"},
		{"{\"mounts\":[{\"kind\":0}]}", "a mount without a target is refused"},
		{"{\"env\":{}}", "an object for an array is refused"},
		{"{\"image\":{\"hex\":\"6\"}}", "half a byte is refused"},
		{"[]", "an array for the options is refused"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct run_opts o;
		struct err e = ERR_INIT;
		run_opts_init(&o);
		json_t *doc = NULL;
		(void)!json_parse(cases[i].text, strlen(cases[i].text), "case", &doc, &e);
		autojson json_t *owned = doc;
		tap_is_int(run_opts_from_json(owned, &o, &e), -EBADMSG, cases[i].sentence);
		run_opts_free(&o);
	}
}

static void config_comes_back(void)
{
	struct record_config c;
	struct record_config back;
	struct err e = ERR_INIT;
	record_config_init(&c);
	memset(c.id, 'a', sizeof(c.id) - 1);
	c.name = xstrdup("web");
	c.created = 1795377341465690019;
	c.image = xstrdup("docker.io/library/busybox:latest");
	c.image_id = xstrdup("sha256:1");
	strv_add(&c.layers, "/l");
	c.map = (struct record_map){.present = true, .form = 1, .key = "sub-1-2", .nuid = 2, .ngid = 1};
	c.map.uid[1] = (struct record_extent){1, 100000, 4294967295u};
	c.stop_signal = 15;
	c.health.interval_ns = 5;
	strv_add(&c.health.test, "true");
	autojson json_t *doc = record_config_to_json(&c);
	tap_is_int(record_config_from_json(doc, &back, &e), 0, "a container's record is read");
	tap_ok(back.created == c.created && str_eq(back.name, "web") && str_eq(back.id, c.id),
	       "with id, name and time");
	tap_ok(back.map.present && back.map.nuid == 2 && back.map.uid[1].count == 4294967295u, "and its id map");
	tap_ok(back.health.test.count == 1 && back.health.interval_ns == 5, "and its health check");
	record_config_free(&back);
	json_object_set_new(doc, "future", json_true());
	tap_is_int(record_config_from_json(doc, &back, &e), 0, "members it does not know do not disturb");
	record_config_free(&back);
	json_object_set_new(doc, "version", json_integer(RECORD_VERSION + 1));
	tap_is_int(record_config_from_json(doc, &back, &e), -EPROTONOSUPPORT, "a newer version is refused as such");
	json_object_set_new(doc, "version", json_integer(1));
	json_object_set_new(doc, "id", json_string("short"));
	tap_is_int(record_config_from_json(doc, &back, &e), -EBADMSG, "a record without a whole id is refused");
	record_config_free(&c);
}

static void state_comes_back(void)
{
	struct record_state s;
	struct record_state back;
	struct err e = ERR_INIT;
	record_state_init(&s);
	s.status = RECORD_RUNNING;
	s.init = (struct record_process){.pid = 12, .start = 34};
	s.monitor = (struct record_process){.pid = 56, .start = 78};
	s.exit_code = RECORD_EXIT_UNKNOWN;
	s.error = xstrdup("because");
	s.health.status = xstrdup("healthy");
	s.health.log[0] = (struct record_health_entry){1, 2, 3, xstrdup("out")};
	s.health.nlog = 1;
	s.join.caps = UINT64_C(0x8000000000000001);
	s.join.seccomp = xstrdup("default");
	strv_add(&s.join.env, "A=\xff");
	autojson json_t *doc = record_state_to_json(&s);
	tap_is_int(record_state_from_json(doc, &back, &e), 0, "a state is read");
	tap_ok(back.status == RECORD_RUNNING && back.init.pid == 12 && back.monitor.start == 78, "with its processes");
	tap_is_int(back.exit_code, RECORD_EXIT_UNKNOWN, "an unknown exit stays unknown");
	tap_ok(back.health.nlog == 1 && str_eq(back.health.log[0].output, "out"), "with the log of its health checks");
	tap_ok(back.join.caps == UINT64_C(0x8000000000000001) && str_eq(back.join.env.items[0], "A=\xff"),
	       "and what a process needs to join it");
	record_state_free(&back);
	json_object_set_new(doc, "status", json_string("sleeping"));
	tap_ok(record_state_from_json(doc, &back, &e) < 0, "a status that is none is refused");
	json_object_set_new(doc, "status", json_string("exited"));
	json_object_set_new(doc, "exit_code", json_integer(256));
	tap_is_int(record_state_from_json(doc, &back, &e), -EBADMSG, "an exit code that cannot be is refused");
	record_state_free(&s);
}

int main(void)
{
	options_come_back();
	bad_options_are_refused();
	config_comes_back();
	state_comes_back();
	return tap_done();
}
