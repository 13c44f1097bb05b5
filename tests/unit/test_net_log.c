/* links: engine/net kern model base */
#include "rl/engine/net_log.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include "rl/base/mem.h"
#include "tap.h"

static struct net_log_event event(uint8_t last, uint16_t port, bool allowed, const char *name)
{
	struct net_log_event x = {
		.kind = NET_LOG_TCP, .allowed = allowed, .family = AF_INET, .port = port, .address = {192, 0, 2, last}};
	snprintf(x.name, sizeof(x.name), "%s", name);
	return x;
}

static size_t read_back(int dir, struct net_log_event **ret, uint64_t *ret_lost)
{
	size_t count = 0;
	tap_must(net_log_read(dir, "log", ret, &count, ret_lost, NULL) == 0);
	return count;
}

static void test_noting(int dir)
{
	struct net_log *log = NULL;
	struct net_log_event *events = NULL, x = event(1, 80, false, "a.example");
	struct stat st;
	uint64_t lost;
	tap_ok(read_back(dir, &events, &lost) == 0 && !events, "a file that is not there has no entries");
	int fd = net_log_open(dir, "log", NULL);
	tap_must(fd >= 0 && net_log_map(fd, &log, NULL) == 0 && fstat(fd, &st) == 0);
	tap_ok(st.st_blocks * 512 >= st.st_size, "the file has its blocks from the start");
	close(fd);
	for (int i = 0; i < 3; i++)
		net_log_note(log, &x);
	x = event(1, 80, true, "a.example");
	net_log_note(log, &x);
	x = event(1, 80, false, "b.example");
	net_log_note(log, &x);
	size_t count = read_back(dir, &events, &lost);
	tap_is_int(count, 3, "verdict and name make an entry of their own");
	bool ok = false;
	for (size_t i = 0; i < count; i++)
		ok |= events[i].count == 3 && !events[i].allowed && strcmp(events[i].name, "a.example") == 0 &&
		      events[i].port == 80 && events[i].first_ns && events[i].last_ns >= events[i].first_ns;
	tap_ok(ok && !lost, "the same again counts");
	free(events);
	net_log_unmap(log);
	fd = net_log_open(dir, "log", NULL);
	tap_must(fd >= 0);
	count = read_back(dir, &events, &lost);
	tap_is_int(count, 3, "opened again it keeps what it has");
	free(events);
	tap_must(net_log_map(fd, &log, NULL) == 0);
	close(fd);
	for (unsigned i = 0; i < 1000; i++) {
		x = event((uint8_t)(i % 200), (uint16_t)(i + 1000), false, "");
		net_log_note(log, &x);
	}
	count = read_back(dir, &events, &lost);
	size_t allowed = 0;
	for (size_t i = 0; i < count; i++)
		allowed += events[i].allowed;
	tap_ok(count == NET_LOG_REFUSED + 1 && allowed == 1, "many refusals do not push out what was allowed");
	tap_is_int(lost, 1000 + 2 - NET_LOG_REFUSED, "what made room is counted");
	free(events);
	net_log_unmap(log);
}

static void test_damage(int dir)
{
	struct net_log_event *events = NULL;
	struct err e = ERR_INIT;
	size_t count;
	uint64_t lost;
	int fd = openat(dir, "log", O_RDWR | O_CLOEXEC);
	tap_must(fd >= 0);
	uint8_t junk[4096];
	memset(junk, 0xff, sizeof(junk));
	for (off_t at = 64; at < 40000; at += 4096)
		tap_must(pwrite(fd, junk, sizeof(junk), at) == (ssize_t)sizeof(junk));
	tap_ok(net_log_read(dir, "log", &events, &count, &lost, &e) == 0, "entries of junk are left out");
	free(events);
	tap_must(ftruncate(fd, 100) == 0);
	tap_ok(net_log_read(dir, "log", &events, &count, &lost, &e) == 0 && count == 0, "so is what a cut file lacks");
	free(events);
	tap_must(ftruncate(fd, 3) == 0);
	tap_is_int(net_log_read(dir, "log", &events, &count, &lost, &e), -EBADMSG,
		   "a file of something else is an error");
	close(fd);
	fd = net_log_open(dir, "log", NULL);
	tap_ok(fd >= 0 && read_back(dir, &events, &lost) == 0, "which the writer makes anew");
	free(events);
	close(fd);
	tap_must(unlinkat(dir, "log", 0) == 0 && symlinkat("elsewhere", dir, "log") == 0);
	tap_ok(net_log_open(dir, "log", NULL) == -ELOOP, "a symbolic link is not followed");
}

int main(void)
{
	tap_plan_later();
	autofree char *path = tap_tmpdir();
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tap_must(dir >= 0);
	test_noting(dir);
	test_damage(dir);
	tap_must(unlinkat(dir, "log", 0) == 0 && rmdir(path) == 0);
	close(dir);
	return tap_done();
}
