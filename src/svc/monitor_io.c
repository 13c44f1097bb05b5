/*
 * monitor_io.c - the monitor's data paths: container to log and clients, clients to container.
 *
 * Back-pressure: what is read from the container is written to the log at once; while a client has not taken what is
 * queued for it, nothing more is read, so the container waits in write(2), as it would with a slow terminal. Input is
 * taken from clients only while the container takes it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "monitor_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/engine/stdio.h"
#include "rl/kern/pty.h"

enum { READ_SIZE = 64 * 1024, INPUT_MAX = 64 * 1024, PIPE_WANTED = 256 * 1024 };
enum { JOURNAL_COPY_SIZE = 20 << 20, JOURNAL_COPY_FILES = 5 };

static int on_client(void *arg, uint32_t events, struct err *e);

/* ---- clients ---- */

static void client_drop(struct monitor_client *cl)
{
	struct monitor *m = cl->m;
	bool owner = cl->flags & ATTACH_OWNER;
	event_del(&m->loop, &cl->src);
	close_fd(&cl->fd);
	while (cl->head) {
		struct attach_queued *q = cl->head;
		cl->head = q->next;
		free(q);
	}
	cl->tail = &cl->head;
	cl->flags = 0;
	monitor_notify_resume(m);
	if (owner && !m->ended) {
		/* rl was killed: nothing of a container in the foreground survives it. */
		m->stopping = true;
		monitor_deliver(m, SIGKILL);
	}
}

int monitor_client_add(struct monitor *m, int fd, unsigned flags, bool greeted, struct err *e)
{
	for (size_t i = 0; i < MONITOR_CLIENTS_MAX; i++) {
		struct monitor_client *cl = &m->clients[i];
		if (cl->fd >= 0)
			continue;
		*cl = (struct monitor_client){
			.m = m, .fd = fd, .flags = flags, .greeted = greeted, .src = EVENT_SOURCE_INIT};
		cl->tail = &cl->head;
		int r = event_add(&m->loop, &cl->src, fd, EPOLLIN, on_client, cl, e);
		if (r < 0)
			cl->fd = -1;
		return r;
	}
	return err_set(e, EMFILE, "too many are attached already");
}

bool monitor_clients_idle(const struct monitor *m)
{
	for (size_t i = 0; i < MONITOR_CLIENTS_MAX; i++)
		if (m->clients[i].fd >= 0 && m->clients[i].head)
			return false;
	return true;
}

static void watch_output(struct monitor *m, bool on)
{
	for (int i = 0; i < 2; i++) {
		if (m->out_src[i].fd < 0)
			continue;
		bool pty_input = i == 0 && m->in == m->out[0] && m->input.len;
		(void)!event_mod(&m->loop, &m->out_src[i],
				 (on ? (uint32_t)EPOLLIN : 0u) | (pty_input ? (uint32_t)EPOLLOUT : 0u), NULL);
	}
	m->paused_output = !on;
}

