/*
 * working.h - working containers: an image made by commands instead of by a Dockerfile (`rl from`, `run`, `copy`, `add`,
 * `config`, `commit`).
 *
 * Model: a working container is an ordinary container (container_create) that has a file working.json beside its record:
 * the image config document of what it is to become, to begin with that of the image it was made from. Commands run in it
 * one after the other, each as a container of its own on the same writable layer, with environment, user and directory
 * of that document; nothing runs in between. COPY and ADD are those of Dockerfiles (src/svc/build_copy.c). container_commit
 * takes the document in place of what the container's options say. `rl rm` removes it, `rl ps -a` shows it.
 *
 * Locks: every call holds the container's locks (rl/svc/container_store.h), so two commands in one working container are
 * -EBUSY for the second.
 *
 * `root` is --root or NULL, `name` a container's name, id or unique prefix. Errors: -ENOENT no such container, -EINVAL it
 * is no working container. Context: host side, one thread, ordinary user.
 */
#ifndef RL_SVC_WORKING_H
#define RL_SVC_WORKING_H

#include <stdbool.h>

#include "rl/base/err.h"
#include "rl/base/json.h"
#include "rl/base/str.h"
#include "rl/model/run_opts.h"
#include "rl/svc/container_store.h"

#define WORKING_FILE "working.json"

/* A container of `o->image` ("scratch": of nothing) named o->name, or IMAGE-working-container; takes over what `o` holds.
 * *ret_name gets the name. */
int working_from(const char *root, struct run_opts *o, struct str *ret_name, struct err *e) RL_CHECK;

/* 1: `name` is a working container. */
int working_exists(const struct store *s, const char *name);
/* o->command in the container that o->image names; env, user, workdir, network, mounts, limits and so on of `o` are for
 * this command only. Takes over what `o` holds. *ret_status: as container_run. */
int working_run(const char *root, struct run_opts *o, int *ret_status, struct err *e) RL_CHECK;

struct working_copy_opts {
	bool is_add;
	char *chown, *chmod, *checksum, *from; /* as the flags of COPY, or NULL */
	char *contextdir;		       /* what the sources are relative to; NULL: the current directory */
	char *ignorefile;
	struct strv exclude;
	bool parents, link;
};
/* sources: at least one. dest: NULL is the working directory. */
int working_copy(const char *root, const char *name, const struct working_copy_opts *o, const struct strv *sources,
		 const char *dest, struct err *e) RL_CHECK;

/* Instructions of a Dockerfile that change the config (ENV, CMD, HEALTHCHECK, ...), all or none of them. */
int working_change(const char *root, const char *name, const struct strv *instructions, struct err *e) RL_CHECK;
/* Take variables, labels, ports or volumes out of it: member of the config ("Env", "Labels", ...), name in it. */
int working_drop(const char *root, const char *name, const char *member, const struct strv *keys,
		 struct err *e) RL_CHECK;
/* The document, or *ret_doc NULL where it is no working container. What was done to it so far (without a history entry)
 * is joined in *ret_history. */
int working_document(const struct container_rec *rec, json_t **ret_doc, struct str *ret_history,
		     struct err *e) RL_CHECK;

#endif
