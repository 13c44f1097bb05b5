/*
 * loop.c - which handler a call belongs to, and the rounds: a call, its handler, the answer.
 */
#include <errno.h>
#include <linux/audit.h>

#include "notifyd.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"

/* Why the loop ended. */
enum { LOOP_IDLE, LOOP_ENDED };

enum seccomp_arch notifyd_arch(const struct seccomp_notif *req)
{
	enum seccomp_arch native = seccomp_native_arch();
	if (req->data.arch != seccomp_arch_audit(native))
		return native == SECCOMP_ARCH_X86_64 ? SECCOMP_ARCH_X86 : SECCOMP_ARCH_ARM;
	return native == SECCOMP_ARCH_X86_64 && ((uint32_t)req->data.nr & SECCOMP_X32_BIT) ? SECCOMP_ARCH_X32 : native;
}

/* ---- the table ---- */

static int add_call(struct notifyd *d, const struct notifyd_call *call, struct err *e)
{
	uint32_t archs = seccomp_arch_family(seccomp_native_arch());
	uint32_t nr;
	if (d->ncalls == NOTIFYD_CALLS_MAX)
		return err_set(e, E2BIG, "more than %d system calls", NOTIFYD_CALLS_MAX);
	d->calls[d->ncalls++] = call;
	for (enum seccomp_arch a = 0; a < SECCOMP_ARCH_N; a++) {
		if (!(archs & SECCOMP_ARCH_BIT(a)) || !seccomp_syscall_number(a, call->name, &nr))
			continue;
		nr &= ~SECCOMP_X32_BIT;
		if (nr >= NOTIFYD_NUMBERS_MAX)
			return err_set(e, ERANGE, "%s has number %u", call->name, nr);
		uint16_t *slot = &d->index[a][nr];
		if (*slot && (d->calls[*slot - 1]->handler != call->handler || d->calls[*slot - 1]->arg != call->arg))
			return err_set(e, EEXIST, "two handlers of %s", call->name);
		*slot = (uint16_t)d->ncalls;
	}
	return 0;
}

static void add_rule(struct seccomp_rule *rule, const struct notifyd_call *call)
{
	*rule = (struct seccomp_rule){.name = call->name, .action = SECCOMP_RET_USER_NOTIF, .nconds = call->nconds};
	for (size_t i = 0; i < call->nconds; i++)
		rule->conds[i] = call->conds[i];
}

int notifyd_prepare(struct notifyd *d, struct seccomp_program *ret_filter, struct err *e)
{
	autofree struct seccomp_rule *rules = xcalloc(2 * NOTIFYD_CALLS_MAX, sizeof(*rules));
	size_t nrules = 0;
	int r = 0;
	for (const struct notifyd_module *const *m = notifyd_modules; *m && r == 0; m++) {
		size_t n;
		if (!(*m)->is_wanted(&d->cfg))
			continue;
		const struct notifyd_call *calls = (*m)->calls(&d->cfg, &n);
		for (size_t i = 0; i < n && r == 0; i++) {
			r = add_call(d, &calls[i], e);
			if (r == 0)
				add_rule(&rules[nrules++], &calls[i]);
		}
		if (nrules + (*m)->nrefused > 2 * NOTIFYD_CALLS_MAX)
			return err_set(e, E2BIG, "%s: too many rules", (*m)->name);
		for (size_t i = 0; i < (*m)->nrefused; i++)
			rules[nrules++] = (*m)->refused[i];
		d->in_container |= (*m)->enters_container;
		d->uses_loop |= (*m)->uses_loop;
	}
	return r < 0 ? r : seccomp_notify_filter(rules, nrules, ret_filter, e);
}

/* ---- rounds ---- */

static void handle(struct notifyd *d)
{
	const struct seccomp_notif *req = d->notify.req;
	uint32_t nr = (uint32_t)req->data.nr & ~SECCOMP_X32_BIT;
	size_t at = nr < NOTIFYD_NUMBERS_MAX ? d->index[notifyd_arch(req)][nr] : 0;
	/* The filter traps nothing else. */
	const struct notifyd_call *call = at ? d->calls[at - 1] : NULL;
	/* pid 0: the caller is in no pid namespace of ours; nothing could be found out about it. */
	int64_t value = call && req->pid ? call->handler(d, req, call->arg) : -ENOSYS;
	if (value == NOTIFYD_CONTINUE)
		(void)!seccomp_notify_continue(&d->notify, req->id);
	else if (value != NOTIFYD_ANSWERED && value != NOTIFYD_LATER)
		(void)!seccomp_notify_answer(&d->notify, req->id, value);
}

static int on_listener(void *arg, uint32_t events, struct err *e)
{
	struct notifyd *d = arg;
	int r = 0;
	if (events & EPOLLIN)
		r = seccomp_notify_take(&d->notify, e);
	else if (events & (EPOLLHUP | EPOLLERR))
		event_quit(&d->loop, LOOP_ENDED);
	if (r > 0)
		handle(d);
	return r < 0 && r != -EAGAIN ? r : 0;
}

void notifyd_pending(struct notifyd *d, int change)
{
	d->pending = (unsigned)((int)d->pending + change);
	if (!d->pending)
		event_quit(&d->loop, LOOP_IDLE);
}

/* Until no module waits for anything but calls. */
static int serve_pending(struct notifyd *d, struct err *e)
{
	int r = event_add(&d->loop, &d->listener_src, d->notify.fd, EPOLLIN, on_listener, d, e);
	if (r < 0)
		return r;
	r = event_run(&d->loop, e);
	event_del(&d->loop, &d->listener_src);
	return r;
}

/* Whoever sleeps in RECV is woken on the caller's processor, which is three times as fast as the way through epoll; so
 * the loop runs only while there is something else to wait for. */
int notifyd_serve(struct notifyd *d, struct err *e)
{
	int r;
	while ((r = seccomp_notify_next(&d->notify, e)) > 0) {
		handle(d);
		for (r = LOOP_IDLE; d->pending && r == LOOP_IDLE;)
			r = serve_pending(d, e);
		if (r != LOOP_IDLE)
			return r < 0 ? r : 0;
	}
	return r;
}
