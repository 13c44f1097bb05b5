/* links: engine/archive kern base; libs: -lcap-ng -lseccomp -ljansson */
/*
 * archive-tool.c - the archive engine from a shell, for tests and measurements.
 *
 *     archive-tool unpack [-s] [-r RATIO] [-m MAX] [-t TEE] [-l LOWER]... BLOB|- TARGET   (-s: single-uid map)
 *     archive-tool extract [-s] BLOB|- TARGET
 * (-k ID instead of -s: a keep-id map for this id)
 *     archive-tool pack [-s] [-c none|gzip|zstd] [-L LEVEL] [-T THREADS] [-e EPOCH] [-M] [-u] OUT|- DIR...
 *         (-M: merged, -u: the records of the first directory are not trusted)
 *     archive-tool remove [-s] DIR
 *     archive-tool show [-s] DIR
 *
 * TARGET is made. `show` prints a tree as the map's root sees it, one sorted line per object: path, type, mode, owner,
 * device, size, mtime, link target, xattrs (values in hexadecimal), hard links by the first name. Prints the result as
 * KEY=VALUE lines. It is its own confined program (verbs "unpack" and "extract" with the socket as descriptor 3).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/engine/archive.h"
#include "rl/engine/archive_role.h"

enum { LOWERS = 16, DIRS = 16 };

struct options {
	bool single;
	bool keep;
	uint64_t keep_id;
	bool no_sync;
	uint64_t ratio;
	uint64_t max;
	const char *tee;
	const char *lower[LOWERS];
	size_t nlower;
	enum archive_compression compression;
	uint64_t level;
	uint64_t threads;
	uint64_t epoch;
	bool clamp;
	bool merged;
	bool untrusted;
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
	while ((c = getopt(argc, argv, "snk:r:m:t:l:c:L:T:e:Mu")) != -1) {
		switch (c) {
		case 's':
			o->single = true;
			break;
		case 'n':
			o->no_sync = true;
			break;
		case 'k':
			o->keep = true;
			if (str_to_u64(optarg, UINT32_MAX, "-k", &o->keep_id, &e) < 0)
				return -1;
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
		case 'c':
			if (archive_compressor_parse(optarg, &o->compression, &e) < 0)
				return -1;
			break;
		case 'L':
			if (str_to_u64(optarg, 100, "-L", &o->level, &e) < 0)
				return -1;
			break;
		case 'T':
			if (str_to_u64(optarg, 100, "-T", &o->threads, &e) < 0)
				return -1;
			break;
		case 'e':
			o->clamp = true;
			if (str_to_u64(optarg, INT64_MAX, "-e", &o->epoch, &e) < 0)
				return -1;
			break;
		case 'M':
			o->merged = true;
			break;
		case 'u':
			o->untrusted = true;
			break;
		default:
			return -1;
		}
	}
	return 0;
}

static int choose_map(const struct options *o, struct idmap *ret, struct err *e)
{
	struct idmap map;
	int r = idmap_detect(o->single, &map, e);
	if (r < 0 || !o->keep) {
		*ret = map;
		return r;
	}
	return idmap_keepid(&map, (uint32_t)o->keep_id, (uint32_t)o->keep_id, ret, e);
}

static int open_target(const char *path, struct err *e)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return err_sys(e, errno, "mkdir %s", path);
	return io_open_dir(AT_FDCWD, path, false, 0, e);
}

static long children_maxrss(void)
{
	struct rusage usage;
	return getrusage(RUSAGE_CHILDREN, &usage) < 0 ? 0 : usage.ru_maxrss;
}

static int run_unpack(const struct options *o, const char *blob, const char *target, struct err *e)
{
	struct idmap map;
	int r = choose_map(o, &map, e);
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
	       "\nmax_uid=%u\nmax_gid=%u\nhas_root=%d\nneeds_lower=%d\nmissing=%s\nmaxrss_kib=%ld\n",
	       u.blob_digest, u.diffid, archive_compressor_name(u.compression), u.blob_size, u.tar_size,
	       u.unpacked_size, u.entries, u.records, u.sidecar_size, u.max_uid, u.max_gid, u.has_root, u.needs_lower,
	       u.missing, children_maxrss());
	return 0;
}

static int run_extract(const struct options *o, const char *blob, const char *target, struct err *e)
{
	struct idmap map;
	int r = choose_map(o, &map, e);
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

static int run_pack(const struct options *o, const char *out, char **dirs, size_t n, struct err *e)
{
	struct idmap map;
	int r = choose_map(o, &map, e);
	if (r < 0)
		return r;
	int fds[DIRS];
	int sides[DIRS];
	for (size_t i = 0; i < n; i++) {
		fds[i] = io_open_dir(AT_FDCWD, dirs[i], false, 0, e);
		if (fds[i] < 0)
			return fds[i];
		autofree char *side = xasprintf("%s.idx", dirs[i]);
		sides[i] = open(side, O_RDONLY | O_CLOEXEC);
		sides[i] = RL_MAX(sides[i], 0);
	}
	autofd int outfd = str_eq(out, "-") ? dup(1) : open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (outfd < 0)
		return err_sys(e, errno, "open %s", out);
	struct archive_packed p;
	r = archive_pack(&(struct archive_pack){.map = &map,
						.kind = o->merged ? ARCHIVE_PACK_MERGED : ARCHIVE_PACK_LAYER,
						.trust = o->untrusted ? ARCHIVE_TRUST_LOWER : ARCHIVE_TRUST_RECORDS,
						.dirfds = fds,
						.sidecarfds = sides,
						.ndirs = n,
						.outfd = outfd,
						.compression = o->compression,
						.level = (int)o->level,
						.threads = (int)o->threads,
						.clamp_mtime = o->clamp,
						.source_date_epoch = (int64_t)o->epoch},
			 &p, e);
	if (r < 0)
		return r;
	fprintf(stderr,
		"blob=%s\ndiffid=%s\nblob_size=%" PRIu64 "\ntar_size=%" PRIu64 "\nentries=%" PRIu64 "\nskipped=%" PRIu64
		"\n",
		p.blob_digest, p.diffid, p.blob_size, p.tar_size, p.entries, p.skipped);
	return 0;
}

/* ---- looking at a tree and removing it: as root of the map ---- */

