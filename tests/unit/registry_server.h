/*
 * registry_server.h - a scripted HTTP server on loopback for the unit tests of the registry engine.
 *
 * Model: a table of replies; the first entry whose method and target match a request and that is not used up answers it
 * (404 otherwise). One process per connection; what was asked is kept in shared memory, one line "METHOD TARGET AUTH
 * RANGE BODYLEN" per request.
 *
 *     static const struct reply script[] = {{.method = "GET", .target = "/v2/x/manifests/v1", .body = text}, {0}};
 *     struct server *s = server_start(script);
 *     ... 127.0.0.1:s->port ...
 *     server_stop(s);
 */
#ifndef TESTS_REGISTRY_SERVER_H
#define TESTS_REGISTRY_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "src/engine/registry/registry_int.h"
#include "tap.h"

struct reply {
	const char *method; /* NULL ends the table */
	const char *target; /* all of it, or its beginning when it ends in '*' */
	const char *auth;   /* only for this Authorization ("" none), NULL: any */
	int times;	    /* 0: always */
	const char *status; /* NULL: "200 OK" */
	const char *headers;
	const char *body; /* NULL: empty */
	size_t len;	  /* 0: strlen(body) */
	size_t cut;	  /* > 0: close after this many bytes of the body */
	bool ranges;	  /* answer Range requests */
	bool hangs;	  /* never answer */
};

enum { SERVER_REPLIES = 64, SERVER_LOG = 64 << 10 };

struct server {
	pid_t pid;
	unsigned port;
	atomic_int used[SERVER_REPLIES];
	atomic_int log_lock;
	char log[SERVER_LOG];
};

static inline void server_note(struct server *s, const char *line)
{
	int free_lock = 0;
	while (!atomic_compare_exchange_weak(&s->log_lock, &free_lock, 1))
		free_lock = 0;
	size_t n = strlen(s->log);
	if (n + strlen(line) + 2 < sizeof(s->log))
		memcpy(s->log + n, line, strlen(line) + 1);
	atomic_store(&s->log_lock, 0);
}

static inline char *server_header(const char *head, const char *name)
{
	const char *p = strcasestr(head, name);
	if (!p)
		return strdup("");
	p += strlen(name);
	return strndup(p, strcspn(p, "\r"));
}

static inline void server_send(int fd, const void *p, size_t n)
{
	while (n) {
		ssize_t w = send(fd, p, n, MSG_NOSIGNAL);
		if (w <= 0)
			_exit(0);
		p = (const char *)p + w;
		n -= (size_t)w;
	}
}

static inline bool server_matches(const struct reply *r, const char *method, const char *target, const char *auth)
{
	size_t n = strlen(r->target);
	bool prefix = n && r->target[n - 1] == '*';
	if (strcmp(r->method, method) != 0 || (r->auth && strcmp(r->auth, auth) != 0))
		return false;
	return prefix ? strncmp(r->target, target, n - 1) == 0 : strcmp(r->target, target) == 0;
}

static inline void server_answer(int fd, const struct reply *r, const char *method, const char *range)
{
	char head[4096];
	while (r->hangs)
		pause();
	const char *body = r->body ? r->body : "";
	size_t len = r->len ? r->len : strlen(body), first = 0;
	const char *status = r->status ? r->status : "200 OK";
	char extra[200] = "";
	if (r->ranges && sscanf(range, "bytes=%zu-", &first) == 1) {
		status = "206 Partial Content";
		snprintf(extra, sizeof(extra), "Content-Range: bytes %zu-%zu/%zu\r\n", first, len - 1, len);
	}
	int n = snprintf(head, sizeof(head), "HTTP/1.1 %s\r\n%s%sContent-Length: %zu\r\n\r\n", status, extra,
			 r->headers ? r->headers : "", len - first);
	server_send(fd, head, (size_t)n);
	if (strcmp(method, "HEAD") != 0)
		server_send(fd, body + first, r->cut ? RL_MIN(r->cut, len - first) : len - first);
	if (r->cut)
		_exit(0);
}

