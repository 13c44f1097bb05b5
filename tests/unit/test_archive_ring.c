/* links: engine/archive kern base; libs: -lcap-ng -lseccomp -ljansson */
#include "src/engine/archive/ring_int.h"

#include <errno.h>

#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "tap.h"

enum { ROUNDS = 20 * RING_SLOTS };

struct reader {
	struct ring *ring;
	size_t index;
	unsigned seen;
	unsigned stop_after; /* 0: never */
	bool in_order;
	int result;
	struct err error;
	pthread_t thread;
};

static void *read_all(void *arg)
{
	struct reader *r = arg;
	const unsigned char *data;
	size_t len;
	r->in_order = true;
	while ((r->result = ring_next(r->ring, r->index, &data, &len, &r->error)) > 0) {
		r->in_order &= len == r->seen % 1000 + 1 && data[0] == (unsigned char)r->seen &&
			       data[len - 1] == data[0];
		r->seen++;
		if (r->seen == r->stop_after) {
			struct err e = ERR_INIT;
			err_set(&e, ENOSPC, "reader gave up");
			ring_fail(r->ring, &e);
			break;
		}
	}
	return NULL;
}

/* Returns how many slots were published. */
static unsigned produce(struct ring *ring)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned char *slot = ring_get(ring);
		if (!slot)
			return i;
		memset(slot, (int)(unsigned char)i, i % 1000 + 1);
		ring_put(ring, i % 1000 + 1);
	}
	return ROUNDS;
}

static void run(struct reader *a, struct reader *b, struct ring *ring, unsigned *ret_produced, bool fail)
{
	ring_init(ring, 2);
	*a = (struct reader){.ring = ring, .index = 0, .stop_after = a->stop_after};
	*b = (struct reader){.ring = ring, .index = 1};
	pthread_create(&a->thread, NULL, read_all, a);
	pthread_create(&b->thread, NULL, read_all, b);
	*ret_produced = produce(ring);
	struct err e = ERR_INIT;
	if (fail) {
		err_set(&e, EBADMSG, "producer gave up");
		ring_fail(ring, &e);
	} else if (*ret_produced == ROUNDS) {
		ring_end(ring);
	}
	pthread_join(a->thread, NULL);
	pthread_join(b->thread, NULL);
}

int main(void)
{
	tap_plan_later();
	struct ring ring;
	struct reader a = {.index = 0};
	struct reader b = {.index = 1};
	unsigned produced;
	run(&a, &b, &ring, &produced, false);
	tap_ok(produced == ROUNDS && a.seen == ROUNDS && b.seen == ROUNDS, "every reader sees every slot");
	tap_ok(a.in_order && b.in_order, "in order and untouched");
	tap_ok(a.result == 0 && b.result == 0 && ring_error(&ring, NULL) == 0, "and then the end");
	ring_free(&ring);

	run(&a, &b, &ring, &produced, true);
	tap_ok(a.result == -EBADMSG && b.result == -EBADMSG && str_eq(a.error.text, "producer gave up"),
	       "a producer's failure reaches every reader");
	ring_free(&ring);

	a.stop_after = 5;
	run(&a, &b, &ring, &produced, false);
	tap_ok(produced < ROUNDS, "a reader that gives up stops the producer");
	tap_ok(b.result == -ENOSPC && str_eq(b.error.text, "reader gave up"), "and tells the others why");
	struct err e = ERR_INIT;
	tap_ok(ring_error(&ring, &e) == -ENOSPC && str_eq(e.text, "reader gave up"), "and so it stays");
	ring_free(&ring);
	return tap_done();
}
