#include <openssl/evp.h>
#include <string.h>

#include "digest_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"

/* libcrypto's digest calls fail only for lack of memory, which ends the process everywhere in this tree. */
RL_NORETURN static void digest_failed(void)
{
	log_line("SHA-256 is not available in libcrypto");
	_exit(EXIT_RL_FAILED);
}

void digest_start(struct digest *d)
{
	d->ctx = EVP_MD_CTX_new();
	if (!d->ctx || EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) != 1)
		digest_failed();
}

void digest_add(struct digest *d, const void *data, size_t len)
{
	if (EVP_DigestUpdate(d->ctx, data, len) != 1)
		digest_failed();
}

void digest_finish(struct digest *d, char ret[ARCHIVE_DIGEST_SIZE])
{
	unsigned char raw[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	if (EVP_DigestFinal_ex(d->ctx, raw, &n) != 1 || n != 32)
		digest_failed();
	memcpy(ret, "sha256:", 7);
	io_hex(raw, 32, ret + 7);
	digest_drop(d);
}

void digest_drop(struct digest *d)
{
	EVP_MD_CTX_free(d->ctx);
	d->ctx = NULL;
}
