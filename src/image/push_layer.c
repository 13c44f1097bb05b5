/*
 * push_layer.c - a layer that is compressed while it is uploaded; see image_int.h.
 *
 * A thread compresses into a pipe, from which the transfer reads without waiting: both cores compress while the network
 * sends, and the compressed bytes are on no disk. What came out is known at the end only, so the registry cannot be
 * asked for it before; but compressing is repeatable, so what came out the last time is kept in cache/, one small file
 * for a DiffID, a format and a level, and asked for first. It is a guess: whatever the registry says to it, what is sent
 * is verified as it goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/model/imgref.h"

enum { KNOWN_MAX = 256, PIPE_SIZE = 1 << 20 };

struct push_layer {
	const struct store_layer *layer;
	enum archive_compression with;
	int level;
	int cachefd; /* of the store, borrowed; -1: none */
	int blobfd, reader, writer;
	pthread_t thread;
	bool running;
	int result; /* of the thread, once it is joined */
	struct archive_compressed done;
	struct err err;
	char known[STORE_DIGEST_SIZE];
	uint64_t known_size;
};

/* ---- what is known ---- */

static char *known_file(const struct push_layer *l)
{
	return xasprintf(STORE_COMPRESSED "%s-%s-%d", l->layer->diff_id + 7, archive_compressor_name(l->with),
			 l->level);
}

static void read_known(struct push_layer *l)
{
	autofree char *file = known_file(l);
	autostr struct str text = STR_INIT;
	uint64_t size;
	if (l->cachefd < 0 || io_read_file(l->cachefd, file, KNOWN_MAX, &text, NULL) < 0)
		return;
	char *space = strchr(text.buf, ' ');
	char *end = strchr(text.buf, '\n');
	if (!space || !end)
		return;
	*space = *end = '\0';
	if (!imgref_is_digest(text.buf) || str_to_u64(space + 1, (uint64_t)IMGSPEC_BLOB_MAX, "size", &size, NULL) < 0)
		return;
	memcpy(l->known, text.buf, sizeof(l->known));
	l->known_size = size;
}

void push_layer_remember(const struct push_layer *l, const char *digest, uint64_t size)
{
	autofree char *file = known_file(l);
	autofree char *text = xasprintf("%s %llu\n", digest, (unsigned long long)size);
	struct err ignored = ERR_INIT;
	/* Without it the next push does more than it must. */
	if (l->cachefd >= 0)
		(void)!io_replace_file(l->cachefd, file, text, strlen(text), 0600, false, &ignored);
}

/* ---- compressing ---- */

static void *compress_main(void *arg)
{
	struct push_layer *l = arg;
	l->result = archive_compress(l->blobfd, l->writer, l->with, l->level, &l->done, &l->err);
	if (l->result >= 0 && !str_eq(l->done.in_digest, l->layer->diff_id))
		l->result = err_set(&l->err, EBADMSG, "blob %s is damaged: its digest is %s", l->layer->blob,
				    l->done.in_digest);
	close_fd(&l->writer);
	return NULL;
}

static int start(struct push_layer *l)
{
	int r = pthread_create(&l->thread, NULL, compress_main, l);
	if (r)
		return err_sys(&l->err, r, "start a thread");
	l->running = true;
	return 0;
}

static void stop(struct push_layer *l)
{
	close_fd(&l->reader); /* a thread that still writes gets EPIPE */
	if (l->running)
		pthread_join(l->thread, NULL);
	l->running = false;
	close_fd(&l->writer);
}

static ssize_t layer_read(void *arg, void *buf, size_t len)
{
	struct push_layer *l = arg;
	if (!l->running) {
		int r = start(l);
		if (r < 0)
			return r;
	}
	ssize_t n = read(l->reader, buf, len);
	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	if (n > 0)
		return n;
	pthread_join(l->thread, NULL);
	l->running = false;
	return l->result;
}

static int open_pipe(struct push_layer *l, struct err *e)
{
	int fds[2];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	l->reader = fds[0];
	l->writer = fds[1];
	(void)!fcntl(l->reader, F_SETPIPE_SZ, PIPE_SIZE); /* fewer turns */
	return fcntl(l->reader, F_SETFL, O_NONBLOCK) < 0 ? err_sys(e, errno, "pipe") : 0;
}

static int layer_restart(void *arg)
{
	struct push_layer *l = arg;
	int place = l->reader;
	stop(l);
	if (lseek(l->blobfd, 0, SEEK_SET) < 0)
		return err_sys(&l->err, errno, "read blob %s again", l->layer->blob);
	int r = open_pipe(l, &l->err);
	if (r < 0 || l->reader == place)
		return r;
	/* Whoever waits knows the descriptor by its number. */
	int fd = dup3(l->reader, place, O_CLOEXEC);
	if (fd < 0)
		return err_sys(&l->err, errno, "pipe");
	close(l->reader);
	l->reader = place;
	return 0;
}

/* ---- life ---- */

int push_layer_open(struct image_ctx *c, const struct store_layer *layer, enum archive_compression with, int cachefd,
		    struct push_layer **ret, struct err *e)
{
	struct push_layer *l = xcalloc(1, sizeof(*l));
	*l = (struct push_layer){.layer = layer, .with = with, .level = c->level, .cachefd = cachefd, .blobfd = -1};
	l->reader = l->writer = -1;
	signal(SIGPIPE, SIG_IGN);
	l->blobfd = store_open_blob(&c->store, layer->blob, layer->blob_size, e);
	int r = l->blobfd < 0 ? l->blobfd : open_pipe(l, e);
	if (r < 0) {
		push_layer_close(l);
		return r;
	}
	read_known(l);
	*ret = l;
	return 0;
}

void push_layer_upload(struct push_layer *l, struct registry_upload *ret)
{
	*ret = (struct registry_upload){.read = layer_read, .restart = layer_restart, .arg = l, .wait_fd = l->reader};
	if (*l->known) {
		ret->known_digest = l->known;
		ret->known_size = l->known_size;
	}
}

bool push_layer_failed(const struct push_layer *l, struct err *e)
{
	if (!l->err.code || l->err.code == EPIPE)
		return false;
	*e = l->err;
	return true;
}

void push_layer_close(struct push_layer *l)
{
	if (!l)
		return;
	stop(l);
	close_fd(&l->blobfd);
	free(l);
}
