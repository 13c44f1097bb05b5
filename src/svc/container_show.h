/*
 * container_show.h - what the rows of `ps` and the document of `inspect` have in common. Objects and strings that are
 * returned are the caller's; the rest is put into `row`.
 */
#ifndef RL_SVC_CONTAINER_SHOW_H
#define RL_SVC_CONTAINER_SHOW_H

#include <stdint.h>

#include "rl/base/json.h"
#include "rl/svc/container_store.h"

/* Nanoseconds since 1970 as docker writes them; 0 is its year 1. */
void container_show_time(json_t *row, const char *key, int64_t ns);
json_t *container_show_labels(const struct strv *labels);
/* The word for the network, or the first one's name. */
char *container_show_network(const struct run_opts *o);
/* Borrowed. */
const char *container_show_image(const struct record_config *rc);
/* "Namespaces": the kernel's names of them while it runs. */
void container_show_namespaces(json_t *row, const struct container_rec *c);
/* "Size" and "SizeRw": what it has written. */
void container_show_size(json_t *row, const struct container_rec *c);

#endif
