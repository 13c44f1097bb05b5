#include "rl/base/json.h"

#include <errno.h>
#include <fcntl.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "tap.h"

static int parse(const char *text, size_t len, struct err *e)
{
	autojson json_t *doc = NULL;
	int r = json_parse(text, len, "manifest", &doc, e);
	if (r < 0 && doc)
		return -1000; /* output touched on failure */
	return r;
}

static void test_refusals(void)
{
	static const struct {
		const char *text, *sentence;
	} bad[] = {
		{"", "an empty document is refused"},
		{"{\"a\":1,\"a\":2}", "a key that comes twice is refused"},
		{"{\"x\":{\"a\":1,\"a\":1}}", "also inside and with the same value"},
		{"{\"a\":1} x", "bytes after the document are refused"},
		{"{\"a\":1}{}", "a second document is refused"},
		{"{\"a\":\"b\\u0000c\"}", "an escaped NUL in a string is refused"},
		{"{\"a\\u0000b\":1}", "an escaped NUL in a key is refused"},
		{"{\"a\":\"\xff\"}", "a string that is not UTF-8 is refused"},
		{"{\"a\":\"\xed\xa0\x80\"}", "a surrogate in UTF-8 is refused"},
		{"{a:1}", "a key without quotes is refused"},
		{"[1,]", "a comma too many is refused"},
		{"[01]", "a number with a leading zero is refused"},
		{"[NaN]", "NaN is refused"},
		{"[1e999]", "a number that is too large is refused"},
		{"[\"\n\"]", "a raw newline in a string is refused"},
		{"/* c */ {}", "a comment is refused"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err e = ERR_INIT;
		int r = parse(bad[i].text, strlen(bad[i].text), &e);
		tap_ok(r == -EBADMSG && strstr(e.text, "manifest"), "%s", bad[i].sentence);
	}
	tap_is_int(parse("{\"a\":1}\0", 8, NULL), -EBADMSG, "a NUL after the document is refused");
	tap_is_int(parse("{\"a\":1}xx", 7, NULL), 0, "bytes beyond the length are not looked at");
	autofree char *deep = xmalloc(200001);
	memset(deep, '[', 100000);
	memset(deep + 100000, ']', 100000);
	deep[200000] = '\0';
	tap_is_int(parse(deep, 200000, NULL), -EBADMSG, "nesting 100000 levels deep is refused and crashes nothing");
}

static void test_get(void)
{
	static const char text[] =
		"{\"s\":\"v\",\"i\":-5,\"r\":1.5,\"b\":true,\"n\":null,\"o\":{},\"a\":[\"x\",\"y\"],\"m\":[\"x\",1]}";
	struct err e = ERR_INIT;
	autojson json_t *doc = NULL;
	if (!tap_is_int(json_parse(text, strlen(text), "doc", &doc, &e), 0, "a document is parsed"))
		return;
	const char *s = "old";
	int64_t i = 42;
	bool b = false;
	json_t *v = NULL;
	tap_ok(json_get_str(doc, "s", &s, &e) == 1 && str_eq(s, "v"), "a string member is read");
	s = "old";
	tap_ok(json_get_str(doc, "none", &s, &e) == 0 && str_eq(s, "old"), "an absent member leaves the output alone");
	tap_ok(json_get_str(doc, "n", &s, &e) == 0 && str_eq(s, "old"), "null is absent");
	tap_ok(json_get_str(doc, "i", &s, &e) == -EINVAL && str_eq(s, "old"),
	       "a number where a string is due is refused");
	tap_has(e.text, "\"i\"", "the error names the member");
	tap_ok(json_get_int(doc, "i", &i, &e) == 1 && i == -5, "an integer is read");
	tap_is_int(json_get_int(doc, "r", &i, &e), -EINVAL, "a fraction is not an integer");
	tap_is_int(json_get_int(doc, "s", &i, &e), -EINVAL, "a string is not an integer");
	tap_is_int(i, -5, "a refused value leaves the output alone");
	tap_ok(json_get_bool(doc, "b", &b, &e) == 1 && b, "a boolean is read");
	tap_is_int(json_get_bool(doc, "i", &b, &e), -EINVAL, "a number is not a boolean");
	tap_ok(json_get_obj(doc, "o", &v, &e) == 1 && json_is_object(v), "an object is read");
	tap_is_int(json_get_obj(doc, "a", &v, &e), -EINVAL, "an array is not an object");
	tap_is_int(json_get_array(doc, "o", &v, &e), -EINVAL, "an object is not an array");
	tap_is_int(json_get_str(json_object_get(doc, "a"), "s", &s, &e), 0,
		   "members of something that is no object are absent");
	autostrv struct strv list = STRV_INIT;
	tap_ok(json_get_strv(doc, "a", &list, &e) == 1 && list.count == 2 && str_eq(list.items[1], "y"),
	       "an array of strings is read");
	tap_is_int(json_get_strv(doc, "m", &list, &e), -EINVAL, "an array of mixed things is not");
	tap_is_int(list.count, 2, "and adds nothing");
	tap_ok(json_get_strv(doc, "n", &list, &e) == 0, "null is an absent array");
	tap_ok(str_eq(json_str_or_null(doc, "s"), "v") && !json_str_or_null(doc, "i"), "json_str_or_null");
	tap_ok(json_int_or(doc, "i", 1) == -5 && json_int_or(doc, "s", 1) == 1, "json_int_or");
	tap_ok(json_bool_or(doc, "b", false) && json_bool_or(doc, "none", true), "json_bool_or");
}

static void test_put(void)
{
	autojson json_t *doc = json_object();
	autostrv struct strv list = STRV_INIT;
	autostr struct str out = STR_INIT;
	strv_add(&list, "p");
	strv_add(&list, "bad\xff");
	json_put_str(doc, "z", "last letter, first put");
	json_put_str(doc, "none", NULL);
	json_put_int(doc, "max", INT64_MAX);
	json_put_bool(doc, "b", true);
	json_put_strv(doc, "v", &list);
	json_put_str(doc, "raw", "a\xff\xc3\xa9\"\n/\x1b");
	json_put_str(doc, "key\xfe", "x");
	json_put(doc, "o", json_object());
	json_print(doc, false, &out);
	tap_is_str(out.buf,
		   "{\"z\":\"last letter, first "
		   "put\",\"max\":9223372036854775807,\"b\":true,\"v\":[\"p\",\"bad\xef\xbf\xbd\"],"
		   "\"raw\":\"a\xef\xbf\xbd\xc3\xa9\\\"\\n/\\u001B\",\"key\xef\xbf\xbd\":\"x\",\"o\":{}}",
		   "members come in the order they were put; what is not UTF-8 is replaced, in keys too");
	autojson json_t *back = NULL;
	struct err e = ERR_INIT;
	tap_is_int(json_parse(out.buf, out.len, "own output", &back, &e), 0, "our own output is read again");
	tap_ok(json_equal(doc, back), "and says the same");
	str_cut(&out, 0);
	autojson json_t *small = json_object();
	json_put_int(small, "a", 1);
	json_print(small, true, &out);
	tap_is_str(out.buf, "{\n  \"a\": 1\n}", "for people it is indented by two");
}

static void test_file(void)
{
	struct err e = ERR_INIT;
	autofree char *name = tap_tmpdir();
	autofd int dir = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autojson json_t *doc = NULL;
	tap_must(io_write_file(dir, "f.json", "{\"a\":[]}", 8, 0600, &e) == 0);
	tap_is_int(json_parse_file(dir, "f.json", 8, &doc, &e), 0, "a file is parsed");
	autojson json_t *other = NULL;
	tap_is_int(json_parse_file(dir, "f.json", 7, &other, &e), -EFBIG, "a file that is too large is refused");
	tap_is_int(json_parse_file(dir, "none", 7, &other, &e), -ENOENT, "a missing file is -ENOENT");
	tap_ok(!other, "the output is untouched on failure");
	tap_must(io_remove_tree(AT_FDCWD, name, &e) == 0);
}

static const struct json_part inner_parts[] = {{"y", NULL}, {"z", NULL}, {NULL, NULL}};
static const struct json_part parts[] = {
	{"a", NULL}, {"text", NULL}, {"list", NULL}, {"in", inner_parts}, {NULL, NULL}};

static int parse_parts(const char *text, size_t len, struct str *ret_text, struct err *e)
{
	autojson json_t *doc = NULL;
	int r = json_parse_parts(text, len, "record", parts, &doc, e);
	if (r == 0)
		json_print(doc, false, ret_text);
	return r;
}

static void test_parts(void)
{
	static const struct {
		const char *text, *kept, *sentence;
	} good[] = {
		{"{}", "{}", "nothing is kept of an empty object"},
		{"{\"a\":1,\"b\":2}", "{\"a\":1}", "what is asked for is kept, the rest is not"},
		{" { \"b\" : [ { } , [ ] , -1.5e3 ] ,\n\"a\" : 0 } ", "{\"a\":0}", "white space may be everywhere"},
		{"{\"b\":\"x\\\"}{,\",\"a\":true}", "{\"a\":true}", "brackets in strings are no brackets"},
		{"{\"text\":\"\\u00e9\\n\\\\\"}", "{\"text\":\"\xc3\xa9\\n\\\\\"}", "escapes are read"},
		{"{\"text\":\"\"}", "{\"text\":\"\"}", "an empty string is one"},
		{"{\"in\":{\"x\":1,\"y\":{\"deep\":[2]},\"z\":null}}", "{\"in\":{\"y\":{\"deep\":[2]},\"z\":null}}",
		 "parts of a member are picked as well"},
		{"{\"in\":[1]}", "{\"in\":[1]}", "a member that is no object is kept as it is"},
		{"{\"list\":[\"p\",{\"q\":1}]}", "{\"list\":[\"p\",{\"q\":1}]}", "an array is kept whole"},
		{"{\"a\":1234567890123456789}", "{\"a\":1234567890123456789}", "a large number keeps its digits"},
		{"{\"aa\":1,\"\":2}", "{}", "names are compared whole"},
	};
	static const struct {
		const char *text, *sentence;
	} bad[] = {
		{"", "nothing at all is refused"},
		{"[]", "an array is refused"},
		{"{\"b\":1", "an object that does not end is refused"},
		{"{\"b\":[1,2}", "so is an array"},
		{"{\"b\":\"x", "and a string"},
		{"{\"b\":\"x\\", "also where it ends in a backslash"},
		{"{\"b\"}", "a name without a value is refused"},
		{"{\"b\":}", "and a value that is missing"},
		{"{\"b\":1,}", "and a comma too many"},
		{"{\"b\":1}x", "and something after the end"},
		{"{\"b\":\"\n\"}", "and a raw newline in a string"},
		{"{\"a\":01}", "a kept number must be one"},
		{"{\"a\":1,\"a\":2}", "what is kept must not come twice"},
		{"{\"text\":\"\xff\"}", "a kept string must be UTF-8"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		autostr struct str out = STR_INIT;
		struct err e = ERR_INIT;
		int r = parse_parts(good[i].text, strlen(good[i].text), &out, &e);
		tap_ok(r == 0 && str_eq(out.buf, good[i].kept), "parts: %s", good[i].sentence);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		autostr struct str out = STR_INIT;
		struct err e = ERR_INIT;
		int r = parse_parts(bad[i].text, strlen(bad[i].text), &out, &e);
		tap_ok(r == -EBADMSG && strstr(e.text, "record"), "parts: %s", bad[i].sentence);
	}
	autostr struct str deep = STR_INIT;
	autostr struct str out = STR_INIT;
	str_adds(&deep, "{\"b\":");
	for (int i = 0; i < 100000; i++)
		str_addc(&deep, '[');
	tap_is_int(parse_parts(deep.buf, deep.len, &out, NULL), -EBADMSG, "parts: deep nesting is refused");
	static const char whole[] = "{\"b\":[1,\"x\",{\"c\":null}],\"a\":7}";
	size_t taken = 0;
	for (size_t n = 0; n < sizeof(whole) - 1; n++)
		taken += parse_parts(whole, n, &out, NULL) == 0;
	tap_is_int((int)taken, 0, "parts: a document cut short anywhere is refused");
	tap_is_int(parse_parts("{\"a\":1}\0", 8, &out, NULL), -EBADMSG, "parts: a NUL after the document is refused");
}

int main(void)
{
	tap_plan_later();
	test_refusals();
	test_get();
	test_put();
	test_file();
	test_parts();
	return tap_done();
}
