/*
 * container_select.c - which containers are meant: names, --all, --latest, --last, --filter.
 *
 * Filters of one name are alternatives, filters of different names must all hold; labels must all hold (docker's rules).
 */
#include <errno.h>
#include <regex.h>
#include <stdlib.h>

#include "container_int.h"
#include "rl/base/fmt.h"
#include "rl/base/mem.h"
#include "rl/model/port_opt.h"
#include "rl/svc/container.h"

static const char *const filter_names[] = {"name",
					   "id",
					   "status",
					   "label",
					   "ancestor",
					   "exited",
					   "before",
					   "since",
					   "until",
					   "health",
					   "restart-policy",
					   "network",
					   "volume",
					   "label!",
					   "pod",
					   "publish",
					   "expose",
					   "is-task",
					   "should-start-on-boot",
					   NULL};

static bool one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (str_eq(text, *words))
			return true;
	return false;
}

/* Values that nothing can ever have are typing errors. */
static int check_value(const char *name, const char *text, const char *value, struct err *e)
{
	static const char *const healths[] = {"none", "starting", "healthy", "unhealthy", NULL};
	/* docker's and podman's, of states that are not known here or have another name */
	static const char *const states[] = {"stopped", "removing", "configured", "initialized", "unknown", NULL};
	enum record_status status;
	uint64_t code;
	int64_t when;
	int r = 0;
	if (str_eq(name, "status") && !one_of(value, states))
		r = record_status_parse(value, &status, e);
	else if (str_eq(name, "exited"))
		r = str_to_u64(value, 255, "the exit status", &code, e);
	else if (str_eq(name, "until"))
		return fmt_parse_when(value, "--filter until", container_now(), &when, e);
	else if (str_eq(name, "health") && !one_of(value, healths))
		r = err_set(e, EINVAL, "'%s' is not a health (none, starting, healthy, unhealthy)", value);
	return r < 0 ? err_ctx(e, "--filter '%s'", text) : 0;
}

static int check_filter(const char *text, struct err *e)
{
	const char *eq = strchr(text, '=');
	if (!eq || eq == text)
		return err_set(e, EINVAL, "--filter '%s': NAME=VALUE is expected", text);
	autofree char *name = xstrndup(text, (size_t)(eq - text));
	if (one_of(name, filter_names))
		return check_value(name, text, eq + 1, e);
	const char *near = str_nearest(name, filter_names);
	err_set(e, EINVAL, "--filter '%s': there is no filter '%s'", text, name);
	return near ? err_hint(e, "did you mean '%s'?", near) : -EINVAL;
}

static bool matches_regex(const char *pattern, const char *text)
{
	regex_t re;
	if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return strstr(text, pattern) != NULL;
	bool found = regexec(&re, text, 0, NULL, 0) == 0;
	regfree(&re);
	return found;
}

static bool has_label(const struct container_rec *c, const char *want)
{
	for (size_t i = 0; i < c->config.labels.count; i++) {
		const char *label = c->config.labels.items[i];
		const char *rest = str_after(label, want);
		if (rest && (!*rest || (*rest == '=' && !strchr(want, '='))))
			return true;
	}
	return false;
}

static bool has_volume(const struct container_rec *c, const char *want)
{
	for (size_t i = 0; i < c->config.o.nmounts; i++) {
		const struct mount_opt *m = &c->config.o.mounts[i];
		if (str_eq(m->target, want) || (m->source && str_eq(m->source, want)))
			return true;
	}
	return false;
}

static bool is_ancestor(const struct container_rec *c, const char *want)
{
	const char *id = c->config.image_id ? c->config.image_id : "";
	const char *hex = str_after(id, "sha256:");
	const char *image = c->config.image;
	size_t n = strlen(image);
	size_t m = strlen(want);
	if (str_eq(image, want) || str_eq(id, want) || (hex && m >= 4 && str_after(hex, want)))
		return true;
	/* "busybox" for docker.io/library/busybox:latest */
	const char *at = strstr(image, want);
	return at && (at == image || at[-1] == '/') && (at[m] == '\0' || at[m] == ':') && n >= m;
}

struct selecting {
	const struct strv *filters;
	const struct container_list *all;
	int64_t now;
};

static int64_t created_of(const struct selecting *s, const char *name)
{
	for (size_t i = 0; i < s->all->count; i++) {
		const struct container_rec *c = &s->all->items[i];
		if (!c->broken && (str_eq(c->config.name, name) || str_after(c->config.id, name)))
			return c->config.created;
	}
	return -1;
}

