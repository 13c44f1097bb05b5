/*
 * imgref.c - see imgref.h.
 *
 * The parser works from the right: a digest begins at the first '@' (no other part may contain one), a tag at the last
 * ':' that has no '/' behind it, and what remains is split into domain and path at the first '/'. Each part is then
 * checked against its own grammar, so that no combination of the splits can let a foreign character through. The text
 * is bounded before anything is copied.
 */
#include "rl/model/imgref.h"

#include <errno.h>
#include <string.h>

#include "rl/base/mem.h"

enum { HEX_LEN = 64, QUOTE_MAX = 100 };

static bool is_lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
	return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

static size_t hex_span(const char *text)
{
	return strspn(text, "0123456789abcdef");
}

bool imgref_is_hex(const char *text)
{
	return hex_span(text) == HEX_LEN && text[HEX_LEN] == '\0';
}

bool imgref_is_digest(const char *text)
{
	const char *hex = str_after(text, "sha256:");
	return hex && imgref_is_hex(hex);
}

bool imgref_is_id_prefix(const char *text)
{
	size_t n = hex_span(text);
	return n >= IMGREF_ID_PREFIX_MIN && n <= HEX_LEN && text[n] == '\0';
}

static int invalid(const char *text, const char *why, struct err *e)
{
	return err_set(e, EINVAL, "invalid image reference \"%.*s\"%s: %s", QUOTE_MAX, text,
		       strlen(text) > QUOTE_MAX ? "..." : "", why);
}

/* One path component: runs of [a-z0-9] joined by '.', '_', '__' or any number of '-'. */
static bool is_path_component(const char *p, size_t len)
{
	size_t i = 0;
	for (;;) {
		size_t start = i;
		while (i < len && is_lower_alnum(p[i]))
			i++;
		if (i == start)
			return false;
		if (i == len)
			return true;
		char separator = p[i];
		size_t n = 0;
		while (i < len && p[i] == separator) {
			i++;
			n++;
		}
		if (separator == '.' ? n > 1 : separator == '_' ? n > 2 : separator != '-')
			return false;
	}
}

static bool is_path(const char *p)
{
	for (;;) {
		size_t len = strcspn(p, "/");
		if (!is_path_component(p, len))
			return false;
		if (!p[len])
			return true;
		p += len + 1;
	}
}

static bool is_port(const char *p)
{
	size_t n = strspn(p, "0123456789");
	return n >= 1 && n <= 5 && p[n] == '\0';
}

/* Dot-separated labels, each of letters, digits and inner hyphens. */
static bool is_host_name(const char *p, size_t len)
{
	size_t i = 0;
	while (i < len) {
		size_t start = i;
		while (i < len && (is_alnum(p[i]) || p[i] == '-'))
			i++;
		if (i == start || p[start] == '-' || p[i - 1] == '-')
			return false;
		if (i == len)
			return true;
		if (p[i++] != '.')
			return false;
	}
	return false;
}

static bool is_domain(const char *p)
{
	const char *rest;
	if (*p == '[') {
		size_t n = strspn(p + 1, "0123456789abcdefABCDEF:");
		if (n < 2 || p[1 + n] != ']')
			return false;
		rest = p + n + 2;
	} else {
		size_t n = strcspn(p, ":");
		if (!is_host_name(p, n))
			return false;
		rest = p + n;
	}
	return *rest == '\0' || (*rest == ':' && is_port(rest + 1));
}

static bool is_tag(const char *p)
{
	size_t n = strlen(p);
	if (n < 1 || n > IMGREF_TAG_MAX || !(is_alnum(p[0]) || p[0] == '_'))
		return false;
	for (size_t i = 1; i < n; i++)
		if (!is_alnum(p[i]) && !strchr("_.-", p[i]))
			return false;
	return true;
}

/* docker's rule for what stands before the first '/'. */
static bool looks_like_domain(const char *p, size_t len)
{
	if (len == 9 && memcmp(p, "localhost", 9) == 0)
		return true;
	for (size_t i = 0; i < len; i++)
		if (p[i] == '.' || p[i] == ':' || (p[i] >= 'A' && p[i] <= 'Z'))
			return true;
	return false;
}

static int split_name(const char *text, const char *name, struct imgref *r, struct err *e)
{
	size_t first = strcspn(name, "/");
	bool with_domain = name[first] == '/' && looks_like_domain(name, first);
	const char *path = with_domain ? name + first + 1 : name;
	if (!*path)
		return invalid(text, "the name is empty", e);
	if (!is_path(path)) {
		for (const char *p = path; *p; p++)
			if (*p >= 'A' && *p <= 'Z')
				return invalid(text, "the repository name must be lower case", e);
		return invalid(text,
			       "a repository name is [a-z0-9] with single '.', '_', '__' or '-' between, in parts "
			       "separated by one '/'",
			       e);
	}
	if (!with_domain && imgref_is_hex(path))
		return invalid(text, "64 hex digits are an image id, not a name", e);
	if (with_domain)
		r->domain = xstrndup(name, first);
	else
		r->domain = xstrdup("docker.io");
	if (!is_domain(r->domain))
		return invalid(text, "the part before the first '/' is not a host name", e);
	if (str_eq(r->domain, "index.docker.io")) {
		free(r->domain);
		r->domain = xstrdup("docker.io");
	}
	bool official = str_eq(r->domain, "docker.io") && !strchr(path, '/');
	r->path = xasprintf("%s%s", official ? "library/" : "", path);
	r->short_name = !with_domain;
	if (strlen(r->domain) + 1 + strlen(r->path) > IMGREF_REPO_MAX)
		return invalid(text, "the repository name is longer than 255 characters", e);
	return 0;
}

