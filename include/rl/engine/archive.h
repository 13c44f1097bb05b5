/*
 * archive.h - layers and image archives: unpacked by a confined program of its own, packed from directories.
 *
 * Model: an archive is hostile. Whatever reads one (archive_unpack: a layer into a directory; archive_extract: the
 * members of a docker-archive or OCI archive as flat files) is `rl-image` executed anew with a hidden verb. It holds
 * the blob, the target directory and one socket, enters its own user, mount, net, ipc and uts namespaces with the id
 * map given, makes the target its root directory (no other file system is left in its mount namespace), drops all
 * capabilities but those that writing files needs, and runs under a seccomp allow-list without sockets or exec. If it
 * dies for any reason the call fails, and the target is left for the caller to remove.
 *
 * Packing reads only what lies in the store, in a forked child inside the id map's user namespace, so that stat shows
 * container ids.
 *
 * Calling sequence:
 *     struct archive_job job = ARCHIVE_JOB_NONE;
 *     r = archive_unpack_start(&req, &job, e);        // several jobs may run side by side
 *     ... feed req.blobfd's other end, or poll job.sock, which becomes readable when it is done ...
 *     r = archive_unpack_finish(&job, &result, e);    // waits; the job is over, good or bad
 * or archive_unpack(), which is both. archive_job_cancel kills and reaps a job that is no longer wanted.
 *
 * A blob may be unpacked while it is still being written (a download): blobfd is then a regular file that grows, opened
 * anew for reading, and feedfd an eventfd. Whoever writes adds to it the number of bytes that were appended; the
 * unpacker never looks beyond what was announced, and takes the blob for complete after blob_size bytes. The digest of
 * such a blob is the writer's business: the result has none, and nothing of the layer may be published before the
 * writer has verified it. A writer that gives up cancels the job.
 *
 * On disk (the form of an unpacked layer): whiteouts are character devices 0:0, opaque directories carry
 * user.overlay.opaque=y, everything that could not be made as the archive says has a control record
 * (rl/kern/xattr.h) in an xattr or, where the file system has none, in the sidecar file beside the layer:
 *     "rl-stat 1\n" { path-length " " record-length "\n" path record }      last entry of a path wins
 *
 * Layers that are not self-contained (decision 7): if the tar omits a parent directory or has a hard link to a file
 * that is not in it, and no lower directories were given, the result says needs_lower; what was unpacked is then
 * incomplete. Unpack again into a fresh target with lowerfds, and publish the result under the ChainID.
 *
 * Ownership: descriptors in requests stay the caller's and may be closed once *_start returned.
 * Context: rl-image's main process, single-threaded or not; SIGCHLD need not be handled.
 * Errors: -EBADMSG the archive is malformed, -EOPNOTSUPP a compression that is not supported, -ENOSPC with figures,
 * -EFBIG a limit was passed, -ECHILD the confined program died. Ids of any size are never an error.
 */
#ifndef RL_ENGINE_ARCHIVE_H
#define RL_ENGINE_ARCHIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "rl/base/err.h"
#include "rl/base/proc.h"
#include "rl/kern/idmap.h"

enum {
	ARCHIVE_DIGEST_SIZE = 72, /* "sha256:" + 64 hex + NUL */
	ARCHIVE_LOWERS_MAX = 500, /* the kernel's limit for overlay */
	ARCHIVE_PATH_MAX = 4095,  /* longest path in an archive */
	ARCHIVE_DEPTH_MAX = 512,  /* most components of one */
	ARCHIVE_NAME_MAX = 1024,  /* longest member name archive_extract accepts */
};

/* For people, where the store is full. */
#define ARCHIVE_NO_SPACE_HINT "`rl system df` shows what uses it, `rl system prune` frees what nothing needs"

enum archive_compression {
	ARCHIVE_PLAIN,
	ARCHIVE_GZIP,
	ARCHIVE_ZSTD,
	ARCHIVE_COMPRESSION_N,
};
const char *archive_compressor_name(enum archive_compression c); /* "none", "gzip", "zstd" */
/* -EINVAL for unknown names; "uncompressed" and "none" are the same. */
int archive_compressor_parse(const char *name, enum archive_compression *ret, struct err *e) RL_CHECK;

/* A running confined program. */
struct archive_job {
	struct proc_child child;
	int sock;
	bool begun; /* confined and at work */
	struct idmap map;
};
#define ARCHIVE_JOB_NONE                                                                                               \
	{                                                                                                              \
		.child = PROC_CHILD_NONE, .sock = -1                                                                   \
	}
