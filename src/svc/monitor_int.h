/*
 * monitor_int.h - the process that owns a detached container, its state, and what it says to attached clients.
 *
 * Attach connections are SOCK_SEQPACKET; one message is one type byte and its data. The first client is the rl that
 * started the container: its connection exists before the fork, so no output is lost. Others connect to `attach` in
 * the container's directory (0600 in a 0700 directory) and say ATTACH_HELLO first.
 *
 * type            sender   data
 * ATTACH_HELLO    client   one byte of enum attach_flags
 * ATTACH_INPUT    client   bytes for the container's standard input
 * ATTACH_EOF      client   its standard input has ended
 * ATTACH_RESIZE   client   rows, columns: two unsigned short
 * ATTACH_SIGNAL   client   int: signal to deliver, with the default action carried out
 * ATTACH_DETACH   client   it goes away on purpose
 * ATTACH_STARTED  monitor  the payload was executed; int: PID 1
 * ATTACH_FAILED   monitor  it was not; struct err. The monitor exits
 * ATTACH_HEALTH   client   run the health check now; one that runs counts
 *                 monitor  how it ended: int (0 healthy), and what it said
 * ATTACH_OUT/ERR  monitor  output
 * ATTACH_EXIT     monitor  int: exit status; nothing follows
 */
#ifndef RL_SVC_MONITOR_INT_H
#define RL_SVC_MONITOR_INT_H

#include "container_int.h"
#include "rl/base/event.h"
#include "rl/engine/log_file.h"
#include "rl/engine/log_journal.h"

enum attach_type {
	ATTACH_HELLO = 'H',
	ATTACH_INPUT = 'I',
	ATTACH_EOF = 'E',
	ATTACH_RESIZE = 'W',
	ATTACH_SIGNAL = 'S',
	ATTACH_DETACH = 'D',
	ATTACH_HEALTH = 'K',
	ATTACH_STARTED = 'P',
	ATTACH_FAILED = 'F',
	ATTACH_OUT = 'O',
	ATTACH_ERR = 'R',
	ATTACH_EXIT = 'X',
	ATTACH_NOTIFY = 'N', /* for systemd, which listens to the one that is attached since the start */
};

enum attach_flags {
	ATTACH_WANTS_OUTPUT = 1 << 0,
	ATTACH_GIVES_INPUT = 1 << 1,
	ATTACH_INPUT_ONCE = 1 << 2,   /* the end of its input is the end of the container's */
	ATTACH_OWNER = 1 << 3,	      /* if it vanishes without detaching, the container is killed (decision 20) */
	ATTACH_STARTER = 1 << 4,      /* waits for STARTED or FAILED */
	ATTACH_WAITS = 1 << 5,	      /* wants only to know the end */
	ATTACH_WANTS_HEALTH = 1 << 6, /* waits for a health check */
};

enum { ATTACH_DATA_MAX = 16 * 1024, MONITOR_CLIENTS_MAX = 32 };

struct attach_queued {
	struct attach_queued *next;
	size_t len;
	char data[]; /* type byte and data */
};

struct monitor;

struct monitor_client {
	struct monitor *m;
	int fd; /* -1: free */
	unsigned flags;
	bool greeted;
	struct event_source src;
	struct attach_queued *head, **tail;
};

struct monitor {
	struct container *c;
	struct event_loop loop;
	struct log_writer log;
	int log_dir;		    /* of a log that is not in the container's directory, or -1 */
	struct log_journal journal; /* --log-driver journald */
	bool is_new;		    /* made by this very command: removed again if it cannot be started */
	bool reported;		    /* STARTED or FAILED was sent */
	bool ended;		    /* the last run is over; only clients have to be served */
	int exit_status;
	int killed_by;
	bool timed_out;
	bool stopping; /* a signal told the monitor to end it */

	int saved_stderr;   /* the starter's, until the start is reported */
	int payload_fds[3]; /* what the payload gets as 0 to 2; -1 once it has them */
	int out[2];	    /* reading ends of stdout and stderr, or {pty master, -1} */
	int in;		    /* writing end of stdin, or the pty master, or -1 */
	struct event_source out_src[2];
	struct event_source in_src;
	struct str input; /* taken from clients, not yet by the container */
	bool input_ended;
	bool paused_output; /* a client is behind */

