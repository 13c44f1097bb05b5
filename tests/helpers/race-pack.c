/* links: engine/archive kern base; libs: -lcap-ng -lseccomp -ljansson */
/*
 * race-pack.c - a payload that swaps names of a volume while the packer (`rl volume export`, commit) reads it.
 *
 * Usage: race-pack [ITERATIONS]      (20000)
 *
 * The swapper exchanges, as fast as it can, a directory for a symlink to a directory outside, and a file for a symlink to a file
 * outside. The other side packs the tree. What lies outside must never be in an archive; errors are allowed. Both kinds of an
 * entry must have been seen: the proof that the swapper is fast enough to catch somebody. Prints TAP.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "rl/engine/archive.h"
#include "rl/kern/idmap.h"
#include "tap.h"

/* As long as what is inside: no more of a file is packed than its header says. */
static const char secret[] = "WHAT-LIES-OUTSIDE";
static const char harmless[] = "what-is-within-it";
static_assert(sizeof(secret) == sizeof(harmless), "as long as each other");

static void put(int dirfd, const char *path, const char *text)
{
	if (io_write_file(dirfd, path, text, strlen(text), 0644, NULL) < 0)
		exit(1);
}

static void swapper(int rootfd)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		renameat2(rootfd, "d", rootfd, "out-dir", RENAME_EXCHANGE);
		renameat2(rootfd, "f", rootfd, "out-file", RENAME_EXCHANGE);
	}
}

struct seen {
	unsigned packed;
	unsigned leaked;
	unsigned links;	 /* "d" was a symlink */
	unsigned inside; /* "d" was the directory */
};

static void pack_once(const struct idmap *map, int rootfd, int outfd, struct seen *s)
{
	struct archive_packed packed;
	struct err e = ERR_INIT;
	const struct archive_pack req = {.map = map,
					 .kind = ARCHIVE_PACK_MERGED,
					 .trust = ARCHIVE_TRUST_LOWER,
					 .dirfds = &rootfd,
					 .ndirs = 1,
					 .outfd = outfd,
					 .compression = ARCHIVE_PLAIN,
					 .threads = 1,
					 .in_map = true,
					 .host_ids = true,
					 .no_diffid = true};
	if (ftruncate(outfd, 0) < 0 || lseek(outfd, 0, SEEK_SET) != 0)
		exit(1);
	s->packed += archive_pack(&req, &packed, &e) == 0;
	struct stat st;
	if (fstat(outfd, &st) < 0 || st.st_size == 0)
		return;
	autofree char *bytes = xmalloc((size_t)st.st_size);
	ssize_t n = pread(outfd, bytes, (size_t)st.st_size, 0);
	if (n != st.st_size)
		exit(1);
	s->leaked += memmem(bytes, (size_t)n, secret, strlen(secret)) != NULL;
	bool inside = memmem(bytes, (size_t)n, "d/inside", 8);
	s->inside += inside;
	s->links += !inside;
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 20000;
	struct idmap map;
	struct seen s = {0};
	tap_plan_later();
	umask(0);
	autofree char *top = tap_tmpdir();
	autofd int topfd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tap_must(io_mkdirs(topfd, "root/d", 0755, NULL) == 0 && io_mkdirs(topfd, "outside", 0755, NULL) == 0);
	autofd int rootfd = openat(topfd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autofd int outfd = memfd_create("archive", MFD_CLOEXEC);
	put(topfd, "outside/x", secret);
	put(rootfd, "d/inside", harmless);
	put(rootfd, "f", harmless);
	tap_must(symlinkat("../outside", rootfd, "out-dir") == 0 && symlinkat("../outside/x", rootfd, "out-file") == 0);
	tap_must(outfd >= 0 && idmap_detect(true, &map, NULL) == 0);
	pid_t pid = fork();
	if (pid == 0)
		swapper(rootfd);
	for (unsigned i = 0; i < rounds; i++)
		pack_once(&map, rootfd, outfd, &s);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	tap_ok(s.packed > rounds / 100 && s.links > 0 && s.inside > 0,
	       "%u of %u archives are whole, %u have the directory, %u do not", s.packed, rounds, s.inside, s.links);
	tap_is_int(s.leaked, 0, "nothing outside of the tree is in an archive");
	(void)!io_remove_tree(AT_FDCWD, top, NULL);
	return tap_done();
}
