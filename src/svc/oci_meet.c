/*
 * oci_meet.c - see oci_meet.h.
 */
#include "oci_meet.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/base/sync.h"

static bool has_hooks(const struct oci_config *c, enum oci_hook_kind kind)
{
	return c->hooks[kind].count > 0;
}

/* Hooks are told the pid, which only the other side knows. */
static int learn_pid(struct oci_meeting *m, uint32_t step, struct err *e)
{
	autofree struct sync_msg *msg = xmalloc(sizeof(*msg));
	int r = sync_send(m->sock, step, NULL, 0, NULL, 0, e);
	if (r == 0)
		r = sync_expect(m->sock, "rl-oci", MEET_GO, msg, e);
	if (r < 0)
		return r;
	memcpy(&m->pid, msg->data, RL_MIN((size_t)msg->len, sizeof(m->pid)));
	return 0;
}

bool oci_meeting_happens(const struct oci_meeting *m)
{
	const struct oci_config *c = m->config;
	return m->listenfd >= 0 || m->notifyfd >= 0 || has_hooks(c, OCI_HOOK_PRESTART) ||
	       has_hooks(c, OCI_HOOK_CREATE_RUNTIME) || has_hooks(c, OCI_HOOK_CREATE_CONTAINER) ||
	       has_hooks(c, OCI_HOOK_START_CONTAINER);
}

static int run_hooks(const struct oci_meeting *m, enum oci_hook_kind kind, enum oci_status status, struct err *e)
{
	struct oci_record rec = *m->rec;
	rec.pid = m->pid;
	return oci_hooks_run(m->config, kind, &rec, status, e);
}

static int before_pivot(struct oci_meeting *m, struct err *e)
{
	const struct oci_config *c = m->config;
	close_fd(&m->other_end);
	close_fd(&m->lockfd);
	if (!has_hooks(c, OCI_HOOK_PRESTART) && !has_hooks(c, OCI_HOOK_CREATE_RUNTIME) &&
	    !has_hooks(c, OCI_HOOK_CREATE_CONTAINER))
		return 0;
	int r = learn_pid(m, MEET_PIVOT, e);
	return r < 0 ? r : run_hooks(m, OCI_HOOK_CREATE_CONTAINER, OCI_CREATING, e);
}

/* ---- the command ---- */

static int check_file(const char *path)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return st.st_mode & 0111 ? 0 : -EACCES;
}

static int command_failed(const char *name, int errnum, struct err *e)
{
	(void)!err_sys(e, errnum, "exec: \"%s\"", name);
	return err_status(e, errnum == ENOENT || errnum == ENOTDIR ? EXIT_NOT_FOUND : EXIT_CANNOT_INVOKE);
}