struct tree_job {
	const char *path;
	bool remove;
};

static void print_bytes(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c > ' ' && c < 127 && c != '\\')
			putchar(c);
		else
			printf("\\x%02x", c);
	}
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void print_xattrs(const char *path)
{
	char names[65536];
	ssize_t n = llistxattr(path, names, sizeof(names));
	autostrv struct strv sorted = STRV_INIT;
	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1)
		strv_add(&sorted, names + at);
	if (sorted.count)
		qsort(sorted.items, sorted.count, sizeof(char *), compare_names);
	for (size_t i = 0; i < sorted.count; i++) {
		char value[65536];
		ssize_t len = lgetxattr(path, sorted.items[i], value, sizeof(value));
		putchar(' ');
		print_bytes(sorted.items[i], strlen(sorted.items[i]));
		putchar('=');
		bool text = true;
		for (ssize_t k = 0; k < len; k++)
			text &= (value[k] >= ' ' && value[k] < 127) || value[k] == '\n';
		for (ssize_t k = 0; k < len && !text; k++)
			printf("%02x", (unsigned char)value[k]);
		if (text && len > 0)
			print_bytes(value, (size_t)len);
	}
}

static void print_object(const char *path, struct strv *links)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return;
	print_bytes(path, strlen(path));
	printf(" %c %04o %u:%u", "?pc?d?b?-?l?s???"[st.st_mode >> 12 & 15], st.st_mode & 07777, st.st_uid, st.st_gid);
	if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
		printf(" %u,%u", major(st.st_rdev), minor(st.st_rdev));
	if (S_ISREG(st.st_mode))
		printf(" %lld", (long long)st.st_size);
	printf(" %lld.%09ld", (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	if (S_ISLNK(st.st_mode)) {
		char target[4096];
		ssize_t n = readlink(path, target, sizeof(target));
		printf(" -> ");
		print_bytes(target, n > 0 ? (size_t)n : 0);
	}
	print_xattrs(path);
	if (!S_ISDIR(st.st_mode) && st.st_nlink > 1) {
		autofree char *key = xasprintf("%llu", (unsigned long long)st.st_ino);
		const char *first = strv_env_get(links, key);
		if (first)
			printf(" = %s", first);
		else
			strv_env_set(links, key, path);
	}
	putchar('\n');
}

static void show_tree(const char *path, struct strv *links)
{
	print_object(path, links);
	autodir DIR *d = opendir(path);
	struct stat st;
	if (!d || lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return;
	autostrv struct strv names = STRV_INIT;
	struct dirent *entry;
	while ((entry = readdir(d)))
		if (!str_eq(entry->d_name, ".") && !str_eq(entry->d_name, ".."))
			strv_add(&names, entry->d_name);
	if (names.count)
		qsort(names.items, names.count, sizeof(char *), compare_names);
	for (size_t i = 0; i < names.count; i++) {
		autofree char *child = xasprintf("%s/%s", path, names.items[i]);
		show_tree(child, links);
	}
}

static int tree_child(void *arg)
{
	const struct tree_job *j = arg;
	struct err e = ERR_INIT;
	if (j->remove) {
		if (io_remove_tree(AT_FDCWD, j->path, &e) == 0)
			return 0;
		err_print(&e);
		return 1;
	}
	autostrv struct strv links = STRV_INIT;
	if (chdir(j->path) < 0)
		return 1;
	show_tree(".", &links);
	fflush(stdout);
	return 0;
}

static int run_tree(const struct options *o, const char *path, bool remove, struct err *e)
{
	struct idmap map;
	int r = choose_map(o, &map, e);
	if (r < 0)
		return r;
	struct tree_job job = {path, remove};
	struct proc_child child;
	r = userns_spawn(&map, CLONE_NEWNS, tree_child, &job, &child, e);
	return r < 0 ? r : proc_wait_ok(&child, "the helper", e);
}

int main(int argc, char **argv)
{
	log_init("archive-tool");
	struct err role_error = ERR_INIT;
	if (argc == 2 && (str_eq(argv[1], "unpack") || str_eq(argv[1], "extract"))) {
		(void)!archive_role_main(str_eq(argv[1], "unpack") ? ARCHIVE_ROLE_UNPACK : ARCHIVE_ROLE_EXTRACT,
					 &role_error);
		err_print(&role_error);
		return err_exit_status(&role_error);
	}
	if (argc < 3)
		return usage();
	struct options o = {.single = false};
	const char *verb = argv[1];
	if (parse(argc - 1, argv + 1, &o) < 0)
		return usage();
	char **args = argv + 1 + optind;
	int n = argc - 1 - optind;
	struct err e = ERR_INIT;
	int r;
	if (str_eq(verb, "unpack") && n == 2)
		r = run_unpack(&o, args[0], args[1], &e);
	else if (str_eq(verb, "extract") && n == 2)
		r = run_extract(&o, args[0], args[1], &e);
	else if (str_eq(verb, "pack") && n >= 2 && n <= DIRS)
		r = run_pack(&o, args[0], args + 1, (size_t)n - 1, &e);
	else if ((str_eq(verb, "remove") || str_eq(verb, "show")) && n == 1)
		r = run_tree(&o, args[0], str_eq(verb, "remove"), &e);
	else
		return usage();
	if (r < 0) {
		err_print(&e);
		return err_exit_status(&e);
	}
	return 0;
}
