/*
 * device.c - frames from and to the container: one system call each, with the virtio header both devices have.
 *
 * While a batch of frames is being read (device_hold), an acknowledgement that libslirp makes is kept back until the
 * next frame: if that one says more for the same connection, the first is never sent (net_shape.h). device_release ends
 * this, before the loop looks at anything else, so that nothing waits longer than the batch takes.
 */
#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include "netd.h"

static void put(struct netd *n, const void *vnet, const void *head, size_t head_len, const void *rest, size_t rest_len)
{
	struct iovec iov[3] = {{(void *)(uintptr_t)vnet, SHAPE_VNET_LEN},
			       {(void *)(uintptr_t)head, head_len},
			       {(void *)(uintptr_t)rest, rest_len}};
	ssize_t written;
	if (n->device.fd < 0)
		return;
	do
		written = writev(n->device.fd, iov, rest_len ? 3 : 2);
	while (written < 0 && errno == EINTR);
	if (written < 0) {
		n->stats.out_lost++; /* the queue is full, or the interface down: TCP sends it again */
		return;
	}
	n->stats.frames_out++;
	n->stats.bytes_out += head_len + rest_len;
}

static void put_shape(struct netd *n, const struct shape *s, const uint8_t *frame, size_t len)
{
	put(n, s->vnet, s->head, s->head_len, frame + s->head_len, len - s->head_len);
}

void netd_send_frame(struct netd *n, const void *frame, size_t len)
{
	static const uint8_t complete[SHAPE_VNET_LEN];
	put(n, complete, frame, len, NULL, 0);
}

static void send_held(struct netd *n)
{
	if (n->held)
		put_shape(n, n->held, n->held->head, n->held->head_len);
	n->held = NULL;
}

void netd_send_slirp(struct netd *n, const void *frame, size_t len)
{
	struct shape *s = n->held == &n->shapes[0] ? &n->shapes[1] : &n->shapes[0];
	shape_frame(frame, len, s);
	if (n->held && shape_supersedes(s, n->held))
		n->held = NULL;
	send_held(n);
	if (n->holding && s->is_ack && len == s->head_len)
		n->held = s;
	else
		put_shape(n, s, frame, len);
}

void device_hold(struct netd *n)
{
	n->holding = true;
}

void device_release(struct netd *n)
{
	n->holding = false;
	send_held(n);
}

ssize_t device_read(struct netd *n)
{
	ssize_t len;
	do
		len = read(n->device.fd, n->frame - SHAPE_VNET_LEN, FRAME_MAX + SHAPE_VNET_LEN);
	while (len < 0 && errno == EINTR);
	if (len < 0)
		return errno == EAGAIN || errno == ENETDOWN ? 0 : -errno;
	return len <= SHAPE_VNET_LEN ? -EIO : len - SHAPE_VNET_LEN;
}
