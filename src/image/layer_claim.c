/*
 * layer_claim.c - of several who need the same layer unpacked, one does it; see image_int.h.
 *
 * A claim is the flock of cache/claim-KEY-HEX, held from before the layer is unpacked until it is published (or given up),
 * so it is free again when its owner dies. Claims are taken in the order of their names, all at once, and before any
 * partial file of a download is locked: two who need several layers cannot wait for each other. The file goes with the
 * claim; who waited for a file that is gone meanwhile opens it anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"

static int claim_one(int cachefd, const char *name, struct err *e)
{
	for (;;) {
		struct stat st;
		struct stat named;
		autofd int fd = openat(cachefd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return err_sys(e, errno, "open cache/%s", name);
		int r = io_lock(fd, true, e);
		if (r < 0)
			return r;
		if (fstat(fd, &st) == 0 && fstatat(cachefd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
		    st.st_ino == named.st_ino)
			return take_fd(&fd);
	}
}

int layer_claims_take(struct image_ctx *c, const struct strv *hexes, struct layer_claims *ret, struct err *e)
{
	struct layer_claims claims = {.cachefd = -1, .names = STRV_INIT};
	claims.cachefd = store_dir(&c->store, "cache", e);
	if (claims.cachefd < 0)
		return claims.cachefd;
	for (size_t i = 0; i < hexes->count; i++)
		strv_addf(&claims.names, "claim-%s-%s", c->map.key, hexes->items[i]);
	strv_sort(&claims.names);
	claims.fds = xcalloc(claims.names.count + 1, sizeof(*claims.fds));
	for (size_t i = 0; i < claims.names.count; i++) {
		/* Twice the same layer is one claim. */
		if (i && str_eq(claims.names.items[i], claims.names.items[i - 1])) {
			claims.fds[claims.count++] = -1;
			continue;
		}
		int fd = claim_one(claims.cachefd, claims.names.items[i], e);
		if (fd < 0) {
			layer_claims_drop(&claims);
			return fd;
		}
		claims.fds[claims.count++] = fd;
	}
	*ret = claims;
	return 0;
}

void layer_claims_drop(struct layer_claims *claims)
{
	for (size_t i = 0; i < claims->count; i++) {
		if (claims->fds[i] < 0)
			continue;
		unlinkat(claims->cachefd, claims->names.items[i], 0);
		close(claims->fds[i]);
	}
	close_fd(&claims->cachefd);
	free(claims->fds);
	strv_free(&claims->names);
	*claims = (struct layer_claims){.cachefd = -1};
}
