/*
 * fuzz_template.c - any text as a template over a document: it prints or is refused, in bounded time and memory.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rl/base/mem.h"
#include "rl/cmd/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char document[] =
	"{\"ID\":\"abc\",\"Size\":42,\"Ratio\":1.5,\"Up\":true,\"None\":null,\"Tags\":[\"a\",\"b\"],"
	"\"Ports\":[{\"P\":80}],\"Labels\":{\"x\":\"1\",\"y\":\"2\"},\"Config\":{\"Env\":[\"A=1\"]}}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Longer texts find nothing new and a range in a range in a range only takes time. */
	if (size > 2048)
		return 0;
	autofree char *text = xcalloc(1, size + 1);
	memcpy(text, data, size);
	autotemplate struct template *t = NULL;
	autojson json_t *doc = json_loads(document, 0, NULL);
	autostr struct str out = STR_INIT;
	autostrv struct strv fields = STRV_INIT;
	struct err e = ERR_INIT;
	if (template_parse(text, &t, &e) < 0) {
		if (!e.text[0])
			abort();
		return 0;
	}
	template_fields(t, &fields);
	if (template_run(t, doc, size % 2, &out, &e) < 0 && !e.text[0])
		abort();
	return 0;
}
