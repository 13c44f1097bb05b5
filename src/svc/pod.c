/*
 * pod.c - pods from the records of containers; see pod.h.
 */
#include "rl/svc/pod.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "container_int.h"
#include "rl/base/fmt.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/svc/container.h"

/* A pod as its records say. */
struct pod {
	struct store s;
	struct container_list all; /* of which these are the pod's: */
	const struct container_rec *holder;
	const struct container_rec **members;
	size_t nmembers;
};

static void pod_close(struct pod *p)
{
	free(p->members);
	container_list_free(&p->all);
	store_close(&p->s);
}

static bool is_holder(const struct container_rec *c)
{
	return !c->broken && c->config.o.holder;
}

static void find_members(struct pod *p, const struct container_rec *holder)
{
	p->holder = holder;
	p->nmembers = 0;
	p->members = xreallocarray(p->members, p->all.count + 1, sizeof(*p->members));
	for (size_t i = 0; i < p->all.count; i++) {
		const struct container_rec *c = &p->all.items[i];
		if (!c->broken && c->config.o.pod && str_eq(c->config.o.pod, holder->config.id))
			p->members[p->nmembers++] = c;
	}
}

static int open_all(const char *root, struct pod *p, struct err *e)
{
	*p = (struct pod){.holder = NULL};
	int r = store_open(root, true, &p->s, e);
	if (r < 0)
		return r;
	r = container_store_list(&p->s, &p->all, e);
	if (r < 0)
		store_close(&p->s);
	return r;
}

static int no_pod(const struct pod *p, const char *name, struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	for (size_t i = 0; i < p->all.count; i++)
		if (is_holder(&p->all.items[i]))
			strv_add(&names, p->all.items[i].config.name);
	err_set(e, ENOENT, "there is no pod '%s'", name);
	const char *near = str_nearest(name, (const char *const *)strv_argv(&names));
	return near ? err_hint(e, "did you mean '%s'?", near) : -ENOENT;
}

static int open_pod(const char *root, const char *name, struct pod *p, struct err *e)
{
	int r = open_all(root, p, e);
	if (r < 0)
		return r;
	size_t prefixes = 0;
	for (size_t i = 0; i < p->all.count; i++) {
		const struct container_rec *c = &p->all.items[i];
		if (!is_holder(c))
			continue;
		if (str_eq(c->config.name, name) || str_eq(c->config.id, name)) {
			find_members(p, c);
			return 0;
		}
		if (*name && str_after(c->config.id, name)) {
			prefixes++;
			p->holder = c;
		}
	}
	if (prefixes == 1) {
		find_members(p, p->holder);
		return 0;
	}
	r = prefixes ? err_set(e, EEXIST, "'%s' begins more than one pod's id", name) : no_pod(p, name, e);
	pod_close(p);
	return r;
}

/* ---- making ---- */

int pod_create(const char *root, struct run_opts *o, struct str *ret_id, struct err *e)
{
	o->holder = true;
	o->detach = true;
	o->stop_timeout = RL_MIN(o->stop_timeout, 2U);
	if (!o->hostname && o->name && o->uts == NS_PRIVATE)
		o->hostname = xstrdup(o->name);
	return container_create(o, root, ret_id, e);
}

static int make_new(const char *root, struct run_opts *o, const char *name, struct err *e)
{
	autostr struct str id = STR_INIT;
	struct run_opts p;
	run_opts_init(&p);
	p.name = xstrdup(name);
	p.pod_share = RUN_OPTS_POD_SHARE;
	p.publish = o->publish;
	o->publish = (struct strv)STRV_INIT;
	p.network = o->network;
	o->network = (struct network_opt){.kind = NETWORK_SLIRP};
	p.networks = o->networks;
	o->networks = (struct strv)STRV_INIT;
	p.hostname = take_ptr(&o->hostname);
	int r = pod_create(root, &p, &id, e);
	run_opts_free(&p);
	return r;
}

