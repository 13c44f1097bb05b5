/*
 * build_digest.c - SHA-256 for keys and documents, by libcrypto, which is opened here and linked nowhere into rl: every
 * other verb starts without it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>

#include "build_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"

int build_crypto_open(struct build_crypto *ret, struct err *e)
{
	static const char *const names[] = {"libcrypto.so.3", "libcrypto.so.1.1", "libcrypto.so"};
	struct build_crypto c = {.lib = NULL};
	for (size_t i = 0; i < ARRAY_SIZE(names) && !c.lib; i++)
		c.lib = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
	if (!c.lib) {
		err_set(e, ENOENT, "builds need SHA-256 from libcrypto, and there is none: %s", dlerror());
		return err_hint(e, "apt-get install libssl3");
	}
	struct {
		const char *name;
		void **to;
	} symbols[] = {
		{"EVP_MD_CTX_new", (void **)&c.ctx_new},  {"EVP_MD_CTX_free", (void **)&c.ctx_free},
		{"EVP_sha256", (void **)&c.sha256},	  {"EVP_DigestInit_ex", (void **)&c.init},
		{"EVP_DigestUpdate", (void **)&c.update}, {"EVP_DigestFinal_ex", (void **)&c.final},
	};
	for (size_t i = 0; i < ARRAY_SIZE(symbols); i++) {
		*symbols[i].to = dlsym(c.lib, symbols[i].name);
		if (!*symbols[i].to)
			return err_set(e, ENOENT, "libcrypto has no %s", symbols[i].name);
	}
	*ret = c;
	return 0;
}

void build_hash_begin(struct build_hash *h, const struct build_crypto *c)
{
	h->crypto = c;
	h->ctx = c->ctx_new();
	/* libcrypto fails here only without memory */
	if (!h->ctx || c->init(h->ctx, c->sha256(), NULL) != 1)
		abort();
}

void build_hash_add(struct build_hash *h, const void *data, size_t len)
{
	h->crypto->update(h->ctx, data, len);
}

void build_hash_text(struct build_hash *h, const char *text)
{
	char len[24];
	size_t n = text ? strlen(text) : 0;
	int head = snprintf(len, sizeof(len), "%c%zu:", text ? 't' : 'n', n);
	build_hash_add(h, len, (size_t)head);
	build_hash_add(h, text ? text : "", n);
}

void build_hash_strv(struct build_hash *h, const struct strv *v)
{
	char len[24];
	int head = snprintf(len, sizeof(len), "v%zu:", v->count);
	build_hash_add(h, len, (size_t)head);
	for (size_t i = 0; i < v->count; i++)
		build_hash_text(h, v->items[i]);
}

void build_hash_end(struct build_hash *h, char ret_hex[BUILD_KEY_SIZE])
{
	unsigned char raw[64];
	unsigned len = 0;
	h->crypto->final(h->ctx, raw, &len);
	h->crypto->ctx_free(h->ctx);
	h->ctx = NULL;
	io_hex(raw, 32, ret_hex);
}
