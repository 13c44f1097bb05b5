/*
 * container_names.c - names/NAME, a symlink whose text is the container's id in base64.
 *
 * ext4 keeps a text of less than 60 bytes in the inode; the 64 digits of an id would take a block to be allocated, written
 * and freed for every run. Stores of before have the digits.
 *
 * A symlink is made with its text in one step, so no crash leaves a name that leads nowhere by halves. Giving and taking
 * happens under the lock of the directory; a name is in use if the container it leads to exists and calls itself so.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/base64.h"
#include "rl/base/io.h"
#include "rl/base/json.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/model/authfile.h"
#include "rl/svc/container_store.h"

enum { ID_BYTES = (RECORD_ID_SIZE - 1) / 2 };

static bool is_hex_id(const char *text, size_t len)
{
	return len == RECORD_ID_SIZE - 1 && strspn(text, "0123456789abcdef") == len;
}

static unsigned digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static int link_name(int names, const char *name, const char *id)
{
	unsigned char bytes[ID_BYTES];
	autostr struct str text = STR_INIT;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(digit(id[2 * i]) << 4 | digit(id[2 * i + 1]));
	base64_encode(bytes, sizeof(bytes), &text);
	return symlinkat(text.buf, names, name);
}

int container_name_read(int names, const char *name, char ret_id[RECORD_ID_SIZE])
{
	char text[RECORD_ID_SIZE];
	autostr struct str bytes = STR_INIT;
	ssize_t n = readlinkat(names, name, text, sizeof(text) - 1);
	if (n <= 0)
		return -ENOENT;
	text[n] = '\0';
	if (is_hex_id(text, (size_t)n)) {
		memcpy(ret_id, text, RECORD_ID_SIZE);
		return 0;
	}
	if (base64_decode(text, (size_t)n, &bytes, NULL) < 0 || bytes.len != ID_BYTES)
		return -ENOENT;
	io_hex(bytes.buf, ID_BYTES, ret_id);
	return 0;
}

/* Does the container exist, and is this its name? One that is just being made has no config.json yet, but its maker
 * holds its lock. */
static bool is_used(const struct store *s, const char *id, const char *name)
{
	autofree char *path = xasprintf("containers/%s", id);
	autofd int dir = openat(s->rootfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0)
		return false;
	json_t *doc = NULL;
	int r = json_parse_file(dir, "config.json", RECORD_FILE_MAX, &doc, NULL);
	autojson json_t *owned = doc;
	const char *own = r < 0 ? NULL : json_str_or_null(owned, "name");
	if (r == -ENOENT)
		return io_try_lock(dir, true, NULL) == 0;
	return !own || str_eq(own, name);
}

static int claim_locked(const struct store *s, int names, const char *name, const char *id, struct err *e)
{
	char holder[RECORD_ID_SIZE] = "";
	for (int i = 0; i < 2; i++) {
		if (link_name(names, name, id) == 0)
			return 0;
		if (errno != EEXIST)
			return err_sys(e, errno, "take the name %s", name);
		if (container_name_read(names, name, holder) == 0 && is_used(s, holder, name))
			break;
		log_debug(LOG_STORE, "name %s was left by a container that is gone", name);
		if (unlinkat(names, name, 0) < 0 && errno != ENOENT)
			return err_sys(e, errno, "free the name %s", name);
	}
	err_set(e, EEXIST, "the name %s is in use by container %.12s", name, holder);
	return err_hint(e, "remove that container (rl rm %s), rename it, or use --replace", name);
}

int container_name_claim(const struct store *s, const char *name, const char *id, struct err *e)
{
	autofd int names = store_dir(s, "names", e);
	if (names < 0)
		return names;
	int r = io_lock(names, true, e);
	return r < 0 ? r : claim_locked(s, names, name, id, e);
}

void container_name_release(const struct store *s, const char *name, const char *id)
{
	autofd int names = store_dir(s, "names", NULL);
	char holder[RECORD_ID_SIZE] = "";
	if (names < 0 || io_lock(names, true, NULL) < 0)
		return;
	/* One that says nothing is nobody's. */
	if (container_name_read(names, name, holder) == 0 ? str_eq(holder, id) : !*id)
		unlinkat(names, name, 0);
}

void container_names_release_id(const struct store *s, const char *id)
{
	autofd int names = store_dir(s, "names", NULL);
	char holder[RECORD_ID_SIZE] = "";
	if (names < 0 || io_lock(names, true, NULL) < 0)
		return;
	int scan = openat(names, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autodir DIR *d = scan < 0 ? NULL : fdopendir(scan);
	struct dirent *entry;
	while (d && (entry = readdir(d))) {
		if (container_name_read(names, entry->d_name, holder) == 0 && str_eq(holder, id))
			unlinkat(names, entry->d_name, 0);
	}
}

int container_name_generate(const struct store *s, const char *id, char **ret_name, struct err *e)
{
	static const char *const qualities[] = {
		"amber",  "brave",  "calm",  "clear",  "clever", "cosy",   "crisp", "daring", "deep",	 "eager",
		"early",  "fair",   "fast",  "fine",   "firm",	 "fond",   "fresh", "gentle", "glad",	 "golden",
		"grand",  "green",  "handy", "happy",  "hardy",	 "honest", "jolly", "keen",   "kind",	 "large",
		"lively", "loyal",  "lucky", "merry",  "mild",	 "modest", "neat",  "noble",  "patient", "plain",
		"polite", "proud",  "quick", "quiet",  "rapid",	 "ready",  "round", "silent", "silver",	 "simple",
		"smart",  "smooth", "solid", "stable", "steady", "strong", "sunny", "sure",   "tidy",	 "tiny",
		"vivid",  "warm",   "wise",  "young",
	};
	static const char *const things[] = {
		"acorn",   "anchor",  "apple",	"arrow",   "badger", "barn",   "beacon", "beech",   "birch",  "bridge",
		"brook",   "cabin",   "candle", "canyon",  "cedar",  "cloud",  "comet",	 "compass", "copper", "coral",
		"crane",   "creek",   "delta",	"dune",	   "eagle",  "ember",  "falcon", "fern",    "finch",  "fjord",
		"forest",  "fox",     "garden", "glacier", "grove",  "harbor", "hazel",	 "heron",   "hill",   "island",
		"lantern", "lark",    "maple",	"meadow",  "mill",   "moss",   "oak",	 "otter",   "owl",    "pebble",
		"pine",	   "pond",    "quartz", "raven",   "reed",   "river",  "robin",	 "sail",    "spruce", "stone",
		"swan",	   "thistle", "valley", "willow",
	};
	autofd int names = store_dir(s, "names", e);
	if (names < 0)
		return names;
	for (int attempt = 0; attempt < 64; attempt++) {
		unsigned random[3];
		io_random(random, sizeof(random));
		autofree char *name = xasprintf("%s_%s", qualities[random[0] % ARRAY_SIZE(qualities)],
						things[random[1] % ARRAY_SIZE(things)]);
		/* With many containers the pairs get scarce: a number makes more of them. */
		if (attempt >= 4) {
			char *numbered = xasprintf("%s%u", name, random[2] % 10000);
			free(name);
			name = numbered;
		}
		/* symlink(2) alone is atomic; names of dead containers are not worth the lock here. */
		if (link_name(names, name, id) == 0) {
			*ret_name = take_ptr(&name);
			return 0;
		}
		if (errno != EEXIST)
			return err_sys(e, errno, "take the name %s", name);
	}
	return err_set(e, EEXIST, "no free name was found; give one with --name");
}
