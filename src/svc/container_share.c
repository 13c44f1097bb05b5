/*
 * container_share.c - namespaces that exist: --pid, --ipc, --uts and --network=container:NAME, and ns:PATH of the same.
 *
 * Who owns what (decision 2): a namespace can be used with privileges only from within the user namespace that owns
 * it. So a container that shares one also shares the other's user namespace, and with it its id map; one that asks for
 * another map is refused. All that are named must have the same user namespace.
 *
 * At creation the names become ids, so that a rename changes nothing. At every start the other must run; it is entered
 * through a pidfd that was verified against its record, so it is that very container. When it ends, what was shared of
 * it ends as the kernel has it: a shared pid namespace takes the processes along, the others live on, a network without
 * its way out.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "container_int.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/engine/procs.h"

struct shared {
	const char *option;
	enum rt_ns_kind kind;
	char **name;	  /* the other container; NULL: not asked for */
	const char *path; /* ns:PATH, or NULL */
};

enum { SHARED_N = 4 };

static void list_shared(struct run_opts *o, struct shared ret[SHARED_N])
{
	const struct shared all[SHARED_N] = {
		{"--pid", RT_NS_PID, o->pid == NS_CONTAINER ? &o->pid_container : NULL,
		 o->pid == NS_PATH ? o->pid_container : NULL},
		{"--ipc", RT_NS_IPC, o->ipc == NS_CONTAINER ? &o->ipc_container : NULL,
		 o->ipc == NS_PATH ? o->ipc_container : NULL},
		{"--uts", RT_NS_UTS, o->uts == NS_CONTAINER ? &o->uts_container : NULL,
		 o->uts == NS_PATH ? o->uts_container : NULL},
		{"--network", RT_NS_NET, o->network.kind == NETWORK_CONTAINER ? &o->network.name : NULL,
		 o->network.kind == NETWORK_NS ? o->network.name : NULL},
	};
	memcpy(ret, all, sizeof(all));
}

bool container_shares(const struct container *c)
{
	const struct run_opts *o = c->o;
	return o->pid >= NS_CONTAINER || o->ipc >= NS_CONTAINER || o->uts >= NS_CONTAINER ||
	       o->network.kind == NETWORK_CONTAINER || o->network.kind == NETWORK_NS;
}

static bool is_same_map(const struct record_map *a, const struct record_map *b)
{
	return a->present == b->present && a->nuid == b->nuid && a->ngid == b->ngid &&
	       memcmp(a->uid, b->uid, a->nuid * sizeof(a->uid[0])) == 0 &&
	       memcmp(a->gid, b->gid, a->ngid * sizeof(a->gid[0])) == 0;
}

/* What cannot be where the network is another's. */
static int check_network(const struct run_opts *o, struct err *e)
{
	const char *option = o->dns.count	    ? "--dns"
			     : o->dns_search.count  ? "--dns-search"
			     : o->add_hosts.count   ? "--add-host"
			     : o->hosts_file	    ? "--hosts-file"
			     : o->host_access.count ? "--host-access"
			     : o->allow_net.count   ? "--allow-net"
			     : o->deny_net.count    ? "--deny-net"
						    : NULL;
	if (o->network.kind != NETWORK_CONTAINER || !option)
		return 0;
	return err_set(e, EINVAL, "%s: not with --network container:%s, whose files and network are used", option,
		       o->network.name);
}

int container_share_resolve(struct container *c, struct err *e)
{
	struct shared list[SHARED_N];
	struct run_opts *o = &c->rec.config.o;
	int r = check_network(o, e);
	list_shared(o, list);
	for (size_t i = 0; i < SHARED_N && r == 0; i++) {
		autorec struct container_rec other = CONTAINER_REC_INIT;
		if (!list[i].name)
			continue;
		r = container_store_find(&c->store, *list[i].name, &other, e);
		if (r == 0 && other.config.o.holder && list[i].kind == RT_NS_PID)
			r = err_set(e, EINVAL, "a pod's processes cannot be shared");
		if (r < 0)
			return err_ctx(e, "%s", list[i].option);
		free(*list[i].name);
		*list[i].name = xstrdup(other.config.id);
		if (o->userns == USERNS_DEFAULT) {
			o->userns = other.config.o.userns;
			o->keep_id_uid = other.config.o.keep_id_uid;
			o->keep_id_gid = other.config.o.keep_id_gid;
		}
	}
	return r;
}

int container_share_check_map(struct container *c, struct err *e)
{
	struct shared list[SHARED_N];
	struct record_map own = {.present = false};
	list_shared(&c->rec.config.o, list);
	if (c->has_map)
		container_map_to_record(&c->map, &own);
	for (size_t i = 0; i < SHARED_N; i++) {
		autorec struct container_rec other = CONTAINER_REC_INIT;
		if (!list[i].name)
			continue;
		int r = container_store_find(&c->store, *list[i].name, &other, e);
		if (r < 0)
			return err_ctx(e, "%s", list[i].option);
		if (is_same_map(&own, &other.config.map))
			continue;
		err_set(e, EINVAL, "%s container:%s: its user namespace, which has to be shared too, maps other ids",
			list[i].option, other.config.name);
		return err_hint(e, "leave --userns out: it follows from the other container");
	}
	return 0;
}

