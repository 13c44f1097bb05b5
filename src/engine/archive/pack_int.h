/*
 * pack_int.h - the parts of archive_pack.
 *
 *   pack_walk   the tree, as one layer or merged: one struct pack_node after the other
 *   pack_tar    a node becomes tar headers and data in the ring
 *   pack_sink   the ring becomes the blob: compressed, digested, written
 *   compress    bytes that are there already through the sink
 *   pack_side   records in sidecar files
 *   pack_scrub  what a writable layer loses when it becomes an unpacked layer
 */
#ifndef RL_ENGINE_ARCHIVE_PACK_INT_H
#define RL_ENGINE_ARCHIVE_PACK_INT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "ring_int.h"
#include "rl/base/digest.h"
#include "rl/base/str.h"
#include "rl/engine/archive.h"

/* ---- tar ---- */

struct pack_tar;

struct pack_node {
	const char *path; /* clean, "" for the root */
	uint32_t mode;	  /* type and permission bits as they shall be in the archive */
	uint32_t uid;
	uint32_t gid;
	uint32_t major;
	uint32_t minor;
	uint64_t size; /* regular files */
	struct timespec mtime;
	const char *target; /* symlinks; of hard links: the path linked to */
	bool hardlink;
	int fd; /* regular files with size: open for reading */
	/* NULL: data comes from fd; else this puts exactly `size` bytes with pack_tar_bytes */
	int (*put_data)(struct pack_tar *t, void *arg, uint64_t size, struct err *e);
	void *put_arg;
	const struct str *xattrs; /* in the form of a control record's attribute part; may be NULL */
};

struct pack_tar {
	struct ring *ring;
	unsigned char *slot;
	size_t used;
	uint64_t total;
	uint64_t entries;
};

/* All: -ECANCELED when the ring was stopped. */
int pack_tar_node(struct pack_tar *t, const struct pack_node *n, struct err *e) RL_CHECK;
/* Data of a file; NULL: zeros. */
int pack_tar_bytes(struct pack_tar *t, const void *data, uint64_t len, struct err *e) RL_CHECK;
int pack_tar_end(struct pack_tar *t, struct err *e) RL_CHECK;

/* ---- sidecar ---- */

struct pack_side;
/* Reads the whole file; NULL result for fd <= 0. rootfd: the layer's directory. */
int pack_side_load(int fd, int rootfd, struct pack_side **ret, struct err *e) RL_CHECK;
/* The record of `path`, or of another name of the same file; 1 if there is one (borrowed), else 0. */
int pack_side_find(const struct pack_side *s, const char *path, const struct stat *st, const char **ret_record,
		   size_t *ret_len);
void pack_side_free(struct pack_side *s);

/* ---- walk ---- */

struct pack_link {
	dev_t dev;
	ino_t ino;
	char *path; /* NULL: free slot */
	/* As the first of its names was written: what the kernel says may not be what is true. */
	uint32_t uid, gid;
	mode_t mode;
};

struct pack_walk {
	const struct archive_pack *req;
	struct pack_tar *tar;
	struct pack_side *sides[ARCHIVE_LOWERS_MAX + 1];
	struct pack_link *links; /* open addressing over (dev, ino) */
	size_t links_size;
	size_t links_count;
	uint64_t skipped;
	uint64_t content;
	uint32_t max_uid;
	uint32_t max_gid;
	bool removed; /* scrubbing took something out of the directory that is being walked */
};

/* The record that the layers below have for this path, appended; nothing if they have none. */
int pack_lower_record(const struct pack_walk *w, const char *path, struct str *out, struct err *e) RL_CHECK;

/* ---- scrub ---- */

/* Remove what the open object of the first layer may not keep; the file's own record stays if it is `trusted`. */
int pack_scrub_xattrs(const struct pack_walk *w, int fd, const char *path, bool trusted, struct err *e) RL_CHECK;
/* Remove a name of the first layer with all below it. */
int pack_scrub_name(struct pack_walk *w, int dirfd, const char *name, struct err *e) RL_CHECK;

int pack_walk_all(struct pack_walk *w, struct err *e) RL_CHECK;
void pack_walk_free(struct pack_walk *w);

/* ---- sink ---- */

struct pack_sink {
	/* set by the caller */
	struct ring *ring;
	size_t reader;
	int outfd;
	enum archive_compression compression;
	int level;
	int threads;
	/* results, after pack_sink_join */
	uint64_t blob_size;
	char blob_digest[ARCHIVE_DIGEST_SIZE]; /* "" for plain: the tar's */
	/* private */
	pthread_t thread;
	struct digest digest;
};

int pack_sink_start(struct pack_sink *s, struct err *e) RL_CHECK;
/* Failures went into the ring. */
void pack_sink_join(struct pack_sink *s);
/* Write compressed bytes and digest them. */
int pack_sink_write(struct pack_sink *s, const void *data, size_t len, struct err *e) RL_CHECK;
/* gzip in blocks over several threads (pack_gzip.c); reads the ring to its end. */
int pack_gzip_run(struct pack_sink *s, struct err *e) RL_CHECK;

int pack_check_level(enum archive_compression compression, int level, struct err *e) RL_CHECK;

#endif
