/* links: engine/archive kern base; libs: -lcap-ng -lseccomp -ljansson */
/*
 * archive-tool.c - the archive engine from a shell, for tests and measurements.
 *
 *     archive-tool unpack [-s] [-r RATIO] [-m MAX] [-t TEE] [-l LOWER]... BLOB|- TARGET   (-s: single-uid map)
 *     archive-tool extract [-s] BLOB|- TARGET
 *
 * TARGET is made. Prints the result as KEY=VALUE lines. It is its own confined program (verbs "unpack" and "extract"
 * with the socket as descriptor 3).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/engine/archive.h"
#include "rl/engine/archive_role.h"

enum { LOWERS = 16, DIRS = 16 };

struct options {
	bool single;
	bool no_sync;
	uint64_t ratio;
	uint64_t max;
	const char *tee;
	const char *lower[LOWERS];
	size_t nlower;
};

static int usage(void)
{
	fprintf(stderr, "usage: archive-tool unpack|extract [options] BLOB|- TARGET\n");
	return 2;
}

static int parse(int argc, char **argv, struct options *o)
{
	int c;
	struct err e = ERR_INIT;
	while ((c = getopt(argc, argv, "snr:m:t:l:")) != -1) {
		switch (c) {
		case 's':
			o->single = true;
			break;
		case 'n':
			o->no_sync = true;
			break;
		case 'r':
			if (str_to_u64(optarg, UINT64_MAX, "-r", &o->ratio, &e) < 0)
				return -1;
			break;
		case 'm':
			if (str_to_u64(optarg, UINT64_MAX, "-m", &o->max, &e) < 0)
				return -1;
			break;
		case 't':
			o->tee = optarg;
			break;
		case 'l':
			if (o->nlower < LOWERS)
				o->lower[o->nlower++] = optarg;
			break;
		default:
			return -1;
		}
	}
	return argc - optind == 2 ? 0 : -1;
}

static int open_target(const char *path, struct err *e)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return err_sys(e, errno, "mkdir %s", path);
	return io_open_dir(AT_FDCWD, path, false, 0, e);
}

static int run_unpack(const struct options *o, const char *blob, const char *target, struct err *e)
{
	struct idmap map;
	int r = idmap_detect(o->single, &map, e);
	if (r < 0)
		return r;
	int lowerfds[LOWERS];
	for (size_t i = 0; i < o->nlower; i++) {
		lowerfds[i] = io_open_dir(AT_FDCWD, o->lower[i], false, 0, e);
		if (lowerfds[i] < 0)
			return lowerfds[i];
	}
	autofd int blobfd = str_eq(blob, "-") ? dup(0) : open(blob, O_RDONLY | O_CLOEXEC);
	autofd int targetfd = open_target(target, e);
	autofree char *sidecar = xasprintf("%s.idx", target);
	autofd int sidecarfd = open(sidecar, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	autofd int teefd = o->tee ? open(o->tee, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
	if (blobfd < 0 || targetfd < 0 || sidecarfd < 0)
		return e->code ? -e->code : err_sys(e, errno, "open");
	struct archive_unpacked u;
	r = archive_unpack(&(struct archive_unpack){.program = "/proc/self/exe",
						    .map = &map,
						    .blobfd = blobfd,
						    .teefd = teefd > 0 ? teefd : 0,
						    .targetfd = targetfd,
						    .sidecarfd = sidecarfd,
						    .lowerfds = lowerfds,
						    .nlower = o->nlower,
						    .max_tar = o->max,
						    .max_ratio = o->ratio,
						    .no_sync = o->no_sync},
			   &u, e);
	if (r < 0)
		return r;
	if (!u.sidecar_size)
		unlink(sidecar);
	printf("blob=%s\ndiffid=%s\ncompression=%s\nblob_size=%" PRIu64 "\ntar_size=%" PRIu64 "\nunpacked=%" PRIu64
	       "\nentries=%" PRIu64 "\nrecords=%" PRIu64 "\nsidecar=%" PRIu64
	       "\nmax_uid=%u\nmax_gid=%u\nhas_root=%d\nneeds_lower=%d\nmissing=%s\n",
	       u.blob_digest, u.diffid, archive_compressor_name(u.compression), u.blob_size, u.tar_size,
	       u.unpacked_size, u.entries, u.records, u.sidecar_size, u.max_uid, u.max_gid, u.has_root, u.needs_lower,
	       u.missing);
	return 0;
}

static int run_extract(const struct options *o, const char *blob, const char *target, struct err *e)
{
	struct idmap map;
	int r = idmap_detect(o->single, &map, e);
	if (r < 0)
		return r;
	autofd int blobfd = str_eq(blob, "-") ? dup(0) : open(blob, O_RDONLY | O_CLOEXEC);
	autofd int targetfd = open_target(target, e);
	if (blobfd < 0 || targetfd < 0)
		return e->code ? -e->code : err_sys(e, errno, "open");
	struct archive_members m;
	r = archive_extract(&(struct archive_extract){.program = "/proc/self/exe",
						      .map = &map,
						      .blobfd = blobfd,
						      .targetfd = targetfd,
						      .max_tar = o->max,
						      .max_ratio = o->ratio},
			    &m, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < m.count; i++) {
		const struct archive_member *x = &m.items[i];
		if (x->type == ARCHIVE_MEMBER_FILE)
			printf("file %s %s %" PRIu64 " %s\n", x->file, x->digest, x->size, x->name);
		else
			printf("alias %s %s\n", x->name, x->target);
	}
	archive_members_free(&m);
	return 0;
}

int main(int argc, char **argv)
{
	log_init("archive-tool");
	if (argc == 2 && str_eq(argv[1], "unpack"))
		return archive_role_main(ARCHIVE_ROLE_UNPACK);
	if (argc == 2 && str_eq(argv[1], "extract"))
		return archive_role_main(ARCHIVE_ROLE_EXTRACT);
	if (argc < 3)
		return usage();
	struct options o = {.single = false};
	const char *verb = argv[1];
	if (parse(argc - 1, argv + 1, &o) < 0)
		return usage();
	const char *blob = argv[1 + optind];
	const char *target = argv[2 + optind];
	struct err e = ERR_INIT;
	int r = str_eq(verb, "unpack") ? run_unpack(&o, blob, target, &e) : run_extract(&o, blob, target, &e);
	if (r < 0) {
		err_print(&e);
		return err_exit_status(&e);
	}
	return 0;
}
