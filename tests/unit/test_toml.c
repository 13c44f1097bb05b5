#include "src/model/toml_int.h"
#include "tap.h"

#include <errno.h>

#include "rl/base/mem.h"
#include "rl/model/toml.h"

/* The document as compact JSON, or "error LINE...". */
static char *as_json(const char *text)
{
	autojson json_t *doc = NULL;
	struct err e = ERR_INIT;
	struct str out = STR_INIT;
	int r = toml_parse(text, strlen(text), "t", &doc, &e);
	if (r < 0)
		str_addf(&out, "error %d %s", -r, e.text);
	else
		json_print(doc, false, &out);
	return str_take(&out);
}

static void good(const char *text, const char *want, const char *sentence)
{
	autofree char *got = as_json(text);
	tap_is_str(got, want, sentence);
}

static void bad(const char *text, int code, const char *part, const char *sentence)
{
	autofree char *got = as_json(text);
	autofree char *want = xasprintf("error %d", code);
	if (!tap_ok(strncmp(got, want, strlen(want)) == 0 && strstr(got, part), "%s", sentence))
		tap_diag("got %s", got);
}

static void test_values(void)
{
	good("", "{}", "an empty text is an empty document");
	good("\xef\xbb\xbf"
	     "a=1",
	     "{\"a\":1}", "a byte order mark is skipped");
	good("a = \"x\" # c\nb='\\n'\n", "{\"a\":\"x\",\"b\":\"\\\\n\"}", "basic and literal strings, comments");
	good("a=\"\\t\\\"\\u00e9\\U0001f600\"", "{\"a\":\"\\t\\\"\xc3\xa9\xf0\x9f\x98\x80\"}",
	     "escapes become characters");
	good("a=\"\"\"\nx\n y\\\n   z\"\"\"", "{\"a\":\"x\\n yz\"}",
	     "multi-line strings drop the first newline and joined lines");
	good("a=\"\"\"a\"\"b\"\"\"\"\"", "{\"a\":\"a\\\"\\\"b\\\"\\\"\"}",
	     "quotes stand inside and at the end of multi-line strings");
	good("a='''\n\\x'y'''", "{\"a\":\"\\\\x'y\"}", "multi-line literal strings keep backslashes");
	good("a=1_000\nb=-7\nc=0x1F\nd=0o17\ne=0b101\nf=+3\ng=0",
	     "{\"a\":1000,\"b\":-7,\"c\":31,\"d\":15,\"e\":5,\"f\":3,\"g\":0}", "integers of all bases");
	good("a=true\nb=false", "{\"a\":true,\"b\":false}", "booleans");
	good("a=[1, [\"x\", ], # c\n 2,\n]", "{\"a\":[1,[\"x\"],2]}", "arrays nest, span lines and may end in a comma");
	good("a={b=1, c.d=\"x\"}", "{\"a\":{\"b\":1,\"c\":{\"d\":\"x\"}}}", "inline tables");
	good("a=1\r\nb=2\r\n", "{\"a\":1,\"b\":2}", "CRLF ends lines");
}

static void test_tables(void)
{
	good("[a]\nb=1\n[a.c]\nd=2", "{\"a\":{\"b\":1,\"c\":{\"d\":2}}}", "tables inside tables");
	good("[a.b]\nx=1\n[a]\ny=2", "{\"a\":{\"b\":{\"x\":1},\"y\":2}}", "a parent may be defined after its child");
	good("[[r]]\na=1\n[[r.m]]\nb=1\n[[r.m]]\nb=2\n[[r]]\na=2\n[[r.m]]\nb=3",
	     "{\"r\":[{\"a\":1,\"m\":[{\"b\":1},{\"b\":2}]},{\"a\":2,\"m\":[{\"b\":3}]}]}",
	     "arrays of tables belong to the last table above");
	good("a.b.c=1\na.b.d=2", "{\"a\":{\"b\":{\"c\":1,\"d\":2}}}", "dotted keys share their tables");
	good("\"a.b\".'c d'=1", "{\"a.b\":{\"c d\":1}}", "quoted keys are one part whatever is in them");
	bad("a=1\na=2", EBADMSG, "line 2", "a key twice is refused, with its line");
	bad("[a]\n[a]", EBADMSG, "twice", "a table twice is refused");
	bad("a=1\n[a]", EBADMSG, "twice", "a table over a value is refused");
	bad("a={b=1}\n[a.c]", EBADMSG, "no open table", "an inline table is closed for headers");
	bad("a={b=1}\na.c=2", EBADMSG, "elsewhere", "an inline table is closed for dotted keys");
	bad("a={b.c=1}\n[a.b.d]", EBADMSG, "no open table", "tables inside an inline table are closed too");
	bad("[a.b]\n[a]\nb.c=1", EBADMSG, "elsewhere", "a dotted key does not add to a table of a header");
	bad("[[a]]\n[a]", EBADMSG, "twice", "a table over an array of tables is refused");
	bad("a=[]\n[[a]]", EBADMSG, "name of something else", "an array of tables over an array is refused");
	bad("[a]\n[[a]]", EBADMSG, "name of something else", "an array of tables over a table is refused");
}

