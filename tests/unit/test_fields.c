/* links: model base; libs: -ljansson */
/* Structs as JSON by table: what is written is what is read, and damage is named. */
#include <errno.h>

#include "rl/base/mem.h"
#include "src/model/fields_int.h"
#include "tap.h"

struct thing {
	char *name;
	char id[8];
	struct strv list;
	bool flag;
	int kind;
	unsigned count;
	int64_t when;
	uint64_t size;
};

static const struct field thing_fields[] = {
	FIELD(struct thing, FIELD_STR, name),  FIELD_TEXT(struct thing, id),
	FIELD(struct thing, FIELD_STRV, list), FIELD(struct thing, FIELD_BOOL, flag),
	FIELD_ENUM(struct thing, kind, 0, 3),  FIELD(struct thing, FIELD_UINT, count),
	FIELD(struct thing, FIELD_I64, when),  FIELD(struct thing, FIELD_U64, size),
};

static void thing_free(struct thing *t)
{
	free(t->name);
	strv_free(&t->list);
	*t = (struct thing){0};
}

static int reads(const char *text, struct thing *t, struct err *e)
{
	autojson json_t *doc = NULL;
	tap_must(json_parse(text, strlen(text), "thing", &doc, e) == 0);
	return fields_from_json(thing_fields, ARRAY_SIZE(thing_fields), doc, t, e);
}

static void refuses(const char *text, const char *named, const char *sentence)
{
	struct thing t = {0};
	struct err e = ERR_INIT;
	int r = reads(text, &t, &e);
	tap_ok(r < 0 && strstr(e.text, named), "%s", sentence);
	thing_free(&t);
}

int main(void)
{
	struct err e = ERR_INIT;
	struct thing a = {.id = "abc", .flag = true, .kind = 2, .count = 4000000000u, .when = -5, .size = UINT64_MAX};
	struct thing b = {0};
	tap_plan_later();
	a.name = xstrdup("caf\xe9 \x01"); /* Latin-1: no UTF-8 */
	strv_add(&a.list, "one");
	strv_add(&a.list, "\xff");
	autojson json_t *doc = json_object();
	fields_to_json(thing_fields, ARRAY_SIZE(thing_fields), &a, doc);
	tap_is_int(fields_from_json(thing_fields, ARRAY_SIZE(thing_fields), doc, &b, &e), 0,
		   "what was written is read");
	tap_is_str(b.name, a.name, "bytes that are not UTF-8 come back as they were");
	tap_ok(b.list.count == 2 && strcmp(b.list.items[1], "\xff") == 0, "also in a list");
	tap_is_str(b.id, "abc", "text inside the struct comes back");
	tap_ok(b.flag && b.kind == 2 && b.count == 4000000000u && b.when == -5, "numbers and booleans come back");
	tap_ok(b.size == UINT64_MAX, "a number above what JSON integers hold comes back");
	thing_free(&a);

	tap_is_int(reads("{\"unknown\": 1, \"name\": null}", &b, &e), 0, "unknown members and null are passed over");
	tap_ok(b.name && b.count == 4000000000u, "and members that are missing keep their value");
	thing_free(&b);

	refuses("{\"name\": 5}", "\"name\"", "a number for a string is named");
	refuses("{\"list\": [\"a\", 5]}", "\"list\"", "a list with something else in it is named");
	refuses("{\"flag\": 1}", "\"flag\"", "a number for a boolean is named");
	refuses("{\"kind\": 4}", "\"kind\"", "an enum out of range is named");
	refuses("{\"count\": -1}", "\"count\"", "a negative count is named");
	refuses("{\"size\": \"18446744073709551616\"}", "size", "a size above 64 bits is named");
	refuses("{\"id\": \"12345678\"}", "\"id\"", "text that does not fit is refused, not cut");
	refuses("{\"name\": {\"hex\": \"00\"}}", "\"name\"", "a NUL in a string is refused");
	refuses("{\"name\": {\"hex\": \"abc\"}}", "\"name\"", "half a byte is refused");
	refuses("[]", "object", "a document that is no object is refused");
	return tap_done();
}