/* Kill and reap; harmless on a job that is over or never began. */
void archive_job_cancel(struct archive_job *job);

/* ---- unpacking a layer ---- */

struct archive_unpack {
	const char *program; /* rl-image; NULL: proc_libexec_dir() "/rl-image" */
	const struct idmap *map;
	int blobfd;	     /* read from where it stands to its end: regular file, pipe or socket */
	int feedfd;	     /* 0: blobfd is whole; else the eventfd of a growing one, see above */
	uint64_t blob_size;  /* with feedfd: how many bytes it will have, from where it stands */
	int teefd;	     /* 0: none; else every byte of the blob is written here too, in order */
	int targetfd;	     /* an empty directory; an O_PATH descriptor will do */
	int sidecarfd;	     /* 0: none (what needs one is then an error); else an empty file open for writing */
	const int *lowerfds; /* unpacked layers below, TOP first (O_PATH will do) */
	size_t nlower;
	uint64_t max_tar;   /* most bytes of tar stream; 0: no limit but the file system */
	uint64_t max_ratio; /* most tar bytes per blob byte past the first 256 MiB; 0: 4000 */
	bool no_sync;	    /* the caller syncs the file system itself */
	bool no_wait;	    /* archive_unpack_start only starts the program; archive_job_advance does the rest */
};

struct archive_unpacked {
	char blob_digest[ARCHIVE_DIGEST_SIZE]; /* "" if it was fed and is compressed */
	char diffid[ARCHIVE_DIGEST_SIZE];
	enum archive_compression compression;
	uint64_t blob_size;
	uint64_t tar_size;
	uint64_t unpacked_size; /* bytes of file content written */
	uint64_t entries;
	uint64_t records;      /* objects with a control record */
	uint64_t sidecar_size; /* 0: the sidecar is not needed */
	uint32_t max_uid;      /* largest ids in the tar */
	uint32_t max_gid;
	bool has_root; /* the tar says what the root directory's owner, mode and times are */
	bool needs_lower;
	char missing[128]; /* the first path that made it so, for messages; cut off where longer */
};

int archive_unpack_start(const struct archive_unpack *req, struct archive_job *ret_job, struct err *e) RL_CHECK;
/* For jobs started with no_wait, whenever job->sock is readable: 1 if archive_unpack_finish will not wait long, else 0.
 * (finish may be called at any time; it waits.) */
int archive_job_advance(struct archive_job *job, struct err *e) RL_CHECK;
int archive_unpack_finish(struct archive_job *job, struct archive_unpacked *ret, struct err *e) RL_CHECK;
int archive_unpack(const struct archive_unpack *req, struct archive_unpacked *ret, struct err *e) RL_CHECK;

/* ---- the members of an image archive ---- */

struct archive_extract {
	const char *program; /* as above */
	const struct idmap *map;
	int blobfd;
	int targetfd; /* an empty directory; members become files 000000, 000001, ... owned by the map's root */
	uint64_t max_tar;
	uint64_t max_ratio;
	uint32_t max_members; /* 0: 65536 */
};

enum archive_member_type { ARCHIVE_MEMBER_FILE, ARCHIVE_MEMBER_ALIAS };

struct archive_member {
	enum archive_member_type type;
	char *name;   /* cleaned: relative, no ".", "..", "//"; may hold any other byte but NUL */
	char *target; /* ALIAS: the member it stands for, cleaned (symlinks relative to their directory) */
	char file[8]; /* FILE: name in the target directory */
	uint64_t size;
	char digest[ARCHIVE_DIGEST_SIZE];
};

struct archive_members {
	struct archive_member *items; /* in archive order; a name that came twice is there once, the last one */
	size_t count;
};

/* Directories, devices and fifos in the archive are skipped; nothing but flat regular files is ever created. */
int archive_extract(const struct archive_extract *req, struct archive_members *ret, struct err *e) RL_CHECK;
void archive_members_free(struct archive_members *m);
/* The file called `name`, aliases followed (at most 8), or NULL. */
const struct archive_member *archive_members_find(const struct archive_members *m, const char *name);

/* ---- packing ---- */

enum archive_pack_kind {
	ARCHIVE_PACK_LAYER,  /* dirs[0] alone as an OCI layer: whiteouts and opaque markers written as .wh. names */
	ARCHIVE_PACK_MERGED, /* all dirs stacked as overlay shows them: a flat root file system */
};