/* Options of the container about what is the pod's. */
static int check_own(const struct run_opts *o, unsigned share, struct err *e)
{
	const char *option = NULL;
	if (share & RUN_OPTS_POD_NET) {
		if (o->publish.count || o->publish_all)
			option = "--publish";
		else if (o->network.kind != NETWORK_SLIRP || o->network.options)
			option = "--network";
		else if (o->mac_address)
			option = "--mac-address";
		else if (o->dns.count || o->dns_search.count || o->dns_options.count)
			option = "--dns";
		else if (o->add_hosts.count)
			option = "--add-host";
		else if (o->hosts_file)
			option = "--hosts-file";
		else if (o->host_access.count)
			option = "--host-access";
		else if (o->allow_net.count || o->deny_net.count)
			option = o->allow_net.count ? "--allow-net" : "--deny-net";
	}
	if ((share & RUN_OPTS_POD_UTS) && o->hostname)
		option = "--hostname";
	if ((share & RUN_OPTS_POD_UTS) && (o->uts == NS_HOST || o->uts == NS_PATH))
		option = "--uts";
	if ((share & RUN_OPTS_POD_IPC) && o->ipc != NS_PRIVATE)
		option = "--ipc";
	if (!option)
		return 0;
	err_set(e, EINVAL, "%s: not with --pod, it is the pod's", option);
	return err_hint(e, "'rl pod create' takes it");
}

static void share(enum ns_share *how, char **whose, const char *id)
{
	*how = NS_CONTAINER;
	run_opts_set(whose, id);
}

int pod_adopt(const char *root, struct run_opts *o, struct err *e)
{
	struct pod p;
	const char *name = str_after(o->pod, "new:");
	if (name && make_new(root, o, name, e) < 0)
		return err_ctx(e, "--pod");
	int r = open_pod(root, name ? name : o->pod, &p, e);
	if (r < 0)
		return err_ctx(e, "--pod");
	const char *id = p.holder->config.id;
	unsigned what = p.holder->config.o.pod_share;
	r = check_own(o, what, e);
	if (r == 0) {
		if (what & RUN_OPTS_POD_NET) {
			o->network.kind = NETWORK_CONTAINER;
			run_opts_set(&o->network.name, id);
		}
		if (what & RUN_OPTS_POD_IPC)
			share(&o->ipc, &o->ipc_container, id);
		if (what & RUN_OPTS_POD_UTS)
			share(&o->uts, &o->uts_container, id);
		run_opts_set(&o->pod, id);
	}
	pod_close(&p);
	return r;
}

/* ---- all of them at once ---- */

typedef int member_fn(const char *root, const struct container_rec *c, int how, struct err *e);

/* Every one is tried; the last failure is returned, the others are printed. */
static int each_member(const char *root, const struct pod *p, member_fn *fn, int how, struct err *e)
{
	struct err kept = ERR_INIT;
	for (size_t i = p->nmembers; i-- > 0;) {
		struct err why = ERR_INIT;
		int r = fn(root, p->members[i], how, &why);
		if (r >= 0 || r == -ENOENT)
			continue;
		if (kept.code)
			log_warn("%s", kept.text);
		kept = why;
	}
	if (!kept.code)
		return 0;
	if (e)
		*e = kept;
	return -kept.code;
}

static int start_one(const char *root, const struct container_rec *c, int how, struct err *e)
{
	int status;
	(void)how;
	return container_start(root, c->config.id, &(struct container_attach_opts){.attach = false}, &status, e);
}

static int stop_one(const char *root, const struct container_rec *c, int how, struct err *e)
{
	return container_stop(root, c->config.id, how, 0, e);
}

static int kill_one(const char *root, const struct container_rec *c, int how, struct err *e)
{
	return container_rec_is_running(c) ? container_kill(root, c->config.id, how, e) : 0;
}

static int remove_one(const char *root, const struct container_rec *c, int how, struct err *e)
{
	(void)root;
	struct container_rec again = CONTAINER_REC_INIT;
	int r = container_store_find(c->store, c->config.id, &again, e);
	if (r == 0)
		r = container_remove_rec(&again, how, true, e);
	container_rec_free(&again);
	return r;
}

int pod_start(const char *root, const char *name, struct err *e)
{
	struct pod p;
	int r = open_pod(root, name, &p, e);
	if (r < 0)
		return r;
	r = start_one(root, p.holder, 0, e);
	if (r >= 0)
		r = each_member(root, &p, start_one, 0, e);
	pod_close(&p);
	return r < 0 ? r : 0;
}

int pod_stop(const char *root, const char *name, int timeout, struct err *e)
{
	struct pod p;
	int r = open_pod(root, name, &p, e);
	if (r < 0)
		return r;
	r = each_member(root, &p, stop_one, timeout, e);
	int holder = stop_one(root, p.holder, timeout, r < 0 ? NULL : e);
	pod_close(&p);
	return r < 0 ? r : RL_MIN(holder, 0);
}

