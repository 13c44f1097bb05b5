/*
 * plan.c - from a spec to the list of operations.
 *
 * Everything that can be decided without being in the container is decided here: which namespaces are joined, whether
 * the terminal group can be given to devpts, where seccomp goes relative to the loss of privileges. The executor only
 * executes.
 */
#include "plan.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mount.h>

#include "rl/base/mem.h"
#include "rl/engine/notifyd.h"
#include "rl/engine/runtime.h"
#include "rl/kern/mnt.h"

static struct op *add(struct plan *p, enum op_stage stage, enum op_kind kind)
{
	if ((p->nops & (p->nops - 1)) == 0)
		p->ops = xreallocarray(p->ops, p->nops ? p->nops * 2 : 64, sizeof(*p->ops));
	struct op *op = &p->ops[p->nops++];
	*op = (struct op){.stage = stage, .kind = kind};
	return op;
}

static void add_text(struct plan *p, enum op_stage stage, enum op_kind kind, const char *text)
{
	add(p, stage, kind)->text = text;
}

bool plan_needs_joiner(const struct rtspec *spec)
{
	bool joins = false;
	for (int i = 0; i < RT_NS_COUNT; i++)
		joins |= i != RT_NS_MOUNT && spec->ns[i].mode == RT_NS_JOIN;
	return spec->ns[RT_NS_USER].mode == RT_NS_JOIN || spec->ns[RT_NS_PID].mode == RT_NS_JOIN ||
	       (spec->ns[RT_NS_USER].mode == RT_NS_NEW && joins);
}

static void plan_early(struct plan *p)
{
	const struct rtspec *s = p->spec;
	/* The user namespace first: joining the others needs the privileges it gives. */
	for (int i = 0; i < RT_NS_COUNT && !plan_needs_joiner(s); i++)
		if (s->ns[i].mode == RT_NS_JOIN)
			add(p, STAGE_EARLY, OP_JOIN_NS)->ns = (enum rt_ns_kind)i;
	if (s->ns[RT_NS_USER].mode == RT_NS_HOST && !s->keep_shared)
		add(p, STAGE_EARLY, OP_PROPAGATION);
	if (s->ns[RT_NS_NET].mode == RT_NS_NEW)
		add(p, STAGE_EARLY, OP_NETWORK);
	if (s->hostname && s->ns[RT_NS_UTS].mode == RT_NS_NEW)
		add_text(p, STAGE_EARLY, OP_HOSTNAME, s->hostname);
	if (s->domainname && s->ns[RT_NS_UTS].mode == RT_NS_NEW)
		add_text(p, STAGE_EARLY, OP_DOMAINNAME, s->domainname);
}

static int plan_mounts(struct plan *p, struct err *e)
{
	const struct rtspec *s = p->spec;
	add(p, STAGE_HOST, OP_OPEN_HOST);
	if (s->time.fresh || s->time.fd >= 0)
		add(p, STAGE_ROOT, OP_TIME);
	if (s->rootfs)
		add_text(p, STAGE_ROOT, OP_ROOT_BIND, s->rootfs);
	else if (s->root_memory)
		add(p, STAGE_ROOT, OP_ROOT_MEMORY);
	else if (s->layers.count)
		add(p, STAGE_ROOT, OP_ROOT_OVERLAY);
	else
		return err_set(e, EINVAL, "the container has no root file system");
	for (size_t i = 0; i < s->nmounts; i++) {
		if (s->mounts[i].target[0] != '/')
			return err_set(e, EINVAL, "mount target '%s' is not absolute", s->mounts[i].target);
		add(p, STAGE_MOUNTS, OP_MOUNT)->mount = &s->mounts[i];
	}
	if (s->standard_dev)
		add(p, STAGE_MOUNTS, OP_STANDARD_DEV);
	for (size_t i = 0; i < s->ndevices; i++)
		add(p, STAGE_MOUNTS, OP_DEVICE)->device = &s->devices[i];
	for (size_t i = 0; i < s->nmounts; i++)
		if (s->mounts[i].late_set)
			add(p, STAGE_MOUNTS, OP_LATE_ATTRS)->mount = &s->mounts[i];
	if (s->nsecrets)
		add(p, STAGE_MOUNTS, OP_SECRETS);
	for (size_t i = 0; i < s->sysctls.count; i++)
		add_text(p, STAGE_MOUNTS, OP_SYSCTL, s->sysctls.items[i]);
	if (s->terminal)
		add(p, STAGE_MOUNTS, OP_TERMINAL);
	if (s->oom_score_adj_set && !plan_needs_joiner(s))
		add(p, STAGE_MOUNTS, OP_OOM_SCORE);
	/* Masks last: what was written through /proc above must still be reachable. */
	for (size_t i = 0; i < s->masked.count; i++)
		add_text(p, STAGE_MOUNTS, OP_MASK, s->masked.items[i]);
	for (size_t i = 0; i < s->read_only_paths.count; i++)
		add_text(p, STAGE_MOUNTS, OP_READ_ONLY, s->read_only_paths.items[i]);
	if (s->meets_caller)
		add(p, STAGE_MOUNTS, OP_MEET_PIVOT);
	return 0;
}