static void test_bad(void)
{
	bad("a=1.5", EOPNOTSUPP, "float", "floats are refused by name");
	bad("a=1e5", EOPNOTSUPP, "float", "exponents are refused by name");
	bad("a=inf", EOPNOTSUPP, "float", "infinity is refused by name");
	bad("a=1979-05-27", EOPNOTSUPP, "dates", "dates are refused by name");
	bad("a=07:32:00", EOPNOTSUPP, "times", "times are refused by name");
	bad("a=01", EBADMSG, "number", "leading zeros are refused");
	bad("a=1__0", EBADMSG, "'_'", "double underscores are refused");
	bad("a=9223372036854775808", EBADMSG, "range", "integers beyond 64 bits are refused");
	bad("a=", EBADMSG, "value", "a key without value is refused");
	bad("a=truex", EBADMSG, "value", "words that only begin like a value are refused");
	bad("a b=1", EBADMSG, "'='", "two words before '=' are refused");
	bad("=1", EBADMSG, "key", "a value without key is refused");
	bad("a=1 b=2", EBADMSG, "end", "two pairs on one line are refused");
	bad("a=\"x", EBADMSG, "without end", "a string without end is refused");
	bad("a=\"x\ny\"", EBADMSG, "without end", "a newline in a basic string is refused");
	bad("a=\"\"\"x", EBADMSG, "without end", "a multi-line string without end is refused");
	bad("\"\"\"a\"\"\"=1", EBADMSG, "multi-line", "a multi-line key is refused");
	bad("a=\"\\q\"", EBADMSG, "escape", "unknown escapes are refused");
	bad("a=\"\\ud800\"", EBADMSG, "no character", "surrogates are refused");
	bad("a=\"\\u0000\"", EBADMSG, "no character", "an escaped NUL is refused");
	bad("a=\"\x01\"", EBADMSG, "control", "control characters are refused");
	bad("a=\"\xff\"", EBADMSG, "UTF-8", "bytes that are not UTF-8 are refused in values");
	bad("\"\xff\"=1", EBADMSG, "UTF-8", "bytes that are not UTF-8 are refused in keys");
	bad("a=[1", EBADMSG, "expected", "an array without end is refused");
	bad("a={b=1", EBADMSG, "expected", "an inline table without end is refused");
	bad("a={b=1,}", EBADMSG, "'}'", "a comma at the end of an inline table is refused");
	bad("[a", EBADMSG, "']'", "a header without end is refused");
	bad("[[a]", EBADMSG, "']'", "a half closed header is refused");
	bad("[]", EBADMSG, "key", "an empty header is refused");

	autojson json_t *doc = NULL;
	struct err e = ERR_INIT;
	tap_is_int(toml_parse("a=1\0b", 5, "t", &doc, &e), -EBADMSG, "a NUL byte is refused");
	struct str deep = STR_INIT;
	str_adds(&deep, "a=");
	for (int i = 0; i < 100000; i++)
		str_addc(&deep, '[');
	autofree char *got = as_json(deep.buf);
	tap_has(got, "nested too deeply", "a hundred thousand brackets are refused, not recursed into");
	str_cut(&deep, 0);
	for (int i = 0; i < 100; i++)
		str_adds(&deep, "a.");
	str_adds(&deep, "a=1");
	autofree char *got2 = as_json(deep.buf);
	tap_has(got2, "too deep", "a key of a hundred parts is refused");
	str_free(&deep);
}

static void test_key(void)
{
	static const char text[] = "a . \"b c\" . 'd.e' = 1";
	struct err e = ERR_INIT;
	autostrv struct strv parts = STRV_INIT;
	struct toml t = {.p = text, .end = text + strlen(text), .what = "t", .line = 1, .e = &e};
	tap_is_int(toml_take_key(&t, &parts), 3, "a dotted key is taken");
	tap_ok(parts.count == 3 && str_eq(parts.items[0], "a") && str_eq(parts.items[1], "b c") &&
		       str_eq(parts.items[2], "d.e"),
	       "in its parts");
	toml_skip_blanks(&t);
	tap_is_int(toml_peek(&t), '=', "and nothing more");
}

int main(void)
{
	tap_plan_later();
	test_values();
	test_tables();
	test_bad();
	test_key();
	return tap_done();
}
