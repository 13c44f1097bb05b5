/*
 * role_extract.c - `rl-image extract` and `rl-image inflate`: the hidden verbs that archive_extract and
 * archive_recompress start. Their situation is that of role_unpack.c; the one writes flat files only, the other nothing
 * but a pipe.
 */
#include "rl/base/str.h"
#include "rl/engine/archive_role.h"
#include "role_archive_int.h"

int role_extract_main(int argc, char **argv)
{
	(void)argc;
	struct err e = ERR_INIT;
	(void)!archive_role_main(str_eq(argv[1], "inflate") ? ARCHIVE_ROLE_INFLATE : ARCHIVE_ROLE_EXTRACT, &e);
	err_print(&e);
	return err_exit_status(&e);
}
