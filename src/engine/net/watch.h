/*
 * watch.h - follow the host's resolv.conf and tell rl-netd; private to engine/net.
 *
 * net_watch_fd is an epoll descriptor over inotify and the control socket (whose end of file the caller must notice
 * too), so that callers poll one descriptor.
 */
#ifndef RL_ENGINE_NET_WATCH_H
#define RL_ENGINE_NET_WATCH_H

#include "rl/engine/net.h"

/* Also sends the present list. With fixed servers (--dns) nothing is watched but the control socket. */
int net_watch_new(int control_fd, const struct net_slirp_opts *o, struct net_watch **ret, struct err *e) RL_CHECK;
int net_watch_fd(const struct net_watch *w);
/* Something may have changed: look, and send the list if it is another one. */
void net_watch_handle(struct net_watch *w);
/* The control socket is at its end: stop reporting it. */
void net_watch_ignore_control(struct net_watch *w);
void net_watch_free(struct net_watch *w);

#endif
