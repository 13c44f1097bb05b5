/*
 * fetch.c - `rl-image fetch` (a file from an address, for ADD) and `rl-image unpack-tar` (a tar into a directory, by the
 * confined unpacker); see image_int.h.
 *
 * Addresses are http and https only, redirects included; what is fetched is written to a file that rl made and named.
 */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"

enum { REDIRECTS_MAX = 10, CONNECT_SECONDS = 30, STALL_SECONDS = 60 };

struct fetch {
	int fd;
	struct err err;
};

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct fetch *f = arg;
	return io_write_all(f->fd, data, size * n, &f->err) < 0 ? 0 : size * n;
}

static int explain(const char *url, CURLcode code, const char *text, const struct fetch *f, long status, struct err *e)
{
	if (f->err.code) {
		*e = f->err;
		return err_ctx(e, "fetch %s", url);
	}
	if (code == CURLE_HTTP_RETURNED_ERROR)
		return err_set(e, status == 404 ? ENOENT : EIO, "fetch %s: the server answers %ld", url, status);
	return err_set(e, EIO, "fetch %s: %s", url, *text ? text : curl_easy_strerror(code));
}

static int fetch_to(const char *url, int fd, struct err *e)
{
	struct fetch f = {.fd = fd, .err = ERR_INIT};
	char text[CURL_ERROR_SIZE] = "";
	long status = 0;
	long filetime = -1;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	CURL *easy = curl_easy_init();
	if (!easy)
		return err_sys(e, ENOMEM, "libcurl");
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
	curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(easy, CURLOPT_FILETIME, 1L);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "rl");
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, text);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, &f);
	CURLcode code = curl_easy_perform(easy);
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(easy, CURLINFO_FILETIME, &filetime);
	curl_easy_cleanup(easy);
	if (code != CURLE_OK)
		return explain(url, code, text, &f, status, e);
	/* As with docker: the file is as old as the server says, else as old as can be, so that it is the same each time. */
	const struct timespec times[2] = {{.tv_sec = filetime < 0 ? 0 : filetime},
					  {.tv_sec = filetime < 0 ? 0 : filetime}};
	return futimens(fd, times) < 0 ? err_sys(e, errno, "set the time") : 0;
}

int fetch_verb(struct image_ctx *c, struct err *e)
{
	autofd int fd = open(c->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? err_sys(e, errno, "create %s", c->output) : fetch_to(c->args.items[0], fd, e);
}

int unpack_tar_verb(struct image_ctx *c, struct err *e)
{
	const char *from = c->args.items[0];
	autofd int blob = str_eq(from, "-") ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
					    : open(from, O_RDONLY | O_CLOEXEC);
	if (blob < 0)
		return err_sys(e, errno, "open %s", from);
	autofd int target = open(c->output, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (target < 0)
		return err_sys(e, errno, "open %s", c->output);
	/* Nothing lies below: members without their directories, and links to what is not there, are settled here. */
	autofree char *empty = xasprintf("%s.empty", c->output);
	if (mkdir(empty, 0755) < 0 && errno != EEXIST)
		return err_sys(e, errno, "make %s", empty);
	autofd int nothing = open(empty, O_PATH | O_DIRECTORY | O_CLOEXEC);
	autofree char *side = xasprintf("%s.sidecar", c->output);
	autofd int sidecar = open(side, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (nothing < 0 || sidecar < 0)
		return err_sys(e, errno, "open %s", nothing < 0 ? empty : side);
	struct archive_unpacked result;
	return archive_unpack(&(struct archive_unpack){.program = c->program,
						       .map = &c->map,
						       .blobfd = blob,
						       .targetfd = target,
						       .sidecarfd = sidecar,
						       .lowerfds = &nothing,
						       .nlower = 1,
						       .no_sync = true},
			      &result, e);
}
