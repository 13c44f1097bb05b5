/* links: engine/registry model base */
/* Manifests, tags and images: what is asked, what is believed. */
#include "registry_server.h"

#include <errno.h>

#include "rl/base/mem.h"

#define CONFIG "{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}"

static char config_digest[IMGREF_DIGEST_SIZE], manifest[1000], manifest_digest[IMGREF_DIGEST_SIZE];
static char index_text[1000], index_digest[IMGREF_DIGEST_SIZE], lie[200];
static char by_digest[120], config_target[120];

static const struct reply script[] = {
	{.method = "HEAD",
	 .target = "/v2/x/manifests/v1",
	 .headers = "Docker-Content-Digest: "
		    "sha256:0000000000000000000000000000000000000000000000000000000000000001\r\n"},
	{.method = "GET",
	 .target = "/v2/x/manifests/v1",
	 .body = manifest,
	 .headers = "Content-Type: " IMGSPEC_OCI_MANIFEST "; charset=utf-8\r\n"},
	{.method = "GET",
	 .target = by_digest,
	 .body = manifest,
	 .headers = "Content-Type: " IMGSPEC_OCI_MANIFEST "\r\n"},
	{.method = "GET", .target = "/v2/x/manifests/sha256:*", .body = "{}"},
	{.method = "GET",
	 .target = "/v2/x/manifests/multi",
	 .body = index_text,
	 .headers = "Content-Type: " IMGSPEC_OCI_INDEX "\r\n"},
	{.method = "GET", .target = "/v2/x/manifests/lie", .body = manifest, .headers = lie},
	{.method = "GET", .target = "/v2/x/manifests/notype", .body = manifest},
	{.method = "GET", .target = config_target, .body = CONFIG},
	{.method = "GET",
	 .target = "/v2/x/tags/list?n=1000",
	 .body = "{\"tags\":[\"a\",\"b\"]}",
	 .headers = "Link: </v2/x/tags/list?last=b>; rel=\"next\"\r\n"},
	{.method = "GET", .target = "/v2/x/tags/list?last=b", .body = "{\"tags\":null}"},
	{.method = "HEAD", .target = config_target, .body = CONFIG},
	{.method = "PUT", .target = "/v2/x/manifests/ok", .status = "201 Created"},
	{.method = "PUT",
	 .target = "/v2/x/manifests/changed",
	 .status = "201 Created",
	 .headers =
		 "Docker-Content-Digest: sha256:0000000000000000000000000000000000000000000000000000000000000001\r\n"},
	{.method = "DELETE", .target = "/v2/x/manifests/old", .status = "202 Accepted"},
	{.method = NULL},
};

static struct client c;

static int get(const char *which, struct registry_manifest *m)
{
	err_clear(&c.e);
	registry_manifest_free(m);
	return registry_get_manifest(c.repo, which, m, &c.e);
}

static void test_get(void)
{
	struct registry_manifest m = REGISTRY_MANIFEST_INIT;
	tap_is_int(get("v1", &m), 0, "a manifest by tag");
	tap_is_str(m.digest, manifest_digest, "its digest is computed");
	tap_is_str(m.media_type, IMGSPEC_OCI_MANIFEST, "its media type has no parameters");
	tap_is_str(m.host, c.domain, "it is known who gave it");
	tap_is_int(get(manifest_digest, &m), 0, "a manifest by digest");
	tap_is_int(get("sha256:0000000000000000000000000000000000000000000000000000000000000009", &m), -EBADMSG,
		   "other bytes for a digest are refused");
	tap_is_int(get("lie", &m), -EBADMSG, "other bytes than announced are refused");
	tap_is_int(get("notype", &m), 0, "a manifest without media type is taken");
	tap_ok(!m.media_type, "and none is made up");
	tap_is_int(get("gone", &m), -ENOENT, "one that is not there is ENOENT");
	tap_has(c.e.text, "/x:gone", "and named");
	tap_is_int(get("a/b", &m), -EINVAL, "what is neither tag nor digest is not asked for");
	tap_is_int(get("sha256:ABC", &m), -EINVAL, "nor is a broken digest");
	tap_is_int(get("-x", &m), -EINVAL, "nor a tag that begins with a dash");
	registry_manifest_free(&m);
	char digest[IMGREF_DIGEST_SIZE];
	tap_is_int(registry_head_manifest(c.repo, "v1", digest, &c.e), 0, "HEAD asks without fetching");
	tap_ok(str_ends(digest, "01"), "and believes the announcement");
	tap_is_int(registry_head_manifest(c.repo, "notype", digest, &c.e), 0, "where HEAD does not say");
	tap_is_str(digest, manifest_digest, "the manifest itself does");
}

