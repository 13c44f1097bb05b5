/* tree_stream.c - `rl-image tree-to-tar` and `tar-to-tree`: the two directions of `rl cp` with "-"; see image_proto.h. */
#include <errno.h>
#include <signal.h>

#include "image_int.h"

int tree_to_tar_verb(struct image_ctx *c, struct err *e)
{
	signal(SIGPIPE, SIG_IGN);
	if (!c->name)
		return err_set(e, EINVAL, "tree-to-tar: no name");
	return archive_tree_to_tar(IMAGE_PROTO_DATA_FD, IMAGE_PROTO_OUT_FD, c->name, e);
}

int tar_to_tree_verb(struct image_ctx *c, struct err *e)
{
	(void)c;
	signal(SIGPIPE, SIG_IGN);
	return archive_tar_to_tree(IMAGE_PROTO_DATA_FD, IMAGE_PROTO_OUT_FD, e);
}
