/*
 * http.c - exchanges with servers, and the loop that drives them.
 *
 * An exchange (struct http_xfer) is one logical request: it ends with one result however many attempts, redirects and
 * tokens that takes.
 *
 *     NEW -> QUEUED (until not_before) -> [TOKEN (auth.c fetches one)] -> RUNNING (in the multi handle) -> DONE
 *                ^------ redirect, 401, retry, https -> http of insecure endpoints ------'
 *
 * Redirects are followed here, not by libcurl, because each hop is a decision: the Authorization header is only ever
 * put on requests to the endpoint's own origin; http only if the endpoint is insecure; addresses by addr_may_lead_to,
 * for literal hosts in hop_allowed and for what names resolve to in open_socket, that is, in the moment of connecting.
 *
 * Bounds: header bytes of an attempt, collected reply bytes, redirects, attempts. A transfer below REGISTRY_STALL_RATE
 * for the stall time ends as a timeout; exchanges that are not streams have a time limit of their own as well.
 *
 * Failure policy: outcome in x->err, text begins with the endpoint as shown to people. What is worth another attempt is
 * decided in worth_retrying; the pauses double from retry_delay_ms and have up to half of themselves added at random.
 */
#include "registry_int.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"

#include "http_easy.h"

enum { BACKOFF_MAX_MS = 30000, LOOP_TICK_MS = 1000 };

int64_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- life ---- */

struct http_xfer *http_new(struct registry *r, struct http_endpoint *ep, struct auth_ctx *auth, const char *method,
			   char *target)
{
	struct http_xfer *x = xcalloc(1, sizeof(*x));
	x->r = r;
	x->ep = ep;
	x->auth = auth;
	x->method = method;
	x->target = target;
	x->reply_max = HTTP_ERROR_BODY_MAX;
	x->retries = r->o.retries;
	x->text = (struct str)STR_INIT;
	x->reply.content_length = -1;
	return x;
}

static void unlink_xfer(struct http_xfer *x)
{
	for (struct http_xfer **p = &x->r->xfers; *p; p = &(*p)->next) {
		if (*p == x) {
			*p = x->next;
			break;
		}
	}
	x->next = NULL;
}

static void drop_easy(struct http_xfer *x)
{
	if (x->easy) {
		curl_multi_remove_handle(x->r->multi, x->easy);
		curl_easy_cleanup(x->easy);
		x->easy = NULL;
	}
	curl_slist_free_all(x->attempt_headers);
	x->attempt_headers = NULL;
}

void http_abandon(struct http_xfer *x)
{
	if (x->state == HTTP_DONE || x->state == HTTP_NEW)
		return;
	drop_easy(x);
	unlink_xfer(x);
	x->state = HTTP_DONE;
	x->result = -ECANCELED;
}

