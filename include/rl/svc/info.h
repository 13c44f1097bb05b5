/*
 * info.h - what `rl info` says about this installation: where the store is, how ids are mapped, what the machine is.
 *
 * info_collect reads only; a store that does not exist yet is not made. Members of the document are docker's names
 * where docker has one, so that scripts that ask `info -f` find what they expect.
 * Ownership: the caller drops the document. Context: host side, ordinary user.
 */
#ifndef RL_SVC_INFO_H
#define RL_SVC_INFO_H

#include "rl/base/err.h"
#include "rl/base/json.h"

int info_collect(const char *store_root, json_t **ret_doc, struct err *e) RL_CHECK;

#endif
