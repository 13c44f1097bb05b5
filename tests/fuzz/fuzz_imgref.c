/*
 * fuzz_imgref.c - any text as an image reference: no crash, and what is accepted has one normal form that contains
 * nothing a file name or a URL could trip over.
 */
#include <stdint.h>
#include <stdlib.h>

#include "rl/base/mem.h"
#include "rl/model/imgref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;
	struct imgref r;
	struct imgref again;
	struct imgref_location l;
	autofree char *text = size ? xstrndup((const char *)data, size) : xstrdup("");
	if (imgref_locate(text, &l, &e) == 0) {
		must(l.path && *l.path);
		imgref_location_free(&l);
	}
	if (imgref_parse(text, &r, &e) < 0)
		return 0;
	autofree char *canonical = imgref_format(&r);
	must(imgref_parse(canonical, &again, &e) == 0);
	autofree char *twice = imgref_format(&again);
	must(str_eq(canonical, twice));
	must(strspn(canonical, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:@[]") ==
	     strlen(canonical));
	must(strlen(canonical) <= IMGREF_REPO_MAX + IMGREF_TAG_MAX + IMGREF_DIGEST_SIZE + 2);
	must(imgref_familiar(canonical) >= canonical);
	autofree char *repository = imgref_repository(canonical);
	must(str_after(canonical, repository) != NULL);
	/* Two dots are legal in a tag, and only there. */
	must(!strstr(repository, "..") && !strstr(canonical, "//") && *canonical != '/' && *canonical != '-');
	imgref_free(&again);
	imgref_free(&r);
	return 0;
}
