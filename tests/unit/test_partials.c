/* What interrupted downloads left: kept as long as somebody writes to it or may go on with it. */
#include <time.h>

#include "store_fixture.h"

static int make(const struct fixture *f, const char *name, int64_t age)
{
	struct err e = ERR_INIT;
	autofree char *path = xasprintf("cache/%s", name);
	int fd = store_dir(&f->s, "cache", &e);
	close(fd);
	fd = openat(f->s.rootfd, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	(void)!write(fd, "12345", 5);
	const struct timespec times[] = {{.tv_sec = time(NULL) - age}, {.tv_sec = time(NULL) - age}};
	futimens(fd, times);
	return fd;
}

static bool has(const struct fixture *f, const char *path)
{
	return faccessat(f->s.rootfd, path, F_OK, 0) == 0;
}

int main(void)
{
	struct fixture f;
	struct err e = ERR_INIT;
	int64_t bytes = 0;
	tap_plan_later();
	fixture_open(&f);
	tap_is_int(store_drop_partials(&f.s, 0, &bytes, &e), 0, "a store without a cache has none");
	close(make(&f, "partial-old", 1000));
	close(make(&f, "partial-new", 0));
	close(make(&f, "filter-old", 1000));
	int held = make(&f, "partial-held", 1000);
	fixture_must(io_try_lock(held, true, &e), &e);
	tap_is_int(store_drop_partials(&f.s, 500, &bytes, &e), 1, "one is old");
	tap_ok(!has(&f, "cache/partial-old") && has(&f, "cache/partial-new"), "it is removed, the new one stays");
	tap_is_int(bytes, 5, "its bytes are counted");
	tap_ok(has(&f, "cache/partial-held"), "one that somebody writes to stays, however old");
	tap_is_int(store_drop_partials(&f.s, 0, &bytes, &e), 1, "without an age the new one goes as well");
	tap_ok(has(&f, "cache/filter-old") && has(&f, "cache/partial-held"), "nothing else does");
	close(held);
	tap_is_int(store_drop_partials(&f.s, 0, &bytes, &e), 1, "and the last one, once nobody writes to it");
	fixture_close(&f);
	return tap_done();
}
