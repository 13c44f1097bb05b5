/* How image verbs show names, ids and ages. */
#include "tap.h"

#include "rl/base/mem.h"
#include "src/cmd/image_text.h"

static void test_names(void)
{
	static const struct {
		const char *canonical;
		enum cmd_flavour flavour;
		const char *want;
	} names[] = {
		{"docker.io/library/busybox:latest", CMD_RL, "busybox latest <none>"},
		{"docker.io/library/busybox:latest", CMD_PODMAN, "docker.io/library/busybox latest <none>"},
		{"docker.io/user/x:1", CMD_DOCKER, "user/x 1 <none>"},
		{"localhost:5000/a/b:v1", CMD_RL, "localhost:5000/a/b v1 <none>"},
		{"localhost:5000/a@sha256:0011", CMD_RL, "localhost:5000/a <none> sha256:0011"},
		{"quay.io/a:v@sha256:0011", CMD_RL, "quay.io/a v sha256:0011"},
		{"", CMD_RL, "<none> <none> <none>"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct image_text_name n;
		image_text_name(names[i].canonical, names[i].flavour, &n);
		autofree char *got = xasprintf("%s %s %s", n.repository, n.tag, n.digest);
		tap_is_str(got, names[i].want, "repository, tag and digest of a name");
		image_text_name_free(&n);
	}
}

static void test_ids(void)
{
	static const char digest[] = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	autofree char *brief = image_text_id(digest, false);
	autofree char *full = image_text_id(digest, true);
	autofree char *other = image_text_id("<missing>", false);
	tap_is_str(brief, "0123456789ab", "an id is shown by its first twelve digits");
	tap_is_str(full, digest, "or as a whole");
	tap_is_str(other, "<missing>", "what is no id is shown as it is");
}

static void test_ages(void)
{
	static const struct {
		const char *created;
		const char *want;
	} ages[] = {
		{"2026-11-22T18:00:00Z", "Less than a second ago"},
		{"2026-11-20T18:00:00Z", "2 days ago"},
		{"2026-11-23T18:00:00Z", "Less than a second ago"},
		{"1970-01-01T00:00:00Z", "N/A"},
		{"0001-01-01T00:00:00Z", "N/A"},
		{"", "N/A"},
		{"yesterday", "N/A"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(ages); i++) {
		autofree char *got = image_text_ago(ages[i].created, 1795370400);
		tap_is_str(got, ages[i].want, "the age of an image");
	}
}

int main(void)
{
	tap_plan_later();
	test_names();
	test_ids();
	test_ages();
	struct image_progress_line line;
	struct image_ui ui;
	image_progress_begin(&line, true, &ui);
	tap_ok(!ui.progress && !line.on, "-q shows no progress");
	image_progress_end(&line);
	return tap_done();
}
