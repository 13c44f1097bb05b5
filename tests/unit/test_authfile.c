#include "tap.h"

#include <errno.h>

#include "rl/base/base64.h"
#include "rl/base/mem.h"
#include "rl/model/authfile.h"

static json_t *doc_of(const char *text)
{
	json_t *doc = NULL;
	struct err e = ERR_INIT;
	if (authfile_parse(text, strlen(text), "auth.json", &doc, &e) < 0)
		tap_diag("%s", e.text);
	return doc;
}

/* "user:password:identity:token", "none" or "error N". */
static char *find(const json_t *doc, const char *name)
{
	autocred struct authfile_cred c = AUTHFILE_CRED_INIT;
	struct err e = ERR_INIT;
	int r = authfile_find(doc, name, &c, &e);
	if (r < 0)
		return xasprintf("error %d", -r);
	if (r == 0)
		return xstrdup("none");
	return xasprintf("%s:%s:%s:%s", c.user ? c.user : "-", c.password ? c.password : "-",
			 c.identity_token ? c.identity_token : "-", c.registry_token ? c.registry_token : "-");
}

static void finds(const json_t *doc, const char *name, const char *want, const char *sentence)
{
	autofree char *got = find(doc, name);
	tap_is_str(got, want, sentence);
}

static void test_find(void)
{
	/* a:b = YTpi, c:d = Yzpk, e:f:g = ZTpmOmc=, u:p = dTpw */
	autojson json_t *doc = doc_of(
		"{\"auths\":{\"quay.io\":{\"auth\":\"YTpi\"},\"quay.io/team\":{\"auth\":\"Yzpk\"},"
		"\"https://index.docker.io/v1/\":{\"auth\":\"dTpw\"},\"localhost:5000\":{\"auth\":\"ZTpmOmc=\"},"
		"\"http://old.example.org/v2/"
		"\":{\"auth\":\"YTpi\"},\"empty.org\":{},\"id.org\":{\"auth\":\"dTo=\",\"identitytoken\":\"tok\"},"
		"\"raw.org\":{\"registrytoken\":\"rt\"},\"bad.org\":{\"auth\":\"***\"},\"nocolon.org\":{\"auth\":\"YWI="
		"\"},"
		"\"plain.org\":{\"username\":\"x\",\"password\":\"y\"},\"type.org\":{\"auth\":1},\"nopad.org\":{"
		"\"auth\":\"ZTpmOmc\"}},"
		"\"credHelpers\":{\"ecr.org\":\"ecr-login\",\"https://"
		"gcr.io\":\"gcloud\"},\"credsStore\":\"pass\",\"HttpHeaders\":{\"X\":\"y\"}}");
	finds(doc, "quay.io/other/x", "a:b:-:-", "a host's credentials are found for its repositories");
	finds(doc, "quay.io", "a:b:-:-", "and for itself");
	finds(doc, "quay.io/team/x", "c:d:-:-", "the longest namespace wins");
	finds(doc, "quay.io/teams/x", "a:b:-:-", "namespaces match whole components");
	finds(doc, "quay.io:5000/x", "none", "another port is another registry");
	finds(doc, "xquay.io/x", "none", "a host that only ends alike gets nothing");
	finds(doc, "quay.io.evil.org/x", "none", "a host that only begins alike gets nothing");
	finds(doc, "docker.io/library/busybox", "u:p:-:-", "docker's URL means docker.io");
	finds(doc, "localhost:5000/x", "e:f:g:-:-", "a password may contain colons");
	finds(doc, "old.example.org/x", "a:b:-:-", "URL keys mean their host");
	finds(doc, "empty.org/x", "none", "an empty entry is none");
	finds(doc, "id.org/x", "u::tok:-", "identity tokens are read");
	finds(doc, "raw.org/x", "-:-:-:rt", "registry tokens are read");
	finds(doc, "plain.org/x", "x:y:-:-", "user and password in the clear are read");
	finds(doc, "nopad.org/x", "e:f:g:-:-", "missing base64 padding is forgiven");
	finds(doc, "bad.org/x", "error 74", "broken base64 is an error, not anonymous");
	finds(doc, "nocolon.org/x", "error 74", "an entry without colon is an error");
	finds(doc, "type.org/x", "error 74", "an entry of the wrong type is an error");
	tap_is_str(authfile_helper(doc, "ecr.org"), "ecr-login", "credHelpers name a helper for a host");
	tap_is_str(authfile_helper(doc, "gcr.io"), "gcloud", "also under a URL");
	tap_ok(!authfile_helper(doc, "quay.io"), "and for no other");
	tap_is_str(authfile_store(doc), "pass", "credsStore is read");
}

static void test_change(void)
{
	autojson json_t *doc = doc_of("{\"auths\":{\"https://index.docker.io/v1/"
				      "\":{\"auth\":\"dTpw\"}},\"credsStore\":\"\",\"detachKeys\":\"x\"}");
	struct authfile_cred c = {.user = (char[]){"ann"}, .password = (char[]){"s:ecret"}};
	authfile_set(doc, "docker.io", &c);
	finds(doc, "docker.io/library/x", "ann:s:ecret:-:-", "what is set is found");
	tap_is_int(json_object_size(json_object_get(doc, "auths")), 1, "another spelling of the same host is replaced");
	tap_is_str(json_str_or_null(doc, "detachKeys"), "x", "other members stay");
	tap_ok(!authfile_store(doc), "an empty credsStore is none");
	tap_ok(authfile_remove(doc, "index.docker.io"), "removing finds the other spelling");
	tap_ok(!authfile_remove(doc, "docker.io"), "removing twice says so");
	finds(doc, "docker.io/library/x", "none", "removed credentials are gone");
	autojson json_t *empty = doc_of(" \n");
	authfile_set(empty, "quay.io/ns", &c);
	finds(empty, "quay.io/ns/y", "ann:s:ecret:-:-", "an empty file becomes a document");
	finds(empty, "quay.io/other", "none", "a namespace key is for the namespace");
	autojson json_t *null = doc_of("{\"auths\":null}");
	authfile_set(null, "a.org", &c);
	finds(null, "a.org/x", "ann:s:ecret:-:-", "null in place of the credentials counts as none");
	autostrv struct strv keys = STRV_INIT;
	authfile_keys(empty, &keys);
	tap_is_str(keys.items[0], "quay.io/ns", "keys are listed");
}