/* Create fails, not start, when there is no such command; the texts are those engines look for. */
static int find_command(const struct rtspec *s, struct err *e)
{
	const char *name = s->args.items[0];
	if (strchr(name, '/')) {
		int r = check_file(name);
		return r < 0 ? command_failed(name, -r, e) : 0;
	}
	const char *path = strv_env_get(&s->env, "PATH");
	autostrv struct strv dirs = STRV_INIT;
	strv_split(&dirs, path && *path ? path : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", ':');
	int seen = -ENOENT;
	for (size_t i = 0; i < dirs.count; i++) {
		autofree char *file = path_join(*dirs.items[i] ? dirs.items[i] : ".", name);
		int r = check_file(file);
		if (r == 0)
			return 0;
		if (r == -EACCES)
			seen = r;
	}
	if (seen == -EACCES)
		return command_failed(name, EACCES, e);
	(void)!err_sys(e, ENOENT, "exec: \"%s\": executable file not found in $PATH", name);
	return err_status(e, EXIT_NOT_FOUND);
}

/* ---- waiting ---- */

static void on_fatal(int sig)
{
	_exit(EXIT_SIGNAL_BASE + sig);
}

/* PID 1 of a pid namespace gets no signal it has no handler for, and what waits here should end when it is told to. An
 * exec takes the handlers away again. */
static void be_mortal(void)
{
	static const int fatal[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE};
	struct sigaction act = {.sa_handler = on_fatal};
	struct sigaction old;
	for (size_t i = 0; i < ARRAY_SIZE(fatal); i++)
		if (sigaction(fatal[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
			sigaction(fatal[i], &act, NULL);
}

/* Pages of the program and its libraries that were needed to get here are not needed to wait: they come back from the
 * page cache when they are. What was written to (also by the dynamic linker) stays. */
static int forget_pages(struct dl_phdr_info *info, size_t size, void *arg)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;
	(void)size;
	(void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		uintptr_t first = (info->dlpi_addr + h->p_vaddr) & ~page;
		uintptr_t end = (info->dlpi_addr + h->p_vaddr + h->p_memsz + page) & ~page;
		if (h->p_type == PT_LOAD && !(h->p_flags & PF_W))
			(void)!madvise((void *)first, end - first, MADV_DONTNEED);
	}
	return 0;
}

static int wait_for_start(struct oci_meeting *m, struct err *e)
{
	be_mortal();
	dl_iterate_phdr(forget_pages, NULL);
	for (;;) {
		m->startfd = accept4(m->listenfd, NULL, NULL, SOCK_CLOEXEC);
		if (m->startfd < 0 && errno == EINTR)
			continue;
		if (m->startfd < 0)
			return err_sys(e, errno, "wait for start");
		/* One that connects and dies has not started anything. */
		if (sync_expect(m->startfd, "start", MEET_GO, NULL, NULL) == 0)
			break;
		close_fd(&m->startfd);
	}
	close_fd(&m->listenfd);
	return 0;
}

static int before_exec(struct oci_meeting *m, struct err *e)
{
	int r = find_command(m->spec, e);
	if (r == 0 && m->listenfd >= 0) {
		malloc_trim(0);
		dl_iterate_phdr(forget_pages, NULL);
	}
	if (r == 0 && oci_meeting_happens(m))
		r = learn_pid(m, MEET_READY, e);
	if (r < 0)
		return r;
	close_fd(&m->sock);
	if (m->listenfd >= 0)
		r = wait_for_start(m, e);
	return r < 0 ? r : run_hooks(m, OCI_HOOK_START_CONTAINER, OCI_CREATED, e);
}

int oci_meet(void *arg, enum runtime_point point, struct err *e)
{
	return point == RUNTIME_BEFORE_PIVOT ? before_pivot(arg, e) : before_exec(arg, e);
}

void oci_meet_failed(void *arg, const struct err *e)
{
	const struct oci_meeting *m = arg;
	if (m->startfd >= 0)
		sync_send_err(m->startfd, e);
}

/* ---- seccomp's listener ---- */

int oci_meeting_connect_listener(struct oci_meeting *m, struct err *e)
{
	if (!m->seccomp || !m->seccomp->listener_path)
		return 0;
	m->notifyfd = oci_connect(m->seccomp->listener_path, e);
	return m->notifyfd < 0 ? err_ctx(e, "linux.seccomp.listenerPath") : 0;
}

/* ContainerProcessState of config-linux.md: the process that has the filter, and the container it is of. */
static void describe(const struct oci_meeting *m, pid_t pid, struct str *out)
{
	struct oci_record rec = *m->rec;
	bool waits = m->listenfd >= 0 || m->startfd >= 0;
	enum oci_status status = m->procfd >= 0 ? OCI_RUNNING : waits ? OCI_CREATED : OCI_CREATING;
	if (m->procfd < 0)
		rec.pid = pid;
	autojson json_t *doc = json_object();
	json_put_str(doc, "ociVersion", rec.oci_version);
	json_put(doc, "fds", json_pack("[s]", "seccompFd"));
	json_put_int(doc, "pid", pid);
	json_put_str(doc, "metadata", m->seccomp->listener_metadata);
	json_put(doc, "state", oci_record_state(&rec, status));
	json_print(doc, false, out);
}

/* A process of exec has no meeting with its caller, and looks. */
static int own_pid(const struct oci_meeting *m, pid_t *ret_pid, struct err *e)
{
	char text[16] = "";
	*ret_pid = m->pid;
	if (m->procfd < 0)
		return 0;
	if (readlinkat(m->procfd, "self", text, sizeof(text) - 1) <= 0)
		return err_sys(e, errno, "read /proc/self");
	*ret_pid = (pid_t)strtol(text, NULL, 10);
	return 0;
}

int oci_meet_listener(void *arg, int fd, struct err *e)
{
	const struct oci_meeting *m = arg;
	autostr struct str text = STR_INIT;
	pid_t pid;
	if (m->notifyfd < 0)
		return err_set(e, EINVAL, "linux.seccomp has actions of SCMP_ACT_NOTIFY and no listenerPath");
	int r = own_pid(m, &pid, e);
	if (r < 0)
		return r;
	describe(m, pid, &text);
	return oci_send_fd_on(m->notifyfd, text.buf, text.len, fd, e);
}
