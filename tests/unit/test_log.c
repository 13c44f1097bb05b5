#include "rl/base/log.h"

#include <errno.h>
#include <fcntl.h>

#include "rl/base/str.h"
#include "tap.h"

/* What `fn` says on standard error, in a child, so that the state of the log is fresh each time. */
static const char *said(int (*fn)(void *), void *arg)
{
	static char text[16384];
	int fds[2];
	tap_must(pipe2(fds, O_CLOEXEC) == 0);
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		_exit(fn(arg));
	}
	close(fds[1]);
	size_t len = 0;
	ssize_t n;
	while ((n = read(fds[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(fds[0]);
	int status = 1;
	waitpid(pid, &status, 0);
	if (status)
		tap_diag("the child ended with status %x", (unsigned)status);
	return text;
}

static int say_line(void *arg)
{
	errno = ENXIO;
	log_init("rl-test");
	log_line("%s", (const char *)arg);
	return errno != ENXIO;
}

static int say_warnings(void *arg)
{
	(void)arg;
	log_init("rl");
	log_warn("one");
	log_set_quiet(true);
	log_warn("two");
	log_line("three");
	return 0;
}

static int say_debug(void *arg)
{
	unsetenv("RL_DEBUG");
	log_init("rl");
	log_debug(LOG_MNT, "before");
	int known = log_set_debug(arg);
	log_set_role("child");
	log_debug(LOG_MNT, "a mount of %s", "x");
	log_debug(LOG_NET, "a packet");
	return known ? 0 : 7;
}

static int say_by_env(void *arg)
{
	setenv("RL_DEBUG", arg, 1);
	unsetenv("RL_DEBUG_START");
	log_init("rl");
	log_debug(LOG_MNT, "mounts");
	log_debug(LOG_NET, "net");
	return 0;
}

static int export_mask(void *arg)
{
	(void)arg;
	unsetenv("RL_DEBUG");
	log_init("rl");
	log_export();
	if (getenv("RL_DEBUG"))
		return 1; /* nothing to export while debugging is off */
	log_set_debug("net,mnt");
	log_export();
	log_line("%s", getenv("RL_DEBUG"));
	unsigned mask = log_active_mask;
	log_init("rl-netd");
	return log_active_mask == mask && getenv("RL_DEBUG_START") ? 0 : 2;
}

static void test_lines(void)
{
	tap_is_str(said(say_line, (void *)(uintptr_t) "hello"), "rl-test: hello\n",
		   "a line has the program's name in front, and errno is kept");
	tap_is_str(said(say_line, (void *)(uintptr_t) "a\nb\rc\x1b[31m\x7f\td"),
		   "rl-test: a\\x0ab\\x0dc\\x1b[31m\\x7f\td\n",
		   "control characters are made visible, so that one message is one line");
	tap_is_str(said(say_line, (void *)(uintptr_t) "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"),
		   "rl-test: gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\n", "UTF-8 text is left alone");
	tap_is_str(said(say_line, (void *)(uintptr_t) "x\xc2\x9b"
						      "31m"),
		   "rl-test: x\\xc2\\x9b31m\n", "a C1 control in UTF-8 is made visible");
	tap_is_str(said(say_line, (void *)(uintptr_t) "x\x9b"
						      "31m\xff\xc3"),
		   "rl-test: x\\x9b31m\\xff\\xc3\n", "bytes that are no UTF-8 are made visible");
	char longest[5000];
	memset(longest, '\x01', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	const char *text = said(say_line, longest);
	tap_ok(strlen(text) > 100 && strlen(text) <= 2048 && str_ends(text, "\n") && strchr(text, '\n')[1] == '\0',
	       "a message that is far too long is cut and still one line");
	tap_is_str(said(say_warnings, NULL), "rl: warning: one\nrl: three\n",
		   "warnings can be turned off, errors cannot");
}

static void test_debug(void)
{
	const char *text = said(say_debug, (void *)(uintptr_t) "mnt,run");
	tap_ok(strstr(text, "a mount of x\n") && !strstr(text, "packet") && !strstr(text, "before"),
	       "only what was asked for is traced");
	tap_ok(text[0] == '[' && strstr(text, " us] rl[") && strstr(text, "] child test_log.c: "),
	       "a line has the time, the program, the pid, the role and the module");
	text = said(say_debug, (void *)(uintptr_t) "all");
	tap_ok(strstr(text, "a mount") && strstr(text, "a packet"), "all is everything");
	text = said(say_by_env, (void *)(uintptr_t) "net,nonsense");
	tap_ok(strstr(text, "net\n") && !strstr(text, "mounts\n"), "RL_DEBUG is read, unknown names in it are ignored");
	tap_is_str(said(say_by_env, (void *)(uintptr_t) ""), "", "an empty RL_DEBUG is none");
	tap_is_str(said(export_mask, NULL), "rl: mnt,net\n", "the mask is handed on to programs we start");
}

static int unknown_name(void *arg)
{
	(void)arg;
	return log_set_debug("net,nonsense") || !log_on(LOG_NET) ? 1 : log_set_debug("netx") || log_set_debug("ne");
}

static int every_name(void *arg)
{
	(void)arg;
	unsigned seen = 0;
	static const char *const names[] = {"cmd",     "run",	   "mnt",      "idmap", "net",	  "store",
					    "archive", "security", "registry", "stdio", "cgroup", "build"};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		log_active_mask = 0;
		if (!log_set_debug(names[i]) || __builtin_popcount(log_active_mask) != 1 || (seen & log_active_mask))
			return 1;
		seen |= log_active_mask;
	}
	return seen == LOG_ALL ? 0 : 2;
}

int main(void)
{
	tap_plan_later();
	test_lines();
	test_debug();
	tap_is_int(tap_child_status(unknown_name, NULL), 0, "an unknown name is reported, the known ones take effect");
	tap_is_int(tap_child_status(every_name, NULL), 0, "every bit of the mask has exactly one name");
	return tap_done();
}