/* Namespaces are compared by the kernel's own name for them, "user:[4026532100]". */
static bool is_same_user_ns(pid_t a, pid_t b)
{
	char path[2][64];
	char name[2][64] = {"", ""};
	const pid_t pids[2] = {a, b};
	for (int i = 0; i < 2; i++) {
		snprintf(path[i], sizeof(path[i]), "/proc/%d/ns/user", (int)pids[i]);
		if (readlink(path[i], name[i], sizeof(name[i]) - 1) <= 0)
			return false;
	}
	return str_eq(name[0], name[1]);
}

static int open_other(struct container *c, const struct shared *s, struct container_rec *other, struct err *e)
{
	int r = container_store_find(&c->store, *s->name, other, e);
	if (r < 0)
		return err_ctx(e, "%s", s->option);
	if (!container_rec_is_running(other)) {
		err_set(e, EINVAL, "%s container:%s: it is not running", s->option, other->config.name);
		return err_hint(e, "start it first: rl start %s", other->config.name);
	}
	int fd = container_rec_open_member(other, e);
	return fd < 0 ? err_ctx(e, "%s", s->option) : fd;
}

static void share_shm(struct container *c, const struct container_rec *other, int pidfd)
{
	struct err why = ERR_INIT;
	close_fd(&c->shm_fd);
	c->shm_fd = container_shm_open(pidfd, (other->state.join.namespaces & (1U << RT_NS_USER)) != 0, &why);
	if (c->shm_fd < 0)
		log_warn("--ipc container:%s: /dev/shm is not shared: %s", other->config.name, why.text);
}

/* With a user namespace of its own a container may not mount what belongs to such a namespace. */
static int make_mount(struct container *c, int ns, enum rt_ns_kind kind, struct err *e)
{
	int *where = kind == RT_NS_PID ? &c->proc_fd : kind == RT_NS_IPC ? &c->mqueue_fd : NULL;
	if (!where || c->spec.ns[RT_NS_USER].mode == RT_NS_HOST)
		return 0;
	*where = container_ns_mount(ns, kind, e);
	return RL_MIN(*where, 0);
}

static int open_paths(struct container *c, const struct shared list[SHARED_N], struct err *e)
{
	struct rtspec *s = &c->spec;
	for (size_t i = 0; i < SHARED_N; i++) {
		if (!list[i].path)
			continue;
		if (s->ns[RT_NS_USER].mode == RT_NS_JOIN)
			return err_set(e, EINVAL,
				       "%s ns:%s: not together with container:NAME, whose user namespace "
				       "has no rights over it",
				       list[i].option, list[i].path);
		int fd = container_ns_open(list[i].path, list[i].kind, e);
		if (fd >= 0) {
			c->shared_fds[c->nshared++] = fd;
			s->ns[list[i].kind] = (struct rt_ns){.mode = RT_NS_JOIN, .fd = fd};
		}
		if (fd < 0 || make_mount(c, fd, list[i].kind, e) < 0)
			return err_ctx(e, "%s ns:%s", list[i].option, list[i].path);
	}
	return 0;
}

int container_share_open(struct container *c, struct err *e)
{
	struct shared list[SHARED_N];
	struct rtspec *s = &c->spec;
	pid_t first = 0;
	container_share_close(c);
	list_shared(&c->rec.config.o, list);
	for (size_t i = 0; i < SHARED_N; i++) {
		autorec struct container_rec other = CONTAINER_REC_INIT;
		if (!list[i].name)
			continue;
		int fd = open_other(c, &list[i], &other, e);
		if (fd < 0)
			return fd;
		unsigned owned = other.state.join.namespaces;
		c->shared_fds[c->nshared++] = fd;
		if (!first)
			first = other.state.init.pid;
		else if (first != other.state.init.pid && !is_same_user_ns(first, other.state.init.pid))
			return err_set(e, EINVAL, "%s container:%s: its user namespace is not that of the others",
				       list[i].option, other.config.name);
		s->ns[list[i].kind] = owned & (1U << list[i].kind) ? (struct rt_ns){.mode = RT_NS_JOIN, .fd = fd}
								   : (struct rt_ns){.mode = RT_NS_HOST};
		if (s->ns[RT_NS_USER].mode != RT_NS_JOIN)
			s->ns[RT_NS_USER] = owned & (1U << RT_NS_USER) ? (struct rt_ns){.mode = RT_NS_JOIN, .fd = fd}
								       : (struct rt_ns){.mode = RT_NS_HOST};
		if (list[i].kind == RT_NS_NET && !c->net_dir)
			c->net_dir = xstrdup(other.dir);
		if (list[i].kind == RT_NS_IPC && s->ns[RT_NS_IPC].mode == RT_NS_JOIN)
			share_shm(c, &other, fd);
	}
	return open_paths(c, list, e);
}

void container_share_close(struct container *c)
{
	while (c->nshared)
		close_fd(&c->shared_fds[--c->nshared]);
	close_fd(&c->shm_fd);
	close_fd(&c->proc_fd);
	close_fd(&c->mqueue_fd);
	free(c->net_dir);
	c->net_dir = NULL;
}

void container_share_kill_rest(struct container *c)
{
	struct err why = ERR_INIT;
	if (c->run.mount_ns[0] && procs_kill_rest(c->run.mount_ns, &why) < 0)
		log_warn("%s", why.text);
}