enum archive_trust {
	ARCHIVE_TRUST_RECORDS, /* control records were written by us: unpacked layers */
	ARCHIVE_TRUST_LOWER,   /* dirs[0] is a payload's writable layer: its records count only if they are those of
	                          the same path below (a copied-up file) */
	ARCHIVE_TRUST_OWNERS,  /* a volume, which anybody may have written to: whose a file is is believed, not what it
	                          stands for nor what attributes it has */
	ARCHIVE_TRUST_UPPER,   /* dirs[0] is a writable layer where rl-notifyd wrote the records and kept the payload
				  from it: as TRUST_RECORDS, and it may be scrubbed */
};

struct archive_pack {
	const struct idmap *map;
	enum archive_pack_kind kind;
	enum archive_trust trust;
	const int *dirfds;     /* top first; for LAYER the ones below the first tell copied-up and new apart */
	const int *sidecarfds; /* NULL, or one per directory, 0 where there is none; open for reading */
	size_t ndirs;
	int outfd; /* receives the blob: file, pipe or socket */
	enum archive_compression compression;
	int level;	  /* 0: default (gzip: fast, ISA-L where built); gzip 1..9 zlib's; zstd 1..19 */
	int threads;	  /* 0: as many as there are CPUs, at most 8 */
	bool clamp_mtime; /* times later than source_date_epoch become it */
	int64_t source_date_epoch;
	const char *const *exclude; /* NULL, or NULL-terminated paths (no leading slash) left out with all below */
	bool scrub; /* LAYER with TRUST_LOWER or TRUST_UPPER: dirs[0] will itself be an unpacked layer; what may not be in one is removed
		       from it: records that are not believed, other control xattrs, excluded paths, sockets */
	bool in_map;   /* the caller is root of the map's user namespace already, in a process of its own */
	bool host_ids; /* with in_map: there is no such namespace (userns_spawn_or_plain), the ids seen are the host's */
	bool no_diffid; /* the archive is for others: diffid stays empty, and blob_digest of a plain one */
};

struct archive_packed {
	char blob_digest[ARCHIVE_DIGEST_SIZE];
	char diffid[ARCHIVE_DIGEST_SIZE];
	uint64_t blob_size;
	uint64_t tar_size;
	uint64_t entries;
	uint64_t skipped; /* sockets, which tar cannot hold */
	uint64_t content; /* bytes of the files */
	uint32_t max_uid; /* largest ids in the tar */
	uint32_t max_gid;
};

/* Sorted by name, parents first, pax headers only where ustar does not reach, sparse files as GNU sparse 1.0, hard
 * links found by inode: the same tree gives the same DiffID, and with an explicit level (or zstd, or none) the same
 * blob on every machine. -EBADMSG: a file of the layer is called like a whiteout and cannot be written as one. */
int archive_pack(const struct archive_pack *req, struct archive_packed *ret, struct err *e) RL_CHECK;

/* ---- trees that are copied (rl/base/tree_wire.h) ---- */

/* The stream as a tar. `root` is the first node's name in it ("." for the contents of a directory). */
int archive_tree_to_tar(int infd, int outfd, const char *root, struct err *e) RL_CHECK;
/* A tar, compressed with gzip or zstd or not, as a stream: paths are clean and relative, those with ".." are -EBADMSG. The first node need
 * not be a directory, nor need parents be there. */
int archive_tar_to_tree(int infd, int outfd, struct err *e) RL_CHECK;

/* ---- bytes that are packed already ---- */

struct archive_compressed {
	char in_digest[ARCHIVE_DIGEST_SIZE]; /* of what was read */
	char digest[ARCHIVE_DIGEST_SIZE];    /* of what was written */
	uint64_t size;			     /* of what was written */
};

/* Compress what infd has from where it stands, with as many threads as there are CPUs; levels as in archive_pack. The
 * same input gives the same output where archive_pack's would be. Parses nothing. */
int archive_compress(int infd, int outfd, enum archive_compression compression, int level,
		     struct archive_compressed *ret, struct err *e) RL_CHECK;

/* A blob that is compressed, inflated by a confined program and compressed anew. */
struct archive_recompress {
	const char *program; /* as above */
	const struct idmap *map;
	int blobfd;
	int emptyfd; /* an empty directory */
	int outfd;
	enum archive_compression compression;
	int level;
};

struct archive_recompressed {
	char blob_digest[ARCHIVE_DIGEST_SIZE]; /* of what was read */
	char diffid[ARCHIVE_DIGEST_SIZE];      /* of the tar in it */
	char digest[ARCHIVE_DIGEST_SIZE];      /* of what was written */
	uint64_t size;
};

int archive_recompress(const struct archive_recompress *req, struct archive_recompressed *ret, struct err *e) RL_CHECK;

#endif
