#include "rl/engine/stdio.h"

#include <string.h>

#include "tap.h"

static struct tty_keys keys_of(const char *text)
{
	struct tty_keys k = {.nkeys = strlen(text)};
	memcpy(k.keys, text, k.nkeys);
	return k;
}

/* Everything typed at once and byte by byte must come to the same. */
static void try(const char *keys, const char *typed, const char *want, bool want_found)
{
	char whole[128];
	char pieces[128];
	bool found = false;
	struct tty_keys k = keys_of(keys);
	size_t n = tty_keys_filter(&k, typed, strlen(typed), whole, &found);
	whole[n] = '\0';
	tap_is_str(whole, want, "what passes is what was typed without the keys");
	tap_ok(found == want_found, "'%s' %s found in '%s'", keys, want_found ? "is" : "is not", typed);
	k = keys_of(keys);
	n = 0;
	found = false;
	for (const char *p = typed; *p && !found; p++)
		n += tty_keys_filter(&k, p, 1, pieces + n, &found);
	pieces[n] = '\0';
	tap_is_str(pieces, want, "the same byte by byte");
	tap_ok(found == want_found, "found or not the same byte by byte");
}

int main(void)
{
	tap_plan_later();
	try("", "anything", "anything", false);
	try("pq", "abc", "abc", false);
	try("pq", "abpq", "ab", true);
	try("pq", "abpqrest", "ab", true);
	try("pq", "apbq", "apbq", false);
	try("pq", "ppq", "p", true);
	try("pq", "pp", "p", false); /* the second one may still become the sequence */
	try("aa", "baab", "b", true);
	try("a", "ba", "b", true);
	return tap_done();
}