static inline void server_connection(struct server *s, int fd, const struct reply *script)
{
	static char buf[1 << 16];
	size_t have = 0;
	for (;;) {
		char *end;
		buf[have] = 0;
		while (!(end = memmem(buf, have, "\r\n\r\n", 4))) {
			ssize_t n = recv(fd, buf + have, sizeof(buf) - 1 - have, 0);
			if (n <= 0)
				_exit(0);
			have += (size_t)n;
			if (buf[0] == 0x16) {
				server_send(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
				_exit(0);
			}
		}
		*end = 0;
		char method[16] = "", target[2048] = "", line[4096];
		sscanf(buf, "%15s %2047s", method, target);
		char *auth = server_header(buf, "\nAuthorization: "), *range = server_header(buf, "\nRange: ");
		char *length = server_header(buf, "\nContent-Length: "), *expect = server_header(buf, "\nExpect: ");
		size_t body = strtoul(length, NULL, 10), got = have - (size_t)(end + 4 - buf);
		if (*expect)
			server_send(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25);
		size_t rest = got > body ? got - body : 0;
		memmove(buf, end + 4 + (got - rest), rest);
		while (got < body) {
			ssize_t n = recv(fd, line, RL_MIN(sizeof(line), body - got), 0);
			if (n <= 0)
				_exit(0);
			got += (size_t)n;
		}
		have = rest;
		snprintf(line, sizeof(line), "%s %s %s %s %zu\n", method, target, *auth ? auth : "-",
			 *range ? range : "-", body);
		server_note(s, line);
		static const struct reply none = {.status = "404 Not Found"};
		const struct reply *r = &none;
		for (int i = 0; script[i].method; i++) {
			if (!server_matches(&script[i], method, target, auth))
				continue;
			if (script[i].times && atomic_fetch_add(&s->used[i], 1) >= script[i].times)
				continue;
			r = &script[i];
			break;
		}
		server_answer(fd, r, method, range);
		free(auth);
		free(range);
		free(length);
		free(expect);
	}
}

static inline struct server *server_start(const struct reply *script)
{
	struct server *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s == MAP_FAILED || bind(l, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(l, 64) < 0 ||
	    getsockname(l, (struct sockaddr *)&a, &len) < 0) {
		printf("Bail out! no server\n");
		exit(1);
	}
	s->port = ntohs(a.sin_port);
	fflush(NULL);
	/* Not straight into shared memory: the child's 0 would overwrite the pid. */
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGCHLD, SIG_IGN);
		for (;;) {
			int c = accept4(l, NULL, NULL, SOCK_CLOEXEC);
			if (c >= 0 && fork() == 0) {
				prctl(PR_SET_PDEATHSIG, SIGKILL);
				server_connection(s, c, script);
				_exit(0);
			}
			close(c);
		}
	}
	close(l);
	if (pid < 0) {
		printf("Bail out! no server\n");
		exit(1);
	}
	s->pid = pid;
	return s;
}

static inline void server_stop(struct server *s)
{
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	munmap(s, sizeof(*s));
}

/* How many requests' lines begin with this. */
static inline int server_asked(const struct server *s, const char *begin)
{
	int n = 0;
	for (const char *p = s->log; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
		n += strncmp(p, begin, strlen(begin)) == 0;
	return n;
}

/* A client that knows nothing of this machine's configuration, and one repository "x" of the server. */
struct client {
	struct registry *r;
	struct registry_repo *repo;
	char domain[40];
	struct err e;
};

static inline void client_open(struct client *c, const struct server *s, const char *creds, enum registry_mode mode)
{
	char conf[] = "/tmp/rl-unit.XXXXXX";
	int fd = mkstemp(conf);
	close(fd);
	setenv("REGISTRY_AUTH_FILE", conf, 1);
	memset(c, 0, sizeof(*c));
	struct registry_opts o = {.creds = creds, .retry_delay_ms = 1, .stall_seconds = 5, .registries_conf = conf};
	snprintf(c->domain, sizeof(c->domain), "127.0.0.1:%u", s->port);
	if (registry_open(&o, &c->r, &c->e) < 0 || registry_repo_open(c->r, c->domain, "x", mode, &c->repo, &c->e) < 0)
		tap_diag("%s", c->e.text);
	unlink(conf);
}

/* What --tls-verify=false does, for a repository that is open already. */
static inline void client_insecure(struct client *c)
{
	c->r->o.tls_verify = 0;
	c->repo->order[0]->ep->insecure = true;
	c->repo->order[0]->ep->verify = false;
}

static inline void client_close(struct client *c)
{
	registry_repo_close(c->repo);
	registry_close(c->r);
}

#endif
