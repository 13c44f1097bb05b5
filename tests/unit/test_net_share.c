/* links: base kern */
/* How many descriptors each published port may have. */
#include "src/portd/share.c"

#include <stdlib.h>

#include "tap.h"

enum { LIMIT = 2048, PORTS = 6 };

static struct portd d;
static struct port *ports[PORTS];

static struct port *add(void)
{
	struct port *p = xcalloc(1, sizeof(*p));
	p->d = &d;
	p->next = d.ports;
	d.ports = p;
	d.nports++;
	share_ports(&d);
	return p;
}

static void withdraw(struct port *p)
{
	struct port **at = &d.ports;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	d.nports--;
	share_withdraw(p);
}

static size_t fill(struct port *p)
{
	size_t n = 0;
	while (share_take(p, 1))
		n++;
	return n;
}

static bool is_consistent(void)
{
	size_t owed = 0;
	for (const struct port *p = d.ports; p; p = p->next)
		owed += owed_to(&d, p);
	return owed == d.owed && d.files + d.owed <= d.files_max;
}

static bool take_and_return_at_random(void)
{
	bool good = true;
	srand(1);
	for (int i = 0; i < 200000 && good; i++) {
		struct port *p = ports[rand() % PORTS];
		size_t n = 1 + (size_t)rand() % 40;
		if (rand() % 2)
			(void)!share_take(p, n);
		else if (p->files >= n)
			share_return(p, n);
		good = is_consistent();
	}
	return good;
}

int main(void)
{
	struct rlimit files = {LIMIT, LIMIT};
	tap_plan_later();
	tap_must(setrlimit(RLIMIT_NOFILE, &files) == 0);
	share_init(&d);
	tap_ok(d.files_max + 2 * d.pipes_max + RESERVE <= LIMIT,
	       "what is given out leaves room for pipes and messages");
	struct port *first = add();
	size_t most = d.files_max;
	tap_is_int((long)fill(first), (long)most, "one port alone may have everything");
	share_return(first, most);
	struct port *second = add();
	size_t all = fill(first);
	tap_is_int((long)all, (long)(d.files_max - OWN), "of two one may have all but what the other can count on");
	tap_is_int((long)fill(second), OWN, "which that one gets");
	withdraw(first);
	tap_is_int((long)fill(second), 1, "of a withdrawn port only its own socket is free at once");
	share_return(first, all);
	(void)fill(second);
	tap_is_int((long)second->files, (long)d.files_max, "and what it has when that has come back");
	share_return(second, second->files);
	ports[0] = second;
	for (int i = 1; i < PORTS; i++)
		ports[i] = add();
	tap_ok(take_and_return_at_random(), "nobody is ever owed more than there is");
	for (int i = 0; i < 3000; i++)
		(void)add();
	size_t own_now = own(&d);
	tap_ok(own_now == 0 && d.files_max > 0, "with more ports than descriptors nothing is promised");
	return tap_done();
}
