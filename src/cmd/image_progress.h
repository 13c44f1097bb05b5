/*
 * image_progress.h - what goes on with the layers of an image, on standard error.
 *
 * On a terminal: a line for everything that is worked on, rewritten in place ten times a second (bytes, rate, state); what
 * is finished moves up and stays. Elsewhere: one plain line for everything that is finished. A summary at the end, if
 * anything was done. Nothing at all if `quiet`.
 *
 * Calling sequence: image_progress_begin, the call that is given `ui`, image_progress_end. The state lives in the caller's
 * struct until then.
 */
#ifndef RL_CMD_IMAGE_PROGRESS_H
#define RL_CMD_IMAGE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "rl/svc/image.h"

struct image_progress_item;

struct image_progress_line {
	bool on, terminal;
	struct image_progress_item *items;
	size_t count;
	size_t drawn;	   /* lines of the terminal that are rewritten */
	int64_t last_ms;   /* of the last drawing */
	int64_t begun_ms;  /* 0: nothing was said yet */
	size_t done, kept; /* finished; of those, there already */
	uint64_t bytes;	   /* of what was finished and not there already */
};

void image_progress_begin(struct image_progress_line *line, bool quiet, struct image_ui *ret_ui);
void image_progress_end(struct image_progress_line *line);

#endif
