/*
 * working_int.h - what the files of svc/working share: one working container with its locks and its document.
 */
#ifndef RL_SVC_WORKING_INT_H
#define RL_SVC_WORKING_INT_H

#include "rl/engine/store.h"
#include "rl/svc/working.h"

enum { WORKING_MAX = 16 << 20 };

/* Member of the document: what was done, one text a command; taken out when it becomes an image's. */
#define DONE_KEY "rl.done"

struct working {
	struct store store;
	struct container_rec rec;
	json_t *doc;
	int op, own; /* the locks */
};
#define WORKING_INIT                                                                                                   \
	{                                                                                                              \
		.store = {.rootfd = -1}, .rec = CONTAINER_REC_INIT, .op = -1, .own = -1                                \
	}

/* Nobody runs a command in it or changes it until working_close. */
int working_open(const char *root, const char *name, struct working *ret, struct err *e) RL_CHECK;
void working_close(struct working *w);
int working_read(const struct container_rec *rec, json_t **ret_doc, struct err *e) RL_CHECK;
int working_write(const struct container_rec *rec, const json_t *doc, struct err *e) RL_CHECK;
/* What a command wrote is in the writable layer itself, where the next one expects it (container_copied.h). */
int working_settle(const struct container_rec *rec, struct err *e) RL_CHECK;
/* For the history of the image. */
void working_note(json_t *doc, const char *what);

#endif