int pod_restart(const char *root, const char *name, struct err *e)
{
	int r = pod_stop(root, name, CONTAINER_TIMEOUT_OWN, e);
	return r < 0 ? r : pod_start(root, name, e);
}

int pod_kill(const char *root, const char *name, int sig, struct err *e)
{
	struct pod p;
	int r = open_pod(root, name, &p, e);
	if (r < 0)
		return r;
	r = each_member(root, &p, kill_one, sig, e);
	int holder = kill_one(root, p.holder, sig, r < 0 ? NULL : e);
	pod_close(&p);
	return r < 0 ? r : RL_MIN(holder, 0);
}

static bool is_live(const struct pod *p)
{
	bool live = container_rec_is_alive(p->holder);
	for (size_t i = 0; i < p->nmembers; i++)
		live |= container_rec_is_alive(p->members[i]);
	return live;
}

static int remove_pod(const char *root, const struct pod *p, bool force, struct err *e)
{
	for (size_t i = 0; i < p->nmembers && !force; i++)
		if (container_rec_is_alive(p->members[i])) {
			err_set(e, EBUSY, "pod %s: container %s is %s", p->holder->config.name,
				p->members[i]->config.name, record_status_name(p->members[i]->status));
			return err_hint(e, "stop the pod first, or use 'rl pod rm -f'");
		}
	int r = each_member(root, p, remove_one, force, e);
	return r < 0 ? r : remove_one(root, p->holder, true, e);
}

int pod_remove(const char *root, const char *name, bool force, struct err *e)
{
	struct pod p;
	int r = open_pod(root, name, &p, e);
	if (r < 0)
		return r;
	r = remove_pod(root, &p, force, e);
	pod_close(&p);
	return r;
}

int pod_names(const char *root, bool latest, struct strv *ret_ids, struct err *e)
{
	struct pod p;
	int r = open_all(root, &p, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < p.all.count && !(latest && ret_ids->count); i++)
		if (is_holder(&p.all.items[i]))
			strv_add(ret_ids, p.all.items[i].config.id);
	pod_close(&p);
	return 0;
}

int pod_prune(const char *root, struct strv *ret_removed, struct err *e)
{
	autostrv struct strv ids = STRV_INIT;
	int r = pod_names(root, false, &ids, e);
	for (size_t i = 0; i < ids.count && r == 0; i++) {
		struct pod p;
		struct err why = ERR_INIT;
		if (open_pod(root, ids.items[i], &p, &why) < 0)
			continue;
		if (!is_live(&p)) {
			r = remove_pod(root, &p, false, e);
			if (r == 0)
				strv_add(ret_removed, ids.items[i]);
		}
		pod_close(&p);
	}
	return r;
}

int pod_exists(const char *root, const char *name, struct err *e)
{
	struct pod p;
	struct err why = ERR_INIT;
	int r = open_pod(root, name, &p, &why);
	if (r == 0)
		pod_close(&p);
	if (r < 0 && r != -ENOENT && e)
		*e = why;
	return r == 0 ? 1 : r == -ENOENT ? 0 : r;
}

/* ---- looking ---- */

static const char *status_of(const struct pod *p)
{
	size_t running = 0;
	for (size_t i = 0; i < p->nmembers; i++)
		running += container_rec_is_running(p->members[i]);
	if (container_rec_is_running(p->holder))
		return running == p->nmembers ? "Running" : "Degraded";
	return p->holder->status == RECORD_CREATED ? "Created" : "Exited";
}

static bool has_label(const struct container_rec *c, const char *want)
{
	for (size_t i = 0; i < c->config.labels.count; i++) {
		const char *rest = str_after(c->config.labels.items[i], want);
		if (rest && (!*rest || (*rest == '=' && !strchr(want, '='))))
			return true;
	}
	return false;
}

static int passes(const struct pod *p, const struct strv *filters, struct err *e)
{
	for (size_t i = 0; i < filters->count; i++) {
		const char *text = filters->items[i];
		const char *value;
		bool ok;
		if ((value = str_after(text, "name=")))
			ok = strstr(p->holder->config.name, value) != NULL;
		else if ((value = str_after(text, "id=")))
			ok = str_after(p->holder->config.id, value) != NULL;
		else if ((value = str_after(text, "status=")))
			ok = strcasecmp(status_of(p), value) == 0;
		else if ((value = str_after(text, "label=")))
			ok = has_label(p->holder, value);
		else
			return err_set(e, EINVAL, "--filter '%s': name=, id=, status= or label= is expected", text);
		if (!ok)
			return 0;
	}
	return 1;
}

