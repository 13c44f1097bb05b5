/* links: engine/registry model base */
/* SHA-256 against the vectors of FIPS 180-4, whole and in pieces. */
#include "tap.h"

#include "rl/base/mem.h"
#include "src/engine/registry/registry_int.h"

int main(void)
{
	static const char *const vectors[][2] = {
		{"", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		 "sha256:248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	};
	char d[IMGREF_DIGEST_SIZE];
	struct digest s = {.ctx = NULL};
	tap_plan_later();
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		digest_of(vectors[i][0], strlen(vectors[i][0]), d);
		tap_is_str(d, vectors[i][1], "a vector");
		digest_begin(&s);
		for (const char *p = vectors[i][0]; *p; p++)
			digest_add(&s, p, 1);
		tap_is_int(s.count, strlen(vectors[i][0]), "bytes are counted");
		digest_end(&s, d);
		tap_is_str(d, vectors[i][1], "the same byte by byte, with one object used again");
	}
	digest_begin(&s);
	digest_add(&s, "junk", 4);
	digest_begin(&s);
	digest_end(&s, d);
	tap_is_str(d, vectors[0][1], "beginning again forgets what was added");
	tap_ok(imgref_is_digest(d), "what comes out is a digest to everybody else");
	digest_free(&s);
	return tap_done();
}
