/*
 * refuse-mount TYPE COMMAND... - run a command to whom every new mount of file system TYPE is refused with EPERM, as a
 * security policy would do it.
 *
 * A seccomp filter cannot read strings, so mount(2) and fsopen(2) of the command and its descendants are stopped and looked
 * at by this process, which lets all others go on. It needs to be root (the filter must not set no_new_privs, or newuidmap
 * would have no privileges); its exit status is the command's.
 */
/* links: ; libs: -lseccomp */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char *what, int errnum)
{
	fprintf(stderr, "refuse-mount: %s: %s\n", what, strerror(errnum));
	return 125;
}

static int send_fd(int sock, int fd)
{
	char byte = 'f';
	char control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(sock, &m, 0) == 1 ? 0 : -1;
}

static int receive_fd(int sock)
{
	char byte;
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	int fd = -1;
	if (recvmsg(sock, &m, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&m))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

static int child(int sock, char **argv)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	if (!filter || seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0) < 0 ||
	    seccomp_rule_add(filter, SCMP_ACT_NOTIFY, SCMP_SYS(mount), 0) < 0 ||
	    seccomp_rule_add(filter, SCMP_ACT_NOTIFY, SCMP_SYS(fsopen), 0) < 0 || seccomp_load(filter) < 0)
		return fail("filter", errno);
	if (send_fd(sock, seccomp_notify_fd(filter)) < 0)
		return fail("send", errno);
	close(seccomp_notify_fd(filter));
	close(sock);
	execvp(argv[0], argv);
	return fail(argv[0], errno);
}

/* The string at `address` of a stopped process. */
static void read_text(pid_t pid, unsigned long long address, char *text, size_t size)
{
	char path[32];
	memset(text, 0, size);
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && address && pread(fd, text, size - 1, (off_t)address) < 0)
		text[0] = '\0';
	if (fd >= 0)
		close(fd);
}

static void answer(int fd, const char *type)
{
	struct seccomp_notif *request;
	struct seccomp_notif_resp *response;
	char text[32];
	if (seccomp_notify_alloc(&request, &response) < 0)
		exit(125);
	if (seccomp_notify_receive(fd, request) == 0) {
		int at = request->data.nr == SCMP_SYS(mount) ? 2 : 0;
		read_text((pid_t)request->pid, request->data.args[at], text, sizeof(text));
		response->id = request->id;
		if (strcmp(text, type) == 0)
			response->error = -EPERM;
		else
			response->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		(void)!seccomp_notify_respond(fd, response);
	}
	seccomp_notify_free(request, response);
}

int main(int argc, char **argv)
{
	int pair[2];
	int status;
	if (argc < 3) {
		fprintf(stderr, "usage: refuse-mount TYPE COMMAND...\n");
		return 125;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return fail("socketpair", errno);
	pid_t pid = fork();
	if (pid == 0)
		_exit(child(pair[1], argv + 2));
	close(pair[1]);
	int fd = receive_fd(pair[0]);
	while (fd >= 0 && waitpid(pid, &status, WNOHANG) == 0) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		if (poll(&p, 1, 200) == 1 && (p.revents & POLLIN))
			answer(fd, argv[1]);
	}
	if (fd < 0 && waitpid(pid, &status, 0) < 0)
		return fail("wait", errno);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