/* before= and since= name a container. */
static int check_named(const struct selecting *s, struct err *e)
{
	for (size_t i = 0; s->filters && i < s->filters->count; i++) {
		const char *name = str_after(s->filters->items[i], "before=");
		name = name ? name : str_after(s->filters->items[i], "since=");
		if (name && created_of(s, name) < 0)
			return err_set(e, ENOENT, "--filter '%s': there is no container '%s'", s->filters->items[i],
				       name);
	}
	return 0;
}

/* By the pod's name or the beginning of its id: its holder is a container of that name. */
static bool in_pod(const struct selecting *s, const struct container_rec *c, const char *want)
{
	if (!c->config.o.pod || !*want)
		return false;
	if (str_after(c->config.o.pod, want))
		return true;
	for (size_t i = 0; i < s->all->count; i++) {
		const struct container_rec *h = &s->all->items[i];
		if (!h->broken && h->config.o.holder && str_eq(h->config.id, c->config.o.pod))
			return str_eq(h->config.name, want);
	}
	return false;
}

/* "24h" ago, or a time. */
static int64_t time_limit(const struct selecting *s, const char *text)
{
	int64_t ns;
	return fmt_parse_when(text, "--filter until", s->now, &ns, NULL) == 0 ? ns : 0;
}

static bool is_true(const char *value)
{
	return str_eq(value, "true") || str_eq(value, "1");
}

/* docker's and podman's words for what a container has by default are understood. */
static bool on_network(const struct run_opts *o, const char *want)
{
	switch (o->network.kind) {
	case NETWORK_SLIRP:
		return str_eq(want, "slirp") || str_eq(want, "bridge") || str_eq(want, "default");
	case NETWORK_NONE:
		return str_eq(want, "none");
	case NETWORK_HOST:
		return str_eq(want, "host");
	case NETWORK_CONTAINER:
	case NETWORK_NS:
		return false;
	case NETWORK_NAMED:
		return run_opts_wants_network(o, want);
	}
	return false;
}

static bool overlap(const struct port_opt *a, uint16_t first, uint16_t last, bool udp)
{
	return a->udp == udp && a->first <= last && first <= a->last;
}

/* "80", "80/udp", "80-90/tcp": ports of the host, or those inside. */
static bool has_port(const struct run_opts *o, const char *want, bool inside)
{
	struct port_opt w;
	struct port_opt p;
	if (port_opt_parse_expose(want, &w, NULL) < 0)
		return false;
	for (size_t i = 0; i < o->publish.count; i++)
		if (port_opt_parse(o->publish.items[i], &p, NULL) == 0 &&
		    overlap(&w, inside ? p.first : p.host_first, inside ? p.last : p.host_last, p.udp))
			return true;
	for (size_t i = 0; inside && i < o->expose.count; i++)
		if (port_opt_parse_expose(o->expose.items[i], &p, NULL) == 0 && overlap(&w, p.first, p.last, p.udp))
			return true;
	return false;
}

/* podman's: always, and unless-stopped unless somebody stopped it. */
static bool starts_on_boot(const struct container_rec *c)
{
	enum restart_policy policy = c->config.o.restart;
	return policy == RESTART_ALWAYS || (policy == RESTART_UNLESS_STOPPED && !c->state.stopped_by_user);
}

static bool passes_one(const struct selecting *s, const struct container_rec *c, const char *name, const char *value)
{
	const struct run_opts *o = &c->config.o;
	if (str_eq(name, "name"))
		return matches_regex(*value == '/' ? value + 1 : value, c->config.name);
	if (str_eq(name, "id"))
		return str_after(c->config.id, value) != NULL;
	if (str_eq(name, "status"))
		return str_eq(record_status_name(c->status), value) ||
		       (str_eq(value, "stopped") && c->status == RECORD_EXITED);
	if (str_eq(name, "label"))
		return has_label(c, value);
	if (str_eq(name, "label!"))
		return !has_label(c, value);
	if (str_eq(name, "ancestor"))
		return is_ancestor(c, value);
	if (str_eq(name, "exited")) {
		uint64_t code;
		return c->status == RECORD_EXITED && str_to_u64(value, 255, name, &code, NULL) == 0 &&
		       c->state.exit_code == (int)code;
	}
	if (str_eq(name, "before"))
		return c->config.created < created_of(s, value);
	if (str_eq(name, "since"))
		return c->config.created > created_of(s, value);
	if (str_eq(name, "until"))
		return c->config.created < time_limit(s, value);
	if (str_eq(name, "health"))
		return str_eq(c->state.health.status ? c->state.health.status : "none", value);
	if (str_eq(name, "restart-policy"))
		return str_eq(run_opts_restart_name(o->restart), value);
	if (str_eq(name, "pod"))
		return in_pod(s, c, value);
	if (str_eq(name, "network"))
		return on_network(o, value);
	if (str_eq(name, "publish") || str_eq(name, "expose"))
		return has_port(o, value, str_eq(name, "expose"));
	if (str_eq(name, "is-task"))
		return !is_true(value); /* of docker's swarm: nothing here is one */
	if (str_eq(name, "should-start-on-boot"))
		return starts_on_boot(c) == is_true(value);
	return has_volume(c, value);
}

