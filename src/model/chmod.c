/* chmod.c - see chmod.h. */
#include "rl/model/chmod.h"

#include <errno.h>
#include <string.h>

#include "rl/base/err.h"
#include "rl/base/str.h"

enum { WHO_U = 04700, WHO_G = 02070, WHO_O = 01007, WHO_ALL = 07777, UMASK = 022 };

/* The bits the letters stand for, in all three places. */
static mode_t permissions(const char **p, mode_t mode, bool is_dir)
{
	static const char places[] = "ogu";
	const char *place = **p ? strchr(places, **p) : NULL;
	mode_t bits = 0;
	if (place) {
		(*p)++;
		return (mode >> (3 * (place - places)) & 7) * 0111;
	}
	for (; **p && strchr("rwxXst", **p); (*p)++) {
		switch (**p) {
		case 'r':
			bits |= 0444;
			break;
		case 'w':
			bits |= 0222;
			break;
		case 'x':
			bits |= 0111;
			break;
		case 'X':
			bits |= is_dir || (mode & 0111) ? 0111 : 0;
			break;
		case 's':
			bits |= 06000;
			break;
		default:
			bits |= 01000;
		}
	}
	return bits;
}

static mode_t parse_who(const char **p)
{
	mode_t who = 0;
	for (;; (*p)++) {
		if (**p == 'u')
			who |= WHO_U;
		else if (**p == 'g')
			who |= WHO_G;
		else if (**p == 'o')
			who |= WHO_O;
		else if (**p == 'a')
			who |= WHO_ALL;
		else
			return who;
	}
}

/* One clause up to its comma or the end; false if it is none. */
static bool clause(const char **p, mode_t *mode, bool is_dir)
{
	mode_t who = parse_who(p);
	mode_t mask = who ? who : WHO_ALL & ~UMASK;
	if (!**p || !strchr("+-=", **p))
		return false;
	while (**p && strchr("+-=", **p)) {
		char sign = *(*p)++;
		mode_t bits = permissions(p, *mode, is_dir) & mask;
		if (sign == '+')
			*mode |= bits;
		else if (sign == '-')
			*mode &= ~bits;
		else /* set-id bits of a directory stay unless they are named, as with chmod(1) */
			*mode = (*mode & ~(who ? who : WHO_ALL)) | (is_dir ? *mode & 06000 : 0) | bits;
	}
	return **p == '\0' || **p == ',';
}

static bool apply(const char *text, mode_t *mode, bool is_dir)
{
	if (strspn(text, "01234567") == strlen(text)) {
		mode_t value = 0;
		for (; *text; text++) {
			value = value * 8 + (mode_t)(*text - '0');
			if (value > 07777)
				return false;
		}
		*mode = value;
		return true;
	}
	for (const char *p = text;; p++) {
		if (!clause(&p, mode, is_dir))
			return false;
		if (!*p)
			return true;
	}
}

int chmod_check(const char *text, struct err *e)
{
	mode_t mode = 0;
	if (*text && apply(text, &mode, false))
		return 0;
	(void)!err_set(e, EINVAL, "'%.40s' is no mode", text);
	return err_hint(e, "for example 755, or u=rwX,go=rX");
}

mode_t chmod_apply(const char *text, mode_t old, bool is_dir)
{
	mode_t mode = old & 07777;
	return apply(text, &mode, is_dir) ? mode : old & 07777;
}
