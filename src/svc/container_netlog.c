/* container_netlog.c - see container_netlog.h. */
#include "rl/svc/container_netlog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "rl/base/fmt.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/engine/net_log.h"
#include "rl/svc/container_store.h"

struct all {
	struct net_log_event *items;
	size_t count;
	uint64_t lost;
};

static int by_time(const void *a, const void *b)
{
	const struct net_log_event *x = a, *y = b;
	return x->last_ns < y->last_ns ? -1 : x->last_ns > y->last_ns;
}

static int read_one(int dirfd, const char *file, struct all *ret, struct err *e)
{
	struct net_log_event *events = NULL;
	size_t count = 0;
	uint64_t lost = 0;
	int r = net_log_read(dirfd, file, &events, &count, &lost, e);
	if (r < 0)
		return r;
	ret->items = xreallocarray(ret->items, ret->count + count + 1, sizeof(*ret->items));
	if (count)
		memcpy(ret->items + ret->count, events, count * sizeof(*events));
	ret->count += count;
	ret->lost += lost;
	free(events);
	return 0;
}

static int read_all(int dirfd, struct all *ret, struct err *e)
{
	autostrv struct strv files = STRV_INIT;
	int r = io_list_dir(dirfd, &files, e);
	for (size_t i = 0; i < files.count && r >= 0; i++)
		if (str_after(files.items[i], CONTAINER_NETLOG_PREFIX))
			r = read_one(dirfd, files.items[i], ret, e);
	if (r >= 0 && ret->count)
		qsort(ret->items, ret->count, sizeof(*ret->items), by_time);
	return r;
}

static json_t *row_of(const struct net_log_event *event)
{
	json_t *row = json_object();
	char address[INET6_ADDRSTRLEN] = "";
	char port[8] = "";
	char first[FMT_SIZE], last[FMT_SIZE];
	if (event->family)
		(void)inet_ntop(event->family, event->address, address, sizeof(address));
	if (event->port)
		snprintf(port, sizeof(port), "%u", event->port);
	fmt_time((int64_t)(event->first_ns / 1000000000), first);
	fmt_time((int64_t)(event->last_ns / 1000000000), last);
	json_put_str(row, "Time", last);
	json_put_str(row, "First", first);
	json_put_str(row, "Protocol", net_log_kind_name(event->kind));
	json_put_str(row, "Address", address);
	json_put_str(row, "Port", port);
	json_put_str(row, "Name", event->name);
	json_put_str(row, "Verdict", event->allowed ? "allowed" : "refused");
	json_put_int(row, "Count", (int64_t)event->count);
	return row;
}

static int check_policy(const struct container_rec *rec, struct err *e)
{
	const struct run_opts *o = &rec->config.o;
	if (o->allow_net.count || o->deny_net.count)
		return 0;
	err_set(e, ENOENT, "container %s has no policy of its own: nothing is noted", rec->config.name);
	if (o->network.kind == NETWORK_CONTAINER)
		return err_hint(e, "it uses the network of %.12s", o->network.name);
	return err_hint(e, "--allow-net and --deny-net of 'rl run' make one");
}

int container_netlog(const char *root, const char *name, bool all, json_t **ret_rows, uint64_t *ret_lost, struct err *e)
{
	struct store s;
	struct all found = {.items = NULL};
	int r = store_open(root, false, &s, e);
	if (r < 0)
		return r;
	autorec struct container_rec rec = CONTAINER_REC_INIT;
	r = container_store_find(&s, name, &rec, e);
	if (r == 0)
		r = check_policy(&rec, e);
	if (r == 0)
		r = read_all(rec.dirfd, &found, e);
	store_close(&s);
	autojson json_t *rows = json_array();
	for (size_t i = 0; i < found.count && r == 0; i++)
		if (all || !found.items[i].allowed)
			json_array_append_new(rows, row_of(&found.items[i]));
	free(found.items);
	if (r < 0)
		return r;
	*ret_lost = found.lost;
	*ret_rows = take_ptr(&rows);
	return 0;
}
