/* links: engine/store kern model base */
/* OCI layouts of others: every suitable image once, nested indexes, damaged entries. */
#include <errno.h>

#include "store_fixture.h"

static int collect(const char *name, struct store_record *record, void *arg)
{
	struct strv *out = arg;
	strv_addf(out, "%s=%.8s %zu", name, record->manifest + 63, record->nlayers);
	return 0;
}

static int stop(const char *name, struct store_record *record, void *arg)
{
	(void)name;
	(void)record;
	(*(int *)arg)++;
	return 5;
}

static void put(int dirfd, unsigned n, const char *text)
{
	struct err e = ERR_INIT;
	char path[128];
	snprintf(path, sizeof(path), "blobs/sha256/%064x", n);
	fixture_must(io_write_file(dirfd, path, text, strlen(text), 0600, &e), &e);
}

int main(void)
{
	tap_plan_later();
	struct fixture f;
	struct err e = ERR_INIT;
	autostrv struct strv found = STRV_INIT;
	fixture_open(&f);
	fixture_builtin(&f, "busybox", 0x10, 0x20);
	int dirfd = open(f.s.builtin, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tap_ok(store_layout_each(dirfd, collect, &found, &e) == 0 && found.count == 1, "one image is found");
	tap_is_str(found.items[0], "docker.io/library/busybox:latest=00000010 1", "with its canonical name and layers");
	int calls = 0;
	tap_ok(store_builtin_each(&f.s, stop, &calls, &e) == 5 && calls == 1, "the walk ends when told to");

	const char *os, *architecture, *variant;
	imgspec_host_platform(&os, &architecture, &variant);
	autofree char *inner = xasprintf(
		"{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"%s\",\"digest\":\"sha256:%064x\",\"size\":1,"
		"\"platform\":{\"os\":\"plan9\",\"architecture\":\"%s\"}},{\"mediaType\":\"%s\",\"digest\":\"sha256:%"
		"064x\","
		"\"size\":1,\"platform\":{\"os\":\"%s\",\"architecture\":\"%s\"}}]}",
		IMGSPEC_OCI_MANIFEST, 0x77, architecture, IMGSPEC_OCI_MANIFEST, 0x10, os, architecture);
	put(dirfd, 0x30, inner);
	autofree char *loop = xasprintf(
		"{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"%s\",\"digest\":\"sha256:%064x\","
		"\"size\":1}]}",
		IMGSPEC_OCI_INDEX, 0x31);
	put(dirfd, 0x31, loop);
	put(dirfd, 0x32, "{\"schemaVersion\":2,\"manifests\":[],\"layers\":[]}");
	autostr struct str index = STR_INIT;
	str_adds(&index, "{\"schemaVersion\":2,\"manifests\":[");
	for (unsigned n = 0x30; n <= 0x33; n++)
		str_addf(&index,
			 "%s{\"mediaType\":\"%s\",\"digest\":\"sha256:%064x\",\"size\":1,\"annotations\":"
			 "{\"org.opencontainers.image.ref.name\":\"n%x\"}}",
			 n > 0x30 ? "," : "", IMGSPEC_OCI_INDEX, n, n);
	str_adds(&index, "]}");
	fixture_must(io_write_file(dirfd, "index.json", index.buf, index.len, 0644, &e), &e);
	strv_free(&found);
	tap_ok(store_layout_each(dirfd, collect, &found, &e) == 0 && found.count == 1,
	       "a cycle, an ambiguous document and a missing blob hide nothing but themselves");
	if (found.count)
		tap_is_str(found.items[0], "docker.io/library/n30:latest=00000010 1",
			   "a nested index leads to the image of this machine");
	fixture_must(io_write_file(dirfd, "index.json", "{\"schemaVersion\":2,\"layers\":[]}", 30, 0644, &e), &e);
	tap_ok(store_layout_each(dirfd, collect, &found, &e) < 0, "an index.json that is none is an error");
	unlinkat(dirfd, "index.json", 0);
	tap_ok(store_layout_each(dirfd, collect, &found, &e) == -ENOENT, "and so is a missing one");
	close(dirfd);
	free(f.s.builtin);
	f.s.builtin = NULL;
	tap_is_int(store_builtin_each(&f.s, collect, &found, &e), 0, "without a built-in layout there is nothing");
	fixture_close(&f);
	return tap_done();
}
