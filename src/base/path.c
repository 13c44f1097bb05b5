#include "rl/base/path.h"

#include <string.h>

#include "rl/base/mem.h"
#include "rl/base/str.h"

char *path_join(const char *a, const char *b)
{
	size_t n = strlen(a);
	while (n > 1 && a[n - 1] == '/')
		n--;
	while (*b == '/')
		b++;
	if (!*b)
		return xstrndup(a, n);
	if (!n)
		return xstrdup(b);
	return xasprintf("%.*s%s%s", (int)n, a, a[n - 1] == '/' ? "" : "/", b);
}

char *path_clean(const char *path)
{
	bool absolute = *path == '/';
	autostr struct str out = STR_INIT;
	if (absolute)
		str_addc(&out, '/');
	while (*path) {
		path += strspn(path, "/");
		size_t n = strcspn(path, "/");
		if (n == 2 && path[0] == '.' && path[1] == '.') {
			size_t cut = out.len;
			while (cut > (absolute ? 1 : 0) && out.buf[cut - 1] != '/')
				cut--;
			if (cut > 1 || (cut == 1 && !absolute))
				cut--;
			str_cut(&out, cut);
		} else if (n && !(n == 1 && path[0] == '.')) {
			if (out.len && out.buf[out.len - 1] != '/')
				str_addc(&out, '/');
			str_add(&out, path, n);
		}
		path += n;
	}
	if (!out.len)
		str_addc(&out, '.');
	return str_take(&out);
}

const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

char *path_dir(const char *path)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		return xstrdup(".");
	while (slash > path && slash[-1] == '/')
		slash--;
	if (slash == path)
		return xstrdup("/");
	return xstrndup(path, (size_t)(slash - path));
}

bool path_is_below(const char *path, const char *root)
{
	if (str_eq(root, "/"))
		return *path == '/';
	const char *rest = str_after(path, root);
	return rest && (*rest == '\0' || *rest == '/');
}

bool path_has_dotdot(const char *path)
{
	while (*path) {
		path += strspn(path, "/");
		size_t n = strcspn(path, "/");
		if (n == 2 && path[0] == '.' && path[1] == '.')
			return true;
		path += n;
	}
	return false;
}

bool path_is_address(const char *text)
{
	return str_after(text, "http://") || str_after(text, "https://");
}

char *path_shown(const char *text)
{
	if (!path_is_address(text))
		return xstrdup(text);
	const char *host = strstr(text, "://") + 3, *end = host + strcspn(host, "/?#");
	const char *at = memrchr(host, '@', (size_t)(end - host));
	const char *from = at ? at + 1 : host;
	return xasprintf("%.*s%.*s", (int)(host - text), text, (int)strcspn(from, "?#"), from);
}

bool path_is_plain_name(const char *name)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	static const char rest[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	size_t n = strlen(name);
	return n > 0 && n <= 128 && strchr(first, name[0]) && strspn(name, rest) == n;
}
