/* How image verbs show names, ids and ages. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"

#include "rl/base/mem.h"
#include "src/cmd/image_progress.h"
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

/* What is printed when standard error is a file. */
static void test_progress(void)
{
	struct image_progress_line line;
	struct image_ui ui;
	image_progress_begin(&line, true, &ui);
	tap_ok(!ui.progress && !line.on, "-q shows no progress");
	image_progress_end(&line);
	FILE *f = tmpfile();
	int saved = dup(STDERR_FILENO);
	char text[1024] = "";
	dup2(fileno(f), STDERR_FILENO);
	image_progress_begin(&line, false, &ui);
	ui.progress(&(struct image_progress){"layer 1/2 aa", IMAGE_DOWNLOADING, 10, 2000}, ui.arg);
	ui.progress(&(struct image_progress){"layer 2/2 \033[31m", IMAGE_PRESENT, 3000, 3000}, ui.arg);
	ui.progress(&(struct image_progress){"layer 1/2 aa", IMAGE_UNPACKING, 2000, 2000}, ui.arg);
	ui.progress(&(struct image_progress){"layer 1/2 aa", IMAGE_DONE, 2000, 2000}, ui.arg);
	ui.progress(&(struct image_progress){"layer 1/2 aa", IMAGE_DOWNLOADING, 10, 2000}, ui.arg);
	ui.progress(&(struct image_progress){"x", 12345, 10, 2000}, ui.arg);
	image_progress_end(&line);
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(f);
	size_t n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	autostrv struct strv lines = STRV_INIT;
	strv_split(&lines, text, '\n');
	tap_is_int(lines.count, 4, "without a terminal there is a line for each thing that is finished, and a summary");
	tap_ok(lines.count > 2 && strstr(lines.items[1], "layer 1/2 aa") && strstr(lines.items[1], "done"),
	       "a finished layer is named");
	tap_ok(!memchr(text, 033, n) && strstr(text, "?[31m") && strstr(text, "already there"),
	       "names cannot do anything to a terminal");
	tap_ok(strstr(text, "2kB in ") && strstr(text, "1 of 2 already there"), "the summary counts what was brought");
}

int main(void)
{
	tap_plan_later();
	test_names();
	test_ids();
	test_ages();
	test_progress();
	return tap_done();
}
