/*
 * build_exec.c - the steps are done: every stage in its order, stages beside each other where they do not wait for one
 * another.
 *
 * A step that must be done gets a child process (build_run.c, build_copy.c), which has everything by being a fork of
 * this one. It reports over a socket (nothing, or its error) and by its exit status; its output comes through a pipe.
 * This process only waits in an event loop, shows what comes, and starts what can be started. Children die with it
 * (parent-death signal), and containers with their children.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "build_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"

enum { STEP_DONE = 1 };

struct build_child {
	struct build *b;
	struct build_stage *stage;
	struct proc_child proc;
	int sock, output;
	struct event_source ended, out, said;
	struct build_child *next_clearing;
	char work[32];
	char id[65];
	size_t lowers; /* how many of stage->layers it stands on */
	bool is_done;  /* its result was taken: it only clears up */
	pid_t parent;
	struct err failure;
};

static int64_t now_ns(void)
{
	return (int64_t)event_now_ns();
}

static bool is_complete(const struct build_stage *s)
{
	return s->next == s->nsteps && s->started;
}

/* Everything the step looks at is there. */
static bool is_ready(const struct build *b, const struct build_step *st)
{
	if (st->from_stage >= 0 && !is_complete(&b->stages[st->from_stage]))
		return false;
	for (size_t i = 0; i < st->nmounts; i++)
		if (st->mounts[i].stage >= 0 && !is_complete(&b->stages[st->mounts[i].stage]))
			return false;
	return true;
}

static void add_layer(struct build_stage *s, size_t layer)
{
	s->layers = xreallocarray(s->layers, s->nlayers + 1, sizeof(*s->layers));
	s->layers[s->nlayers++] = layer;
}

/* The step is done, its result is the stage's now. */
static int step_done(struct build *b, struct build_stage *s, struct err *e)
{
	struct build_step *st = &s->steps[s->next];
	st->state = BUILD_DONE;
	st->took_ns = now_ns() - st->started_ns;
	if (st->kind != BUILD_STEP_META)
		memcpy(s->key, st->key, sizeof(s->key));
	if (st->layer) {
		if (s->nlayers >= BUILD_LAYERS_MAX)
			return err_set(e, E2BIG, "more than %d layers", (int)BUILD_LAYERS_MAX);
		add_layer(s, st->layer - 1);
	}
	build_show_end(b, s, st);
	s->next++;
	return 0;
}

/* ---- children ---- */

static RL_NORETURN void child_main(struct build_child *c, int output, int sock)
{
	struct build *b = c->b;
	struct build_stage *s = c->stage;
	struct build_step *st = &s->steps[s->next];
	struct err e = ERR_INIT;
	log_set_role("step");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* It may have died before that. */
	if (getppid() != c->parent)
		_exit(EXIT_RL_FAILED);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	autofree int *lowers = xcalloc(s->nlayers + 1, sizeof(*lowers));
	for (size_t i = 0; i < s->nlayers; i++)
		lowers[i] = b->layers[s->layers[s->nlayers - 1 - i]].dirfd;
	struct build_job job = {.b = b,
				.stage = s,
				.step = st,
				.lowers = lowers,
				.nlowers = s->nlayers,
				.work = c->work,
				.id = c->id,
				.containerfd = -1,
				.sock = sock};
	int r = 0;
	autofd int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
		r = err_sys(&e, errno, "redirect");
	if (r == 0)
		r = st->kind == BUILD_STEP_RUN ? build_run_child(&job, &e) : build_copy_child(&job, &e);
	if (r < 0)
		sync_send_err(sock, &e);
	_exit(r < 0 ? EXIT_RL_FAILED : r);
}

static void child_free(struct build_child *c)
{
	event_del(&c->b->loop, &c->ended);
	event_del(&c->b->loop, &c->out);
	event_del(&c->b->loop, &c->said);
	proc_kill_wait(&c->proc);
	close_fd(&c->sock);
	close_fd(&c->output);
	if (c->stage->child == c) {
		c->stage->child = NULL;
		c->b->running--;
	}
	free(c);
}

