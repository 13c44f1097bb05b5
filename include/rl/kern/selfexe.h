/*
 * selfexe.h - the container can never write the rl binary.
 *
 * Threat (CVE-2019-5736): an image whose command is /proc/self/exe makes the container execute rl itself; through
 * /proc/self/exe of that process the payload opens the file, waits until nothing runs from it, and writes. The write
 * succeeds only if an id mapped into the container may write the inode. That is the case for a binary that belongs to
 * the user (container root is the user) and for root; it is not for one installed by root and run by somebody else.
 *
 * Model: where the inode is so writable, the program executes itself again from a sealed copy in memory
 * (memfd_create(2), F_SEAL_WRITE), before anything else happens; there, every way back to an inode ends at the sealed
 * one. The other case costs one stat.
 *
 * Calling sequence: selfexe_protect(argv, &e) early in main, for verbs that start or enter containers. It returns when
 * there is nothing to do, or in the copy. The directories of helper programs and data, which are found relative to the
 * binary, are put into the environment before (RL_LIBEXEC, RL_SHARE).
 */
#ifndef RL_KERN_SELFEXE_H
#define RL_KERN_SELFEXE_H

#include "rl/base/err.h"

int selfexe_protect(char **argv, struct err *e) RL_CHECK;

#endif
