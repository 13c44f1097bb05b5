/*
 * container_ports.h - the published ports of containers: shown, and changed while the container runs.
 *
 * What is published now stands in ports.json in the container's directory; it counts while the container runs.
 */
#ifndef RL_SVC_CONTAINER_PORTS_H
#define RL_SVC_CONTAINER_PORTS_H

#include "rl/base/err.h"
#include "rl/base/json.h"
#include "rl/base/str.h"
#include "rl/svc/container_store.h"

/* docker's "Ports" object of a running container: {"80/tcp": [{"HostIp": ..., "HostPort": ...}]}; empty otherwise. */
json_t *container_ports_object(const struct container_rec *rec);
/* "0.0.0.0:8080->80/tcp, ..." as `ps` shows it. */
void container_ports_text(const struct container_rec *rec, struct str *out);

/* Publish one more port of a running container; `spec` is what -p takes. */
int container_port_add(const char *root, const char *name, const char *spec, struct err *e) RL_CHECK;
/* Withdraw what `spec` names: HOST:INSIDE as published, or INSIDE alone for all of its ports. -ENOENT: there is none.
 * Connections that exist go on. */
int container_port_remove(const char *root, const char *name, const char *spec, struct err *e) RL_CHECK;

#endif