static void plan_process(struct plan *p)
{
	const struct rtspec *s = p->spec;
	if (s->passwd.count || s->group.count)
		add(p, STAGE_PROCESS, OP_ACCOUNTS);
	add(p, STAGE_PROCESS, OP_USER);
	for (size_t i = 0; i < s->nmounts; i++)
		if (s->mounts[i].chown)
			add(p, STAGE_PROCESS, OP_CHOWN)->mount = &s->mounts[i];
	add(p, STAGE_PROCESS, OP_CWD);
	for (size_t i = 0; i < s->nrlimits; i++)
		add(p, STAGE_PROCESS, OP_RLIMIT)->rlimit = &s->rlimits[i];
	if (s->scheduler.given)
		add(p, STAGE_PROCESS, OP_SCHEDULER);
	if (s->ioprio >= 0)
		add(p, STAGE_PROCESS, OP_IOPRIO);
	if (!s->keep_keyring)
		add(p, STAGE_PROCESS, OP_KEYRING);
	if (s->ns[RT_NS_NET].mode == RT_NS_HOST && !s->ids.given)
		add(p, STAGE_PROCESS, OP_ABSTRACT_SCOPE);
	if (s->root_read_only)
		add(p, STAGE_PROCESS, OP_ROOT_READ_ONLY);
	if (s->root_propagation)
		add(p, STAGE_PROCESS, OP_ROOT_PROPAGATION);
	add(p, STAGE_PROCESS, OP_SESSION);
	if (s->init)
		add(p, STAGE_PROCESS, OP_INIT);
	if (s->personality >= 0)
		add(p, STAGE_PROCESS, OP_PERSONALITY);
	add(p, STAGE_PROCESS, OP_UMASK);
}

static void plan_security(struct plan *p)
{
	const struct rtspec *s = p->spec;
	struct notifyd_config notify;
	if (s->meets_caller)
		add(p, STAGE_SECURITY, OP_MEET_EXEC);
	if (s->exec_label)
		add(p, STAGE_SECURITY, OP_EXEC_LABEL);
	/* Before the identity, which is then one of those that are answered; it needs CAP_SYS_ADMIN as well. */
	if (notifyd_config_from_spec(s, &notify))
		add(p, STAGE_SECURITY, OP_NOTIFY);
	if (s->connect.on)
		add(p, STAGE_SECURITY, OP_DENY_TCP);
	/* With no_new_privs the filter can and should come last, so that it need not allow what the steps before it use.
	 * Without, installing it needs CAP_SYS_ADMIN, which the identity step takes away. */
	if (p->filter && !s->no_new_privs)
		add(p, STAGE_SECURITY, OP_SECCOMP);
	add(p, STAGE_SECURITY, OP_IDENTITY);
	/* After the last change of credentials, which clears it (prctl(2)). */
	if (!s->outlives_parent)
		add(p, STAGE_SECURITY, OP_DEATH_SIGNAL);
	if (s->no_new_privs)
		add(p, STAGE_SECURITY, OP_NO_NEW_PRIVS);
	if (p->filter && s->no_new_privs)
		add(p, STAGE_SECURITY, OP_SECCOMP);
	add(p, STAGE_SECURITY, s->hold ? OP_HOLD : OP_EXEC);
}

int runtime_plan(const struct rtspec *spec, const struct idmap *map, const struct seccomp_filter *filter,
		 struct plan **ret_plan, struct err *e)
{
	if (!spec->hold && (!spec->args.count || !spec->args.items[0][0]))
		return err_hint((err_set(e, EINVAL, "no command: the image names none"), e),
				"give one after the image: rl run IMAGE COMMAND");
	struct plan *p = xcalloc(1, sizeof(*p));
	p->spec = spec;
	p->map = map;
	p->filter = filter;
	plan_early(p);
	int r = plan_mounts(p, e);
	if (r < 0) {
		runtime_plan_free(p);
		return r;
	}
	add(p, STAGE_PIVOT, OP_PIVOT);
	plan_process(p);
	plan_security(p);
	*ret_plan = p;
	return 0;
}

struct plan *plan_joined(const struct rtspec *spec, const struct idmap *map, const struct seccomp_filter *filter)
{
	struct plan *p = xcalloc(1, sizeof(*p));
	p->spec = spec;
	p->map = map;
	p->filter = filter;
	plan_process(p);
	plan_security(p);
	return p;
}

