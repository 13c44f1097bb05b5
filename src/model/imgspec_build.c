/*
 * imgspec_build.c - image documents of our own, and the instructions of `import --change`; see imgspec.h.
 *
 * An instruction is one line of a Dockerfile without variables: "KEYWORD rest", or "KEYWORD=rest" as podman also takes
 * it. CMD, ENTRYPOINT and VOLUME take a JSON array of strings or plain text; ENV and LABEL take words of the form
 * key=value (quotes and backslashes as in a shell) or, for ENV, "KEY value".
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/model/imgspec.h"

json_t *imgspec_config_new(const char *architecture, const char *variant, const char *created)
{
	json_t *doc = json_object();
	json_put_str(doc, "created", created);
	json_put_str(doc, "architecture", architecture);
	json_put_str(doc, "variant", variant);
	json_put_str(doc, "os", "linux");
	json_put(doc, "config", json_object());
	json_t *rootfs = json_object();
	json_put_str(rootfs, "type", "layers");
	json_put(rootfs, "diff_ids", json_array());
	json_put(doc, "rootfs", rootfs);
	json_put(doc, "history", json_array());
	return doc;
}

void imgspec_config_add_layer(json_t *doc, const char *diff_id, const char *created, const char *created_by,
			      const char *comment)
{
	json_array_append_new(json_member(json_member(doc, "rootfs", JSON_OBJECT), "diff_ids", JSON_ARRAY),
			      json_string(diff_id));
	json_t *step = json_object();
	json_put_str(step, "created", created);
	json_put_str(step, "created_by", created_by);
	json_put_str(step, "comment", comment);
	json_array_append_new(json_member(doc, "history", JSON_ARRAY), step);
}

json_t *imgspec_desc_new(const char *media_type, const char *digest, int64_t size)
{
	json_t *d = json_object();
	json_put_str(d, "mediaType", media_type);
	json_put_str(d, "digest", digest);
	json_put_int(d, "size", size);
	return d;
}

json_t *imgspec_manifest_new(const char *config_digest, int64_t config_size)
{
	json_t *doc = json_object();
	json_put_int(doc, "schemaVersion", 2);
	json_put_str(doc, "mediaType", IMGSPEC_OCI_MANIFEST);
	json_put(doc, "config", imgspec_desc_new(IMGSPEC_OCI_CONFIG, config_digest, config_size));
	json_put(doc, "layers", json_array());
	return doc;
}

void imgspec_manifest_add_layer(json_t *doc, const char *media_type, const char *digest, int64_t size)
{
	json_array_append_new(json_object_get(doc, "layers"), imgspec_desc_new(media_type, digest, size));
}

/* ---- instructions ---- */

static int refuse(const char *instruction, const char *why, struct err *e)
{
	return err_set(e, EINVAL, "--change \"%.120s\": %s", instruction, why);
}

/* Split into words as a shell would without expanding anything. */
static int split_words(const char *text, struct strv *out, struct err *e)
{
	const char *p = text;
	for (;;) {
		while (isspace((unsigned char)*p))
			p++;
		if (!*p)
			return 0;
		autostr struct str word = STR_INIT;
		char quote = '\0';
		for (; *p && (quote || !isspace((unsigned char)*p)); p++) {
			if (quote ? *p == quote : *p == '"' || *p == '\'')
				quote = quote ? '\0' : *p;
			else if (*p == '\\' && quote != '\'' && p[1])
				str_addc(&word, *++p);
			else
				str_addc(&word, *p);
		}
		if (quote)
			return refuse(text, "a quote is not closed", e);
		strv_add(out, word.buf);
	}
}

/* A JSON array of strings, or NULL if the text is not one (then it is plain text). */
static json_t *json_form(const char *text)
{
	if (*text != '[')
		return NULL;
	json_t *doc = NULL;
	if (json_parse(text, strlen(text), "array", &doc, NULL) < 0)
		return NULL;
	size_t i;
	json_t *item;
	bool strings = json_is_array(doc);
	json_array_foreach (doc, i, item)
		strings = strings && json_is_string(item);
	if (strings)
		return doc;
	json_decref(doc);
	return NULL;
}

static void set_command(json_t *config, const char *key, const char *text)
{
	json_t *array = json_form(text);
	if (!array) {
		array = json_array();
		json_array_append_new(array, json_string("/bin/sh"));
		json_array_append_new(array, json_string("-c"));
		json_array_append_new(array, json_string_lossy(text, strlen(text)));
	}
	json_put(config, key, array);
}

static void set_env(json_t *config, const char *key, const char *value)
{
	autofree char *pair = xasprintf("%s=%s", key, value);
	json_t *env = json_member(config, "Env", JSON_ARRAY);
	json_t *item;
	size_t i;
	size_t n = strlen(key);
	json_array_foreach (env, i, item) {
		const char *old = json_string_value(item);
		if (old && strncmp(old, key, n) == 0 && old[n] == '=') {
			json_array_set_new(env, i, json_string_lossy(pair, strlen(pair)));
			return;
		}
	}
	json_array_append_new(env, json_string_lossy(pair, strlen(pair)));
}