static void wipe(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

void http_free(struct http_xfer *x)
{
	if (!x)
		return;
	http_abandon(x);
	drop_easy(x);
	http_reply_clear(&x->reply);
	url_free(&x->url);
	strv_free(&x->headers);
	str_free(&x->text);
	wipe(x->basic);
	wipe(x->owned_body);
	free(x->target);
	free(x);
}

static void queue(struct http_xfer *x, int64_t delay_ms)
{
	x->not_before = now_ms() + delay_ms;
	x->state = HTTP_QUEUED;
}

void http_start(struct http_xfer *x)
{
	x->next = x->r->xfers;
	x->r->xfers = x;
	queue(x, 0);
}

static void finish(struct http_xfer *x, int result)
{
	drop_easy(x);
	unlink_xfer(x);
	x->state = HTTP_DONE;
	x->result = result;
	if (x->on_done)
		x->on_done(x);
}

int http_refuse(struct http_xfer *x, int code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	autofree char *text = xvasprintf(fmt, ap);
	va_end(ap);
	err_clear(&x->err);
	x->aborted = true;
	return err_set(&x->err, code, "%s: %s", x->ep->shown, text);
}

void http_resume(struct http_xfer *x)
{
	if (x->state == HTTP_RUNNING && x->easy)
		curl_easy_pause(x->easy, CURLPAUSE_CONT);
}

/* ---- retries ---- */

static int64_t backoff_ms(const struct registry *r, unsigned attempt)
{
	unsigned shift = RL_MIN(attempt ? attempt - 1 : 0, 10u);
	int64_t delay = RL_MIN((int64_t)r->o.retry_delay_ms << shift, (int64_t)BACKOFF_MAX_MS);
	unsigned jitter = 0;
	io_random(&jitter, sizeof(jitter));
	return delay + (delay > 1 ? (int64_t)(jitter % (unsigned)(delay / 2 + 1)) : 0);
}

/* One more attempt, if there are any left. at_least_ms: from Retry-After. */
static bool retry(struct http_xfer *x, int64_t at_least_ms)
{
	if (x->received >= HTTP_PROGRESS_RESETS)
		x->attempts = 0;
	x->attempts++;
	x->attempts_total++;
	if (x->once || (int)x->attempts > x->retries || x->attempts_total > HTTP_ATTEMPTS_TOTAL)
		return false;
	int64_t delay = RL_MAX(backoff_ms(x->r, x->attempts), at_least_ms);
	log_debug(LOG_REGISTRY, "%s: attempt %u failed (%s), again in %lld ms", x->ep->shown, x->attempts_total,
		  x->err.text, (long long)delay);
	x->redirects = 0;
	queue(x, delay);
	return true;
}

void http_start_later(struct http_xfer *x, unsigned attempt)
{
	http_start(x);
	queue(x, backoff_ms(x->r, attempt));
}

bool http_again(struct http_xfer *x, bool now)
{
	struct err keep = x->err;
	x->next = x->r->xfers;
	x->r->xfers = x;
	if (now && x->attempts_total++ < HTTP_ATTEMPTS_TOTAL) {
		x->redirects = 0;
		queue(x, 0);
		return true;
	}
	if (!now && retry(x, 0))
		return true;
	unlink_xfer(x);
	x->state = HTTP_DONE;
	x->err = keep;
	return false;
}

/* ---- outcome of an attempt ---- */

static bool worth_retrying(const struct http_xfer *x, CURLcode c)
{
	switch (http_curl_kind(c)) {
	case HTTP_FAIL_NAME:
	case HTTP_FAIL_CONNECT:
	case HTTP_FAIL_TIMEOUT:
	case HTTP_FAIL_BROKEN:
		return true;
	case HTTP_FAIL_TLS:
		/* A peer that hung up in the middle; everything else about TLS will be the same next time. */
		return strstr(x->errbuf, "SYSCALL") != NULL;
	case HTTP_FAIL_CERT:
	case HTTP_FAIL_OTHER:
		break;
	}
	return false;
}

/* An insecure registry may speak only http: found out by https failing before anything was said over it. */
static bool fall_back_to_http(struct http_xfer *x, CURLcode c)
{
	struct http_endpoint *ep = x->ep;
	enum http_fail kind = http_curl_kind(c);
	/* Once http has answered, attempts that were begun with https before that still end here. */
	bool settled = ep->decided && !ep->plain;
	if (!ep->insecure || settled || x->target[0] != '/' || x->redirects || str_eq(x->url.scheme, "http") ||
	    kind == HTTP_FAIL_NAME || kind == HTTP_FAIL_CERT || kind == HTTP_FAIL_OTHER)
		return false;
	log_debug(LOG_REGISTRY, "%s: no https (%s), trying http", ep->shown, x->errbuf);
	ep->plain = true;
	queue(x, 0);
	return true;
}

/* ---- redirects ---- */

static int hop_allowed(struct http_xfer *x, const struct url *to, bool same)
{
	enum addr_class from = http_leads_from(x), class;
	if (same || http_is_own_origin(x, to))
		return 0;
	if (x->strict)
		return http_refuse(x, EPERM, "redirect from a token server to another (%s) refused", to->host);
	if (str_eq(to->scheme, "http") && !x->ep->insecure)
		return http_refuse(x, EPERM, "redirect to http (%s) refused", to->host);
	if (addr_class_of_host(to->host, &class) && !addr_may_lead_to(from, class))
		return http_refuse(x, EPERM, "redirect to an internal address (%s) refused", to->host);
	return 0;
}

static int set_hop(struct http_xfer *x, struct url *to, bool same)
{
	url_free(&x->url);
	x->url = *to;
	memset(to, 0, sizeof(*to));
	x->same_origin = same;
	x->left_origin = !same;
	if (same) {
		x->hop_ep = x->ep;
	} else {
		bool standard = str_eq(x->url.port, str_eq(x->url.scheme, "https") ? "443" : "80");
		autofree char *authority = xasprintf("%s%s%s", x->url.host, standard ? "" : ":",
						     standard ? "" : x->url.port);
		x->hop_ep = endpoint_get(x->r, authority, authority, false);
	}
	return 0;
}

static int follow(struct http_xfer *x)
{
	autourl struct url to = {.text = NULL};
	bool reading = str_eq(x->method, "GET") || str_eq(x->method, "HEAD");
	if (++x->redirects > HTTP_REDIRECTS_MAX)
		return http_refuse(x, EPROTO, "more than %d redirects", HTTP_REDIRECTS_MAX);
	int r = url_resolve(x->url.text, x->reply.location, &to, &x->err);
	if (r < 0)
		return err_ctx(&x->err, "%s: redirect", x->ep->shown);
	bool same = http_is_own_origin(x, &to) && !x->left_origin;
	if (!reading && (!same || (x->reply.status != 307 && x->reply.status != 308) || x->source.read))
		return http_refuse(x, EPROTO, "%s was answered with a redirect", x->method);
	r = hop_allowed(x, &to, same);
	return r < 0 ? r : set_hop(x, &to, same);
}

/* ---- attempts ---- */

static int first_hop(struct http_xfer *x)
{
	autourl struct url to = {.text = NULL};
	autofree char *base = xasprintf("%s://%s/", x->ep->plain ? "http" : "https", x->ep->authority);
	int r = url_resolve(base, x->target, &to, &x->err);
	if (r < 0)
		return err_ctx(&x->err, "%s", x->ep->shown);
	bool same = http_is_own_origin(x, &to);
	/* An absolute target is a Location of an upload: a server behind a TLS proxy may believe it speaks http. */
	if (!same && str_eq(to.scheme, "http") && !x->ep->plain && str_eq(to.port, "80")) {
		autofree char *better = xasprintf("https%s", x->target + strlen("http"));
		url_free(&to);
		r = url_resolve(base, better, &to, &x->err);
		if (r < 0)
			return err_ctx(&x->err, "%s", x->ep->shown);
		same = http_is_own_origin(x, &to);
	}
	r = hop_allowed(x, &to, same);
	return r < 0 ? r : set_hop(x, &to, same);
}

static void start_attempt(struct http_xfer *x)
{
	int r = 0;
	x->head_seen = x->cut = x->aborted = false;
	x->header_bytes = x->received = 0;
	x->token_used = 0;
	x->basic_used = false;
	x->errbuf[0] = 0;
	http_reply_clear(&x->reply);
	str_cut(&x->text, 0);
	err_clear(&x->err);
	drop_easy(x);
	if (x->redirects == 0)
		r = first_hop(x);
	if (r == 0 && x->redirects == 0 && x->prepare)
		x->prepare(x);
	if (r == 0 && x->source.read && x->source.rewind(x) < 0)
		r = x->err.code ? -x->err.code : http_refuse(x, ESPIPE, "the upload cannot be sent again");
	if (r == 0 && x->auth && x->same_origin)
		r = auth_attach(x);
	if (r == 1) {
		x->state = HTTP_TOKEN;
		return;
	}
	if (r == 0)
		r = http_easy_setup(x);
	if (r < 0) {
		finish(x, r);
		return;
	}
	log_debug(LOG_REGISTRY, "%s %s://%s:%s%s", x->method, x->url.scheme, x->url.host, x->url.port,
		  x->target[0] == '/' && !x->redirects ? x->target : "/...");
	x->state = HTTP_RUNNING;
	curl_multi_add_handle(x->r->multi, x->easy);
}

void http_token_ready(struct http_xfer *x, int result, const struct err *cause)
{
	if (result < 0) {
		x->err = *cause;
		finish(x, result);
		return;
	}
	queue(x, 0);
}

/* The registry wants us to wait. -1: longer than we will. */
static int64_t retry_after_ms(const struct http_xfer *x)
{
	const char *text = x->reply.retry_after;
	if (!text)
		return 0;
	uint64_t seconds;
	if (str_to_u64(text, UINT32_MAX, "Retry-After", &seconds, NULL) < 0) {
		int64_t when = http_date(text), now = time(NULL);
		if (when < 0)
			return 0;
		seconds = when > now ? (uint64_t)(when - now) : 0;
	}
	return seconds > REGISTRY_RETRY_AFTER_MAX ? -1 : (int64_t)seconds * 1000;
}

static void answered(struct http_xfer *x)
{
	long s = x->reply.status;
	if (x->same_origin) {
		x->ep->decided = true;
		/* A passing trouble may have made another attempt give https up, wrongly as is seen now. */
		if (str_eq(x->url.scheme, "https"))
			x->ep->plain = false;
	}
	if (s >= 200 && s < 300) {
		int r = x->on_head && !x->head_seen ? x->on_head(x) : 0;
		finish(x, r);
		return;
	}
	if ((s == 301 || s == 302 || s == 303 || s == 307 || s == 308) && x->reply.location) {
		int r = follow(x);
		if (r < 0)
			finish(x, r);
		else
			queue(x, 0);
		return;
	}
	if (s == 401 && x->auth && x->same_origin) {
		int r = auth_challenged(x);
		if (r < 0)
			finish(x, r);
		else
			queue(x, 0);
		return;
	}
	http_set_status_error(x);
	if (s == 408 || s == 429 || s == 500 || s == 502 || s == 503 || s == 504) {
		int64_t wait = retry_after_ms(x);
		if (wait >= 0 && retry(x, wait))
			return;
	}
	finish(x, -x->err.code);
}

static void attempt_ended(struct http_xfer *x, CURLcode c)
{
	http_easy_ended(x);
	curl_multi_remove_handle(x->r->multi, x->easy);
	if (x->aborted) {
		finish(x, -x->err.code);
	} else if (c == CURLE_OK || x->cut) {
		answered(x);
	} else if (!fall_back_to_http(x, c)) {
		http_set_curl_error(x, c);
		if (!worth_retrying(x, c) || !retry(x, 0))
			finish(x, -x->err.code);
	}
}

/* ---- loop ---- */

void http_task_add(struct registry *r, struct http_task *t)
{
	t->next = r->tasks;
	r->tasks = t;
}

void http_task_remove(struct registry *r, struct http_task *t)
{
	for (struct http_task **p = &r->tasks; *p; p = &(*p)->next) {
		if (*p == t) {
			*p = t->next;
			break;
		}
	}
	t->next = NULL;
}

/* Callbacks change the lists, so each round begins at the head until nothing is left to start. */
static void start_due(struct registry *r)
{
	for (bool again = true; again;) {
		again = false;
		int64_t now = now_ms();
		for (struct http_xfer *x = r->xfers; x; x = x->next) {
			if (x->state == HTTP_QUEUED && x->not_before <= now) {
				start_attempt(x);
				again = true;
				break;
			}
		}
	}
}

static void take_messages(struct registry *r)
{
	CURLMsg *m;
	int left;
	while ((m = curl_multi_info_read(r->multi, &left))) {
		if (m->msg != CURLMSG_DONE)
			continue;
		struct http_xfer *x = NULL;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&x);
		attempt_ended(x, m->data.result);
	}
}

