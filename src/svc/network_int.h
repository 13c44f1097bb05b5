/* network_int.h - what the files of svc/network share: a network's files, and the holder's first word. */
#ifndef RL_SVC_NETWORK_INT_H
#define RL_SVC_NETWORK_INT_H

#include <sys/un.h>

#include "rl/base/err.h"
#include "rl/svc/container_store.h"

/* From the holder to whoever started it: it listens. */
enum { NETWORK_STEP_READY = 1 };

/* "NAME.SUFFIX"; the caller's to free. */
char *network_file(const char *name, const char *suffix);
/* The holder's socket; dirfd is networks/. */
void network_socket_address(int dirfd, const char *name, struct sockaddr_un *ret);
int network_open_lock(int dirfd, const char *name, struct err *e) RL_CHECK;

/* network_connect.c: endpoints that were changed while it runs replace those of the state that was read. */
void container_network_reread(struct container_rec *rec);

#endif
