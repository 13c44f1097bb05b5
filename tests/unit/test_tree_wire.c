/* A stream of frames, written and read again; cut off and damaged ones. */
#include "rl/base/tree_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "tap.h"

static int make(size_t *ret_size)
{
	struct err e = ERR_INIT;
	struct tree_out o;
	int fd = memfd_create("wire", MFD_CLOEXEC);
	autofree char *big = xcalloc(1, 300000);
	memset(big, 'b', 300000);
	const struct tree_node dir = {.mode = S_IFDIR | 0755, .path = "", .link = NULL, .mtime = -5, .mtime_ns = 7};
	const struct tree_node file = {
		.mode = S_IFREG | 0644, .uid = 1, .gid = 2, .size = 9, .path = "a b/\n", .link = ""};
	const struct tree_node link = {.mode = S_IFLNK | 0777, .path = "l", .link = "to/../x"};
	tree_out_init(&o, fd);
	if (tree_out_node(&o, &dir, &e) < 0 || tree_out_node(&o, &file, &e) < 0 ||
	    tree_out_data(&o, big, 300000, &e) < 0 || tree_out_hole(&o, (uint64_t)1 << 40, &e) < 0 ||
	    tree_out_file_end(&o, &e) < 0 || tree_out_node(&o, &link, &e) < 0 || tree_out_end(&o, &e) < 0)
		return -1;
	tree_out_free(&o);
	*ret_size = (size_t)lseek(fd, 0, SEEK_CUR);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static void test_round(void)
{
	struct err e = ERR_INIT;
	struct tree_in in;
	struct tree_node n;
	size_t size;
	autofd int fd = make(&size);
	const void *data;
	uint64_t len;
	uint64_t total = 0;
	uint64_t hole = 0;
	tree_in_init(&in, fd);
	tap_ok(tree_in_next(&in, &n, &e) == 1 && S_ISDIR(n.mode) && !*n.path && n.mtime == -5 && n.mtime_ns == 7,
	       "the root comes first, with its time");
	tap_ok(tree_in_data(&in, &data, &len, &e) == 0, "a directory has no data");
	tap_ok(tree_in_next(&in, &n, &e) == 1 && !strcmp(n.path, "a b/\n") && n.uid == 1 && n.gid == 2 && n.size == 9,
	       "names are bytes");
	while (tree_in_data(&in, &data, &len, &e) > 0) {
		if (data)
			total += len;
		else
			hole += len;
	}
	tap_ok(total == 300000 && hole == (uint64_t)1 << 40, "data and holes arrive whole, whatever the size said");
	tap_ok(tree_in_next(&in, &n, &e) == 1 && S_ISLNK(n.mode) && !strcmp(n.link, "to/../x"), "a link has its text");
	tap_is_int(tree_in_next(&in, &n, &e), 0, "and there is an end");
	tree_in_free(&in);
	lseek(fd, 0, SEEK_SET);
	tree_in_init(&in, fd);
	tap_ok(tree_in_next(&in, &n, &e) == 1 && tree_in_next(&in, &n, &e) == 1 && tree_in_next(&in, &n, &e) == 1 &&
		       S_ISLNK(n.mode),
	       "data nobody asked for is skipped");
	tree_in_free(&in);
}

static int read_all(int fd)
{
	struct tree_in in;
	struct tree_node n;
	int r;
	lseek(fd, 0, SEEK_SET);
	tree_in_init(&in, fd);
	while ((r = tree_in_next(&in, &n, NULL)) > 0)
		;
	tree_in_free(&in);
	return r;
}

static void test_damage(void)
{
	size_t size;
	autofd int fd = make(&size);
	unsigned bad = 0;
	for (size_t cut = 0; cut < size; cut += cut < 600 || cut > size - 600 ? 1 : 4099) {
		size_t ignored;
		autofd int part = make(&ignored);
		if (ftruncate(part, (off_t)cut) < 0 || read_all(part) != -EPIPE)
			bad++;
	}
	tap_is_int(bad, 0, "a stream that is cut off anywhere is noticed");
	unsigned seed = 1;
	unsigned passed = 0;
	for (unsigned i = 0; i < 3000; i++) {
		unsigned char byte;
		unsigned char was;
		seed = seed * 1103515245 + 12345;
		off_t at = (off_t)(seed % (i % 2 ? 250 : size));
		byte = (unsigned char)(seed >> 16);
		if (pread(fd, &was, 1, at) != 1 || pwrite(fd, &byte, 1, at) != 1)
			bad++;
		int r = read_all(fd);
		passed += r == 0;
		bad += r > 0;
		if (pwrite(fd, &was, 1, at) != 1)
			bad++;
	}
	tap_ok(bad == 0 && passed > 0, "damaged ones end in an error or in a tree");
	struct tree_out o;
	struct err e = ERR_INIT;
	autofree char *longer = xcalloc(1, TREE_NAME_MAX + 10);
	memset(longer, 'n', TREE_NAME_MAX + 5);
	tree_out_init(&o, -1);
	tap_is_int(tree_out_node(&o, &(struct tree_node){.path = longer}, &e), -ENAMETOOLONG, "names have a limit");
	tree_out_free(&o);
}

int main(void)
{
	tap_plan_later();
	test_round();
	test_damage();
	return tap_done();
}