mode_t build_root_mode(const struct build_job *j)
{
	struct stat st;
	return j->nlowers && fstat(j->lowers[0], &st) == 0 ? st.st_mode & 07777 : 0755;
}

void build_job_done(const struct build_job *j)
{
	/* If nobody hears it, the end of this process will do. */
	(void)!sync_send(j->sock, STEP_DONE, NULL, 0, NULL, 0, NULL);
}

static void drain(struct build_child *c)
{
	char buffer[16384];
	ssize_t n;
	while ((n = read(c->output, buffer, sizeof(buffer))) > 0)
		build_show_output(c->b, c->stage, buffer, (size_t)n);
}

static int step_failed(struct build *b, struct build_stage *s, int status, struct err *e)
{
	struct build_step *st = &s->steps[s->next];
	autostr struct str command = STR_INIT;
	for (size_t i = 0; i < st->args.count; i++)
		str_addf(&command, "%s%s", i ? " " : "", st->args.items[i]);
	for (size_t i = 0; i < command.len; i++)
		if (command.buf[i] == '\n')
			str_cut(&command, i);
	build_show_failed(b, s, st);
	dockerfile_at(&b->file, st->instr->line, 1, (unsigned)strcspn(st->instr->text, " "), &b->where);
	(void)!err_set(e, ECHILD, "%s:%u: the command ended with status %d: %.200s", b->file_name, st->instr->line,
		       status, command.buf);
	err_status(e, status > 255 ? EXIT_RL_FAILED : status);
	return -ECHILD;
}