/* ENV and LABEL: words key=value, or (ENV) "KEY the rest". */
static int change_pairs(json_t *config, const char *instruction, const char *text, bool is_env, struct err *e)
{
	autostrv struct strv words = STRV_INIT;
	int r = split_words(text, &words, e);
	if (r < 0)
		return r;
	if (words.count == 0)
		return refuse(instruction, "it needs KEY=VALUE", e);
	if (is_env && !strchr(words.items[0], '=') && words.count > 1) {
		const char *rest = text + strcspn(text, " \t");
		set_env(config, words.items[0], rest + strspn(rest, " \t"));
		return 0;
	}
	for (size_t i = 0; i < words.count; i++) {
		char *equals = strchr(words.items[i], '=');
		if (!equals || equals == words.items[i])
			return refuse(instruction, "it needs KEY=VALUE", e);
		*equals = '\0';
		if (is_env)
			set_env(config, words.items[i], equals + 1);
		else
			json_put_str(json_member(config, "Labels", JSON_OBJECT), words.items[i], equals + 1);
	}
	return 0;
}

static int expose_one(json_t *ports, const char *word, struct err *e)
{
	autofree char *text = xstrdup(word);
	char *slash = strchr(text, '/');
	const char *protocol = slash ? slash + 1 : "tcp";
	if (slash)
		*slash = '\0';
	if (!str_eq(protocol, "tcp") && !str_eq(protocol, "udp") && !str_eq(protocol, "sctp"))
		return err_set(e, EINVAL, "protocol \"%.40s\" is not tcp, udp or sctp", protocol);
	char *last_text = strchr(text, '-');
	if (last_text)
		*last_text++ = '\0';
	uint64_t first;
	uint64_t last;
	if (str_to_u64(text, 65535, "port", &first, e) < 0 ||
	    str_to_u64(last_text ? last_text : text, 65535, "port", &last, e) < 0)
		return -EINVAL;
	if (first == 0 || first > last)
		return err_set(e, EINVAL, "\"%.40s\" is not a port or a range of ports", word);
	for (uint64_t port = first; port <= last; port++) {
		char key[32];
		snprintf(key, sizeof(key), "%u/%s", (unsigned)port, protocol);
		json_put(ports, key, json_object());
	}
	return 0;
}

static int change_expose(json_t *config, const char *instruction, const char *text, struct err *e)
{
	autostrv struct strv words = STRV_INIT;
	int r = split_words(text, &words, e);
	for (size_t i = 0; r >= 0 && i < words.count; i++)
		r = expose_one(json_member(config, "ExposedPorts", JSON_OBJECT), words.items[i], e);
	if (r >= 0)
		return 0;
	err_ctx(e, "--change \"%.120s\"", instruction);
	if (e)
		e->code = EINVAL;
	return -EINVAL;
}

static int change_volume(json_t *config, const char *text, struct err *e)
{
	autostrv struct strv paths = STRV_INIT;
	autojson json_t *array = json_form(text);
	size_t i;
	json_t *item;
	json_array_foreach (array, i, item)
		strv_add(&paths, json_string_value(item));
	if (!array) {
		int r = split_words(text, &paths, e);
		if (r < 0)
			return r;
	}
	for (i = 0; i < paths.count; i++)
		json_put(json_member(config, "Volumes", JSON_OBJECT), paths.items[i], json_object());
	return 0;
}

static void change_workdir(json_t *config, const char *text)
{
	const char *old = json_str_or_null(config, "WorkingDir");
	autofree char *joined = *text == '/' ? xstrdup(text) : path_join(old ? old : "/", text);
	autofree char *clean = path_clean(joined);
	json_put_str(config, "WorkingDir", clean);
}

static bool keyword(const char *instruction, const char *name, const char **ret_rest)
{
	size_t n = strlen(name);
	if (strncasecmp(instruction, name, n) != 0 ||
	    (instruction[n] != '=' && !isspace((unsigned char)instruction[n])))
		return false;
	*ret_rest = instruction + n + 1;
	while (isspace((unsigned char)**ret_rest))
		(*ret_rest)++;
	return true;
}

static int unknown_instruction(const char *instruction, struct err *e)
{
	int r = refuse(instruction, "not an instruction that can be used here", e);
	err_hint(e,
		 "the instructions are CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME and WORKDIR, for "
		 "example -c 'CMD [\"/bin/bash\"]'");
	return r;
}

int imgspec_change(json_t *doc, const char *instruction, struct err *e)
{
	json_t *config = json_member(doc, "config", JSON_OBJECT);
	const char *text = "";
	while (isspace((unsigned char)*instruction))
		instruction++;
	if (keyword(instruction, "CMD", &text))
		set_command(config, "Cmd", text);
	else if (keyword(instruction, "ENTRYPOINT", &text))
		set_command(config, "Entrypoint", text);
	else if (keyword(instruction, "ENV", &text))
		return change_pairs(config, instruction, text, true, e);
	else if (keyword(instruction, "LABEL", &text))
		return change_pairs(config, instruction, text, false, e);
	else if (keyword(instruction, "EXPOSE", &text))
		return change_expose(config, instruction, text, e);
	else if (keyword(instruction, "VOLUME", &text))
		return change_volume(config, text, e);
	else if (keyword(instruction, "STOPSIGNAL", &text))
		json_put_str(config, "StopSignal", text);
	else if (keyword(instruction, "USER", &text))
		json_put_str(config, "User", text);
	else if (keyword(instruction, "WORKDIR", &text))
		change_workdir(config, text);
	else
		return unknown_instruction(instruction, e);
	return *text ? 0 : refuse(instruction, "it needs a value", e);
}
