/* digest.c - SHA-256 by libcrypto, for documents and for files on their way into the store; see image_int.h. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/fs.h>

#include "image_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"

enum { COPY_CHUNK = 1 << 20 };

/* libcrypto's digest calls fail only without memory or without the algorithm; nothing can be done about either. */
static void must(int ok)
{
	if (ok == 1)
		return;
	fputs("rl-image: libcrypto has no SHA-256\n", stderr);
	_exit(EXIT_RL_FAILED);
}

static EVP_MD_CTX *begin(void)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	must(md && EVP_DigestInit_ex(md, EVP_sha256(), NULL));
	return md;
}

static void finish(EVP_MD_CTX *md, char ret_digest[STORE_DIGEST_SIZE])
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	must(EVP_DigestFinal_ex(md, sum, &n));
	EVP_MD_CTX_free(md);
	memcpy(ret_digest, "sha256:", 7);
	io_hex(sum, 32, ret_digest + 7);
}

void image_digest(const void *data, size_t len, char ret_digest[STORE_DIGEST_SIZE])
{
	EVP_MD_CTX *md = begin();
	must(EVP_DigestUpdate(md, data, len));
	finish(md, ret_digest);
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
	EVP_MD_CTX *md = begin();
	int64_t size = 0;
	for (;;) {
		ssize_t n = io_read_full(from, chunk, COPY_CHUNK, e);
		int r = n < 0 ? (int)n : cloned || n == 0 ? 0 : io_write_all(to, chunk, (size_t)n, e);
		if (r < 0) {
			EVP_MD_CTX_free(md);
			return r;
		}
		if (n == 0)
			break;
		must(EVP_DigestUpdate(md, chunk, (size_t)n));
		size += n;
	}
	finish(md, ret_digest);
	*ret_size = size;
	return 0;
}
