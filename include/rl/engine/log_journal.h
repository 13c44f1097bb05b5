/*
 * log_journal.h - container output to systemd's journal.
 *
 * Model: one entry per line, over the journal's native protocol (systemd's documentation, JOURNAL_NATIVE_PROTOCOL), so any
 * bytes arrive as they are. Fields as docker's and podman's drivers write them: MESSAGE, PRIORITY (6 for standard output,
 * 3 for standard error), CONTAINER_ID, CONTAINER_ID_FULL, CONTAINER_NAME, CONTAINER_TAG, IMAGE_NAME, SYSLOG_IDENTIFIER,
 * and CONTAINER_PARTIAL_MESSAGE=true where the line goes on in the next entry.
 *
 * The journal is somebody else's: one that does not take a datagram within LOG_JOURNAL_PATIENCE_MS loses it. `lost` counts.
 * Calling sequence: open, add per read of the container's output, close. One writer.
 */
#ifndef RL_ENGINE_LOG_JOURNAL_H
#define RL_ENGINE_LOG_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include "rl/base/err.h"
#include "rl/base/str.h"
#include "rl/engine/log_file.h"

#define LOG_JOURNAL_SOCKET "/run/systemd/journal/socket"

enum { LOG_JOURNAL_PATIENCE_MS = 200 };

struct log_journal {
	int fd;		   /* -1: none */
	struct str fields; /* of every entry */
	uint64_t lost;	   /* entries */
};

#define LOG_JOURNAL_NONE                                                                                               \
	{                                                                                                              \
		.fd = -1, .fields = STR_INIT                                                                           \
	}

struct log_journal_source {
	const char *id, *name, *image, *tag; /* tag NULL: the short id */
};

/* -ENOENT, -ECONNREFUSED: there is no journal. */
int log_journal_open(struct log_journal *j, const char *socket, const struct log_journal_source *s,
		     struct err *e) RL_CHECK;
void log_journal_add(struct log_journal *j, enum log_stream stream, const char *data, size_t len);
void log_journal_close(struct log_journal *j);

#endif
