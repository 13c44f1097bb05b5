/*
 * role_archive_int.h - entry points of the hidden verbs "unpack", "extract" and "inflate" (the latter two in one), for rl-image's main. The result is the
 * exit status of the process.
 */
#ifndef RL_IMAGE_ROLE_ARCHIVE_INT_H
#define RL_IMAGE_ROLE_ARCHIVE_INT_H

int role_unpack_main(int argc, char **argv);
int role_extract_main(int argc, char **argv);

#endif