static json_t *short_id(const char *id, bool no_trunc)
{
	autofree char *text = no_trunc ? xstrdup(id) : xstrndup(id, 12);
	return json_string(text);
}

static json_t *make_row(const struct pod *p, bool no_trunc)
{
	const struct record_config *rc = &p->holder->config;
	char age[FMT_SIZE];
	autostr struct str labels = STR_INIT;
	autostr struct str names = STR_INIT;
	json_t *row = json_object();
	fmt_duration((container_now() - rc->created) / 1000000000, age);
	autofree char *created = xasprintf("%s ago", age);
	for (size_t i = 0; i < rc->labels.count; i++)
		str_addf(&labels, "%s%s", i ? "," : "", rc->labels.items[i]);
	for (size_t i = 0; i < p->nmembers; i++)
		str_addf(&names, "%s%s", i ? "," : "", p->members[i]->config.name);
	json_put(row, "ID", short_id(rc->id, no_trunc));
	json_put_str(row, "Name", rc->name);
	json_put_str(row, "Status", status_of(p));
	json_put_str(row, "Created", created);
	json_put(row, "InfraID", short_id(rc->id, no_trunc));
	json_put_int(row, "NumberOfContainers", (int64_t)p->nmembers);
	json_put_str(row, "ContainerNames", names.buf);
	json_put_str(row, "Labels", labels.buf);
	return row;
}

int pod_rows(const char *root, const struct strv *filters, bool no_trunc, json_t **ret_rows, struct err *e)
{
	struct pod p;
	autojson json_t *rows = json_array();
	int r = open_all(root, &p, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < p.all.count && r >= 0; i++) {
		if (!is_holder(&p.all.items[i]))
			continue;
		find_members(&p, &p.all.items[i]);
		r = passes(&p, filters, e);
		if (r == 1)
			json_array_append_new(rows, make_row(&p, no_trunc));
	}
	pod_close(&p);
	if (r < 0)
		return r;
	*ret_rows = json_incref(rows);
	return 0;
}

static json_t *shared_names(unsigned what)
{
	static const struct {
		unsigned bit;
		const char *name;
	} all[] = {{RUN_OPTS_POD_IPC, "ipc"}, {RUN_OPTS_POD_NET, "net"}, {RUN_OPTS_POD_UTS, "uts"}};
	json_t *out = json_array();
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (what & all[i].bit)
			json_array_append_new(out, json_string(all[i].name));
	return out;
}

int pod_inspect(const char *root, const char *name, json_t **ret_doc, struct err *e)
{
	struct pod p;
	char created[FMT_SIZE];
	int r = open_pod(root, name, &p, e);
	if (r < 0)
		return r;
	const struct record_config *rc = &p.holder->config;
	json_t *doc = json_object();
	json_t *members = json_array();
	json_t *labels = json_object();
	json_t *ports = json_array();
	fmt_time(rc->created / 1000000000, created);
	for (size_t i = 0; i < p.nmembers; i++) {
		json_t *one = json_object();
		json_put_str(one, "Id", p.members[i]->config.id);
		json_put_str(one, "Name", p.members[i]->config.name);
		json_put_str(one, "State", record_status_name(p.members[i]->status));
		json_array_append_new(members, one);
	}
	for (size_t i = 0; i < rc->labels.count; i++) {
		autofree char *key = xstrdup(rc->labels.items[i]);
		char *eq = strchr(key, '=');
		if (eq)
			*eq = '\0';
		json_put_str(labels, key, eq ? eq + 1 : "");
	}
	for (size_t i = 0; i < rc->o.publish.count; i++)
		json_array_append_new(ports, json_string(rc->o.publish.items[i]));
	json_put_str(doc, "Id", rc->id);
	json_put_str(doc, "Name", rc->name);
	json_put_str(doc, "Created", created);
	json_put_str(doc, "State", status_of(&p));
	json_put_str(doc, "Hostname", rc->hostname);
	json_put(doc, "Labels", labels);
	json_put(doc, "SharedNamespaces", shared_names(rc->o.pod_share));
	json_put(doc, "Publish", ports);
	json_put_str(doc, "InfraContainerID", rc->id);
	json_put_int(doc, "Pid", container_rec_is_running(p.holder) ? p.holder->state.init.pid : 0);
	json_put_int(doc, "NumContainers", (int64_t)p.nmembers);
	json_put(doc, "Containers", members);
	*ret_doc = doc;
	pod_close(&p);
	return 0;
}
