/*
 * tree_wire.h - a tree of files as a stream of frames between two of our processes.
 *
 * Model: one side walks a tree and writes, the other reads and makes it anew; neither sees the other's file system. The
 * stream is a sequence of nodes, parents before what is in them; a regular file is followed by its data. It ends with an
 * end frame, so that a writer that died is told from one that was done.
 *     frame := kind (u32) length (u32) payload            machine byte order: both ends are the same program
 *
 * Calling sequence, writer: tree_out_node, for regular files any number of tree_out_data and tree_out_hole and one
 * tree_out_file_end, ..., tree_out_end. Reader: tree_in_next until it returns 0; after a regular file tree_in_data until
 * it returns 0.
 * What names and paths mean is for the reader to check: a writer hands on what it found. What comes out of tree_in_next
 * is bounded and NUL-terminated, nothing more. Errors: -EPIPE the other end is gone, -EPROTO a malformed frame.
 */
#ifndef RL_BASE_TREE_WIRE_H
#define RL_BASE_TREE_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "rl/base/err.h"

enum { TREE_BUFFER = 256 * 1024, TREE_NAME_MAX = 16 * 1024 };

struct tree_node {
	uint32_t mode; /* st_mode */
	uint32_t uid;
	uint32_t gid;
	uint32_t major;
	uint32_t minor;
	uint32_t mtime_ns;
	int64_t mtime;
	uint64_t size;	  /* what stat said; the data that follows may be more or less */
	bool hardlink;	  /* to the path in `link`, which came before; no data follows */
	const char *path; /* relative to the first node, "" for that itself */
	const char *link; /* of symlinks and hard links, else "" */
};

struct tree_out {
	int fd;
	size_t used;
	char *buffer;
};
void tree_out_init(struct tree_out *o, int fd);
void tree_out_free(struct tree_out *o);
int tree_out_node(struct tree_out *o, const struct tree_node *n, struct err *e) RL_CHECK;
int tree_out_data(struct tree_out *o, const void *data, size_t len, struct err *e) RL_CHECK;
int tree_out_hole(struct tree_out *o, uint64_t len, struct err *e) RL_CHECK;
int tree_out_file_end(struct tree_out *o, struct err *e) RL_CHECK;
int tree_out_end(struct tree_out *o, struct err *e) RL_CHECK;

struct tree_in {
	int fd;
	size_t at, have;
	char *buffer;
	char *payload; /* of the frame at hand */
	bool in_file;  /* the data of the last node was not all read */
};
void tree_in_init(struct tree_in *i, int fd);
void tree_in_free(struct tree_in *i);
/* 1 with *ret borrowed until the next call, 0 at the end. Data that was not asked for is skipped. */
int tree_in_next(struct tree_in *i, struct tree_node *ret, struct err *e) RL_CHECK;
/* 1 with data (borrowed) or, where *ret_data is NULL, a hole of *ret_len bytes; 0 at the end of the file. */
int tree_in_data(struct tree_in *i, const void **ret_data, uint64_t *ret_len, struct err *e) RL_CHECK;

#endif
