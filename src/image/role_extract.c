/*
 * role_extract.c - `rl-image extract`: the hidden verb that archive_extract starts. Its situation is that of
 * role_unpack.c; it writes flat files only.
 */
#include "rl/engine/archive_role.h"
#include "role_archive_int.h"

int role_extract_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	struct err e = ERR_INIT;
	(void)!archive_role_main(ARCHIVE_ROLE_EXTRACT, &e);
	err_print(&e);
	return err_exit_status(&e);
}