void runtime_plan_free(struct plan *p)
{
	if (!p)
		return;
	strv_free(&p->texts);
	free(p->ops);
	free(p);
}

static void print_attrs(unsigned set, struct str *out)
{
	if (set & MNT_RDONLY)
		str_adds(out, " ro");
	if (set & MNT_NOSUID)
		str_adds(out, " nosuid");
	if (set & MNT_NODEV)
		str_adds(out, " nodev");
	if (set & MNT_NOEXEC)
		str_adds(out, " noexec");
}

static void print_mount(const struct rt_mount *m, struct str *out)
{
	str_addf(out, "%s%s%s%s%s on %s", rt_mount_kind_name(m->kind), m->source ? " " : "", m->source ? m->source : "",
		 m->subpath ? "/" : "", m->subpath ? m->subpath : "", m->target);
	if (m->lowers.count)
		str_addf(out, " of %zu layers", m->lowers.count);
	print_attrs(m->set, out);
	if (m->recursive)
		str_adds(out, " recursive");
	if (m->options)
		str_addf(out, " (%s)", m->options);
}

static void print_root(const struct plan *p, struct str *out)
{
	const struct rtspec *s = p->spec;
	str_addf(out, "overlay of %zu layers%s%s", s->layers.count, s->upper ? ", writable" : "",
		 s->is_volatile ? ", volatile" : "");
	for (size_t i = 0; i < s->layers.count; i++)
		str_addf(out, "\n             lower %s", s->layers.items[i]);
	if (s->upper)
		str_addf(out, "\n             upper %s", s->upper);
}

static void print_secrets(const struct rtspec *s, struct str *out)
{
	str_adds(out, "secrets on a tmpfs:");
	for (size_t i = 0; i < s->nsecrets; i++)
		str_addf(out, " %s", s->secrets[i].target);
}

static void print_identity(const struct plan *p, struct str *out)
{
	str_addf(out, "become user '%s', capabilities 0x%llx, inheritable and ambient empty",
		 p->spec->user_text && *p->spec->user_text ? p->spec->user_text : "0",
		 (unsigned long long)p->spec->caps);
}

static void print_notify(const struct rtspec *s, struct str *out)
{
	str_adds(out, "have system calls answered by rl-notifyd:");
	if (s->emulate == RT_EMULATE_WRITE)
		str_adds(out, " changes of owners and identity");
	if (s->emulate == RT_EMULATE_FULL)
		str_adds(out, " owners and identity");
	if (s->connect.on)
		str_adds(out, " connections");
}

/* Operations on the process itself. */
static void print_process(const struct plan *p, const struct op *op, struct str *out)
{
	const struct rtspec *s = p->spec;
	switch ((int)op->kind) {
	case OP_OOM_SCORE:
		str_addf(out, "oom_score_adj %d", s->oom_score_adj);
		break;
	case OP_TERMINAL:
		str_addf(out, "terminal of %ux%u", (unsigned)s->columns, (unsigned)s->rows);
		break;
	case OP_SESSION:
		str_adds(out, "new session");
		break;
	case OP_USER:
		str_adds(out, "look up user, groups and home");
		break;
	case OP_ACCOUNTS:
		for (size_t i = 0; i < s->passwd.count; i++)
			str_addf(out, "%saccount %s", i ? ", " : "", s->passwd.items[i]);
		break;
	case OP_PERSONALITY:
		str_addf(out, "personality 0x%x", (unsigned)s->personality);
		break;
	case OP_CHOWN:
		str_addf(out, "give %s to that user", op->mount->target);
		break;
	case OP_CWD:
		str_addf(out, "working directory %s", s->cwd);
		break;
	case OP_RLIMIT:
		str_addf(out, "rlimit %d soft %lld hard %lld", op->rlimit->resource, (long long)op->rlimit->soft,
			 (long long)op->rlimit->hard);
		break;
	case OP_KEYRING:
		str_adds(out, "new empty session keyring");
		break;
	case OP_ABSTRACT_SCOPE:
		str_adds(out, "close the host's abstract sockets (Landlock)");
		break;
	case OP_INIT:
		str_adds(out, "stay as PID 1 and reap, go on in a child");
		break;
	case OP_UMASK:
		str_addf(out, "umask %04o", (unsigned)s->umask);
		break;
	case OP_DENY_TCP:
		str_adds(out, "forbid itself to connect and bind TCP sockets (Landlock)");
		break;
	case OP_NOTIFY:
		print_notify(s, out);
		break;
	case OP_SECCOMP:
		str_addf(out, "seccomp filter of %zu instructions", p->filter->count);
		break;
	case OP_IDENTITY:
		print_identity(p, out);
		break;
	case OP_NO_NEW_PRIVS:
		str_adds(out, "no_new_privs");
		break;
	case OP_DEATH_SIGNAL:
		str_adds(out, "die with rl");
		break;
	case OP_HOLD:
		str_adds(out, "stay and hold the namespaces");
		break;
	case OP_EXEC:
		str_adds(out, "exec");
		for (size_t i = 0; i < s->args.count; i++)
			str_addf(out, " %s", s->args.items[i]);
		break;
	}
}

