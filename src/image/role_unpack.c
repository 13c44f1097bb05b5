/*
 * role_unpack.c - `rl-image unpack`: the hidden verb that archive_unpack starts (rl/engine/archive_role.h).
 *
 *   namespaces    the host's on entry; own user, mount, net, ipc and uts ones before the first byte is read
 *   identity      the caller, then root of the id map
 *   capabilities  six, over ids of the map, while unpacking
 *   descriptors   0 /dev/null, 1 and 2 inherited, 3 socket, 4 blob, 5 target, then those the request carries
 *   file system   the target directory is the root and all there is
 *   ends          when the layer is written, on any error, or with its parent
 */
#include "rl/engine/archive_role.h"
#include "role_archive_int.h"

int role_unpack_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	struct err e = ERR_INIT;
	(void)!archive_role_main(ARCHIVE_ROLE_UNPACK, &e);
	err_print(&e);
	return err_exit_status(&e);
}
