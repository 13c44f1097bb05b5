/* container_health.c - a health check out of its turn: the monitor runs it, because it alone writes the state. */
#include <errno.h>
#include <unistd.h>

#include "monitor_int.h"
#include "rl/base/mem.h"
#include "rl/svc/container.h"

static int ask(const struct container_rec *rec, int *ret_code, struct str *ret_output, struct err *e)
{
	char msg[1 + ATTACH_DATA_MAX];
	size_t len = 0;
	autofd int conn = container_attach_connect(rec, 0, e);
	int r = conn < 0 ? conn : container_attach_send(conn, ATTACH_HEALTH, NULL, 0, e);
	if (r < 0)
		return r;
	while ((r = container_attach_receive(conn, msg, sizeof(msg), &len, e)) == 1) {
		if (msg[0] != ATTACH_HEALTH || len < 1 + sizeof(int))
			continue;
		memcpy(ret_code, msg + 1, sizeof(int));
		str_add(ret_output, msg + 1 + sizeof(int), len - 1 - sizeof(int));
		return 0;
	}
	return r < 0 ? r : err_set(e, EPIPE, "container %s has ended", rec->config.name);
}

int container_healthcheck(const char *root, const char *name, int *ret_code, struct str *ret_output, struct err *e)
{
	struct store s;
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	autorec struct container_rec rec = CONTAINER_REC_INIT;
	r = container_store_find(&s, name, &rec, e);
	if (r == 0 && !rec.config.health.test.count) {
		err_set(e, EINVAL, "container %s has no health check", rec.config.name);
		r = err_hint(e, "--health-cmd gives it one when it is made");
	} else if (r == 0 && !container_rec_is_running(&rec)) {
		r = err_set(e, EINVAL, "container %s is not running", rec.config.name);
	}
	if (r == 0)
		r = ask(&rec, ret_code, ret_output, e);
	store_close(&s);
	return r;
}
