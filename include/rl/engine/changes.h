/*
 * changes.h - what writable layers change in the layers below them, without mounting anything.
 *
 * Model: `top` are the layers that belong to one container (its upper directory, frozen ones of its snapshots), `below`
 * those they stand on; both TOP first. Every name in the directories of `top` is looked at once; of `below` only
 * directories that also stand in `top` are opened, and read only where an opaque directory hides them.
 *     A  there, and nothing of this name is below
 *     C  there, and something of this name is below; a directory counts only if its mode or owner differ, or a name in it
 *        was added, removed or changed, or its time differs
 *     D  a whiteout over something, or hidden by an opaque directory
 * Redirects cannot occur: overlay is mounted with userxattr, with which the kernel neither makes nor follows them
 * (a directory that is renamed is copied, and shows as D and A).
 *
 * `hidden` are paths where mounts stood: where one of them is new and empty it is the place a mount needed, not a
 * change, and neither is the time of its directory.
 *
 * Context: whoever may read all of it: root of the user namespace of the container's map.
 */
#ifndef RL_ENGINE_CHANGES_H
#define RL_ENGINE_CHANGES_H

#include <stdbool.h>
#include <stddef.h>

#include "rl/base/err.h"
#include "rl/base/str.h"

enum change_kind { CHANGE_ADDED = 'A', CHANGE_MODIFIED = 'C', CHANGE_DELETED = 'D' };

struct change {
	char kind;  /* enum change_kind */
	char *path; /* absolute */
};

struct change_list {
	struct change *items; /* parents first, then by name */
	size_t count;
};
void change_list_free(struct change_list *l);

struct changes_req {
	const int *top;
	size_t ntop;
	const int *below;
	size_t nbelow;
	const struct strv *hidden; /* absolute paths, or NULL */
	const char *prefix;	   /* what stands before every path, without a slash at its end; NULL: nothing */
	bool new_only;		   /* changes_find: what there is below is passed over, with all that is in it */
	bool by_content; /* changes_find: what is the same as below, to its bytes, is no change; nor is a time */
};

/* The same between two stacks, whatever they have in common: what `top` shows and `below` does not is added, and so on.
 * Directories that are the same in both are not entered; files are told apart by owner, mode, size, time and links by
 * text. */
int changes_compare(const struct changes_req *req, struct change_list *ret_list, struct err *e) RL_CHECK;
int changes_find(const struct changes_req *req, struct change_list *ret_list, struct err *e) RL_CHECK;

#endif
