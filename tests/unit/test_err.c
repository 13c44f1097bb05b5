#include "rl/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "tap.h"

static void test_filling(void)
{
	struct err e = ERR_INIT;
	tap_is_int(err_set(&e, ENOENT, "no image %s", "web"), -ENOENT, "err_set returns the negative code");
	tap_is_str(e.text, "no image web", "err_set formats the text");
	tap_is_int(e.code, ENOENT, "err_set keeps the code");
	tap_is_str(e.hint, "", "a fresh error has no hint");

	tap_is_int(err_sys(&e, EACCES, "open %s", "/x"), -EACCES, "err_sys returns the negative code");
	tap_is_str(e.text, "open /x: Permission denied", "err_sys appends what the errno means");

	tap_is_int(err_set(&e, -EBUSY, "x"), -EBUSY, "a code that is negative already is taken as it is meant");
	tap_is_int(err_set(&e, 0, "x"), -EIO, "an error without a code is an error all the same");
	tap_is_int(err_sys(&e, 99999, "call"), -99999, "an errno nobody knows is kept");
	tap_is_str(e.text, "call: unknown error", "an errno nobody knows is said to be unknown");
}

static void test_context(void)
{
	struct err e = ERR_INIT;
	err_set(&e, ENOENT, "cause");
	tap_is_int(err_ctx(&e, "import %s", "a.tar"), -ENOENT, "err_ctx returns the code of the cause");
	err_drop(&e, "import a.tar.gz");
	err_drop(&e, "import");
	tap_ok(strncmp(e.text, "import a.tar: ", 14) == 0, "another subject than the text's is not taken away");
	err_drop(&e, "import a.tar");
	tap_ok(strncmp(e.text, "import", 6) != 0 && *e.text, "the text's is: %s", e.text);
	err_ctx(&e, "import %s", "a.tar");
	err_ctx(&e, "outer");
	tap_is_str(e.text, "outer: import a.tar: cause", "contexts are put in front, outermost first");

	char longest[2 * ERR_TEXT_SIZE];
	memset(longest, 'p', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	err_set(&e, ENOENT, "the cause");
	err_ctx(&e, "%s", longest);
	tap_ok(strlen(e.text) < ERR_TEXT_SIZE && strstr(e.text, "p: the cause"),
	       "a context that is too long is cut, not the cause");
	err_set(&e, ENOENT, "%s", longest);
	char before[ERR_TEXT_SIZE];
	memcpy(before, e.text, sizeof(before));
	err_ctx(&e, "context");
	tap_is_str(e.text, before, "a cause that fills the text is kept whole");

	err_sys(&e, EACCES, "open %s", longest);
	tap_ok(strstr(e.text, ": Permission denied") != NULL, "a path that is too long does not push out its errno");
	tap_ok(strlen(e.text) < ERR_TEXT_SIZE, "the text stays within its size");
}

static void test_hint_and_status(void)
{
	struct err e = ERR_INIT;
	err_set(&e, EPERM, "newuidmap is missing");
	tap_is_int(err_hint(&e, "apt-get install %s", "uidmap"), -EPERM, "err_hint returns the code");
	err_hint(&e, "something else");
	tap_is_str(e.hint, "apt-get install uidmap", "the first hint stays, because the innermost place knows best");
	tap_is_int(err_exit_status(&e), EXIT_RL_FAILED, "an error ends rl with 125 unless it says otherwise");
	err_status(&e, EXIT_NOT_FOUND);
	tap_is_int(err_exit_status(&e), 127, "an error can ask for an exit status");
	err_set(&e, EIO, "another");
	tap_ok(e.hint[0] == '\0' && e.exit_status == 0, "a new cause forgets the hint and status of the old one");
	err_clear(&e);
	tap_ok(e.code == 0 && e.text[0] == '\0', "a cleared error is empty");
}

static void test_null(void)
{
	tap_is_int(err_set(NULL, ENOENT, "x"), -ENOENT, "err_set works without an object");
	tap_is_int(err_sys(NULL, EPERM, "x"), -EPERM, "err_sys works without an object");
	tap_ok(err_ctx(NULL, "x") < 0 && err_hint(NULL, "x") < 0 && err_status(NULL, 1) < 0,
	       "context, hint and status without an object are still failures");
}

static int print_to_pipe(void *arg)
{
	dup2(*(int *)arg, STDERR_FILENO);
	struct err e = ERR_INIT;
	err_set(&e, ENOENT, "no image 'a\x1b[2Jb\nc'");
	err_hint(&e, "rl pull it");
	err_print(&e);
	return 0;
}

static void test_print(void)
{
	int fds[2];
	char text[1024];
	if (!tap_ok(pipe2(fds, O_CLOEXEC) == 0, "a pipe is made"))
		return;
	tap_child_status(print_to_pipe, &fds[1]);
	close(fds[1]);
	ssize_t n = read(fds[0], text, sizeof(text) - 1);
	close(fds[0]);
	text[n > 0 ? n : 0] = '\0';
	tap_is_str(text, "rl: no image 'a\\x1b[2Jb\\x0ac'\nrl: hint: rl pull it\n",
		   "an error is printed as one line and its hint as one, with control characters made visible");
}

int main(void)
{
	tap_plan_later();
	test_filling();
	test_context();
	test_hint_and_status();
	test_null();
	test_print();
	return tap_done();
}
