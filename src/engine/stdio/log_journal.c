/* log_journal.c - see log_journal.h. */
#include "rl/engine/log_journal.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "rl/base/log.h"
#include "rl/base/mem.h"

enum { LINE_MAX = 16 * 1024, BUFFER = 1 << 20 };

static void add_field(struct str *out, const char *key, const char *value)
{
	/* A value with a newline needs the long form; none of ours may have one, and then it is cut there. */
	str_addf(out, "%s=%.*s\n", key, (int)strcspn(value, "\n"), value);
}

int log_journal_open(struct log_journal *j, const char *path, const struct log_journal_source *s, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const int size = BUFFER;
	*j = (struct log_journal)LOG_JOURNAL_NONE;
	if (strlen(path) >= sizeof(a.sun_path))
		return err_set(e, ENAMETOOLONG, "%s", path);
	memcpy(a.sun_path, path, strlen(path) + 1);
	autofd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0) {
		err_sys(e, errno, "--log-driver journald: %s", path);
		return err_hint(e, "there is no journal here; json-file and k8s-file need none");
	}
	(void)!setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)); /* what there is must do */
	autofree char *brief = xstrndup(s->id, 12);
	const char *tag = s->tag ? s->tag : brief;
	add_field(&j->fields, "CONTAINER_ID", brief);
	add_field(&j->fields, "CONTAINER_ID_FULL", s->id);
	add_field(&j->fields, "CONTAINER_NAME", s->name);
	add_field(&j->fields, "CONTAINER_TAG", tag);
	add_field(&j->fields, "IMAGE_NAME", s->image);
	add_field(&j->fields, "SYSLOG_IDENTIFIER", tag);
	j->fd = take_fd(&fd);
	return 0;
}

static bool send_once(int fd, const struct msghdr *mh)
{
	ssize_t n;
	do
		n = sendmsg(fd, mh, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n >= 0;
}

static void add_line(struct log_journal *j, enum log_stream stream, const char *p, size_t n)
{
	bool whole = n && p[n - 1] == '\n';
	char head[96];
	n -= whole;
	int len = snprintf(head, sizeof(head), "PRIORITY=%d\n%sMESSAGE\n", stream == LOG_STDERR ? 3 : 6,
			   whole ? "" : "CONTAINER_PARTIAL_MESSAGE=true\n");
	uint64_t size = htole64(n);
	/* sendmsg only reads what these point to. */
	struct iovec iov[] = {
		{j->fields.buf, j->fields.len},
		{head, (size_t)len},
		{&size, sizeof(size)},
		{NULL, n},
		{(char[]){'\n'}, 1},
	};
	autofree char *text = xmemdup(p, n);
	iov[3].iov_base = text;
	const struct msghdr mh = {.msg_iov = iov, .msg_iovlen = ARRAY_SIZE(iov)};
	if (send_once(j->fd, &mh))
		return;
	struct pollfd wait = {.fd = j->fd, .events = POLLOUT};
	if (errno == EAGAIN && poll(&wait, 1, LOG_JOURNAL_PATIENCE_MS) == 1 && send_once(j->fd, &mh))
		return;
	if (!j->lost++)
		log_debug(LOG_STDIO, "the journal does not take an entry: %s", strerrorname_np(errno));
}

void log_journal_add(struct log_journal *j, enum log_stream stream, const char *data, size_t len)
{
	while (j->fd >= 0 && len) {
		size_t n = RL_MIN(len, (size_t)LINE_MAX);
		const char *newline = memchr(data, '\n', n);
		n = newline ? (size_t)(newline - data) + 1 : n;
		add_line(j, stream, data, n);
		data += n;
		len -= n;
	}
}

void log_journal_close(struct log_journal *j)
{
	close_fd(&j->fd);
	str_free(&j->fields);
}
