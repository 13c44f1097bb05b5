/*
 * tap.h - the harness of the C tests: one property per line, TAP on standard output.
 *
 * Model: each test program is one process that prints "ok N - sentence" or "not ok N - sentence" and, at the end, the
 * plan. A failing line explains itself in "#" lines with file and line number. The exit status is 0 only when every
 * line was ok, so that a crash (no plan) and a failure are both seen by prove.
 *
 * Calling sequence:
 *     int main(void)
 *     {
 *             tap_plan_later();
 *             tap_ok(str_eq("a", "a"), "equal strings are equal");
 *             tap_is_str(path, "/a/b", "a double slash is one slash");
 *             return tap_done();
 *     }
 * tap_must(cond) is for steps that only prepare: it ends the program when they fail.
 * All of them return the condition, so that a test can stop using what it did not get.
 * Context: single thread. Children forked by a test must not print TAP: they report by exit status
 * (tap_child_status runs a function in a child and gives back its status).
 */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-variable"

/* The test program is the one place where file-scope state is the point: one counter per process. */
static int tap_count;
static int tap_failures;

static inline void tap_plan_later(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
}

/* A diagnostic; every line of it gets a "#" of its own. */
__attribute__((format(printf, 1, 2))) static inline void tap_diag(const char *fmt, ...)
{
	char text[4096];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);

	printf("# ");
	for (const char *p = text; *p; p++) {
		putchar(*p);
		if (*p == '\n' && p[1])
			printf("# ");
	}
	putchar('\n');
}

__attribute__((format(printf, 4, 5))) static inline bool tap_ok_at(bool cond, const char *file, int line,
								   const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);

	/* '#' starts a directive and a newline ends the line; a sentence may quote either. */
	for (char *p = text; *p; p++)
		if (*p == '#' || *p == '\n')
			*p = '.';
	printf("%s %d - %s\n", cond ? "ok" : "not ok", ++tap_count, text);
	if (!cond) {
		tap_failures++;
		tap_diag("failed at %s:%d", file, line);
	}
	return cond;
}

/* tap_ok(cond, "sentence with %s", arg) */
#define tap_ok(cond, ...) tap_ok_at((cond), __FILE__, __LINE__, __VA_ARGS__)

static inline bool tap_is_str_at(const char *got, const char *want, const char *file, int line, const char *sentence)
{
	bool same = got && want ? strcmp(got, want) == 0 : got == want;
	if (!tap_ok_at(same, file, line, "%s", sentence)) {
		tap_diag("     got: %s%s%s", got ? "'" : "", got ? got : "(null)", got ? "'" : "");
		tap_diag("expected: %s%s%s", want ? "'" : "", want ? want : "(null)", want ? "'" : "");
	}
	return same;
}

static inline bool tap_is_int_at(intmax_t got, intmax_t want, const char *file, int line, const char *sentence)
{
	if (!tap_ok_at(got == want, file, line, "%s", sentence)) {
		tap_diag("     got: %jd", got);
		tap_diag("expected: %jd", want);
	}
	return got == want;
}

#define tap_is_str(got, want, sentence) tap_is_str_at((got), (want), __FILE__, __LINE__, (sentence))
#define tap_is_int(got, want, sentence) tap_is_int_at((intmax_t)(got), (intmax_t)(want), __FILE__, __LINE__, (sentence))

/* True when `text` contains `part`; shows both when not. */
static inline bool tap_has_at(const char *text, const char *part, const char *file, int line, const char *sentence)
{
	bool has = text && strstr(text, part) != NULL;
	if (!tap_ok_at(has, file, line, "%s", sentence)) {
		tap_diag("     got: '%s'", text ? text : "(null)");
		tap_diag(" missing: '%s'", part);
	}
	return has;
}
#define tap_has(text, part, sentence) tap_has_at((text), (part), __FILE__, __LINE__, (sentence))

/* One property that cannot be tried here. Under RL_TEST_STRICT=1 the runner turns it into a failure unless
 * tests/skips.txt lists the reason. */
static inline void tap_skip(const char *reason, const char *sentence)
{
	printf("ok %d - %s # SKIP %s\n", ++tap_count, sentence, reason);
}

/* Nothing of this program can be tried here: return tap_skip_all("why") from main. */
static inline int tap_skip_all(const char *reason)
{
	printf("1..0 # SKIP %s\n", reason);
	return 0;
}

/* Run fn(arg) in a child and give back its exit status, or 128 + the signal that ended it. */
static inline int tap_child_status(int (*fn)(void *arg), void *arg)
{
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		int r = fn(arg);
		fflush(NULL);
		_exit(r);
	}
	int status = 0;
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* A step that only prepares: when it fails, the rest of the program would say nothing. */
#define tap_must(cond)                                                                                                 \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("Bail out! %s:%d: %s\n", __FILE__, __LINE__, #cond);                                    \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

/* A fresh directory below $TMPDIR, to be removed by the test; ends the program when it cannot be had. */
static inline char *tap_tmpdir(void)
{
	const char *base = getenv("TMPDIR");
	char *path = NULL;
	if (asprintf(&path, "%s/rl-unit.XXXXXX", base && *base ? base : "/tmp") < 0 || !mkdtemp(path)) {
		printf("Bail out! no temporary directory\n");
		exit(1);
	}
	return path;
}

static inline int tap_done(void)
{
	printf("1..%d\n", tap_count);
	if (tap_failures)
		tap_diag("%d of %d failed", tap_failures, tap_count);
	return tap_failures ? 1 : 0;
}

#pragma GCC diagnostic pop
#endif