static int take_result(struct build *b, struct build_stage *s, struct build_child *c, struct err *e)
{
	struct build_step *st = &s->steps[s->next];
	autofree char *diff = xasprintf("%s/diff", c->work);
	size_t at = build_new_layer(b);
	struct build_layer *l = &b->layers[at];
	snprintf(l->work, sizeof(l->work), "%s", c->work);
	l->dirfd = openat(b->work.dirfd, diff, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (l->dirfd < 0)
		return err_sys(e, errno, "open the new layer");
	build_time_text(b->has_epoch ? b->epoch : (int64_t)time(NULL), st->created);
	int r = build_pack_layer(b, at, s->layers, st->link ? 0 : s->nlayers, e);
	if (r < 0)
		return r;
	st->layer = at + 1;
	return step_done(b, s, e);
}

static int advance_all(struct build *b, struct err *e);

/* The step's result is there; the child removes its container meanwhile. */
static int on_done(struct build_child *c, struct err *e)
{
	struct build *b = c->b;
	struct build_stage *s = c->stage;
	drain(c);
	event_del(&b->loop, &c->out);
	int r = take_result(b, s, c, e);
	c->is_done = true;
	s->child = NULL;
	b->running--;
	c->next_clearing = b->clearing;
	b->clearing = c;
	return r < 0 ? r : advance_all(b, e);
}

static int on_said(void *arg, uint32_t events, struct err *e)
{
	struct build_child *c = arg;
	(void)events;
	autofree struct sync_msg *m = xmalloc(sizeof(*m));
	int r = sync_next(c->sock, "the step", m, &c->failure);
	/* Its end, and with it what became of it, comes through the pidfd. */
	event_del(&c->b->loop, &c->said);
	if (r <= 0)
		return 0;
	sync_close_fds(m);
	return m->step == STEP_DONE ? on_done(c, e) : 0;
}

/* It had done its work and has cleared up now. */
static void forget_clearing(struct build_child *c)
{
	struct build_child **p = &c->b->clearing;
	struct err why = ERR_INIT;
	while (*p && *p != c)
		p = &(*p)->next_clearing;
	if (*p)
		*p = c->next_clearing;
	if (proc_wait_ok(&c->proc, "clearing up after a step", &why) < 0)
		log_debug(LOG_BUILD, "%s", why.text);
	child_free(c);
}

static int on_ended(void *arg, uint32_t events, struct err *e)
{
	struct build_child *c = arg;
	struct build *b = c->b;
	struct build_stage *s = c->stage;
	/* Before the pidfd is closed: later children have copies of it, and epoll would go on reporting it. */
	event_del(&b->loop, &c->ended);
	if (!c->is_done && c->said.fd >= 0) {
		int heard = on_said(c, events, e);
		if (heard < 0)
			return heard;
	}
	if (c->is_done) {
		forget_clearing(c);
		return 0;
	}
	drain(c);
	struct err said = ERR_INIT;
	int status = proc_wait(&c->proc, "the step", &said);
	if (c->failure.code)
		said = c->failure;
	if (status < 0 || c->failure.code) {
		const struct build_step *st = &s->steps[s->next];
		if (e)
			*e = said;
		build_show_failed(b, s, st);
		(void)!build_at(b, st->instr, 0, 1, (unsigned)strcspn(st->instr->text, " "), e);
		child_free(c);
		return -said.code;
	}
	if (!status)
		status = EXIT_RL_FAILED; /* it said nothing of a result */
	int r = step_failed(b, s, status, e);
	snprintf(b->failed_id, sizeof(b->failed_id), "%s", c->id);
	child_free(c);
	return r;
}

static int on_output(void *arg, uint32_t events, struct err *e)
{
	struct build_child *c = arg;
	char buffer[16384];
	(void)events;
	ssize_t n = read(c->output, buffer, sizeof(buffer));
	if (n > 0)
		build_show_output(c->b, c->stage, buffer, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		event_del(&c->b->loop, &c->out);
	(void)e;
	return 0;
}

static int start_child(struct build *b, struct build_stage *s, struct err *e)
{
	struct build_step *st = &s->steps[s->next];
	struct build_child *c = xcalloc(1, sizeof(*c));
	int pair[2];
	int pipes[2];
	*c = (struct build_child){.b = b,
				  .parent = getpid(),
				  .stage = s,
				  .proc = PROC_CHILD_NONE,
				  .sock = -1,
				  .output = -1,
				  .ended = EVENT_SOURCE_INIT,
				  .out = EVENT_SOURCE_INIT,
				  .said = EVENT_SOURCE_INIT};
	snprintf(c->work, sizeof(c->work), "step-%u", b->counter++);
	io_random_hex(32, c->id);
	s->child = c;
	b->running++;
	st->state = BUILD_RUNNING;
	st->started_ns = now_ns();
	str_cut(&s->tail, 0);
	build_show_start(b, s, st);
	int r = sync_pair(pair, e);
	if (r >= 0 && pipe2(pipes, O_CLOEXEC) < 0)
		r = err_sys(e, errno, "pipe");
	if (r < 0)
		return r;
	c->sock = pair[0];
	c->output = pipes[0];
	fflush(NULL);
	c->proc.pid = fork();
	if (c->proc.pid == 0)
		child_main(c, pipes[1], pair[1]);
	int errnum = errno;
	close(pair[1]);
	close(pipes[1]);
	if (c->proc.pid < 0)
		return err_sys(e, errnum, "fork");
	c->proc.pidfd = proc_pidfd_open(c->proc.pid, e);
	r = c->proc.pidfd < 0 ? c->proc.pidfd : io_set_nonblock(c->output, true, e);
	if (r >= 0)
		r = event_add(&b->loop, &c->ended, c->proc.pidfd, EPOLLIN, on_ended, c, e);
	if (r >= 0)
		r = event_add(&b->loop, &c->said, c->sock, EPOLLIN, on_said, c, e);
	return r < 0 ? r : event_add(&b->loop, &c->out, c->output, EPOLLIN, on_output, c, e);
}

/* ---- stages ---- */

static void begin(struct build *b, struct build_stage *s)
{
	const struct build_stage *p = s->base_stage >= 0 ? &b->stages[s->base_stage] : NULL;
	const size_t *layers = p ? p->layers : s->base_layers;
	size_t n = p ? p->nlayers : s->nbase;
	for (size_t i = 0; i < n; i++)
		add_layer(s, layers[i]);
	if (p)
		memcpy(s->key, p->key, sizeof(s->key));
	s->started = true;
}

int build_prepare_sources(struct build *b, struct build_step *st, struct err *e)
{
	int r = 0;
	for (size_t i = 0; i < st->nsources && r >= 0 && st->is_add && !st->no_unpack; i++)
		if (st->sources[i].kind == BUILD_FROM_CONTEXT ||
		    (st->force_unpack && st->sources[i].kind == BUILD_FROM_URL))
			r = build_unpack_source(b, st, &st->sources[i], e);
	return r < 0 ? build_at(b, st->instr, 0, 1, 3, e) : 0;
}

/* Go on with a stage as far as that is possible without waiting. */
static int advance(struct build *b, struct build_stage *s, struct err *e)
{
	int r = 0;
	if (!s->needed || s->child)
		return 0;
	if (!s->started) {
		if (s->base_stage >= 0 && !is_complete(&b->stages[s->base_stage]))
			return 0;
		begin(b, s);
	}
	while (r >= 0 && s->next < s->nsteps) {
		struct build_step *st = &s->steps[s->next];
		if (st->kind == BUILD_STEP_META) {
			st->started_ns = now_ns();
			build_show_start(b, s, st);
			r = step_done(b, s, e);
			continue;
		}
		if (!is_ready(b, st))
			return 0;
		if (!*st->key) {
			st->started_ns = now_ns();
			r = build_key(b, s, st, e);
			if (r >= 0)
				r = build_cache_find(b, st, e);
		}
		if (r < 0)
			return *b->where.excerpt ? r : build_at(b, st->instr, 0, 1, 4, e);
		if (st->cached) {
			build_show_start(b, s, st);
			r = step_done(b, s, e);
			continue;
		}
		if (b->running >= b->jobs)
			return 0;
		r = build_prepare_sources(b, st, e);
		return r < 0 ? r : start_child(b, s, e);
	}
	return r;
}

/* Again as long as something moved: the end of one stage lets others go on. */
static int advance_all(struct build *b, struct err *e)
{
	bool moved = true;
	while (moved) {
		moved = false;
		for (size_t k = 0; k < b->nstages; k++) {
			struct build_stage *s = &b->stages[k];
			size_t before = s->next + s->started + (s->child != NULL);
			int r = advance(b, s, e);
			if (r < 0)
				return r;
			moved = moved || before != s->next + s->started + (s->child != NULL);
		}
	}
	if (!b->running)
		event_quit(&b->loop, 0);
	return 0;
}

static int on_signal(void *arg, const struct signalfd_siginfo *info, struct err *e)
{
	(void)arg;
	(void)!err_set(e, EINTR, "interrupted");
	err_status(e, EXIT_SIGNAL_BASE + (int)info->ssi_signo);
	return -EINTR;
}

static void stop_all(struct build *b)
{
	for (struct build_child *c = b->clearing, *next; c; c = next) {
		next = c->next_clearing;
		forget_clearing(c);
	}
	for (size_t k = 0; k < b->nstages; k++)
		if (b->stages[k].child)
			child_free(b->stages[k].child);
}

int build_exec(struct build *b, struct err *e)
{
	sigset_t set;
	sigemptyset(&set);
	const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&set, signals[i]);
	int r = event_signals(&b->loop, &set, on_signal, b, e);
	if (r >= 0)
		r = advance_all(b, e);
	if (r >= 0 && b->running)
		r = event_run(&b->loop, e);
	stop_all(b);
	return r < 0 ? r : 0;
}
