/* digest.c - SHA-256 by libcrypto, for documents and for files on their way into the store; see image_int.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/fs.h>

#include "image_int.h"
#include "rl/base/digest.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"

enum { COPY_CHUNK = 1 << 20 };

void image_digest(const void *data, size_t len, char ret_digest[STORE_DIGEST_SIZE])
{
	digest_of(data, len, ret_digest);
}

void image_chain(const char *below, const char *diff_hex, char ret_hex[STORE_DIGEST_SIZE])
{
	if (!*below) {
		snprintf(ret_hex, STORE_DIGEST_SIZE, "%s", diff_hex);
		return;
	}
	char text[2 * STORE_DIGEST_SIZE + 2];
	char digest[STORE_DIGEST_SIZE];
	snprintf(text, sizeof(text), "sha256:%s sha256:%s", below, diff_hex);
	image_digest(text, strlen(text), digest);
	memcpy(ret_hex, digest + 7, 65);
}

int image_copy(int from, int to, char ret_digest[STORE_DIGEST_SIZE], int64_t *ret_size, struct err *e)
{
	/* Where the file system can share extents the copy costs nothing; the bytes are read for the digest only. */
	bool cloned = ioctl(to, FICLONE, from) == 0;
	autofree char *chunk = xmalloc(COPY_CHUNK);
	struct digest d = DIGEST_INIT;
	digest_begin(&d);
	int64_t size = 0;
	for (;;) {
		ssize_t n = io_read_full(from, chunk, COPY_CHUNK, e);
		int r = n < 0 ? (int)n : cloned || n == 0 ? 0 : io_write_all(to, chunk, (size_t)n, e);
		if (r < 0) {
			digest_free(&d);
			return r;
		}
		if (n == 0)
			break;
		digest_add(&d, chunk, (size_t)n);
		size += n;
	}
	digest_end(&d, ret_digest);
	digest_free(&d);
	*ret_size = size;
	return 0;
}