static int parse_into(const char *text, struct imgref *r, struct err *e)
{
	/* Longest legal text: repository, ':', tag, '@', digest. */
	if (strnlen(text, 1024) > IMGREF_REPO_MAX + IMGREF_TAG_MAX + IMGREF_DIGEST_SIZE + 2)
		return invalid(text, "it is too long", e);
	if (!*text)
		return err_set(e, EINVAL, "the image reference is empty");
	autofree char *name = xstrdup(text);
	char *at = strchr(name, '@');
	if (at) {
		*at++ = '\0';
		if (!imgref_is_digest(at))
			return invalid(text, "the digest is not \"sha256:\" and 64 lower-case hex digits", e);
		memcpy(r->digest, at, IMGREF_DIGEST_SIZE);
	}
	char *slash = strrchr(name, '/');
	char *colon = strchr(slash ? slash : name, ':');
	if (colon) {
		*colon++ = '\0';
		if (!is_tag(colon))
			return invalid(text, "a tag is 1 to 128 of [A-Za-z0-9_.-] and begins with none of \".-\"", e);
		r->tag = xstrdup(colon);
	}
	int rc = split_name(text, name, r, e);
	if (rc < 0)
		return rc;
	if (!r->tag && !*r->digest)
		r->tag = xstrdup("latest");
	return 0;
}

int imgref_parse(const char *text, struct imgref *ret_ref, struct err *e)
{
	struct imgref r = {0};
	int rc = parse_into(text, &r, e);
	if (rc < 0) {
		imgref_free(&r);
		return rc;
	}
	*ret_ref = r;
	return 0;
}

void imgref_free(struct imgref *r)
{
	free(r->domain);
	free(r->path);
	free(r->tag);
	*r = (struct imgref){0};
}

char *imgref_format(const struct imgref *r)
{
	return xasprintf("%s/%s%s%s%s%s", r->domain, r->path, r->tag ? ":" : "", r->tag ? r->tag : "",
			 *r->digest ? "@" : "", r->digest);
}

const char *imgref_familiar(const char *canonical)
{
	const char *rest = str_after(canonical, "docker.io/library/");
	if (!rest)
		rest = str_after(canonical, "docker.io/");
	return rest ? rest : canonical;
}

char *imgref_repository(const char *canonical)
{
	const char *slash = strrchr(canonical, '/');
	size_t n = slash ? (size_t)(slash - canonical) : 0;
	return xstrndup(canonical, n + strcspn(canonical + n, ":@"));
}

static const char *const transport_prefix[] = {
	[IMGREF_STORE] = "",
	[IMGREF_DOCKER] = "docker://",
	[IMGREF_OCI] = "oci:",
	[IMGREF_OCI_ARCHIVE] = "oci-archive:",
	[IMGREF_DOCKER_ARCHIVE] = "docker-archive:",
	[IMGREF_DIR] = "dir:",
};
_Static_assert(ARRAY_SIZE(transport_prefix) == IMGREF_TRANSPORT_N, "one prefix per transport");

static const char *const transport_name[] = {
	[IMGREF_STORE] = "",
	[IMGREF_DOCKER] = "docker",
	[IMGREF_OCI] = "oci",
	[IMGREF_OCI_ARCHIVE] = "oci-archive",
	[IMGREF_DOCKER_ARCHIVE] = "docker-archive",
	[IMGREF_DIR] = "dir",
};
_Static_assert(ARRAY_SIZE(transport_name) == IMGREF_TRANSPORT_N, "one name per transport");

const char *imgref_transport_name(enum imgref_transport t)
{
	return transport_name[t];
}

int imgref_locate(const char *text, struct imgref_location *ret_location, struct err *e)
{
	struct imgref_location l = {.transport = IMGREF_STORE};
	const char *rest = text;
	if (!*text)
		return err_set(e, EINVAL, "the image reference is empty");
	for (int t = IMGREF_DOCKER; t < IMGREF_TRANSPORT_N; t++) {
		const char *after = str_after(text, transport_prefix[t]);
		if (after) {
			l.transport = (enum imgref_transport)t;
			rest = after;
			break;
		}
	}
	/* "dir:latest" could be an image of the name "dir"; docker and skopeo read transports, so do we. */
	if (l.transport != IMGREF_STORE && !*rest)
		return err_set(e, EINVAL, "\"%s\" names no image behind its transport", text);
	bool splits = l.transport == IMGREF_OCI || l.transport == IMGREF_OCI_ARCHIVE ||
		      l.transport == IMGREF_DOCKER_ARCHIVE;
	size_t n = splits ? strcspn(rest, ":") : strlen(rest);
	if (splits && n == 0)
		return err_set(e, EINVAL, "\"%s\" names no file", text);
	if (rest[n] == ':' && !rest[n + 1])
		return err_set(e, EINVAL, "\"%s\" ends in ':'", text);
	l.path = xstrndup(rest, n);
	l.which = rest[n] ? xstrdup(rest + n + 1) : NULL;
	*ret_location = l;
	return 0;
}

void imgref_location_free(struct imgref_location *l)
{
	free(l->path);
	free(l->which);
	*l = (struct imgref_location){0};
}
