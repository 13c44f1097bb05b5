/* links: base; libs: -lcrypto */
#include "rl/base/digest.h"

#include "tap.h"

int main(void)
{
	tap_plan_later();
	struct digest d = DIGEST_INIT;
	char text[DIGEST_SIZE];
	digest_begin(&d);
	digest_end(&d, text);
	tap_is_str(text, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		   "the digest of nothing");
	digest_begin(&d);
	digest_add(&d, "a", 1);
	digest_add(&d, "bc", 2);
	digest_end(&d, text);
	tap_is_str(text, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		   "in pieces it is the same");
	digest_begin(&d);
	digest_free(&d);
	tap_ok(d.ctx == NULL, "a context is freed");
	digest_of("abc", 3, text);
	tap_is_str(text, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		   "in one call it is the same");
	return tap_done();
}
