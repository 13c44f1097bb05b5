/* links: engine/archive kern base; libs: -lcap-ng -lseccomp -ljansson */
/*
 * fuzz_tar.c - blob bytes through everything that parses them: magic, gzip, zstd, tar, names, whiteouts, control
 * records, and the files that are made. The tree is made in a directory of /dev/shm and removed after each input; run
 * as root (of a user namespace will do: unshare -r) to reach the ownership calls.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "src/engine/archive/place_int.h"
#include "src/engine/archive/source_int.h"
#include "src/engine/archive/tar_int.h"

enum { MAX_TAR = 8 << 20, MAX_ENTRIES = 300 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int place_all(struct tar *t, struct place *p)
{
	struct err e = ERR_INIT;
	struct entry en;
	for (int n = 0; n < MAX_ENTRIES && tar_next(t, &en, &e) > 0; n++) {
		int r = place_entry(p, &en, &e);
		if (r < 0)
			return r;
		if (r == 0)
			continue;
		const void *data;
		size_t len;
		uint64_t offset;
		while ((r = tar_data(t, &data, &len, &offset, &e)) > 0 && r > 0)
			if (place_data(p, offset & 0xffffff, data, len, &e) < 0)
				return -1;
		if (r < 0 || place_file_end(p, &e) < 0)
			return -1;
	}
	return 0;
}

static void run(int blobfd, int root, struct idmap *map)
{
	struct err e = ERR_INIT;
	struct ring ring;
	autofree struct place *p = xcalloc(1, sizeof(*p));
	struct tar *t = NULL;
	ring_init(&ring, 1);
	struct source source = {
		.blobfd = blobfd, .teefd = -1, .feedfd = -1, .max_tar = MAX_TAR, .max_ratio = 4000, .ring = &ring};
	*p = (struct place){.sidecarfd = -1, .map = map};
	if (source_start(&source, &e) < 0)
		abort();
	if (tar_open(&ring, 0, &t, &e) == 0 && place_init(p, root, &e) == 0) {
		(void)place_all(t, p);
		free(take_ptr(&p->file_path));
		close_fd(&p->filefd);
		(void)!place_finish(p, NULL);
	}
	err_set(&e, ECANCELED, "done");
	ring_fail(&ring, &e);
	source_join(&source);
	tar_close(t);
	ring_free(&ring);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char top[] = "/dev/shm/rl-fuzz-XXXXXX";
	struct idmap map = {.form = IDMAP_SINGLE, .nuid = 1, .ngid = 1};
	map.uid[0] = (struct idmap_extent){0, geteuid(), 1};
	map.gid[0] = (struct idmap_extent){0, getegid(), 1};
	umask(0);
	int blobfd = memfd_create("blob", MFD_CLOEXEC);
	if (blobfd < 0 || !mkdtemp(top) || write(blobfd, data, size) != (ssize_t)size || lseek(blobfd, 0, SEEK_SET) < 0)
		abort();
	int root = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	run(blobfd, root, &map);
	close(root);
	close(blobfd);
	if (io_remove_tree(AT_FDCWD, top, NULL) < 0)
		abort();
	return 0;
}
