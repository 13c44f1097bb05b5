/*
 * http_error.c - what a person is told when an exchange fails: the host, the status, the server's own words, the
 * remedy.
 *
 * Whatever a server wrote goes through http_quote: one line, plain characters, bounded.
 */
#include "http_easy.h"

#include <errno.h>
#include <string.h>

#include "rl/base/json.h"
#include "rl/base/mem.h"

enum { QUOTE_MAX = 200 };

/* ---- words of the server ---- */

char *http_quote(const char *text, size_t len)
{
	autostr struct str s = STR_INIT;
	for (size_t i = 0; i < len && s.len < QUOTE_MAX; i++) {
		unsigned char c = (unsigned char)text[i];
		bool blank = c <= ' ';
		if (blank && (!s.len || s.buf[s.len - 1] == ' '))
			continue;
		str_addc(&s, blank ? ' ' : c < 0x7f ? (char)c : '?');
	}
	if (s.len >= QUOTE_MAX)
		str_adds(&s, "...");
	while (s.len && s.buf[s.len - 1] == ' ')
		str_cut(&s, s.len - 1);
	return str_take(&s);
}

static char *server_message(const char *text, size_t len)
{
	autojson json_t *doc = NULL;
	if (!len)
		return NULL;
	if (json_parse(text, len, "error", &doc, NULL) < 0)
		return text[0] == '<' ? NULL : http_quote(text, len); /* an HTML page says nothing in one line */
	json_t *first = json_array_get(json_object_get(doc, "errors"), 0);
	const char *message = json_is_object(first) ? json_str_or_null(first, "message") : NULL;
	const char *code = json_is_object(first) ? json_str_or_null(first, "code") : NULL;
	if (!message && json_is_object(doc)) {
		message = json_str_or_null(doc, "details");
		message = message ? message : json_str_or_null(doc, "message");
		message = message ? message : json_str_or_null(doc, "error");
	}
	message = message && *message ? message : code;
	return message ? http_quote(message, strlen(message)) : NULL;
}

enum http_fail http_curl_kind(CURLcode c)
{
	switch ((int)c) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return HTTP_FAIL_NAME;
	case CURLE_COULDNT_CONNECT:
		return HTTP_FAIL_CONNECT;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
		return HTTP_FAIL_CERT;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CIPHER:
		return HTTP_FAIL_TLS;
	case CURLE_OPERATION_TIMEDOUT:
		return HTTP_FAIL_TIMEOUT;
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_PARTIAL_FILE:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
	case CURLE_SEND_FAIL_REWIND:
		return HTTP_FAIL_BROKEN;
	default:
		return HTTP_FAIL_OTHER;
	}
}

/* ---- statuses and failures of libcurl ---- */

static int status_code(long status)
{
	if (status == 401 || status == 403)
		return EACCES;
	if (status == 404)
		return ENOENT;
	if (status == 429)
		return EAGAIN;
	return status >= 500 || status == 408 ? EIO : EPROTO;
}

static const char *status_name(long status)
{
	static const struct {
		long status;
		const char *name;
	} names[] = {
		{400, "bad request"},	      {401, "not authorized"},	      {403, "forbidden"},
		{404, "not found"},	      {405, "not allowed"},	      {408, "request timed out"},
		{413, "too large"},	      {416, "range not satisfiable"}, {429, "too many requests"},
		{500, "internal error"},      {501, "not implemented"},	      {502, "bad gateway"},
		{503, "service unavailable"}, {504, "gateway timed out"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].status == status)
			return names[i].name;
	return "unexpected status";
}

void http_set_status_error(struct http_xfer *x)
{
	autofree char *said = server_message(x->text.buf, x->text.len);
	autofree char *via = x->hop_ep != x->ep ? xasprintf(" (sent on to %s)", x->hop_ep->shown) : xstrdup("");
	autofree char *later = x->reply.retry_after ? http_quote(x->reply.retry_after, strlen(x->reply.retry_after))
						    : NULL;
	long s = x->reply.status;
	err_clear(&x->err);
	err_set(&x->err, status_code(s), "%s: %s%s: %ld %s%s%s%s%s", x->ep->shown, x->method, via, s, status_name(s),
		said ? ": " : "", said ? said : "", later ? "; to be tried again after " : "", later ? later : "");
	if (x->no_registry)
		return;
	if (s == 401 || s == 403)
		err_hint(&x->err, "the repository may not exist, or needs other credentials: `rl login %s`",
			 x->ep->shown);
	else if (s == 429)
		err_hint(&x->err, "logging in (`rl login %s`) often raises the limit", x->ep->shown);
}

void http_set_curl_error(struct http_xfer *x, CURLcode c)
{
	char port_text[16];
	const char *why = x->errbuf[0] ? x->errbuf : curl_easy_strerror(c);
	const char *host = x->hop_ep->shown;
	struct err *e = &x->err;
	err_clear(e);
	switch (http_curl_kind(c)) {
	case HTTP_FAIL_NAME:
		err_set(e, EHOSTUNREACH, "%s: the name cannot be resolved (%s)", host, why);
		err_hint(e, "check the spelling, the network and /etc/resolv.conf; behind a proxy set HTTPS_PROXY");
		break;
	case HTTP_FAIL_CONNECT:
		err_set(e, ECONNREFUSED, "%s: cannot connect: %s", host, why);
		snprintf(port_text, sizeof(port_text), "%s", x->url.port ? x->url.port : "?");
		err_hint(e, "check that a %s listens on port %s there%s", x->no_registry ? "server" : "registry",
			 port_text,
			 x->ep->insecure || x->no_registry ? ""
							   : "; one that speaks only http needs --tls-verify=false");
		break;
	case HTTP_FAIL_CERT:
		err_set(e, EPROTO, "%s: the certificate is not trusted: %s", host, why);
		err_hint(e,
			 "put its CA into /etc/containers/certs.d/%s/ca.crt (or ~/.config/containers/certs.d), or use "
			 "--tls-verify=false",
			 x->hop_ep->shown);
		break;
	case HTTP_FAIL_TLS:
		err_set(e, EPROTO, "%s: TLS failed: %s", host, why);
		err_hint(e, x->no_registry ? "if this server speaks only http, write http://"
					   : "if this registry speaks only http: --tls-verify=false, or insecure = "
					     "true in registries.conf");
		break;
	case HTTP_FAIL_TIMEOUT:
		err_set(e, ETIMEDOUT, "%s: %s", host, why);
		break;
	case HTTP_FAIL_BROKEN:
		err_set(e, ECONNRESET, "%s: the connection broke: %s", host, why);
		break;
	case HTTP_FAIL_OTHER:
		/* libcurl's way of saying that a single header line passed its own limit */
		err_set(e, EPROTO, "%s: %s", host,
			c == CURLE_OUT_OF_MEMORY ? "the head of the answer is too large" : why);
		break;
	}
}
