/*
 * http_easy.h - one attempt as libcurl sees it: options in, header and body callbacks out. Private to http.c.
 */
#ifndef RL_ENGINE_REGISTRY_HTTP_EASY_H
#define RL_ENGINE_REGISTRY_HTTP_EASY_H

#include "registry_int.h"

enum http_fail {
	HTTP_FAIL_NAME,
	HTTP_FAIL_CONNECT,
	HTTP_FAIL_CERT,
	HTTP_FAIL_TLS,
	HTTP_FAIL_TIMEOUT,
	HTTP_FAIL_BROKEN,
	HTTP_FAIL_OTHER,
};

enum http_fail http_curl_kind(CURLcode c);
void http_reply_clear(struct http_reply *reply);
/* Make x->easy for x->url. */
int http_easy_setup(struct http_xfer *x);
/* The attempt is over: note what libcurl knows. */
void http_easy_ended(struct http_xfer *x);
/* Class of the address that decides where this exchange may be led: the endpoint's, or that of who named it. */
enum addr_class http_leads_from(const struct http_xfer *x);
bool http_is_own_origin(const struct http_xfer *x, const struct url *u);
/* Fill x->err from the answer, or from libcurl's failure (http_error.c). */
void http_set_status_error(struct http_xfer *x);
void http_set_curl_error(struct http_xfer *x, CURLcode c);

#endif
