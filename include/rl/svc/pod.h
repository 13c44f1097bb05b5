/*
 * pod.h - pods: containers that share network, ipc and uts namespaces, held by a process that needs no image.
 *
 * Model: a pod is a container whose options say `holder`: its record, name, locks, monitor and network are a
 * container's, but its root is an empty directory and its PID 1 executes nothing (src/engine/runtime/role_hold.c). What
 * a pod shares is the holder's; a container of the pod says `pod` (the holder's id) and --network, --ipc, --uts
 * =container:ID, and with them shares the user namespace that owns those (decision 2, container_share.c). So nothing
 * of a pod is kept anywhere but in the records of its containers. Published ports, name servers and hosts belong to the
 * pod. ps, rm -a and the like do not see holders.
 *
 * A container of a pod starts the pod first. The pod ends when it is stopped, not when its containers end.
 * Context: host side, ordinary user. `root` is --root or NULL. Pods are named by name, id or prefix of an id.
 */
#ifndef RL_SVC_POD_H
#define RL_SVC_POD_H

#include "rl/base/err.h"
#include "rl/base/json.h"
#include "rl/base/str.h"
#include "rl/model/run_opts.h"

/* Takes over what `o` holds; o->pod_share says what is shared. */
int pod_create(const char *root, struct run_opts *o, struct str *ret_id, struct err *e) RL_CHECK;
/* Before a container is made with o->pod set ("NAME" or "new:NAME"): find or make the pod, let the options say what is
 * shared. Published ports go to a new pod. */
int pod_adopt(const char *root, struct run_opts *o, struct err *e) RL_CHECK;

/* The holder and every container of the pod. Stopping and killing begin with the containers. */
int pod_start(const char *root, const char *name, struct err *e) RL_CHECK;
int pod_stop(const char *root, const char *name, int timeout, struct err *e) RL_CHECK;
int pod_restart(const char *root, const char *name, struct err *e) RL_CHECK;
int pod_kill(const char *root, const char *name, int sig, struct err *e) RL_CHECK;
/* With its containers; -EBUSY while one runs, unless `force`. */
int pod_remove(const char *root, const char *name, bool force, struct err *e) RL_CHECK;
/* Every pod in which nothing runs. */
int pod_prune(const char *root, struct strv *ret_removed, struct err *e) RL_CHECK;
/* 1 it exists, 0 it does not. */
int pod_exists(const char *root, const char *name, struct err *e) RL_CHECK;
int pod_names(const char *root, bool latest, struct strv *ret_ids, struct err *e) RL_CHECK;
/* filters: name=, id=, status=, label=. */
int pod_rows(const char *root, const struct strv *filters, bool no_trunc, json_t **ret_rows, struct err *e) RL_CHECK;
int pod_inspect(const char *root, const char *name, json_t **ret_doc, struct err *e) RL_CHECK;

#endif
