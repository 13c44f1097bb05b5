#include <openssl/evp.h>
#include <string.h>

#include "rl/base/digest.h"
#include "rl/base/err.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"

/* libcrypto's digest calls fail only without memory or without the algorithm; there is nothing to recover then. */
static void must(int ok)
{
	if (ok == 1)
		return;
	log_line("libcrypto has no SHA-256");
	_exit(EXIT_RL_FAILED);
}

void digest_begin(struct digest *d)
{
	if (!d->ctx)
		d->ctx = EVP_MD_CTX_new();
	must(d->ctx && EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL));
	d->count = 0;
}

void digest_add(struct digest *d, const void *data, size_t len)
{
	must(EVP_DigestUpdate(d->ctx, data, len));
	d->count += len;
}

void digest_end(struct digest *d, char ret_digest[DIGEST_SIZE])
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	must(EVP_DigestFinal_ex(d->ctx, sum, &n));
	memcpy(ret_digest, "sha256:", 7);
	io_hex(sum, 32, ret_digest + 7);
}

void digest_free(struct digest *d)
{
	EVP_MD_CTX_free(d->ctx);
	d->ctx = NULL;
}

void digest_of(const void *data, size_t len, char ret_digest[DIGEST_SIZE])
{
	struct digest d = {.ctx = NULL};
	digest_begin(&d);
	digest_add(&d, data, len);
	digest_end(&d, ret_digest);
	digest_free(&d);
}