static int flush_client(struct monitor_client *cl)
{
	while (cl->head) {
		struct attach_queued *q = cl->head;
		ssize_t n = send(cl->fd, q->data, q->len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == ENOBUFS ? 0 : -errno;
		cl->head = q->next;
		if (!cl->head)
			cl->tail = &cl->head;
		free(q);
	}
	return 0;
}

static bool takes_input(const struct monitor *m)
{
	return m->input.len < INPUT_MAX;
}

static void watch_client(struct monitor_client *cl)
{
	uint32_t events = (takes_input(cl->m) ? (uint32_t)EPOLLIN : 0u) | (cl->head ? (uint32_t)EPOLLOUT : 0u);
	(void)!event_mod(&cl->m->loop, &cl->src, events, NULL);
}

void monitor_send(struct monitor *m, unsigned to_flags, char type, const void *data, size_t len)
{
	for (size_t i = 0; i < MONITOR_CLIENTS_MAX; i++) {
		struct monitor_client *cl = &m->clients[i];
		if (cl->fd < 0 || !(cl->flags & to_flags))
			continue;
		struct attach_queued *q = xmalloc(sizeof(*q) + 1 + len);
		q->next = NULL;
		q->len = 1 + len;
		q->data[0] = type;
		if (len)
			memcpy(q->data + 1, data, len);
		*cl->tail = q;
		cl->tail = &q->next;
		if (flush_client(cl) < 0)
			client_drop(cl);
		else
			watch_client(cl);
	}
	if (!m->paused_output && !monitor_clients_idle(m))
		watch_output(m, false);
}

/* ---- input ---- */

static int on_input_ready(void *arg, uint32_t events, struct err *e);

static void close_input(struct monitor *m)
{
	event_del(&m->loop, &m->in_src);
	if (m->in >= 0 && m->in != m->out[0])
		close(m->in);
	m->in = -1;
	str_cut(&m->input, 0);
}

static void watch_input(struct monitor *m)
{
	if (m->in >= 0 && m->in == m->out[0])
		watch_output(m, !m->paused_output);
	else if (m->in >= 0)
		(void)!event_mod(&m->loop, &m->in_src, m->input.len ? (uint32_t)EPOLLOUT : 0u, NULL);
	for (size_t i = 0; i < MONITOR_CLIENTS_MAX; i++)
		if (m->clients[i].fd >= 0)
			watch_client(&m->clients[i]);
}

static void flush_input(struct monitor *m)
{
	while (m->in >= 0 && m->input.len) {
		ssize_t n = write(m->in, m->input.buf, m->input.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EIO))
			break;
		if (n < 0) {
			close_input(m);
			break;
		}
		memmove(m->input.buf, m->input.buf + n, m->input.len - (size_t)n);
		str_cut(&m->input, m->input.len - (size_t)n);
	}
	if (m->input_ended && !m->input.len && m->in >= 0 && m->in != m->out[0])
		close_input(m);
	watch_input(m);
}

static int on_input_ready(void *arg, uint32_t events, struct err *e)
{
	struct monitor *m = arg;
	(void)e;
	if (events & (EPOLLERR | EPOLLHUP))
		close_input(m); /* the container closed its standard input */
	else
		flush_input(m);
	return 0;
}

static void take_input(struct monitor *m, const char *data, size_t len)
{
	if (m->in < 0)
		return;
	if (m->in == m->out[0]) {
		int sig = tty_typed_signal(m->in, data, len, m->c->run.pid);
		if (sig)
			monitor_deliver(m, sig);
	}
	str_add(&m->input, data, len);
	flush_input(m);
}

static void end_input(struct monitor *m)
{
	if (m->in < 0)
		return;
	if (m->in == m->out[0]) {
		/* The end of a piped input is ^D for whoever reads lines from the terminal. */
		str_addc(&m->input, 4);
	} else {
		m->input_ended = true;
	}
	flush_input(m);
}

static void handle(struct monitor_client *cl, const char *msg, size_t len)
{
	struct monitor *m = cl->m;
	const char *data = msg + 1;
	len--;
	unsigned short size[2];
	int sig;
	switch (msg[0]) {
	case ATTACH_HELLO:
		if (cl->greeted || len != 1)
			break;
		cl->greeted = true;
		cl->flags = (unsigned char)*data &
			    (ATTACH_WANTS_OUTPUT | ATTACH_GIVES_INPUT | ATTACH_INPUT_ONCE | ATTACH_WAITS);
		break;
	case ATTACH_INPUT:
		if (cl->flags & ATTACH_GIVES_INPUT)
			take_input(m, data, len);
		break;
	case ATTACH_EOF:
		if (cl->flags & ATTACH_INPUT_ONCE)
			end_input(m);
		break;
	case ATTACH_RESIZE:
		if (len == sizeof(size) && m->out[0] >= 0 && m->in == m->out[0]) {
			memcpy(size, data, sizeof(size));
			(void)!pty_set_size(m->in, size[0], size[1], NULL);
		}
		break;
	case ATTACH_SIGNAL:
		if (len == sizeof(sig)) {
			memcpy(&sig, data, sizeof(sig));
			if (sig > 0 && sig < 65)
				monitor_deliver(m, sig);
		}
		break;
	case ATTACH_HEALTH:
		cl->flags |= ATTACH_WANTS_HEALTH;
		monitor_health_now(m);
		break;
	case ATTACH_DETACH:
		cl->flags &= ~(unsigned)ATTACH_OWNER;
		break;
	default:
		log_debug(LOG_STDIO, "a client sent type %d", msg[0]);
	}
}

