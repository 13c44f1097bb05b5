/*
 * banned.h - functions that may not be called anywhere in the tree; force-included by the Makefile.
 *
 * Each has a safer counterpart: strcpy, strcat, sprintf, vsprintf (str.h, snprintf), strtok (strv_split), atoi, atol
 * (str_to_u64), mktemp, tmpnam, tempnam (io.h), system, popen (proc_spawn), gets.
 */
#ifndef RL_BASE_BANNED_H
#define RL_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC poison strcpy strcat sprintf vsprintf strtok atoi atol atoll mktemp tmpnam tempnam popen gets
/* `system` is a word too common in identifiers to poison; the lint target looks for calls of it. */

#endif