static bool run_due_task(struct registry *r)
{
	for (struct http_task *t = r->tasks; t; t = t->next) {
		if (t->due) {
			t->due = false;
			t->run(t);
			return true;
		}
	}
	return false;
}

static int wait_time(const struct registry *r)
{
	int64_t now = now_ms(), wait = LOOP_TICK_MS;
	for (const struct http_xfer *x = r->xfers; x; x = x->next)
		if (x->state == HTTP_QUEUED)
			wait = RL_MIN(wait, RL_MAX(x->not_before - now, (int64_t)0));
	return (int)wait;
}

static int poll_all(struct registry *r, struct err *e)
{
	enum { FDS_MAX = 2 * REGISTRY_PARALLEL_MAX + 2 };
	struct curl_waitfd fds[FDS_MAX];
	struct http_task *tasks[FDS_MAX];
	unsigned n = 0;
	bool cancel = r->o.cancel_fd > 0;
	if (cancel)
		fds[n++] = (struct curl_waitfd){.fd = r->o.cancel_fd, .events = CURL_WAIT_POLLIN};
	for (struct http_task *t = r->tasks; t && n < FDS_MAX; t = t->next) {
		if (t->fd < 0)
			continue;
		tasks[n] = t;
		fds[n++] = (struct curl_waitfd){.fd = t->fd, .events = t->events};
	}
	CURLMcode c = curl_multi_poll(r->multi, fds, n, wait_time(r), NULL);
	if (c != CURLM_OK)
		return err_set(e, EIO, "waiting for the network: %s", curl_multi_strerror(c));
	if (cancel && fds[0].revents)
		return err_set(e, ECANCELED, "interrupted");
	for (unsigned i = cancel; i < n; i++)
		if (fds[i].revents)
			tasks[i]->due = true;
	return 0;
}

int http_loop(struct registry *r, const bool *done, struct err *e)
{
	int running;
	for (;;) {
		start_due(r);
		curl_multi_perform(r->multi, &running);
		take_messages(r);
		/* One round of tasks between two looks at the network, or a fast receiver starves the sockets. */
		for (int i = 0; i < REGISTRY_PARALLEL_MAX && !*done && run_due_task(r); i++)
			;
		if (*done)
			return 0;
		bool busy = false;
		for (struct http_task *t = r->tasks; t; t = t->next)
			busy = busy || t->due;
		for (struct http_xfer *x = r->xfers; x; x = x->next)
			busy = busy || (x->state == HTTP_QUEUED && x->not_before <= now_ms());
		if (busy)
			continue;
		int err = poll_all(r, e);
		if (err < 0)
			return err;
	}
}

static void set_flag(struct http_xfer *x)
{
	*(bool *)x->user = true;
}

int http_do(struct http_xfer *x, struct err *e)
{
	bool done = false;
	x->user = &done;
	x->on_done = set_flag;
	http_start(x);
	int r = http_loop(x->r, &done, e);
	if (r < 0) {
		http_abandon(x);
		return r;
	}
	if (x->result < 0 && e)
		*e = x->err;
	return x->result;
}