static int on_client(void *arg, uint32_t events, struct err *e)
{
	struct monitor_client *cl = arg;
	struct monitor *m = cl->m;
	char msg[1 + ATTACH_DATA_MAX];
	(void)e;
	if ((events & EPOLLOUT) && flush_client(cl) < 0)
		client_drop(cl);
	if (cl->fd >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
		ssize_t n = recv(cl->fd, msg, sizeof(msg), MSG_DONTWAIT);
		if (n > 0)
			handle(cl, msg, (size_t)n);
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			client_drop(cl);
	}
	if (cl->fd >= 0)
		watch_client(cl);
	if (m->paused_output && monitor_clients_idle(m))
		watch_output(m, true);
	monitor_maybe_quit(m);
	return 0;
}

static int on_connect(void *arg, uint32_t events, struct err *e)
{
	struct monitor *m = arg;
	(void)events;
	(void)e;
	struct err why = ERR_INIT;
	autofd int fd = accept4(m->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return 0;
	if (monitor_client_add(m, fd, 0, false, &why) < 0)
		log_debug(LOG_STDIO, "%s", why.text);
	else
		(void)!take_fd(&fd);
	return 0;
}

/* ---- output ---- */

/* Read once. 1 more may come, 0 nothing now, -1 the end. */
static int read_output(struct monitor *m, int index)
{
	char buf[READ_SIZE];
	ssize_t n = read(m->out[index], buf, sizeof(buf));
	if (n < 0 && errno == EINTR)
		return 1;
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0)
		return -1; /* EIO: every slave of the terminal is closed */
	log_writer_add(&m->log, index ? LOG_STDERR : LOG_STDOUT, buf, (size_t)n);
	log_journal_add(&m->journal, index ? LOG_STDERR : LOG_STDOUT, buf, (size_t)n);
	for (ssize_t i = 0; i < n; i += ATTACH_DATA_MAX)
		monitor_send(m, ATTACH_WANTS_OUTPUT, index ? ATTACH_ERR : ATTACH_OUT, buf + i,
			     (size_t)RL_MIN(n - i, (ssize_t)ATTACH_DATA_MAX));
	return 1;
}

static int on_output(struct monitor *m, int index, uint32_t events)
{
	if (events & EPOLLOUT)
		flush_input(m);
	/* A hang-up is reported also while we do not want input: it must not keep us busy. */
	if (m->paused_output && !(events & EPOLLIN)) {
		if (events & (EPOLLHUP | EPOLLERR))
			event_del(&m->loop, &m->out_src[index]);
		return 0;
	}
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && read_output(m, index) < 0)
		event_del(&m->loop, &m->out_src[index]);
	return 0;
}

static int on_stdout(void *arg, uint32_t events, struct err *e)
{
	(void)e;
	return on_output(arg, 0, events);
}

static int on_stderr(void *arg, uint32_t events, struct err *e)
{
	(void)e;
	return on_output(arg, 1, events);
}

void monitor_stdio_drain(struct monitor *m)
{
	/* Every process of the container is dead: this ends. Output of a detached exec that holds the pipe is none of ours,
	 * so what is there now is all that is taken. */
	for (int i = 0; i < 2; i++)
		for (size_t rounds = 0; m->out[i] >= 0 && rounds < 4096 && read_output(m, i) > 0; rounds++)
			;
	close_input(m);
	for (int i = 0; i < 2; i++) {
		event_del(&m->loop, &m->out_src[i]);
		close_fd(&m->out[i]);
	}
	m->paused_output = false;
	m->input_ended = false;
}

/* ---- making them ---- */

