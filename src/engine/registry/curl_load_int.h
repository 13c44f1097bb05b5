/*
 * curl_load_int.h - libcurl is opened at run time, by programs that talk to a registry and not before.
 *
 * Calling sequence: curl_load, then libcurl's functions as usual. -ENOENT: the library is not there.
 * Context: before threads are started.
 */
#ifndef RL_ENGINE_REGISTRY_CURL_LOAD_INT_H
#define RL_ENGINE_REGISTRY_CURL_LOAD_INT_H

#include "rl/base/err.h"

int curl_load(struct err *e) RL_CHECK;

#endif