static void test_bad(void)
{
	static const char *const bad[] = {"[]",	  "1",	"{", "{\"auths\":[]}", "{\"auths\":1}", "{\"credHelpers\":[]}",
					  "{}{}", "nul"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		autojson json_t *doc = NULL;
		struct err e = ERR_INIT;
		tap_ok(authfile_parse(bad[i], strlen(bad[i]), "f", &doc, &e) < 0, "refused: %s", bad[i]);
	}
	autojson json_t *odd = doc_of("{\"auths\":{\"a.org\":1,\"b.org\":null,\"\":{\"auth\":\"YTpi\"}}}");
	finds(odd, "a.org/x", "none", "an entry that is no object is none");
	finds(odd, "/x", "none", "an empty key matches nothing");
}

static void test_helpers(void)
{
	autocred struct authfile_cred c = AUTHFILE_CRED_INIT;
	struct err e = ERR_INIT;
	const char *answer = "{\"ServerURL\":\"x\",\"Username\":\"ann\",\"Secret\":\"s\"}";
	tap_is_int(authfile_helper_answer(answer, strlen(answer), &c, &e), 0, "a helper's answer is read");
	tap_is_str(c.password, "s", "its secret is the password");
	authfile_cred_free(&c);
	answer = "{\"Username\":\"<token>\",\"Secret\":\"t\"}";
	tap_is_int(authfile_helper_answer(answer, strlen(answer), &c, &e), 0, "a token answer is read");
	tap_is_str(c.identity_token, "t", "user <token> means an identity token");
	tap_ok(!c.user, "and no user");
	answer = "{\"Username\":\"x\"}";
	struct authfile_cred none = AUTHFILE_CRED_INIT;
	tap_is_int(authfile_helper_answer(answer, strlen(answer), &none, &e), -EBADMSG,
		   "an answer without secret is refused");
	tap_is_int(authfile_helper_answer("{\"Username\":\"x\"", 15, &none, NULL), -EBADMSG,
		   "errors need no place to go");
	autostr struct str request = STR_INIT;
	authfile_helper_request("https://x", &c, &request);
	tap_has(request.buf, "\"Username\":\"<token>\"", "a token is stored under <token>");
	tap_ok(authfile_is_helper_name("ecr-login") && authfile_is_helper_name("pass"), "plain names are helper names");
	tap_ok(!authfile_is_helper_name("../x") && !authfile_is_helper_name("a/b") && !authfile_is_helper_name("") &&
		       !authfile_is_helper_name("a b") && !authfile_is_helper_name("a;b"),
	       "paths and anything else are not");
}

static void test_creds(void)
{
	autocred struct authfile_cred c = AUTHFILE_CRED_INIT;
	struct err e = ERR_INIT;
	tap_is_int(authfile_creds_parse("ann:a:b", &c, &e), 0, "--creds is split");
	tap_is_str(c.password, "a:b", "at the first colon");
	authfile_cred_free(&c);
	tap_is_int(authfile_creds_parse("ann", &c, &e), 0, "a user alone is accepted");
	tap_ok(!c.password, "and has no password");
	tap_is_int(authfile_creds_parse(":x", &c, &e), -EINVAL, "a password alone is refused");
}

static void test_base64(void)
{
	static const char *const pairs[][2] = {{"", ""},
					       {"f", "Zg=="},
					       {"fo", "Zm8="},
					       {"foo", "Zm9v"},
					       {"foob", "Zm9vYg=="},
					       {"fooba", "Zm9vYmE="},
					       {"foobar", "Zm9vYmFy"}};
	struct err e = ERR_INIT;
	bool same = true;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		autostr struct str coded = STR_INIT;
		autostr struct str plain = STR_INIT;
		base64_encode(pairs[i][0], strlen(pairs[i][0]), &coded);
		int r = base64_decode(coded.buf, coded.len, &plain, &e);
		same = same && r == 0 && str_eq(coded.buf, pairs[i][1]) && str_eq(plain.buf, pairs[i][0]);
	}
	tap_ok(same, "base64 goes round for the vectors of RFC 4648");
	autostr struct str out = STR_INIT;
	tap_ok(base64_decode("Z", 1, &out, &e) < 0 && base64_decode("Zg=", 3, &out, &e) < 0 &&
		       base64_decode("Zg==Zg==", 8, &out, &e) < 0 && base64_decode("Z\0==", 4, &out, &e) < 0 &&
		       base64_decode("Zm9v\n", 5, &out, &e) < 0,
	       "impossible lengths, padding inside and foreign characters are refused");
}

int main(void)
{
	tap_plan_later();
	test_find();
	test_change();
	test_bad();
	test_helpers();
	test_creds();
	test_base64();
	return tap_done();
}
