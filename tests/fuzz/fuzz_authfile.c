/* links: model base; libs: -ljansson */
/*
 * auth.json and config.json, and the answers of credential helpers: any bytes. What was set is found, what was removed
 * is not.
 */
#include <stdint.h>

#include "rl/base/base64.h"
#include "rl/base/mem.h"
#include "rl/model/authfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autojson json_t *doc = NULL;
	struct err e = ERR_INIT;
	autocred struct authfile_cred answer = AUTHFILE_CRED_INIT;
	autostr struct str plain = STR_INIT;
	autostr struct str coded = STR_INIT;
	(void)!authfile_helper_answer((const char *)data, size, &answer, &e);
	if (base64_decode((const char *)data, size, &plain, &e) == 0)
		base64_encode(plain.buf, plain.len, &coded);
	if (authfile_parse((const char *)data, size, "fuzz", &doc, &e) < 0)
		return 0;
	static const char *const names[] = {"docker.io/library/x", "a.org", "a.org/b/c", "localhost:5000/x"};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		autocred struct authfile_cred c = AUTHFILE_CRED_INIT;
		(void)!authfile_find(doc, names[i], &c, &e);
		authfile_helper(doc, names[i]);
	}
	authfile_store(doc);
	autostrv struct strv keys = STRV_INIT;
	authfile_keys(doc, &keys);
	char user[] = "u", password[] = "p:q";
	struct authfile_cred set = {.user = user, .password = password};
	autocred struct authfile_cred got = AUTHFILE_CRED_INIT;
	authfile_set(doc, "z.example.org", &set);
	if (authfile_find(doc, "z.example.org", &got, &e) != 1 || !str_eq(got.password, password))
		__builtin_trap();
	if (!authfile_remove(doc, "z.example.org") || authfile_remove(doc, "z.example.org"))
		__builtin_trap();
	return 0;
}