static bool passes(const struct selecting *s, const struct container_rec *c)
{
	for (size_t n = 0; filter_names[n]; n++) {
		const char *name = filter_names[n];
		bool all = str_eq(name, "label") || str_eq(name, "label!");
		size_t given = 0;
		size_t held = 0;
		for (size_t i = 0; s->filters && i < s->filters->count; i++) {
			const char *rest = str_after(s->filters->items[i], name);
			if (!rest || *rest != '=')
				continue;
			given++;
			held += passes_one(s, c, name, rest + 1);
		}
		if (given && (all ? held < given : !held))
			return false;
	}
	return true;
}

static bool shows_stopped(const struct container_selection *sel)
{
	if (!sel->running_only || sel->latest || sel->last)
		return true;
	/* docker: asking for a status or an exit code asks for containers that do not run, too */
	for (size_t i = 0; sel->filters && i < sel->filters->count; i++)
		if (str_after(sel->filters->items[i], "status=") || str_after(sel->filters->items[i], "exited="))
			return true;
	return false;
}

int container_select_list(const struct store *s, const struct container_selection *sel, struct container_list *l,
			  struct err *e)
{
	for (size_t i = 0; sel->filters && i < sel->filters->count; i++)
		if (check_filter(sel->filters->items[i], e) < 0)
			return -EINVAL;
	int r = container_store_list_brief(s, l, e);
	if (r < 0)
		return r;
	struct selecting x = {.filters = sel->filters, .all = l, .now = container_now()};
	r = check_named(&x, e);
	if (r < 0)
		return r;
	autofree bool *keep = xcalloc(l->count + 1, sizeof(bool));
	size_t most = sel->latest ? 1 : sel->last > 0 ? (size_t)sel->last : SIZE_MAX;
	size_t n = 0;
	for (size_t i = 0; i < l->count && n < most; i++) {
		const struct container_rec *c = &l->items[i];
		if (!c->broken && c->config.o.holder)
			continue; /* pods are seen by 'rl pod' */
		bool shown = c->broken ? shows_stopped(sel) && !(sel->filters && sel->filters->count)
				       : (shows_stopped(sel) || container_rec_is_alive(c)) && passes(&x, c);
		keep[i] = shown;
		n += shown;
	}
	n = 0;
	for (size_t i = 0; i < l->count; i++) {
		if (keep[i])
			l->items[n++] = l->items[i];
		else
			container_rec_free(&l->items[i]);
	}
	l->count = n;
	return 0;
}

static int add_names(const struct store *s, const struct strv *names, struct strv *out, struct err *e)
{
	for (size_t i = 0; i < names->count; i++) {
		autorec struct container_rec c = CONTAINER_REC_INIT;
		int r = container_store_find(s, names->items[i], &c, e);
		if (r < 0)
			return r;
		strv_add(out, c.config.id);
	}
	return 0;
}

int container_select(const char *root, const struct container_selection *sel, struct strv *ret_ids, struct err *e)
{
	struct store s;
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	if (sel->names && sel->names->count)
		r = add_names(&s, sel->names, ret_ids, e);
	if (r == 0 && (sel->all || sel->latest || sel->last || (sel->filters && sel->filters->count))) {
		struct container_list l = {.items = NULL};
		r = container_select_list(&s, sel, &l, e);
		for (size_t i = 0; r == 0 && i < l.count; i++)
			strv_add(ret_ids, l.items[i].config.id);
		container_list_free(&l);
		if (r == 0 && sel->latest && !ret_ids->count)
			r = err_set(e, ENOENT, "there is no container");
	}
	store_close(&s);
	return r;
}
