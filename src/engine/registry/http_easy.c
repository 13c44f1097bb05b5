/*
 * http_easy.c - see http_easy.h.
 *
 * The callbacks run inside curl_multi_perform (and inside curl_easy_pause). They may fill x->err and return an error to
 * libcurl, which then reports the attempt as failed; `aborted` tells http.c that the cause is ours and already written,
 * `cut` that we have read as much of an error page as we want.
 */
#include "http_easy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rl/base/base64.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"

enum { RECEIVE_BUFFER = 256 << 10, UPLOAD_BUFFER = 128 << 10 };

bool http_is_own_origin(const struct http_xfer *x, const struct url *u)
{
	autourl struct url own = {.text = NULL};
	autofree char *base = xasprintf("%s://%s/", x->ep->plain ? "http" : "https", x->ep->authority);
	return url_resolve(NULL, base, &own, NULL) == 0 && url_same_origin(&own, u);
}

/* ---- headers ---- */

void http_reply_clear(struct http_reply *reply)
{
	free(reply->content_type);
	free(reply->digest);
	free(reply->location);
	free(reply->link);
	free(reply->content_range);
	free(reply->range);
	free(reply->retry_after);
	free(reply->etag);
	free(reply->last_modified);
	wwwauth_free(&reply->challenges);
	memset(reply, 0, sizeof(*reply));
	reply->content_length = -1;
}

static bool name_is(const char *line, size_t n, const char *name)
{
	return strlen(name) == n && strncasecmp(line, name, n) == 0;
}

static void take_header(struct http_reply *p, const char *line, size_t len)
{
	const struct {
		const char *name;
		char **value;
	} texts[] = {
		{"content-type", &p->content_type},   {"docker-content-digest", &p->digest},
		{"location", &p->location},	      {"link", &p->link},
		{"content-range", &p->content_range}, {"range", &p->range},
		{"retry-after", &p->retry_after},     {"etag", &p->etag},
		{"last-modified", &p->last_modified},
	};
	const char *colon = memchr(line, ':', len);
	if (!colon)
		return;
	size_t n = (size_t)(colon - line);
	const char *v = colon + 1, *end = line + len;
	while (v < end && (*v == ' ' || *v == '\t'))
		v++;
	while (end > v && strchr(" \t\r\n", end[-1]))
		end--;
	size_t vlen = (size_t)(end - v);
	if (memchr(v, 0, vlen))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (name_is(line, n, texts[i].name) && !*texts[i].value)
			*texts[i].value = xstrndup(v, vlen);
	if (name_is(line, n, "www-authenticate")) {
		struct err why = ERR_INIT;
		if (wwwauth_add(&p->challenges, v, vlen, &why) < 0)
			log_debug(LOG_REGISTRY, "%s", why.text);
	} else if (name_is(line, n, "content-length") || name_is(line, n, "oci-chunk-min-length")) {
		autofree char *text = xstrndup(v, vlen);
		uint64_t value;
		if (str_to_u64(text, INT64_MAX, "length", &value, NULL) == 0)
			*(n == strlen("content-length") ? &p->content_length : &p->chunk_min) = (int64_t)value;
	}
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct http_xfer *x = arg;
	size_t len = size * n;
	x->header_bytes += len;
	if (x->header_bytes > HTTP_HEADERS_MAX) {
		http_refuse(x, EFBIG, "headers of more than %d bytes", HTTP_HEADERS_MAX);
		return 0;
	}
	/* A status line begins another response: the interim ones before it do not count. */
	if (len >= 5 && memcmp(p, "HTTP/", 5) == 0)
		http_reply_clear(&x->reply);
	else
		take_header(&x->reply, p, len);
	return len;
}

bool http_content_range(const char *text, uint64_t *ret_first, uint64_t *ret_last, uint64_t *ret_total)
{
	const char *rest = text ? str_after(text, "bytes ") : NULL;
	char *dash, *slash;
	if (!rest)
		return false;
	autofree char *copy = xstrdup(rest);
	if (!(dash = strchr(copy, '-')) || !(slash = strchr(dash, '/')))
		return false;
	*dash++ = *slash++ = 0;
	*ret_total = UINT64_MAX;
	return str_to_u64(copy, UINT64_MAX, "range", ret_first, NULL) >= 0 &&
	       str_to_u64(dash, UINT64_MAX, "range", ret_last, NULL) >= 0 &&
	       (str_eq(slash, "*") || str_to_u64(slash, UINT64_MAX, "range", ret_total, NULL) >= 0);
}

