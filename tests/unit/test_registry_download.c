/* links: engine/registry model base */
/* One file from an address: what is gone on with after a break, what is begun again, and what is refused. */
#include "registry_server.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "rl/base/mem.h"

static const char text[] = "0123456789abcdef";
#define BROKEN(path, version)                                                                                          \
	{                                                                                                              \
		.method = "GET", .target = (path), .times = 1, .headers = (version), .body = text, .cut = 7            \
	}

static const struct reply script[] = {
	{.method = "GET",
	 .target = "/file",
	 .headers = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
	 .body = text},
	BROKEN("/etag", "ETag: \"v1\"\r\n"),
	{.method = "GET", .target = "/etag", .headers = "ETag: \"v1\"\r\n", .body = text, .ranges = true},
	BROKEN("/date", "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
	{.method = "GET", .target = "/date", .body = text, .ranges = true},
	BROKEN("/again", "ETag: \"v1\"\r\n"),
	{.method = "GET", .target = "/again", .headers = "ETag: \"v1\"\r\n", .body = text},
	BROKEN("/changed", "ETag: \"v1\"\r\n"),
	{.method = "GET", .target = "/changed", .headers = "ETag: \"v2\"\r\n", .body = "0123456789ABCDEF"},
	BROKEN("/weak", "ETag: W/\"v1\"\r\n"),
	{.method = "GET", .target = "/weak", .headers = "ETag: W/\"v1\"\r\n", .body = text, .ranges = true},
	BROKEN("/shrunk", "ETag: \"v1\"\r\n"),
	{.method = "GET", .target = "/shrunk", .headers = "ETag: \"v1\"\r\n", .body = "0123"},
	BROKEN("/injected", "ETag: \"v1\rX: y\"\r\n"),
	{.method = "GET", .target = "/injected", .headers = "ETag: \"v1\rX: y\"\r\n", .body = text, .ranges = true},
	{.method = "GET",
	 .target = "/partial",
	 .status = "206 Partial Content",
	 .headers = "Content-Range: bytes 3-6/16\r\n",
	 .body = "3456"},
	{.method = "GET", .target = "/none", .status = "204 No Content"},
	{.method = "GET", .target = "/to", .status = "302 Found", .headers = "Location: file\r\n"},
	{.method = "GET", .target = "/inside", .status = "302 Found", .headers = "Location: http://169.254.1.1/\r\n"},
	{.method = "GET", .target = "/etc", .status = "302 Found", .headers = "Location: file:///etc/passwd\r\n"},
	{.method = "GET",
	 .target = "/secret",
	 .status = "401 No",
	 .headers = "WWW-Authenticate: Basic realm=\"x\"\r\n"},
	{.method = NULL},
};

static struct server *server;
static struct client c;
static struct err e;
static struct registry_download last;

/* Into a file, or a pipe; what arrived, malloc'd. */
static char *download(const char *url, bool to_pipe, uint64_t max, int *ret_result)
{
	int ends[2] = {-1, -1};
	char *got = xcalloc(1, 100);
	if (to_pipe) {
		if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
			tap_diag("pipe");
	} else {
		ends[0] = ends[1] = memfd_create("got", MFD_CLOEXEC);
	}
	err_clear(&e);
	last = (struct registry_download){.url = url, .fd = ends[1], .max = max};
	*ret_result = registry_download(c.r, &last, &e);
	ssize_t n = to_pipe ? read(ends[0], got, 99) : pread(ends[0], got, 99, 0);
	got[n > 0 ? n : 0] = 0;
	close(ends[0]);
	if (to_pipe)
		close(ends[1]);
	return got;
}

static void gives(const char *path, bool to_pipe, const char *sentence)
{
	int r;
	autofree char *url = xasprintf("http://%s%s", c.domain, path);
	autofree char *got = download(url, to_pipe, 0, &r);
	if (!tap_ok(r == 0 && str_eq(got, text), "%s", sentence))
		tap_diag("%d \"%s\" %s", r, got, e.text);
}

static void fails(const char *path, bool to_pipe, uint64_t max, int code, const char *part, const char *sentence)
{
	int r;
	autofree char *url = strstr(path, "://") ? xstrdup(path) : xasprintf("http://%s%s", c.domain, path);
	autofree char *got = download(url, to_pipe, max, &r);
	if (!tap_ok(r == -code && strstr(e.text, part), "%s", sentence))
		tap_diag("%d %s", r, e.text);
}

int main(void)
{
	tap_plan_later();
	server = server_start(script);
	client_open(&c, server, NULL, REGISTRY_PULL);

	gives("/file", false, "a file is fetched over http because its address says http");
	tap_is_int(last.modified, 784111777, "with the time it was changed");
	gives("/file", true, "into a pipe, too");
	gives("/to", true, "a redirect is followed");
	tap_is_int(last.modified, 784111777, "to the file that has the time");

	gives("/etag", true, "after a break the rest is fetched if there is a strong ETag");
	tap_is_int(server_asked(server, "GET /etag - bytes=7-"), 1, "and no more than that");
	tap_is_int(last.modified, -1, "no time is made up");
	gives("/date", true, "or a time of change");
	gives("/again", true, "a whole answer of the same version is skipped into");
	fails("/changed", true, 0, ESTALE, "another file now", "one of another version is not mixed with what is here");
	fails("/weak", true, 0, ESTALE, "cannot go on", "a weak ETag does not name a version");
	tap_is_int(server_asked(server, "GET /weak - bytes"), 0, "and no part is asked for");
	fails("/shrunk", true, 0, EIO, "shorter", "a version that becomes shorter is refused");
	fails("/injected", true, 0, ESTALE, "cannot go on", "a validator with control characters is none");
	for (size_t i = 0; i < SERVER_REPLIES; i++)
		atomic_store(&server->used[i], 0);
	gives("/weak", false, "a descriptor that can go back gets the file from its beginning again");
	gives("/etag", false, "or its rest");

	fails("/partial", true, 0, ERANGE, "another range", "a part that nobody asked for is refused");
	fails("/none", true, 0, EPROTO, "status 204", "an answer without a file is refused");
	fails("/file", true, 15, EFBIG, "at most 15", "a file above the bound is refused");
	fails("/nosuch", true, 0, ENOENT, "404", "a file that is not there is ENOENT");
	fails("/inside", true, 0, EPERM, "internal address", "a redirect to where only this machine comes is refused");
	fails("/etc", true, 0, EPROTO, "not an http", "a redirect to a file of this machine is refused");
	fails("/secret", true, 0, EACCES, "401", "credentials are not looked for");
	tap_is_str(e.hint, "", "nor is a login offered");
	fails("http://me:word@127.0.0.1/", true, 0, EINVAL, "user name", "nor taken from the address");
	tap_ok(!strstr(e.text, "word"), "nor repeated");
	fails("ftp://127.0.0.1/", true, 0, EPROTO, "not an http", "other schemes are refused");
	fails("http://127.0.0.1:1/x", true, 0, ECONNREFUSED, "127.0.0.1:1", "nobody listening is said with the port");

	int ends[2];
	autofree char *url = xasprintf("http://%s/file", c.domain);
	if (pipe2(ends, O_CLOEXEC) < 0)
		tap_diag("pipe");
	close(ends[0]);
	last = (struct registry_download){.url = url, .fd = ends[1]};
	err_clear(&e);
	tap_is_int(registry_download(c.r, &last, &e), -EPIPE, "a reader that is gone ends it");
	close(ends[1]);
	client_close(&c);
	server_stop(server);
	return tap_done();
}