void op_print(const struct plan *p, const struct op *op, struct str *out)
{
	const struct rtspec *s = p->spec;
	switch ((int)op->kind) {
	case OP_JOIN_NS:
		str_addf(out, "join %s namespace", rt_ns_name(op->ns));
		break;
	case OP_NETWORK:
		str_adds(out, "configure the network namespace");
		break;
	case OP_HOSTNAME:
		str_addf(out, "hostname %s", op->text);
		break;
	case OP_DOMAINNAME:
		str_addf(out, "domainname %s", op->text);
		break;
	case OP_PROPAGATION:
		str_adds(out, "make all mounts receive-only");
		break;
	case OP_OPEN_HOST:
		str_adds(out, "open what is mounted from the host");
		break;
	case OP_ROOT_OVERLAY:
		print_root(p, out);
		break;
	case OP_ROOT_BIND:
		str_addf(out, "root directory %s", op->text);
		break;
	case OP_ROOT_MEMORY:
		str_addf(out, "root of %zu directories and links on a tmpfs", s->nentries);
		break;
	case OP_MOUNT:
		print_mount(op->mount, out);
		break;
	case OP_DEVICE:
		str_addf(out, "device %s as %s", op->device->source, op->device->target);
		break;
	case OP_SECRETS:
		print_secrets(s, out);
		break;
	case OP_STANDARD_DEV:
		str_adds(out, "nodes and links of /dev");
		break;
	case OP_SYSCTL:
		str_addf(out, "sysctl %s", op->text);
		break;
	case OP_MASK:
		str_addf(out, "mask %s", op->text);
		break;
	case OP_READ_ONLY:
		str_addf(out, "read-only %s", op->text);
		break;
	case OP_LATE_ATTRS:
		str_addf(out, "attributes of %s:", op->mount->target);
		print_attrs(op->mount->late_set, out);
		break;
	case OP_MEET_PIVOT:
	case OP_MEET_EXEC:
		str_adds(out, "meet the caller");
		break;
	case OP_ROOT_PROPAGATION:
		str_addf(out, "propagation of the root 0x%lx", s->root_propagation);
		break;
	case OP_TIME:
		str_adds(out, "time namespace");
		break;
	case OP_SCHEDULER:
		str_addf(out, "scheduling policy %u", (unsigned)s->scheduler.policy);
		break;
	case OP_IOPRIO:
		str_addf(out, "priority of input and output 0x%x", (unsigned)s->ioprio);
		break;
	case OP_EXEC_LABEL:
		str_addf(out, "label %s", s->exec_label);
		break;
	case OP_PIVOT:
		str_adds(out, "pivot_root, detach the host");
		break;
	case OP_ROOT_READ_ONLY:
		str_adds(out, "root read-only");
		break;
	default:
		print_process(p, op, out);
		break;
	}
}

void runtime_plan_print(const struct plan *p, struct str *out)
{
	static const char *const stages[] = {
		[STAGE_EARLY] = "early",       [STAGE_HOST] = "host",	[STAGE_ROOT] = "root",
		[STAGE_MOUNTS] = "mounts",     [STAGE_PIVOT] = "pivot", [STAGE_PROCESS] = "process",
		[STAGE_SECURITY] = "security",
	};
	_Static_assert(ARRAY_SIZE(stages) == STAGE_COUNT, "a name for every stage");
	str_adds(out, "clone       ");
	for (int i = 0; i < RT_NS_COUNT; i++)
		if (p->spec->ns[i].mode == RT_NS_NEW)
			str_addf(out, " %s", rt_ns_name((enum rt_ns_kind)i));
	str_addf(out, "\nid map       %s\n", p->map ? p->map->key : "the caller's");
	for (int i = 0; i < RT_NS_COUNT && plan_needs_joiner(p->spec); i++)
		if (p->spec->ns[i].mode == RT_NS_JOIN)
			str_addf(out, "before clone join %s namespace\n", rt_ns_name((enum rt_ns_kind)i));
	for (size_t i = 0; i < p->nops; i++) {
		str_addf(out, "%-12s ", stages[p->ops[i].stage]);
		op_print(p, &p->ops[i], out);
		str_addc(out, '\n');
	}
}