static int make_pipe(int *ret_ours, int *ret_theirs, bool to_container, struct err *e)
{
	int p[2];
	if (pipe2(p, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	*ret_ours = p[to_container ? 1 : 0];
	*ret_theirs = p[to_container ? 0 : 1];
	/* Fewer wake-ups; a user's pages for pipes may be used up, then it stays small. */
	if (!to_container)
		fcntl(p[1], F_SETPIPE_SZ, PIPE_WANTED);
	/* Whoever the payload becomes may reopen /dev/stdout by name; only the container can see that name. */
	if (fchmod(*ret_theirs, 0666) < 0)
		log_debug(LOG_STDIO, "mode of the pipe: %s", strerrorname_np(errno));
	return io_set_nonblock(*ret_ours, true, e);
}

int monitor_stdio_make(struct monitor *m, struct err *e)
{
	const struct run_opts *o = m->c->o;
	int r = 0;
	if (o->log_driver == LOG_DRIVER_PASSTHROUGH && !o->tty && m->is_new)
		return 0;
	m->payload_fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (m->payload_fds[0] < 0)
		return err_sys(e, errno, "open /dev/null");
	if (o->tty) {
		m->payload_fds[1] = fcntl(m->payload_fds[0], F_DUPFD_CLOEXEC, 3);
		return m->payload_fds[1] < 0 ? err_sys(e, errno, "dup") : 0;
	}
	if (o->interactive) {
		close_fd(&m->payload_fds[0]);
		r = make_pipe(&m->in, &m->payload_fds[0], true, e);
	}
	if (r == 0)
		r = make_pipe(&m->out[0], &m->payload_fds[1], false, e);
	if (r == 0)
		r = make_pipe(&m->out[1], &m->payload_fds[2], false, e);
	for (int i = 0; i < 3 && r == 0; i++)
		if (dup2(m->payload_fds[i], i) < 0)
			r = err_sys(e, errno, "dup");
	return r;
}

void monitor_stdio_drop(struct monitor *m)
{
	autofd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < 3; i++) {
		close_fd(&m->payload_fds[i]);
		int from = i == 2 && m->saved_stderr >= 0 ? m->saved_stderr : null;
		if (from < 0 || dup2(from, i) < 0)
			close(i);
	}
}

int monitor_stdio_watch(struct monitor *m, struct err *e)
{
	int r = 0;
	if (m->c->run.pty >= 0) {
		m->out[0] = m->c->run.pty;
		m->in = m->out[0];
		m->c->run.pty = -1;
		r = io_set_nonblock(m->in, true, e);
	} else if (m->in >= 0) {
		r = event_add(&m->loop, &m->in_src, m->in, 0, on_input_ready, m, e);
	}
	if (r == 0 && m->out[0] >= 0)
		r = event_add(&m->loop, &m->out_src[0], m->out[0], EPOLLIN, on_stdout, m, e);
	if (r == 0 && m->out[1] >= 0)
		r = event_add(&m->loop, &m->out_src[1], m->out[1], EPOLLIN, on_stderr, m, e);
	return r;
}

static int open_socket(struct monitor *m, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	/* By descriptor: the directory's own path may be longer than a socket's name can be. */
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/attach", m->c->dirfd);
	unlinkat(m->c->dirfd, "attach", 0);
	autofd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, errno, "socket");
	mode_t old = umask(0177);
	int r = bind(fd, (const struct sockaddr *)&a, sizeof(a));
	int errnum = errno;
	umask(old);
	if (r < 0 || listen(fd, 16) < 0)
		return err_sys(e, r < 0 ? errnum : errno, "attach socket");
	r = event_add(&m->loop, &m->listen_src, fd, EPOLLIN, on_connect, m, e);
	if (r == 0)
		m->listen_fd = take_fd(&fd);
	return r;
}

/* The journal is for others to read; what `rl logs` shows is kept beside it, within docker's bounds for that. */
static int open_journal(struct monitor *m, struct err *e)
{
	const struct run_opts *o = m->c->o;
	const struct record_config *rc = &m->c->rec.config;
	struct log_journal_source source = {.id = rc->id, .name = rc->name, .image = o->image ? o->image : ""};
	for (size_t i = 0; i < o->log_opts.count; i++) {
		const char *tag = str_after(o->log_opts.items[i], "tag=");
		source.tag = tag ? tag : source.tag;
	}
	return log_journal_open(&m->journal, LOG_JOURNAL_SOCKET, &source, e);
}

int monitor_io_open(struct monitor *m, struct err *e)
{
	const struct run_opts *o = m->c->o;
	bool journal = o->log_driver == LOG_DRIVER_JOURNALD;
	uint64_t size = journal && !o->log_max_size ? JOURNAL_COPY_SIZE : o->log_max_size;
	unsigned files = journal && !o->log_max_size ? JOURNAL_COPY_FILES : o->log_max_file;
	struct log_place place;
	int r = journal ? open_journal(m, e) : 0;
	if (r == 0)
		r = container_log_place(o, m->c->dirfd, &m->log_dir, &place, e);
	if (r == 0)
		r = log_writer_open(&m->log, &place, o->log_driver, size, files, e);
	return r < 0 ? r : open_socket(m, e);
}
