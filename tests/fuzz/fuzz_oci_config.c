/*
 * fuzz_oci_config.c - any bytes as config.json, process.json and resources: no crash, no leak, and what is refused has a
 * text.
 */
#include <stdint.h>
#include <stdlib.h>

#include "rl/base/mem.h"
#include "rl/model/oci_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct oci_config c = OCI_CONFIG_INIT;
	struct oci_process p;
	struct oci_resources r;
	struct err e = ERR_INIT;
	autofree char *text = xmalloc(size + 1);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	if (oci_config_parse(text, size, &c, &e) == 0) {
		must(c.oci_version != NULL);
		must(!c.process.given || c.process.cwd != NULL);
		oci_config_free(&c);
	} else {
		must(e.code != 0 && e.text[0]);
	}
	if (oci_process_parse(text, size, &p, NULL) == 0)
		oci_process_free(&p);
	if (oci_resources_parse(text, size, &r, NULL) == 0)
		oci_resources_free(&r);
	return 0;
}
