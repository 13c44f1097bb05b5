/* links: engine/archive kern base; libs: -lcap-ng -lseccomp -ljansson */
#include "src/engine/archive/digest_int.h"

#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "tap.h"

int main(void)
{
	tap_plan_later();
	struct digest d;
	char text[ARCHIVE_DIGEST_SIZE];
	digest_start(&d);
	digest_finish(&d, text);
	tap_is_str(text, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	           "the digest of nothing");
	digest_start(&d);
	digest_add(&d, "a", 1);
	digest_add(&d, "bc", 2);
	digest_finish(&d, text);
	tap_is_str(text, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
	           "in pieces it is the same");
	digest_start(&d);
	digest_drop(&d);
	tap_ok(d.ctx == NULL, "an unfinished one is dropped");
	return tap_done();
}
