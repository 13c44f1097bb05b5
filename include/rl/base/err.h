/*
 * err.h - the one error object of the whole tree.
 *
 * Model: an error is filled exactly once, at the call that failed (err_set, err_sys), gains prefixes on its way
 * outward (err_ctx: "import web.tar: ..."), may be given one remedy (err_hint), and is printed once, at the edge
 * (err_print, by main or by a role's main). It is flat and of fixed size, so it can be sent between processes as one
 * message and works after clone and without memory.
 *
 * Return convention of every fallible function in the tree:
 *     int f(..., struct err *e)    >= 0 on success, -errno on failure with *e filled; *e is untouched on success.
 * Predicates return bool and are named is_, has_ or can_. Iterators return 1 (item), 0 (end), -errno.
 * Outputs are named ret_ and are untouched on failure.
 *
 * Calling sequence:
 *     struct err e = ERR_INIT;
 *     int fd = open(path, O_RDONLY | O_CLOEXEC);
 *     if (fd < 0)
 *         return err_sys(e, errno, "open %s", path);      // at the cause; text becomes "open x: No such file ..."
 *     r = inner(..., e);
 *     if (r < 0)
 *         return err_ctx(e, "import %s", name);           // outward; returns the same -errno
 *
 * Context: any role, async-signal-unsafe (vsnprintf), allocates nothing. `e` may be NULL where the caller only wants
 * the return value; err_ctx, err_hint and err_status then cannot know the code and return -EIO, so a function that
 * distinguishes codes keeps the `r` it got.
 */
#ifndef RL_BASE_ERR_H
#define RL_BASE_ERR_H

#include "rl/base/compiler.h"

#define ERR_TEXT_SIZE 512
#define ERR_HINT_SIZE 480

/* Exit statuses of rl itself (docker's convention); the payload's own status is passed through otherwise. */
enum exit_status {
	EXIT_RL_FAILED = 125,	  /* rl could not do it */
	EXIT_CANNOT_INVOKE = 126, /* the command exists and cannot be executed */
	EXIT_NOT_FOUND = 127,	  /* the command does not exist */
	EXIT_SIGNAL_BASE = 128,	  /* + number of the signal that ended the command */
};

struct err {
	int code;		  /* errno value, 0 while no error happened */
	int exit_status;	  /* enum exit_status, or 0 for the default EXIT_RL_FAILED */
	char text[ERR_TEXT_SIZE]; /* "outer: inner: cause", no newline */
	char hint[ERR_HINT_SIZE]; /* the remedy, or "" */
};

#define ERR_INIT                                                                                                       \
	{                                                                                                              \
		.code = 0                                                                                              \
	}

/* Fill *e with a cause that no system call reported (bad input, refused combination). `code` is an errno value. */
int err_set(struct err *e, int code, const char *fmt, ...) RL_PRINTF(3, 4);

/* Fill *e from a failed system call: the text gets ": strerror(errnum)" appended. Pass errno explicitly. */
int err_sys(struct err *e, int errnum, const char *fmt, ...) RL_PRINTF(3, 4);

/* Put "prefix: " before the text. Returns -e->code, so that `return err_ctx(...)` keeps the cause. */
int err_ctx(struct err *e, const char *fmt, ...) RL_PRINTF(2, 3);
/* Take "subject: " from the front of the text, for a caller whose own prefix names the subject. */
void err_drop(struct err *e, const char *subject);

/* Attach the remedy; the first one given stays, because the innermost place knows best. Returns -e->code. */
int err_hint(struct err *e, const char *fmt, ...) RL_PRINTF(2, 3);

/* Set the process exit status this error asks for (EXIT_NOT_FOUND, ...). Returns -e->code. */
int err_status(struct err *e, int exit_status);

#ifdef __clang_analyzer__
/* An analyser that cannot see into err.c would follow paths on which a failure is not negative. */
#define err_analyser_negative(call)                                                                                    \
	({                                                                                                             \
		int err_result = (call);                                                                               \
		if (err_result >= 0)                                                                                   \
			__builtin_unreachable();                                                                       \
		err_result;                                                                                            \
	})
#define err_set(...)	err_analyser_negative((err_set)(__VA_ARGS__))
#define err_sys(...)	err_analyser_negative((err_sys)(__VA_ARGS__))
#define err_ctx(...)	err_analyser_negative((err_ctx)(__VA_ARGS__))
#define err_hint(...)	err_analyser_negative((err_hint)(__VA_ARGS__))
#define err_status(...) err_analyser_negative((err_status)(__VA_ARGS__))
#endif

/* The exit status main should use: e->exit_status or EXIT_RL_FAILED. */
int err_exit_status(const struct err *e);

/* Forget the error, for callers that recovered from it. */
void err_clear(struct err *e);

/* Print "rl: text" and, if there is one, "rl: hint: ..." to standard error. Control characters are escaped, because
 * texts may quote hostile input. */
void err_print(const struct err *e);

#endif
