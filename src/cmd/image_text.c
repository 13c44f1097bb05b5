/*
 * image_text.c - how image verbs show names, ids and times.
 */
#include "image_text.h"

#include "rl/base/fmt.h"
#include "rl/base/mem.h"
#include "rl/model/imgref.h"

static const char none[] = "<none>";

char *image_text_id(const char *digest, bool full)
{
	const char *hex = str_after(digest, "sha256:");
	if (full || !hex)
		return xstrdup(digest);
	return xstrndup(hex, 12);
}

void image_text_name(const char *canonical, enum cmd_flavour flavour, struct image_text_name *ret)
{
	const char *shown = flavour == CMD_PODMAN ? canonical : imgref_familiar(canonical);
	const char *at = strchr(shown, '@');
	size_t end = at ? (size_t)(at - shown) : strlen(shown);
	const char *slash = memrchr(shown, '/', end);
	const char *name = slash ? slash + 1 : shown;
	const char *colon = memchr(name, ':', end - (size_t)(name - shown));
	size_t repository_end = colon ? (size_t)(colon - shown) : end;
	ret->repository = repository_end ? xstrndup(shown, repository_end) : xstrdup(none);
	ret->tag = colon ? xstrndup(colon + 1, end - repository_end - 1) : xstrdup(none);
	ret->digest = xstrdup(at ? at + 1 : none);
}

void image_text_name_free(struct image_text_name *n)
{
	free(n->repository);
	free(n->tag);
	free(n->digest);
}

char *image_text_ago(const char *rfc3339, int64_t now)
{
	int64_t created;
	char text[FMT_SIZE];
	if (fmt_parse_time(rfc3339, "created", &created, NULL) < 0)
		return xstrdup("N/A");
	/* Reproducible builds have no time worth showing. */
	if (created <= 0)
		return xstrdup("N/A");
	fmt_duration(now > created ? now - created : 0, text);
	return xasprintf("%s ago", text);
}