static void test_image(void)
{
	struct registry_image i = REGISTRY_IMAGE_INIT;
	struct imgspec_platform p = {.os = NULL};
	if (imgspec_platform_parse("linux/amd64", &p, &c.e) < 0)
		tap_diag("%s", c.e.text);
	tap_is_int(registry_get_image(c.repo, "multi", &p, &i, &c.e), 0, "an index is followed to the platform");
	tap_is_str(i.index.digest, index_digest, "the index is kept");
	tap_is_str(i.manifest.digest, manifest_digest, "the manifest is the platform's");
	tap_is_str(i.config.buf, CONFIG, "the config is fetched and verified");
	registry_image_free(&i);
	i = (struct registry_image)REGISTRY_IMAGE_INIT;
	tap_is_int(registry_get_image(c.repo, "v1", &p, &i, &c.e), 0, "a single manifest is an image as well");
	tap_is_int(i.index.body.len, 0, "without index");
	registry_image_free(&i);
	imgspec_platform_free(&p);
	err_clear(&c.e);
	if (imgspec_platform_parse("linux/s390x", &p, &c.e) < 0)
		tap_diag("%s", c.e.text);
	i = (struct registry_image)REGISTRY_IMAGE_INIT;
	tap_is_int(registry_get_image(c.repo, "multi", &p, &i, &c.e), -ENOENT,
		   "a platform that is not in the index is ENOENT");
	imgspec_platform_free(&p);
	err_clear(&c.e);
}

static void test_rest(struct server *s)
{
	autostrv struct strv tags = STRV_INIT;
	tap_is_int(registry_list_tags(c.repo, &tags, &c.e), 0, "tags are listed");
	tap_ok(tags.count == 2 && str_eq(tags.items[1], "b"), "null at the end of the pages is no error");
	tap_is_int(server_asked(s, "GET /v2/x/tags/list"), 2, "page by page");
	uint64_t size = 0;
	tap_is_int(registry_has_blob(c.repo, config_digest, &size, &c.e), 1, "a blob that is there");
	tap_is_int(size, strlen(CONFIG), "and its size");
	tap_is_int(registry_has_blob(c.repo, manifest_digest, &size, &c.e), 0, "one that is not");
	char digest[IMGREF_DIGEST_SIZE];
	tap_is_int(registry_push_manifest(c.repo, "ok", "a/b", manifest, strlen(manifest), digest, &c.e), 0,
		   "a manifest is pushed");
	tap_is_str(digest, manifest_digest, "its digest is told");
	tap_is_int(registry_push_manifest(c.repo, "changed", "a/b", manifest, strlen(manifest), digest, &c.e), -EBADMSG,
		   "a registry that stores something else is noticed");
	tap_is_int(registry_push_manifest(c.repo, config_digest, "a/b", manifest, strlen(manifest), digest, &c.e),
		   -EINVAL, "a digest that is not that of the bytes is refused");
	tap_is_int(registry_push_manifest(c.repo, "ok", "a/b\r\nX: y", manifest, strlen(manifest), digest, &c.e),
		   -EINVAL, "a media type with line ends is refused");
	tap_is_int(registry_delete_manifest(c.repo, "old", &c.e), 0, "a manifest is deleted");
	tap_is_int(registry_delete_manifest(c.repo, "older", &c.e), -ENOENT, "one that is not there is not");
}

int main(void)
{
	tap_plan_later();
	digest_of(CONFIG, strlen(CONFIG), config_digest);
	snprintf(manifest, sizeof(manifest),
		 "{\"schemaVersion\":2,\"mediaType\":\"" IMGSPEC_OCI_MANIFEST
		 "\",\"config\":{\"mediaType\":\"" IMGSPEC_OCI_CONFIG
		 "\",\"digest\":\"%s\",\"size\":%zu},\"layers\":[]}",
		 config_digest, strlen(CONFIG));
	digest_of(manifest, strlen(manifest), manifest_digest);
	snprintf(index_text, sizeof(index_text),
		 "{\"schemaVersion\":2,\"mediaType\":\"" IMGSPEC_OCI_INDEX
		 "\",\"manifests\":[{\"mediaType\":\"" IMGSPEC_OCI_MANIFEST
		 "\",\"digest\":\"%s\",\"size\":%zu,\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\"}}]}",
		 manifest_digest, strlen(manifest));
	digest_of(index_text, strlen(index_text), index_digest);
	snprintf(by_digest, sizeof(by_digest), "/v2/x/manifests/%s", manifest_digest);
	snprintf(config_target, sizeof(config_target), "/v2/x/blobs/%s", config_digest);
	snprintf(lie, sizeof(lie), "Docker-Content-Digest: %s\r\n", config_digest);
	struct server *s = server_start(script);
	client_open(&c, s, NULL, REGISTRY_PUSH);
	client_insecure(&c);
	test_get();
	test_image();
	test_rest(s);
	client_close(&c);
	server_stop(s);
	return tap_done();
}