	int listen_fd;
	struct event_source listen_src;
	struct monitor_client clients[MONITOR_CLIENTS_MAX];

	int notify_fd; /* where the payload says that it is ready, or -1 */
	struct event_source notify_src;
	unsigned notify_count;
	struct str notify_kept; /* for systemd, until it knows us */
	struct event_source pid_src;
	struct event_source net_src;
	struct event_source limits_src;
	struct event_timer restart_timer, limit_timer, stop_timer, linger_timer, health_timer, health_limit;
	uint64_t started_ns; /* CLOCK_MONOTONIC */
	uint64_t backoff_ns;

	bool in_startup; /* the check that comes first has not succeeded yet */
	unsigned startup_passed, startup_failed;
	struct runtime_container check; /* a running health check */
	int check_out;
	struct event_source check_src, check_out_src, check_sync_src;
	struct str check_text;
	int64_t check_started;
	bool check_timed_out;
};

/* monitor_io.c: the container's stdio, the log and the clients. */
int monitor_io_open(struct monitor *m, struct err *e) RL_CHECK;	    /* log and attach socket, once */
int monitor_stdio_make(struct monitor *m, struct err *e) RL_CHECK;  /* before each start: descriptors 0 to 2 */
void monitor_stdio_drop(struct monitor *m);			    /* our 0 to 2 are ours again */
int monitor_stdio_watch(struct monitor *m, struct err *e) RL_CHECK; /* after the start */
void monitor_stdio_drain(struct monitor *m);			    /* after the end: the rest to log and clients */
int monitor_client_add(struct monitor *m, int fd, unsigned flags, bool greeted, struct err *e) RL_CHECK;
void monitor_send(struct monitor *m, unsigned to_flags, char type, const void *data, size_t len);
bool monitor_clients_idle(const struct monitor *m);
/* The queue of a client was emptied, or the client is gone. Calls monitor_maybe_quit. */
void monitor_maybe_quit(struct monitor *m);
void monitor_deliver(struct monitor *m, int sig);
/* monitor.c: the stop signal, and SIGKILL after the stop timeout. */
void monitor_end_run(struct monitor *m);

/* monitor_notify.c: --sdnotify. open: once. ready: the container has become healthy. */
int monitor_notify_open(struct monitor *m, struct err *e) RL_CHECK;
void monitor_notify_ready(struct monitor *m);
/* A client is gone. */
void monitor_notify_resume(struct monitor *m);

/* monitor_health.c */
void monitor_health_start(struct monitor *m);
void monitor_health_stop(struct monitor *m);
/* Somebody asks for a check: its clients with ATTACH_WANTS_HEALTH get the result. */
void monitor_health_now(struct monitor *m);

/* monitor.c: never returns. `conn` is the starter's end. */
RL_NORETURN void monitor_main(struct container *c, int conn, unsigned conn_flags, bool is_new);
void monitor_write_state(struct monitor *m);

/* container_attach.c: serve one connection until the container ends (its status), the person detaches (0,
 * *ret_detached), or the connection breaks. */
struct attach_opts {
	bool input, output, sig_proxy, tty;
	unsigned hidden;	 /* 1 << 1, 1 << 2: output that is not shown */
	const char *detach_keys; /* NULL: the default */
};
int container_attach_serve(int conn, const struct attach_opts *o, bool *ret_detached, struct err *e) RL_CHECK;
/* Wait for STARTED. */
int container_attach_started(int conn, pid_t *ret_pid, struct err *e) RL_CHECK;
/* A connection to the monitor's socket, greeted with `flags`. */
int container_attach_connect(const struct container_rec *rec, unsigned flags, struct err *e) RL_CHECK;

/* One message, type byte first: 1 with its length, 0 at the end of the connection. */
int container_attach_receive(int conn, char *msg, size_t size, size_t *ret_len, struct err *e) RL_CHECK;
int container_attach_send(int conn, char type, const void *data, size_t len, struct err *e) RL_CHECK;

/* The file `want` in the container's directory: what the monitor shall do when PID 1 has ended. */
enum container_want { WANT_POLICY, WANT_STOP, WANT_RESTART };
enum container_want container_want_get(int dirfd);
int container_want_set(int dirfd, enum container_want w, struct err *e) RL_CHECK;

#endif
