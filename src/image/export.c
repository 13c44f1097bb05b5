/*
 * export.c - `rl-image export`: what a stack of directories shows together, as one plain tar; see image_proto.h.
 *
 * The packer does it: it reads the layers themselves, so nothing is mounted, and true owners come from the records.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "image_int.h"
#include "rl/base/io.h"
#include "rl/base/json.h"
#include "rl/base/mem.h"

enum { REQUEST_MAX = 64 << 20 };

static int open_all(const struct strv *dirs, int *fds, int *sidecars, size_t *n, struct err *e)
{
	for (size_t i = 0; i < dirs->count; i++) {
		int fd = open(dirs->items[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return err_sys(e, errno, "open %s", dirs->items[i]);
		autofree char *side = xasprintf("%s/../sidecar", dirs->items[i]);
		int sidecar = open(side, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		fds[*n] = fd;
		sidecars[*n] = sidecar < 0 ? 0 : sidecar;
		(*n)++;
	}
	return 0;
}

static int export_dirs(struct image_ctx *c, const json_t *request, struct err *e)
{
	autostrv struct strv dirs = STRV_INIT;
	autostrv struct strv exclude = STRV_INIT;
	struct archive_packed packed;
	size_t n = 0;
	int r = json_get_strv(request, "dirs", &dirs, e);
	if (r >= 0)
		r = json_get_strv(request, "exclude", &exclude, e);
	if (r < 0)
		return r;
	autofree int *fds = xcalloc(dirs.count + 1, sizeof(int));
	autofree int *sidecars = xcalloc(dirs.count + 1, sizeof(int));
	r = open_all(&dirs, fds, sidecars, &n, e);
	if (r >= 0)
		r = archive_pack(
			&(struct archive_pack){
				.map = &c->map,
				.kind = ARCHIVE_PACK_MERGED,
				.trust = json_bool_or(request, "trust_records", false) ? ARCHIVE_TRUST_RECORDS
										       : ARCHIVE_TRUST_LOWER,
				.dirfds = fds,
				.sidecarfds = sidecars,
				.ndirs = n,
				.outfd = IMAGE_PROTO_OUT_FD,
				.compression = ARCHIVE_PLAIN,
				.no_diffid = true,
				.exclude = (const char *const *)strv_argv(&exclude),
			},
			&packed, e);
	for (size_t i = 0; i < n; i++) {
		close(fds[i]);
		if (sidecars[i] > 0)
			close(sidecars[i]);
	}
	if (r >= 0 && packed.skipped)
		image_note(c, "%llu sockets were left out: tar cannot hold them", (unsigned long long)packed.skipped);
	return r;
}

int export_verb(struct image_ctx *c, struct err *e)
{
	autostr struct str text = STR_INIT;
	json_t *doc = NULL;
	int r = io_read_rest(IMAGE_PROTO_DATA_FD, REQUEST_MAX, "the request", &text, e);
	if (r >= 0)
		r = json_parse(text.buf, text.len, "request", &doc, e);
	autojson json_t *request = doc;
	return r < 0 ? r : export_dirs(c, request, e);
}
