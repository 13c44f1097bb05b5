/* config.json along its table: what is read, what is refused and with which name. */
#include "rl/model/oci_config.h"

#include <errno.h>

#include "tap.h"

static int parse(const char *text, struct oci_config *c, struct err *e)
{
	*e = (struct err)ERR_INIT;
	*c = (struct oci_config)OCI_CONFIG_INIT;
	return oci_config_parse(text, strlen(text), c, e);
}

static void refused(const char *text, int code, const char *words, const char *sentence)
{
	struct oci_config c;
	struct err e;
	int r = parse(text, &c, &e);
	tap_ok(r == -code && strstr(e.text, words), "%s", sentence);
	if (r == 0)
		oci_config_free(&c);
	else
		tap_diag("%s", e.text);
}

static void reads(void)
{
	static const char text[] =
		"{\"ociVersion\":\"1.2.0\",\"hostname\":null,\"process\":{\"cwd\":\"/"
		"\",\"args\":[\"a\",\"b\"],\"terminal\":true,"
		"\"user\":{\"uid\":7,\"additionalGids\":[1,2]},\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":1,"
		"\"hard\":18446744073709551615}]},\"linux\":{\"resources\":{\"memory\":{\"limit\":-1},"
		"\"unified\":{\"memory.high\":\"1\"}},\"namespaces\":[{\"type\":\"pid\"}],\"future\":1},"
		"\"hooks\":{\"poststop\":[{\"path\":\"/"
		"x\",\"timeout\":3}]},\"annotations\":{\"a\":\"18446744073709551615\"}}";
	struct oci_config c;
	struct err e;
	tap_is_int(parse(text, &c, &e), 0, "a document is read");
	tap_ok(c.process.given && c.process.args.count == 2 && c.process.terminal.value, "the process with its words");
	tap_ok(c.process.user.uid.given && c.process.user.uid.value == 7 && !c.process.user.gid.given,
	       "what is absent is not given");
	tap_is_int((long long)c.process.user.additional_gids.count, 2, "a list of numbers");
	const struct oci_rlimit *l = oci_item(c.process.rlimits, struct oci_rlimit, 0);
	tap_ok((uint64_t)l->hard.value == UINT64_MAX && l->soft.value == 1, "2^64 - 1 is read exactly");
	tap_ok(c.hostname == NULL, "null is absent");
	tap_ok(c.resources.given && c.resources.memory.limit.given && c.resources.memory.limit.value == -1,
	       "a negative number is read");
	tap_is_str(json_str_or_null(c.resources.unified, "memory.high"), "1", "a map of the user's names");
	tap_ok(c.hooks[OCI_HOOK_POSTSTOP].count == 1 && c.hooks[OCI_HOOK_PRESTART].count == 0, "hooks by kind");
	tap_is_str(json_str_or_null(c.annotations, "a"), "18446744073709551615", "digits in a string stay as they are");
	tap_ok(c.ignored.count == 1 && strcmp(c.ignored.items[0], "linux.future") == 0,
	       "an unknown member is ignored, by name");
	oci_config_free(&c);
}

static void refuses(void)
{
	refused("{", EBADMSG, "not valid JSON", "half a document");
	refused("[]", EINVAL, "not an object", "a list");
	refused("{}", EINVAL, "ociVersion is missing", "a required member that is missing is named");
	refused("{\"ociVersion\":1}", EINVAL, "ociVersion is not a string", "a wrong type is named");
	refused("{\"ociVersion\":\"1\",\"ociVersion\":\"2\"}", EBADMSG, "duplicate", "a name twice");
	refused("{\"ociVersion\":\"1\",\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":5}]}}", EINVAL,
		"linux.namespaces[1].type is not a string", "with its place in the list");
	refused("{\"ociVersion\":\"1\",\"linux\":{\"intelRdt\":{}}}", EOPNOTSUPP, "linux.intelRdt is not supported",
		"a refused member is named");
	refused("{\"ociVersion\":\"1\",\"process\":{\"cwd\":\"/\",\"user\":{\"uid\":\"0\"}}}", EINVAL,
		"process.user.uid is not an integer", "a string is no number");
	refused("{\"ociVersion\":\"1\",\"process\":{\"cwd\":\"/\",\"args\":[\"a\\u0000b\"]}}", EBADMSG, "", "a NUL");
	refused("{\"ociVersion\":\"1\",\"annotations\":{\"a\":1}}", EINVAL, "annotations.a is not a string",
		"a map has strings");
	refused("{\"ociVersion\":\"1\",\"process\":{\"cwd\":\"/\",\"oomScoreAdj\":99999999999999999999999}}", ERANGE,
		"oomScoreAdj", "a number of more than 64 bits");
}

int main(void)
{
	tap_plan_later();
	reads();
	refuses();

	struct err e = ERR_INIT;
	struct oci_process p;
	static const char process[] = "{\"cwd\":\"/\",\"args\":[\"id\"]}";
	tap_is_int(oci_process_parse(process, strlen(process), &p, &e), 0, "process.json is the process alone");
	tap_is_str(p.args.items[0], "id", "with its words");
	oci_process_free(&p);
	struct oci_resources r;
	static const char resources[] = "{\"pids\":{\"limit\":5}}";
	tap_is_int(oci_resources_parse(resources, strlen(resources), &r, &e), 0, "resources alone");
	tap_is_int(r.pids.value, 5, "with their numbers");
	oci_resources_free(&r);

	struct str out = STR_INIT;
	oci_config_fields(&out);
	tap_ok(strstr(out.buf, "linux.resources.memory.limit\thandled\n") != NULL, "the table lists what is handled");
	tap_ok(strstr(out.buf, "mounts[].uidMappings[].size\thandled\n") != NULL, "items of lists, too");
	tap_ok(strstr(out.buf, "vm\trefused: ") != NULL, "and what is refused, and why");
	str_free(&out);
	tap_is_str(oci_hook_kind_name(OCI_HOOK_START_CONTAINER), "startContainer",
		   "hooks have the names of config.json");
	return tap_done();
}
