/* links: engine/registry model base */
/* Exchanges: outcomes, retries, redirects, limits, and the texts people see. */
#include "registry_server.h"

#include <errno.h>
#include <fcntl.h>

#include "rl/base/mem.h"
#include "src/engine/registry/http_easy.h"

static char big[100 << 10];

static const struct reply script[] = {
	{.method = "GET",
	 .target = "/ok",
	 .headers = "Content-Type: text/x\r\nDocker-Content-Digest: d\r\n",
	 .body = "fine"},
	{.method = "GET", .target = "/retry", .times = 2, .status = "503 Service Unavailable"},
	{.method = "GET", .target = "/retry", .body = "at last"},
	{.method = "GET",
	 .target = "/down",
	 .status = "500 Internal Server Error",
	 .body = "{\"errors\":[{\"message\":\"disk\"}]}"},
	{.method = "POST", .target = "/down", .status = "500 Internal Server Error"},
	{.method = "GET", .target = "/wait", .times = 1, .status = "429 Too Many", .headers = "Retry-After: 1\r\n"},
	{.method = "GET", .target = "/wait", .body = "waited"},
	{.method = "GET", .target = "/day", .status = "429 Too Many", .headers = "Retry-After: 90000\r\n"},
	{.method = "GET", .target = "/to", .status = "302 Found", .headers = "Location: ok\r\n"},
	{.method = "GET", .target = "/loop", .status = "302 Found", .headers = "Location: /loop\r\n"},
	{.method = "GET", .target = "/file", .status = "302 Found", .headers = "Location: file:///etc/passwd\r\n"},
	{.method = "PUT", .target = "/moved", .status = "307 Temporary", .headers = "Location: http://127.0.0.2/\r\n"},
	{.method = "PUT", .target = "/stay", .status = "307 Temporary", .headers = "Location: /kept\r\n"},
	{.method = "PUT", .target = "/kept", .status = "201 Created"},
	{.method = "GET", .target = "/cut", .body = "0123456789", .cut = 5},
	{.method = "GET", .target = "/big", .body = big, .len = sizeof(big)},
	{.method = "GET", .target = "/bad", .status = "400 Bad", .body = big, .len = sizeof(big)},
	{.method = "GET", .target = "/silence", .hangs = true},
	{.method = "GET", .target = "/html", .status = "404 Not", .body = "<html>"},
	{.method = NULL},
};

static struct server *server;
static struct client c;

/* "STATUS text" or "error CODE text" of one exchange. */
static char *exchange(const char *method, const char *target, bool once)
{
	struct http_endpoint *ep = endpoint_get(c.r, c.domain, c.domain, true);
	struct err e = ERR_INIT;
	struct http_xfer *x = http_new(c.r, ep, NULL, method, xstrdup(target));
	x->once = once;
	if (str_eq(method, "PUT")) {
		x->body = "abc";
		x->body_len = 3;
	}
	int r = http_do(x, &e);
	char *out = r < 0 ? xasprintf("error %d %s", -r, e.text) : xasprintf("%ld %s", x->reply.status, x->text.buf);
	if (r == 0 && str_eq(target, "/ok"))
		tap_ok(str_eq(x->reply.content_type, "text/x") && str_eq(x->reply.digest, "d") &&
			       x->reply.content_length == 4,
		       "headers are read");
	http_free(x);
	return out;
}

static void gives(const char *method, const char *target, const char *want, const char *sentence)
{
	autofree char *got = exchange(method, target, false);
	tap_is_str(got, want, sentence);
}

static void fails(const char *method, const char *target, int code, const char *part, const char *sentence)
{
	autofree char *got = exchange(method, target, false);
	autofree char *want = xasprintf("error %d %s: ", code, c.domain);
	if (!tap_ok(strncmp(got, want, strlen(want)) == 0 && strstr(got, part), "%s", sentence))
		tap_diag("%s", got);
}

int main(void)
{
	tap_plan_later();
	memset(big, 'b', sizeof(big));
	server = server_start(script);
	client_open(&c, server, NULL, REGISTRY_PULL);
	c.r->o.tls_verify = 0;
	gives("GET", "/ok", "200 fine", "https that is not spoken falls back to http of an insecure endpoint");
	gives("GET", "/retry", "200 at last", "503 is tried again");
	tap_is_int(server_asked(server, "GET /retry "), 3, "as often as needed");
	fails("GET", "/down", EIO, "500 internal error: disk", "an error that stays is told in the server's words");
	tap_is_int(server_asked(server, "GET /down "), 1 + REGISTRY_RETRIES_DEFAULT, "after all retries");
	autofree char *once = exchange("POST", "/down", true);
	tap_is_int(server_asked(server, "POST /down "), 1, "what must not be repeated is not");
	int64_t before = now_ms();
	gives("GET", "/wait", "200 waited", "429 is tried again");
	tap_ok(now_ms() - before >= 1000, "not before Retry-After");
	fails("GET", "/day", EAGAIN, "90000", "a Retry-After beyond the bound is told instead");
	tap_is_int(server_asked(server, "GET /day "), 1, "and not waited for");
	gives("GET", "/to", "200 fine", "a relative redirect is followed");
	fails("GET", "/loop", EPROTO, "redirects", "redirects are counted");
	fails("GET", "/file", EPROTO, "not an http", "a redirect to a file is refused");
	fails("PUT", "/moved", EPROTO, "redirect", "a request with a body does not follow to another origin");
	gives("PUT", "/stay", "201 ", "but within its own");
	tap_is_int(server_asked(server, "PUT /kept - - 3"), 1, "with its body");
	fails("GET", "/cut", ECONNRESET, "broke", "an answer that breaks off is an error");
	fails("GET", "/big", EFBIG, "more than", "an answer above the bound is refused");
	fails("GET", "/bad", EPROTO, "bbb...", "an error page is quoted only in part");
	fails("GET", "/html", ENOENT, "404 not found", "an HTML page is not quoted");
	fails("GET", "/nothing", ENOENT, "404", "404 is ENOENT");
	fails("GET", "http://169.254.169.254/x", EPERM, "internal address", "an absolute target inside is refused");

	struct http_endpoint *closed = endpoint_get(c.r, "127.0.0.1:1", "127.0.0.1:1", false);
	struct http_xfer *x = http_new(c.r, closed, NULL, "GET", xstrdup("/"));
	struct err e = ERR_INIT;
	tap_is_int(http_do(x, &e), -ECONNREFUSED, "nobody listening is ECONNREFUSED");
	tap_has(e.hint, "port 1", "with a remedy");
	http_free(x);

	int p[2];
	if (pipe2(p, O_CLOEXEC) < 0 || write(p[1], "x", 1) != 1)
		tap_diag("pipe");
	c.r->o.cancel_fd = p[0];
	x = http_new(c.r, endpoint_get(c.r, c.domain, c.domain, true), NULL, "GET", xstrdup("/silence"));
	err_clear(&e);
	tap_is_int(http_do(x, &e), -ECANCELED, "a readable cancel_fd ends the wait");
	http_free(x);
	close(p[0]);
	close(p[1]);
	client_close(&c);
	server_stop(server);
	return tap_done();
}