int64_t http_date(const char *text)
{
	time_t when = text ? curl_getdate(text, NULL) : -1;
	return when < 0 ? -1 : when;
}

/* ---- bodies ---- */

static size_t collect(struct http_xfer *x, const char *p, size_t len, bool good)
{
	size_t max = good ? x->reply_max : HTTP_ERROR_BODY_MAX;
	if (x->text.len + len <= max) {
		str_add(&x->text, p, len);
		return len;
	}
	if (good) {
		http_refuse(x, EFBIG, "answer of more than %zu bytes", max);
		return 0;
	}
	x->cut = true;
	return 0;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct http_xfer *x = arg;
	size_t len = size * n;
	long status = 0;
	curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
	bool good = status >= 200 && status < 300;
	if (!good || !x->on_body)
		return collect(x, p, len, good);
	x->reply.status = status;
	if (!x->head_seen && x->on_head) {
		x->head_seen = true;
		if (x->on_head(x) < 0) {
			x->aborted = true;
			return 0;
		}
	}
	int r = x->on_body(x, p, len);
	if (r == HTTP_PAUSE)
		return CURL_WRITEFUNC_PAUSE;
	if (r < 0) {
		x->aborted = true;
		return 0;
	}
	x->received += len;
	return len;
}

static size_t on_read(char *p, size_t size, size_t n, void *arg)
{
	struct http_xfer *x = arg;
	ssize_t got = x->source.read(x, p, size * n);
	if (got == -EAGAIN)
		return CURL_READFUNC_PAUSE;
	if (got < 0) {
		x->aborted = true;
		return CURL_READFUNC_ABORT;
	}
	return (size_t)got;
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct http_xfer *x = arg;
	if (offset != 0 || origin != SEEK_SET || !x->source.rewind || x->source.rewind(x) < 0)
		return CURL_SEEKFUNC_CANTSEEK;
	return CURL_SEEKFUNC_OK;
}

/* ---- connecting ---- */

enum addr_class http_leads_from(const struct http_xfer *x)
{
	const struct http_endpoint *from = x->lead_from ? x->lead_from : x->ep;
	return from->addr_known ? from->addr : ADDR_PUBLIC;
}

/* The user named this endpoint, so its address needs no permission. */
static bool is_named_by_user(const struct http_xfer *x)
{
	return x->hop_ep == (x->lead_from ? x->lead_from : x->ep);
}

/*
 * The last check of where we go, on the very address. With a proxy the address is the proxy's, which the user chose.
 * For the endpoint itself the class is only noted: it decides where the endpoint may lead.
 */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct http_xfer *x = arg;
	(void)purpose;
	if (x->direct) {
		enum addr_class class = addr_class_of(&a->addr);
		if (!is_named_by_user(x) && !addr_may_lead_to(http_leads_from(x), class)) {
			http_refuse(x, EPERM, "was sent on to an internal address (%s) and refused", x->url.host);
			return CURL_SOCKET_BAD;
		}
		/* Kept over changes of what the name resolves to: a server cannot move itself inside afterwards. */
		if (!x->hop_ep->addr_known || class < x->hop_ep->addr)
			x->hop_ep->addr = class;
		if (!x->hop_ep->addr_known || class > x->hop_ep->addr_worst)
			x->hop_ep->addr_worst = class;
		x->hop_ep->addr_known = true;
	}
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* A pooled connection is not opened again: what is known of its address is checked instead. */
static int check_pooled(struct http_xfer *x)
{
	if (is_named_by_user(x) || !x->direct || !x->hop_ep->addr_known ||
	    addr_may_lead_to(http_leads_from(x), x->hop_ep->addr_worst))
		return 0;
	return http_refuse(x, EPERM, "was sent on to an internal address (%s) and refused", x->url.host);
}

