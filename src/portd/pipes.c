/* pipes.c - pipes for splice, shared by all connections: one is borrowed only while data is between two sockets. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "portd.h"
#include "rl/base/mem.h"

enum {
	PIPES_KEPT = 16,
	PIPE_BYTES = 512 * 1024,
};

struct pipes {
	struct pipe *kept;
	size_t nkept, nused, most;
};

struct pipes *pipes_new(size_t most)
{
	struct pipes *all = xcalloc(1, sizeof(*all));
	all->most = most;
	return all;
}

struct pipe *pipe_borrow(struct pipes *all)
{
	struct pipe *p = all->kept;
	if (all->nused == all->most)
		return NULL;
	if (p) {
		all->kept = p->next;
		all->nkept--;
		all->nused++;
		return p;
	}
	int fd[2];
	if (pipe2(fd, O_CLOEXEC | O_NONBLOCK) < 0)
		return NULL;
	/* A user has so many pages for pipes; past that they stay small. */
	(void)fcntl(fd[1], F_SETPIPE_SZ, PIPE_BYTES);
	p = xmalloc(sizeof(*p));
	*p = (struct pipe){.fd = {fd[0], fd[1]}};
	all->nused++;
	return p;
}

void pipe_return(struct pipes *all, struct pipe *p, bool is_empty)
{
	all->nused--;
	if (is_empty && all->nkept < PIPES_KEPT) {
		p->next = all->kept;
		all->kept = p;
		all->nkept++;
		return;
	}
	close(p->fd[0]);
	close(p->fd[1]);
	free(p);
}
