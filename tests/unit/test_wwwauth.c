#include "tap.h"

#include <errno.h>

#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "rl/model/wwwauth.h"

/* "scheme|realm|service|scope|error" of the chosen challenge and how many there are, or the error. */
static char *parse(const char *value)
{
	struct wwwauth w = WWWAUTH_INIT;
	struct err e = ERR_INIT;
	struct str s = STR_INIT;
	int r = wwwauth_add(&w, value, strlen(value), &e);
	const struct wwwauth_challenge *c = wwwauth_choose(&w);
	if (r < 0)
		str_addf(&s, "error %d with %zu", -r, w.count);
	else if (!c)
		str_addf(&s, "%zu none", w.count);
	else
		str_addf(&s, "%zu %s|%s|%s|%s|%s", w.count, c->scheme == WWWAUTH_BEARER ? "bearer" : "basic",
			 c->realm ? c->realm : "-", c->service ? c->service : "-", c->scope ? c->scope : "-",
			 c->error ? c->error : "-");
	wwwauth_free(&w);
	return str_take(&s);
}

static void gives(const char *value, const char *want, const char *sentence)
{
	autofree char *got = parse(value);
	tap_is_str(got, want, sentence);
}

int main(void)
{
	tap_plan_later();
	gives("Bearer realm=\"https://a/t\",service=\"s\",scope=\"repository:x:pull\"",
	      "1 bearer|https://a/t|s|repository:x:pull|-", "the usual challenge");
	gives("bearer REALM = \"r\" , Service=s", "1 bearer|r|s|-|-",
	      "names are case-insensitive, blanks and missing quotes are allowed");
	gives("Basic realm=\"x\"", "1 basic|x|-|-|-", "basic");
	gives("Basic", "1 basic|-|-|-|-", "a scheme alone");
	gives("Basic realm=\"x\", Bearer realm=\"r\"", "2 bearer|r|-|-|-", "Bearer is chosen before Basic");
	gives("Negotiate, Basic realm=\"x\"", "2 basic|x|-|-|-", "an unknown scheme is passed over");
	gives("Negotiate YIIabc==, Bearer realm=r", "2 bearer|r|-|-|-", "token68 credentials are passed over");
	gives("NTLM", "1 none", "nothing we know");
	gives("Bearer service=\"s\"", "1 none", "a Bearer challenge without realm cannot be answered");
	gives("Bearer realm=\"a\\\"b,c\",error=\"invalid_token\"", "1 bearer|a\"b,c|-|-|invalid_token",
	      "escapes and commas inside quotes");
	gives("Bearer realm=https://a/t?x=1,service=s", "1 bearer|https://a/t?x=1|s|-|-", "a URL without quotes");
	gives("", "0 none", "an empty value has no challenge");
	gives(" ,, Bearer realm=r,, ", "1 bearer|r|-|-|-", "empty list members are skipped");
	gives("Bearer realm=\"r", "error 74 with 0", "quotes without end are refused");
	gives("Bearer realm=\"r\\", "error 74 with 0", "a backslash at the end is refused");
	gives("Bearer realm=\"a\" service=\"b\"", "error 74 with 0", "a missing comma is refused");
	gives("Bearer realm=a,realm=b", "error 74 with 0", "a parameter twice is refused: which one would count?");
	gives("Bearer realm=", "error 74 with 0", "a parameter without value is refused");
	gives("Bearer realm=\"a\nb\"", "error 74 with 0", "control characters are refused");
	gives("{\"a\":1}", "error 74 with 0", "something else altogether is refused");
	gives("A,B,C,D,E,F,G,H,I", "error 7 with 0", "more than eight challenges are refused");
	gives("Bearer realm=\"r\",claims=\"x\",foo=bar", "1 bearer|r|-|-|-", "unknown parameters are ignored");

	struct wwwauth w = WWWAUTH_INIT;
	struct err e = ERR_INIT;
	tap_is_int(wwwauth_add(&w, "Basic realm=a", 13, &e), 0, "several headers add up");
	tap_is_int(wwwauth_add(&w, "Bearer realm=\"", 14, &e), -EBADMSG, "a bad one after a good one is refused");
	tap_is_int(w.count, 1, "and leaves the good one");
	tap_is_int(wwwauth_add(&w, "Bearer realm=b", 14, &e), 0, "a later header adds");
	tap_is_str(wwwauth_choose(&w)->realm, "b", "and is considered");
	autofree char *big = xmalloc(WWWAUTH_VALUE_MAX + 1);
	memset(big, 'a', WWWAUTH_VALUE_MAX + 1);
	tap_is_int(wwwauth_add(&w, big, WWWAUTH_VALUE_MAX + 1, &e), -E2BIG, "an oversized value is refused");
	wwwauth_free(&w);
	return tap_done();
}