static int setup_tls(struct http_xfer *x, CURL *c)
{
	struct http_endpoint *ep = x->hop_ep;
	const char *hosts[] = {ep->shown, ep->authority, NULL};
	if (!ep->certs_loaded) {
		int r = certs_load(&x->r->o, hosts, &ep->certs, &x->err);
		if (r < 0)
			return err_ctx(&x->err, "%s", ep->shown);
		ep->certs_loaded = true;
	}
	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, ep->verify ? 1L : 0L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, ep->verify ? 2L : 0L);
	if (ep->certs.ca.len) {
		struct curl_blob blob = {.data = ep->certs.ca.buf, .len = ep->certs.ca.len, .flags = CURL_BLOB_NOCOPY};
		curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &blob);
	} else {
		const char *bundle = certs_system_bundle(), *dir = getenv("SSL_CERT_DIR");
		if (bundle)
			curl_easy_setopt(c, CURLOPT_CAINFO, bundle);
		if (dir && *dir)
			curl_easy_setopt(c, CURLOPT_CAPATH, dir);
	}
	if (ep->certs.cert && ep == x->ep) {
		curl_easy_setopt(c, CURLOPT_SSLCERT, ep->certs.cert);
		curl_easy_setopt(c, CURLOPT_SSLKEY, ep->certs.key);
	}
	return 0;
}

static void setup_proxy(struct http_xfer *x, CURL *c)
{
	const char *proxy = str_eq(x->url.scheme, "https") ? x->r->proxy_https : x->r->proxy_http;
	if (proxy && proxy_exempt(x->r->no_proxy, x->url.host, x->url.port))
		proxy = NULL;
	x->direct = !proxy || !*proxy;
	curl_easy_setopt(c, CURLOPT_PROXY, proxy ? proxy : "");
	curl_easy_setopt(c, CURLOPT_NOPROXY, "");
}

static void setup_limits(struct http_xfer *x, CURL *c)
{
	long stall = x->stall ? x->stall : (long)x->r->o.stall_seconds;
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT,
			 (long)RL_MIN((unsigned)HTTP_CONNECT_TIMEOUT, RL_MAX(x->r->o.stall_seconds, 2u)));
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, (long)REGISTRY_STALL_RATE);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, stall);
	if (!x->stream)
		curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)HTTP_SHORT_TIMEOUT);
}

static void setup_body(struct http_xfer *x, CURL *c)
{
	bool get = str_eq(x->method, "GET"), head = str_eq(x->method, "HEAD");
	if (head) {
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
		return;
	}
	if (get) {
		curl_easy_setopt(c, CURLOPT_HTTPGET, 1L);
		return;
	}
	if (x->source.read) {
		curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read);
		curl_easy_setopt(c, CURLOPT_READDATA, x);
		curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, on_seek);
		curl_easy_setopt(c, CURLOPT_SEEKDATA, x);
		curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)x->source.size);
		curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER);
	} else if (!str_eq(x->method, "DELETE")) {
		curl_easy_setopt(c, CURLOPT_POST, 1L);
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, x->body ? x->body : "");
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->body_len);
	}
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, x->method);
}

static void setup_headers(struct http_xfer *x, CURL *c)
{
	bool typed = false;
	for (size_t i = 0; i < x->headers.count; i++) {
		typed = typed || strncasecmp(x->headers.items[i], "content-type:", 13) == 0;
		x->attempt_headers = curl_slist_append(x->attempt_headers, x->headers.items[i]);
	}
	if (!typed) /* libcurl would say it is a form */
		x->attempt_headers = curl_slist_append(x->attempt_headers, "Content-Type:");
	if (x->basic && x->same_origin) {
		autostr struct str line = STR_INIT;
		str_adds(&line, "Authorization: Basic ");
		base64_encode(x->basic, strlen(x->basic), &line);
		x->attempt_headers = curl_slist_append(x->attempt_headers, line.buf);
		explicit_bzero(line.buf, line.len);
	}
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, x->attempt_headers);
}

int http_easy_setup(struct http_xfer *x)
{
	bool tls = str_eq(x->url.scheme, "https");
	CURL *c = x->easy = curl_easy_init();
	if (!c)
		return http_refuse(x, ENOMEM, "libcurl cannot start a request");
	setup_proxy(x, c);
	int r = check_pooled(x);
	if (r == 0 && tls)
		r = setup_tls(x, c);
	if (r < 0)
		return r;
	curl_easy_setopt(c, CURLOPT_URL, x->url.text);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, tls ? "https" : "http");
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PRIVATE, x);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, x->errbuf);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "rl");
	curl_easy_setopt(c, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, x);
	curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION,
			 x->pausable || x->source.read ? (long)CURL_HTTP_VERSION_1_1 : (long)CURL_HTTP_VERSION_2TLS);
	setup_limits(x, c);
	setup_body(x, c);
	setup_headers(x, c);
	return 0;
}

void http_easy_ended(struct http_xfer *x)
{
	curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &x->reply.status);
}
