/*
 * log_file.h - the log of a detached container: written line by line, bounded, read by others while it grows.
 *
 * Model: one entry is one line of the file `container.log` in the container's directory. An entry holds what one read
 * from the container's output gave up to the next newline; what does not end in a newline is a partial line, and
 * the entries of one stream put together are exactly the bytes the container wrote.
 *     json-file  {"log":"text\n","stream":"stdout","time":"2026-11-22T18:00:00.123456789Z"}, as docker writes it. Bytes
 *                that are not UTF-8 are shown as U+FFFD there, and the entry carries the exact ones in "b64" besides.
 *     k8s-file   2026-11-22T18:00:00.123456789Z stdout F text      (F whole, P partial line), as podman writes it
 * Rotation: an entry that would make the file larger than max_size goes to a new one; container.log.1 is the one before
 * it, and so on, max_file in all. Files are renamed, never rewritten, so a reader that has one open loses nothing.
 *
 * Writer: log_writer_open, log_writer_add per read, log_writer_close. One writer. A full disk loses entries, not the
 * container: what was lost is counted and said in the log as soon as there is room again.
 * Reader: log_reader_open (at the beginning, or with the last `tail` lines), log_reader_next until 0; after more was
 * written (inotify on the directory) log_reader_next goes on, across rotations.
 * Ownership: the structs own descriptors and buffers; an entry's data is valid until the next call.
 */
#ifndef RL_ENGINE_LOG_FILE_H
#define RL_ENGINE_LOG_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "rl/base/err.h"
#include "rl/base/str.h"
#include "rl/model/run_opts.h"

#define LOG_FILE_NAME "container.log"

enum log_stream { LOG_STDOUT, LOG_STDERR };

/* Where a log is: a file of this name, and with ".1", ".2" behind it the older ones. The directory is borrowed by who opens
 * a log, the name is copied: the record it comes from is read again while the container lives. */
struct log_place {
	int dirfd;
	const char *name; /* LOG_FILE_NAME, unless somebody asked for another place */
};

/* The name of the index-th file, 0 the newest. */
enum { LOG_BASE_SIZE = 256, LOG_NAME_SIZE = 272 };
void log_file_name(const char *name, unsigned index, char ret[LOG_NAME_SIZE]);

struct log_writer {
	int dirfd;
	char name[LOG_BASE_SIZE];
	enum log_driver driver;
	uint64_t max_size;
	unsigned max_file;
	int fd;
	uint64_t size;
	struct str out;
	uint64_t unwritten; /* bytes of output in `out` */
	uint64_t lost;	    /* bytes of output that could not be written, not yet told in the log */
	int lost_errno;
};

/* Goes on after what is there. LOG_DRIVER_NONE and PASSTHROUGH write nothing. */
int log_writer_open(struct log_writer *w, const struct log_place *place, enum log_driver driver, uint64_t max_size,
		    unsigned max_file, struct err *e) RL_CHECK;
/* Say in the log what was lost, if there is room now. Returns how many lost bytes are still untold. */
uint64_t log_writer_settle(struct log_writer *w);
void log_writer_add(struct log_writer *w, enum log_stream stream, const char *data, size_t len);
void log_writer_close(struct log_writer *w);

struct log_entry {
	int64_t time; /* ns since 1970 */
	enum log_stream stream;
	const char *data;
	size_t len;
};

struct log_reader {
	int dirfd; /* borrowed */
	char name[LOG_BASE_SIZE];
	enum log_driver driver;
	int fd;
	struct str buf;
	size_t at; /* of the next line in buf */
	struct str decoded;
};

#define LOG_READER_ALL UINT64_MAX

/* -ENOENT: nothing was logged yet (the reader is usable: next looks again). tail: how many lines to begin with, each with
 * all its parts as long as the other stream does not break in. */
int log_reader_open(struct log_reader *r, const struct log_place *place, enum log_driver driver, uint64_t tail,
		    struct err *e) RL_CHECK;
/* 1 an entry, 0 the end for now. Damaged lines are passed over. */
int log_reader_next(struct log_reader *r, struct log_entry *ret_entry, struct err *e) RL_CHECK;
void log_reader_close(struct log_reader *r);

#endif
