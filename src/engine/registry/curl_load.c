/*
 * curl_load.c - libcurl, opened when the first registry is; see curl_load_int.h.
 *
 * Theory: rl-image is started for every import, and once more for every layer to be unpacked; libcurl with what it draws
 * in (TLS, LDAP, Kerberos, HTTP/2 and 3) is most of what such a start costs, and none of it is wanted there. So nothing is
 * linked against it: the functions of libcurl that this engine uses are defined here, each calling the one of the same
 * name in the library. Everybody else includes <curl/curl.h> and sees no difference.
 *
 * registry_open calls curl_load, so that a missing library is an ordinary error; a function called before it loads the
 * library itself and ends the process if that fails.
 */
#define CURL_DISABLE_TYPECHECK
#include "curl_load_int.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "rl/base/log.h"

#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

/* NAME, result, parameters, arguments: those that are passed on as they are. */
#define PLAIN_FUNCTIONS(X)                                                                                             \
	X(easy_cleanup, void, (CURL * c), (c))                                                                         \
	X(easy_init, CURL *, (void), ())                                                                               \
	X(easy_pause, CURLcode, (CURL * c, int bits), (c, bits))                                                       \
	X(easy_strerror, const char *, (CURLcode code), (code))                                                        \
	X(free, void, (void *p), (p))                                                                                  \
	X(getdate, time_t, (const char *text, const time_t *unused), (text, unused))                                   \
	X(global_init, CURLcode, (long flags), (flags))                                                                \
	X(multi_add_handle, CURLMcode, (CURLM * m, CURL * c), (m, c))                                                  \
	X(multi_cleanup, CURLMcode, (CURLM * m), (m))                                                                  \
	X(multi_info_read, CURLMsg *, (CURLM * m, int *left), (m, left))                                               \
	X(multi_init, CURLM *, (void), ())                                                                             \
	X(multi_perform, CURLMcode, (CURLM * m, int *running), (m, running))                                           \
	X(multi_poll, CURLMcode, (CURLM * m, struct curl_waitfd fds[], unsigned n, int ms, int *ret),                  \
	  (m, fds, n, ms, ret))                                                                                        \
	X(multi_remove_handle, CURLMcode, (CURLM * m, CURL * c), (m, c))                                               \
	X(multi_strerror, const char *, (CURLMcode code), (code))                                                      \
	X(slist_append, struct curl_slist *, (struct curl_slist * list, const char *text), (list, text))               \
	X(slist_free_all, void, (struct curl_slist * list), (list))                                                    \
	X(url, CURLU *, (void), ())                                                                                    \
	X(url_cleanup, void, (CURLU * u), (u))                                                                         \
	X(url_set, CURLUcode, (CURLU * u, CURLUPart part, const char *text, unsigned flags), (u, part, text, flags))   \
	X(url_strerror, const char *, (CURLUcode code), (code))

#define MEMBER(name, result, parameters, arguments) result(*name) parameters;
struct curl_functions {
	PLAIN_FUNCTIONS(MEMBER)
	CURLcode (*easy_setopt)(CURL *c, CURLoption option, ...);
	CURLcode (*easy_getinfo)(CURL *c, CURLINFO info, ...);
	CURLMcode (*multi_setopt)(CURLM *m, CURLMoption option, ...);
	CURLUcode (*url_get)(const CURLU *u, CURLUPart part, char **ret, unsigned flags);
};

static struct curl_functions lib;

#define SLOT(name, result, parameters, arguments) {"curl_" #name, offsetof(struct curl_functions, name)},
static const struct {
	const char *symbol;
	size_t offset;
} slots[] = {PLAIN_FUNCTIONS(SLOT) SLOT(easy_setopt, , , ) SLOT(easy_getinfo, , , ) SLOT(multi_setopt, , , )
		     SLOT(url_get, , , )};

int curl_load(struct err *e)
{
	if (lib.easy_init)
		return 0;
	struct curl_functions found;
	void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		err_set(e, ENOENT, "libcurl cannot be opened: %s", dlerror());
		return err_hint(e, "install it (libcurl4): registries are spoken to with it");
	}
	for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
		void *p = dlsym(library, slots[i].symbol);
		if (!p) {
			dlclose(library);
			return err_set(e, ENOSYS, "this libcurl has no %s: it is too old", slots[i].symbol);
		}
		memcpy((char *)&found + slots[i].offset, &p, sizeof(p));
	}
	/* The library stays for the life of the process. */
	lib = found;
	return 0;
}

static const struct curl_functions *curl(void)
{
	struct err e = ERR_INIT;
	if (curl_load(&e) == 0)
		return &lib;
	log_line("%s", e.text);
	_exit(EXIT_RL_FAILED);
}

#define CALL(name, result, parameters, arguments)                                                                      \
	result curl_##name parameters                                                                                  \
	{                                                                                                              \
		return curl()->name arguments;                                                                         \
	}
PLAIN_FUNCTIONS(CALL)

/* Its first parameter is const or not, with the version of the header; so it is defined beside the declaration. */
CURLUcode curl_load_url_get(const CURLU *u, CURLUPart part, char **ret, unsigned flags) __asm__("curl_url_get");
CURLUcode curl_load_url_get(const CURLU *u, CURLUPart part, char **ret, unsigned flags)
{
	return curl()->url_get(u, part, ret, flags);
}

/* Every option's value is a long, a curl_off_t or a pointer, and those are passed alike where long has 64 bits. */
_Static_assert(sizeof(long) == sizeof(void *) && sizeof(curl_off_t) == sizeof(void *), "one size of argument");

CURLcode curl_easy_setopt(CURL *c, CURLoption option, ...)
{
	va_list ap;
	va_start(ap, option);
	void *value = va_arg(ap, void *);
	va_end(ap);
	return curl()->easy_setopt(c, option, value);
}

CURLcode curl_easy_getinfo(CURL *c, CURLINFO info, ...)
{
	va_list ap;
	va_start(ap, info);
	void *value = va_arg(ap, void *);
	va_end(ap);
	return curl()->easy_getinfo(c, info, value);
}

CURLMcode curl_multi_setopt(CURLM *m, CURLMoption option, ...)
{
	va_list ap;
	va_start(ap, option);
	void *value = va_arg(ap, void *);
	va_end(ap);
	return curl()->multi_setopt(m, option, value);
}
