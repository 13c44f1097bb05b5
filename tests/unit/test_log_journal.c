/* links: engine/stdio kern model base */
#include "rl/engine/log_journal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "rl/base/mem.h"
#include "tap.h"

static int listen_at(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	tap_must(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	return fd;
}

/* The datagram as text, NULs shown as '0'. */
static void receive(int fd, struct str *out)
{
	char buf[32768];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	str_cut(out, 0);
	for (ssize_t i = 0; i < n; i++)
		str_addc(out, buf[i] ? buf[i] : '0');
}

static void test_entries(int fd, struct log_journal *j)
{
	autostr struct str got = STR_INIT;
	log_journal_add(j, LOG_STDOUT, "one\ntwo", 7);
	receive(fd, &got);
	tap_ok(strstr(got.buf, "CONTAINER_ID=0123456789ab\n") && strstr(got.buf, "CONTAINER_NAME=web\n") &&
		       strstr(got.buf, "IMAGE_NAME=busybox\n"),
	       "an entry says whose it is");
	tap_ok(strstr(got.buf, "SYSLOG_IDENTIFIER=0123456789ab\n") && strstr(got.buf, "CONTAINER_TAG=0123456789ab\n"),
	       "the tag is the short id");
	tap_ok(strstr(got.buf, "PRIORITY=6\nMESSAGE\n\0030000000one\n") != NULL,
	       "and what was said, without its newline");
	tap_ok(!strstr(got.buf, "PARTIAL"), "a whole line is not partial");
	receive(fd, &got);
	tap_ok(strstr(got.buf, "CONTAINER_PARTIAL_MESSAGE=true\nMESSAGE\n\0030000000two\n") != NULL,
	       "what does not end in a newline is");
	log_journal_add(j, LOG_STDERR, "a=b\n\n", 5);
	receive(fd, &got);
	tap_ok(strstr(got.buf, "PRIORITY=3\nMESSAGE\n\0030000000a=b\n") != NULL, "standard error is an error");
	receive(fd, &got);
	tap_ok(strstr(got.buf, "MESSAGE\n00000000\n") != NULL, "an empty line is an entry");
	log_journal_add(j, LOG_STDOUT, "\n", 0);
	receive(fd, &got);
	tap_is_int((int)got.len, 0, "nothing is none");
	autofree char *big = xmalloc(40000);
	memset(big, 'x', 40000);
	log_journal_add(j, LOG_STDOUT, big, 40000);
	receive(fd, &got);
	size_t first = got.len;
	receive(fd, &got);
	receive(fd, &got);
	tap_ok(first > 16384 && got.len > 7000 && j->lost == 0, "a long line comes in pieces");
}

int main(void)
{
	char dir[] = "/tmp/rl-journal-XXXXXX";
	tap_plan_later();
	tap_must(mkdtemp(dir));
	autofree char *path = xasprintf("%s/socket", dir);
	const struct log_journal_source source = {
		.id = "0123456789abcdef", .name = "web", .image = "busybox\nMESSAGE=forged"};
	struct log_journal j;
	struct err e = ERR_INIT;
	tap_is_int(log_journal_open(&j, path, &source, &e), -ENOENT, "without a journal it is refused");
	tap_ok(strstr(e.text, "journald") && strstr(e.hint, "json-file"), "by name, with what there is instead");
	autofd int fd = listen_at(path);
	tap_is_int(log_journal_open(&j, path, &source, &e), 0, "with one it is opened");
	test_entries(fd, &j);
	for (int i = 0; i < 2000; i++)
		log_journal_add(&j, LOG_STDOUT, "x\n", j.lost ? 0 : 2);
	tap_ok(j.lost == 1, "a journal that takes nothing loses entries and keeps nobody waiting for long");
	log_journal_close(&j);
	tap_is_int(j.fd, -1, "closed");
	unlink(path);
	rmdir(dir);
	return tap_done();
}
