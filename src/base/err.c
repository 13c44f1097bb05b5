/* The names in parentheses keep the macros that err.h has for analysers away. */
#include "rl/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "rl/base/log.h"

static int normal_code(int code)
{
	if (code < 0)
		code = -code;
	return code ? code : EIO;
}

int(err_set)(struct err *e, int code, const char *fmt, ...)
{
	code = normal_code(code);
	if (!e)
		return -code;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	e->code = code;
	e->exit_status = 0;
	e->hint[0] = '\0';
	return -code;
}

int(err_sys)(struct err *e, int errnum, const char *fmt, ...)
{
	errnum = normal_code(errnum);
	if (!e)
		return -errnum;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	const char *name = strerrordesc_np(errnum);
	if (!name)
		name = "unknown error";
	/* A path may fill the text; what went wrong with it must still be said. */
	size_t n = RL_MIN(strlen(e->text), sizeof(e->text) - sizeof(": ") - strlen(name));
	snprintf(e->text + n, sizeof(e->text) - n, ": %s", name);
	e->code = errnum;
	e->exit_status = 0;
	e->hint[0] = '\0';
	return -errnum;
}

int(err_ctx)(struct err *e, const char *fmt, ...)
{
	if (!e)
		return -EIO;
	char prefix[ERR_TEXT_SIZE];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(prefix, sizeof(prefix), fmt, ap);
	va_end(ap);
	/* A long prefix is cut rather than the cause: the cause is what the person needs. */
	size_t cause = strlen(e->text) + 1;
	size_t room = sizeof(e->text) - cause;
	if (room > 2) {
		size_t n = RL_MIN(strlen(prefix), room - 2);
		memmove(e->text + n + 2, e->text, cause);
		memcpy(e->text, prefix, n);
		memcpy(e->text + n, ": ", 2);
	}
	return -normal_code(e->code);
}

void err_drop(struct err *e, const char *subject)
{
	size_t n = strlen(subject);
	if (e && n && strncmp(e->text, subject, n) == 0 && strncmp(e->text + n, ": ", 2) == 0)
		memmove(e->text, e->text + n + 2, strlen(e->text + n + 2) + 1);
}

int(err_hint)(struct err *e, const char *fmt, ...)
{
	if (!e)
		return -EIO;
	if (e->hint[0] == '\0') {
		va_list ap;
		va_start(ap, fmt);
		vsnprintf(e->hint, sizeof(e->hint), fmt, ap);
		va_end(ap);
	}
	return -normal_code(e->code);
}

int(err_status)(struct err *e, int exit_status)
{
	if (!e)
		return -EIO;
	e->exit_status = exit_status;
	return -normal_code(e->code);
}

int err_exit_status(const struct err *e)
{
	return e->exit_status ? e->exit_status : EXIT_RL_FAILED;
}

void err_clear(struct err *e)
{
	e->code = 0;
	e->exit_status = 0;
	e->text[0] = '\0';
	e->hint[0] = '\0';
}

void err_print(const struct err *e)
{
	log_line("%s", e->text[0] ? e->text : "failed for an unknown reason");
	if (e->hint[0])
		log_line("hint: %s", e->hint);
}
