/*
 * archive_tar.h - small tars for the tests of the archive engine, made by hand.
 *
 *     autostr struct str tar = STR_INIT;
 *     tar_add(&tar, &(struct tar_item){.name = "dir/", .type = '5', .mode = 0755});
 *     tar_end(&tar);
 */
#ifndef TESTS_ARCHIVE_TAR_H
#define TESTS_ARCHIVE_TAR_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "rl/base/str.h"

struct tar_item {
	const char *name;
	char type; /* 0: a regular file */
	unsigned mode;
	uint64_t uid;
	uint64_t gid;
	const char *link;
	const char *data;
	size_t len; /* of data; 0: strlen */
};

static inline void tar_pad(struct str *out)
{
	static const char zeros[512];
	str_add(out, zeros, -out->len & 511);
}

static inline void tar_number(char *field, size_t width, uint64_t value)
{
	for (size_t i = width - 1; i-- > 0; value >>= 3)
		field[i] = (char)('0' + (value & 7));
}

static inline void tar_add(struct str *out, const struct tar_item *i)
{
	char h[512] = "";
	size_t len = i->len ? i->len : i->data ? strlen(i->data) : 0;
	snprintf(h, 100, "%s", i->name);
	tar_number(h + 100, 8, i->mode ? i->mode : 0644);
	tar_number(h + 108, 8, i->uid);
	tar_number(h + 116, 8, i->gid);
	tar_number(h + 124, 12, len);
	tar_number(h + 136, 12, 1000000000);
	memset(h + 148, ' ', 8);
	h[156] = i->type ? i->type : '0';
	if (i->link)
		snprintf(h + 157, 100, "%s", i->link);
	memcpy(h + 257,
	       "ustar\0"
	       "00",
	       8);
	unsigned sum = 0;
	for (size_t k = 0; k < sizeof(h); k++)
		sum += (unsigned char)h[k];
	tar_number(h + 148, 7, sum);
	str_add(out, h, sizeof(h));
	if (len)
		str_add(out, i->data, len);
	tar_pad(out);
}

static inline void tar_end(struct str *out)
{
	static const char zeros[1024];
	str_add(out, zeros, sizeof(zeros));
}

#endif
